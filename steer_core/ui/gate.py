"""Who may use the model now: one at a time, and a person who waits goes before a longer run."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """A lock with three kinds of callers.

    A plain lock is not fair: a sweep that takes it again right after each batch would starve the
    visitor who drags a slider. Background callers wait until no foreground caller is waiting. An
    experiment holds the gate for long; it gives way to both between two decoding steps.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._busy = False
        self._lent = False
        """Whether an experiment that holds the gate has stepped aside."""
        self._waiting = 0
        self._queued = 0

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
            self._queued += 1
            self._condition.wait_for(lambda: not self._busy and not self._waiting)
            self._queued -= 1
            self._busy = True
        try:
            yield
        finally:
            self._release()

    def give_way(self) -> None:
        """Let whoever waits go first; for a caller that holds the gate as background.

        Several threads may share one hold: all of them pause, and go on together.
        """
        with self._condition:
            if not self._lent and not (self._waiting or self._queued):
                return
            if not self._lent:
                self._lent, self._busy = True, False
                self._condition.notify_all()
            self._condition.wait_for(lambda: not self._lent or self._free())
            if self._lent:
                self._lent, self._busy = False, True
                self._condition.notify_all()

    def _free(self) -> bool:
        return not (self._busy or self._waiting or self._queued)

    def _release(self) -> None:
        with self._condition:
            self._busy = False
            self._condition.notify_all()
