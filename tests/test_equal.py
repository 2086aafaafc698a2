"""Methods at equal dose and KL, and adaptive α: on made-up rows whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from steer_core import UserError
from steer_core.analysis.adaptive import adaptive_alpha
from steer_core.analysis.equal import DOSE, KL, compared, sides_of


def rows_of(direction: str, reach: float, lost_at: float) -> pd.DataFrame:
    """Four pairs, three right; KL is reach * α², and from |α| = lost_at on one is lost."""
    found = []
    for alpha in (-2.0, -1.0, 1.0, 2.0):
        for pair in range(4):
            correct = pair < 3 and not (pair == 0 and abs(alpha) >= lost_at)
            found.append(("residual", 1, "1-6", "add", direction, "real", alpha, pair, correct))
    names = ["site", "layer", "positions", "operation", "direction", "kind", "alpha"]
    table = pd.DataFrame(found, columns=[*names, "question_index", "correct"])
    return table.assign(dose=0.1 * table.alpha.abs(), kl_number=reach * table.alpha**2)


def table() -> pd.DataFrame:
    base = pd.DataFrame(
        [("", None, "", "", "baseline", "baseline", 0.0, i, i < 3, 0.0, 0.0) for i in range(4)],
        columns=[*rows_of("a", 1, 1).columns],
    )
    return pd.concat([base, rows_of("weak", 0.1, 2.0), rows_of("strong", 1.0, 1.0)])


def test_change_and_damage_are_counted_against_the_unedited_rows():
    weak = next(s for s in sides_of(table()) if s.direction == "weak" and s.sign == 1)
    assert weak.alphas.tolist() == [0, 1, 2]
    assert weak.change.tolist() == [0, 0, -25]
    assert weak.damage.tolist() == pytest.approx([0, 0, 1 / 3])
    assert weak.kl_number.tolist() == pytest.approx([0, 0.1, 0.4])
    assert weak.n == 4


def test_both_signs_of_every_curve_are_compared():
    found = compared(sides_of(table()), KL, [0.1, 1.0])
    assert len(found) == 4 * 2
    at = found[(found.level == 0.1) & found.name.str.startswith("+")].set_index("name")
    assert at.loc["+ add weak, residual 1", "alpha"] == pytest.approx(1.0)
    assert at.loc["+ add strong, residual 1", "alpha"] == pytest.approx(0.1)
    assert at.loc["+ add strong, residual 1", "change"] == pytest.approx(-2.5)
    far = found[(found.level == 1.0) & found.name.str.contains("weak")]
    assert far.change.isna().all()


def test_at_equal_dose_they_stand_at_equal_alpha_here():
    found = compared(sides_of(table()), DOSE, [0.1])
    np.testing.assert_allclose(found.alpha, 1.0)


# --- adaptive α ----------------------------------------------------------------------------------


def made_up(n: int, told: bool, seed: int = 0):
    """Problems that need α = -1 or 1; the states say which, or nothing."""
    chance = np.random.default_rng(seed)
    alphas = np.array([-1.0, 0.0, 1.0])
    need = chance.choice([0, 2], n)
    correct = np.zeros((n, 3), bool)
    correct[np.arange(n), need] = True
    margin = np.where(correct, 1.0, -1.0)
    states = chance.standard_normal((n, 6))
    if told:
        states[:, 0] += 4 * alphas[need]
    return alphas, margin, correct, states, np.arange(n) % 2 == 1


def test_where_states_say_it_a_predicted_alpha_beats_the_best_fixed_one():
    found = adaptive_alpha(*made_up(200, told=True))
    assert found.by_gold == 1.0
    assert found.predicted > 0.95
    assert found.fixed < 0.7
    assert found.p < 1e-6
    assert found.r2 > 0.7
    assert "a ceiling" in found.words


def test_where_they_do_not_it_does_not():
    found = adaptive_alpha(*made_up(200, told=False))
    assert found.p > 0.05 or found.lost > found.gained
    assert found.r2 < 0.1
    assert found.by_gold == 1.0


def test_nothing_of_the_held_out_gold_answers_is_fitted():
    """Other margins of held-out problems change the ceiling, not the prediction."""
    alphas, margin, correct, states, held_out = made_up(100, told=True)
    other = margin.copy()
    other[held_out] = -other[held_out]
    one, two = (adaptive_alpha(alphas, m, correct, states, held_out) for m in (margin, other))
    assert (one.predicted, one.fixed) == (two.predicted, two.fixed)
    assert one.by_gold != two.by_gold


def test_too_few_problems_are_refused():
    with pytest.raises(UserError, match="are too few"):
        adaptive_alpha(*made_up(12, told=True))
