"""What an edit changes in a model's reasoning, and what it must leave alone.

That α = 0 and empty masks of the operation `add` are plain decoding is in test_decode_exact.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import PLACES, QUESTIONS, noise, tiny_model

from steer_core import Edit, UserError, decode
from steer_core.codi.body import TOKENS_AT_A_TIME, Block
from steer_core.codi.drafts import Candidates
from steer_core.codi.engine import run_batch
from steer_core.codi.model import CodiModel
from steer_core.codi.prefix import prefixes
from steer_core.steering.decode import Decoded, Options, Row, decode_rows
from steer_core.steering.edits import check_edit, dead_positions
from steer_core.steering.operations import OPERATIONS
from steer_core.steering.plan import EditPlan

K, L, HIDDEN = 6, 3, 32
LIMIT = 3
STATES = ("residual", "thought", "embedding")
ALL = tuple(range(K + 1))
quick = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
masks = st.sets(st.integers(0, K)).map(lambda mask: tuple(sorted(mask)))


@pytest.fixture(scope="module", params=["gpt2-bin", "llama-bin"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp(request.param), request.param)


def run(model: CodiModel, *edits) -> list[Decoded]:
    """The first question once for each entry: an edit, several, or None."""
    questions = [QUESTIONS[0]] * len(edits)
    return decode(model, questions, edits, max_new_tokens=LIMIT, hidden=True, first_logits=True)


def assert_identical(row: Decoded, other: Decoded) -> None:
    assert np.array_equal(row.states, other.states)
    assert np.array_equal(row.first_logits, other.first_logits)
    assert row.token_ids == other.token_ids


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


# --- arrival -------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - {"restore_norm"}))
@pytest.mark.parametrize(("layer", "position"), [(1, 0), (2, 3), (3, 5)])
def test_the_edited_state_is_what_the_operation_makes_of_the_plain_one(
    model: CodiModel, operation: str, layer: int, position: int
):
    d = noise(model)
    edit = Edit(d, 0.7, "residual", layer, (position,), operation)
    plain, edited = run(model, None, edit)
    before = torch.from_numpy(plain.states[position, layer])[None]
    wanted = OPERATIONS[operation](before, d[position][None], torch.tensor([[0.7]]), before)
    assert_close(edited.states[position, layer], wanted[0].numpy())
    assert not np.array_equal(edited.first_logits, plain.first_logits)


@quick
@given(alpha=st.floats(-4, 4), layer=st.integers(1, L), position=st.integers(0, K))
def test_an_added_edit_moves_by_its_norm(model: CodiModel, alpha: float, layer: int, position: int):
    d = noise(model)
    plain, edited = run(model, None, Edit(d, alpha, "residual", layer, (position,)))
    moved = np.linalg.norm(edited.states[position, layer] - plain.states[position, layer])
    assert moved == pytest.approx(abs(alpha) * d[position].norm().item(), abs=2e-5)


@quick
@given(layer=st.integers(1, L), position=st.integers(0, K), site=st.sampled_from(STATES))
def test_what_comes_before_an_edit_is_untouched(
    model: CodiModel, layer: int, position: int, site: str
):
    """Earlier positions, and the layers below at the edited one: equal, not close."""
    edit = Edit(noise(model), 2.0, site, layer, (position,))
    plain, edited = run(model, None, edit)
    assert np.array_equal(edited.states[:position], plain.states[:position])
    if site == "residual":
        at, before = edited.states[position], plain.states[position]
        assert np.array_equal(at[:layer], before[:layer])
        assert (at[layer:] != before[layer:]).any(-1).all()


def test_rows_of_a_direction_outside_the_mask_are_not_read(model: CodiModel):
    d = noise(model)
    wild = torch.full_like(d, 1e30)
    wild[2] = d[2]
    rows = run(model, Edit(d, 1.0, "residual", 2, (2,)), Edit(wild, 1.0, "residual", 2, (2,)))
    assert_identical(*rows)


def test_in_half_precision_neighbouring_alphas_stay_apart(tmp_path):
    """2.995 and 3.0 are one number in bfloat16; an edit is computed in float32."""
    half = tiny_model(tmp_path, dtype="bfloat16")
    d = noise(half, size=30.0)
    near, far = run(half, *(Edit(d, alpha, "residual", 2, (1,)) for alpha in (2.995, 3.0)))
    assert not np.array_equal(near.states[1, 2], far.states[1, 2])


# --- several edits of one row --------------------------------------------------------------------


def test_edits_at_two_layers_of_one_row(model: CodiModel):
    low, high = Edit(noise(model, 1), 1.5, layer=1, positions=(2,)), noise(model, 2)
    both = (low, Edit(high, -0.5, layer=2, positions=(2,)))
    alone, together = run(model, low, both)
    assert np.array_equal(together.states[2, :2], alone.states[2, :2])
    assert_close(together.states[2, 2], alone.states[2, 2] - 0.5 * high[2].numpy())


@pytest.mark.parametrize("site", STATES)
def test_a_sum_of_directions_is_the_sum_of_their_edits(model: CodiModel, site: str):
    first, second = noise(model, 1), noise(model, 2)
    several, one = run(
        model,
        (Edit(first, 2.0, site, 2, (1, 4)), Edit(second, -1.0, site, 2, (1, 4))),
        Edit(2.0 * first - second, 1.0, site, 2, (1, 4)),
    )
    assert_close(several.states, one.states)
    assert several.token_ids == one.token_ids


def test_edits_at_one_place_act_in_their_order(model: CodiModel):
    d = noise(model)
    doubled = Edit(d, 1.0, "residual", 2, (1,), "scale")
    moved = Edit(d, 1.0, "residual", 2, (1,))
    plain, first, last = (
        row.states[1, 2] for row in run(model, None, (moved, doubled), (doubled, moved))
    )
    assert_close(first, 2 * (plain + d[1].numpy()))
    assert_close(last, 2 * plain + d[1].numpy())


def test_every_row_of_a_batch_has_its_own_edits(model: CodiModel):
    """Operations, sites, layers, masks, signs and directions side by side, each as if alone."""
    edits = [
        Edit(noise(model, i), (-1.0) ** i * 0.5 * i, site, layer, (i % 7, (2 * i) % 7), operation)
        for i, operation in enumerate(OPERATIONS, start=1)
        for site, layer in PLACES
    ]
    together = run(model, *edits, None)
    for edit, row in zip([*edits, None], together, strict=True):
        (alone,) = run(model, edit)
        assert_close(row.states, alone.states)
        assert row.token_ids == alone.token_ids


# --- schedules and masks -------------------------------------------------------------------------


@quick
@given(positions=masks, place=st.sampled_from(PLACES), operation=st.sampled_from([*OPERATIONS]))
def test_a_mask_is_a_schedule_of_zeros_and_ones(
    model: CodiModel, positions: tuple, place: tuple, operation: str
):
    d = noise(model)
    schedule = tuple(1.5 * (k in positions) for k in ALL)
    rows = run(
        model,
        Edit(d, 1.5, *place, positions, operation),
        Edit(d, schedule, *place, ALL, operation),
    )
    assert_identical(*rows)


def test_a_schedule_is_one_edit_for_each_position(model: CodiModel):
    d, schedule = noise(model), (0.5, -1.0, 0.0, 2.0, 1.0, -3.0, 0.25)
    each = tuple(Edit(d, alpha, "residual", 2, (k,)) for k, alpha in enumerate(schedule))
    assert_identical(*run(model, Edit(d, schedule, "residual", 2, ALL), each))


@quick
@given(
    positions=masks,
    place=st.sampled_from(PLACES),
    operation=st.sampled_from([*OPERATIONS]),
    zero=st.sampled_from([0.0, -0.0, (0.0,) * 7]),
)
def test_alpha_zero_of_any_operation_is_plain_decoding(
    model: CodiModel, positions: tuple, place: tuple, operation: str, zero: float | tuple
):
    """Also beside rows that are edited, from which it must stay apart."""
    d = noise(model)
    neighbour = Edit(d, 2.0, "residual", 1, (1, 2))
    plain, _ = run(model, None, neighbour)
    edited, _ = run(model, Edit(d, zero, *place, positions, operation), neighbour)
    assert_identical(edited, plain)


# --- dead positions ------------------------------------------------------------------------------


def pushed(model: CodiModel, site: str, layer: int | None, position: int) -> tuple[Decoded, ...]:
    """Plain, and edited × 1000, without the shortcut that turns dead edits into plain decoding."""
    edit = Edit(1000 * noise(model), 1.0, site, layer, (position,))
    rows = [Row(0), Row(0, (edit,))]
    (batch,) = decode_rows(model, QUESTIONS[:1], rows, Options(LIMIT, first_logits=True))
    return tuple(decoded for _, decoded in sorted(batch, key=lambda item: item[0]))


@pytest.mark.parametrize(("site", "layer"), PLACES)
def test_dead_positions_are_those_that_change_no_logit(
    model: CodiModel, site: str, layer: int | None
):
    found = set()
    for position in ALL:
        plain, edited = pushed(model, site, layer, position)
        if np.array_equal(plain.first_logits, edited.first_logits):
            assert plain.token_ids == edited.token_ids
            found.add(position)
    assert set(dead_positions(model.config, site, layer, ALL)) == found


def test_dead_positions_say_why(model: CodiModel):
    config = model.config
    assert dead_positions(config, "residual", 2, ALL) == {}
    assert dead_positions(config, "thought", None, (1, 2)) == {}
    assert "h_6" in dead_positions(config, "thought", None, (6, 1))[6]
    assert "block 3" in dead_positions(config, "residual", 3, ALL)[6]
    assert "z_0" in dead_positions(config, "embedding", None, (0,))[0]


def test_the_last_hidden_state_is_shown_as_edited_though_no_answer_reads_it(model: CodiModel):
    d = noise(model)
    plain, edited = run(model, None, Edit(d, 1.0, "residual", L, (K,)))
    assert_close(edited.states[K, L], plain.states[K, L] + d[K].numpy())
    assert np.array_equal(edited.first_logits, plain.first_logits)


# --- the prefix that rows share before their first edit ------------------------------------------


def grid(model: CodiModel, first: int) -> tuple[list, EditPlan]:
    """Two questions × three rows, of which no edit begins in front of position `first`."""
    prompts = [
        model.encode(question) for question in (QUESTIONS[0], "Ann ran 5 km. " + QUESTIONS[3])
    ]
    rows = [
        (Edit(noise(model, i), 1.0, *PLACES[i % len(PLACES)], (first + i % 2,)),) for i in range(6)
    ]
    return prompts, EditPlan(rows, model.device)


@pytest.mark.parametrize("first", [1, 2, 4, 5])
def test_sharing_up_to_the_first_edit_is_exact(model: CodiModel, first: int):
    prompts, plan = grid(model, first)
    options = {"max_new_tokens": LIMIT, "record": True, "first_logits": True}
    shared = run_batch(model, prompts, 3, plan, **options)
    plan.first = (0, 0)
    apart = run_batch(model, prompts, 3, plan, **options)
    assert shared.token_ids == apart.token_ids
    assert_close(shared.states.numpy(), apart.states.numpy())
    assert_close(shared.first_logits.numpy(), apart.first_logits.numpy())
    before = shared.states[:, :first].unflatten(0, (2, 3))
    assert torch.equal(before, before[:, :1].expand_as(before))


@pytest.mark.parametrize(
    ("site", "layer", "position", "shared"),
    [
        ("residual", 2, 0, 2),  # BOT again, up to where it is changed
        ("residual", 1, 1, 1),
        ("residual", 3, 4, 3 * L + 3),
        ("thought", None, 0, 0),
        ("thought", None, 2, 2 * L),
        ("embedding", None, 1, 0),
        ("embedding", None, 4, 3 * L),
        ("residual", 2, K, (K - 1) * L),  # rows are apart when the drafts come
    ],
)
def test_blocks_before_the_first_edit_run_once_per_question(
    model: CodiModel,
    site: str,
    layer: int | None,
    position: int,
    shared: int,
    monkeypatch: pytest.MonkeyPatch,
):
    widths: list[int] = []
    block = Block.__call__

    def counted(self: Block, index: int, x: torch.Tensor, *rest) -> torch.Tensor:
        widths.append(len(x))
        return block(self, index, x, *rest)

    prompts, _ = grid(model, 1)
    prefixes(model, prompts)
    monkeypatch.setattr(Block, "__call__", counted)
    edit = Edit(noise(model, 1), 1.0, site, layer, (position, K))
    rows = [(), (edit,), (edit,)] * 2
    run_batch(model, prompts, 3, EditPlan(rows, model.device), max_new_tokens=1)
    steps = (K + (position == 0 and site == "residual")) * L
    assert widths[:steps] == [2] * shared + [6] * (steps - shared)


@pytest.mark.parametrize("tokens", [1, 20, 40])
def test_drafts_fed_a_few_questions_at_a_time_are_the_same(
    model: CodiModel, tokens: int, monkeypatch: pytest.MonkeyPatch
):
    """Edited at the last position too, whose thought goes along; drafts need more room."""
    prompts, plan = grid(model, K - 1)
    likely = [Candidates(likely=((5,) * n, tuple(range(n)))) for n in (14, 3)]
    options = {"max_new_tokens": LIMIT, "first_logits": True, "candidates": likely}
    whole = run_batch(model, prompts, 3, plan, **options)
    fed: list[int] = []
    block = Block.__call__

    def counted(self: Block, index: int, x: torch.Tensor, *rest) -> torch.Tensor:
        fed.append(len(x))
        return block(self, index, x, *rest)

    monkeypatch.setattr(Block, "__call__", counted)
    monkeypatch.setitem(TOKENS_AT_A_TIME, "cpu", tokens)
    found = run_batch(model, prompts, 3, plan, **options)
    assert 3 in fed  # the rows of one question
    assert found.token_ids == whole.token_ids
    assert_close(found.first_logits.numpy(), whole.first_logits.numpy())


# --- edits that do not fit -----------------------------------------------------------------------

GOOD = Edit(torch.ones(K + 1, HIDDEN), 1.0, "residual", 2, (1, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"site": "mlp"}, r"'mlp'.*residual, thought, embedding"),
        ({"layer": None}, r"None.*1\.\.3"),
        ({"layer": 0}, r"layer 0 .*1\.\.3"),
        ({"layer": 4}, r"layer 4 .*1\.\.3"),
        ({"positions": (1, 7)}, r"position 7 .*0\.\.6"),
        ({"positions": (-1,)}, r"position -1 .*0\.\.6"),
        ({"operation": "subtract"}, r"'subtract'.*add.*replace"),
        ({"alpha": float("nan")}, r"alpha nan .*finite"),
        ({"alpha": -1e13}, r"alpha -1e\+13 .*1e\+12"),
        ({"alpha": (0.0,) * 6 + (float("inf"),)}, r"alpha inf .*finite"),
        ({"alpha": (1.0, 2.0)}, r"2 alphas.*7"),
        ({"direction": torch.ones(K, HIDDEN)}, r"\[6, 32\].*\[7, 32\]"),
        ({"direction": torch.ones(K + 1, 16)}, r"\[7, 16\].*\[7, 32\]"),
        ({"direction": torch.full((K + 1, HIDDEN), torch.nan)}, "not finite"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(model: CodiModel, change: dict, message: str):
    with pytest.raises(UserError, match=message) as caught:
        decode(model, QUESTIONS[:1], replace(GOOD, **change))
    assert ";" in str(caught.value), "the next move is missing"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layer", [None, 99])
def test_sites_without_layers_ignore_them(model: CodiModel, layer: int | None):
    check_edit(model.config, replace(GOOD, site="thought", layer=layer))


def test_dead_positions_follow_the_number_of_latents(model: CodiModel):
    config = replace(model.config, latents=2)
    assert set(dead_positions(config, "thought", None, (0, 1, 2))) == {2}
