"""The parts of a report, without a format: built once, written as HTML or as Markdown.

All texts are plain; whoever writes them escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

Tone = Literal["note", "chosen", "warning"]
MARKS = {"note": "Note", "chosen": "Chosen on the data shown", "warning": "Warning"}
"""The first words of a remark of each tone."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; `level` 1 is that of a report among several, 2 a section's, 3 that of a part."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Callout:
    """A remark that must be seen: "chosen" marks a setting that was chosen on the data shown."""

    text: str
    tone: Tone = "note"


@dataclass(frozen=True, slots=True)
class Card:
    """A verdict: what it is of, its kind, its headline and the sentence that says why."""

    label: str
    kind: str
    headline: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Cards:
    """Verdicts beside each other."""

    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, one a line."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    A line break in a cell is kept where the format can. `left` columns from the first are words,
    the others numbers; `marked` rows stand out; `folded` tables open on a click, `small` ones stand
    beside each other.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    left: int = 1
    marked: frozenset[int] = frozenset()
    folded: bool = False
    small: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and what it shows in words."""

    figure: go.Figure
    caption: str


@dataclass(frozen=True, slots=True)
class Code:
    """Commands."""

    lines: tuple[str, ...]


Block = Heading | Paragraph | Callout | Cards | Facts | Table | Figure | Code


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report: `title`, a line under it, and its blocks in order."""

    title: str
    subtitle: str
    blocks: tuple[Block, ...]
