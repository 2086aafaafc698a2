"""Controls: directions without meaning, and how like the real one they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tiny_models import PLACES, direction, noise, problems, tiny_model

from steer_core import UserError
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Problem
from steer_core.names import CONTROL_KINDS, NUISANCE, DirectionRef
from steer_core.steering import controls
from steer_core.steering.controls import (
    Background,
    covariance_like,
    draw,
    likeness,
    nuisance_like,
    random_like,
    shuffled_like,
)
from steer_core.steering.directions import Direction, fitted
from steer_core.steering.fit import FitSet, fit_set
from steer_core.steering.methods import METHODS, Method, mean_difference
from steer_core.steering.nuisance import MOST, nuisance_label, nuisance_labels

K = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("gpt2"), "gpt2-bin")


@pytest.fixture(scope="module")
def fit(model: CodiModel) -> FitSet:
    return fit_set(model, problems(model), "mine")


def background(model: CodiModel, fit: FitSet, mine: Direction) -> Background:
    return Background.at(model, fit, mine.site, mine.layer)


# --- what every kind has -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CONTROL_KINDS)
@pytest.mark.parametrize(("site", "layer"), PLACES)
def test_a_control_has_the_norms_the_place_and_the_units_of_its_direction(
    model: CodiModel, fit: FitSet, kind: str, site: str, layer: int | None
):
    mine = fitted(model, fit, site, layer)
    control = draw(kind, mine, 3, background(model, fit, mine))
    np.testing.assert_allclose(control.norms, mine.norms, rtol=1e-4)
    assert (control.method, control.site, control.layer) == (f"{kind}-3", site, layer)
    assert control.scales is mine.scales
    assert control.provenance is not None
    assert control.provenance.problems == "mine"


@pytest.mark.parametrize("kind", CONTROL_KINDS)
def test_controls_repeat_by_seed_and_point_elsewhere(model: CodiModel, fit: FitSet, kind: str):
    mine = fitted(model, fit, "residual", 2)
    here = background(model, fit, mine)
    first, again, second = (draw(kind, mine, seed, here).vectors for seed in (1, 1, 2))
    assert torch.equal(first, again)
    for one, other in ((first, second), (first, mine.vectors)):
        assert torch.cosine_similarity(one, other, dim=-1).abs().min() < 0.99


def test_where_a_direction_is_zero_so_are_its_controls(model: CodiModel, fit: FitSet):
    vectors = noise(model) * torch.arange(K + 1)[:, None]  # row 0 is zero
    mine = Direction(vectors, "mine", "residual", 2)
    for kind in CONTROL_KINDS:
        control = draw(kind, mine, 3, background(model, fit, mine))
        np.testing.assert_allclose(control.norms, mine.norms, rtol=1e-4)


# --- isotropic noise -----------------------------------------------------------------------------


def test_noise_needs_no_fit_set(model: CodiModel):
    mine = direction(model)
    assert torch.equal(draw("random", mine, 7, None).vectors, random_like(mine, 7).vectors)


# --- other labels --------------------------------------------------------------------------------


@pytest.mark.parametrize(("site", "layer"), PLACES)
def test_a_shuffled_control_is_the_method_on_relabelled_problems(
    model: CodiModel, fit: FitSet, site: str, layer: int | None
):
    """As many right as before, other ones."""
    mine = fitted(model, fit, site, layer)
    here = background(model, fit, mine)
    control = shuffled_like(mine, 5, here)
    labels = np.random.default_rng(5).permutation(fit.right)
    assert labels.sum() == fit.right.sum()
    assert (labels != fit.right).any()
    wanted = torch.from_numpy(here.states[labels].mean(0) - here.states[~labels].mean(0))
    cosines = torch.cosine_similarity(control.vectors, wanted, dim=-1)[site == "embedding" :]
    torch.testing.assert_close(cosines, torch.ones_like(cosines))


def test_a_shuffled_control_says_which_shuffle_it_is(model: CodiModel, fit: FitSet):
    mine = fitted(model, fit, "residual", 1)
    origin = shuffled_like(mine, 8, background(model, fit, mine)).provenance
    assert origin == dataclasses.replace(fit.provenance, seed=8)


def test_a_nuisance_control_is_the_method_on_its_label(model: CodiModel, fit: FitSet):
    mine = fitted(model, fit, "thought", None)
    here = background(model, fit, mine)
    labels = nuisance_label(fit.problems, fit.right, 4).labels
    wanted = mean_difference(here.states, labels)
    found = torch.cosine_similarity(nuisance_like(mine, 4, here).vectors, wanted, dim=-1)
    torch.testing.assert_close(found, torch.ones_like(found))


@pytest.mark.parametrize("draw_one", [shuffled_like, nuisance_like])
@pytest.mark.parametrize("name", ["twice", "twice:sd"])
def test_controls_of_other_labels_follow_whatever_method_the_direction_has(
    model: CodiModel, fit: FitSet, draw_one, name: str, monkeypatch: pytest.MonkeyPatch
):
    """A method of one's own: the state of the first labelled problem alone."""
    asked = []

    def first(states: np.ndarray, labels: np.ndarray) -> torch.Tensor:
        asked.append(labels)
        return torch.from_numpy(states[np.flatnonzero(labels)[0]])

    monkeypatch.setitem(METHODS, "twice", Method("twice", first, ("correct",)))
    mine = dataclasses.replace(fitted(model, fit, "residual", 2, "twice"), method=name)
    here = background(model, fit, mine)
    found = draw_one(mine, 2, here).vectors
    wanted = torch.from_numpy(here.states[np.flatnonzero(asked[-1])[0]])
    assert len(asked) == 2
    torch.testing.assert_close(torch.cosine_similarity(found, wanted), torch.ones(K + 1))


# --- nuisance labels -----------------------------------------------------------------------------


def made_up(n: int) -> tuple[tuple[Problem, ...], np.ndarray]:
    """Questions that are answered worse the longer they are."""
    rng = np.random.default_rng(0)
    words = rng.integers(3, 30, n)
    asked = tuple(
        Problem(f"{'ABCDEFG'[i % 7]}nn {'and ' * w}{rng.integers(99)} or {i}?", i, (), f"t{i % 5}")
        for i, w in enumerate(words)
    )
    return asked, rng.random(n) < 1 / (1 + np.exp((words - 15) / 4))


def test_nuisance_labels_say_nothing_about_correctness():
    """Long questions are answered worse here; a label by length alone would say so."""
    asked, right = made_up(400)
    words = np.array([len(p.question.split()) for p in asked])
    assert abs(np.corrcoef(words > np.median(words), right)[0, 1]) > 0.5
    for label in nuisance_labels(asked, right, 99):
        assert abs(np.corrcoef(label.labels, right)[0, 1]) < 0.01, label.name


def test_nuisance_labels_differ_and_the_plain_ones_come_first():
    asked, right = made_up(400)
    found = nuisance_labels(asked, right, 99)
    assert len({label.labels.tobytes() for label in found}) == 99
    assert not {(~label.labels).tobytes() for label in found} & {
        label.labels.tobytes() for label in found
    }
    plain = [label.name for label in found[:20]]
    for name in ("number of words", "first letter", "template", "largest number"):
        assert any(each.startswith(name) for each in plain)
    assert not any("hash" in each for each in plain)
    longest = np.array([len(p.question.split()) for p in asked])
    assert longest[found[0].labels].mean() > longest[~found[0].labels].mean() + 5


def test_the_list_of_nuisance_labels_is_one_list():
    asked, right = made_up(60)
    some, more = (nuisance_labels(asked, right, count) for count in (5, 70))
    for number, label in enumerate(some):
        assert (label.labels == more[number].labels).all()
        assert (label.labels == nuisance_label(asked, right, number).labels).all()


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_problems_still_give_labels_with_two_sides(n: int):
    asked, _ = made_up(n)
    right = np.arange(n) > 0
    for label in nuisance_labels(asked, right, 30):
        assert 0 < label.labels.sum() < n


@pytest.mark.parametrize("number", [MOST, 10**17])
def test_a_nuisance_label_that_is_not_there_is_refused(number: int):
    asked, right = made_up(8)
    with pytest.raises(UserError, match=f"no nuisance label {number}; choose 0..{MOST - 1}"):
        nuisance_label(asked, right, number)


def test_nuisance_labels_are_not_shifted_by_the_seed_of_a_sweep(model: CodiModel, fit: FitSet):
    from steer_core.pipeline.records import SweepSpec
    from steer_core.pipeline.spec import expand

    spec = SweepSpec("residual", (2,), (1.0,), ((1, 2),), seed=7, nuisance=2, covariance=2)
    labels = [each.key.direction for each in expand(model, spec, fit)]
    assert labels[1:] == ["covariance-7", "covariance-8", "nuisance-0", "nuisance-1"]


# --- the states' covariance ----------------------------------------------------------------------


def states_with_shape(n: int = 4000, size: int = 12) -> np.ndarray:
    """States [n, K+1, D] that vary much along few axes, others at every position, and cohere."""
    rng = np.random.default_rng(1)
    scale = 4.0 * 0.5 ** np.arange(size)
    shared = rng.standard_normal((n, 1, size)) + 0.4 * rng.standard_normal((n, K + 1, size))
    return (shared * scale * (1 + np.arange(K + 1))[:, None] + 3).astype(np.float32)


def scene(vectors: torch.Tensor, states: np.ndarray) -> tuple[Direction, Background]:
    mine = Direction(vectors, "mine", "residual", 1)
    fit = FitSet(states, np.arange(len(states)) % 2 == 0, None, ())  # type: ignore[arg-type]
    return mine, Background(states, fit)


@pytest.fixture(scope="module")
def shaped(model: CodiModel) -> tuple[Direction, Background, torch.Tensor]:
    states = states_with_shape()
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal(12) + 0.3 * rng.standard_normal((K + 1, 12))
    mine, here = scene(torch.from_numpy(vectors).float(), states)
    mine = dataclasses.replace(mine, provenance=None)
    fit = dataclasses.replace(here.fit, provenance=fit_provenance())
    here = Background(states, fit)
    drawn = torch.stack([covariance_like(mine, seed, here).vectors for seed in range(200)])
    return mine, here, drawn


def fit_provenance():
    from steer_core.steering.fit import Provenance

    return Provenance("m", "0" * 64, "mine", "0" * 64, 1, 1, 0, {})


def test_covariance_controls_are_exactly_as_coherent_as_the_direction(shaped):
    mine, _, drawn = shaped
    unit = torch.nn.functional.normalize(mine.vectors, dim=-1)
    each = torch.nn.functional.normalize(drawn, dim=-1)
    wanted = (unit @ unit.T).expand(len(drawn), -1, -1)
    torch.testing.assert_close(each @ each.mT, wanted, atol=1e-4, rtol=0)


def test_covariance_controls_lie_where_the_states_vary(shaped):
    """Along each axis the share of the norm that Gaussian draws of that covariance have there."""
    _, here, drawn = shaped
    unit = torch.nn.functional.normalize(drawn, dim=-1).double().numpy()
    normal = np.random.default_rng(3).standard_normal((20_000, 12))
    for k in (1, 4):
        plain = normal * here.states[:, k].std(0)
        wanted = np.square(plain / np.linalg.norm(plain, axis=1, keepdims=True)).mean(0)
        np.testing.assert_allclose(np.square(unit[:, k]).mean(0), wanted, atol=0.1)
        assert np.square(unit[:, k])[:, :3].sum(1).mean() > 0.85  # noise: a quarter
    # both signs, and not one direction over and over
    first = drawn[:, 3, 0]
    assert 0.35 < (first > 0).double().mean() < 0.65


def test_likeness_tells_noise_from_what_a_direction_is_like(
    shaped, monkeypatch: pytest.MonkeyPatch
):
    mine, here, drawn = shaped
    monkeypatch.setattr(controls, "LEADING", 2)
    noise_like, cov_like = (
        likeness(each, here.states)
        for each in ([random_like(mine, s).vectors for s in range(40)], list(drawn[:40]))
    )
    means = [
        (np.mean([e.coherence for e in each]), np.mean([e.leading for e in each]))
        for each in (noise_like, cov_like)
    ]
    (noise_coherence, noise_leading), (cov_coherence, cov_leading) = means
    assert abs(noise_coherence) < 0.15
    assert cov_coherence == pytest.approx(likeness([mine.vectors], here.states)[0].coherence)
    assert noise_leading == pytest.approx(2 / 12, abs=0.05)
    assert cov_leading > 4 * noise_leading


def test_a_direction_that_is_one_vector_everywhere_has_such_controls(shaped):
    _, here, _ = shaped
    mine = Direction(torch.ones(K + 1, 12), "mine", "residual", 1)
    found = covariance_like(mine, 0, here).vectors
    torch.testing.assert_close(found, found[:1].expand(K + 1, -1), atol=1e-4, rtol=1e-4)


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("mean_difference", DirectionRef("mean_difference")),
        ("mean_difference:sd", DirectionRef("mean_difference", unit="sd")),
        ("random", DirectionRef("random")),
        ("random-3", DirectionRef("random", 3)),
        ("covariance:3", DirectionRef("covariance", 3)),
        ("nuisance:12:dose", DirectionRef("nuisance", 12, "dose")),
        ("moved:a/b.safetensors:sd", DirectionRef("moved:a/b.safetensors", unit="sd")),
        ("randomness", DirectionRef("randomness")),
        ("random-x", DirectionRef("random-x")),
    ],
)
def test_names_are_read_and_written(text: str, ref: DirectionRef):
    assert DirectionRef.parse(text) == ref
    assert DirectionRef.parse(str(ref)) == ref


@pytest.mark.parametrize(
    ("label", "ref"),
    [
        ("shuffled-3 of A:sd", DirectionRef("shuffled", 3, of="A:sd")),
        ("covariance-0 of sum of parts", DirectionRef("covariance", 0, of="sum of parts")),
        ("random-3:sd", DirectionRef("random", 3, "sd")),
        ("sum of parts", DirectionRef("sum of parts")),
        ("mean_difference:sd", DirectionRef("mean_difference", unit="sd")),
    ],
)
def test_labels_of_a_run_are_read_and_written(label: str, ref: DirectionRef):
    assert DirectionRef.of_label(label) == ref
    assert str(ref) == label


def test_a_file_that_is_called_like_a_control_is_a_file(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert DirectionRef.parse("random-3").kind == "random"
    (tmp_path / "random-3").touch()
    assert DirectionRef.parse("random-3") == DirectionRef("random-3")


def test_nuisance_is_a_kind_like_the_others():
    assert NUISANCE in CONTROL_KINDS
