"""Curves are measured, and judged in words; calibrated on simulated sweeps."""

import dataclasses
import sys
from collections import Counter

import numpy as np
import pytest
from scipy.special import ndtri

from steer_core.analysis.curves import Curve, measure_curves
from steer_core.analysis.statistics import holm, mcnemar_exact, paired_flips
from steer_core.analysis.verdict import judge
from steer_core.analysis.verdict_words import number, percent, points, probability
from steer_core.errors import UserError

ALPHAS = np.arange(-3, 3.01, 0.5)
ZERO = len(ALPHAS) // 2
CONTROLS = 20  # of each kind, as in a default sweep
REPETITIONS = 200


def curve(lost=0, won=0, n=240, baseline=144, at=2.0, p=1.0, **fields) -> Curve:
    """A curve whose flips all lie at one α."""
    there = np.isclose(ALPHAS, at)
    numbers = {
        "alphas": ALPHAS,
        "n": n,
        "baseline": baseline,
        "wrong_to_right": there * won,
        "right_to_wrong": there * lost,
        "p": np.where(there, p, 1.0),
        "tests": 6.0,
    }
    return Curve(**(numbers | fields))


def sweep(rng, harm, n=240, baseline=0.6, noise=0.02):
    """Answers of J directions: baseline bool [n], steered bool [J, A, n].

    `harm` [J, A] is the share of pairs lost; beside it `noise` of all pairs is lost and as many
    are won. Half of a pair's luck is its own, half is new at each α: neighbours are alike.
    """
    right = rng.random(n) < baseline
    directions, grid = harm.shape
    own = rng.standard_normal((directions, 1, n), np.float32)
    luck = (own + rng.standard_normal((directions, grid, n), np.float32)) / np.sqrt(2)
    edited = ALPHAS != 0
    lose = np.clip((harm + noise * edited) / baseline, 0, 1)
    win = np.broadcast_to(noise * edited / (1 - baseline), harm.shape)
    # luck is normal, so it falls below the normal quantile of a rate at that rate
    bound = np.where(right, ndtri(lose)[:, :, None], ndtri(win)[:, :, None])
    return right, right ^ (luck < bound)


def verdicts(harm, capsys=None, name="", **options) -> Counter:
    """Kinds of verdict over the repetitions; direction 0 is the real one, the rest controls."""
    kinds = Counter()
    for seed in range(REPETITIONS):
        rng = np.random.default_rng(seed)
        right, steered = sweep(rng, harm(rng), **options)
        accuracy = steered.mean(-1)
        (measured,) = measure_curves(
            ALPHAS,
            right,
            steered[:1],
            controls={
                "random": accuracy[1 : 1 + CONTROLS, None],
                "label-shuffled": accuracy[1 + CONTROLS :, None],
            },
            resamples=999,
            seed=seed,
        )
        kinds[judge(measured).kind] += 1
    if capsys:
        with capsys.disabled():
            shares = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
            sys.stdout.write(f"\n{name}, {REPETITIONS} sweeps: {shares}\n")
    return kinds


def silent(rng):
    return np.zeros((1 + 2 * CONTROLS, len(ALPHAS)))


def any_edit_harms(rng):
    """Every direction harms with |α|, each in its own measure: about 20 points at α = 3."""
    return rng.gamma(12, 0.2 / 12, (1 + 2 * CONTROLS, 1)) * np.abs(ALPHAS) / 3


def real_one_harms(rng, drop=0.25):
    harm = silent(rng)
    harm[0] = drop * (np.abs(ALPHAS) >= 2)
    return harm


def real_one_harms_more(rng):
    return any_edit_harms(rng) + real_one_harms(rng)


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_no_effect_is_not_called_one(capsys, noise: float):
    kinds = verdicts(silent, capsys, f"null without harm, noise {noise}", noise=noise)
    false = kinds["effect"] / REPETITIONS
    assert false <= 0.05
    assert kinds["no effect"] >= 0.9 * REPETITIONS


def test_a_direction_like_its_controls_is_as_random(capsys):
    kinds = verdicts(any_edit_harms, capsys, "null where any direction harms")
    assert kinds["effect"] <= 0.05 * REPETITIONS
    assert kinds["as random"] >= 0.95 * REPETITIONS


def test_a_planted_effect_is_found(capsys):
    kinds = verdicts(real_one_harms, capsys, "25 points lost at |α| >= 2")
    assert kinds["effect"] >= 0.95 * REPETITIONS


def test_a_planted_effect_is_found_among_controls_that_harm_too(capsys):
    kinds = verdicts(real_one_harms_more, capsys, "25 points more than controls that harm")
    assert kinds["effect"] >= 0.9 * REPETITIONS


def test_the_smallest_change_is_found_as_often_as_promised(capsys):
    """Planted at one α, at the size that the verdict on a null sweep names."""
    rng = np.random.default_rng(0)
    right, steered = sweep(rng, silent(rng))
    (flat,) = measure_curves(ALPHAS, right, steered[:1])
    named = judge(flat).smallest
    found = 0
    for seed in range(REPETITIONS):
        rng = np.random.default_rng(seed)
        harm = np.zeros((1, len(ALPHAS)))
        harm[0, -1] = named
        right, steered = sweep(rng, harm)
        (measured,) = measure_curves(ALPHAS, right, steered, resamples=999, seed=seed)
        found += judge(measured).kind == "effect"
    with capsys.disabled():
        sys.stdout.write(f"\n{100 * named:.1f} points planted, promised 80 %: {found / 2} %\n")
    assert 0.72 * REPETITIONS <= found <= 0.95 * REPETITIONS


def test_measured_numbers_are_those_of_the_parts():
    rng = np.random.default_rng(5)
    right, steered = sweep(rng, real_one_harms_more(rng), n=90)
    accuracy = steered.mean(-1)
    layers = np.stack([steered[0], steered[1]])
    controls = np.stack([accuracy[2:22], accuracy[2:22]], axis=1)
    moved = np.abs(ALPHAS)[None].repeat(2, 0)
    first, second = measure_curves(
        ALPHAS, right, layers, controls={"random": controls}, relative=moved, logits_changed=moved
    )
    flips = paired_flips(right, steered[0])
    assert first.right_to_wrong.tolist() == flips.right_to_wrong.tolist()
    assert second.wrong_to_right.tolist() == paired_flips(right, steered[1]).wrong_to_right.tolist()
    assert first.accuracy == pytest.approx(accuracy[0])
    assert first.change[ZERO] == 0
    assert first.p[ZERO] == 1
    assert 1 <= first.tests == second.tests <= 24
    # corrected for both curves, so at least the exact test of one α and about Holm's at most
    alone = mcnemar_exact(flips.wrong_to_right, flips.right_to_wrong)
    assert np.all(first.p >= alone - 0.01)
    assert first.p.min() <= holm(np.tile(alone, 2)).min() + 0.01
    assert first.controls[0].rank[ZERO] == 21
    sizes = np.abs(accuracy - right.mean())
    assert first.controls[0].rank[0] == 1 + np.sum(sizes[2:22, 0] >= sizes[0, 0] - 1e-9)
    assert second.controls[0].rank.shape == ALPHAS.shape
    assert (first.relative == moved[0]).all()


def test_an_edit_that_changed_no_logit_never_arrived():
    flat = judge(curve(logits_changed=np.zeros(len(ALPHAS), bool)))
    assert flat.kind == flat.headline == "edit never arrived"
    assert flat.sentence == (
        "The edit never arrived: at each of 12 α and on all 240 pairs it left every logit of the "
        "answer unchanged, so this flat line says nothing about the direction."
    )
    moved = judge(curve(relative=np.full(len(ALPHAS), 3e-7)))
    assert moved.kind == "edit never arrived"
    assert "moved no hidden state at the answer by more than rounding" in moved.sentence


def test_what_happens_at_zero_is_no_arrival():
    only_zero = judge(curve(logits_changed=ALPHAS == 0))
    assert only_zero.kind == "edit never arrived"


@pytest.mark.parametrize(
    "fields",
    [
        {"logits_changed": ALPHAS == 3},
        {"relative": np.where(ALPHAS == 3, 0.02, 0.0)},
        {
            "relative": np.zeros(len(ALPHAS)),
            "lost": 1,
        },  # a flip is an arrival, whatever was measured
        {},
    ],
)
def test_an_edit_that_did_something_arrived(fields):
    assert judge(curve(**fields)).kind == "no effect"


def test_no_effect_names_its_size_and_power():
    verdict = judge(curve(lost=3, won=1, p=0.9, relative=0.17 * np.abs(ALPHAS)))
    assert verdict.kind == "no effect"
    assert verdict.sentence == (
        "No effect larger than 5.3 points (power 80 %): over 12 α on 240 pairs the largest change "
        "is −0.8 points, at α = 2 (adjusted p = 0.9); the edit did arrive, moving hidden states at "
        "the answer by up to 51 %."
    )
    assert verdict.sentence.lower().startswith(verdict.headline)
    assert verdict.smallest == pytest.approx(0.053, abs=0.0005)


def test_no_effect_is_never_smaller_than_what_still_fits():
    """A loss of 12 in 240 that is not significant: 5 points seen, more than 5 points possible."""
    verdict = judge(curve(lost=12, won=0, p=0.2))
    assert verdict.smallest < 0.05
    assert verdict.headline == "no effect larger than 7.4 points (power 99.7 %)"


def test_identical_answers_are_said_to_be():
    assert "on 240 pairs no answer changed between right and wrong." in judge(curve()).sentence


def test_six_pairs_are_too_few():
    """The seed experiment: three of six right, one lost."""
    verdict = judge(curve(lost=1, n=6, baseline=3, p=1.0, tests=1.0))
    assert verdict.kind == "too small to tell"
    assert verdict.sentence == (
        "Too small to tell: with 6 pairs and 12 α no change in accuracy could have been found with "
        "power 80 %; to find 5 points takes 157 pairs."
    )
    assert np.isnan(verdict.smallest)


def test_pairs_that_show_only_large_changes_are_too_few():
    verdict = judge(curve(lost=2, won=1, n=60, baseline=36))
    assert verdict.kind == "too small to tell"
    assert "only changes of more than 21.1 points can be ruled out" in verdict.sentence
    assert judge(curve(lost=2, won=1, n=60, baseline=36), limit=0.25).kind == "no effect"


def ranked(real, controls, **fields) -> Curve:
    """A curve that loses 60 of 144 at α = 2, among controls with these changes there."""
    from steer_core.analysis.controls import rank_among_controls

    there = ALPHAS == 2
    kinds = tuple(
        rank_among_controls(real * there, np.outer(changes, there), n=240, name=name)
        for name, changes in controls.items()
    )
    return curve(lost=60, won=0, p=0.0001, controls=kinds, **fields)


def test_an_effect_beyond_all_controls():
    small = np.linspace(-0.02, 0.02, 20)
    verdict = judge(ranked(-0.25, {"random": small, "label-shuffled": small}))
    assert (verdict.kind, verdict.alpha, verdict.change) == ("effect", 2.0, -0.25)
    assert verdict.sentence == (
        "Effect: at α = 2 accuracy falls by 25.0 points, from 60.0 % to 35.0 % of 240 pairs (0 "
        "won, 60 lost, adjusted p < 0.001); none of 20 random directions (p = 0.048) and none of "
        "20 label-shuffled directions (p = 0.048) stand out as much at any α."
    )


def test_one_kind_of_control_that_does_the_same_is_enough_for_as_random():
    small, same = np.linspace(-0.02, 0.02, 20), np.linspace(-0.3, -0.2, 20)
    verdict = judge(ranked(-0.25, {"random": small, "label-shuffled": same}))
    assert verdict.kind == "as random"
    assert verdict.headline == "as random, like label-shuffled directions"
    assert verdict.sentence.startswith(
        "As random, like label-shuffled directions: at α = 2 accuracy falls by 25.0 points"
    )
    assert verdict.sentence.endswith(
        "stand out as much at some α; none of 20 random directions (p = 0.048) stand out as much "
        "at any α."
    )


def test_five_controls_cannot_show_an_effect():
    verdict = judge(ranked(-0.25, {"random": np.linspace(-0.02, 0.02, 5)}))
    assert verdict.kind == "too small to tell"
    assert verdict.sentence.endswith(
        "but 5 random directions cannot give less than p = 0.17; decode at least 19 of them."
    )
    beaten = judge(ranked(-0.25, {"random": np.linspace(-0.3, -0.2, 5)}))
    assert beaten.kind == "as random"


def test_without_controls_the_sentence_says_so():
    verdict = judge(curve(lost=60, p=0.001))
    assert verdict.kind == "effect"
    assert "no controls were decoded" in verdict.sentence


def test_the_telling_alpha_is_the_one_beyond_the_controls():
    """At α = 3 every direction ruins the model; the real one acts alone at α = 1."""
    rng = np.random.default_rng(0)
    harm = np.zeros((1 + 2 * CONTROLS, len(ALPHAS)))
    harm[:, -1] = rng.uniform(0.35, 0.55, len(harm))
    harm[0, ALPHAS == 1] = 0.2
    right, steered = sweep(rng, harm)
    accuracy = steered.mean(-1)
    (measured,) = measure_curves(
        ALPHAS, right, steered[:1], controls={"random": accuracy[1:, None]}
    )
    verdict = judge(measured)
    assert (verdict.kind, verdict.alpha) == ("effect", 1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"relative": np.ones(3)}, "one number for each"),
        ({"alphas": np.zeros(len(ALPHAS))}, "other than 0"),
        ({"baseline": 241}, "no baseline"),
        ({"lost": 145}, "more flips"),
        ({"won": 97}, "more flips"),
    ],
)
def test_impossible_curves_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        curve(**fields)


def test_wrong_questions_are_refused():
    with pytest.raises(UserError, match="level is 5"):
        judge(curve(), level=5)
    with pytest.raises(UserError, match="axis of length 1"):
        measure_curves(ALPHAS, np.ones(4, bool), np.ones((len(ALPHAS), 4), bool))


def test_verdicts_are_plain_data():
    verdict = judge(curve())
    assert set(dataclasses.asdict(verdict)) >= {"kind", "headline", "sentence", "alpha"}
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
