"""Questions that cannot be asked as they stand: they hold their answer, or lack their numbers."""

from __future__ import annotations

import re

from steer_core.data.answers import FINAL

_WORDS = (
    r"(?:a|ans|answers?|solution|response|result|output|gold|label|target|expected|completion|"
    r"assistant|/inst)"
)
_NUMBER = r"[-−]?[$€£]?\d[\d.,]*"
_AFTER = r"(?<=[\w)\"'’”])\?"
"""A question mark behind a word: in "3 + ? = 7" it stands for a number."""
_SIGNS = (
    (re.compile(re.escape(FINAL)), f"holds '{FINAL}', the mark of a gold answer"),
    (re.compile(r"<<[^<>\n]*=[^<>\n]*>>"), "holds <<...>>, a step of a solution"),
    (re.compile(r"\\(?:boxed|answer)\s*\{\W*\d"), "holds an answer in LaTeX"),
    (
        re.compile(rf"\banswer\W{{0,4}}(?:is|:|=)\W{{0,6}}{_NUMBER}\W*$", re.I),
        "tells an answer",
    ),
    (
        re.compile(rf"{_AFTER}.*\b{_WORDS}\W{{0,4}}[:=>\]]\W{{0,6}}\d", re.I | re.S),
        "tells an answer behind the question",
    ),
    (
        re.compile(rf"{_AFTER}[^\w?]*(?:{_WORDS}\b)?[^\w?]*{_NUMBER}[^\w?]*$", re.I),
        "has a number behind the question",
    ),
)
_BLANK = re.compile(r"\b(?:N_\d+|number\d+|temp_[a-z])\b|\{\w+\}(?!\})|\[(?:NUM|num)\d*\]")
"""Where numbers were taken out: MAWPS's `N_00` and `number0`, templates' `{name}`."""

_RULE = re.compile(r"[\s\-=_*|:+#~\u200b\u200c\u200d\u2060\ufeff]+")
"""What is drawn between the lines of tables, and characters without width."""


def flaw_of_question(text: str) -> str | None:
    """Why a question cannot be asked as it stands, behind "the question"; None for nothing.

    It holds its gold answer, which the model would only have to repeat, or placeholders of numbers,
    or is a line that is drawn.
    """
    if _RULE.fullmatch(text):
        return "is a line of a table or nothing that can be seen"
    reason = next((reason for sign, reason in _SIGNS if sign.search(text)), None)
    if reason is None and (found := _BLANK.search(text)):
        return f"holds the placeholder {found[0][:24]} where text was taken out"
    return reason
