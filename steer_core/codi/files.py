"""Weight files of a checkpoint folder: found, opened without copying, never trusted."""

from __future__ import annotations

import ctypes
import json
import mmap
import pickle
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from steer_core.codi.digests import digest_all
from steer_core.errors import UserError
from steer_core.process import libc

SINGLE = ("model.safetensors", "pytorch_model.bin")
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SHARDS = (r"model-\d+-of-\d+\.safetensors", r"pytorch_model-\d+-of-\d+\.bin")
ONE_SHARD = "model-00001-of-00001.safetensors"


class WeightFiles(Mapping[str, Tensor]):
    """Name to tensor over one file or several shards, memory-mapped: read when asked for.

    Args:
        folder: A folder with `model.safetensors`, `pytorch_model.bin`, or shards with their index.

    Raises:
        UserError: when there are no weights, or a file is damaged or holds more than tensors.
    """

    def __init__(self, folder: Path):
        self.paths = weight_paths(folder)
        self.readers: dict[str, Callable[[], Tensor]] = {}
        self.mapped: set[str] = set()
        for path in self.paths:
            mapped = path.suffix == ".safetensors" or zipfile.is_zipfile(path)
            readers = open_safetensors(path) if path.suffix == ".safetensors" else open_bin(path)
            self.readers.update(readers)
            self.mapped.update(readers if mapped else ())

    def __getitem__(self, name: str) -> Tensor:
        return self.readers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.readers)

    def __len__(self) -> int:
        return len(self.readers)

    def copy(
        self, name: str, device: torch.device, dtype: torch.dtype, transposed: bool = False
    ) -> Tensor:
        """A tensor cast and moved, in memory of its own: its file may be deleted or replaced.

        What was read of the file does not stay in memory, so a load needs little beyond its result.
        With `transposed` the result has the same shape, but its transpose is the contiguous one.
        """
        source = self[name]
        given = source.t() if transposed else source
        tensor = torch.empty(given.shape, dtype=dtype, device=device).copy_(given)
        if name in self.mapped:
            release(source)
        return tensor.t() if transposed else tensor

    @property
    def sha256(self) -> str:
        """One hash over all files in order."""
        return digest_all(self.paths)


def release(tensor: Tensor) -> None:
    """Give back the memory that a tensor of a mapped file takes; reading it again reads the file.

    Whole pages inside the tensor only. Where the system cannot do it nothing happens.
    """
    start = tensor.data_ptr()
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (start + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    library = libc()
    if last > first and library is not None:
        library.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)


def weight_names(names: Collection[str]) -> list[str]:
    """The files that `weight_paths` will need, out of the names in a repository; [] for none."""
    for single, index, shards in zip(SINGLE, INDEXES, SHARDS, strict=True):
        if single in names:
            return [single]
        if index in names:
            return [index, *(name for name in sorted(names) if re.fullmatch(shards, name))]
    return [ONE_SHARD] if ONE_SHARD in names else []


def weight_paths(folder: Path) -> list[Path]:
    """The weight files of a folder; safetensors are preferred."""
    for single, index in zip(SINGLE, INDEXES, strict=True):
        if (folder / single).is_file():
            return [folder / single]
        if (folder / index).is_file():
            return shards_of(folder / index)
    if (folder / ONE_SHARD).is_file():
        return [folder / ONE_SHARD]
    raise UserError(
        f"{folder} holds no weights ({', '.join((*SINGLE, *INDEXES))}); "
        "give the folder of a CODI checkpoint"
    )


def shards_of(index: Path) -> list[Path]:
    """The shards that an index names, all of which must be there."""
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{index} is no shard index ({error}); fetch it again") from error
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise UserError(f"{index.parent} lacks the shard {missing[0]}; fetch the checkpoint again")
    return [index.parent / name for name in names]


def open_safetensors(path: Path) -> dict[str, Callable[[], Tensor]]:
    """A reader for each tensor of a safetensors file."""
    try:
        file = safe_open(path, "pt")
        names = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); fetch it again") from error
    return {name: lambda name=name: file.get_tensor(name) for name in names}


def open_bin(path: Path) -> dict[str, Callable[[], Tensor]]:
    """A reader for each tensor of a `torch.save` file; a pickle that would run code is refused."""
    try:
        state = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors and was not opened ({one_line(error)}); "
            "ask its author for a safetensors file"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}); fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise UserError(f"{path} is no mapping of names to tensors; give a model's state dict")
    return {name: lambda tensor=tensor: tensor for name, tensor in state.items()}


def one_line(error: Exception) -> str:
    """The first sentence of a library's message."""
    return str(error).strip().split("\n")[0][:160] or type(error).__name__
