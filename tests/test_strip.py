"""One problem at many alphas, against direct computation from single decodes."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_models import PLACES, direction, problems, tiny_model

from steer_core import Edit, UserError, decode
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Problem
from steer_core.experiment.strip import STRIP_ALPHAS, AlphaStrip, alpha_strip
from steer_core.steering.decode import Decoded
from steer_core.steering.directions import Direction
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditCurve, EditSpec

ALPHAS = (-2.0, -0.5, 0.0, 1.0, 2.0)
ZERO = ALPHAS.index(0.0)
WHERE = (1, 3)
LIMIT = 6
K, L = 6, 3


@pytest.fixture(scope="module", params=["gpt2-bin", "llama-bin"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def problem(model: CodiModel) -> Problem:
    """One that the unedited model answers right."""
    return next(each for each in problems(model, LIMIT) if each.answer != -1)


def strip_of(
    model: CodiModel, problem: Problem, site: str, layer: int | None, **options
) -> AlphaStrip:
    options = {"positions": WHERE, "alphas": ALPHAS, "max_new_tokens": LIMIT, **options}
    mine = direction(model, site, layer)
    text, gold = problem.question, problem.answer
    curve = EditCurve.along(mine, site, layer, options.pop("positions"))
    return alpha_strip(model, text, gold, curve=curve, **options)


def single(
    model: CodiModel, problem: Problem, site: str, layer: int | None, alpha: float
) -> Decoded:
    edit = Edit(direction(model).vectors, alpha, site, layer, WHERE)
    (row,) = decode(model, [problem.question], [edit], max_new_tokens=LIMIT, hidden=True)
    return row


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("site", "layer"), PLACES)
def test_every_alpha_is_what_its_own_decode_gives(
    model: CodiModel, problem: Problem, site: str, layer: int | None
):
    strip = strip_of(model, problem, site, layer)
    plain = single(model, problem, site, layer, 0.0)
    size = np.linalg.norm(plain.hidden, axis=-1)
    for a, alpha in enumerate(ALPHAS):
        row = single(model, problem, site, layer, alpha)
        assert (strip.texts[a], strip.answers[a]) == (row.text, row.answer)
        assert strip.correct[a] == (row.answer == problem.answer)
        states = row.hidden.copy()
        if (
            site == "thought"
        ):  # the decoder keeps the state, and hands the projection the edited one
            states[list(WHERE), -1] += alpha * direction(model).vectors[list(WHERE)].numpy()
        moved = np.linalg.norm(states - plain.hidden, axis=-1)
        assert_close(strip.delta_norm[a], moved)
        assert_close(strip.relative[a], moved / size)
        assert_close(strip.norm_change[a], np.linalg.norm(states, axis=-1) - size)


@pytest.mark.parametrize(("site", "layer"), PLACES)
def test_dose_is_the_edit_over_the_state_it_is_added_to(
    model: CodiModel, problem: Problem, site: str, layer: int | None
):
    strip = strip_of(model, problem, site, layer)
    plain = single(model, problem, site, layer, 0.0)
    norms = direction(model).norms
    wanted = np.zeros((len(ALPHAS), K + 1))
    for k in WHERE:
        if site == "residual":
            state = plain.states[k, layer]
        elif site == "thought":
            state = plain.hidden[k, -1]
        else:
            fed = torch.from_numpy(plain.hidden[k - 1, -1].copy())
            state = model.projection(fed).numpy()
        wanted[:, k] = np.abs(ALPHAS) * norms[k] / np.linalg.norm(state)
    assert_close(strip.dose, wanted)


@pytest.mark.parametrize(
    ("site", "layer", "row"), [("residual", 2, 2), ("thought", None, L), ("embedding", None, 0)]
)
def test_the_edit_is_what_arrives_at_the_first_edited_position(
    model: CodiModel, problem: Problem, site: str, layer: int | None, row: int
):
    """Change and edit, as lengths and as shares, are the same where nothing came before."""
    strip = strip_of(model, problem, site, layer)
    assert strip.dose[:ZERO, WHERE[0]].all()
    assert_close(strip.delta_norm[:, WHERE[0], row], np.abs(ALPHAS) * strip.norms[WHERE[0]])
    if site != "embedding":  # GPT-2 adds its position embedding to that state
        assert_close(strip.relative[:, WHERE[0], row], strip.dose[:, WHERE[0]])


def test_an_edit_that_nothing_reads_moves_no_state(model: CodiModel, problem: Problem):
    strip = strip_of(model, problem, "thought", None, positions=(K,))
    assert not strip.delta_norm.any()


def test_the_baseline_has_not_moved(model: CodiModel, problem: Problem):
    strip = strip_of(model, problem, "residual", 1)
    assert strip.baseline == ZERO
    assert strip.correct[ZERO]
    for name in ("delta_norm", "relative", "norm_change", "dose"):
        assert not getattr(strip, name)[ZERO].any()
    others = np.delete(np.arange(len(ALPHAS)), ZERO)
    assert (strip.delta_norm[others, WHERE[0], 1:] > 0).all()
    assert not strip.delta_norm[:, : WHERE[0]].any()


def test_shapes_and_types(model: CodiModel, problem: Problem):
    strip = strip_of(model, problem, "thought", None)
    count = len(ALPHAS)
    shapes = {
        "alphas": ((count,), np.float64),
        "correct": ((count,), np.bool_),
        "delta_norm": ((count, K + 1, L + 1), np.float32),
        "relative": ((count, K + 1, L + 1), np.float32),
        "norm_change": ((count, K + 1, L + 1), np.float32),
        "dose": ((count, K + 1), np.float32),
    }
    for name, wanted in shapes.items():
        found = getattr(strip, name)
        assert (found.shape, found.dtype) == wanted
    assert len(strip.texts) == len(strip.answers) == count
    assert strip.seconds > 0


@pytest.mark.parametrize(
    ("site", "layer", "positions", "inert"),
    [
        ("residual", 2, (5, 6), ()),
        ("residual", 3, (5, 6), (6,)),
        ("thought", None, (6, 1), (6,)),
        ("embedding", None, (2, 0), (0,)),
        ("embedding", None, (), ()),
    ],
)
def test_positions_that_cannot_act_are_named(
    model: CodiModel, problem: Problem, site: str, layer: int | None, positions: tuple, inert: tuple
):
    strip = strip_of(model, problem, site, layer, positions=positions)
    assert tuple(position for position, _ in strip.inert) == inert
    assert all(reason for _, reason in strip.inert)


@pytest.mark.parametrize(
    ("site", "layer", "positions"), [("thought", None, (6,)), ("residual", 3, (6,))]
)
def test_where_all_positions_are_inert_no_answer_changes(
    model: CodiModel, problem: Problem, site: str, layer: int | None, positions: tuple
):
    strip = strip_of(model, problem, site, layer, positions=positions)
    assert len(strip.inert) == len(positions)
    assert set(strip.texts) == {strip.texts[ZERO]}


def test_a_wrong_gold_answer_is_never_correct(model: CodiModel, problem: Problem):
    wrong = dataclasses.replace(problem, answer=-1)
    assert not strip_of(model, wrong, "residual", 2).correct.any()


def test_without_a_gold_answer_the_rest_is_the_same(model: CodiModel, problem: Problem):
    options = {"alphas": ALPHAS, "max_new_tokens": LIMIT}
    curve = EditCurve.along(direction(model, "residual", 2), "residual", 2, WHERE)
    found = alpha_strip(model, problem.question, curve=curve, **options)
    assert found.correct is None
    assert found.texts == strip_of(model, problem, "residual", 2).texts


def test_the_standard_grid_is_that_of_the_slider():
    assert tuple(i / 10 for i in range(-30, 31)) == STRIP_ALPHAS


def test_minus_zero_is_the_baseline(model: CodiModel, problem: Problem):
    assert strip_of(model, problem, "residual", 2, alphas=(1.0, -0.0)).baseline == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alphas": (1.0, 2.0)}, "2 alphas lack 0"),
        ({"alphas": ()}, "no alpha"),
        ({"alphas": (0.0, float("inf"))}, "alpha inf"),
        ({"positions": (9,)}, "position 9"),
    ],
)
def test_a_strip_that_cannot_be_run_is_refused(
    model: CodiModel, problem: Problem, change: dict, message: str
):
    with pytest.raises(UserError, match=message):
        strip_of(model, problem, "residual", 2, **change)


def test_a_strip_of_an_empty_question_is_refused(model: CodiModel, problem: Problem):
    with pytest.raises(UserError, match="empty"):
        strip_of(model, dataclasses.replace(problem, question=" "), "residual", 2)


# --- other operations, schedules, several layers -------------------------------------------------


def curve_of(model: CodiModel, *specs: EditSpec) -> EditCurve:
    """Edits along noise, as wide as the states of each place."""
    torch.manual_seed(0)
    widths = [spec.site.width(model.config) for spec in specs]
    noise = [torch.randn(K + 1, width) for width in widths]
    places = [(spec.site.name, spec.site.layer) for spec in specs]
    return EditCurve(
        tuple(
            (spec, Direction(vectors, "noise", *place))
            for spec, vectors, place in zip(specs, noise, places, strict=True)
        )
    )


OTHERS = [
    (EditSpec(Site("residual", 2), WHERE, operation="rotate"),),
    (EditSpec(Site("thought"), WHERE, operation="project_out"),),
    (EditSpec(Site("residual", 1), WHERE, schedule=(1.0, 0.5, 1.0, -1.0, 0.0, 1.0, 1.0)),),
    (EditSpec(Site("residual", 1), WHERE), EditSpec(Site("residual", 3), WHERE, factor=0.5)),
    (EditSpec(Site("kv", 2), WHERE),),
]


@pytest.mark.parametrize("specs", OTHERS, ids=lambda specs: f"{specs[0].operation}-{len(specs)}")
def test_whatever_is_edited_every_alpha_is_its_own_decode(
    model: CodiModel, problem: Problem, specs: tuple[EditSpec, ...]
):
    curve = curve_of(model, *specs)
    strip = alpha_strip(model, problem.question, curve=curve, alphas=ALPHAS, max_new_tokens=LIMIT)
    for a, alpha in enumerate(ALPHAS):
        (row,) = decode(model, [problem.question], [curve.at(alpha)], max_new_tokens=LIMIT)
        assert strip.texts[a] == row.text
    assert not strip.dose[ZERO].any()
    assert strip.dose[ZERO + 1, list(WHERE)].all()


def test_the_dose_of_an_operation_is_what_it_changes(model: CodiModel, problem: Problem):
    """Scaling by 1 + alpha changes a state by alpha of its norm, whatever the direction."""
    spec = EditSpec(Site("residual", 2), WHERE, operation="scale", schedule=(1, 0.5, 1, 1, 1, 1, 1))
    strip = alpha_strip(
        model, problem.question, curve=curve_of(model, spec), alphas=ALPHAS, max_new_tokens=LIMIT
    )
    assert_close(strip.dose[:, 3], np.abs(ALPHAS))
    assert_close(strip.dose[:, 1], 0.5 * np.abs(ALPHAS))


def test_a_position_is_inert_only_where_no_layer_can_act(model: CodiModel, problem: Problem):
    last, before = (EditSpec(Site("residual", layer), (K,)) for layer in (L, L - 1))
    asked = {"alphas": (0.0, 1.0), "max_new_tokens": LIMIT}
    alone = alpha_strip(model, problem.question, curve=curve_of(model, last), **asked)
    both = alpha_strip(model, problem.question, curve=curve_of(model, last, before), **asked)
    assert [position for position, _ in alone.inert] == [K]
    assert both.inert == ()
