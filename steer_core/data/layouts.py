"""Where the rows of a file keep question, answer and steps: one layout for the whole file.

What the first row has, every row must have. A question is never guessed from what is left over: a
row in which no field names it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from steer_core.data.answers import parse_answer
from steer_core.data.chats import CHATS, answered, asked, is_chat
from steer_core.data.fields import (
    ANSWER_FIELDS,
    CHOICES,
    QUESTION_LAYOUTS,
    RIVALS,
    STEP_FIELDS,
    USUAL,
    field_of,
    listed,
)
from steer_core.data.given import flaw_of_question
from steer_core.data.json_rows import decode_json, is_json
from steer_core.data.rows import Row, pair_fields, show
from steer_core.errors import UserError

NOTHING = ("", "<noinput>", "none", "null", "nan", "n/a")
"""How files write that there is no input to an instruction."""
INSTRUCTED = ("instruction", "input")
_TEMPLATE = re.compile(
    r"\b(?:solve|answer|following|below|problems?|questions?|step by step|math|task)\b",
    re.IGNORECASE,
)
"""Words of instructions that say what to do with an input, as opposed to a part of a problem."""
_STEP = re.compile(r"<<[^<>]*>>")
Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows of a file keep what is read of them.

    `question`: one of `QUESTION_LAYOUTS`, () for rows that are texts; `answer`: one of
    `ANSWER_FIELDS`, None without answers; `wrapper`: the field whose object is read, if any.
    `template`: an instruction that is the same in every row and no part of a problem.
    """

    question: tuple[str, ...] = ()
    answer: str | None = None
    wrapper: str | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class NamedRow:
    """What one row says: its `number`, the question, what stands as its answer, solution steps."""

    number: int
    question: str
    answer: object
    steps: tuple[str, ...]


def named_rows(
    rows: Sequence[Row], path: Path, scored: bool = False, names: tuple[str, str] | None = None
) -> list[NamedRow]:
    """Question and answer of every row.

    Args:
        rows: Of a file, at least one.
        path: Its name for messages.
        scored: Answers are needed.
        names: The fields of question and answer; found among the usual ones where not given.

    Raises:
        UserError: for the first row that has no question, or no answer where it is needed.
    """
    with in_row(path, rows[0].number):
        layout = Layout(names[:1], names[1]) if names else layout_of(rows, scored)
    found = []
    for row in rows:
        with in_row(path, row.number):
            found.append(named_row(row, layout, scored))
    return found


@contextmanager
def in_row(path: Path, number: int) -> Iterator[None]:
    """Put file and row in front of what is wrong."""
    try:
        yield
    except UserError as error:
        text = str(error)
        colon = "" if text.startswith(("has ", "is ", "holds ")) else ":"
        raise UserError(f"{path.name} row {number}{colon} {text}") from error


def layout_of(rows: Sequence[Row], scored: bool) -> Layout:
    """The layout of a file by its first row."""
    first = row_value(rows[0], scored)
    if isinstance(first, str):
        return Layout()
    wrapper = wrapper_of(first)
    fields = first if wrapper is None else first[wrapper]
    assert isinstance(fields, Mapping)
    question = question_layout(fields)
    if question is None:
        raise UserError(
            f"has none of the fields {', '.join(USUAL)}; it has {listed(fields)}: name the one "
            "with the question 'question'"
        )
    if len(question) == 1 and only_says_what_to_do(fields, question[0]):
        raise UserError(
            f"has an {INSTRUCTED[0]} without a problem, it has {listed(fields)}; name the field "
            "with the problem 'question'"
        )
    answer = next((name for name in ANSWER_FIELDS if field_of(fields, name)), None)
    template = template_of(rows, wrapper) if question == INSTRUCTED else None
    return Layout(question, answer, wrapper, template)


def row_value(row: Row, scored: bool) -> str | Fields:
    """A row that is a text, or an object of fields."""
    if row.error is not None:
        raise UserError(f"{row.error}; correct the row")
    if isinstance(row.value, str) and not scored:
        return row.value
    if not isinstance(row.value, dict):
        what = "no object with a question and an answer"
        raise UserError(f"is {what if scored else show(row.value) + ', no question'}; correct it")
    return pair_fields(row.value)


def wrapper_of(row: Fields) -> str | None:
    """The field whose object holds the question, where the row itself does not.

    Of pairs the clean twin; `row` in exports of the hub's viewer, `doc` in those of harnesses.
    """
    if question_layout(row) is not None:
        return None
    inside = [name for name, v in row.items() if isinstance(v, dict) and question_layout(v)]
    return "clean" if "clean" in inside else inside[0] if len(inside) == 1 else None


def question_layout(fields: Fields) -> tuple[str, ...] | None:
    """The first of `QUESTION_LAYOUTS` that fields have; None for none."""
    layouts = (each for each in QUESTION_LAYOUTS if all(field_of(fields, name) for name in each))
    found = next(layouts, None)
    rivals = [name for name in RIVALS if said(fields, name)]
    if found is not None and found[0] in RIVALS and len(rivals) > 1:
        raise UserError(f"has both {' and '.join(rivals[:2])}; keep the one that is to be asked")
    return found


def said(fields: Fields, name: str) -> bool:
    """Whether a field holds any text."""
    field = field_of(fields, name)
    value = fields[field] if field else None
    return isinstance(value, str) and is_said(value)


def is_said(text: str) -> bool:
    """Whether a text is more than a mark of nothing."""
    return text.strip().casefold() not in NOTHING


def only_says_what_to_do(fields: Fields, name: str) -> bool:
    """Whether the text of a field is a template, and the problem stands in a field of no name."""
    text = fields[field_of(fields, name) or ""]
    if not isinstance(text, str) or "?" in text or not is_template(text):
        return False
    used = {field_of(fields, each) for each in (name, *ANSWER_FIELDS, *STEP_FIELDS)}
    others = [value for field, value in fields.items() if field not in used]
    return any(isinstance(each, str) and " " in each.strip() for each in others)


def is_template(text: str) -> bool:
    """Whether an instruction says what to do and is no part of a problem."""
    return not any(map(str.isdigit, text)) and bool(_TEMPLATE.search(text))


def template_of(rows: Sequence[Row], wrapper: str | None) -> str | None:
    """The one instruction of all rows with an input, unless it is a part of the problems."""
    texts = set()
    for row in rows:
        fields = row.value if isinstance(row.value, dict) else {}
        inner = fields.get(wrapper) if wrapper else fields
        if isinstance(inner, dict) and said(inner, "input"):
            texts.add(str(inner.get(field_of(inner, "instruction") or "", "")))
    only = texts.pop() if len(texts) == 1 else None
    return only if only is not None and is_template(only) else None


def named_row(row: Row, layout: Layout, scored: bool) -> NamedRow:
    """What a row says by the layout of its file."""
    value = row_value(row, scored)
    if not layout.question:
        if not isinstance(value, str):
            raise UserError("is no text as the rows before it; give rows of one kind")
        return NamedRow(row.number, checked_question(value), None, ())
    if isinstance(value, str):
        raise UserError(f"is the text {show(value)}, no object as the rows before it; correct it")
    fields = value if layout.wrapper is None else value.get(layout.wrapper)
    if not isinstance(fields, Mapping):
        raise UserError(f"has no object {layout.wrapper}; give rows of one kind")
    question = checked_question(question_text(fields, layout))
    if not any(map(str.isalpha, question)) and parse_answer(question) is not None:
        raise UserError(f"the question is {show(question)}, a number; correct the row")
    return NamedRow(row.number, question, answer_of(fields, layout, scored), steps_of(fields))


def checked_question(value: object) -> str:
    """A question that can be asked: some text, without a gold answer in it."""
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"the question is {show(value)}, not a text; correct the row")
    if is_json(value):
        raise UserError("the question is JSON in a text; give its fields as fields")
    if flaw := flaw_of_question(value):
        raise UserError(f"the question {flaw}; keep the words of the question alone")
    return value


def question_text(fields: Fields, layout: Layout) -> object:
    """The question of a row; several texts are joined, as SVAMP's body and question."""
    values = [value_of(fields, name) for name in layout.question if not missing(fields, name)]
    if len(layout.question) == 1:
        return asked(values[0]) if layout.question[0] in CHATS and is_chat(values[0]) else values[0]
    wrong = [value for value in values if value is not None and not isinstance(value, str)]
    if wrong:
        return wrong[0]
    texts = [value for value in values if isinstance(value, str) and is_said(value)]
    if layout.question != INSTRUCTED:
        return " ".join(map(str.strip, texts))
    # Alpaca: without an input the instruction is the question. A template says "Solve this:".
    if len(texts) == 2 and texts[0] == layout.template and "?" in texts[1]:
        return texts[1]
    return "\n".join(map(str.strip, texts))


def missing(fields: Fields, name: str) -> bool:
    """Whether an input of alpaca is left out, as it may be."""
    return name == "input" and field_of(fields, name) is None


def value_of(fields: Fields, name: str) -> object:
    """The value of a field that the file has."""
    found = field_of(fields, name)
    if found is None:
        raise UserError(
            f"has none of the fields {name} that the first row has, it has {listed(fields)}; "
            "correct the row"
        )
    return fields[found]


def answer_of(fields: Fields, layout: Layout, scored: bool) -> object:
    """What stands as the answer of a row; None where none is needed or there is none."""
    if not scored:
        return None
    if any(isinstance(fields.get(field_of(fields, name) or ""), list | dict) for name in CHOICES):
        raise UserError("holds choices, its answer is no number; give problems with free answers")
    if layout.answer is not None:
        return the_one(value_of(fields, layout.answer))
    chat = value_of(fields, layout.question[0])
    if layout.question[0] in CHATS and is_chat(chat):
        return answered(chat)
    raise UserError(
        f"has none of the fields {', '.join(ANSWER_FIELDS[:6])}; it has {listed(fields)}: name the "
        "one with the answer 'answer'"
    )


def the_one(value: object) -> object:
    """The answer in a list of one, as MultiArith has it; in tables that is the text "[8.0]"."""
    if isinstance(value, str) and value.startswith("["):
        with suppress(ValueError):
            value = decode_json(value)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def steps_of(fields: Fields) -> tuple[str, ...]:
    """The solution steps of a row: a list of texts, or a text of <<a*b=c>>; () without any."""
    name = next((field for each in STEP_FIELDS if (field := field_of(fields, each))), None)
    value = fields[name] if name else None
    if isinstance(value, str):
        return tuple(_STEP.findall(value))
    texts = value if isinstance(value, list) else []
    return tuple(texts) if all(isinstance(step, str) for step in texts) else ()
