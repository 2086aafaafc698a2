"""The figures of a report, each a pure function of an analysis."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from steer_core.analysis.analyse import Analysis
from steer_core.analysis.tables import NAME
from steer_core.names import COVARIANCE, KIND_WORDS, NUISANCE, RANDOM, SHUFFLED
from steer_core.pipeline.prepared import FunnelStep
from steer_core.report import words

INK, SOFT, GRID = "#1f2430", "#5b6270", "#e4e6eb"
STEERED, BASELINE = "#6b3fd4", "#6b7280"
WILSON = "rgba(107, 63, 212, 0.16)"
NOISE = "rgba(110, 118, 134, 0.28)"
DOTTED = {SHUFFLED: "#d07a00", COVARIANCE: "#0f8a6c", NUISANCE: "#b83280"}
"""Colours of the bands that lie where a direction lies."""
MARK = "#a34400"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
DIVERGING = [[0, "#b2420a"], [0.25, "#eaa67c"], [0.5, "#f7f7f7"], [0.75, "#86b5dd"], [1, "#0b5ea8"]]
ACROSS = 2  # panels side by side
MOST_COLUMNS = 4  # of outcomes; fewer rows of a heatmap than this leave no room for a scale
OUTCOME_TITLES = {
    "margin": "margin<br>(logits)",
    "logprob_gold": "log p(gold)<br>(nats)",
    "logprob_twin": "log p(twin)<br>(nats)",
    "kl_number": "KL at the<br>number (nats)",
    "dose": "dose<br>‖edit‖ / ‖state‖",
}


def accuracy_figure(analysis: Analysis) -> go.Figure:
    """Accuracy against α, one panel a curve: Wilson band, band of each kind of control, baseline.

    Bands of controls are their 2.5 and 97.5 % points. All panels share one scale.
    """
    labels = curve_labels(analysis)
    across = min(ACROSS, len(labels))
    down = -(-len(labels) // across)
    figure = panels(down, across, labels, height=70 + 265 * down, titles_gap=0.055)
    for i in range(len(labels)):
        row, column = i // across + 1, i % across + 1
        for trace in accuracy_traces(analysis, i):
            figure.add_trace(trace, row=row, col=column)
        last = i >= len(labels) - across
        figure.update_xaxes(title_text="α" if last else None, row=row, col=column)
    low, high = accuracy_range(analysis)
    figure.update_yaxes(range=[low, high], tickformat=".0%")
    figure.update_yaxes(title_text="accuracy", col=1)
    return figure


def accuracy_range(analysis: Analysis) -> tuple[float, float]:
    """A common range of accuracies with a little air, within 0..1."""
    values = [analysis.points["low"], analysis.points["high"]]
    values += [analysis.bands[name] for name in ("low", "high") if name in analysis.bands]
    low = min(float(np.min(each)) for each in values)
    high = max(float(np.max(each)) for each in values)
    return max(0.0, low - 0.04), min(1.0, high + 0.04)


def accuracy_traces(analysis: Analysis, curve: int) -> list[go.Scatter]:
    """The traces of one curve; names are shown in the legend once, with the first."""
    points = of_curve(analysis.points, analysis, curve)
    bands = of_curve(analysis.bands, analysis, curve)
    x, first = points["alpha"], curve == 0
    traces = [go.Scatter(x=x, y=points["low"], **EDGE)]
    traces.append(go.Scatter(x=x, y=points["high"], **area("95 % (Wilson)", WILSON, first)))
    for kind in analysis.controls:
        band = pd.DataFrame(bands[bands["kind"] == kind])
        name = f"{analysis.controls[kind]} {KIND_WORDS[kind]} directions (95 %)"
        traces += control_band(kind, x, band["low"], band["high"], name, first)
    base = [analysis.baseline] * 2
    ends = [x.min(), x.max()]
    line = {"color": BASELINE, "width": 1.5, "dash": "dash"}
    named = {"name": "baseline (α = 0)", "legendgroup": "baseline", "showlegend": first}
    traces.append(go.Scatter(x=ends, y=base, mode="lines", line=line, hoverinfo="skip", **named))
    return [*traces, accuracy_line(points, first)]


def accuracy_line(points: pd.DataFrame, first: bool) -> go.Scatter:
    """The real direction's accuracies, with counts to hover over."""
    return go.Scatter(
        x=points["alpha"],
        y=points["accuracy"],
        mode="lines+markers",
        line={"color": STEERED, "width": 2.2},
        marker={"color": STEERED, "size": 6},
        name="the direction",
        legendgroup="real",
        showlegend=first,
        customdata=points[["correct", "n", "won", "lost", "p_max"]],
        hovertemplate="α = %{x}: %{y:.1%}<br>%{customdata[0]} of %{customdata[1]} right<br>"
        "wrong → right %{customdata[2]}, right → wrong %{customdata[3]}<br>"
        "adjusted p = %{customdata[4]:.2g}<extra></extra>",
    )


def heatmap_figure(analysis: Analysis) -> go.Figure:
    """Change in accuracy in points, curves × α, colours centred on 0; * for adjusted p ≤ .05."""
    labels = curve_labels(analysis)
    shape = len(labels), len(analysis.alphas)
    change = 100 * analysis.points["change"].to_numpy().reshape(shape)
    stars = analysis.points["p_max"].to_numpy().reshape(shape) <= 0.05
    most = max(1.0, float(np.abs(change).max()))
    texts = [
        [words.decimal(x, 1, sign=True) + "*" * bool(s) for x, s in zip(row, marks, strict=True)]
        for row, marks in zip(change, stars, strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            x=[words.alpha(x) for x in analysis.alphas],
            y=labels,
            z=change,
            zmin=-most,
            zmid=0,
            zmax=most,
            colorscale=DIVERGING,
            text=texts if shape[1] <= 25 else None,
            texttemplate="%{text}" if shape[1] <= 25 else None,
            textfont={"size": 11},
            showscale=shape[0] >= MOST_COLUMNS,
            colorbar={"title": {"text": "points"}, "thickness": 12, "outlinewidth": 0},
            hovertemplate="%{y}, α = %{x}: %{z:+.1f} points<extra></extra>",
            xgap=1,
            ygap=1,
        )
    )
    style(figure, 66 + 36 * shape[0], top=12)
    figure.update_xaxes(title_text="α", type="category", showgrid=False, ticks="")
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True, ticks="")
    return figure


def outcome_figures(analysis: Analysis) -> list[go.Figure]:
    """Continuous outcomes against α, a row each, a column a curve; several figures when many."""
    curves = list(range(len(analysis.results)))
    parts = [curves[i : i + MOST_COLUMNS] for i in range(0, len(curves), MOST_COLUMNS)]
    measured = set(analysis.outcomes["outcome"])
    shown = [name for name in OUTCOME_TITLES if name in measured]
    return [outcome_figure(analysis, shown, part) for part in parts if shown]


def outcome_figure(analysis: Analysis, shown: Sequence[str], curves: Sequence[int]) -> go.Figure:
    """These outcomes of these curves; a row shares its scale."""
    labels = [curve_labels(analysis)[i] for i in curves]
    figure = panels(len(shown), len(curves), labels, height=80 + 150 * len(shown))
    for row, outcome in enumerate(shown, start=1):
        for column, curve in enumerate(curves, start=1):
            rows = of_curve(analysis.outcomes, analysis, curve)
            rows = pd.DataFrame(rows[rows["outcome"] == outcome])
            first = row == column == 1
            for trace in outcome_traces(rows, list(analysis.controls), first):
                figure.add_trace(trace, row=row, col=column)
        figure.update_yaxes(title_text=OUTCOME_TITLES[outcome], row=row, col=1)
    figure.update_xaxes(title_text="α", row=len(shown))
    figure.update_yaxes(title_font_size=11, nticks=5)
    return figure


def outcome_traces(rows: pd.DataFrame, controls: Sequence[str], first: bool) -> list[go.Scatter]:
    """Mean with the interval of its change, over the bands of the controls."""
    x, mean = rows["alpha"], rows["mean"]
    traces = []
    for kind in controls:
        name = f"{KIND_WORDS[kind]} directions (95 %)"
        low, high = rows[f"{kind}_low"], rows[f"{kind}_high"]
        traces += control_band(kind, x, low, high, name, first)
    start = mean - rows["change"]
    traces.append(go.Scatter(x=x, y=start + rows["low"], **EDGE))
    band = area("95 % of the change", WILSON, first)
    traces.append(go.Scatter(x=x, y=start + rows["high"], **band))
    line = go.Scatter(
        x=x,
        y=mean,
        mode="lines",
        line={"color": STEERED, "width": 2},
        name="the direction",
        showlegend=first,
        hovertemplate="α = %{x}: %{y:.3g}<extra></extra>",
    )
    return [*traces, line]


ON_BAR = "#1c1730"
"""Ink on a bar, dark on a dark page too."""


def funnel_figure(steps: Sequence[FunnelStep]) -> go.Figure:
    """Counts on the way from all rows to the splits, as bars from the first to the last."""
    figure = go.Figure(
        go.Bar(
            x=[step.count for step in steps],
            y=[escape(step.name) for step in steps],
            orientation="h",
            marker={"color": "#a48be3"},
            text=[f"{step.count:,} of {step.of:,}  ({step.percent:.1f} %)" for step in steps],
            # Inside where there is room: a narrow page would cut what stands behind a long bar.
            textposition="auto",
            insidetextanchor="end",
            insidetextfont={"color": ON_BAR},
            textangle=0,
            cliponaxis=False,
            hoverinfo="skip",
        )
    )
    style(figure, 16 + 27 * len(steps), top=4, bottom=8)
    most = max([step.count for step in steps], default=1) or 1
    figure.update_xaxes(range=[0, 1.25 * most], visible=False)
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False, ticks="")
    return figure


# --- shared parts --------------------------------------------------------------------------------

EDGE = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
"""The lower edge of a band, drawn before its upper one."""


def area(name: str, colour: str, legend: bool) -> dict:
    """The upper edge of a band, filled down to the trace before it."""
    return {
        "mode": "lines",
        "line": {"width": 0, "color": colour},
        "fill": "tonexty",
        "fillcolor": colour,
        "hoverinfo": "skip",
        "name": name,
        "legendgroup": name,
        "showlegend": legend,
    }


def control_band(kind: str, x, low, high, name: str, legend: bool) -> list[go.Scatter]:
    """The band of one kind of controls: noise shaded, each of the others between its own dots.

    They often lie on each other, and two shades would make a third.
    """
    if kind == RANDOM:
        lower, upper = EDGE, area(name, NOISE, legend)
    else:
        dots = {"width": 1.6, "color": DOTTED[kind], "dash": "dot"}
        lower = EDGE | {"line": dots}
        upper = lower | {"name": name, "legendgroup": name, "showlegend": legend}
    return [go.Scatter(x=x, y=low, **lower), go.Scatter(x=x, y=high, **upper)]


def mark(figure: go.Figure, text: str) -> None:
    """Write below a figure what else was looked at on its pairs, so that it says so alone too."""
    layout = figure.to_plotly_json()["layout"]
    below, height = layout["margin"]["b"], layout["height"]
    figure.update_layout(margin_b=below + 22, height=height + 22)
    figure.add_annotation(
        text=escape(text),
        font={"size": 11, "color": MARK},
        showarrow=False,
        **{"xref": "paper", "yref": "paper", "x": 0, "y": 0},
        **{"xanchor": "left", "yanchor": "top", "yshift": -below},
    )


def curve_labels(analysis: Analysis) -> list[str]:
    """Labels of the curves, safe in a figure, which reads its texts as HTML."""
    return [escape(label) for label in words.labels([each.name for each in analysis.results])]


def of_curve(table: pd.DataFrame, analysis: Analysis, curve: int) -> pd.DataFrame:
    """The rows of one curve."""
    name = analysis.results[curve].name
    mine = np.ones(len(table), bool)
    for column in NAME:
        mine &= table[column].to_numpy() == getattr(name, column)
    return pd.DataFrame(table[mine])


def panels(
    down: int, across: int, titles: Sequence[str], height: int, titles_gap: float = 0.0
) -> go.Figure:
    """Empty panels; a row shares its y axis, a column its x axis."""
    figure = make_subplots(
        rows=down,
        cols=across,
        subplot_titles=list(titles),
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=min((0.03 + titles_gap) * 2 / max(down, 2), 0.9 / max(down - 1, 1)),
    )
    style(figure, height)
    figure.update_annotations(font={"size": 14, "color": INK})
    return figure


def style(figure: go.Figure, height: int, top: int = 56, bottom: int = 44) -> None:
    """Fonts, colours and margins that all figures have."""
    figure.update_layout(
        height=height,
        width=None,
        margin={"l": 64, "r": 16, "t": top, "b": bottom},
        paper_bgcolor="#ffffff",
        plot_bgcolor="#ffffff",
        font={"family": FONT, "size": 13, "color": INK},
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
        hoverlabel={"bgcolor": "#ffffff", "bordercolor": STEERED, "font": {"color": INK}},
        dragmode=False,
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, linecolor=GRID, ticks="outside")
    figure.update_yaxes(gridcolor=GRID, zeroline=False, linecolor=GRID)
    figure.update_xaxes(tickcolor=GRID, fixedrange=True)
    figure.update_yaxes(tickcolor=GRID, fixedrange=True)
