"""Models, batches and recordings on a GPU that is not there; see `pretend_device`.

with pretending() as log:
    model = on_the_device(model)
    decode(model, questions)
assert log.waited <= 3
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from pretend_device import DEVICE_STATE, Dispatch, Log, OnDevice, changes_first, tensors_in
from torch import Tensor

from steer_core.codi import memory, recording
from steer_core.codi.load import reordered
from steer_core.codi.model import CodiModel


def record(
    run: Callable[[], Sequence[Tensor]], device: torch.device
) -> tuple[Sequence[Tensor], Callable[[], None]]:
    """As `record_cuda_graph`: what ran once runs again, in the same memory, with the same sizes."""
    run()
    DEVICE_STATE.tape = tape = []
    try:
        filled = run()
    finally:
        DEVICE_STATE.tape = None
    outs = [list(tensors_in(out)) for *_, out in tape]
    for (func, _, kwargs, _), made in zip(tape, outs, strict=True):
        if not changes_first(func) and "out" not in kwargs:
            for x in made:  # a recording computes nothing: until the first replay it is nonsense
                x.fill_(torch.nan if x.is_floating_point() else 0)

    def again() -> None:
        DEVICE_STATE.log.replays += 1
        for (func, args, kwargs, _), made in zip(tape, outs, strict=True):
            new = list(tensors_in(func(*args, **kwargs)))
            if not changes_first(func) and "out" not in kwargs:
                for mine, x in zip(made, new, strict=True):
                    mine.copy_(x)

    return filled, again


@contextmanager
def pretending(graphs: bool = False, free: int = 8 * 2**30) -> Iterator[Log]:
    """The device is there, with so many free bytes; batches are recorded on it where `graphs`."""
    DEVICE_STATE.log = log = Log()
    torch._C._ensureCUDADeviceGuardSet()  # a torch without CUDA lacks what switches devices
    real = torch.tensor

    def tensor(data, *args, device=None, **kwargs):
        made = real(data, *args, **kwargs)
        return made if device is None else made.to(device)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "tensor", tensor)
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "synchronize", lambda *_: None)
        patch.setattr(torch.cuda, "get_device_name", lambda *_: "a pretended GPU")
        patch.setattr(memory, "free_bytes", lambda device: free)
        patch.setattr(recording, "RECORDS", {"cuda": record} if graphs else {})
        with Dispatch():
            yield log


def moved_tree(
    part: Any, change: Callable[[Tensor], Tensor] = OnDevice, done: dict[int, Any] | None = None
) -> Any:
    """A tree of frozen dataclasses with its tensors changed, without what is for a CPU only.

    One that is there twice, as tied weights are, stays one.
    """
    done = {} if done is None else done
    if isinstance(part, Tensor):
        if id(part) not in done:
            done[id(part)] = change(part)
        return done[id(part)]
    if isinstance(part, tuple):
        return tuple(moved_tree(each, change, done) for each in part)
    if not dataclasses.is_dataclass(part):
        return part
    known = {
        field.name: moved_tree(getattr(part, field.name), change, done)
        for field in dataclasses.fields(part)
        if field.name != "fast"
    }
    return type(part)(**known)


def on_the_device(model: CodiModel, dtype: torch.dtype | None = None) -> CodiModel:
    """The same weights there, as a load would leave them, with nothing remembered."""

    def change(x: Tensor) -> Tensor:
        return OnDevice(x if dtype is None or not x.is_floating_point() else x.to(dtype))

    body, projection = reordered(
        *(moved_tree(part, change) for part in (model.body, model.projection))
    )
    return dataclasses.replace(model, body=body, projection=projection)
