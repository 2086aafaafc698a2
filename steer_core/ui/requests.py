"""What a request may hold: sizes and types, checked before anything works on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from steer_core.errors import UserError

MOST_TEXT = 60_000
"""Inputs have limits of their own, which say what to do; nothing needs more than this."""
MOST_LISTED = 512
MOST_VALUES = 2_000
DEEPEST = 8
MOST_SESSION = 64
UPLOADED = {"_type": "gradio.FileData"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to run a function of the page: which one, of which session, with what."""

    function: Any
    """Gradio's `BlockFunction`."""
    session: str
    """Empty where a script names none."""


def read_json(body: bytes) -> dict[str, Any]:
    """Return the object that a request sends.

    Raises:
        UserError: for other than a JSON object, or one that holds more than any input needs.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise UserError("the request is no JSON that can be read; send one JSON object") from None
    if not isinstance(found, dict):
        raise UserError(f"the request is {kind(found)}; send one JSON object")
    check_size(found)
    return found


def check_size(found: Any) -> None:
    """Count what a request holds.

    Raises:
        UserError: naming the first value that is too long, too deep or too many.
    """
    for count, (value, depth) in enumerate(_walk(found), start=1):
        if count > MOST_VALUES or depth > DEEPEST:
            raise UserError(
                f"the request holds more than {MOST_VALUES:,} values or lists within lists deeper"
                f" than {DEEPEST}; ask for less at once"
            )
        if isinstance(value, (list, dict)) and len(value) > MOST_LISTED:
            raise UserError(
                f"a list of the request has {len(value):,} values, the limit is {MOST_LISTED};"
                " ask for less at once"
            )
        if isinstance(value, str):
            check_text(value)


def check_text(text: str) -> None:
    """Refuse text that is too long, or cannot be written down.

    Raises:
        UserError: naming the limit.
    """
    if len(text) > MOST_TEXT:
        raise UserError(
            f"a text of the request has {len(text):,} characters, the limit is {MOST_TEXT:,};"
            " shorten it"
        )
    if text.encode("utf-8", "ignore").decode() != text:
        raise UserError("a text of the request holds half a character, no Unicode; type it anew")


def _walk(found: Any) -> Iterator[tuple[Any, int]]:
    """Every value, the outer ones first, with how deep it lies."""
    waiting = [(found, 0)]
    while waiting:
        value, depth = waiting.pop()
        yield value, depth
        if isinstance(value, dict):
            waiting += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in value]


def asked_of(blocks: Any, name: str, body: dict[str, Any], named: bool = False) -> Asked:
    """Return the function that a request is for.

    Args:
        blocks: The page.
        name: The function's public name, from the address; the page itself sends a number.
        body: The request.
        named: Whether it holds values by their names, which Gradio puts in order.

    Raises:
        UserError: for none, or another number of values than it takes.
    """
    function = _function(blocks, name, None if named else body.get("fn_index"))
    if named:
        return Asked(function, "")
    session, trigger = body.get("session_hash"), body.get("trigger_id")
    if not isinstance(session, str | None) or len(session or "") > MOST_SESSION:
        raise UserError(f"session_hash must be text of at most {MOST_SESSION} characters")
    if not isinstance(trigger, int | None):
        raise UserError(f"trigger_id is {kind(trigger)}; leave it out")
    values, needed = body.get("data"), {len(function.inputs)}
    if not isinstance(values, list):
        raise UserError(f"data is {kind(values)}; give the list of values")
    needed.add(sum(not block.skip_api for block in function.inputs))
    if len(values) not in needed:
        raise UserError(
            f"{function.api_name or 'the page'} takes {max(needed)} values, the request has"
            f" {len(values)}; give all of them"
        )
    for block, value in zip(function.inputs, values, strict=False):
        if isinstance(block, gr.File):
            check_file(value)
    return Asked(function, session or "")


def check_file(value: Any) -> None:
    """See that a value names an uploaded file the way Gradio does.

    Raises:
        UserError: for anything else.
    """
    named = isinstance(value, dict) and isinstance(value.get("path"), str)
    if value is not None and not (named and value.get("meta") == UPLOADED):
        raise UserError(f"a file of the request is {kind(value)}; upload it first")


def _function(blocks: Any, name: str, number: Any) -> Any:
    if number is None:
        found = (fn for fn in blocks.fns.values() if fn.api_name == name != "")
        function = next(found, None)
    else:
        whole = isinstance(number, int) and not isinstance(number, bool)
        function = blocks.fns.get(number) if whole else None
    if function is None:
        known = [fn.api_name for fn in blocks.fns.values() if fn.api_visibility == "public"]
        raise UserError(f"there is no such endpoint; choose one of {', '.join(known)}")
    return function


def kind(value: Any) -> str:
    """What a value is, in words for whoever sent it; its content may be long."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "nothing" if value is None else names.get(type(value), "a number")
