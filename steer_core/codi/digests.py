"""The sha256 of weight files, worked out once: large ones are remembered on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from steer_core.files import write_whole

LARGE = 64 * 2**20
"""Bytes from which a digest is remembered; smaller files take no time worth saving."""


def digest_all(paths: Sequence[Path]) -> str:
    """One hash over several files in order; of a single file its own sha256."""
    if len(paths) == 1:
        return digest(paths[0])
    return hashlib.sha256("".join(map(digest, paths)).encode()).hexdigest()


def digest(path: Path) -> str:
    """The sha256 of a file; of a large one remembered until its size or time of change differs."""
    about = path.stat()
    if about.st_size < LARGE:
        return read_digest(path)
    key = json.dumps([str(path.resolve()), about.st_size, about.st_mtime_ns])
    note = notes_folder() / hashlib.sha256(key.encode()).hexdigest()
    found = recall(note)
    if found is None:
        found = read_digest(path)
        remember(note, found)
    return found


def read_digest(path: Path) -> str:
    """The sha256 of one file, from its bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_home() -> Path:
    """Where this program keeps what it would otherwise work out again, for each user."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "steer_core"


def notes_folder() -> Path:
    """Where digests are kept, one small file each."""
    return cache_home() / "sha256"


def recall(note: Path) -> str | None:
    """A remembered digest, or None."""
    with suppress(OSError, UnicodeDecodeError):
        text = note.read_text()
        return text if re.fullmatch("[0-9a-f]{64}", text) else None
    return None


def remember(note: Path, found: str) -> None:
    """Keep a digest. Where the folder cannot be written it is simply worked out again."""
    with suppress(OSError):
        write_whole(note, found)
