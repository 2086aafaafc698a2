"""The decoder against the reference: same ids, hidden states within 1e-4, in whatever batch.

Each layout of a checkpoint is written by `tiny_checkpoints`, loaded as a user would, and decoded in
one batch of mixed edits; the reference decodes the unmerged model row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import SEED_REPLAY, Addition, Outcome, Reference, causal_lm, prompt_ids
from reference import decode as decode_slowly
from slow_models import bundled_reference, edit_of, in_float64
from tiny_checkpoints import (
    HIDDEN,
    LAYERS,
    QUESTIONS,
    VARIANTS,
    Recipe,
    Tiny,
    build,
    changed,
    some_key,
)
from torch import nn

from steer_core import UserError, decode, load_model, load_pairs
from steer_core.codi import cores
from steer_core.codi.model import CodiModel
from steer_core.codi.reordered import MANY
from steer_core.steering.decode import Decoded
from steer_core.steering.library import cached_direction

LATENTS = 6
LIMIT = 4  # generated tokens; enough for an answer to depend on its own first tokens
TOLERANCE = 1e-4
MAIN = ("gpt2-bin", "llama-bin")
SITES = ("residual", "thought", "embedding")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One row: a question and at most one edit, in the words of the reference."""

    question: str
    edit: Addition | None = None


def loaded(tiny: Tiny, **options) -> CodiModel:
    return load_model(str(tiny.path), device="cpu", dtype="float32", **tiny.options, **options)


def fast(model: CodiModel, cases: list[Case], limit: int = LIMIT) -> list[Decoded]:
    edits = [edit_of(case.edit) for case in cases]
    questions = [case.question for case in cases]
    return decode(model, questions, edits, max_new_tokens=limit, hidden=True)


def slow(tiny: Tiny, case: Case, reference: Reference | None = None, limit: int = LIMIT) -> Outcome:
    reference = reference or tiny.reference
    prompt = prompt_ids(reference, tiny.tokenizer, case.question)
    return decode_slowly(reference, prompt, case.edit, limit)


def mixed_cases(count: int, latents: int = LATENTS) -> list[Case]:
    """Every question plain, and `count` rows that differ in question, site, layer, mask and α."""
    # Rows that are well-conditioned: the float32 reference itself is within 2e-5 of float64 on all
    # of them (seed 11 has one that turns rounding into 7e-5 on either side).
    generator = torch.Generator().manual_seed(13)
    cases = [Case(question) for question in QUESTIONS]
    for i in range(count):
        site = SITES[i % 3]
        layer = 1 + (i // 3) % LAYERS if site == "residual" else None
        mask = torch.rand(latents + 1, generator=generator) < 0.6
        positions = tuple(k for k in range(latents + 1) if mask[k])
        alpha = 1.5 * float(torch.randn(1, generator=generator))
        direction = torch.randn(latents + 1, HIDDEN, generator=generator)
        edit = Addition(site, alpha, direction, positions, layer)
        cases.append(Case(QUESTIONS[i % len(QUESTIONS)], edit))
    return cases


def assert_same(decoded: Decoded, outcome: Outcome) -> None:
    np.testing.assert_allclose(decoded.hidden, outcome.hidden, rtol=0, atol=TOLERANCE)
    assert decoded.token_ids == outcome.ids


def assert_as_exact(row: Decoded, slow: Outcome, exact: Callable[[], Outcome]) -> None:
    """Within the tolerance of the reference, or about as near to float64 as the reference is.

    States here measure up to 94, so on some processors float32's own rounding reaches it: on one
    the reference is 9.0e-5 from float64, the product 1.1e-4.
    """
    assert row.token_ids == slow.ids
    if np.abs(row.hidden - slow.hidden).max() > TOLERANCE:
        truth = exact().hidden
        own = np.abs(slow.hidden - truth).max()
        assert np.abs(row.hidden - truth).max() <= max(TOLERANCE, 1.5 * own)


# --- every layout --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_every_layout_decodes_as_the_reference(name: str, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS[name])
    model = loaded(tiny)
    cases = mixed_cases(18) if name in MAIN else mixed_cases(3)[4:]
    for case, decoded in zip(cases, fast(model, cases), strict=True):
        prompt = prompt_ids(tiny.reference, tiny.tokenizer, case.question)
        assert decoded.prompt_tokens == len(prompt)
        assert decoded.hidden.shape == (LATENTS + 1, LAYERS + 1, HIDDEN)
        assert_same(decoded, slow(tiny, case))


# --- the batch -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=MAIN)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp(request.param), VARIANTS[request.param])


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> CodiModel:
    return loaded(tiny)


def test_edits_change_answers(model: CodiModel):
    """Otherwise agreement about them would prove nothing."""
    cases = mixed_cases(18)
    plain = {row.question: row.token_ids for row in fast(model, cases[:5], limit=8)}
    edited = zip(cases[5:], fast(model, cases[5:], limit=8), strict=True)
    assert sum(row.token_ids != plain[case.question] for case, row in edited) >= 9


def test_a_row_does_not_depend_on_its_batch(model: CodiModel):
    cases = mixed_cases(9)
    together = fast(model, cases)
    backwards = fast(model, cases[::-1])[::-1]
    for case, row, turned in zip(cases, together, backwards, strict=True):
        (alone,) = fast(model, [case])
        for other in (alone, turned):
            assert row.token_ids == other.token_ids
            np.testing.assert_allclose(row.hidden, other.hidden, rtol=0, atol=TOLERANCE)


def test_edits_that_begin_late(model: CodiModel, tiny: Tiny):
    """What the rows of a question share in front of their first edit is theirs afterwards."""
    late = [
        replace(case, edit=replace(case.edit, positions=positions))
        for case, positions in zip(
            mixed_cases(10)[5:],
            ((4,), (3, 5), (5,), (4, 6), (6,), (3,), (4,), (5,), (3, 6), (6,)),
            strict=True,
        )
    ]
    cases = [*late[:6], Case(QUESTIONS[0]), *late[6:]]
    for case, row in zip(cases, fast(model, cases), strict=True):
        assert_same(row, slow(tiny, case))


def test_a_long_question_does_not_shorten_the_answers_of_others(tmp_path: Path):
    """The room behind a question is its own, not that of the longest question in the batch."""
    tiny = build(tmp_path, Recipe(config=(("n_positions", 192),)))
    model = loaded(tiny)
    long = Case("Tom has 3 apples and buys 4 more. " * 5)
    short = Case(QUESTIONS[2])
    (alone,) = fast(model, [short], limit=90)
    assert len(alone.token_ids) == 90
    assert fast(model, [long, short], limit=90)[1].token_ids == alone.token_ids


def test_results_come_in_the_order_of_the_questions(model: CodiModel):
    questions = [QUESTIONS[i] for i in (3, 2, 3, 0, 2)]
    rows = decode(model, questions, max_new_tokens=2)
    assert [row.question for row in rows] == questions
    assert rows[0].token_ids == rows[2].token_ids
    assert rows[0].hidden is None


def test_two_edits_of_a_row_add_up(model: CodiModel, tiny: Tiny):
    first, second = (
        Addition(
            "residual", a, torch.randn(7, HIDDEN, generator=torch.Generator().manual_seed(s)), p, 2
        )
        for a, s, p in ((1.0, 1, (1, 3)), (-0.5, 2, (3, 4)))
    )
    total = torch.zeros(7, HIDDEN)
    for edit in (first, second):
        total[list(edit.positions)] += edit.alpha * edit.direction[list(edit.positions)]
    edits = [(edit_of(first), edit_of(second))]
    (row,) = decode(model, [QUESTIONS[0]], edits, max_new_tokens=LIMIT, hidden=True)
    assert_same(row, slow(tiny, Case(QUESTIONS[0], Addition("residual", 1.0, total, (1, 3, 4), 2))))


# --- no edit, no difference ----------------------------------------------------------------------

some_mask = st.sets(st.integers(0, LATENTS)).map(lambda mask: tuple(sorted(mask)))
# The fixtures hold models that no example can change.
quick = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_identical(rows: list[Decoded], plain: list[Decoded]) -> None:
    for row, other in zip(rows, plain, strict=True):
        assert row.token_ids == other.token_ids
        assert np.array_equal(row.hidden, other.hidden)


@quick
@given(site=st.sampled_from(SITES), layer=st.integers(1, LAYERS), positions=some_mask)
def test_alpha_zero_is_bit_identical(model: CodiModel, site: str, layer: int, positions: tuple):
    direction = torch.full((LATENTS + 1, HIDDEN), 1e30)
    edit = Addition(site, 0.0, direction, positions, layer if site == "residual" else None)
    cases = [Case(question, edit) for question in QUESTIONS[:3]]
    assert_identical(fast(model, cases, 3), fast(model, [replace(c, edit=None) for c in cases], 3))


@pytest.mark.parametrize(
    ("site", "positions"), [("residual", ()), ("thought", (LATENTS,)), ("embedding", (0,))]
)
def test_edits_that_cannot_act_are_bit_identical(model: CodiModel, site: str, positions: tuple):
    layer = 2 if site == "residual" else None
    edit = Addition(site, 1000.0, torch.ones(LATENTS + 1, HIDDEN), positions, layer)
    cases = [Case(question, edit) for question in QUESTIONS[:3]]
    assert_identical(fast(model, cases, 3), fast(model, [replace(c, edit=None) for c in cases], 3))


def test_the_last_block_at_the_last_position_is_seen_but_never_read(model: CodiModel, tiny: Tiny):
    """Nothing comes after it: no later block keeps it in its cache and no projection takes it."""
    direction = torch.randn(LATENTS + 1, HIDDEN, generator=torch.Generator().manual_seed(4))
    edit = Addition("residual", 1000.0, direction, (LATENTS,), LAYERS)
    plain, edited = fast(model, [Case(QUESTIONS[0]), Case(QUESTIONS[0], edit)])
    assert_same(edited, slow(tiny, Case(QUESTIONS[0], edit)))
    assert edited.token_ids == plain.token_ids
    assert np.abs(edited.hidden - plain.hidden)[LATENTS, LAYERS].max() > 0.1


def test_nothing_stays_on_the_model(model: CodiModel):
    plain = [Case(question) for question in QUESTIONS]
    before = fast(model, plain)
    fast(model, mixed_cases(9))
    with pytest.raises(UserError):
        fast(
            model, [Case(QUESTIONS[0], Addition("residual", 1.0, torch.ones(7, HIDDEN), (1,), 99))]
        )
    assert_identical(fast(model, plain), before)


# --- steps, ends, odd tokens ---------------------------------------------------------------------


@pytest.mark.parametrize("latents", [1, 3, 8])
def test_any_number_of_latents(tiny: Tiny, latents: int):
    model, reference = loaded(tiny, latents=latents), tiny.reference.with_latents(latents)
    cases = mixed_cases(3, latents)[4:]
    for case, decoded in zip(cases, fast(model, cases), strict=True):
        assert_same(decoded, slow(tiny, case, reference))


def test_seed_replay(tiny: Tiny):
    latents = SEED_REPLAY["latents"]
    model, reference = loaded(tiny, latents=latents), tiny.reference.with_latents(latents)
    direction = torch.randn(latents + 1, HIDDEN, generator=torch.Generator().manual_seed(5))
    cases = [
        Case(
            QUESTIONS[0], Addition(SEED_REPLAY["site"], alpha, direction, SEED_REPLAY["positions"])
        )
        for alpha in (-3.0, 1.0, 2.0)
    ]
    rows = fast(model, cases)
    for case, row in zip(cases, rows, strict=True):
        assert_same(row, slow(tiny, case, reference))
    without_last = [replace(c, edit=replace(c.edit, positions=(0, 1, 2, 3, 4))) for c in cases]
    assert_identical(rows, fast(model, without_last))


def test_answers_end_where_they_end_in_the_reference(tmp_path: Path):
    """Most rows finish early and leave the batch; those that go on must not notice."""
    tiny = build(tmp_path, Recipe(tied=False, eos_gain=5.0))
    cases = mixed_cases(9)
    rows = fast(loaded(tiny), cases, limit=24)
    lengths = sorted(len(row.token_ids) for row in rows)
    assert lengths[len(rows) // 2] + 3 < lengths[-1]
    for case, row in zip(cases, rows, strict=True):
        assert_same(row, slow(tiny, case, limit=24))


def test_pad_can_be_generated_and_is_dropped_from_the_text(tmp_path: Path):
    """The official decoder excludes only EOT from the argmax."""
    tiny = build(tmp_path, VARIANTS["gpt2-untied"])
    head = causal_lm(tiny.reference).get_output_embeddings()
    (usual,) = slow(tiny, Case(QUESTIONS[0]), limit=1).ids
    pad = head.weight.shape[0] - 3
    louder = head.weight.detach().clone()
    louder[pad] = 1.5 * louder[usual]
    louder[pad + 2] = 3 * louder[usual]  # EOT, louder still
    head.weight = nn.Parameter(louder)
    changed(tiny.path, lambda state: state.update({some_key(state, "lm_head"): louder}))

    (row,) = fast(loaded(tiny), [Case(QUESTIONS[0])])
    assert_same(row, slow(tiny, Case(QUESTIONS[0])))
    assert row.token_ids[0] == pad
    words = [token for token in row.token_ids if token < pad]
    assert row.text == tiny.tokenizer.decode(words, skip_special_tokens=True)


# --- bases that are not quite the family's -------------------------------------------------------

ODD_CONFIGS = {
    "biases": Recipe("llama", config=(("attention_bias", True), ("mlp_bias", True))),
    "inner width": Recipe(config=(("n_inner", 40),)),
    "sliding window": Recipe("mistral", config=(("sliding_window", 16),)),
    "gpt2 activation": Recipe(config=(("activation_function", "relu"),)),
    "llama activation": Recipe("llama", config=(("hidden_act", "gelu"),)),
    "scores scaled by layer": Recipe(config=(("scale_attn_by_inverse_layer_idx", True),)),
    "scores not scaled": Recipe(config=(("scale_attn_weights", False),)),
}


@pytest.mark.parametrize("name", ODD_CONFIGS)
def test_an_unusual_base_is_decoded_exactly_or_refused(name: str, tmp_path: Path):
    tiny = build(tmp_path, ODD_CONFIGS[name])
    case = Case(QUESTIONS[0])
    try:
        model = loaded(tiny)
    except UserError:
        return
    assert_same(fast(model, [case])[0], slow(tiny, case))


# --- the models in the box -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-gpt2"])
def test_the_shipped_models_decode_as_the_reference(name: str):
    """On real word problems, plain and pushed."""
    reference, tokenizer = bundled_reference(name)
    model = load_model(name, device="cpu", dtype="float32")
    size, problems = model.config.hidden, load_pairs("test")[::80]
    direction = torch.randn(LATENTS + 1, size, generator=torch.Generator().manual_seed(2))
    push = Addition("residual", 10.0, direction, (1, 2, 3, 4, 5, 6), 2)
    cases = [Case(pair.clean.question, edit) for pair in problems for edit in (None, push)]
    rows = fast(model, cases, limit=16)
    for case, row in zip(cases, rows, strict=True):
        prompt = prompt_ids(reference, tokenizer, case.question)
        assert_same(row, decode_slowly(reference, prompt, case.edit, 16))
    shift = np.abs(rows[1].hidden - rows[0].hidden).max((1, 2))
    assert shift[0] == 0 < shift[1:].min()
    assert all(row.answer is not None for row in rows[::2])


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-gpt2"])
def test_a_batch_large_enough_for_the_fast_products_decodes_as_the_reference(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cores, "NARROW_ROWS", 1000)  # one batch, whatever the cores
    reference, tokenizer = bundled_reference(name)
    model = load_model(name, device="cpu", dtype="float32")
    pairs, alphas = load_pairs("test")[::10], np.linspace(-2, 2, 14)
    direction = cached_direction(model, "residual", 2).vectors
    pushes = [Addition("residual", float(a), direction, (1, 2, 4, 6), 2) for a in alphas]
    cases = [Case(pair.clean.question, push) for pair in pairs for push in pushes]
    assert len(cases) > MANY
    for case, row in list(zip(cases, fast(model, cases, limit=16), strict=True))[::23]:
        prompt = prompt_ids(reference, tokenizer, case.question)
        outcome = decode_slowly(reference, prompt, case.edit, 16)
        precise = partial(decode_slowly, in_float64(reference), prompt, case.edit, 1)
        assert_as_exact(row, outcome, precise)


@pytest.mark.gpu
def test_cuda_gives_the_ids_of_the_reference(tiny: Tiny):
    model = load_model(str(tiny.path), device="cuda", dtype="float32", **tiny.options)
    cases = mixed_cases(6)
    for case, decoded in zip(cases, fast(model, cases), strict=True):
        assert_same(decoded, slow(tiny, case))
