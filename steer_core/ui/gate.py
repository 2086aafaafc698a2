"""Who may use the model now: one at a time, and a person who waits goes before a sweep."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """A lock with two kinds of callers.

    A plain lock is not fair: a sweep that takes it again right after each batch would starve the
    visitor who drags a slider. Background callers wait until no foreground caller is waiting.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._busy = False
        self._waiting = 0

    @contextmanager
    def foreground(self) -> Iterator[None]:
        """Hold the model for an answer somebody waits for."""
        with self._condition:
            self._waiting += 1
            self._condition.wait_for(lambda: not self._busy)
            self._waiting -= 1
            self._busy = True
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def background(self) -> Iterator[None]:
        """Hold the model for one batch of a longer run."""
        with self._condition:
            self._condition.wait_for(lambda: not self._busy and not self._waiting)
            self._busy = True
        try:
            yield
        finally:
            self._release()

    def _release(self) -> None:
        with self._condition:
            self._busy = False
            self._condition.notify_all()
