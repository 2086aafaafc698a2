"""Files that are written whole: a reader finds the old one or the new one, never a part of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, which takes its place once it is complete."""
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)


def write_whole(path: Path, text: str) -> None:
    """Write a text file that is either the old or the new one, whatever happens in between."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
