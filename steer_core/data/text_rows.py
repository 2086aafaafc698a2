"""Rows of plain text, one question a line; lines that say more than a question are refused."""

from __future__ import annotations

import re
from pathlib import Path

from steer_core.data.answers import parse_answer
from steer_core.data.csv_rows import first_record, is_header
from steer_core.data.fields import listed
from steer_core.data.given import flaw_of_question
from steer_core.data.json_rows import like_json
from steer_core.data.rows import Row
from steer_core.errors import UserError

_GIVEN = (
    (re.compile(r"[?\"]\s*[,;|\t]\s*[-−]?\$?\d[\d.,]*\s*$"), "ends in a cell with a number"),
    (re.compile(r"^\s*\"?-?\d+\"?[,;|\t]\"?(?=[^\W\d])"), "begins with a cell with a number"),
    (
        re.compile(
            r"^\W*(?:q|question|problem|a|ans|answer|solution|response|input|output)[\"']?\s*[:=]",
            re.I,
        ),
        "begins with the name of a field",
    ),
    (re.compile(r"^\W*(?:answer|ans)\s+[-−]?\$?\d[\d.,]*\W*$", re.I), "is an answer"),
    (re.compile(r"^\W*\d[\d.,]*\W*$"), "is a number alone"),
)
"""Signs that a line is not one question and no more, beside those of `flaw_of_question`."""
_MARKUP = re.compile(r"\s*<[?!/a-zA-Z]")


def text_rows(text: str, path: Path) -> list[Row]:
    r"""The lines that are not blank, split at `\n` alone.

    Raises:
        UserError: for a table, markup, or a line that holds an answer or JSON.
    """
    if "\r" in text and "\n" not in text:
        raise UserError(f"{path} ends lines by carriage returns alone; save it with line feeds")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    rows = [Row(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    texts = [line for line in lines if line.strip()]
    _check_table(texts, path)
    for row in rows:
        _check_line(str(row.value), f"{path.name} row {row.number}")
    return rows


def _check_line(line: str, where: str) -> None:
    reason = next((reason for sign, reason in _GIVEN if sign.search(line)), None)
    reason = reason or flaw_of_question(line)
    if like_json(line) or _MARKUP.match(line):
        reason = "is JSON or markup among lines of text"
    if reason:
        raise UserError(
            f"{where} {reason}; leave only questions, or give JSON, JSONL or CSV with a field "
            "'question'"
        )


def _check_table(lines: list[str], path: Path) -> None:
    """Refuse lines that are cells of a table with no column that is named as the question."""
    for delimiter in ("\t", ";", "|", ","):
        cells = [first_record(line, delimiter) for line in lines]
        if len({len(each) for each in cells}) != 1 or len(cells[0]) < 2:
            continue
        numbers = delimiter != "," and all(parse_answer(each[-1]) is not None for each in cells)
        if numbers or delimiter == "\t" or (len(cells) > 1 and is_header(cells[0])):
            raise UserError(
                f"{path} is a table with the columns {listed(cells[0])}; name the one that holds "
                "the question 'question' in its first line"
            )
