"""A stand-in for Hugging Face's `spaces` on ZeroGPU: decorated functions run elsewhere.

What goes there and comes back is pickled, of an error only its name comes back, and nothing but a
decorated function may move a model to its device: in this process there is none, it only reads.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import gradio as gr
import pytest

from steer_core.codi import placement
from steer_core.ui import compute, fits, runner, space
from steer_core.ui.experiments import lab, work


class Spaces:
    """The package; `asked` are the seconds that were asked for, call by call."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._place = threading.local()

    def GPU(self, duration: Callable[..., int]) -> Callable[..., Any]:
        def decorate(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
            @wraps(function)
            def call(*args: Any) -> Iterator[Any]:
                self.asked.append(duration(*args))
                yield from self._elsewhere(function, pickle.dumps(args))

            return call

        return decorate

    def only_here(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which fails anywhere but in a decorated one."""

        def checked(*args: Any, **kwargs: Any) -> Any:
            assert getattr(self._place, "gpu", False), "no CUDA outside the GPU's process"
            return function(*args, **kwargs)

        return checked

    def _elsewhere(self, function: Callable[..., Iterator[Any]], args: bytes) -> Iterator[Any]:
        results: list[bytes | Exception] = []

        def run() -> None:
            self._place.gpu = True
            try:
                results.extend(map(pickle.dumps, function(*pickle.loads(args))))
            except Exception as error:
                results.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        for result in results:
            if isinstance(result, Exception):
                raise gr.Error(type(result).__name__, title="ZeroGPU worker error") from result
            yield pickle.loads(result)


def install(monkeypatch: pytest.MonkeyPatch) -> Spaces:
    """Make this process one on ZeroGPU until the test ends."""
    found = Spaces()
    compute.loaded.cache_clear()
    compute.read.cache_clear()
    monkeypatch.setattr(compute, "_read", set())
    monkeypatch.setattr(space, "spaces", found)
    monkeypatch.setattr(space, "FORKS", True)
    run = space.gpu(duration=compute.seconds)(compute.run)
    for module in (runner, fits):
        monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(lab, "work", space.gpu(duration=work.seconds_of)(work.work))
    monkeypatch.setattr(placement, "moved", found.only_here(placement.moved))
    return found
