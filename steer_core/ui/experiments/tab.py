"""The second tab: its wiring, and what goes between Gradio and the desk."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from steer_core.ui.experiments.desk import Desk
from steer_core.ui.experiments.lab import ACTIVE, RUNNING
from steer_core.ui.experiments.panels import (
    SIZES,
    Form,
    Layout,
    build_layout,
    layer_choices,
    position_choices,
)
from steer_core.ui.experiments.settings import OWN
from steer_core.ui.lines import line_of

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
WORKS: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
SIZED = ("most", "alphas", "random", "shuffled")


def add(desk: Desk, models: list[tuple[str, str]], tab: gr.Tab) -> Callable[[], list[Any]]:
    """Fill the tab that is being built; returns the handler that brings it up to date."""
    first = next(iter(desk.explorer.models.values()))
    layout = build_layout(models, first)
    wiring = Wiring(desk, layout)
    wiring.connect()
    tab.select(wiring.enter, wiring.inputs, wiring.entered, **WORKS)
    return wiring.enter


class Wiring:
    """Connects the inputs of the tab to the desk. An error becomes one line on the page."""

    def __init__(self, desk: Desk, layout: Layout) -> None:
        self._desk, self._layout = desk, layout
        self._parts = {name: getattr(layout.form, name) for name in Form.__slots__}
        self.inputs = list(self._parts.values())
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
        part["pairs"].input(self.show_file, part["pairs"], part["own"], **QUIET)
        part["size"].input(self.fill, part["size"], [part[name] for name in SIZED], **QUIET)
        asked = [part[name].change for name in Form.__slots__ if name not in ("name", "size")]
        gr.on(asked, self.plan, self.inputs, layout.plan, trigger_mode="always_last", **QUIET)
        layout.run.click(self.run, self.inputs, self._state, **WORKS)
        layout.cancel.click(self.cancel, None, self._state, **QUIET)
        layout.clock.tick(self.tick, None, self._state, **QUIET)
        layout.steps.look(self.look, None, self._state, **QUIET)
        layout.steps.ended(self.ended, None, layout.result, **WORKS)
        layout.shelf.open(self.open, None, layout.result, **WORKS)
        layout.shelf.resume(self.resume, None, self._state, **WORKS)
        layout.shelf.compare(self.compare, None, layout.result, **WORKS)

    # The form

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

    def fill(self, size: str) -> list[Any]:
        """Fill in what a size means."""
        return [SIZES[size][name] for name in SIZED]

    def plan(self, *values: Any) -> dict[str, Any]:
        """Return how much the settings decode, or what is wrong with them."""
        named = dict(zip(Form.__slots__, values, strict=True))
        try:
            return self._desk.plan(named["model"], named)
        except Exception as error:
            return {"error": line_of(error)}

    # Running

    def enter(self, *values: Any) -> list[Any]:
        """Bring the whole tab up to date."""
        return [*self._now(), self.plan(*values)]

    def run(self, *values: Any) -> list[Any]:
        """Begin an experiment."""
        named = dict(zip(Form.__slots__, values, strict=True))
        return self._try(lambda: self._desk.start(named["model"], named))

    def resume(self, chosen: gr.EventData) -> list[Any]:
        """Go on with a stored experiment."""
        return self._try(lambda: self._desk.resume(chosen.name))

    def cancel(self) -> list[Any]:
        """Stop before the next decoding step."""
        return self._try(self._desk.lab.cancel)

    def tick(self) -> list[Any]:
        """Return how far it is; once it is over, also the list."""
        now = self._now()
        return [*now[:-1], gr.skip()] if now[0]["status"] in ACTIVE else now

    def look(self, known: gr.EventData) -> list[Any]:
        """Bring a tab that waits up to date once another visitor has begun an experiment."""
        state = self._desk.lab.state
        same = (state.status, state.name) == (known.status, known.name)
        return [gr.skip()] * len(self._state) if same else self._now()

    def ended(self, chosen: gr.EventData) -> dict[str, Any]:
        """Show what came out of an experiment that ended while the page was open."""
        return self.shown(chosen.name) | {"ended": True}

    # Stored experiments

    def open(self, chosen: gr.EventData) -> dict[str, Any]:
        """Show a stored experiment."""
        return self.shown(chosen.name)

    def shown(self, name: str) -> dict[str, Any]:
        """Return a stored experiment, or the reason why it cannot be shown."""
        return self._or_error(lambda: self._desk.opened(name))

    def compare(self, chosen: gr.EventData) -> dict[str, Any]:
        """Show the report on two stored experiments."""
        return self._or_error(lambda: self._desk.compared(list(chosen.names)))

    # Parts

    def _now(self) -> list[Any]:
        progress = self._desk.progress()
        # From one look at the state: were it to end in between, the clock would stop too early.
        active, running = progress["status"] in ACTIVE, progress["status"] == RUNNING
        buttons = [gr.update(interactive=not active), gr.update(interactive=running)]
        return [progress, *buttons, gr.Timer(active=active), self._desk.listed()]

    def _try(self, action: Callable[[], Any]) -> list[Any]:
        try:
            action()
        except Exception as error:
            gr.Warning(html.escape(line_of(error)))
        return self._now()

    def _or_error(self, action: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return action()
        except Exception as error:
            return self._desk.failed(line_of(error))
