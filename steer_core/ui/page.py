"""The page: its two tabs, and how it is launched."""

import sys
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes import Default
from gradio.themes.utils.sizes import Size, spacing_md, text_md
from starlette.middleware import Middleware

from steer_core.box import RUNS_DIR
from steer_core.errors import UserError
from steer_core.ui import api, assets, explore, health
from steer_core.ui.adapter import toast
from steer_core.ui.door import MOST_QUEUED, MOST_UPLOAD, Door
from steer_core.ui.experiments import files
from steer_core.ui.experiments import tab as experiments
from steer_core.ui.experiments.desk import Desk
from steer_core.ui.handlers import Explorer, ModelChoice
from steer_core.ui.inspect import atlas
from steer_core.ui.limits import Limits
from steer_core.ui.logs import log_work
from steer_core.ui.panels import head
from steer_core.ui.parts import Ledger
from steer_core.ui.settings import choose

VIEWS = ("present",)
"""What the address line may say: `?view=present` opens the presenter view."""
EXPLORE, EXPERIMENT, ATLAS = "explore", "experiment", "atlas"
"""Ids of the tabs; the address line says `?tab=experiment` for the second."""

SESSIONS = 32
"""Whose inputs Gradio remembers, some 600 KB each; no handler needs what it has forgotten."""
THREADS = 64
"""More than all kinds of work have at once, see their `concurrency_limit`."""
STYLES = ("page.css", "layout.css", "experiments.css", "inspect.css")
TIDY = (60, 300)
"""Every so many seconds, uploads that are older than so many are deleted."""


def build(explorer: Explorer, runs: Path = RUNS_DIR, limits: Limits | None = None) -> gr.Blocks:
    """Return the page over an explorer; start it with `launch(**launch_options(runs))`.

    Args:
        explorer: The handlers of the first tab, and the models of both.
        runs: Folder of the experiments.
        limits: What visitors may ask for; those of a page of one's own if left out.
    """
    explorer.ledger = Ledger(runs)
    models = [(_model_label(choice), choice.name) for choice in explorer.models.values()]
    desk = Desk(explorer, runs, limits)
    with gr.Blocks(
        title="CODI steering", analytics_enabled=False, fill_width=True, delete_cache=TIDY
    ) as page:
        head()
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Explore", id=EXPLORE, elem_id="tab-explore") as first:
                api.add(explorer)  # first: a private event of the same name would take the name
                explore.add(explorer, models, page)
            with gr.Tab("Experiment", id=EXPERIMENT, elem_id="tab-experiment") as second:
                experiments.add(desk, models, second)
            with gr.Tab("Atlas", id=ATLAS, elem_id="tab-atlas") as third:
                atlas.add(explorer, models, third)
        _keep_tab(page, tabs, {EXPLORE: first, EXPERIMENT: second, ATLAS: third})
    health.remember(page, explorer, desk)
    log_work(page)
    return bounded(page.queue(max_size=MOST_QUEUED, api_open=False))


def growing(sizes: Size, least: float = 0) -> Size:
    """Sizes of a theme that grow with the screen as `--u` of page.css does, none below `least`."""
    scaled = {
        name: f"calc({max(least, float(size.removesuffix('px'))):g} * var(--u))"
        for name, size in vars(sizes).items()
        if name != "name"
    }
    return Size(**scaled, name=f"growing_{sizes.name}")


def bounded(page: gr.Blocks) -> gr.Blocks:
    """Keep no statistics of visits: Gradio would sum up all of them after each event."""
    page._queue.ANALYTICS_MAX_EVENTS = 1
    page._queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize
    return page


def launch_options(
    runs: Path = RUNS_DIR,
    *,
    forwarded: bool = False,
    alone: bool = True,
    limits: Limits | None = None,
    mcp: bool = False,
) -> dict[str, Any]:
    """Return what `launch` needs beside host and port; all as in `Options`."""
    per_minute = (limits or Limits()).requests
    door = Middleware(Door, forwarded=forwarded, alone=alone, per_minute=per_minute)
    fonts = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "monospace"]
    return {
        "theme": Default(
            primary_hue="violet",
            font=fonts,
            font_mono=mono,
            text_size=growing(text_md, least=12),
            spacing_size=growing(spacing_md),
        ).set(
            button_primary_background_fill="*primary_600",
            button_primary_background_fill_hover="*primary_700",
        ),
        "css": "".join(map(assets.read, STYLES)),
        "app_kwargs": {
            "routes": [health.ROUTE, *assets.routes(mcp), *files.routes(runs)],
            "middleware": [door],
        },
        "max_file_size": MOST_UPLOAD,
        "max_threads": THREADS,
        "state_session_capacity": SESSIONS,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "mcp_server": mcp,
        "ssr_mode": False,
    }


def _keep_tab(page: gr.Blocks, tabs: gr.Tabs, known: dict[str, gr.Tab]) -> None:
    """Open the tab that the address line names, and name the open one there."""
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def named(request: gr.Request) -> Any:
        asked = request.query_params
        for part, choices, instead in (("tab", known, EXPLORE), ("view", VIEWS, "all")):
            try:
                choose(part, asked.get(part, next(iter(choices))), choices)
            except UserError as error:
                toast(f"{error} (the page shows {instead})", None)
        name = asked.get("tab")
        return gr.Tabs(selected=name) if name in known else gr.skip()

    page.load(named, None, tabs, queue=False, **quiet)
    for name, tab in known.items():
        tab.select(None, None, None, js=f"() => window.steer?.tab('{name}')", **quiet)


def _model_label(choice: ModelChoice) -> str:
    size = "" if choice.parameters is None else f" · {choice.parameters / 1e6:.3g} M"
    return f"{choice.name} · {choice.layers} blocks{size}"
