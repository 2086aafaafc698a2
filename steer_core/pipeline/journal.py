"""Answers that were decoded once: a killed `prepare` goes on, another filter decodes nothing.

One JSON object a line, a unit of questions each, found by the hash of what was decoded. A line is
written as a whole and read only if it is whole, so a killed process loses the unit it was at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steer_core.data.answers import Number
from steer_core.errors import UserError
from steer_core.files import append
from steer_core.pipeline.records import canonical

FILE = "answers.jsonl"
"""Name of the journal in the folder of prepared pairs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question was answered; `answer` None without a number."""

    text: str
    answer: Number | None


class Journal:
    """The units of a file.

    Args:
        path: The file; None for one in memory.
        setting: What besides the content of a unit decides its answers, as JSON values.

    Raises:
        UserError: for a file that cannot be read.
    """

    def __init__(self, path: Path | None = None, setting: object = None):
        self.path, self.setting = path, setting
        self._units: dict[str, list[Answer]] = {}
        if path is not None and path.exists():
            self._units = dict(filter(None, map(read_line, lines_of(path))))

    def key(self, content: object) -> str:
        """The name of a unit by its content (JSON values): equal content, equal answers."""
        return hashlib.sha256(canonical([self.setting, content]).encode()).hexdigest()

    def find(self, key: str) -> list[Answer] | None:
        """The answers of a unit, None when it was not decoded."""
        return self._units.get(key)

    def write(self, key: str, answers: Sequence[Answer]) -> None:
        """Keep a unit, unless it is kept already.

        Raises:
            OSError: for a file that cannot be written.
        """
        known = key in self._units
        self._units[key] = list(answers)
        if known or self.path is None:
            return
        rows = [[each.text, each.answer] for each in answers]
        # The break in front ends a line that a killed process left unfinished.
        line = f"\n{json.dumps({'unit': key, 'answers': rows})}\n"
        append(line, self.path)


def lines_of(path: Path) -> list[str]:
    """The lines of a file, damaged ones too."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name another folder") from error


def read_line(line: str) -> tuple[str, list[Answer]] | None:
    """A unit; None for a line that is not whole."""
    try:
        found = json.loads(line)
        unit, rows = found["unit"], found["answers"]
        whole = isinstance(unit, str) and all(is_answer(*row) for row in rows)
        return (unit, [Answer(*row) for row in rows]) if whole else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def is_answer(text: object, answer: object) -> bool:
    """Whether values of JSON are an answer's text and its number, or none."""
    return isinstance(text, str) and (answer is None or type(answer) in (int, float))
