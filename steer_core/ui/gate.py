"""Who may use the model now: one at a time, and a person who waits goes before a longer run."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """A lock with three kinds of callers.

    A plain lock is not fair: a sweep that takes it again right after each batch would starve the
    visitor who drags a slider. Background callers wait until no foreground caller is waiting, and
    step aside for one between two decoding steps. An experiment holds the gate for long; it steps
    aside for both.
    """

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.busy = False
        self.waiting = 0
        """Callers in the foreground who wait."""
        self.queued = 0
        """Sweeps that wait, those that have stepped aside among them."""

    @contextmanager
    def foreground(self) -> Iterator[None]:
        """Hold the model for an answer somebody waits for."""
        with self.condition:
            self.waiting += 1
            self.condition.wait_for(lambda: not self.busy)
            self.waiting -= 1
            self.busy = True
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def background(self, long: bool = False) -> Iterator["Hold"]:
        """Hold the model for one batch of a longer run, or for a `long` experiment."""
        hold = Hold(self, long)
        with self.condition:
            self.queued += 1
            self.condition.wait_for(lambda: not self.busy and not self.waiting)
            self.queued -= 1
            self.busy = True
        try:
            yield hold
        finally:
            self._release()

    def _release(self) -> None:
        with self.condition:
            self.busy = False
            self.condition.notify_all()


class Hold:
    """What a background caller has of the gate. Several threads may share one.

    Args:
        gate: The gate.
        long: Whether sweeps go first too.
    """

    def __init__(self, gate: Gate, long: bool) -> None:
        self._gate, self._long = gate, long
        self._lent = False
        """Whether it has stepped aside."""

    def give_way(self) -> None:
        """Let whoever goes first go first: all threads of the hold pause, and go on together."""
        gate = self._gate
        with gate.condition:
            if not self._lent and not self._others():
                return
            if not self._lent:
                self._lend(True)
            gate.condition.wait_for(lambda: not self._lent or not (gate.busy or self._others()))
            if self._lent:
                self._lend(False)

    def _others(self) -> int:
        """How many go before this one."""
        return self._gate.waiting + (self._gate.queued if self._long else 0)

    def _lend(self, lent: bool) -> None:
        gate = self._gate
        self._lent, gate.busy = lent, not lent
        if not self._long:  # an experiment must not come between a sweep and its next step
            gate.queued += 1 if lent else -1
        gate.condition.notify_all()
