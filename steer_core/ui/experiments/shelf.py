"""The experiments that are stored: listed, opened, compared, and handed out as files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steer_core.errors import UserError
from steer_core.files import write_whole
from steer_core.pipeline.export import export_results, is_export
from steer_core.pipeline.prepared import ABOUT_FILE
from steer_core.pipeline.records import RunRecord
from steer_core.pipeline.store import FILE as STORE
from steer_core.pipeline.store import Store
from steer_core.ui.experiments import summary
from steer_core.ui.experiments.settings import FILE, NAME, load_experiment
from steer_core.ui.settings import shown

if TYPE_CHECKING:
    from steer_core.report.source import Source

_log = logging.getLogger(__name__)
REPORTS = ("report.html", "report.md")
ROWS = ("rows.csv", "rows.parquet")
SUMMARY = "summary.json"
VERDICTS = {"run", "rows", "lead", "mark", "split", "pairs", "cards"}
"""What it says; anything else was written by another version, or is damaged."""
COMPARISONS = "_comparisons"
"""Folder beside the experiments; no experiment can have its name."""
KEPT_COMPARISONS = 50
"""Any two experiments can be compared: the reports made last are kept."""
FINISHED, STOPPED, PREPARED, BEGUN, UNREADABLE = (
    *("finished", "stopped", "prepared", "begun", "unreadable"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the list: `done` of `total` rows took `seconds`; `date` in ISO 8601, UTC."""

    name: str
    model: str
    done: int
    total: int
    date: str
    state: str
    resumable: bool
    seconds: float = 0.0
    message: str = ""


class Shelf:
    """The folder that holds all experiments, also those that commands wrote there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._known: dict[tuple[Any, ...], Entry] = {}

    def entries(self) -> list[Entry]:
        """All experiments, the newest first; what did not change is not read again."""
        if not self.folder.is_dir():
            return []
        found = {}
        for folder in self.folder.iterdir():
            if NAME.fullmatch(folder.name) and (stamp := stamp_of(folder)):
                key = (folder.name, *stamp)
                found[key] = self._known.get(key) or entry_of(folder)
        self._known = found
        return sorted(found.values(), key=lambda entry: (entry.date, entry.name), reverse=True)

    def path(self, name: Any) -> Path:
        """The folder of an experiment.

        Raises:
            UserError: for a name that is none of them.
        """
        if isinstance(name, str) and NAME.fullmatch(name) and stamp_of(self.folder / name):
            return self.folder / name
        raise UserError(
            f"{shown(name)} is not among the stored experiments; choose one of the list"
        )

    def check_room(self, runs: int | None, megabytes: int) -> None:
        """See whether there is room for more results.

        Raises:
            UserError: when so many experiments are stored, or they take so much of the disk.
        """
        if runs is not None and (count := len(self.entries())) >= runs:
            raise UserError(
                f"{count:,} experiments are stored, the limit of this page is {runs:,}; use the"
                " name of one without results, or ask whoever runs the page to delete some"
            )
        used = sum(stat.st_size for stat in stats_of(self.folder.rglob("*"))) / 1e6
        if used >= megabytes:
            raise UserError(
                f"the stored experiments take {used:,.0f} MB, the limit of this page is"
                f" {megabytes:,}; ask whoever runs the page to delete some"
            )

    def finish(self, folder: Path) -> dict[str, Any]:
        """Write both reports of an experiment, and return what they say first."""
        # Statistics and drawing take seconds to import, and the page opens without either.
        from steer_core.report.html import to_html
        from steer_core.report.markdown import to_markdown
        from steer_core.report.source import load_source
        from steer_core.report.write import document

        with self._lock:
            source = load_source(folder)
            page = document((source,))
            write_whole(folder / REPORTS[0], to_html(page))
            write_whole(folder / REPORTS[1], to_markdown(page))
            found = summary.verdicts(source)
            write_whole(folder / SUMMARY, json.dumps(found))
        return found

    def verdicts(self, folder: Path, record: RunRecord) -> dict[str, Any]:
        """What the reports of an experiment say first; they are made where they are out of date.

        Raises:
            UserError: when too little is decoded for a report.
        """
        try:
            found = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
            known = set(found) == VERDICTS and isinstance(found["cards"], list)
            mine = record.id, record.done, summary.mark_of(folder, record)
            if known and (found["run"], found["rows"], found["mark"]) == mine:
                return found
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass  # not made yet, or by another version
        return self.finish(folder)

    def compare(self, first: str, second: str) -> tuple[str, tuple[Source, ...]]:
        """Write the report on two experiments; returns its file name below `COMPARISONS`.

        Raises:
            UserError: for twice the same, or one without results.
        """
        from steer_core.report.write import write_report

        if first == second:
            raise UserError(f"{first!r} is chosen twice; choose two experiments to compare")
        folders = [self.path(first), self.path(second)]
        digest = hashlib.sha256(f"{first}/{second}".encode()).hexdigest()[:16]
        out = self.folder / COMPARISONS / f"{digest}.html"
        with self._lock:
            made = write_report(folders, out)
            for old in newest_first(out.parent.glob("*.html"))[KEPT_COMPARISONS:]:
                old.unlink(missing_ok=True)
            return out.name, made

    def file(self, name: str, file: str) -> Path | None:
        """A file that may be handed out, made if need be; None for any other."""
        if name == COMPARISONS:
            stem, _, ending = file.partition(".")
            path = self.folder / name / file
            return path if stem.isalnum() and ending == "html" and path.is_file() else None
        folder = self.path(name)
        if file in ROWS:
            return self._rows(folder, file)
        path = folder / file
        return path if file in (*REPORTS, FILE, ABOUT_FILE) and path.is_file() else None

    def _rows(self, folder: Path, file: str) -> Path | None:
        record = summary.newest_run(folder)
        if record is None or not record.done:
            return None
        with self._lock, Store(folder / STORE, create=False) as store:
            path = folder / file
            if not is_export(path, record):
                export_results(store, record.id, path)
            return path


def stamp_of(folder: Path) -> tuple[Any, ...]:
    """What changes when an experiment does; empty for a folder that holds none."""
    names = (FILE, ABOUT_FILE, STORE, f"{STORE}-wal")
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in stats_of(folder / n for n in names))


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Files by the time they were written."""
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def stats_of(paths: Iterable[Path]) -> list[os.stat_result]:
    """Of the files that are there; some come and go while others are looked at."""
    found = []
    for path in paths:
        with suppress(OSError):
            found.append(path.stat())
    return found


def entry_of(folder: Path) -> Entry:
    """One experiment as it stands; what cannot be read says why."""
    resumable = (folder / FILE).is_file()
    stamp = max(stat.st_mtime for stat in stats_of(folder.iterdir()))
    date = datetime.fromtimestamp(stamp, UTC).isoformat(timespec="seconds")
    try:
        record = summary.newest_run(folder)
        if record is not None:
            return entry_of_run(folder.name, record, date, resumable)
        if (prepared := summary.prepared_of(folder)) is not None:
            return Entry(folder.name, prepared.model, 0, 0, date, PREPARED, resumable)
        model = load_experiment(folder).model
        return Entry(folder.name, model, 0, 0, date, BEGUN, resumable)
    except UserError as error:
        return Entry(folder.name, "", 0, 0, date, UNREADABLE, False, message=str(error))
    except Exception as error:  # one folder, whatever is in it, must not take the list away
        _log.exception("%s cannot be listed", folder)
        message = f"it is damaged ({type(error).__name__})"
        return Entry(folder.name, "", 0, 0, date, UNREADABLE, False, message=message)


def entry_of_run(name: str, record: RunRecord, date: str, resumable: bool) -> Entry:
    """An experiment whose sweep was begun."""
    return Entry(
        name=name,
        model=str(record.provenance.get("model") or record.name),
        done=record.done,
        total=record.total,
        date=record.finished or date,
        state=FINISHED if record.finished else STOPPED,
        resumable=resumable and not record.finished,
        seconds=record.seconds,
    )
