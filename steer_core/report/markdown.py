"""A report as Markdown: the same tables and verdicts, without figures."""

from __future__ import annotations

import re

from steer_core.report.blocks import (
    MARKS,
    Block,
    Callout,
    Cards,
    Code,
    Document,
    Facts,
    Figure,
    Heading,
    Paragraph,
    Table,
)

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def to_markdown(document: Document) -> str:
    """The document as Markdown (GitHub's tables)."""
    parts = [f"# {escape(document.title)}", escape(document.subtitle)]
    parts += [text for block in document.blocks if (text := block_text(block))]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def block_text(block: Block) -> str:
    """One block; of a figure what it shows."""
    match block:
        case Heading(text, level):
            return f"{'#' * level} {escape(text)}"
        case Paragraph(text):
            return escape(text)
        case Callout(text, tone):
            return f"> **{MARKS[tone]}.** {escape(text)}"
        case Cards(cards):
            return "\n".join(
                f"- **{escape(card.label)}: {escape(card.headline)}.** {escape(card.sentence)}"
                for card in cards
            )
        case Facts(rows):
            return table_text(("", ""), rows, 2)
        case Table():
            caption = f"**{escape(block.caption)}**\n\n" if block.caption else ""
            return caption + table_text(block.columns, block.rows, block.left)
        case Code(lines):
            return "\n".join(["```", *lines, "```"])
        case Figure(_, caption):
            return f"*The figure is in the HTML report.* {escape(caption)}"


def table_text(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...], left: int) -> str:
    """A table; all but the first `left` columns are set to the right."""
    marks = ["---" if i < left else "---:" for i in range(len(columns))]
    lines = [[escape(cell) for cell in row] for row in (columns, *rows)]
    lines.insert(1, marks)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
