"""The grid of a page's chart against a plain loop over `decode`, partial results included."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from statsmodels.stats.proportion import proportion_confint
from tiny_models import PLACES, direction, pairs, tiny_model

from steer_core import Edit, UserError, decode
from steer_core.codi.engine import Cancelled
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.experiment import sweep as sweeping
from steer_core.experiment.grid import CurveState, cells_in_order, fill_grid
from steer_core.experiment.sweep import iter_sweep
from steer_core.steering.spec import EditCurve

ALPHAS = (-2.5, 0.0, 2.0)  # at -3 two logits of one row are equal to 1e-7
WHERE = (1, 3, 4)
LIMIT = 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def asked(model: CodiModel) -> list[Pair]:
    return pairs(model, LIMIT)


@dataclass(frozen=True)
class Counts:
    """One alpha of a curve, counted one decode at a time."""

    correct: int
    flips: int
    won: int
    lost: int


def naive(
    model: CodiModel,
    asked: list[Pair],
    baseline: list[float | None],
    curve: EditCurve,
    alpha: float,
) -> Counts:
    (edit,) = curve.at(alpha)
    answers = [answer(model, pair, edit) for pair in asked]
    gold = [pair.clean.answer for pair in asked]
    before = [a == g for a, g in zip(baseline, gold, strict=True)]
    after = [a == g for a, g in zip(answers, gold, strict=True)]
    outcomes = Counter(zip(before, after, strict=True))
    return Counts(
        flips=sum(a != b for a, b in zip(answers, baseline, strict=True)),
        correct=outcomes[True, True] + outcomes[False, True],
        won=outcomes[False, True],
        lost=outcomes[True, False],
    )


def answer(model: CodiModel, pair: Pair, edit: Edit | None) -> float | None:
    (row,) = decode(model, [pair.clean.question], edit, max_new_tokens=LIMIT)
    return row.answer


@pytest.fixture(scope="module")
def baseline(model: CodiModel, asked: list[Pair]) -> list[float | None]:
    return [answer(model, pair, None) for pair in asked]


def curves_of(model: CodiModel) -> list[EditCurve]:
    return [EditCurve.along(direction(model, *place), *place, WHERE) for place in PLACES[1:4:2]]


def filled(model: CodiModel, asked: list[Pair], **options) -> list[CurveState]:
    """The final state of both curves."""
    curves = curves_of(model)
    problems = [pair.clean for pair in asked]
    options = {"max_new_tokens": LIMIT, **options}
    *_, tally = fill_grid(model, problems, curves, ALPHAS, **options)
    return [tally.state(i) for i in range(len(curves))]


# --- the finished grid ---------------------------------------------------------------------------


def test_counts_are_those_of_a_plain_loop(
    model: CodiModel, asked: list[Pair], baseline: list[float | None]
):
    flips = 0
    for curve, state in zip(curves_of(model), filled(model, asked), strict=True):
        assert state.alphas.tolist() == list(ALPHAS)
        assert state.layer == curve.layer
        for a, alpha in enumerate(ALPHAS):
            wanted = naive(model, asked, baseline, curve, alpha)
            assert state.correct[a] == wanted.correct
            assert state.wrong_to_right[a] == wanted.won
            assert state.right_to_wrong[a] == wanted.lost
            assert state.flips[a] == wanted.flips
            flips += wanted.won + wanted.lost
    assert flips > 5


def test_the_interval_is_wilsons(model: CodiModel, asked: list[Pair]):
    for state in filled(model, asked):
        low, high = proportion_confint(state.correct, len(asked), 0.05, "wilson")
        np.testing.assert_allclose(state.low, low, atol=1e-9)
        np.testing.assert_allclose(state.high, high, atol=1e-9)


def test_a_finished_grid_is_complete(model: CodiModel, asked: list[Pair]):
    for state in filled(model, asked):
        assert state.done.tolist() == [len(asked)] * len(ALPHAS)
        assert state.total == len(asked)
        assert state.decoded == state.rows == len(asked) * (2 * len(ALPHAS) + 1)
        assert not (state.wrong_to_right + state.right_to_wrong)[ALPHAS.index(0.0)]


def test_the_baseline_is_decoded_though_alpha_zero_is_not_asked_for(
    model: CodiModel, asked: list[Pair]
):
    """Flips are against unedited decoding, not against some alpha of the grid."""
    (curve, _), with_zero = curves_of(model), filled(model, asked)[0]
    *_, tally = fill_grid(
        model, [pair.clean for pair in asked], [curve], (2.0,), max_new_tokens=LIMIT
    )
    state = tally.state(0)
    for name in ("correct", "wrong_to_right", "right_to_wrong"):
        assert getattr(state, name)[0] == getattr(with_zero, name)[ALPHAS.index(2.0)]
    assert state.baseline_accuracy == with_zero.baseline_accuracy


def test_the_baseline_by_problem(model: CodiModel, asked: list[Pair], baseline: list[float | None]):
    right = [a == pair.clean.answer for a, pair in zip(baseline, asked, strict=True)]
    for state in filled(model, asked):
        assert state.baseline_correct == dict(enumerate(right))
        assert state.baseline_accuracy == pytest.approx(np.mean(right))
        assert 0 < state.baseline_accuracy < 1


def test_neither_order_nor_batches_matter(model: CodiModel, asked: list[Pair]):
    usual = filled(model, asked)
    for options in ({"seed": 5}, {"rows_at_a_time": 1}, {"rows_at_a_time": 40}):
        for state, other in zip(filled(model, asked, **options), usual, strict=True):
            for name in ("correct", "wrong_to_right", "right_to_wrong", "low", "done"):
                assert np.array_equal(getattr(state, name), getattr(other, name))


def test_every_row_is_handed_out_once(model: CodiModel, asked: list[Pair]):
    seen = {}

    def note(curve: int, alpha: int, problem: int, decoded) -> None:
        assert (curve, alpha, problem) not in seen
        assert decoded.question == asked[problem].clean.question
        seen[curve, alpha, problem] = decoded.answer == asked[problem].clean.answer

    states = filled(model, asked, on_row=note)
    assert len(seen) == states[0].rows
    for c, state in enumerate(states):
        for a in range(len(ALPHAS)):
            assert sum(seen[c, a, p] for p in range(len(asked))) == state.correct[a]


# --- while it fills ------------------------------------------------------------------------------


def test_partial_results_only_grow(model: CodiModel, asked: list[Pair]):
    problems = [pair.clean for pair in asked]
    stream = fill_grid(
        model, problems, curves_of(model), ALPHAS, max_new_tokens=LIMIT, rows_at_a_time=15
    )
    states = [tally.state(1) for tally in stream]
    decoded = [state.decoded for state in states]
    assert len(states) >= 5
    assert decoded == sorted(decoded)
    assert decoded[-1] == states[-1].rows
    for state in states:
        assert (state.done <= len(state.baseline_correct)).all()
        assert (state.correct <= state.done).all()
    for before, after in pairwise(states):
        assert (before.done <= after.done).all()
        assert (before.correct <= after.correct).all()


def test_every_second_alpha_of_a_half_is_asked_for_first():
    cells = [(0, 0), (0, 1), (0, 2)]
    order = list(cells_in_order(cells, 6, seed=0))
    half = {problem for _, _, problem in order[:9]}
    assert len(half) == 3
    assert {(c, a) for c, a, _ in order[:9]} == {(-1, -1), (0, 0), (0, 2)}
    assert {(a, problem) for _, a, problem in order[9:12]} == {(1, problem) for problem in half}
    assert not half & {problem for _, _, problem in order[12:]}
    assert len(set(order)) == len(order) == 6 * 4


def test_what_is_not_decoded_is_not_counted(model: CodiModel, asked: list[Pair]):
    """No accuracy, no interval, no flip."""
    problems = [pair.clean for pair in asked[:2]]
    stream = fill_grid(
        model, problems, curves_of(model)[:1], ALPHAS, max_new_tokens=LIMIT, rows_at_a_time=1
    )
    first = next(stream).state(0)
    empty = first.done == 0
    assert empty.any()
    assert np.isnan(first.low[empty]).all()
    assert np.isnan(first.high[empty]).all()
    assert not first.correct[empty].any()
    assert not (first.wrong_to_right + first.right_to_wrong)[empty].any()
    *_, last = stream
    assert np.isfinite(last.state(0).low).all()


def test_problems_come_in_an_order_of_their_own(model: CodiModel, asked: list[Pair]):
    """A partial result is a sample of the whole, not of its beginning."""
    firsts = set()
    for seed in range(4):
        stream = fill_grid(
            replace(model),  # which remembers no answers
            [pair.clean for pair in asked],
            curves_of(model)[:1],
            (0.0,),
            seed=seed,
            max_new_tokens=1,
            rows_at_a_time=2,
        )
        firsts.add(tuple(next(stream).state(0).baseline_correct))
    assert len(firsts) > 1


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps in small batches, with short answers."""
    short = partial(fill_grid, rows_at_a_time=12, max_new_tokens=LIMIT)
    monkeypatch.setattr(sweeping, "fill_grid", short)


@pytest.mark.usefixtures("small")
def test_iter_sweep_yields_the_growing_curve_and_stops(model: CodiModel, asked: list[Pair]):
    asks = iter(range(10_000))
    stream = iter_sweep(
        model,
        asked,
        curve=EditCurve.along(direction(model), "residual", 2, WHERE),
        alphas=(-1.0, 0.0, 1.0),
        stop=lambda: next(asks) >= 20,
    )
    first = next(stream)
    assert 0 < first.decoded < first.rows
    with pytest.raises(Cancelled):
        list(stream)


@pytest.mark.usefixtures("small")
def test_iter_sweep_is_the_grid_of_one_layer(model: CodiModel, asked: list[Pair]):
    curve = EditCurve.along(direction(model), "thought", None, WHERE)
    *_, state = iter_sweep(model, asked[:2], curve=curve, alphas=(0.0, 2.0))
    problems = [pair.clean for pair in asked[:2]]
    *_, tally = fill_grid(model, problems, [curve], (0.0, 2.0), max_new_tokens=LIMIT)
    assert np.array_equal(state.correct, tally.state(0).correct)
    assert state.done.tolist() == [2, 2]


def test_a_direction_of_other_weights_never_enters_a_grid(model: CodiModel, asked: list[Pair]):
    foreign = replace(direction(model), vectors=torch.full((7, 32), torch.inf))
    curve = EditCurve.along(foreign, "residual", 2, WHERE)
    with pytest.raises(UserError, match="not finite"):
        next(fill_grid(model, [asked[0].clean], [curve], ALPHAS))
