"""`/health`: whether the page answers, for whoever watches over it; no word about visitors."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from steer_core.ui import space
from steer_core.ui.experiments.desk import Desk
from steer_core.ui.handlers import Explorer
from steer_core.version import __version__

PATH = "/health"
BEGAN = time.monotonic()
READY, STOPPING = "ok", "stopping"


def remember(page: gr.Blocks, explorer: Explorer, desk: Desk) -> None:
    """Let the page tell of both."""
    page.steer = (explorer, desk)  # pyright: ignore[reportAttributeAccessIssue]


def served_by(page: gr.Blocks) -> tuple[Explorer, Desk]:
    """What stands behind a page."""
    return page.steer  # pyright: ignore[reportAttributeAccessIssue]


def health(page: gr.Blocks) -> dict[str, Any]:
    """How a page is: model and device, what waits or runs, the experiment, the version.

    `device` is null until a model has been loaded; `queue` counts requests by kind.
    """
    explorer, desk = served_by(page)
    events = list(page._queue.event_ids_to_events.values())
    return {
        "status": STOPPING if desk.lab.closing else READY,
        "version": __version__,
        "model": next(iter(explorer.models)),
        "models": list(explorer.models),
        "device": "zerogpu" if space.FORKS else explorer.runner.device,
        "queue": dict(Counter(str(event.concurrency_id) for event in events)),
        "experiment": desk.lab.state.status,
        "seconds": round(time.monotonic() - BEGAN, 1),
    }


def answer(request: Request) -> JSONResponse:
    """Return `health` of the page; 503 once it is stopping, so that no more is sent to it."""
    found = health(request.app.get_blocks())
    status = 200 if found["status"] == READY else 503
    return JSONResponse(found, status, headers={"Cache-Control": "no-store"})


ROUTE = Route(PATH, answer)
