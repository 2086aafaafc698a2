"""Files that something has happened to: cut, flipped, or valid with one wrong value inside."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from random import Random

JUNK = [
    *(None, True, -1, 0, 1.5, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "1", "../x"),
    *("\ud800", "x" * 3000, [], {}, [[]], ["a"], [None], {"a": {}}),
]
"""Values that take the place of one in a JSON file."""
TEXTS = [
    *(b"", b"\n", b"\x1a", b"\r\r\r", b"\x00" * 100, b"\xff\xfe\x00", b"\xef\xbb\xbf[]"),
    *(b"x" * 10**6, b"[", b"[" * 100_000, b"{" * 100_000, b'{"a":' * 50_000, b"1" * 10_000),
    *(b"[]", b"{}", b"null", b"1", b'"x"', b"[1]", b"[null]", b"[[]]", b"[{}]", b"NaN"),
    *(b"[" + b"9" * 5000 + b"]", b'["\\ud800"]', b'{"question": 1}', b"question\n"),
    *(b"question,answer\n", b'"unclosed\n', b"a,b\n1\n1,2,3\n", b"PAR1xxxxPAR1"),
    *(b"SQLite format 3\x00" + b"\x00" * 84, "é".encode("latin-1")),
    *(b'[{"question": "x", "answer": NaN}]', b'[{"question": "x", "answer": 1e999}]'),
    *(b'{"question": "x", "answer": "1"}\n{"question"', b'[{"pair_id": [], "clean": {}}]'),
    b'[{"question": "x", "answer": "' + b"9" * 5000 + b'"}]',
]
"""Files that hold nothing of the kind that was asked for."""
CELLS = ["", "{}", "[]", "x", None, -1, 2**62, b"\xff", 1e308, "[[]]", "null"]
"""What a cell of a database may be changed to."""


def hurt(path: Path, rng: Random) -> None:
    """Damage a file in one way, mostly one that fits its kind."""
    way = rng.random()
    if way < 0.05:
        path.unlink()
        path.mkdir()
    elif way < 0.1:
        path.unlink()
        path.symlink_to(path)
    elif way < 0.2:
        path.write_bytes(rng.choice(TEXTS))
    elif path.suffix == ".json" and way < 0.9:
        hurt_json(path, rng)
    elif path.suffix == ".sqlite" and way < 0.8:
        hurt_database(path, rng)
    elif path.suffix == ".safetensors" and way < 0.6:
        hurt_safetensors(path, rng)
    else:
        hurt_bytes(path, rng)


def hurt_json(path: Path, rng: Random) -> None:
    with contextlib.suppress(ValueError, RecursionError):
        path.write_text(json.dumps(changed(json.loads(path.read_text(errors="replace")), rng)))


def changed(value, rng: Random):
    """JSON with one value somewhere replaced or dropped."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        if rng.random() < 0.15:
            return {name: each for name, each in value.items() if name != key}
        return value | {key: changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [*value[:at], changed(value[at], rng), *value[at + 1 :]]
    return rng.choice(JUNK)


def hurt_bytes(path: Path, rng: Random) -> None:
    data = bytearray(path.read_bytes())
    way = rng.random()
    if way < 0.3:
        data = data[: rng.randrange(len(data) + 1)]
    elif way < 0.5:
        data += rng.choice(TEXTS)[:1000]
    for _ in range(rng.choice([1, 5, 50]) if data and way >= 0.5 else 0):
        data[rng.randrange(min(len(data), rng.choice([64, 4096, 10**9])))] = rng.randrange(256)
    path.write_bytes(bytes(data))


def hurt_safetensors(path: Path, rng: Random) -> None:
    """Its header changed, or the length of it."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    with contextlib.suppress(ValueError):
        text = json.dumps(changed(json.loads(data[8 : 8 + size]), rng)).encode()
        length = rng.choice([len(text)] * 6 + [0, 2**63, 2**64 - 1, len(text) + 5])
        path.write_bytes(length.to_bytes(8, "little") + text + data[8 + size :])


def hurt_database(path: Path, rng: Random) -> None:
    """A table that is gone, empty or of another version, or a column of wrong values."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        table = rng.choice([name for (name,) in found] or ["none"])
        way = rng.random()
        if way < 0.15:
            database.execute(f"DROP TABLE {table}")
        elif way < 0.3:
            database.execute(f"DELETE FROM {table}")
        elif way < 0.4:
            database.execute(f"PRAGMA user_version={rng.choice([0, 2, 99])}")
        else:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            change = f"UPDATE OR IGNORE {table} SET {rng.choice(columns or ['none'])} = ?"
            database.execute(change, (rng.choice(CELLS),))
        database.commit()
