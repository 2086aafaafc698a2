"""Figures are functions of the analysis: their arrays and labels."""

import numpy as np
import pytest
import synthetic_runs as runs

from steer_core.analysis.analyse import Analysis, analyse
from steer_core.pipeline.prepared import FunnelStep
from steer_core.report import figures


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    table = runs.run_table(runs.planted, layers=[1, 2, 5], pairs=60, random=6, shuffled=4)
    return analyse(table, resamples=999, bootstrap=99)


def named(figure, name: str) -> list:
    return [trace for trace in figure.data if trace.name == name]


def test_accuracy_is_that_of_the_points(analysis: Analysis):
    figure = figures.accuracy_figure(analysis)
    lines = named(figure, "the direction")
    assert len(lines) == 3
    drawn = np.concatenate([line.y for line in lines])
    assert drawn == pytest.approx(analysis.points["accuracy"].to_numpy())
    assert list(lines[0].x) == list(analysis.alphas)
    assert [note.text for note in figure.layout.annotations] == ["Layer 1", "Layer 2", "Layer 5"]


def test_bands_are_those_of_the_controls(analysis: Analysis):
    figure = figures.accuracy_figure(analysis)
    for kind, name, count in (("random", "random", 6), ("shuffled", "label-shuffled", 4)):
        (first, *_) = named(figure, f"{count} {name} directions (95 %)")
        band = analysis.bands[(analysis.bands["kind"] == kind) & (analysis.bands["layer"] == 1)]
        assert list(first.y) == pytest.approx(band["high"].tolist())


def test_the_baseline_is_a_line_at_its_height(analysis: Analysis):
    for line in named(figures.accuracy_figure(analysis), "baseline (α = 0)"):
        assert list(line.y) == [analysis.baseline] * 2


def test_a_legend_names_everything_once(analysis: Analysis):
    for figure in [figures.accuracy_figure(analysis), *figures.outcome_figures(analysis)]:
        shown = [trace.name for trace in figure.data if trace.showlegend]
        assert len(shown) == len(set(shown)) == (5 if "baseline (α = 0)" in shown else 4)


def test_the_heatmap_is_centred_on_no_change(analysis: Analysis):
    (heat,) = figures.heatmap_figure(analysis).data
    assert np.array(heat.z).shape == (3, 13)
    assert heat.zmid == 0
    assert heat.zmin == -heat.zmax
    assert heat.zmax >= np.abs(heat.z).max()
    assert list(heat.y) == ["Layer 1", "Layer 2", "Layer 5"]
    assert heat.x[0] == "−3"
    assert heat.x[-1] == "+3"
    row = analysis.points.query("layer == 5 and alpha == -3").iloc[0]
    assert heat.z[2][0] == pytest.approx(100 * row["change"])
    assert heat.text[2][0].endswith("*") == (row["p_max"] <= 0.05)


def test_outcomes_have_a_row_each(analysis: Analysis):
    (figure,) = figures.outcome_figures(analysis)
    lines = named(figure, "the direction")
    assert len(lines) == 5 * 3
    margin = analysis.outcomes.query("outcome == 'margin' and layer == 1")
    assert list(lines[0].y) == pytest.approx(margin["mean"].tolist())
    (shade, *_) = named(figure, "95 % of the change")
    start = margin["mean"] - margin["change"]
    assert list(shade.y) == pytest.approx((start + margin["high"]).tolist())


def test_an_outcome_that_one_curve_lacks_is_missing_there_only():
    table = runs.run_table(runs.planted, layers=[1, 2], pairs=20, random=0, shuffled=0)
    table.loc[table["layer"].eq(1).fillna(False), "margin"] = np.nan
    found = analyse(table, resamples=99, bootstrap=99)
    (figure,) = figures.outcome_figures(found)
    lengths = [len(line.x) for line in named(figure, "the direction")]
    assert lengths == [0, 13] + [13] * 8


def test_many_curves_are_drawn_in_parts():
    table = runs.run_table(layers=range(1, 10), pairs=20, random=0, shuffled=0, alphas=(-1, 1))
    found = analyse(table, resamples=99, bootstrap=99)
    assert len(figures.outcome_figures(found)) == 3
    assert len(named(figures.accuracy_figure(found), "the direction")) == 9


def test_the_funnel_shows_counts_in_order():
    steps = [FunnelStep("rows", 532, 532), FunnelStep("a < b", 421, 532)]
    (bar,) = figures.funnel_figure(steps).data
    assert list(bar.x) == [532, 421]
    assert list(bar.y) == ["rows", "a &lt; b"]
    assert bar.text[1] == "421 of 532  (79.1 %)"
