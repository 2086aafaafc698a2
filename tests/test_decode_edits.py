"""Every operation at every site against the slow reference, mixed in one batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference import prompt_ids
from reference_edits import OPERATIONS as SLOW_OPERATIONS
from reference_edits import Change, decode_edited
from tiny_checkpoints import HEADS, HIDDEN, LAYERS, QUESTIONS, VARIANTS, Tiny, build

from steer_core import Edit, decode, load_model
from steer_core.codi.model import CodiModel
from steer_core.steering.edits import Subspace
from steer_core.steering.operations import OPERATIONS
from steer_core.steering.sites import SITES, Site, every_site

K = 6
LIMIT = 4
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["gpt2-bin", "llama-bin"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp(request.param), VARIANTS[request.param])


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> CodiModel:
    return load_model(str(tiny.path), device="cpu", dtype="float32", **tiny.options)


def edit_of(change: Change) -> Edit:
    """The product's words for it."""
    return Edit(
        change.direction,
        change.coefficients,
        change.site,
        change.layer,
        tuple(range(K + 1)),
        change.operation,
        None if change.basis is None else Subspace(change.basis, not change.outside),
    )


def some_change(
    model: CodiModel, place: Site, operation: str, seed: int, rank: int = 0, outside: bool = False
) -> Change:
    """An edit at about half of the positions, each with a coefficient of its own."""
    generator = torch.Generator().manual_seed(seed)
    width = place.width(model.config)
    alphas = 0.2 + torch.rand(K + 1, generator=generator)
    alphas[torch.rand(K + 1, generator=generator) < 0.5] = 0
    if place.name == "embedding":
        alphas[0] = 0
    direction = torch.randn(K + 1, width, generator=generator)
    basis = None
    if rank:
        basis = torch.linalg.qr(torch.randn(K + 1, width, rank, generator=generator))[0]
        basis = basis.transpose(1, 2)
    at = place.name, tuple(alphas.tolist()), direction, operation, place.layer
    return Change(*at, basis, outside)


def cases(model: CodiModel) -> list[tuple[str, tuple[Change, ...]]]:
    """Each operation at each place, and rows with several edits in an order."""
    places = every_site(model.config)
    single = [
        (some_change(model, place, operation, 100 * i + j, 3 * (j % 2), outside=i % 2 == 0),)
        for i, place in enumerate(places)
        for j, operation in enumerate(OPERATIONS)
    ]
    several = [
        tuple(
            some_change(model, place, operation, 7000 + 10 * i + j)
            for j, (place, operation) in enumerate(chain)
        )
        for i, chain in enumerate(
            (
                [(Site("kv", 1), "add"), (Site("keys", 1), "scale"), (Site("values", 1), "rotate")],
                [(Site("values", 2), "add"), (Site("kv", 2), "restore_norm")],
                [(Site("residual", 2), "add"), (Site("residual", 2), "restore_norm")],
                [
                    (Site("thought"), "add"),
                    (Site("keys", 3), "replace"),
                    (Site("residual", 1), "add"),
                ],
            )
        )
    ]
    rows = [(), *single, *several]
    return [(QUESTIONS[i % len(QUESTIONS)], changes) for i, changes in enumerate(rows)]


def test_every_operation_at_every_site_decodes_as_the_slow_row(tiny: Tiny, model: CodiModel):
    rows = cases(model)
    edits = [tuple(map(edit_of, changes)) for _, changes in rows]
    found = decode(model, [q for q, _ in rows], edits, max_new_tokens=LIMIT, hidden=True)
    bare = decode(model, [q for q, _ in rows], edits, max_new_tokens=LIMIT)
    for (question, changes), row, alone in zip(rows, found, bare, strict=True):
        prompt = prompt_ids(tiny.reference, tiny.tokenizer, question)
        slow = decode_edited(tiny.reference, prompt, changes, LIMIT)
        np.testing.assert_allclose(row.hidden, slow.hidden, rtol=0, atol=TOLERANCE)
        assert row.token_ids == alone.token_ids == slow.ids


def test_the_slow_row_knows_every_operation():
    assert set(SLOW_OPERATIONS) == set(OPERATIONS)


@pytest.mark.parametrize("site", ["kv", "keys", "values"])
@pytest.mark.parametrize("position", [0, 3, K])
def test_an_edited_cache_is_read_by_what_follows_only(model: CodiModel, site: str, position: int):
    width = Site(site, 2).width(model.config)
    edit = Edit(torch.randn(K + 1, width), 3.0, site, 2, (position,))
    plain, row = decode(
        model, [QUESTIONS[0]] * 2, [None, edit], max_new_tokens=1, hidden=True, first_logits=True
    )
    assert np.array_equal(row.states[: position + 1], plain.states[: position + 1])
    assert not np.array_equal(row.first_logits, plain.first_logits)
    for later in range(position + 1, K + 1):
        assert np.array_equal(row.states[later, :2], plain.states[later, :2]) == (
            later == position + 1
        )
        assert not np.array_equal(row.states[later, 2], plain.states[later, 2])


def test_cached_states_are_those_that_an_edit_replaces(model: CodiModel):
    """Replacing keys and values by themselves, read off recorded states, changes nothing."""
    (plain,) = decode(model, QUESTIONS[:1], hidden=True, first_logits=True)
    for layer in range(1, LAYERS + 1):
        place = Site("kv", layer)
        own = torch.from_numpy(place.states(model, plain.states))
        edit = Edit(own, 1.0, "kv", layer, tuple(range(K + 1)), "replace")
        (row,) = decode(model, QUESTIONS[:1], edit, first_logits=True)
        np.testing.assert_allclose(row.first_logits, plain.first_logits, rtol=0, atol=TOLERANCE)


def test_the_sites_of_a_model(model: CodiModel):
    layered = [site for site in SITES if Site(site).has_layers]
    assert len(every_site(model.config)) == len(layered) * LAYERS + len(SITES) - len(layered)
    assert Site("residual", 1).width(model.config) == HIDDEN
    assert Site("kv", 1).width(model.config) == 2 * Site("keys", 1).width(model.config)
    assert Site("values", 1).width(model.config) <= HIDDEN // HEADS * HEADS
