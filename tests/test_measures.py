"""Verdicts by what answers do, right or wrong: rose, fell, became the twin's."""

import numpy as np
import pandas as pd
import pytest
import synthetic_runs as runs

from steer_core.analysis.analyse import Analysis, analyse
from steer_core.analysis.statistics import wilson


def analysed(table: pd.DataFrame) -> Analysis:
    return analyse(table, resamples=999, bootstrap=99)


def raised(kinds: tuple[str, ...], by: float = 1000.0, every: int = 1) -> pd.DataFrame:
    """A run without effects in which wrong answers are larger by so much at α = 1.

    In curves of some kinds, and there in each `every`-th pair.
    """
    table = runs.run_table(noise=0.0, pairs=80, layers=[1], alphas=(-1, 1))
    own = table[table["kind"] == "baseline"].set_index("question_index")["answer"]
    own = own.loc[table["question_index"]].to_numpy()
    table.loc[table["kind"] != "baseline", "answer"] = own[table["kind"] != "baseline"]
    moved = table["kind"].isin(kinds) & (table["alpha"] == 1) & ~table["correct"]
    moved &= table["question_index"] % every == 0
    table.loc[moved, "answer"] += by
    return table


def kinds_of(found: Analysis) -> dict[str, str]:
    return {name: each.verdict.kind for name, (each,) in found.changes.items()}


def test_answers_that_rise_are_an_effect_where_accuracy_has_none():
    found = analysed(raised(("real",)))
    assert found.results[0].verdict.kind == "no effect"
    assert kinds_of(found) == {"rose": "effect", "fell": "no effect", "to_twin": "no effect"}
    verdict = found.changes["rose"][0].verdict
    table = raised(("real",))
    real = table[(table["kind"] == "real") & (table["alpha"] == 1)]
    share = ((~real["correct"]) & real["answer"].notna()).mean()
    assert (verdict.alpha, verdict.change) == (1, pytest.approx(share))
    assert f"at α = 1 {100 * share:.1f} % of answers rise" in verdict.sentence
    assert verdict.headline.startswith("effect on the share of answers that rise: ")
    assert "accuracy" not in verdict.sentence
    assert "no answer falls" in found.changes["fell"][0].verdict.sentence


def test_answers_that_fall_are_told_from_those_that_rise():
    assert kinds_of(analysed(raised(("real",), by=-1000.0)))["fell"] == "effect"
    assert kinds_of(analysed(raised(("real",), by=-1000.0)))["rose"] == "no effect"


def test_answers_that_rise_along_every_direction_are_as_random():
    found = analysed(raised(("real", "random", "shuffled")))
    assert kinds_of(found)["rose"] == "as random"
    assert "of answers rise, like label-shuffled" in found.changes["rose"][0].verdict.headline


def test_answers_that_become_the_twins_are_counted_where_they_were_not_before():
    table = runs.run_table(noise=0.0, pairs=80, layers=[1], alphas=(-1, 1))
    real = (table["kind"] == "real") & (table["alpha"] == -1)
    base = table[table["kind"] == "baseline"].set_index("question_index")
    before = base.loc[table.loc[real, "question_index"], "answer"].to_numpy()
    twin = table.loc[real, "twin"].to_numpy(float)
    table.loc[real, "answer"] = twin
    table.loc[real, "correct"] = False
    (each,) = analysed(table).changes["to_twin"]
    assert each.verdict.kind == "effect"
    assert each.verdict.change == pytest.approx(np.mean(before != twin))


def test_measures_are_one_family():
    """Twenty controls are enough, and p-values are corrected over the three measures."""
    found = analysed(raised(("real",), every=2))
    (one,) = found.changes["rose"]
    assert one.curve.looks == found.results[0].curve.looks == 1
    assert [each.rank.smallest_p for each in one.curve.comparable] == [pytest.approx(1 / 21)]
    assert one.verdict.kind == "effect"


def test_without_controls_nothing_is_said_to_move_answers():
    table = raised(("real",))
    (each,) = analysed(pd.DataFrame(table[table["kind"].isin(("baseline", "real"))])).changes[
        "rose"
    ]
    assert each.verdict.kind == "too few controls"
    low, high = wilson(each.curve.wrong_to_right, each.curve.n)
    assert ((low <= each.curve.change) & (each.curve.change <= high)).all()
