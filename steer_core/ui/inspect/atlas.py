"""The tab *Atlas*: what instruments see over all test pairs, as it grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr

from steer_core.errors import UserError
from steer_core.ui import assets, settings
from steer_core.ui.adapter import setting_of
from steer_core.ui.compute import AtlasJob
from steer_core.ui.door import ATLAS
from steer_core.ui.handlers import MOST_VISITORS, Explorer
from steer_core.ui.inspect.payload import numbers
from steer_core.ui.lines import line_of
from steer_core.ui.links import defaults
from steer_core.ui.parts import setting_words
from steer_core.ui.visitors import still_there

EDITED = ("map", "flip")
"""Instruments that look at an edit: that of the first tab."""
INSTRUMENTS = ("swap", "lens", "early", "attention", "probe", "paths", *EDITED)
COLUMNS = ("value", "low", "high", "control", "control_low", "control_high", "p")


class Atlases:
    """Growing tables over an explorer's test pairs; one at a time for each visitor."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._newest: dict[str, int] = {}

    def run(
        self, visitor: str, told: Any, there: Callable[[], bool] = lambda: True
    ) -> Iterator[dict[str, Any]]:
        """Yield the table until it is whole, or the visitor stops it, asks for another, leaves."""
        mine = self._newest[visitor] = self._explorer.serial()
        while len(self._newest) > MOST_VISITORS:
            self._newest.pop(next(iter(self._newest)), None)
        try:
            job = self.job(told if isinstance(told, Mapping) else {})
            if (note := self._explorer.news(job)) is not None:
                yield {"run": mine, "note": f"{note}; run it again then"}
                return
            origin = {"run": mine, "model": job.model, "what": job.what, "edit": edit_words(job)}
            runner = self._explorer.runner
            for table in runner.states(job, lambda: self._newest.get(visitor) == mine and there()):
                finished = runner.finished(job) is table
                yield {**origin, "finished": finished, **table_payload(table)}
        except Exception as error:
            yield {"run": mine, "error": line_of(error)}

    def stop(self, visitor: str) -> None:
        """End what a visitor runs, after its part of the pairs."""
        self._newest[visitor] = self._explorer.serial()

    def job(self, told: Mapping[str, Any]) -> AtlasJob:
        """What is asked for.

        Raises:
            UserError: for what there is not.
        """
        what = settings.choose("instrument", told.get("what"), INSTRUMENTS)
        asked = told.get("asked")
        info = self._explorer.info(told.get("model"))
        usual = {"site": "residual", "direction": "mean_difference", "unit": "raw"}
        values = {**usual, **defaults(info)}
        if what in EDITED and isinstance(asked, Mapping) and asked.get("model") == info.name:
            values |= dict(asked)
        setting = setting_of(self._explorer, {**values, "model": info.name})
        alpha = settings.finite_alpha(told.get("alpha", 1.0))
        if what not in EDITED:
            return AtlasJob(setting, what, 1.0)
        if alpha == 0 and what == "map":
            raise UserError("α is 0, so nothing is edited; move the slider of the first tab")
        return AtlasJob(setting, what, alpha if what == "map" else 1.0, (0.0, alpha or 1.0))


def edit_words(job: AtlasJob) -> str:
    """The edit that is looked at; empty for none."""
    if job.what not in EDITED:
        return ""
    strength = f", α = {job.alpha:g}" if job.what == "map" else ""
    return f"{setting_words(job.setting)}{strength}"


def table_payload(table: Any) -> dict[str, Any]:
    """A table as JSON can hold it."""
    counts = {"done": int(table.done), "total": int(table.total)}
    if table.what == "paths":
        lists = {name: list(getattr(table, name)) for name in ("ids", "right", "steps")}
        shares = {name: numbers(getattr(table, name)) for name in ("variance", "random", "parity")}
        points = numbers(table.points)
        return {**counts, **lists, **shares, "parity_p": float(table.parity_p), "points": points}
    cells = [
        [cell.group, cell.position, cell.layer, cell.step, cell.n, *measures(cell)]
        for cell in table.cells
    ]
    return {**counts, "measure": table.measure, "control": table.control, "cells": cells}


def measures(cell: Any) -> list[float | None]:
    """The numbers of a cell in the order of `COLUMNS`."""
    every = [getattr(cell, name) for name in COLUMNS]
    return [None if value is None else numbers(value) for value in every]


def add(explorer: Explorer, models: list[tuple[str, str]], tab: gr.Tab) -> None:
    """Fill the tab that is being built; `models` are (label, name)."""
    atlases = Atlases(explorer)
    shown = gr.HTML(
        value={"models": models, "instruments": list(INSTRUMENTS)},
        html_template=assets.read("atlas.html"),
        js_on_load=assets.mount_script("atlas", ("asked", "stopped")),
        apply_default_css=False,
        elem_id="atlas",
        elem_classes="figure",
    )
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    work = {"concurrency_id": ATLAS, "concurrency_limit": 4, "trigger_mode": "multiple"}

    def run(event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        yield from atlases.run(str(request.session_hash), event._data, still_there(request))

    def stop(request: gr.Request) -> None:
        atlases.stop(str(request.session_hash))

    shown.asked(run, None, shown, **work, **quiet)  # pyright: ignore[reportAttributeAccessIssue]
    shown.stopped(stop, None, None, queue=False, **quiet)  # pyright: ignore[reportAttributeAccessIssue]
