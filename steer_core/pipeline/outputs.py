"""What rows say, kept once each: found again by hash, so that no index repeats the texts."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from array import array
from collections.abc import Iterable, Sequence

from steer_core.pipeline.outcomes import Outcome

TOKEN_IDS = "i"
"""Token ids are stored as int32, little-endian; stores of earlier versions hold JSON."""
Content = tuple[bytes, str]
"""What tells outputs apart: packed token ids, text."""


def output_ids(db: sqlite3.Connection, outcomes: Sequence[Outcome]) -> list[int]:
    """Ids of what rows say, inside a transaction that writes; what is new is entered."""
    keys = [(outcome.token_ids, outcome.text) for outcome in outcomes]
    answers = {key: outcome.answer for key, outcome in zip(keys, outcomes, strict=True)}
    contents = {key: (pack_ids(key[0]), key[1]) for key in answers}
    hashes = {content: content_hash(*content) for content in contents.values()}
    ids = known(db, hashes)
    (last,) = db.execute("SELECT COALESCE(MAX(id), 0) FROM outputs").fetchone()
    rows = []
    for key, content in contents.items():
        if content not in ids:
            answer, ids[content] = answers[key], last + len(rows) + 1
            value = None if answer is None else float(answer)
            rows.append((ids[content], *content, value, hashes[content]))
    db.executemany(
        "INSERT INTO outputs (id, token_ids, text, answer, hash) VALUES (?,?,?,?,?)", rows
    )
    by_key = {key: ids[content] for key, content in contents.items()}
    return [by_key[key] for key in keys]


def known(db: sqlite3.Connection, hashes: dict[Content, int]) -> dict[Content, int]:
    """Ids of those outputs that are stored; equal hashes alone are not enough."""
    found = db.execute(
        """SELECT id, token_ids, text FROM outputs
        WHERE hash IN (SELECT value FROM json_each(?))""",
        (json.dumps(list(hashes.values())),),
    )
    stored = {(as_packed(ids), text): output for output, ids, text in found}
    return {content: stored[content] for content in hashes if content in stored}


def content_hash(token_ids: bytes, text: str) -> int:
    """64 bits of what an output holds, as SQLite keeps whole numbers."""
    digest = hashlib.blake2b(token_ids, digest_size=8)
    digest.update(text.encode("utf-8", "surrogatepass"))
    return int.from_bytes(digest.digest(), "little", signed=True)


def pack_ids(token_ids: Iterable[int]) -> bytes:
    """Token ids as stored."""
    return little(array(TOKEN_IDS, token_ids)).tobytes()


def as_packed(stored: bytes | str) -> bytes:
    """The token ids of a row of any version, packed."""
    return pack_ids(json.loads(stored)) if isinstance(stored, str) else stored


def ids_json(stored: bytes | str) -> str:
    """The token ids of a row of any version, as JSON."""
    if isinstance(stored, str):
        return stored
    return f"[{','.join(map(str, little(array(TOKEN_IDS, stored))))}]"


def little(ids: array) -> array:
    """Little-endian from this machine's order, or back."""
    if sys.byteorder == "big":
        ids.byteswap()
    return ids


def add_hashes(db: sqlite3.Connection) -> None:
    """Let the outputs of a store of an earlier version be found by hash."""
    db.execute("ALTER TABLE outputs ADD COLUMN hash INTEGER")
    db.create_function(
        "content_hash", 2, lambda ids, text: content_hash(as_packed(ids), text), deterministic=True
    )
    db.execute("UPDATE outputs SET hash = content_hash(token_ids, text)")
    db.execute("CREATE INDEX outputs_by_hash ON outputs (hash)")
