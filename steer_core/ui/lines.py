"""Errors as one line for whoever sits before the page, who learns nothing of this machine."""

import html
import logging
import re
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from steer_core.errors import UserError

MOST_CHARACTERS = 400
ROOTED = re.compile(r"(?<![\w/:.~-])(?:/[^\s/'\"`,;()\[\]]+){2,}")
"""A path from the root of the file system, of at least two parts."""
log = logging.getLogger(__name__)


def line_of(error: Exception) -> str:
    """Return one line; what is not the visitor's doing goes to the log in full."""
    if isinstance(error, UserError):
        return short(without_paths(str(error)))
    log.error("the page could not do this", exc_info=error)
    return f"this did not work ({type(error).__name__}); try another input"


def told(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Make a handler that returns updates say what goes wrong, as a notice on the page."""

    @wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except Exception as error:
            raise gr.Error(
                html.escape(line_of(error), quote=False), print_exception=False
            ) from None

    return call


def short(text: str) -> str:
    """One line of a bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"


def without_paths(text: str) -> str:
    """The text with only the last part of each path: nobody needs to know where things lie."""
    for folder in sorted({Path.home(), Path.cwd(), Path(tempfile.gettempdir())}, key=_longest):
        if folder.name:  # these may hold spaces, which no pattern can tell from the end
            text = text.replace(f"{folder}/", "/…/")
    return ROOTED.sub(lambda found: Path(found[0]).name, text)


def _longest(folder: Path) -> int:
    return -len(str(folder))
