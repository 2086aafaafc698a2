"""The first tab: its layout is in `panels`, its wiring here."""

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import gradio as gr

from steer_core.ui import guides
from steer_core.ui.adapter import GUIDED, Adapter
from steer_core.ui.door import OPEN, SWEEP, VIEW
from steer_core.ui.handlers import Explorer
from steer_core.ui.inspect import why
from steer_core.ui.panels import Layout, build_layout

QUIET: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    # Handlers check every value, whoever sends it; Gradio would compare them with what a session
    # was offered, quote them at any length, and know nothing of a session that it has forgotten.
    "preprocess": False,
}
OPENS: dict[str, Any] = {**QUIET, "concurrency_id": OPEN, "concurrency_limit": 8}
"""Events that fill in inputs: none of them waits for a sweep."""
EDIT = (
    *("model", "site", "layer", "layers", "positions", "schedule"),
    *("direction", "operation", "unit"),
)
PICKED = ("model", "direction")
"""Of these the drop-down lists, which tell of an input also when nothing else was picked."""
ASKED = ("source", "problem", "variant", "question", "gold")
LINKED = (*ASKED, "keep", *EDIT)
"""What the address line keeps; α is added in the browser."""


def add(explorer: Explorer, models: list[tuple[str, str]], page: gr.Blocks) -> None:
    """Fill the tab that is being built; `models` are (label, name)."""
    labels = {name: guide.label for name, guide in guides.GUIDES.items()}
    Wiring(explorer, build_layout(models, labels, explorer.starts())).connect(page)
    why.add(explorer)


class Wiring:
    """Connects inputs to handlers.

    α has no server event: the browser holds the answers at all 61 α. Inputs use `.input`, which
    is the visitor's doing; what the server itself changes is followed by `.then`.
    """

    def __init__(self, explorer: Explorer, layout: Layout) -> None:
        self._handle = Adapter(explorer)
        self._layout = layout
        self._parts = {name: getattr(layout.controls, name) for name in layout.controls.__slots__}

    def connect(self, page: gr.Blocks) -> None:
        """Register every event of the page."""
        part = self._parts
        every = [*self._parts.values(), *self._sources(), self._layout.listed]
        restored = page.load(self._handle.restore, None, every, **OPENS)
        configured = self._layout.view.model_picked(
            self._handle.configure,
            inputs_kwargs=self._named("model", "site"),
            outputs=self._listed("layer", "positions", "schedule", "layers"),
            **OPENS,
        ).then(
            self._handle.pick,
            inputs_kwargs=self._named("model", "variant", "keep", "problem"),
            outputs=[part["problem"], self._layout.listed],
            **OPENS,
        )
        examples = self._guides()
        self._show_view(restored, configured, *examples, *self._problem_events())
        self._show_sweep(restored, configured, *examples)
        self._in_browser(restored)
        part["site"].input(
            self._handle.layer_matters, part["site"], part["layer"], queue=False, **QUIET
        )
        page.unload(self._handle.leave)

    # Events

    def _guides(self) -> list[Any]:
        """Guided examples, and what an own question begins with."""
        part, layout = self._parts, self._layout
        for button, start in layout.starts.items():
            button.click(
                None,
                None,
                [part["question"], part["gold"]],
                js=f"() => window.steer?.starts({json.dumps(start)}) ?? {json.dumps(start)}",
                **QUIET,
            )
        return [
            button.click(
                partial(self._handle.guide, name),
                part["model"],
                [*self._listed(*GUIDED), *self._sources(), layout.listed],
                js="model => { window.steer?.wait('view'); return model; }",
                **OPENS,
            )
            for name, button in layout.guides.items()
        ]

    def _problem_events(self) -> list[Any]:
        """Events that change which problem is shown; the view follows each."""
        part, layout = self._parts, self._layout
        picked = gr.on(
            [part["keep"].input, part["variant"].input],
            self._handle.pick,
            inputs_kwargs=self._named("model", "variant", "keep", "problem"),
            outputs=[part["problem"], layout.listed],
            js="(...values) => { window.steer?.filters(); return values; }",
            trigger_mode="always_last",
            **OPENS,
        ).then(
            None,
            [layout.listed, part["problem"]],
            part["problem"],
            js="(ids, id) => window.steer ? window.steer.filtered(ids, id) : id",
            **QUIET,
        )
        # In the browser: a request that is on its way would swallow the next clicks.
        steps = [
            button.click(
                None,
                [layout.listed, part["problem"]],
                part["problem"],
                js=f"(ids, id) => window.steer ? window.steer.step({step}, ids, id) : id",
                **QUIET,
            )
            for button, step in ((layout.previous, -1), (layout.following, 1))
        ]
        switched = part["source"].input(
            self._handle.switch_source,
            inputs_kwargs=self._named(*ASKED),
            outputs=[*self._sources(), part["question"], part["gold"]],
            queue=False,
            **QUIET,
        )
        return [picked, *steps, switched]

    def _show_view(self, *after: Any) -> None:
        part, layout = self._parts, self._layout
        typed = [
            layout.ask.click,
            part["question"].submit,
            part["gold"].submit,
        ]
        edited = [part[name].input for name in EDIT if name not in PICKED]
        event: dict[str, Any] = {
            "fn": self._handle.view,
            "outputs": layout.view,
            "js": _waiting("view", *ASKED, *EDIT),
            "trigger_mode": "always_last",
            "concurrency_id": VIEW,
            "concurrency_limit": 8,
            **QUIET,
        }
        inputs = self._named(*ASKED, *EDIT)
        told = [
            getattr(layout.view, name) for name in ("problem_picked", "direction_picked", "again")
        ]
        events = [partial(gr.on, [*edited, *typed]), *told, *_then(after)]
        self._follow("view", events, inputs_kwargs=inputs, **event)

    def _show_sweep(self, *after: Any) -> None:
        event: dict[str, Any] = {
            "outputs": self._layout.sweep,
            "js": _waiting("sweep"),
            "trigger_mode": "multiple",
            "concurrency_id": SWEEP,
            "concurrency_limit": 4,  # one decodes at a time; the others hold memory meanwhile
            **QUIET,
        }
        inputs = self._named(*EDIT)
        edited = [self._parts[name].input for name in EDIT if name not in PICKED]
        told = self._layout.view.direction_picked
        events = [partial(gr.on, edited), told, *_then(after)]
        self._follow("sweep", events, inputs_kwargs=inputs, fn=self._handle.sweep, **event)
        opened = [self._layout.sweep.report_asked]
        self._follow("sweep", opened, inputs_kwargs=inputs, fn=self._handle.report, **event)

    def _follow(self, figure: str, events: list[Callable[..., Any]], **event: Any) -> None:
        """Bring a figure up to date on each of the events.

        A request that fails says so: a dimmed figure means that somebody works on it.
        """
        failed = f"() => window.steer?.failed('{figure}')"
        for on in events:
            on(**event).failure(None, None, None, js=failed, **QUIET)

    def _in_browser(self, restored: Any) -> None:
        """What needs no server: following α, and keeping the address line up to date."""
        alpha = self._parts["alpha"]
        alpha.change(None, alpha, None, js="alpha => window.steer?.follow(alpha)", **QUIET)
        for name in ("problem", *PICKED):
            js = f"value => window.steer?.pick('{name}', value)"
            self._parts[name].input(None, self._parts[name], None, js=js, **QUIET)
        linked: dict[str, Any] = {
            "fn": None,
            "inputs": self._listed(*LINKED),
            "js": "(...values) => {"
            f" window.steerLink = [{list(LINKED)}, values]; window.steer?.link(); }}",
            **QUIET,
        }
        gr.on([self._parts[name].change for name in LINKED], **linked)
        restored.then(**linked)

    def _sources(self) -> list[Any]:
        return [self._layout.from_pairs, self._layout.own]

    def _named(self, *names: str) -> dict[str, Any]:
        return {name: self._parts[name] for name in names}

    def _listed(self, *names: str) -> list[Any]:
        return [self._parts[name] for name in names]


def _then(after: Iterable[Any]) -> list[Callable[..., Any]]:
    return [event.then for event in after]


def _waiting(figure: str, *names: str) -> str:
    """Return JavaScript that dims a figure while the server works, and passes the inputs on.

    Inputs that have names are noted: they are what the server knows.
    """
    entries = f"{list(names)}.map((name, i) => [name, values[i]])"
    note = f"window.steerSent = Object.fromEntries({entries}); " if names else ""
    return f"(...values) => {{ {note}window.steer?.wait('{figure}'); return values; }}"
