"""The reference and the tiny checkpoints, checked before anything else is held to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import (
    SEED_REPLAY,
    Addition,
    Reference,
    causal_lm,
    decode,
    embed,
    prompt_ids,
)
from tiny_checkpoints import (
    HIDDEN,
    LAYERS,
    QUESTIONS,
    VARIANTS,
    Codi,
    Recipe,
    Tiny,
    build,
    fill,
    read,
    run_code,
    tiny_config,
    tiny_tokenizer,
)
from torch import Tensor, nn

LATENTS = 6


@pytest.fixture(scope="module", params=["gpt2-bin", "llama-bin"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp(request.param), VARIANTS[request.param])


def direction(seed: int = 1, latents: int = LATENTS) -> Tensor:
    return torch.randn(latents + 1, HIDDEN, generator=torch.Generator().manual_seed(seed))


def prompts(tiny: Tiny) -> list[list[int]]:
    return [prompt_ids(tiny.reference, tiny.tokenizer, question) for question in QUESTIONS]


# --- against a second way to compute the same ----------------------------------------------------


@torch.no_grad()
def decode_with_cache(
    reference: Reference, prompt: list[int], edit: Addition | None, limit: int
) -> tuple[tuple[int, ...], np.ndarray]:
    """The official shape of the loop: one new position a step; edits outside the blocks only."""

    def step(embeddings: Tensor, cache=None):
        return reference.model(
            inputs_embeds=embeddings[None],
            past_key_values=cache,
            use_cache=True,
            output_hidden_states=True,
        )

    def added(state: Tensor, site: str, k: int) -> Tensor:
        delta = edit.at(site, k, state) if edit else None
        return state if delta is None else state + delta

    output = step(embed(reference, prompt))
    hidden = []
    for k in range(reference.latents + 1):
        hidden.append(torch.stack([states[0, -1] for states in output.hidden_states]))
        if k < reference.latents:
            latent = reference.prj(added(hidden[-1][-1], "thought", k))
            latent = added(latent, "embedding", k + 1)
            output = step(latent[None], output.past_key_values)
    end = [reference.eot] if reference.remove_eos else [reference.eot, reference.eos]
    output = step(embed(reference, end), output.past_key_values)
    ids: list[int] = []
    while len(ids) < limit and (token := int(output.logits[0, -1, :-1].argmax())) != reference.eos:
        ids.append(token)
        output = step(embed(reference, [token]), output.past_key_values)
    return tuple(ids), torch.stack(hidden).numpy()


@pytest.mark.parametrize("site", [None, "thought", "embedding"])
def test_it_agrees_with_a_loop_over_a_cache(tiny: Tiny, site: str | None):
    edit = site and Addition(site, 1.5, direction(), (1, 2, 4))
    for prompt in prompts(tiny)[:3]:
        outcome = decode(tiny.reference, prompt, edit, max_new_tokens=8)
        ids, hidden = decode_with_cache(tiny.reference, prompt, edit, 8)
        assert outcome.ids == ids
        np.testing.assert_allclose(outcome.hidden, hidden, atol=5e-5)


def silent_gpt2() -> Reference:
    """GPT-2 whose blocks add nothing, so that every state follows from embeddings by hand."""
    recipe = Recipe()
    tokenizer = tiny_tokenizer(bos=False)
    config = tiny_config(recipe, len(tokenizer), tokenizer)
    codi = Codi(recipe, config)
    fill(codi, torch.Generator().manual_seed(3))
    for name, parameter in codi.codi.named_parameters():
        if "c_proj" in name:
            nn.init.zeros_(parameter)
    vocabulary = len(tokenizer)
    return Reference(
        codi.codi, codi.prj, vocabulary + 1, vocabulary + 2, tokenizer.eos_token_id, latents=3
    )


def layer_norm(x: np.ndarray, norm: nn.LayerNorm) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + norm.eps)
    return x * norm.weight.detach().numpy() + norm.bias.detach().numpy()


@pytest.mark.parametrize("site", ["residual", "thought", "embedding"])
def test_every_site_by_hand(site: str):
    """With silent blocks: resid_k = z_k + wpe, h_k = norm(resid_k), z_{k+1} = prj(h_k)."""
    reference = silent_gpt2()
    body = causal_lm(reference).transformer
    positions, words = body.wpe.weight.detach().numpy(), body.wte.weight.detach().numpy()
    d = direction(latents=3)
    edit = Addition(site, 2.0, d, (0, 2), layer=2 if site == "residual" else None)
    prompt = [7, 8, reference.bot]

    def delta(at: str, k: int) -> np.ndarray:
        return 2.0 * d[k].numpy() if at == site and k in (0, 2) else np.zeros(HIDDEN, np.float32)

    fed, rows = words[reference.bot], []
    for k in range(4):
        entering = fed + positions[2 + k]
        leaving = entering + delta("residual", k)
        final = layer_norm(leaving, body.ln_f)
        rows.append([entering, entering, leaving, final])
        thought = torch.from_numpy(final + delta("thought", k))
        fed = reference.prj(thought).detach().numpy() + delta("embedding", k + 1)
    end = layer_norm(words[reference.eot] + positions[6], body.ln_f)
    token = int((words @ end)[:-1].argmax())

    outcome = decode(reference, prompt, edit, max_new_tokens=1)
    np.testing.assert_allclose(outcome.hidden, np.array(rows), atol=1e-5)
    assert outcome.ids == (token,)


# --- what an edit does ---------------------------------------------------------------------------


def test_a_residual_edit_arrives_where_it_is_made_and_nowhere_before(tiny: Tiny):
    prompt, d = prompts(tiny)[0], direction()
    plain = decode(tiny.reference, prompt, max_new_tokens=4).hidden
    for layer in range(1, LAYERS):
        edit = Addition("residual", 0.7, d, (2, 3), layer)
        moved = decode(tiny.reference, prompt, edit, max_new_tokens=4).hidden - plain
        np.testing.assert_allclose(moved[2, layer], 0.7 * d[2], atol=1e-5)
        assert not moved[:2].any()
        assert not moved[2, :layer].any()
        assert all(moved[k, -1].any() for k in range(2, LATENTS + 1))


@pytest.mark.parametrize(
    ("site", "position", "layer"),
    [
        ("residual", 0, LAYERS),
        ("residual", LATENTS, 1),
        ("thought", 5, None),
        ("embedding", 6, None),
    ],
)
def test_live_positions_reach_the_answer(tiny: Tiny, site: str, position: int, layer: int | None):
    edit = Addition(site, 30.0, direction(), (position,), layer)
    assert any(
        decode(tiny.reference, p, max_new_tokens=5).ids
        != decode(tiny.reference, p, edit, max_new_tokens=5).ids
        for p in prompts(tiny)
    )


@pytest.mark.parametrize(("site", "position"), [("thought", LATENTS), ("embedding", 0)])
def test_dead_positions_change_nothing(tiny: Tiny, site: str, position: int):
    prompt = prompts(tiny)[0]
    plain = decode(tiny.reference, prompt, max_new_tokens=6)
    edit = Addition(site, 1000.0, direction(), (position,))
    edited = decode(tiny.reference, prompt, edit, max_new_tokens=6)
    assert edited.ids == plain.ids
    assert np.array_equal(edited.hidden, plain.hidden)


def test_seed_replay_has_five_latents_and_a_dead_last_edit(tiny: Tiny):
    reference = tiny.reference.with_latents(SEED_REPLAY["latents"])
    prompt, d = prompts(tiny)[0], direction(latents=5)
    full = Addition(SEED_REPLAY["site"], 2.0, d, SEED_REPLAY["positions"])
    outcome = decode(reference, prompt, full, max_new_tokens=4)
    assert outcome.hidden.shape == (6, LAYERS + 1, HIDDEN)
    shorter = decode(reference, prompt, replace(full, positions=(0, 1, 2, 3, 4)), max_new_tokens=4)
    assert np.array_equal(outcome.hidden, shorter.hidden)
    assert outcome.ids == shorter.ids
    weaker = decode(reference, prompt, replace(full, positions=(0, 1, 2, 3)), max_new_tokens=4)
    assert not np.array_equal(outcome.hidden, weaker.hidden)


# --- the rules of the answer ---------------------------------------------------------------------


def test_eot_is_never_generated(tiny: Tiny):
    """Each prompt's first token loses its head row to EOT, which then has the highest logit."""
    prompt = prompts(tiny)[1]
    usual = decode(tiny.reference, prompt, max_new_tokens=1).ids
    head = causal_lm(tiny.reference).get_output_embeddings()
    kept = head.weight
    louder = kept.detach().clone()
    louder[-1] = 3 * kept[usual[0]].detach()
    head.weight = nn.Parameter(louder)
    try:
        assert decode(tiny.reference, prompt, max_new_tokens=1).ids == usual
    finally:
        head.weight = kept


def test_prompts_end_as_the_model_was_trained(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["llama-keep-eos"])
    kept = tiny.reference
    dropped = replace(kept, remove_eos=True)
    text = "  Two  cats.  "
    ids = tiny.tokenizer("Two cats.")["input_ids"]
    assert ids[0] == tiny.tokenizer.bos_token_id
    assert prompt_ids(dropped, tiny.tokenizer, text) == [*ids, kept.bot]
    assert prompt_ids(kept, tiny.tokenizer, text) == [*ids, kept.eos, kept.bot]
    prompt = prompt_ids(kept, tiny.tokenizer, text)
    assert (
        decode(kept, prompt, max_new_tokens=6).ids != decode(dropped, prompt, max_new_tokens=6).ids
    )


def test_some_answers_end_before_the_limit(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["llama-llama3-rope"])
    lengths = [len(decode(tiny.reference, p, max_new_tokens=8).ids) for p in prompts(tiny)]
    assert min(lengths) < 8 == max(lengths)


# --- the checkpoints -----------------------------------------------------------------------------


def test_answers_depend_on_question_and_adapter(tiny: Tiny):
    answers = [decode(tiny.reference, p, max_new_tokens=8).ids for p in prompts(tiny)]
    assert len(set(answers)) == len(QUESTIONS)
    with tiny.reference.model.disable_adapter():
        without = [decode(tiny.reference, p, max_new_tokens=8).ids for p in prompts(tiny)]
    assert without != answers


def test_keys_are_the_official_ones(tiny: Tiny):
    keys, root = set(read(tiny.path)), "codi.base_model.model."
    gpt2 = "gpt2" in str(tiny.path)
    block = root + ("transformer.h.0.attn.c_attn." if gpt2 else "model.layers.0.self_attn.q_proj.")
    named = {
        block + x for x in ("base_layer.weight", "lora_A.default.weight", "lora_B.default.weight")
    }
    named |= {
        f"prj.{x}" for x in ("1.weight", "1.bias", "3.weight", "3.bias", "ln.weight", "ln.bias")
    }
    named |= {
        root + "lm_head.weight",
        root + ("transformer.wte" if gpt2 else "model.embed_tokens") + ".weight",
    }
    assert named <= keys
    assert {key.split(".")[0] for key in keys} <= {"codi", "prj", "dynamic_cls", "decoder"}


def test_lora_is_not_zero(tiny: Tiny):
    state = read(tiny.path)
    assert all(state[key].abs().mean() > 0.01 for key in state if "lora_" in key)


def test_the_base_holds_no_weights(tiny: Tiny):
    names = {path.name for path in tiny.base.iterdir()}
    assert {"config.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".safetensors"))]


def test_the_dangerous_pickle_is_dangerous(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    run_code(tiny.path)
    torch.load(tiny.path / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "executed").exists()
