"""Pair files that visitors hand in: read at once and kept as pairs, the file itself is deleted."""

from __future__ import annotations

import re
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steer_core.data.formats import TEXT_ENDINGS
from steer_core.data.pairs import load_pairs
from steer_core.data.problems import Pair
from steer_core.errors import UserError
from steer_core.ui.lines import line_of

ENDINGS = TEXT_ENDINGS
"""No Parquet: a small file of it can unfold to more than there is memory."""
PAIR_FILE = "JSON, JSONL, CSV or TSV file"
KEPT = 32
"""Files whose pairs are remembered, of all visitors together; the oldest is forgotten first."""
UNSAFE = re.compile(r"[^\w .()-]+")
MOST_NAME = 80


@dataclass(frozen=True, slots=True)
class Upload:
    """The pairs of a file; `token` is what the form sends in its place."""

    token: str
    name: str
    """Of the file, without any folder."""
    pairs: tuple[Pair, ...] = ()
    error: str = ""
    """Why it holds no pairs that can be used; the form says it each time it is asked."""


class Uploads:
    """The files that were handed in last, by tokens that nobody can guess."""

    def __init__(self, most_pairs: int) -> None:
        self._most = most_pairs
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Upload] = OrderedDict()

    def take(self, path: Path) -> Upload:
        """Read a file, delete it and keep its pairs, or what is wrong with them."""
        token, name = secrets.token_hex(16), UNSAFE.sub("_", path.name)[-MOST_NAME:]
        try:
            upload = Upload(token, name, tuple(self._read(path, name)))
        except Exception as error:
            upload = Upload(token, name, error=line_of(error).replace(path.name, name))
        finally:
            path.unlink(missing_ok=True)
        with self._lock:
            self._kept[upload.token] = upload
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return upload

    def find(self, token: Any) -> Upload:
        """The file that a form means.

        Raises:
            UserError: when there is none, it was forgotten, or cannot be used.
        """
        if not token:
            raise UserError(f"no pair file is chosen; upload a {PAIR_FILE} of pairs")
        with self._lock:
            upload = self._kept.get(token) if isinstance(token, str) else None
        if upload is None:
            raise UserError("the pair file is no longer here; upload it again")
        if upload.error:
            raise UserError(upload.error)
        return upload

    def _read(self, path: Path, name: str) -> list[Pair]:
        if path.suffix.lower() not in ENDINGS:
            raise UserError(f"{name} is no {PAIR_FILE}; upload one")
        pairs = load_pairs(path)
        if len(pairs) > self._most:
            raise UserError(
                f"{name} holds {len(pairs):,} pairs, the limit of this page is {self._most:,};"
                " upload fewer"
            )
        return pairs
