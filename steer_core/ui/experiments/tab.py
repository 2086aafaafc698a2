"""The second tab: its wiring, and what goes between Gradio and the desk."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from steer_core.errors import UserError
from steer_core.names import CONTROL_KINDS
from steer_core.ui import settings as checks
from steer_core.ui.door import EXPERIMENT, OPEN
from steer_core.ui.experiments.desk import Desk
from steer_core.ui.experiments.lab import ACTIVE, RUNNING
from steer_core.ui.experiments.owners import WITH_KEY, Who, who_asks
from steer_core.ui.experiments.panels import (
    FILE_LABEL,
    SIZES,
    Form,
    Layout,
    build_layout,
    layer_choices,
    position_choices,
)
from steer_core.ui.experiments.settings import OWN
from steer_core.ui.experiments.uploads import PAIR_FILE
from steer_core.ui.lines import line_of, told

QUIET: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "queue": False,
    "preprocess": False,  # handlers check every value, see `explore`
}
WORKS: dict[str, Any] = {
    **QUIET,
    "queue": True,
    "concurrency_id": EXPERIMENT,
    "concurrency_limit": 2,
}
OPENS: dict[str, Any] = {**QUIET, "queue": True, "concurrency_id": OPEN, "concurrency_limit": 8}
SIZED = ("most", "alphas", *CONTROL_KINDS, "most_controls")


def add(desk: Desk, models: list[tuple[str, str]], tab: gr.Tab) -> Callable[[], list[Any]]:
    """Fill the tab that is being built; returns the handler that brings it up to date."""
    first = next(iter(desk.explorer.models.values()))
    layout = build_layout(models, first)
    wiring = Wiring(desk, layout)
    wiring.connect()
    tab.select(wiring.enter, wiring.signed, wiring.entered, js=WITH_KEY, **OPENS)
    return wiring.enter


class Wiring:
    """Connects the inputs of the tab to the desk. An error becomes one line on the page."""

    def __init__(self, desk: Desk, layout: Layout) -> None:
        self._desk, self._layout = desk, layout
        self._parts = {name: getattr(layout.form, name) for name in Form.__slots__}
        self.inputs = list(self._parts.values())
        self.signed = [*self.inputs, layout.key]
        buttons = [layout.run, layout.cancel, layout.clock]
        self._state = [layout.steps, *buttons, layout.shelf]
        self.entered = [*self._state, layout.plan]

    def connect(self) -> None:
        """Register every event of the tab."""
        part, layout = self._parts, self._layout
        part["model"].change(
            self.configure, part["model"], [part["layers"], part["positions"]], **QUIET
        )
        part["site"].input(self.layers_matter, part["site"], part["layers"], **QUIET)
        part["pairs"].input(self.show_file, part["pairs"], layout.upload, **QUIET)
        layout.upload.upload(self.take, layout.upload, [layout.upload, part["own"]], **WORKS)
        part["size"].input(self.fill, part["size"], [part[name] for name in SIZED], **QUIET)
        asked = [part[name].change for name in Form.__slots__ if name not in ("name", "size")]
        gr.on(asked, self.plan, self.inputs, layout.plan, trigger_mode="always_last", **QUIET)
        layout.run.click(self.run, self.signed, self._state, js=WITH_KEY, **WORKS)
        layout.cancel.click(self.cancel, layout.key, self._state, js=WITH_KEY, **QUIET)
        layout.clock.tick(self.tick, layout.key, self._state, js=WITH_KEY, **QUIET)
        layout.steps.look(self.look, layout.key, self._state, js=WITH_KEY, **QUIET)
        layout.steps.ended(self.ended, None, layout.result, **WORKS)
        layout.shelf.open(self.open, None, layout.result, **WORKS)
        layout.shelf.resume(self.resume, layout.key, self._state, js=WITH_KEY, **WORKS)
        layout.shelf.compare(self.compare, None, layout.result, **WORKS)

    # The form

    @told
    def configure(self, model: str) -> list[Any]:
        """Fit layers and positions to another model."""
        info = self._desk.explorer.info(model)
        return [gr.update(**layer_choices(info)), gr.update(**position_choices(info))]

    def layers_matter(self, site: str) -> Any:
        """Layers can be chosen for the residual stream only."""
        return gr.update(interactive=site == "residual")

    def show_file(self, pairs: str) -> Any:
        """Show where a file is handed in."""
        return gr.update(visible=pairs == OWN)

    @told
    def fill(self, size: str) -> list[Any]:
        """Fill in what a size means."""
        checks.choose("size", size, SIZES)
        return [SIZES[size][name] for name in SIZED]

    @told
    def take(self, handed_in: Any) -> list[Any]:
        """Read a file of pairs; the form then holds what stands for it."""
        upload = self._desk.uploads.take(path_of(handed_in))
        words = f"{upload.name}: {len(upload.pairs):,} pairs" if upload.pairs else FILE_LABEL
        return [gr.update(value=None, label=words), upload.token]

    def plan(self, *values: Any) -> dict[str, Any]:
        """Return how much the settings decode, or what is wrong with them."""
        named = dict(zip(Form.__slots__, values, strict=True))
        try:
            return self._desk.plan(named["model"], named)
        except Exception as error:
            return {"error": line_of(error)}

    # Running

    @told
    def enter(self, request: gr.Request, *values: Any) -> list[Any]:
        """Bring the whole tab up to date; the last value is the key of the browser."""
        return [*self._now(who_asks(values[-1], request)), self.plan(*values[:-1])]

    @told
    def run(self, request: gr.Request, *values: Any) -> list[Any]:
        """Begin an experiment; the last value is the key of the browser."""
        named = dict(zip(Form.__slots__, values[:-1], strict=True))
        who = who_asks(values[-1], request)
        return self._try(lambda: self._desk.start(named["model"], named, who), who)

    @told
    def resume(self, key: Any, chosen: gr.EventData, request: gr.Request) -> list[Any]:
        """Go on with a stored experiment."""
        who = who_asks(key, request)
        return self._try(lambda: self._desk.resume(chosen.name, who), who)

    @told
    def cancel(self, key: Any, request: gr.Request) -> list[Any]:
        """Stop before the next decoding step."""
        who = who_asks(key, request)
        return self._try(lambda: self._desk.lab.cancel(who), who)

    @told
    def tick(self, key: Any, request: gr.Request) -> list[Any]:
        """Return how far it is; once it is over, also the list."""
        now = self._now(who_asks(key, request))
        return [*now[:-1], gr.skip()] if now[0]["status"] in ACTIVE else now

    @told
    def look(self, key: Any, known: gr.EventData, request: gr.Request) -> list[Any]:
        """Bring a tab that waits up to date once another visitor has begun an experiment."""
        state = self._desk.lab.state
        same = (state.status, state.name) == (known.status, known.name)
        return [gr.skip()] * len(self._state) if same else self._now(who_asks(key, request))

    def ended(self, chosen: gr.EventData) -> dict[str, Any]:
        """Show what came out of an experiment that ended while the page was open."""
        return self.shown(chosen) | {"ended": True}

    # Stored experiments

    def open(self, chosen: gr.EventData) -> dict[str, Any]:
        """Show a stored experiment."""
        return self.shown(chosen)

    def shown(self, chosen: gr.EventData) -> dict[str, Any]:
        """Return a stored experiment, or the reason why it cannot be shown."""
        return self._or_error(lambda: self._desk.opened(chosen.name))

    def compare(self, chosen: gr.EventData) -> dict[str, Any]:
        """Show the report on two stored experiments."""
        return self._or_error(lambda: self._desk.compared(chosen.names))

    # Parts

    def _now(self, who: Who) -> list[Any]:
        progress = self._desk.progress()
        # From one look at the state: were it to end in between, the clock would stop too early.
        active, running = progress["status"] in ACTIVE, progress["status"] == RUNNING
        mine = running and self._desk.may_cancel(who)
        if mine:
            self._desk.lab.renew()
        buttons = [gr.update(interactive=not active), gr.update(interactive=mine)]
        return [progress, *buttons, gr.Timer(active=active), self._desk.listed(who)]

    def _try(self, action: Callable[[], Any], who: Who) -> list[Any]:
        try:
            action()
        except Exception as error:
            gr.Warning(html.escape(line_of(error)))
        return self._now(who)

    def _or_error(self, action: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return action()
        except Exception as error:
            return self._desk.failed(line_of(error))


def path_of(handed_in: Any) -> Path:
    """Where Gradio put an uploaded file, which is then read and deleted.

    Raises:
        UserError: for anything that is no uploaded file.
    """
    path = handed_in.get("path") if isinstance(handed_in, dict) else None
    found = Path(path).resolve() if isinstance(path, str) else None
    uploads = Path(get_upload_folder()).resolve()
    if found is None or not found.is_relative_to(uploads) or not found.is_file():
        raise UserError(f"no pair file arrived; upload a {PAIR_FILE} of pairs")
    return found
