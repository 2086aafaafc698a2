"""The names under which files keep questions and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from steer_core.data.rows import show
from steer_core.errors import UserError

PREMISES = ("body", "context", "passage", "story", "paragraph", "scenario", "background", "premise")
"""Fields with what a question is about, in front of it."""
QUESTION_LAYOUTS = (
    ("question_concat",),
    *((before, name) for name in ("question", "problem", "query") for before in PREMISES),
    ("question",),
    ("sQuestion",),
    ("problem",),
    ("query",),
    ("question_text",),
    ("problem_text",),
    ("instruction", "input"),
    ("context", "instruction"),
    ("instruction",),
    ("inputs",),
    ("input",),
    ("prompt",),
    ("messages",),
    ("conversations",),
)
"""Fields that make up a question, the preferred first; of several the texts are joined."""
USUAL = ("question", "problem", "instruction", "input", "prompt")
"""Of all these the ones that messages name."""
RIVALS = ("question", "sQuestion", "problem", "query", "input")
"""Of a row that has two of these nobody can say which one is asked."""
ANSWER_FIELDS = (
    "answer",
    "final_ans",
    "final_answer",
    "target",
    "targets",
    "gold",
    "gold_answer",
    "correct_answer",
    "expected_answer",
    "ground_truth",
    "lSolutions",
    "solution",
    "response",
    "output",
    "completion",
)
"""Fields that hold the gold answer, the preferred first."""
STEP_FIELDS = ("steps", "chain", "cot")
CHOICES = ("choices", "options")
"""Rows with these ask to choose: their answer is the place of a choice, not a number."""
_SHOWN_FIELDS, _SHOWN_LETTERS = 8, 24


@lru_cache(4096)
def plain_name(field: str) -> str:
    """A name by which `sQuestion`, `squestion` and `s_question` are one."""
    return re.sub(r"[\W_]+", "", field).casefold()


def field_of(row: Mapping[str, object], name: str) -> str | None:
    """The field of a row that has this name, in any case; None for none.

    Raises:
        UserError: when two fields have it, none of them exactly.
    """
    if name in row:
        return name
    found = [field for field in row if plain_name(field) == plain_name(name)]
    if len(found) > 1:
        raise UserError(f"has both {show(found[0])} and {show(found[1])}; keep one of them")
    return found[0] if found else None


def names_a_question(fields: Iterable[str]) -> bool:
    """Whether one of the fields can hold a question, alone or of a pair."""
    plain = {plain_name(field) for field in fields}
    return bool(plain & (_QUESTIONS | {"cleanquestion", "clean"}))


def listed(fields: Iterable[str]) -> str:
    """The names of fields in a message, cut where there are many."""
    names = [field.strip() for field in fields if field.strip()]
    shown = [f"{n[:_SHOWN_LETTERS]}…" if len(n) > _SHOWN_LETTERS else n for n in names]
    more = ", …" if len(shown) > _SHOWN_FIELDS else ""
    return ascii_controls(", ".join(shown[:_SHOWN_FIELDS]) + more) or "no field with a name"


def ascii_controls(text: str) -> str:
    """A text with what a terminal cannot show as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_QUESTIONS = {plain_name(layout[-1]) for layout in QUESTION_LAYOUTS} | {"instruction"}
