"""Methods of directions: each finds what was planted, and says so where nothing was."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from steer_core import UserError
from steer_core.data.problems import Problem
from steer_core.names import DirectionRef
from steer_core.steering.background import Background, nuisance, plain, shuffled, vectors_of
from steer_core.steering.controls import draw
from steer_core.steering.directions import Direction
from steer_core.steering.fit import FitSet, Provenance
from steer_core.steering.labels import LABELS, sides_of
from steer_core.steering.methods import METHODS, mean_difference
from steer_core.steering.separate import separation
from steer_core.steering.states import leading_subspace
from steer_core.steering.units import scales_of

PAIRS, POSITIONS, WIDTH = 160, 2, 8
SHIFT = 3.0
"""Distance of the two sides along the planted direction, in standard deviations of the noise."""
NAMES = [
    name if label == method.labels[0] else f"{name}:{label}"
    for name, method in METHODS.items()
    for label in method.labels
]
COMPONENTS = ["pca", "ica"]
FUNCTIONS = ["mean_difference", "contrast", "counterfactual", "lda", "probe"]
"""Each function once, and both ways of shuffling."""


def problems() -> tuple[Problem, ...]:
    """Both twins of pairs whose answers, steps, operations and templates differ."""
    found = []
    for i in range(PAIRS):
        sign = "+-*/"[i % 4]
        for answer in (10 + i, 10 + i + (3 if i % 3 else -2)):
            chain = (*["<<1+1=2>>"] * (i % 4), f"<<{i}{sign}1={answer}>>")
            question = f"Tom has {answer} pens of kind {i * 7919 % 211}. How many?"
            found.append(Problem(question, answer, chain, f"template {i % 5}"))
    return tuple(found)


def planted(label: str | None, seed: int = 0) -> tuple[Background, np.ndarray]:
    """Noise with a shift along unit vectors [POSITIONS, WIDTH] between the sides of a label."""
    chance = np.random.default_rng(seed)
    axes = chance.standard_normal((POSITIONS, WIDTH))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    states = chance.standard_normal((2 * PAIRS, POSITIONS, WIDTH))
    right = chance.random(2 * PAIRS) < 0.5
    fit = FitSet(states, right, None, problems(), twins=True)  # type: ignore[arg-type]
    if label is not None:
        _, sides = sides_of(fit, label)
        states[sides.rows[sides.high]] += SHIFT * axes
    return Background(states, fit), axes


def cosines(vectors: torch.Tensor, axes: np.ndarray) -> np.ndarray:
    return torch.cosine_similarity(vectors.double(), torch.from_numpy(axes), dim=-1).numpy()


def label_of(name: str) -> str:
    ref = DirectionRef.parse(name)
    return ref.option or METHODS[ref.method].labels[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_direction_is_recovered(name: str):
    here, axes = planted(label_of(name))
    ref = DirectionRef.parse(name)
    vectors = vectors_of(ref, here)
    assert cosines(vectors, axes).min() > 0.95
    # As long as the sides are apart, so that alpha 1 leads from one to the other.
    assert vectors.norm(dim=-1).numpy() == pytest.approx(SHIFT, abs=0.5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_was_planted_is_called_separable(name: str):
    here, _ = planted(label_of(name))
    assert separation(DirectionRef.parse(name), here).separable


@pytest.mark.parametrize("name", [*FUNCTIONS, *COMPONENTS])
def test_of_noise_a_method_says_not_separable(name: str):
    """At the level of 5 %, both of two draws of noise would be called separable in < 1 %."""
    found = [separation(DirectionRef.parse(name), planted(None, seed)[0]) for seed in (1, 2)]
    assert any(one.words.startswith("not separable") and not one.separable for one in found)


def test_noise_is_called_separable_as_often_as_the_level_says():
    hits = [
        separation(DirectionRef("mean_difference"), planted(None, seed)[0]).separable
        for seed in range(40)
    ]
    assert sum(hits) <= 6  # 2 of 40 at the level of 5 %; more than 6 has p < .004


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_planted_component_is_recovered(name: str):
    """One wide axis; for independent components one of two values."""
    here, axes = planted(None)
    chance = np.random.default_rng(1)
    values = chance.choice([-2.0, 2.0], size=(len(here.states), POSITIONS, 1))
    if name == "pca":
        values = 2 * chance.standard_normal(values.shape)
    here = Background(here.states + values * axes, here.fit)
    ref = DirectionRef(name)
    assert np.abs(cosines(vectors_of(ref, here), axes)).min() > 0.95
    assert separation(ref, here).separable


def test_components_keep_their_sign_from_position_to_position():
    here, axes = planted(None)
    chance = np.random.default_rng(1)
    same = np.repeat(axes[:1], POSITIONS, 0)
    moved = 4 * chance.standard_normal((2 * PAIRS, POSITIONS, 1)) * same
    here = Background(here.states + moved, here.fit)
    vectors = vectors_of(DirectionRef("pca"), here)
    assert torch.cosine_similarity(vectors[:-1], vectors[1:], dim=-1).min() > 0.9


@pytest.mark.parametrize("name", [*NAMES, *COMPONENTS])
@pytest.mark.parametrize("kind", ["shuffled", "nuisance", "random", "covariance"])
def test_every_method_has_every_control(name: str, kind: str):
    ref = DirectionRef.parse(name)
    planted_at = None if ref.method in COMPONENTS else label_of(name)
    here, _ = planted(planted_at)
    vectors = vectors_of(ref, here)
    origin = Provenance("m", "0", "p", "0", 1, 1, 0, {})
    fit = dataclasses.replace(here.fit, provenance=origin)
    real = Direction(vectors, name, "residual", 1, origin, scales_of(here.states, vectors))
    control = draw(kind, real, 5, dataclasses.replace(here, fit=fit))
    np.testing.assert_allclose(control.norms, real.norms, rtol=1e-4)
    assert torch.cosine_similarity(control.vectors, vectors, dim=-1).abs().min() < 0.99


@pytest.mark.parametrize("label", LABELS)
def test_a_contrast_shuffles_its_own_label(label: str):
    """The shuffled control is the method on random sides of that label's problems."""
    here, _ = planted(label)
    _, sides = sides_of(here.fit, label)
    name = "lda" if label == "correct" else "contrast"
    ref = DirectionRef(name, option=label)
    method = METHODS[name].labelled
    assert method is not None
    mixed = sides.shuffled(4)
    assert mixed.counts == sides.counts or sides.paired
    wanted = method(here.states[sides.rows], mixed.high)
    assert torch.equal(vectors_of(ref, here, shuffled(4)), wanted)
    assert not torch.equal(vectors_of(ref, here, plain), wanted)
    assert not torch.equal(vectors_of(ref, here, nuisance(0)), wanted)


def test_twins_are_shuffled_within_their_pair():
    here, _ = planted("clean")
    _, sides = sides_of(here.fit, "clean")
    high = sides.shuffled(0).high.reshape(-1, 2)
    assert (high.sum(1) == 1).all()
    assert 0 < high[:, 0].sum() < PAIRS


def test_a_counterfactual_is_the_mean_of_twins_differences():
    here, _ = planted("larger_answer")
    states = here.states.reshape(PAIRS, 2, POSITIONS, WIDTH)
    gaps = np.array([3 if i % 3 else -2 for i in range(PAIRS)])
    wanted = (np.sign(gaps)[:, None, None] * (states[:, 1] - states[:, 0])).mean(0)
    found = vectors_of(DirectionRef("counterfactual"), here)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    by_three = vectors_of(DirectionRef.parse("counterfactual:larger_answer=3"), here)
    np.testing.assert_allclose(
        by_three, (states[gaps == 3, 1] - states[gaps == 3, 0]).mean(0), atol=1e-5
    )


def test_thirds_leave_out_the_middle():
    here, _ = planted(None)
    _, sides = sides_of(here.fit, "answer_size")
    sizes = np.array([abs(p.answer) for p in here.fit.problems])
    high, low = sizes[sides.rows[sides.high]], sizes[sides.rows[~sides.high]]
    assert low.max() < high.min()
    assert len(high) == pytest.approx(2 * PAIRS / 3, abs=3)


def test_one_class_can_be_chosen():
    here, _ = planted(None)
    _, sides = sides_of(here.fit, "operation=*")
    assert sides.counts == (PAIRS // 2, 3 * PAIRS // 2)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mean_difference:steps", "behind mean_difference may stand correct"),
        ("contrast:colour", "may stand answer_size, steps"),
        ("contrast:operation=?", "no problem is of class"),
        ("pca:17", "behind pca may stand 1, 2"),
        ("pca:9", "one too many"),
        ("contrast:larger_answer=x", "is no number"),
        ("contrast:larger_answer=77", "on one side"),
    ],
)
def test_what_a_method_does_not_take_is_refused(name: str, says: str):
    here, _ = planted(None)
    with pytest.raises(UserError, match=says):
        vectors_of(DirectionRef.parse(name), here)


def test_without_twins_a_counterfactual_says_what_it_needs():
    here, _ = planted(None)
    alone = Background(here.states, dataclasses.replace(here.fit, twins=False))
    with pytest.raises(UserError, match="needs both twins"):
        vectors_of(DirectionRef("counterfactual"), alone)


def test_where_states_do_not_vary_a_direction_is_zero():
    here, _ = planted("correct")
    here.states[:, 0] = 0  # as embeddings at BOT
    for name in ("lda", "probe", "pca", "ica"):
        vectors = vectors_of(DirectionRef(name), here)
        assert vectors[0].norm() == 0
        assert vectors[1:].norm(dim=-1).min() > 0


def test_methods_are_functions_of_states_and_labels():
    here, _ = planted("correct")
    wanted = here.states[here.fit.right].mean(0) - here.states[~here.fit.right].mean(0)
    np.testing.assert_allclose(mean_difference(here.states, here.fit.right), wanted, atol=1e-5)


# --- states to move to ---------------------------------------------------------------------------


def test_states_to_move_to():
    here, _ = planted("correct")
    found = {name: vectors_of(DirectionRef.parse(name), here) for name in STATES}
    np.testing.assert_allclose(found["mean_state"], here.states.mean(0), atol=1e-5)
    assert found["zero_state"].norm() == 0
    sizes = np.linalg.norm(here.states, axis=-1).mean(0)
    np.testing.assert_allclose(found["noise_state:3"].norm(dim=-1), sizes, rtol=1e-5)
    assert not torch.equal(found["noise_state:3"], found["noise_state:4"])
    np.testing.assert_allclose(found["problem_state:7"], here.states[6], atol=1e-6)
    control = vectors_of(DirectionRef("mean_state"), here, shuffled(6))
    np.testing.assert_allclose(control, here.states[6], atol=1e-6)


STATES = ("mean_state", "zero_state", "noise_state:3", "noise_state:4", "problem_state:7")


def test_a_problem_that_is_not_there_is_refused():
    here, _ = planted(None)
    with pytest.raises(UserError, match="none of the 320"):
        vectors_of(DirectionRef.parse("problem_state:321"), here)


def test_outside_the_leading_components_lies_what_they_do_not_span():
    here, axes = planted(None)
    basis = np.linalg.qr(np.random.default_rng(3).standard_normal((WIDTH, 3)))[0].T
    wide = np.repeat(basis[None], POSITIONS, 0)
    weights = np.random.default_rng(4).standard_normal((len(here.states), POSITIONS, 3))
    states = 0.01 * here.states + np.einsum("nkr,krd->nkd", weights, wide)
    found = leading_subspace(states, 3)
    change = torch.from_numpy(axes).float()
    for k in range(POSITIONS):
        kept = found.limit(change[k : k + 1], k)
        assert (kept.numpy() @ wide[k].T).max() < 0.01
        inside = torch.from_numpy(wide[k]).float()
        assert found.limit(inside, k).norm() < 0.05


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "mean_difference - 0.5*pca:1",
        "lda:steps + probe",
        "2*contrast:answer_size orthogonal to mean_difference",
        "mean_difference:sd - shuffled-3:sd",
        "contrast:operation=*",
        "shuffled-3 of contrast:answer_size",
    ],
)
def test_names_of_directions_are_read_and_written(text: str):
    ref = DirectionRef.parse(text)
    assert str(ref) == text
    assert DirectionRef.of_label(text) == ref


@pytest.mark.parametrize(
    "text", ["a orthogonal to ", "a orthogonal to b - c", " + ".join("ab" * 9)]
)
def test_what_is_no_expression_is_refused(text: str):
    with pytest.raises(UserError, match="is no expression of up to 16 directions"):
        DirectionRef.parse(text)


def test_expressions_add_and_take_out():
    here, _ = planted("correct")
    one, other = (vectors_of(DirectionRef(name), here) for name in ("mean_difference", "pca"))
    found = vectors_of(DirectionRef.parse("mean_difference - 0.5*pca"), here)
    torch.testing.assert_close(found, one - 0.5 * other)
    across = vectors_of(DirectionRef.parse("mean_difference orthogonal to pca"), here)
    assert (across * other).sum(-1).abs().max() < 1e-4
    rest = one - across
    assert torch.cosine_similarity(rest, other, dim=-1).abs().min() > 0.999


def test_controls_of_an_expression_are_its_terms_relabelled():
    here, _ = planted("correct")
    ref = DirectionRef.parse("mean_difference - 2*lda:steps")
    names = "mean_difference", "lda:steps"
    terms = [vectors_of(DirectionRef.parse(name), here, shuffled(9)) for name in names]
    found = vectors_of(ref, here, shuffled(9))
    torch.testing.assert_close(found, terms[0] - 2 * terms[1])
