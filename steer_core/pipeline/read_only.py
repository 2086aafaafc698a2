"""Stores in folders that cannot be written: a mounted snapshot, somebody else's shared drive.

SQLite's write-ahead log needs files beside a store, so there it is read in one of three ways, each
of which sees every row.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from steer_core.errors import UserError

JOURNALS = ("-wal", "-journal")
"""Files beside a store that may hold rows, or undo some."""
INDEX = "-shm"
TRIES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A connection, and the folder that is removed with it."""

    connection: sqlite3.Connection
    folder: TemporaryDirectory[str] | None = None


def is_writable(path: Path) -> bool:
    """Whether a store, its folder and what lies beside it can be written by this process."""
    beside = [Path(f"{path}{ending}") for ending in (*JOURNALS, INDEX)]
    return all(os.access(each, os.W_OK) for each in (path.parent, path, *beside) if each.exists())


def open_read_only(path: Path, options: dict[str, Any]) -> Opened:
    """Open a store that cannot be written, rows in its log included.

    Args:
        path: The file.
        options: Of `sqlite3.connect`.

    Raises:
        UserError: for one that another process writes meanwhile, or that cannot be copied.
    """
    if Path(f"{path}{INDEX}").exists() and (found := with_index(path, options)):
        return Opened(found)
    if any(size_of(path, ending) for ending in JOURNALS):
        return copied(path, options)
    # Everything is in the file itself, and nobody can open a log beside it.
    return Opened(by_address(path, "immutable=1", options))


def by_address(path: Path, query: str, options: dict[str, Any]) -> sqlite3.Connection:
    """A connection with settings that only an address has."""
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?{query}", uri=True, **options)


def with_index(path: Path, options: dict[str, Any]) -> sqlite3.Connection | None:
    """A connection through the index of a log, which a live writer keeps right; None without."""
    connection = by_address(path, "mode=ro", options)
    try:
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        return None
    return connection


def copied(path: Path, options: dict[str, Any]) -> Opened:
    """A connection to a copy, where SQLite can put the log's rows into the file."""
    folder = TemporaryDirectory(prefix="steer-store-")
    for _ in range(TRIES):
        before = stamps(path)
        try:
            for ending in ("", *JOURNALS):
                if size_of(path, ending) is not None:
                    shutil.copyfile(f"{path}{ending}", Path(folder.name, f"{path.name}{ending}"))
        except OSError as error:
            raise UserError(
                f"{path} lies where nothing can be written, and cannot be copied to {folder.name} "
                f"({error.strerror}); copy its folder and name the copy"
            ) from error
        if stamps(path) == before:
            connection = sqlite3.connect(Path(folder.name, path.name), **options)
            connection.execute("PRAGMA query_only=ON")  # rows written to a copy would be lost
            return Opened(connection, folder)
    raise UserError(f"{path} is being written by another process; try again when it has ended")


def size_of(path: Path, ending: str) -> int | None:
    """Bytes of a file beside a store, None where there is none."""
    try:
        return os.stat(f"{path}{ending}").st_size
    except OSError:
        return None


def stamps(path: Path) -> list[tuple[int, int] | None]:
    """What changes when a store or its logs do."""
    found = []
    for ending in ("", *JOURNALS):
        try:
            about = os.stat(f"{path}{ending}")
            found.append((about.st_size, about.st_mtime_ns))
        except OSError:
            found.append(None)
    return found
