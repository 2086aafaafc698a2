"""A GPU that is not there: tensors that say they lie on `cuda:0` and compute on the CPU.

What such a device would refuse is refused here, where it happens: operands on two devices, float64,
and in a recorded region everything that a CUDA graph cannot hold. What would cost time there is
counted: kernels, waits of the host, copies in both directions. Numbers are the CPU's own, so that
ids can be held to those of a plain run. `pretending` switches it on.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("cuda", 0)
OURS = ("cuda", "meta")
"""How code asks for the device; below Python the tensors are of `meta`, which has no memory."""
VIEWS = frozenset(
    """_conj _neg_view _reshape_alias _unsafe_view alias as_strided chunk detach diagonal expand
    imag lift_fresh movedim narrow permute real reshape select slice split split_with_sizes squeeze
    t transpose unbind unflatten unfold unsqueeze view view_as_complex view_as_real""".split()
)
FREE = frozenset(
    "empty empty_like empty_strided is_same_size new_empty new_empty_strided set_data".split()
)
"""Memory and sizes: no kernel."""
WAITS = frozenset(
    """_local_scalar_dense _unique2 bincount equal is_nonzero masked_select nonzero
    unique_consecutive unique_dim""".split()
)
"""The host needs a value, or a size that only the device knows."""
WHOLE = frozenset("layer_norm rms_norm scaled_dot_product_attention where".split())
"""One operation of a GPU, though torch could take it apart."""
INDEXING = frozenset("_index_put_impl_ index index_put index_put_".split())
ATTENTION_IN_PARTS = 12
"""Kernels of attention for which no fused one will do: grouped heads with a mask, say."""


class Refused(AssertionError):
    """What a GPU would not do. No RuntimeError: nobody may catch it and go on without."""


@dataclasses.dataclass
class Log:
    """What has been asked of the device, since the start or the last `clear`."""

    kernels: int = 0
    operations: Counter[str] = dataclasses.field(default_factory=Counter)
    waits: Counter[str] = dataclasses.field(default_factory=Counter)
    uploads: Counter[str] = dataclasses.field(default_factory=Counter)
    downloaded: int = 0
    """Bytes that came back."""
    replays: int = 0
    largest: int = 0
    """Numbers in the largest tensor that a kernel filled."""

    def clear(self) -> None:
        """Begin again."""
        for field in dataclasses.fields(self):
            empty = field.default_factory
            new = field.default if empty is dataclasses.MISSING else empty()
            setattr(self, field.name, new)

    @property
    def waited(self) -> int:
        """How often the host stood still."""
        return self.waits.total()


class Device:
    """The one device: its log, and the recording that is under way."""

    def __init__(self) -> None:
        self.log = Log()
        self.tape: list[tuple[Callable, tuple, dict, Any]] | None = None

    def wait(self, what: str) -> None:
        """The host waits for a value."""
        self.refuse_recorded(f"{what} makes the host wait")
        self.log.waits[f"{what} at {caller()}"] += 1

    def upload(self, what: str) -> None:
        """Memory of the host is copied here."""
        self.refuse_recorded(f"{what} copies from the host")
        self.log.uploads[f"{what} at {caller()}"] += 1

    def refuse_recorded(self, what: str) -> None:
        """Nothing of the host can be part of a recording."""
        if self.tape is not None:
            raise Refused(f"{what} in a recorded region, at {caller()}")

    def ran(self, name: str, call: tuple[Callable, tuple, dict], out: object) -> None:
        """A kernel ran, or several."""
        func, args, kwargs = call
        if self.tape is not None:
            self.tape.append((func, args, kwargs, out))
        outs = list(tensors_in(out))
        if any(x.dtype in (torch.float64, torch.complex128) for x in outs):
            raise Refused(f"{name} makes float64, at {caller()}")
        self.log.kernels += kernels_of(name, args, kwargs)
        self.log.operations[name] += 1
        self.log.largest = max(self.log.largest, *(x.numel() for x in outs), 0)


DEVICE_STATE = Device()


class OnDevice(Tensor):
    """A tensor of the device; `inner` holds its numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor):
        inner = inner.resolve_conj().resolve_neg()  # marks that the wrapper would not have
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device="meta",
        )
        made.inner = inner
        return made

    device = property(lambda self: DEVICE)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)

    def __repr__(self, **_: object) -> str:
        return f"OnDevice({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})

    def __setitem__(self, where, value) -> None:
        indices = where if isinstance(where, tuple) else (where,)
        if isinstance(value, int | float) and any(isinstance(i, Tensor) for i in indices):
            DEVICE_STATE.upload("a number put at indices")  # torch makes it a tensor of the CPU
            value = torch.full((), value, dtype=self.dtype, device=DEVICE)
        if isinstance(value, int | float):
            self[where].fill_(value)
        else:
            super().__setitem__(where, value)

    def numpy(self, **_: object):
        raise TypeError("can't convert cuda:0 device type tensor to numpy; use .cpu() first")

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self):
        DEVICE_STATE.wait("tolist")
        DEVICE_STATE.log.downloaded += self.inner.nbytes
        return self.inner.tolist()


class Dispatch(TorchDispatchMode):
    """Sees operations without a tensor too: those that make one."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {}, self)


def dispatched(func, args: tuple, kwargs: dict, mode: Dispatch | None = None):
    """One operation: moved, taken apart, or run on the CPU in the device's name."""
    name = func._schema.name.split("::")[1]
    if name in ("to", "cpu", "cuda", "_to_copy"):
        return moved(func, args, kwargs)
    if name not in WHOLE and is_composite(func):
        with mode or nullcontext():
            found = func.decompose(*args, **kwargs)
        if found is not NotImplemented:
            return found
    if name == "copy_":
        return copied(func, args, kwargs)
    if name == "_fused_sdp_choice":
        return 0  # in parts: what any device can do
    return computed(func, name, args, kwargs)


@cache
def is_composite(func) -> bool:
    """Whether an operation is nothing but others."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")


def computed(func, name: str, args: tuple, kwargs: dict):
    """An operation on the CPU, and on the device where any of its tensors is there."""
    tensors = [*tensors_in(args), *tensors_in(kwargs)]
    here = any(isinstance(x, OnDevice) for x in tensors)
    asked = kwargs.get("device")
    asked = None if asked is None else torch.device(asked).type in OURS
    if not here and not asked:
        return func(*args, **kwargs)
    check_devices(name, args, tensors)
    if name in WAITS:
        DEVICE_STATE.wait(name)
    plain_args, plain_kwargs = mapped(inner, args), mapped(inner, kwargs)
    if asked:
        plain_kwargs = {**plain_kwargs, "device": torch.device("cpu")}
    out = func(*plain_args, **plain_kwargs)
    if name not in VIEWS and name not in FREE:
        DEVICE_STATE.ran(name, (func, plain_args, plain_kwargs), out)
    if name == "_local_scalar_dense":
        return out
    return given_back(func, args, kwargs, out)


def given_back(func, args: tuple, kwargs: dict, out: object):
    """What came out as tensors of the device; what was written into is the very same object."""
    if changes_first(func) and isinstance(args[0], OnDevice):
        return args[0]
    if "out" in kwargs:
        return kwargs["out"]
    # A view of a tensor that gradients may reach is one itself, also in inference mode.
    plain = isinstance(args[0] if args else None, OnDevice) and not args[0].is_inference()
    with torch.inference_mode(torch.is_inference_mode_enabled() and not plain):
        return mapped(outer, out)


@cache
def changes_first(func) -> bool:
    """Whether an operation works in place."""
    first = func._schema.arguments[0] if func._schema.arguments else None
    return first is not None and first.alias_info is not None and first.alias_info.is_write


def check_devices(name: str, args: tuple, tensors: Sequence[Tensor]) -> None:
    """Tensors of the CPU may only be numbers, or indices, which are copied."""
    strange = [x for x in tensors if not isinstance(x, OnDevice)]
    indexing = name in INDEXING
    indices = list(tensors_in(args[1])) if indexing else []
    if any(x.dtype in (torch.bool, torch.uint8) for x in indices):
        DEVICE_STATE.wait(f"{name} by a mask")
    for x in strange:
        if any(x is index for index in indices):
            DEVICE_STATE.upload("indices on the CPU")
        elif x.dim() or name in ("cat", "stack", "mm", "bmm", "addmm", "gather", "scatter"):
            raise Refused(f"{name} has operands on cuda:0 and cpu {tuple(x.shape)}, at {caller()}")
        elif name == "where":
            DEVICE_STATE.upload("a number of the CPU in where")


def moved(func, args: tuple, kwargs: dict):
    """Between devices and dtypes: `to`, `cpu`, `_to_copy`."""
    x = args[0]
    given = dict(zip([a.name for a in func._schema.arguments], args, strict=False)) | kwargs
    dtype, device = given.get("dtype"), given.get("device")
    if func._overloadname == "other":
        dtype, device = given["other"].dtype, given["other"].device
    dtype = dtype or x.dtype
    there = isinstance(x, OnDevice)
    goes = there if device is None else torch.device(device).type in OURS
    if func._schema.name == "aten::cpu":
        goes = False
    same = dtype is x.dtype and there == goes
    if same and func._schema.name != "aten::_to_copy" and not given.get("copy"):
        return x
    known = {"memory_format": given.get("memory_format"), "dtype": dtype}
    out = torch.ops.aten._to_copy.default(inner(x), **known)
    if there and not goes:
        DEVICE_STATE.wait("a copy to the host")
        DEVICE_STATE.log.downloaded += out.nbytes
        return out
    if goes and not there:
        DEVICE_STATE.upload("a copy to the device")
    elif goes:
        call = torch.ops.aten._to_copy.default, (inner(x),), known
        DEVICE_STATE.ran("_to_copy", call, out)
    return OnDevice(out) if goes else out


def copied(func, args: tuple, kwargs: dict):
    """Into a tensor that is there."""
    target, source = args[:2]
    plain = mapped(inner, args)
    func(*plain, **kwargs)
    if isinstance(target, OnDevice) and isinstance(source, OnDevice):
        DEVICE_STATE.ran("copy_", (func, plain, kwargs), plain[0])
    elif isinstance(target, OnDevice):
        DEVICE_STATE.upload("a copy to the device")
    elif isinstance(source, OnDevice):
        DEVICE_STATE.wait("a copy to the host")
        DEVICE_STATE.log.downloaded += plain[1].nbytes
    return target


def kernels_of(name: str, args: tuple, kwargs: dict) -> int:
    """Kernels of one operation."""
    if name == "scaled_dot_product_attention":
        given = dict(zip(("q", "k", "v", "attn_mask"), args, strict=False)) | kwargs
        masked = given.get("attn_mask") is not None
        return ATTENTION_IN_PARTS if masked and given.get("enable_gqa") else 1
    if name == "baddbmm" or (name == "addmm" and args[0].dim() == 2):
        return 2  # what is added to is copied first
    return 1


def inner(x: Any) -> Any:
    """The numbers of a tensor of the device."""
    return x.inner if isinstance(x, OnDevice) else x


def outer(x: Any) -> Any:
    """A tensor as one of the device."""
    return OnDevice(x) if isinstance(x, Tensor) and not isinstance(x, OnDevice) else x


def mapped(change: Callable[[Any], Any], part: Any) -> Any:
    """What an operation takes or gives, changed leaf by leaf."""
    if isinstance(part, list | tuple):
        return type(part)([mapped(change, each) for each in part])
    if isinstance(part, dict):
        return {name: mapped(change, each) for name, each in part.items()}
    return change(part)


def tensors_in(part: Any) -> Iterator[Tensor]:
    """The tensors of what an operation takes or gives."""
    if isinstance(part, Tensor):
        yield part
    elif isinstance(part, list | tuple):
        for each in part:
            yield from tensors_in(each)
    elif isinstance(part, dict):
        yield from tensors_in(list(part.values()))


def caller() -> str:
    """The line of the project that asked."""
    frame = sys._getframe(1)
    while frame is not None:
        _, found, file = frame.f_code.co_filename.partition("/steer_core/")
        if found:
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return "a test"
