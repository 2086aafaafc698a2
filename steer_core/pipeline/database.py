"""The SQLite file under a store: opening it, its tables, and transactions that are whole."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steer_core.errors import UserError
from steer_core.pipeline import outputs, tallies
from steer_core.pipeline.read_only import Opened, is_writable, open_read_only

APPLICATION = 0x53544552
"""Marks our files among all SQLite files."""
SCHEMA = 1
CACHE_KB = 65_536
"""Of pages in memory: what is written by hash lies all over its index."""
PATIENCE = 60.0
"""Seconds to wait while another process writes."""
OPTIONS: dict[str, Any] = {
    "timeout": PATIENCE,
    "isolation_level": None,
    "check_same_thread": False,
}

TABLES = """
CREATE TABLE settings (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE edits (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE questions (
    id INTEGER PRIMARY KEY, text TEXT NOT NULL, gold TEXT NOT NULL, twin TEXT NOT NULL,
    UNIQUE (text, gold, twin)
);
CREATE TABLE outputs (
    id INTEGER PRIMARY KEY, token_ids BLOB NOT NULL, text TEXT NOT NULL, answer REAL, hash INTEGER
);
CREATE INDEX outputs_by_hash ON outputs (hash);
-- In the order of the key rows of one question lie together: that is how they are written.
CREATE TABLE results (
    setting INTEGER NOT NULL, question INTEGER NOT NULL, edit INTEGER NOT NULL,
    output INTEGER NOT NULL, correct INTEGER NOT NULL, flip INTEGER NOT NULL, scores BLOB NOT NULL,
    PRIMARY KEY (setting, question, edit)
) WITHOUT ROWID;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, setting INTEGER NOT NULL,
    spec TEXT NOT NULL, curves TEXT NOT NULL, provenance TEXT NOT NULL,
    started TEXT NOT NULL, finished TEXT, seconds REAL NOT NULL DEFAULT 0
);
CREATE TABLE run_pairs (
    run INTEGER NOT NULL, position INTEGER NOT NULL, question INTEGER NOT NULL,
    pair_id TEXT NOT NULL, PRIMARY KEY (run, position)
) WITHOUT ROWID;
CREATE TABLE run_cells (
    run INTEGER NOT NULL, position INTEGER NOT NULL, edit INTEGER NOT NULL, curve INTEGER NOT NULL,
    PRIMARY KEY (run, position)
) WITHOUT ROWID;
"""


class Database:
    """A connection for one process; threads may share it, one transaction at a time.

    Args:
        path: The file; None for one in memory.
        create: Make the file where there is none.

    Raises:
        UserError: for a file that is missing, is no store, or has another schema.
    """

    def __init__(self, path: Path | None, create: bool = True):
        self.name = "the store in memory" if path is None else str(path)
        self._lock = threading.RLock()
        if path is not None and not create and not path.is_file():
            raise UserError(f"{path} does not exist; run 'sweep --out {path.parent}' first")
        self._read_only = path is not None and path.is_file() and not is_writable(path)
        try:
            if path is not None and self._read_only:
                opened = open_read_only(path, OPTIONS)
            else:
                opened = Opened(connect(path))
            self._connection, self._folder = opened.connection, opened.folder
            self._prepare()
        except sqlite3.OperationalError as error:
            raise UserError(f"{self.name} cannot be opened ({error}); choose another") from error
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.name} is no store ({error}); choose another folder") from error

    def _prepare(self) -> None:
        """Check whose file it is; make the tables in an empty one."""
        if self._pragma("application_id") != APPLICATION:
            self._refuse_foreign()
            if self._read_only:
                raise UserError(
                    f"{self.name} holds no run, and its folder cannot be written; name another one"
                )
            use_wal(self._connection)
            self._make_tables()
        found = self._pragma("user_version")
        if found != SCHEMA:
            raise UserError(
                f"{self.name} has schema {found}, this version reads {SCHEMA}; choose another "
                "folder, or read it with the version that wrote it"
            )
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(f"PRAGMA cache_size=-{CACHE_KB}")

    def upgrade(self) -> None:
        """Give a store of an earlier version what this one keeps besides; for whoever writes."""
        with self._lock:
            if self._read_only or tallies.are_kept(self._connection):
                return
        with self.transaction() as connection:
            if not tallies.are_kept(connection):
                outputs.add_hashes(connection)
                tallies.make(connection)

    def _refuse_foreign(self) -> None:
        """Raise unless the file is empty, so that no other program's file gets our tables."""
        (tables,) = self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if tables and self._pragma("application_id") != APPLICATION:
            raise UserError(f"{self.name} is another program's database; choose another folder")

    def _make_tables(self) -> None:
        with self.transaction() as connection:
            if self._pragma("application_id") == APPLICATION:
                return  # another process was faster
            for statement in TABLES.split(";"):
                connection.execute(statement)
            tallies.make(connection)
            connection.execute(f"PRAGMA user_version={SCHEMA}")
            connection.execute(f"PRAGMA application_id={APPLICATION}")

    def _pragma(self, name: str) -> int:
        return self._connection.execute(f"PRAGMA {name}").fetchone()[0]

    @contextmanager
    def transaction(self, write: bool = True) -> Iterator[sqlite3.Connection]:
        """Everything inside is stored, or nothing; readers see the state of one moment."""
        if write and self._read_only:
            raise UserError(
                f"{self.name} cannot be written here; copy its folder, or name another with --out"
            )
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise UserError(
                    f"{self.name} cannot be used ({error}); close what holds it, or make room"
                ) from error
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
            if self._folder is not None:
                self._folder.cleanup()


def connect(path: Path | None) -> sqlite3.Connection:
    """A connection in autocommit mode, shared by threads under the lock of `Database`."""
    return sqlite3.connect(":memory:" if path is None else path, **OPTIONS)


def use_wal(connection: sqlite3.Connection) -> None:
    """Readers go on while one writes. Two that switch at once do not wait for each other: retry."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
