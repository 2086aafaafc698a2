"""Directions side by side at equal dose and equal KL: a figure and a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from steer_core.analysis.equal import DOSE, KL, LEVELS, Side, compared
from steer_core.report.blocks import Block, Figure, Heading, Table
from steer_core.report.source import Source

COLOURS = ("#6b3fd4", "#d07a00", "#0f8a6c", "#b83280", "#0b5ea8", "#a34400", "#5b6270")
LEVEL_WORDS = {KL: "KL {:g}", DOSE: "dose {:g}"}


def equal_figure(sides: Sequence[Side]) -> go.Figure:
    """Accuracy change against KL, and against damage; a line for each side of each curve."""
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.06)
    for i, side in enumerate(sides):
        look = {"color": COLOURS[i // 2 % len(COLOURS)], "dash": "solid" if i % 2 == 0 else "dot"}
        for column, x in ((1, side.kl_number), (2, 100 * side.damage)):
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=side.change,
                    name=side.name,
                    mode="lines+markers",
                    line=look,
                    legendgroup=side.name,
                    showlegend=column == 1,
                    customdata=side.alphas,
                    hovertemplate="|α| %{customdata:g}: %{y:+.1f} points<extra>%{fullData.name}",
                ),
                row=1,
                col=column,
            )
    figure.update_xaxes(title_text="mean KL where numbers begin (nats)", row=1, col=1)
    figure.update_xaxes(title_text="damage: right answers lost (%)", row=1, col=2)
    figure.update_yaxes(title_text="accuracy change (points)", row=1, col=1)
    figure.update_layout(height=420, legend={"orientation": "h", "y": -0.25})
    return figure


def equal_table(found: pd.DataFrame, caption: str) -> Table:
    """A row for each side, a column for each level: change in points, and damage."""
    levels = list(dict.fromkeys(found.level))
    by = str(found.by.iloc[0])
    rows = tuple(
        (str(name), *(cell(row) for row in some.itertuples()))
        for name, some in found.groupby("name", sort=False)
    )
    heads = ("", *(LEVEL_WORDS[by].format(level) for level in levels))
    return Table(heads, rows, caption)


def cell(row) -> str:
    """Change and damage at one level; a dash where the side does not get so far."""
    return "–" if pd.isna(row.change) else f"{row.change:+.1f} ({100 * row.damage:.0f} % lost)"


def equal(source: Source) -> list[Block]:
    """The section; nothing where a run has one direction only."""
    sides = source.sides
    if len({(side.direction, side.operation) for side in sides}) < 2:
        return []
    caption = (
        "Change of accuracy in points, and the share of right answers lost, where the mean over "
        "pairs has this value; straight lines between α, a dash where no α of the run gets so far."
    )
    tables = [
        equal_table(compared(sides, by), f"At equal {words}. {caption}")
        for by, words in ((KL, "KL"), (DOSE, "dose"))
        if any(side.at(by, LEVELS[by][0]) for side in sides)
    ]
    drawn = Figure(
        equal_figure(sides),
        "Accuracy against what it costs. Left: at equal change of what the answer says; right: "
        "against right answers lost. Solid α > 0, dotted α < 0.",
    )
    return [Heading("Directions at equal dose and KL"), drawn, *tables]
