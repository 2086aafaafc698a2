"""From the table of a run to its numbers and verdicts, on tables with known effects."""

import time

import numpy as np
import pandas as pd
import pytest
import synthetic_runs as runs

from steer_core.analysis.analyse import Analysis, analyse
from steer_core.analysis.cells import FLIPS, STATES
from steer_core.analysis.statistics import holm, mcnemar_exact, wilson
from steer_core.analysis.tables import STANDING_OUT, stand_out
from steer_core.errors import UserError


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return runs.run_table(runs.planted)


@pytest.fixture(scope="module")
def planted(table: pd.DataFrame) -> Analysis:
    return analyse(table)


def kinds(table: pd.DataFrame) -> list[str]:
    return [each.verdict.kind for each in analyse(table, resamples=999, bootstrap=99).results]


def test_a_planted_effect_is_found(planted: Analysis):
    assert [each.verdict.kind for each in planted.results] == ["effect", "effect"]
    assert all(each.verdict.alpha < 0 for each in planted.results)
    assert "label-shuffled" in planted.results[0].verdict.sentence


def test_an_edit_that_changes_nothing_never_arrived():
    assert kinds(runs.run_table(dead=True)) == ["edit never arrived"] * 2


def test_scores_that_move_without_a_flip_are_no_dead_edit():
    table = runs.run_table(noise=0.0, pairs=240, layers=[1])
    assert kinds(table) == ["no effect"]
    assert kinds(table.assign(shift=9e-6)) == ["edit never arrived"]
    assert kinds(table.assign(shift=1.1e-5)) == ["no effect"]
    assert kinds(table.drop(columns="shift")) == ["no effect"]
    assert kinds(table.drop(columns="shift").assign(kl=0.0)) == ["edit never arrived"]
    assert kinds(table.drop(columns=["shift", "kl"])) == ["no effect"]


def test_six_pairs_are_too_few():
    assert kinds(runs.run_table(pairs=6, noise=0.0)) == ["too small to tell"] * 2


def test_a_direction_that_does_what_every_direction_does_is_as_random():
    assert kinds(runs.run_table(runs.everywhere, layers=[1])) == ["as random"]


def test_points_are_those_of_the_rows(table: pd.DataFrame, planted: Analysis):
    points = planted.points
    assert len(points) == 2 * 13
    row = points[points["layer"].eq(2) & points["alpha"].eq(-2.5)].iloc[0]
    mine = table[table["layer"].eq(2) & table["alpha"].eq(-2.5) & table["kind"].eq("real")]
    before = table[table["kind"].eq("baseline")].set_index("question_index")["correct"]
    after = mine.set_index("question_index")["correct"]
    before = before.loc[after.index]
    won, lost = (after & ~before).sum(), (~after & before).sum()
    assert (row["won"], row["lost"]) == (won, lost)
    assert (row["n"], row["correct"]) == (120, after.sum())
    assert (row["low"], row["high"]) == pytest.approx(wilson(after.sum(), 120))
    assert row["change"] == pytest.approx((won - lost) / 120)
    assert row["p_mcnemar"] == pytest.approx(mcnemar_exact(won, lost))
    counts = mine["flip"].value_counts()
    assert {kind: row[kind] for kind in FLIPS} == {kind: counts.get(kind, 0) for kind in FLIPS}
    assert row["flips"] == (mine["flip"] != "").sum()


def test_holm_covers_the_run_without_the_baseline(planted: Analysis):
    edited = planted.points[planted.points["alpha"].ne(0)]
    assert edited["p_holm"].to_numpy() == pytest.approx(holm(edited["p_mcnemar"]))
    zero = planted.points[planted.points["alpha"].eq(0)]
    assert planted.points["p_max"].tolist() == [p for each in planted.results for p in each.curve.p]
    assert (edited["p_max"] >= edited["p_mcnemar"] - 1e-3).all()
    assert (edited["p_max"] > edited["p_mcnemar"] + 0.05).any()  # it is corrected for the run
    assert zero["change"].tolist() == [0, 0]
    assert zero["correct"].tolist() == [planted.correct] * 2
    assert (zero[["p_holm", "p_mcnemar", "p_max"]] == 1).all(axis=None)


def test_bands_are_quantiles_of_the_controls(table: pd.DataFrame, planted: Analysis):
    rows = table[table["kind"].eq("random") & table["layer"].eq(1) & table["alpha"].eq(1.5)]
    accuracy = rows.groupby("direction")["correct"].mean()
    band = planted.bands.query("kind == 'random' and layer == 1 and alpha == 1.5").iloc[0]
    assert band["controls"] == 20
    assert (band["least"], band["most"]) == pytest.approx((accuracy.min(), accuracy.max()))
    assert band["low"] == pytest.approx(np.percentile(accuracy, 2.5))
    assert band["high"] == pytest.approx(np.percentile(accuracy, 97.5))


def test_the_rank_is_exact(planted: Analysis):
    band = planted.bands.query("kind == 'shuffled' and layer == 1 and alpha == -3").iloc[0]
    assert (band["rank"], band["p"]) == (1, pytest.approx(1 / 21))
    assert band["excess_p"] == pytest.approx(1 / 21)


def test_outcomes_have_intervals_of_their_change(planted: Analysis):
    margin = planted.outcomes.query("outcome == 'margin' and layer == 1").set_index("alpha")
    assert margin.loc[0, ["change", "low", "high"]].tolist() == [0, 0, 0]
    low = margin.loc[-3]
    assert low["low"] < low["change"] < low["high"] < 0
    assert low["mean"] == pytest.approx(margin.loc[0, "mean"] + low["change"])
    assert low["random_low"] <= low["random_high"]
    dose = planted.outcomes.query("outcome == 'dose' and layer == 1").set_index("alpha")["mean"]
    assert dose.to_numpy() == pytest.approx(0.1 * np.abs(runs.ALPHAS))


def test_pairs_of_one_id_are_one_draw_everywhere(table: pd.DataFrame):
    """120 questions of 60 ids: 120 are counted, and 60 drawn, by every number alike."""
    twice = table.assign(pair_id=(table["question_index"] // 2).astype(str))
    found = analyse(twice, resamples=99, bootstrap=99)
    assert (found.n, found.groups) == (120, 60)
    assert set(found.outcomes["n"]) == set(found.points["n"]) == {120}
    assert "120 pairs in 60 clusters" in found.results[0].verdict.sentence


def doubled(table: pd.DataFrame, **columns) -> pd.DataFrame:
    """Every pair twice, under a new id and index."""
    again = table.assign(
        question_index=table["question_index"] + 1000, pair_id="again " + table["pair_id"]
    )
    return pd.concat([table, again.assign(**columns)], ignore_index=True)


def test_doubled_questions_prove_no_more(table: pd.DataFrame, planted: Analysis):
    table = table.assign(question="How much is " + table["question_index"].astype(str) + "?")
    found = analyse(doubled(table), bootstrap=99)
    assert (found.n, found.groups) == (240, 120)
    for mine, single in zip(found.results, planted.results, strict=True):
        assert mine.curve.p == pytest.approx(single.curve.p, abs=0.02)
        assert mine.curve.low == pytest.approx(single.curve.low, abs=0.02)
        assert mine.verdict.kind == single.verdict.kind


def test_templates_are_clusters(table: pd.DataFrame):
    found = analyse(table.assign(cluster=table["question_index"] % 8), resamples=99, bootstrap=99)
    assert found.groups == 8
    assert found.results[0].curve.p.min() >= 1 / 128


def test_names_make_no_other_question(table: pd.DataFrame):
    names = table["question_index"].mod(2).map({0: "Tom", 1: "Mia"})
    number = (table["question_index"] // 2).astype(str)
    asked = table.assign(question=names + " has " + number + " apples.")
    assert analyse(asked, resamples=99, bootstrap=99).groups == 60


def test_looks_raise_every_corrected_p(table: pd.DataFrame, planted: Analysis):
    found = analyse(table, looks=3.0, bootstrap=99)
    assert found.points["p_max"].to_numpy() == pytest.approx(
        np.minimum(1, 3 * planted.points["p_max"])
    )
    assert found.bands["excess_p"].min() == pytest.approx(3 / 21)
    assert {each.verdict.kind for each in found.results} == {"too few controls"}


def test_a_score_that_is_no_number_is_left_out_and_said(table: pd.DataFrame):
    """An edit that breaks the arithmetic is neither unmoved nor beaten."""
    broken = table["kind"].eq("real") & table["alpha"].eq(3) & table["layer"].eq(1)
    found = analyse(table.assign(shift=table["shift"].mask(broken)), resamples=99, bootstrap=99)
    assert 3 not in found.alphas
    assert found.coverage.nonfinite == 120
    assert found.coverage.left_out == ("1 of 12 α",)
    control = table["direction"].eq("shuffled-4") & table["layer"].eq(1)
    found = analyse(table.assign(kl=table["kl"].mask(control, np.inf)), resamples=99, bootstrap=99)
    assert found.controls == {"random": 20, "shuffled": 19}
    marked = analyse(table.assign(nonfinite=control), resamples=99, bootstrap=99)
    assert marked.controls == {"random": 20, "shuffled": 19}


def test_scores_without_a_number_are_no_edit_that_never_arrived():
    table = runs.run_table(dead=True, layers=[1])
    with pytest.raises(UserError, match=r"rows hold a score that is no number"):
        analyse(table.assign(shift=np.inf), resamples=99, bootstrap=99)
    assert kinds(table.assign(shift=np.nan, kl=np.nan)) == ["no effect"]  # it was not measured


def test_balanced_pairs_are_weighed_back(table: pd.DataFrame):
    found = analyse(table, before=0.75, resamples=999, bootstrap=99)
    assert found.weighed
    assert found.baseline == pytest.approx(0.75)
    row = found.points.query("layer == 1 and alpha == -3").iloc[0]
    right, n = found.correct, found.n
    change = row["won"] * 0.25 / (n - right) - row["lost"] * 0.75 / right
    assert row["change"] == pytest.approx(change)
    assert row["accuracy"] == pytest.approx(0.75 + change)
    assert row["change_low"] < change < row["change_high"]
    assert found.results[0].verdict.change == pytest.approx(found.results[0].curve.change.min())
    band = found.bands.query("kind == 'shuffled' and layer == 1 and alpha == -3").iloc[0]
    assert band["contrast"] == pytest.approx(row["accuracy"] - band["mean"])


def test_an_outcome_that_was_not_measured_is_left_out(table: pd.DataFrame):
    found = analyse(table.assign(margin=np.nan, dose=None), resamples=99, bootstrap=99).outcomes
    assert "margin" not in set(found["outcome"])
    assert "dose" not in set(found["outcome"])
    assert "kl" in set(found["outcome"])


def test_transitions_add_up(planted: Analysis):
    assert len(planted.transitions) == 2 * 13 * len(STATES) ** 2
    totals = planted.transitions.groupby(["layer", "alpha"])["count"].sum()
    assert set(totals) == {120}
    row = planted.points.query("layer == 1 and alpha == -3").iloc[0]
    at = planted.transitions.query("layer == 1 and alpha == -3")
    assert at.query("before == 'right' and after != 'right'")["count"].sum() == row["lost"]
    assert at.query("before != 'right' and after == 'right'")["count"].sum() == row["won"]
    still = planted.transitions.query("alpha == 0 and before != after")
    assert still["count"].sum() == 0


def test_best_takes_the_largest_change_of_its_sign():
    def harm(direction, layer, alpha):
        real = direction == "mean_difference"
        return {-1.5: 0.3, -2.0: 0.2, 2.0: 0.15}.get(alpha, 0.0) if real else 0.0

    row = analyse(runs.run_table(harm, noise=0, layers=[1]), resamples=99, bootstrap=99).best.iloc[
        0
    ]
    assert row["suppression_alpha"] == -1.5
    assert row["amplification_alpha"] == 2.0  # no gain anywhere, so the largest loss is shown
    assert row["amplification_change"] < 0


def test_best_keeps_to_its_sign_and_ties_go_to_the_small_alpha():
    side = pd.DataFrame(
        {name: [1.0, 2.0, 3.0, 4.0] for name in STANDING_OUT}
        | {"alpha": [-4.0, -3.0, -2.0, -1.0], "change": [0.3, -0.1, -0.1, 0.0]}
    )
    assert stand_out(side, -1)["alpha"] == -2  # the loss, though the gain is larger
    assert stand_out(side, 1)["alpha"] == -4
    assert stand_out(side.iloc[1:], 1)["alpha"] == -2  # no gain: the largest loss


def test_best_of_a_flat_curve_names_no_alpha():
    row = analyse(runs.run_table(dead=True), resamples=99, bootstrap=99).best.iloc[0]
    assert np.isnan(row["suppression_alpha"])
    assert np.isnan(row["amplification_change"])


def test_power_is_that_of_the_verdict(planted: Analysis):
    first = planted.results[0]
    assert 0.03 < first.verdict.smallest < 0.3
    assert first.power.needed[0.05] > first.power.needed[0.1] > 60


def test_sites_without_layers_are_curves_of_their_own():
    table = runs.run_table(layers=[None, 3], random=2, shuffled=0, pairs=30)
    found = analyse(table, resamples=99, bootstrap=99)
    assert [each.name.layer for each in found.results] == [3, -1]
    assert [each.name.site for each in found.results] == ["residual", "thought"]
    assert found.controls == {"random": 2}


def test_a_run_without_controls_is_analysed(table: pd.DataFrame):
    bare = analyse(table[table["kind"].isin(["real", "baseline"])], resamples=99, bootstrap=99)
    assert bare.controls == {}
    assert bare.bands.empty
    assert "no controls were decoded" in bare.results[0].verdict.sentence


@pytest.mark.parametrize(
    ("keep", "left_out"),
    [
        ("question_index < 50 or kind == 'baseline'", "70 of 120 pairs"),
        ("abs(alpha) <= 1", None),
        ("layer.isna() or layer == 1 or abs(alpha) == 1", "82 curves"),
    ],
)
def test_the_complete_part_of_an_unfinished_run(table: pd.DataFrame, keep: str, left_out):
    part = table.query(keep) if "isna" not in keep else table.query(keep, engine="python")
    found = analyse(part, expected=len(table), resamples=99, bootstrap=99)
    assert not found.coverage.finished
    assert found.coverage.rows == len(part)
    assert found.coverage.expected == len(table)
    if left_out is None:
        assert found.alphas.tolist() == [-1, -0.5, 0, 0.5, 1]
    elif "pairs" in left_out:
        assert found.n == 50
        assert found.coverage.left_out == (left_out,)
    else:
        assert [each.name.layer for each in found.results] == [1]


def test_controls_belong_to_their_direction():
    """Two directions, each with controls of its own: "random-3 of one" says nothing about two."""

    def parts(label: str, lost: float):
        def harm(direction, layer, alpha):
            return lost * (direction == "random-1" and alpha == 1)

        table = runs.run_table(harm, layers=[1], pairs=60, random=3, shuffled=0, alphas=(-1, 1))
        names = {"mean_difference": label} | {
            f"random-{i}": f"random-{i} of {label}" for i in range(3)
        }
        return table.replace({"direction": names})

    one, two = parts("one", 0.5), parts("two", 0.0)
    table = pd.concat([one, two[two["kind"] != "baseline"]], ignore_index=True)
    found = analyse(table, resamples=99, bootstrap=99)
    assert [each.name.direction for each in found.results] == ["one", "two"]
    assert found.controls == {"random": 3}
    least = found.bands.query("alpha == 1").set_index("direction")["least"]
    assert least["one"] < least["two"] - 0.2


def test_controls_sort_by_their_numbers_and_must_be_everywhere(table: pd.DataFrame):
    lacking = table[~(table["direction"].eq("random-7") & table["layer"].eq(2))]
    assert analyse(lacking, resamples=99, bootstrap=99).controls == {"random": 19, "shuffled": 20}


def test_the_order_of_rows_does_not_matter(table: pd.DataFrame, planted: Analysis):
    shuffled = table.sample(frac=1, random_state=3)
    again = analyse(shuffled)
    pd.testing.assert_frame_equal(again.points, planted.points)
    pd.testing.assert_frame_equal(again.transitions, planted.transitions)


def test_tables_that_cannot_be_read_are_refused(table: pd.DataFrame):
    with pytest.raises(UserError, match="lacks kind, alpha"):
        analyse(table.drop(columns=["alpha", "kind"]))
    with pytest.raises(UserError, match="resume"):
        analyse(table[table["kind"].eq("baseline")])
    with pytest.raises(UserError, match="only control directions"):
        analyse(table[table["kind"].ne("real")])
    diagonal = (table["alpha"] * 2 + 6 == table["question_index"] % 13) & table["layer"].eq(1)
    with pytest.raises(UserError, match="no pair has been decoded at every α"):
        analyse(table[table["kind"].eq("baseline") | diagonal])


def test_half_a_million_rows_take_seconds():
    one = runs.run_table(layers=[1], pairs=240)
    layers = [one[one["kind"].ne("baseline")].assign(layer=layer) for layer in range(1, 5)]
    table = pd.concat([one[one["kind"].eq("baseline")], *layers], ignore_index=True)
    assert len(table) == 472_560
    began = time.process_time()  # a busy neighbour does not count
    analyse(table)
    assert time.process_time() - began < 20
