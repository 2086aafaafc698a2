"""Rows of files, and pairs in them; what is wrong with a row is data, for reader and audit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from steer_core.data.answers import parse_answer
from steer_core.data.given import flaw_of_question
from steer_core.data.problems import Pair, Problem

_FLAT = re.compile(r"(clean|corrupted)[._](question|answer)", re.IGNORECASE)
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        number: counted from 1; in JSONL and text the line, in tables below the first line.
        value: a dict of fields, or what else stands there; None where it cannot be read.
        error: why it cannot be read, None when it can.
    """

    number: int
    value: object
    error: str | None = None

    @property
    def pair_id(self) -> int | str | None:
        """The pair_id when it is usable."""
        found = self.value.get("pair_id") if isinstance(self.value, dict) else None
        return found if _is_id(found) else None


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason why a row cannot be used.

    Attributes:
        kind: "bad_json", "bad_row", "missing_field", "bad_field" or "bad_answer".
        message: field, value and what was expected, without the row number.
    """

    kind: str
    message: str


def is_pair(row: Row) -> bool:
    """Whether a row is meant as a pair."""
    return isinstance(row.value, dict) and "clean" in pair_fields(row.value)


def pair_fields(value: dict) -> dict:
    """A row with its twins as objects, also where a table has `clean.question` and so on."""
    if "clean" in value or "corrupted" in value:
        return value
    sides: dict[str, dict] = {}
    for name, cell in value.items():
        if found := _FLAT.fullmatch(name):
            sides.setdefault(found[1].lower(), {})[found[2].lower()] = cell
    return value | sides if sides else value


def row_faults(row: Row) -> list[Fault]:
    """Return everything that keeps a row from being a pair; an empty list when it is one."""
    if row.error is not None:
        return [Fault("bad_json", row.error)]
    if not isinstance(row.value, dict):
        return [Fault("bad_row", f"is {show(row.value)}, not an object with clean and corrupted")]
    value = pair_fields(row.value)
    faults = _id_faults(value)
    for side in ("clean", "corrupted"):
        faults += _side_faults(value, side)
    return faults


def row_pair(row: Row) -> Pair:
    """Return the pair in a row without faults."""
    assert isinstance(row.value, dict)
    value = pair_fields(row.value)
    template = value.get("template") if isinstance(value.get("template"), str) else None
    clean, corrupted = (_problem(value[side], template) for side in ("clean", "corrupted"))
    return Pair(value["pair_id"], clean, corrupted, held_out=value.get("held_out") is True)


def show(value: object) -> str:
    """Return a value as it goes into a one-line message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool) and value != ""


def _id_faults(value: Mapping) -> list[Fault]:
    if "pair_id" not in value:
        return [Fault("missing_field", "has no pair_id")]
    if not _is_id(value["pair_id"]):
        found = show(value["pair_id"])
        return [Fault("bad_field", f"pair_id is {found}, not an integer or a text")]
    return []


def _side_faults(value: Mapping, side: str) -> list[Fault]:
    if side not in value:
        return [Fault("missing_field", f"has no {side}")]
    content = value[side]
    if not isinstance(content, dict):
        found = show(content)
        return [Fault("bad_field", f"{side} is {found}, not an object with question and answer")]
    faults = [
        Fault("missing_field", f"has no {side}.{name}")
        for name in ("question", "answer")
        if name not in content
    ]
    question = content.get("question", "given")
    if not isinstance(question, str) or not question.strip():
        faults.append(Fault("bad_field", f"{side}.question is {show(question)}, not a text"))
    elif flaw := flaw_of_question(question):
        faults.append(Fault("bad_field", f"{side}.question {flaw}"))
    if "answer" in content and parse_answer(content["answer"]) is None:
        found = show(content["answer"])
        faults.append(Fault("bad_answer", f"{side}.answer is {found}, not a number"))
    return faults


def _problem(content: Mapping, template: str | None) -> Problem:
    chain = content.get("chain")
    if not isinstance(chain, list) or not all(isinstance(step, str) for step in chain):
        chain = []
    answer = parse_answer(content["answer"])
    assert answer is not None
    return Problem(content["question"], answer, tuple(chain), template)
