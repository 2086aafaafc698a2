"""Files that are written whole: a reader finds the old one or the new one, never a part of one.

Everything that this package writes goes through here; `tests/test_architecture.py` keeps it so.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

STREAMS = ("/dev/fd/", "/dev/stdout", "/dev/stderr", "/proc/")
"""Names that are open files of a process: what is written is appended, nothing is replaced."""
LONGEST_NAME = 200


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, which takes its place once it is complete and on the disk.

    Folders on the way are made. A link is followed; a pipe or a device gets the bytes.

    Raises:
        OSError: for a path that cannot be written; nothing of it is left then.
    """
    if is_stream(path):
        with TemporaryDirectory() as folder:
            part = Path(folder) / path.name
            yield part
            append(part.read_bytes(), path)
        return
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "A file cannot take the place of a folder", str(path))
    with made(path.parent):
        part = beside(path)
        try:
            yield part
            synced(part)
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        with suppress(OSError):  # not every file system can
            synced(path.parent)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, whose files move into `folder` once all of them are complete."""
    with made(folder):
        part = beside(folder / "files")
        part.mkdir()
        try:
            yield part
            files = sorted(file for file in part.rglob("*") if file.is_file())
            for file in files:
                synced(file)
            for file in files:
                target = folder / file.relative_to(part)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file that is either the old or the new one, whatever happens in between."""
    with replacing(path) as part:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())


def append(content: str | bytes, path: Path) -> None:
    """Add to a file, on the disk when this returns; its readers pass over what is not whole."""
    with path.open("ab") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
        file.flush()
        with suppress(OSError):  # a pipe
            os.fsync(file.fileno())


def is_stream(path: Path) -> bool:
    """Whether a path leads to a pipe, a device, or an open file of a process."""
    shown = str(path)
    return shown.startswith(STREAMS) or (path.exists() and not path.is_file() and not path.is_dir())


def beside(path: Path) -> Path:
    """A name for the unfinished file, of this thread alone."""
    return path.with_name(
        f".{path.name[:LONGEST_NAME]}.{os.getpid()}-{threading.get_native_id()}.part"
    )


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """A folder and those above it; those that were made go again when what follows fails."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in new:
            with suppress(OSError):  # another process may have put something into it
                each.rmdir()
        raise


def synced(path: Path) -> None:
    """What was written of a file or a folder is on the disk: a full one says so now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
