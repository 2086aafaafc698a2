"""Weight files of a checkpoint folder: found, opened without copying, never trusted."""

from __future__ import annotations

import ctypes
import functools
import mmap
import pickle
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from steer_core.codi.digests import digest_all
from steer_core.data.json_file import read_json
from steer_core.errors import UserError
from steer_core.process import libc

if TYPE_CHECKING:  # a list of models reads names of files, and no tensor
    import torch
    from torch import Tensor

SINGLE = ("model.safetensors", "pytorch_model.bin")
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SHARDS = (r"model-\d+-of-\d+\.safetensors", r"pytorch_model-\d+-of-\d+\.bin")
ONE_SHARD = "model-00001-of-00001.safetensors"
SHARD_NAME = re.compile(r"[\w.+@=-]*[\w+@=-]\.(?:safetensors|bin)")
"""What an index may name: files beside it, nowhere else."""


class WeightFiles(Mapping[str, "Tensor"]):
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
        shards = {path: self.open(path) for path in self.paths}
        index = index_of(folder)
        # A tensor may lie in several shards, old ones beside new ones: the index says which counts.
        self.readers.update(
            {name: reader for readers in shards.values() for name, reader in readers.items()}
            if index is None
            else named_readers(index, shards)
        )

    def open(self, path: Path) -> dict[str, Callable[[], Tensor]]:
        """A reader for each tensor of one file."""
        if path.suffix == ".safetensors":
            readers, mapped = open_safetensors(path), True
        else:
            readers, mapped = open_bin(path), zipfile.is_zipfile(path)
        self.mapped.update(readers if mapped else ())
        return readers

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
        import torch

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


def index_of(folder: Path) -> Path | None:
    """The shard index that `weight_paths` goes by, None for a single file."""
    for single, index in zip(SINGLE, INDEXES, strict=True):
        if (folder / single).is_file():
            return None
        if (folder / index).is_file():
            return folder / index
    return None


def weight_map(index: Path) -> dict[str, str]:
    """Name of a tensor to the shard beside the index that holds it."""
    found = read_json(index)
    entries = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise UserError(f"{index} is no shard index (no weight_map); fetch it again")
    for name in entries.values():
        if not isinstance(name, str) or not SHARD_NAME.fullmatch(name):
            raise UserError(
                f"{index} names {name!r:.60}, which is no weight file beside it; fetch it again"
            )
    return entries


def shards_of(index: Path) -> list[Path]:
    """The shards that an index names, all of which must be there."""
    names = sorted(set(weight_map(index).values()))
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise UserError(f"{index.parent} lacks the shard {missing[0]}; fetch the checkpoint again")
    return [index.parent / name for name in names]


def named_readers(
    index: Path, shards: Mapping[Path, Mapping[str, Callable[[], Tensor]]]
) -> dict[str, Callable[[], Tensor]]:
    """A reader for each tensor, from the shard that the index names for it."""
    entries = weight_map(index)
    by_name = {path.name: readers for path, readers in shards.items()}
    for name, shard in entries.items():
        if name not in by_name[shard]:
            raise UserError(
                f"{index} says that {shard} holds {name}, and it does not; fetch the checkpoint "
                "again"
            )
    for path, readers in shards.items():
        unnamed = [name for name in readers if name not in entries]
        if unnamed:
            raise UserError(
                f"{path} holds {unnamed[0]}, which {index.name} does not name; fetch the "
                "checkpoint again"
            )
    return {name: by_name[shard][name] for name, shard in entries.items()}


def open_safetensors(path: Path) -> dict[str, Callable[[], Tensor]]:
    """A reader for each tensor of a safetensors file."""
    try:
        file = safe_open(path, "pt")
        names = list(file.keys())
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, error) from error

    def read(name: str) -> Tensor:
        # A header may promise what torch has no type for, or what is not there.
        try:
            return file.get_tensor(name)
        except (SafetensorError, OSError, ValueError, RuntimeError, AttributeError) as error:
            raise UserError(
                f"{name} in {path} cannot be read ({one_line(error)}); fetch it again"
            ) from error

    return {name: functools.partial(read, name) for name in names}


def open_bin(path: Path) -> dict[str, Callable[[], Tensor]]:
    """A reader for each tensor of a `torch.save` file; a pickle that would run code is refused."""
    import torch

    try:
        state = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors and was not opened ({one_line(error)}); "
            "ask its author for a safetensors file"
        ) from error
    except Exception as error:  # bytes of anybody: its opcodes fail in every way there is
        raise damaged(path, error) from error
    plain = isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()
    )
    if not plain:
        raise UserError(f"{path} is no mapping of names to tensors; give a model's state dict")
    return {name: lambda tensor=tensor: tensor for name, tensor in state.items()}


def damaged(path: Path, error: Exception) -> UserError:
    """A file that is not what its name says."""
    return UserError(f"{path} is damaged ({one_line(error)}); fetch it again")


def one_line(error: Exception) -> str:
    """The first sentence of a library's message."""
    return str(error).strip().split("\n")[0][:160] or type(error).__name__
