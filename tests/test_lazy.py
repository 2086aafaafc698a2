"""More controls only where they could still make an effect."""

import numpy as np
import pandas as pd
import pytest
import synthetic_runs as runs

from steer_core.analysis.analyse import analyse
from steer_core.analysis.lazy import more_controls_needed


def kinds(table: pd.DataFrame) -> set[str]:
    return {each.verdict.kind for each in analyse(table, resamples=499, bootstrap=99).results}


def test_a_direction_like_its_controls_is_decided_too():
    assert more_controls_needed(runs.run_table(runs.everywhere, layers=[1])) == ()


def test_what_looks_like_an_effect_is_asked_again_up_to_the_most():
    table = runs.run_table(runs.planted, layers=[1])
    assert more_controls_needed(table) == ("shuffled",)  # noise decides nothing
    assert more_controls_needed(table, most=20) == ()


def test_too_few_to_say_are_asked_for():
    table = runs.run_table(runs.planted, layers=[1], shuffled=5)
    assert kinds(table) == {"too few controls"}
    assert more_controls_needed(table) == ("shuffled",)
    assert more_controls_needed(table, looks=6.0) == ()  # not even 99 would do


def test_noise_alone_asks_for_nothing():
    assert more_controls_needed(runs.run_table(runs.planted, layers=[1], shuffled=0)) == ()


@pytest.mark.parametrize("seed", range(4))
def test_what_is_decided_would_not_have_been_an_effect(seed: int):
    """Judged by all controls, a run whose first 20 decide it is no effect."""

    def harm(direction, layer, alpha):
        rng = np.random.default_rng([seed, *direction.encode()])
        return rng.gamma(4, 0.01) * abs(alpha)

    whole = runs.run_table(harm, layers=[1], pairs=80, random=0, shuffled=99, seed=seed)
    number = whole["direction"].str.extract(r"shuffled-(\d+)")[0].astype(float)
    if not more_controls_needed(whole[~(number >= 20)]):
        assert "effect" not in kinds(whole)


def test_a_null_is_decided_by_the_first_controls():
    assert more_controls_needed(runs.run_table(layers=[1], seed=1)) == ()
