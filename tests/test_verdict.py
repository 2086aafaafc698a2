"""Curves are measured, and judged in words; calibrated on simulated sweeps."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from simulated_answers import simulated

from steer_core.analysis.curves import Curve, answers_of, measure_curves
from steer_core.analysis.power import power_of
from steer_core.analysis.statistics import holm, mcnemar_exact, paired_flips
from steer_core.analysis.verdict import Verdict, judge
from steer_core.analysis.verdict_words import number, percent, points, probability
from steer_core.errors import UserError

GRID = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
RUNS = 100


def answered(lost: int, won: int, n: int, right: int, at: float) -> np.ndarray:
    """Answers [A, n] that lose the first right ones and win the first wrong ones at one α."""
    answers = np.broadcast_to(np.arange(n) < right, (GRID.size, n)).copy()
    row = int(np.flatnonzero(at == GRID)[0])
    answers[row, :lost] = False
    answers[row, right : right + won] = True
    return answers


def curve(
    lost: int = 0,
    won: int = 0,
    *,
    n: int = 240,
    right: int = 144,
    at: float = 2.0,
    controls: Mapping[str, Sequence[int]] | None = None,
    clusters=None,
    before: float | None = None,
    looks: float = 1.0,
    **measured,
) -> Curve:
    """A curve that flips so many pairs at one α, among controls that lose so many there."""
    kinds = {
        kind: np.stack([answered(max(x, 0), max(-x, 0), n, right, at)[None] for x in changes])
        for kind, changes in (controls or {}).items()
    }
    answers = answers_of(
        GRID,
        np.arange(n) < right,
        answered(lost, won, n, right, at)[None],
        controls=kinds,
        clusters=clusters,
        before=before,
        looks=looks,
    )
    measured = {name: np.asarray(values)[None] for name, values in measured.items()}
    return measure_curves(answers, resamples=1999, **measured)[0]


SMALL = [-4, -3, -2, -2, -1, -1, -1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4]
"""Pairs that each of 20 controls loses."""
ALIKE = [*range(50, 70)]


def verdicts(**options) -> Counter:
    """Kinds of verdict over simulated sweeps."""
    return Counter(
        judge(measure_curves(simulated(seed, **options), resamples=299, seed=seed)[0]).kind
        for seed in range(RUNS)
    )


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_no_effect_is_not_called_one(noise: float):
    kinds = verdicts(noise=noise)
    assert kinds["effect"] <= 0.05 * RUNS
    assert kinds["no effect"] >= 0.9 * RUNS


def test_a_direction_like_its_controls_is_as_random():
    kinds = verdicts(harm=0.07)
    assert kinds["effect"] <= 0.05 * RUNS
    assert kinds["as random"] >= 0.95 * RUNS


@pytest.mark.parametrize("planted", [-0.25, 0.25])
@pytest.mark.parametrize("harm", [0.0, 0.07])
def test_a_planted_change_is_found_whether_or_not_every_direction_harms(harm, planted):
    assert verdicts(harm=harm, change=planted)["effect"] >= 0.9 * RUNS


def test_a_gain_under_general_harm_is_an_effect_though_accuracy_falls():
    """Every direction costs 18 points at most, the real one is spared 15 of them."""
    answers = simulated(3, harm=0.06, change=0.15)
    found = judge(measure_curves(answers)[0])
    assert found.kind == "effect"
    assert found.contrast > 0.1
    assert (
        found.headline == f"effect on accuracy: {points(found.contrast)} points above its controls"
    )


def test_measured_numbers_are_those_of_the_parts():
    answers = simulated(5, pairs=90, layers=2, harm=0.05)
    first, second = measure_curves(answers)
    flips = paired_flips(answers.baseline, answers.steered[0])
    assert first.right_to_wrong.tolist() == flips.right_to_wrong.tolist()
    assert first.accuracy == pytest.approx(answers.steered[0].mean(-1))
    zero = int(np.flatnonzero(answers.alphas == 0)[0])
    assert (first.change[zero], first.p[zero], first.low[zero], first.high[zero]) == (0, 1, 0, 0)
    alone = mcnemar_exact(flips.wrong_to_right, flips.right_to_wrong)
    assert np.all(first.p >= alone - 0.01)  # corrected for both curves, but less than Holm does
    assert first.p.min() <= holm(np.tile(alone, 2)).min() + 0.01
    for kind in ("covariance", "shuffled"):
        mean = answers.controls[kind].mean((0, -1))
        each = next(c for c in second.contrasts if c.kind == kind)
        assert each.change == pytest.approx(answers.steered[1].mean(-1) - mean[1])
        assert each.rank.mean == pytest.approx(mean[1] - answers.baseline.mean())
        assert np.all((each.low <= each.change) & (each.change <= each.high))


def test_an_edit_that_changed_no_logit_never_arrived():
    flat = judge(curve(logits_changed=np.zeros(5, bool)))
    assert flat.kind == flat.headline == "edit never arrived"
    assert flat.sentence == (
        "Edit never arrived: at each of 4 α and on all 240 pairs it left every logit of the "
        "answer unchanged, so this flat line says nothing about the direction."
    )
    moved = judge(curve(relative=np.full(5, 3e-7)))
    assert moved.kind == "edit never arrived"
    assert "moved no hidden state at the answer by more than rounding" in moved.sentence
    assert judge(curve(logits_changed=GRID == 0)).kind == "edit never arrived"


@pytest.mark.parametrize(
    "fields",
    [
        {"logits_changed": GRID == 2},
        {"relative": np.where(GRID == 2, 0.02, 0.0)},
        {"relative": np.zeros(5), "lost": 1},  # a flip is an arrival, whatever was measured
        {},
    ],
)
def test_an_edit_that_did_something_arrived(fields):
    assert judge(curve(**fields)).kind == "no effect"


def test_no_effect_names_what_still_fits():
    found = judge(curve(3, 1, relative=0.17 * np.abs(GRID), controls={"covariance": SMALL}))
    assert found.kind == "no effect"
    assert (
        found.headline
        == f"no effect on accuracy larger than {points(found.bound)} points (95 % bound)"
    )
    assert (
        "(95 % bound): over 4 α on 240 pairs the largest change is −0.8 points, at α = 2 (adjusted"
    ) in found.sentence
    assert "moving hidden states at the answer by up to 34 %" in found.sentence
    assert 0.02 < found.bound < 0.04


def test_the_bound_is_rarely_below_the_truth():
    """A loss of four points at α = 2, which is seldom seen as more than chance."""
    rng, below = np.random.default_rng(0), 0
    for _ in range(200):
        baseline = rng.random(60) < 0.6
        after = np.broadcast_to(baseline, (5, 60)).copy()
        after[4] &= rng.random(60) >= 0.04 / 0.6
        found = judge(
            measure_curves(answers_of(GRID, baseline, after[None]), resamples=99)[0], limit=0.5
        )
        below += found.kind == "no effect" and found.bound < 0.04
    assert below <= 10


def test_identical_answers_are_said_to_be():
    assert "on 240 pairs no answer changed between right and wrong;" in judge(curve()).sentence


@pytest.mark.parametrize("n", [6, 10, 18])
def test_a_few_pairs_without_a_flip_are_too_few(n: int):
    """No flip of 10 still allows for a change of 26 points."""
    found = judge(curve(n=n, right=n // 2))
    assert found.kind == "too small to tell"
    assert f"with {n} pairs and 4 α a change in accuracy of up to" in found.sentence
    assert found.bound == pytest.approx(1 - 0.05 ** (1 / n))
    assert judge(curve(n=n, right=n // 2), limit=0.5).kind == "no effect"


def test_an_effect_names_both_contrasts_and_both_counts():
    found = judge(curve(60, controls={"random": SMALL, "covariance": SMALL}))
    assert (found.kind, found.alpha, found.change) == ("effect", 2.0, -0.25)
    assert found.headline == "effect on accuracy: 25.0 points below its controls"
    assert found.sentence == (
        "Effect on accuracy: 25.0 points below its controls: at α = 2 accuracy falls by 25.0 "
        "points, from 60.0 % to 35.0 % of 240 pairs (0 won, 60 lost; against α = 0 adjusted p < "
        "0.001); 25.0 points below the mean of 20 covariance-matched directions (adjusted p < "
        "0.001), of which none stand out as much at this α and none at any α of any curve (p = "
        "0.048); 25.0 points below the mean of 20 random directions (adjusted p < 0.001), of which "
        "none stand out as much at this α and none at any α of any curve (p = 0.048)."
    )


def test_one_comparable_kind_that_does_the_same_is_enough_for_as_random():
    found = judge(curve(60, controls={"covariance": SMALL, "shuffled": ALIKE}))
    assert found.kind == "as random"
    assert (
        found.headline == "as random: accuracy falls by 25.0 points, like label-shuffled directions"
    )


def test_isotropic_noise_alone_makes_no_effect():
    """It hardly enters the components that states vary in: nearly everything else does more."""
    found = judge(curve(60, controls={"random": SMALL}))
    assert found.kind == "too few controls"
    assert found.headline == "too few controls: accuracy falls by 25.0 points"
    assert "only isotropic noise was decoded beside it" in found.sentence
    assert found.sentence.endswith("sweep with --controls covariance=19.")
    beyond = judge(curve(60, controls={"random": ALIKE, "covariance": SMALL}))
    assert beyond.kind == "effect"  # and it has no veto


def test_without_controls_there_is_no_effect():
    found = judge(curve(60))
    assert found.kind == "too few controls"
    assert "no controls were decoded beside it" in found.sentence
    assert found.contrast is None


def test_five_controls_cannot_show_an_effect_and_are_said_to_be_too_few():
    found = judge(curve(60, controls={"covariance": SMALL[:5]}))
    assert found.kind == "too few controls"
    assert found.sentence.endswith(
        "5 covariance-matched directions cannot give less than p = 0.17: sweep with --controls "
        "covariance=19."
    )
    assert judge(curve(60, controls={"covariance": ALIKE[8:13]})).kind == "as random"


def test_other_looks_at_the_pairs_raise_the_bar():
    controls = {"covariance": SMALL}
    assert judge(curve(60, controls=controls)).kind == "effect"
    twice = judge(curve(60, controls=controls, looks=2.0))
    assert twice.kind == "too few controls"
    assert "for 2 looks at these pairs" in twice.sentence
    assert twice.sentence.endswith("sweep with --controls covariance=39.")
    assert judge(curve(60, controls={"covariance": SMALL * 2}, looks=2.0)).kind == "effect"


def test_pairs_that_hang_together_are_fewer_draws():
    """Ten pairs lost: of ten templates it may be chance, of one it is one draw."""
    apart, together = np.arange(240), np.arange(240) // 10
    spread = judge(curve(10, controls={"covariance": SMALL}, clusters=apart))
    assert spread.kind == "effect"
    one = judge(curve(10, controls={"covariance": SMALL}, clusters=together))
    assert one.kind != "effect"
    assert "240 pairs in 24 clusters" in one.sentence


def balanced(won: int, lost: int, **options) -> Curve:
    return curve(lost, won, n=248, right=124, before=0.686, **options)


def test_balanced_pairs_are_judged_by_what_the_sentence_states():
    """As many won as lost of balanced pairs is a loss of all pairs, where 68.6 % are right."""
    found = balanced(40, 40, controls={"covariance": [0] * 20})
    loss = 40 * (0.314 / 0.5 - 0.686 / 0.5) / 248
    assert found.change[4] == pytest.approx(loss)
    assert found.low[4] < loss < found.high[4] < 0
    verdict = judge(found)
    assert verdict.kind == "effect"
    assert "accuracy falls by 12.0 points, from 68.6 % to 56.6 %" in verdict.sentence
    assert "rises" not in verdict.sentence


def test_balanced_pairs_with_a_few_more_wins_have_not_won():
    verdict = judge(balanced(46, 40, controls={"covariance": [0] * 20}))
    assert verdict.change == pytest.approx((46 * 0.628 - 40 * 1.372) / 248)
    assert verdict.change < 0
    assert "rises" not in verdict.sentence


def test_an_edit_that_only_answers_anew_has_no_effect_on_balanced_pairs():
    """Of all pairs it wins as many as it loses: 0.314 × the wins are 0.686 × the losses."""
    found = balanced(46, 21, controls={"covariance": [0] * 20})
    assert abs(found.change[4]) < 0.001
    assert found.p[4] > 0.9
    plain = curve(21, 46, n=248, right=124)
    assert plain.p[4] < 0.05


@pytest.mark.parametrize("sign", [1, -1])
def test_a_true_loss_is_never_a_rise(sign: int):
    """1,000 balanced pairs, 68.6 % right before, a true change of four points."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(60):
        before = np.arange(1000) < 500
        lose, win = 0.05 + 0.04 * (sign < 0), 0.05 + 0.04 * (sign > 0)
        flip = rng.random(1000) < np.where(before, lose / 0.686, win / 0.314)
        after = np.broadcast_to(before, (5, 1000)).copy()
        after[4] ^= flip
        found = measure_curves(answers_of(GRID, before, after[None], before=0.686), resamples=99)
        wrong += np.sign(judge(found[0]).change or sign) != sign
    assert wrong <= 1


def test_the_telling_alpha_is_the_one_beyond_the_controls():
    """At α = 2 every direction ruins the model; the real one acts alone at α = 1."""
    rng = np.random.default_rng(0)
    right = np.arange(240) < 144
    after = np.broadcast_to(right, (21, 1, 5, 240)).copy()
    after[:, :, 4] &= rng.random((21, 1, 240)) > rng.uniform(0.5, 0.9, (21, 1, 1))
    after[0, :, 3] &= rng.random(240) > 0.3
    answers = answers_of(GRID, right, after[0], controls={"shuffled": after[1:]})
    found = judge(measure_curves(answers)[0])
    assert (found.kind, found.alpha) == ("effect", 1.0)


def test_power_is_said_for_gains_and_for_losses():
    answers = simulated(0)
    (one,) = measure_curves(answers)
    (power,) = power_of(answers, [one])
    found = judge(one, power)
    assert found.kind == "no effect"
    assert found.smallest == max(power.gain, power.loss)
    assert (
        f"a gain of {points(power.gain)} points or a loss of {points(power.loss)} points at every "
        "α of one sign would have been called an effect with power 80 %; to show 5 points takes "
        f"{power.needed[0.05]} pairs and 10 points takes {power.needed[0.1]} pairs."
    ) in found.sentence
    assert "could have been called an effect without covariance" in judge(curve()).sentence


def test_wrong_questions_are_refused():
    with pytest.raises(UserError, match="level is 5"):
        judge(curve(), level=5)
    with pytest.raises(UserError, match="axis of length 1"):
        answers_of(GRID, np.ones(4, bool), np.ones((5, 4), bool))
    with pytest.raises(UserError, match="looks is 0"):
        curve(looks=0.0)
    with pytest.raises(UserError, match="do not fit"):
        answers_of(GRID, np.ones(4), np.ones((1, 5, 4)), controls={"random": np.ones((3, 5, 4))})


@pytest.mark.parametrize("value", [np.nan, 0.5, 2])
def test_an_answer_is_right_or_wrong(value: float):
    controls = np.ones((20, 1, 5, 4))
    controls[3, 0, 1, 2] = value
    with pytest.raises(UserError, match="neither right nor wrong"):
        answers_of(GRID, np.ones(4), np.ones((1, 5, 4)), controls={"covariance": controls})


def test_curves_need_an_edit():
    one = curve()
    with pytest.raises(UserError, match="other than 0"):
        dataclasses.replace(one, alphas=np.zeros(5))
    with pytest.raises(UserError, match="one number for each"):
        dataclasses.replace(one, relative=np.ones(3))


def test_verdicts_are_plain_data():
    verdict = judge(curve())
    assert isinstance(verdict, Verdict)
    assert set(dataclasses.asdict(verdict)) >= {"kind", "headline", "sentence", "alpha", "contrast"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.kind = "effect"


def test_words():
    assert (points(-0.0523, sign=True), points(0.02, sign=True)) == ("−5.2", "+2.0")
    assert points(-1e-9, sign=True) == "0.0"
    assert (percent(0.8), percent(0.0312), percent(0.995), percent(1)) == (
        "80 %",
        "3.1 %",
        "99.5 %",
        "100 %",
    )
    assert number(-2.5) == "−2.5"
    assert (probability(0.0476), probability(0.0004)) == ("p = 0.048", "p < 0.001")
