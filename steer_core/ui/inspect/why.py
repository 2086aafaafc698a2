"""The section *Why*: a panel for each instrument, which asks when it is open."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from steer_core.inspect.asked import ATTENTION, EARLY, FLIP, LENS, MAP, SWAP, TRACE
from steer_core.ui import assets
from steer_core.ui.door import LOOK
from steer_core.ui.handlers import Explorer
from steer_core.ui.inspect.looks import Looks


@dataclass(frozen=True, slots=True)
class Panel:
    """One instrument on the page."""

    what: str
    title: str
    caption: str


PANELS = (
    Panel(
        TRACE,
        "Arrival trace: how far the edit gets",
        "Relative change at each position, from the edited state to what the answer reads.",
    ),
    Panel(
        LENS,
        "Latent lens: what each state says",
        "Likeliest token of every state, read through the model's own vocabulary; shade is its"
        " probability. ①, ②, … mark results of the known solution steps.",
    ),
    Panel(
        EARLY,
        "Early answers: what fewer latents say",
        "The answer after k latent thoughts, and from which k on it stays.",
    ),
    Panel(
        ATTENTION,
        "Attention: where thoughts and the answer look",
        "Share of attention; what is missing to 100 % goes to the answer's own words.",
    ),
    Panel(
        SWAP,
        "Swap: answer on another problem's latents",
        "The chosen latents are moved from this problem's (0) to the donor's (1).",
    ),
    Panel(
        MAP,
        "Effect map: each place edited alone",
        "Change at the answer's first number when one position at one layer is edited. A click"
        " takes layer and position to the sliders.",
    ),
    Panel(
        FLIP,
        "Flip distance: how far the answer is from turning",
        "The smallest |α| each way that changes the answer, also beyond the slider.",
    ),
)


def add(explorer: Explorer) -> None:
    """Add the section to the tab that is being built."""
    looks = Looks(explorer)
    with gr.Column(elem_id="why"):
        gr.Markdown("## Why", elem_id="why-title")
        for panel in PANELS:
            shown = figure(panel)
            shown.asked(  # pyright: ignore[reportAttributeAccessIssue]
                handler(looks, panel.what),
                None,
                shown,
                trigger_mode="always_last",
                concurrency_id=LOOK,
                concurrency_limit=8,
                api_visibility="private",
                show_progress="hidden",
            )


def figure(panel: Panel) -> gr.HTML:
    """One panel, closed: its module asks for what it shows once it is opened."""
    words = {"what": panel.what, "title": panel.title, "caption": panel.caption}
    template = assets.read("inspect_panel.html")
    for name, text in words.items():
        template = template.replace(f"[{name}]", html.escape(text))
    return gr.HTML(
        value=None,
        html_template=template,
        js_on_load=assets.mount_script(f"look-{panel.what}", ("asked",)),
        apply_default_css=False,
        elem_id=f"look-{panel.what}",
        elem_classes="figure look",
    )


def handler(looks: Looks, what: str) -> Callable[..., dict[str, Any]]:
    """What answers a panel."""

    def look(event: gr.EventData) -> dict[str, Any]:
        return looks.look(what, event._data)

    return look
