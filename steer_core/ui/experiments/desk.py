"""What happens on each input of the second tab: plain Python from values to dicts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from steer_core.errors import UserError
from steer_core.ui import settings as checks
from steer_core.ui import space
from steer_core.ui.experiments import plan, summary
from steer_core.ui.experiments.lab import (
    CONSOLE,
    DONE,
    FAILED,
    STOPPED,
    STOPPING,
    Lab,
    State,
)
from steer_core.ui.experiments.owners import Who, check_allowed, may_change
from steer_core.ui.experiments.settings import FILE, OWN, Experiment, read_form
from steer_core.ui.experiments.shelf import COMPARISONS, REPORTS, ROWS, Shelf
from steer_core.ui.experiments.uploads import Upload, Uploads
from steer_core.ui.experiments.work import PREPARE, STAGES, bundled_pairs
from steer_core.ui.handlers import Explorer
from steer_core.ui.limits import Limits
from steer_core.ui.lines import line_of, without_paths

CHART_SECONDS = 2.0
"""A growing chart is read anew this often, for all visitors together."""


class Desk:
    """The handlers of the tab over one explorer's models and one folder of experiments."""

    def __init__(self, explorer: Explorer, folder: Path, limits: Limits | None = None) -> None:
        self.explorer = explorer
        self.limits = limits or Limits()
        self.shelf = Shelf(folder)
        self.uploads = Uploads(self.limits.pairs)
        self.lab = Lab(explorer.runner, folder, self.shelf.finish, self.limits.experiments)
        self._serials = itertools.count(time.time_ns() // 1_000_000)
        self._chart: tuple[float, str, Any] = (0.0, "", None)

    # Before a run

    def plan(self, model: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return how many decodes the settings ask for, and about how long they take.

        Raises:
            UserError: for settings or pairs that do not fit, or more work than is allowed.
        """
        info = self.explorer.info(model)
        experiment, upload = self._read(info, values)
        return self._planned(info, experiment, upload)

    def _read(self, info: Any, values: Mapping[str, Any]) -> tuple[Experiment, Upload | None]:
        """The settings, and the file of one's own pairs if they are meant."""
        upload = self.uploads.find(values.get("own")) if values["pairs"] == OWN else None
        return read_form(info, {**values, "own": upload and upload.name}), upload

    def _planned(self, info: Any, experiment: Experiment, upload: Upload | None) -> dict[str, Any]:
        pairs = len(upload.pairs) if upload else pair_count(experiment.pairs)
        found = plan.plan_payload(experiment, pairs, self._speed(info))
        check_work(found, self.limits)
        return found

    def _speed(self, info: Any) -> plan.Speed:
        measured = [e for e in self.shelf.entries() if e.model == info.name and e.seconds > 1]
        if measured:
            last = measured[0]
            return plan.Speed(last.done / last.seconds, f"as experiment {last.name} did")
        device = "cuda" if space.FORKS else self.explorer.runner.device
        return plan.assumed(info.parameters, device)

    # Running

    def start(self, model: str, values: Mapping[str, Any], who: Who = CONSOLE) -> str:
        """Begin an experiment and return its name.

        Raises:
            UserError: for settings or pairs that do not fit, more than is allowed, or while
                another experiment runs.
        """
        check_allowed(self.limits.experiments)
        info = self.explorer.info(model)
        experiment, upload = self._read(info, values)
        self._planned(info, experiment, upload)
        self.shelf.check_room(self.limits.runs, self.limits.megabytes)
        return self.lab.start(experiment, who, upload and upload.pairs)

    def resume(self, name: Any, who: Who = CONSOLE) -> None:
        """Go on with a stored experiment.

        Raises:
            UserError: for one that cannot be resumed here, that somebody else began, or while
                another one runs.
        """
        self.shelf.path(name)
        self.shelf.check_room(None, self.limits.megabytes)
        self.lab.resume(name, who)

    def may_cancel(self, who: Who) -> bool:
        """Whether it is for somebody to end what runs now."""
        return may_change(self.lab.folder / self.lab.state.name, who, self.limits.experiments)

    def progress(self) -> dict[str, Any]:
        """Return how far the experiment is, with the curves so far."""
        state = self.lab.state
        return {
            "serial": next(self._serials),
            "status": state.status,
            "name": state.name,
            "message": self._message(state),
            "seconds": round(time.time() - state.began, 1) if state.active else None,
            "stages": [stage_payload(state, stage) for stage in STAGES],
            "chart": self._growing(state),
        }

    def _message(self, state: State) -> str:
        if state.status == STOPPING and space.FORKS:
            return "Stopping at the end of this slice; what is decoded is kept."
        return "Stopping…" if state.status == STOPPING else without_paths(state.message)

    def _growing(self, state: State) -> Any:
        if state.stage == PREPARE or not state.active:
            return None
        at, name, chart = self._chart
        if name != state.name or time.monotonic() - at > CHART_SECONDS:
            folder = self.lab.folder / state.name
            chart = summary.chart(folder, summary.newest_run(folder))
            self._chart = (time.monotonic(), state.name, chart)
        return chart

    # Stored experiments

    def listed(self, who: Who = CONSOLE) -> dict[str, Any]:
        """Return the list of stored experiments; only what may be resumed by somebody says so."""
        state, rule = self.lab.state, self.limits.experiments
        running = state.name if state.active else ""
        rows = [asdict(entry) for entry in self.shelf.entries()]
        for row in rows:
            row["message"] = without_paths(row["message"])
            row["resumable"] &= may_change(self.lab.folder / row["name"], who, rule)
            if row["name"] == running:
                row |= {"state": "running", "resumable": False}
        return {"serial": next(self._serials), "busy": bool(running), "entries": rows}

    def opened(self, name: Any) -> dict[str, Any]:
        """Return what an experiment shows: funnel, verdicts, chart, and its files.

        Raises:
            UserError: for a name that is not in the list, or a folder that cannot be read.
        """
        folder = self.shelf.path(name)
        record, prepared = summary.newest_run(folder), summary.prepared_of(folder)
        found: dict[str, Any] = {
            "serial": next(self._serials),
            "name": name,
            "model": prepared.model if prepared else "",
            "facts": [list(map(without_paths, fact)) for fact in plan.facts(record, prepared)],
            "funnel": summary.funnel(prepared),
            "chart": summary.chart(folder, record),
            "verdicts": None,
            "note": "",
            "files": [],
        }
        if record is None or self._runs(name):
            return found | {"note": self._why_open(name)}
        try:
            found["verdicts"] = self.shelf.verdicts(folder, record)
        except UserError as error:
            found["note"] = line_of(error)
        made = [file for file in REPORTS if (folder / file).is_file()]
        found["files"] = (made if found["verdicts"] else []) + list(ROWS)
        if (folder / FILE).is_file():
            found["files"].append(FILE)
        return found

    def compared(self, names: Any) -> dict[str, Any]:
        """Return the address of a report on two experiments.

        Raises:
            UserError: for other than two, or one without results.
        """
        names = checks.some("the choice", names, checks.MOST_LISTED)
        if len(names) != 2:
            raise UserError(f"{len(names)} experiments are ticked; tick two to compare them")
        file, _ = self.shelf.compare(*names)
        return {
            "serial": next(self._serials),
            "name": " and ".join(names),
            "compared": names,
            "comparison": f"{COMPARISONS}/{file}",
        }

    def failed(self, error: str) -> dict[str, Any]:
        """Return one line in the place of an opened experiment."""
        return {"serial": next(self._serials), "error": error}

    def _runs(self, name: str) -> bool:
        state = self.lab.state
        return state.active and state.name == name

    def _why_open(self, name: str) -> str:
        if self._runs(name):
            return "This experiment is running; its report is made when it is done or stopped."
        return "Nothing was swept yet; resume it to go on."


def check_work(planned: Mapping[str, Any], limits: Limits) -> None:
    """Refuse an experiment that decodes more than is allowed.

    Raises:
        UserError: naming number, limit and what makes it smaller.
    """
    for name, words in (("pairs", "pairs"), ("decodes", "decodes")):
        most = getattr(limits, name)
        if planned[name] > most:
            raise UserError(
                f"these settings take up to {planned[name]:,} {words}, the limit of this page is"
                f" {most:,}; choose fewer pairs, layers, α or controls"
            )


def stage_payload(state: State, stage: str) -> dict[str, Any]:
    """How far one stage is, in numbers."""
    found = state.stages.get(stage)
    place, now = STAGES.index(stage), STAGES.index(state.stage)
    if not state.name or place > now:
        status = "waiting"
    elif place < now or state.status == DONE:
        status = "done"
    else:
        status = {STOPPED: "stopped", FAILED: "failed"}.get(state.status, "running")
    return {
        "key": stage,
        "status": status,
        "done": found.done if found else 0,
        "total": found.total if found else 0,
        "before": found.before if found else 0,
        "seconds": round(found.seconds, 2) if found else 0,
        "rate": found and found.rate,
        "left": found and found.left,
    }


@lru_cache(maxsize=8)
def pair_count(pairs: str) -> int:
    """How many pairs a bundled set holds."""
    return len(bundled_pairs(pairs))
