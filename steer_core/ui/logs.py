"""One JSON line for each request that does work: what, how long, how many rows.

Never what a visitor typed, nor their address: a line says what the page was used for, not by whom.
"""

from __future__ import annotations

import inspect
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import gradio as gr

from steer_core.errors import UserError

OK, REFUSED, FAILED = "ok", "refused", "failed"
log = logging.getLogger("steer_core.requests")


@dataclass(slots=True)
class Work:
    """What a request has done so far: rows decoded for it, by which model."""

    rows: int = 0
    model: str = ""
    outcome: str = OK


_current: ContextVar[Work | None] = ContextVar("work", default=None)


def counted(model: str, rows: int) -> None:
    """Add rows that were decoded to the request at hand, if there is one."""
    work = _current.get()
    if work is not None:
        work.rows, work.model = work.rows + rows, model


def write_lines() -> None:
    """Write the lines to stderr; without this they are only messages of a logger."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]
    log.propagate, log.level = False, logging.INFO


def log_work(page: gr.Blocks) -> None:
    """Have every function of a page that does work of a kind write its line.

    Others, whose `concurrency_id` is a number of Gradio's, keep the page itself in order.
    """
    for function in page.fns.values():
        kind = str(function.concurrency_id)
        if function.queue and function.fn is not None and not kind.isdigit():
            function.fn = logged(kind, str(function.name), function.fn)


def logged(what: str, name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler, or a generator of updates, that writes a line when it ends."""
    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def updates(*args: Any, **kwargs: Any) -> Iterator[Any]:
            work, began = Work(), time.monotonic()
            try:
                results = handler(*args, **kwargs)
                while True:
                    with during(work):  # each of them may run in another thread
                        found = next(results, inspect.Parameter.empty)
                    if found is inspect.Parameter.empty:
                        return
                    yield noted(work, found)
            finally:
                write_line(what, name, work, time.monotonic() - began)

        return updates

    @wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        work, began = Work(), time.monotonic()
        try:
            with during(work):
                return noted(work, handler(*args, **kwargs))
        finally:
            write_line(what, name, work, time.monotonic() - began)

    return call


@contextmanager
def during(work: Work) -> Iterator[None]:
    """What is counted meanwhile is counted for `work`; an error is its outcome."""
    token = _current.set(work)
    try:
        yield
    except Exception as error:
        told = isinstance(error, UserError | gr.Error)
        work.outcome = REFUSED if told else FAILED
        raise
    finally:
        _current.reset(token)


def noted(work: Work, found: Any) -> Any:
    """A result; one that tells of an error is its outcome."""
    if isinstance(found, dict) and found.get("error"):
        work.outcome = REFUSED
    return found


def write_line(what: str, name: str, work: Work, seconds: float) -> None:
    """Write one request."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "what": what,
        "function": name,
        "outcome": work.outcome,
        "seconds": round(seconds, 4),
        "rows": work.rows,
        "model": work.model,
    }
    log.info(json.dumps(line, ensure_ascii=False))


def write_refusal(status: int, kind: str) -> None:
    """Write a request that the door sent away."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    log.info(json.dumps({"at": at, "what": kind, "outcome": REFUSED, "status": status}))
