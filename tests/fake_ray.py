"""What the engine uses of Ray, in this process: actors whose batches come in any order, and die."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np


class RayError(Exception):
    """Of all."""


class RayActorError(RayError):
    """An actor died."""


class OutOfMemoryError(RayError):
    """The machine had too little memory, and ended an actor."""


class RayTaskError(RayError):
    """What an actor raised."""

    def __init__(self, cause: Exception):
        super().__init__(str(cause))
        self.cause = cause


class Batches:
    """The batches of a call, one by one; `fault` says of each what goes wrong, if anything."""

    def __init__(self, call: Iterator[Any], fault: Callable[[], Exception | None]):
        self._call, self._fault = call, fault

    def __next__(self) -> Any:
        if (error := self._fault()) is not None:
            return error
        try:
            return pickle.dumps(next(self._call))  # what is handed over can be sent
        except StopIteration:
            raise
        except Exception as error:
            return RayTaskError(error)


class Ray:
    """`fault(actor)` is asked before each batch; the number of the actor counts from 0."""

    exceptions = SimpleNamespace(
        RayActorError=RayActorError, OutOfMemoryError=OutOfMemoryError, RayTaskError=RayTaskError
    )

    def __init__(self, fault: Callable[[int], Exception | None] = lambda actor: None, seed=0):
        self.fault, self.made, self.killed, self.begun = fault, 0, 0, False
        self.arguments: list[tuple] = []
        self._rng = np.random.default_rng(seed)

    def is_initialized(self) -> bool:
        return self.begun

    def init(self, **_: Any) -> None:
        self.begun = True

    def shutdown(self) -> None:
        self.begun = False

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0, "GPU": 2.0}

    def put(self, value: Any) -> Any:
        return pickle.loads(pickle.dumps(value))

    def get(self, found: Any) -> Any:
        if isinstance(found, Exception):
            raise found
        return pickle.loads(found)

    def wait(self, batches: list, num_returns: int, timeout: float) -> tuple[list, list]:
        self._rng.shuffle(batches)
        return batches[:num_returns], batches[num_returns:]

    def kill(self, actor: Any) -> None:
        self.killed += 1

    def remote(self, **_: Any) -> Callable[[type], Any]:
        return lambda kind: SimpleNamespace(remote=lambda *arguments: self._actor(kind, arguments))

    def _actor(self, kind: type, arguments: tuple) -> Any:
        number, self.made = self.made, self.made + 1
        self.arguments.append(arguments)
        own = kind(*arguments)

        def call(work: Any) -> Batches:
            return Batches(own.fill(self.put(work)), lambda: self.fault(number))

        return SimpleNamespace(
            fill=SimpleNamespace(options=lambda **_: SimpleNamespace(remote=call))
        )
