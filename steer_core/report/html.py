"""A report as one HTML file that needs nothing else: style, figures and their library inside."""

from __future__ import annotations

import html
import re
from itertools import count
from pathlib import Path

import plotly
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from steer_core.report.blocks import (
    MARKS,
    Block,
    Callout,
    Card,
    Cards,
    Code,
    Document,
    Facts,
    Figure,
    Heading,
    Paragraph,
    Table,
)

STATIC = Path(__file__).parent / "static"
GLUED = re.compile(r"(?<=\d) (?=%|pts|points)|(?<=[αp]) (?=[=<])|(?<=[αp] [=<]) ")
"""Spaces where no line may break: "80 %", "α = −3"."""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="steer_core, plotly {plotly}">
<title>{title}</title>
<script>{theme}</script>
<style>{style}</style>
{library}
</head>
<body>
<main>
<header><h1>{title}</h1><p class="subtitle">{subtitle}</p></header>
{contents}
{body}
</main>
{script}
</body>
</html>
"""


def to_html(document: Document) -> str:
    """The document as one page."""
    numbers = count(1)
    anchors = [f"s{next(numbers)}" for _ in document.blocks]
    sections = [
        (anchor, block)
        for anchor, block in zip(anchors, document.blocks, strict=True)
        if isinstance(block, Heading) and block.level < 3
    ]
    drawn = any(isinstance(block, Figure) for block in document.blocks)
    script = (STATIC / "report.js").read_text("utf-8")
    return PAGE.format(
        title=escape(document.title),
        subtitle=escape(document.subtitle),
        plotly=plotly.__version__,
        theme=(STATIC / "theme.js").read_text("utf-8"),
        style=(STATIC / "report.css").read_text("utf-8"),
        library=f"<script>{get_plotlyjs()}</script>" if drawn else "",
        contents=contents(sections),
        body="\n".join(map(block_html, document.blocks, anchors)),
        script=f"<script>{script}</script>" if drawn else "",
    )


def escape(text: str) -> str:
    """Text that HTML shows as it is; numbers stay with their signs and units."""
    return html.escape(GLUED.sub("\u00a0", text))


def contents(sections: list[tuple[str, Heading]]) -> str:
    """Links to the sections."""
    links = "".join(
        f'<a{" class=part" if block.level == 1 else ""} href="#{anchor}">{escape(block.text)}</a>'
        for anchor, block in sections
    )
    return f'<nav aria-label="Contents">{links}</nav>'


def block_html(block: Block, anchor: str) -> str:
    """One block; headings can be linked to by their anchor."""
    match block:
        case Heading(text, 1):
            return f'<h2 class="part" id="{anchor}">{escape(text)}</h2>'
        case Heading(text, level):
            return f'<h{level} id="{anchor}">{escape(text)}</h{level}>'
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Callout(text, tone):
            return f'<p class="callout {tone}"><b>{MARKS[tone]}.</b> {escape(text)}</p>'
        case Cards(cards):
            return f'<div class="cards">{"".join(map(card_html, cards))}</div>'
        case Facts(rows):
            items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows)
            return f"<dl>{items}</dl>"
        case Table():
            return table_html(block)
        case Code(commands):
            return f"<pre><code>{html.escape(chr(10).join(commands))}</code></pre>"
        case Figure(figure, caption):
            return figure_html(figure, caption, f"f{anchor}")


def card_html(card: Card) -> str:
    """A verdict; its kind is said in words as well as in colour."""
    return (
        f'<section class="card {card.kind.replace(" ", "-")}"><h3>{escape(card.label)}</h3>'
        f'<p class="kind">{escape(card.headline)}</p><p>{escape(card.sentence)}</p></section>'
    )


def table_html(table: Table) -> str:
    """A table, folded away where it asks for it."""
    head = "".join(
        f"<th{cell_class(i, table)} scope=col>{escape(name)}</th>"
        for i, name in enumerate(table.columns)
    )
    body = "".join(
        f"<tr{' class=marked' if i in table.marked else ''}>"
        + "".join(f"<td{cell_class(j, table)}>{lines(cell)}</td>" for j, cell in enumerate(row))
        + "</tr>"
        for i, row in enumerate(table.rows)
    )
    caption = escape(table.caption)
    inner = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    if table.folded:
        return f"<details><summary>{caption}</summary><div class=wide>{inner}</div></details>"
    named = f"<p class=caption>{caption}</p>" if caption else ""
    size = " small" if table.small else ""
    return f'<div class="block{size}">{named}<div class=wide>{inner}</div></div>'


def lines(text: str) -> str:
    """A cell, its line breaks kept."""
    return escape(text).replace("\n", "<br>")


def cell_class(column: int, table: Table) -> str:
    """Words stand left, numbers right."""
    return "" if column < table.left else " class=n"


def figure_html(figure: go.Figure, caption: str, anchor: str) -> str:
    """A figure: its data as JSON, drawn by the script at the end of the page."""
    # "</script>" inside a text would end the element; in JSON a slash may be escaped.
    data = re.sub("<(?=[/!])", "\\\\u003c", str(figure.to_json()))
    height = figure.layout.height  # type: ignore[union-attr]
    return (
        f'<figure><div class="plot" id="{anchor}" style="height:{height}px" role="img" '
        f'aria-label="{escape(caption)}"></div>'
        f'<script type="application/json" data-for="{anchor}">{data}</script>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
