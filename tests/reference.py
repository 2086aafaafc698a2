"""CODI decoding, written to be read: one row, no cache, no batch, LoRA unmerged. Slow on purpose.

Every step runs the whole sequence of input embeddings through a transformers model again, so the
only state is the list of what was fed. An edit is a set of additions at absolute positions, made by
forward hooks. The product's decoder must give the same ids, and the same hidden states to 1e-4 in
float32. It shares no code with this file, and never should.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

SEED_REPLAY = {"latents": 5, "site": "thought", "positions": (0, 1, 2, 3, 4, 5)}


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A model as the official code holds it: a causal LM (peft-wrapped or plain) and `prj`."""

    model: nn.Module
    prj: nn.Module  # [D] -> [D]; nn.Identity when the checkpoint has none
    bot: int
    eot: int
    eos: int
    latents: int = 6
    remove_eos: bool = True

    def with_latents(self, latents: int) -> Reference:
        return replace(self, latents=latents)


@dataclass(frozen=True, slots=True, eq=False)
class Addition:
    """Adds alpha * direction[k] at each position k of `positions`; direction is [K+1, D]."""

    site: str  # "residual" | "thought" | "embedding"
    alpha: float
    direction: Tensor
    positions: tuple[int, ...]
    layer: int | None = None  # 1..L, for "residual" only

    def at(self, site: str, k: int, like: Tensor) -> Tensor | None:
        """What to add at a site and position, [D], or None."""
        if site != self.site or k not in self.positions:
            return None
        return (self.alpha * self.direction[k]).to(like)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """`ids` without EOS; `hidden` [K+1, L+1, D] in the convention of transformers' hidden_states.

    Index 0 is the input embedding, 1..L-1 block outputs (with the edits made there), L the state
    after the final norm. An edit at site "thought" is made on a copy that goes to prj, so it is
    seen from the next position on.
    """

    ids: tuple[int, ...]
    hidden: np.ndarray


def clean(question: str) -> str:
    return question.strip().replace("  ", " ")


def prompt_ids(reference: Reference, tokenizer, question: str) -> list[int]:
    """Ids of the question as its tokenizer makes them (BOS where it adds one), then [EOS,] BOT."""
    ids = tokenizer(clean(question))["input_ids"]
    return ids + ([] if reference.remove_eos else [reference.eos]) + [reference.bot]


@torch.no_grad()
def decode(
    reference: Reference,
    prompt: Sequence[int],
    edit: Addition | None = None,
    max_new_tokens: int = 256,
) -> Outcome:
    """Greedy decoding of one prompt (ids that end in BOT) with at most one edit."""
    start = len(prompt) - 1  # absolute index of position 0
    fed, states = reasoned(reference, prompt, edit)
    hidden = states[:, start:].transpose(0, 1).float().numpy()
    ids: list[int] = []
    while len(ids) < max_new_tokens:
        logits, _ = forward(reference, fed, edit, start)
        token = int(logits[:-1].argmax())  # the last row of the vocabulary is EOT
        if token == reference.eos:
            break
        ids.append(token)
        fed = torch.cat((fed, embed(reference, [token])))
    return Outcome(tuple(ids), hidden)


@torch.no_grad()
def log_probabilities(
    reference: Reference, prompt: Sequence[int], ids: Sequence[int], edit: Addition | None = None
) -> Tensor:
    """Of every token that can be generated, in nats, in front of each of `ids` and behind the last.

    float64 [len(ids) + 1, V-1]; the ids are fed as they are given, whatever the model would pick.
    """
    start = len(prompt) - 1
    fed, _ = reasoned(reference, prompt, edit)
    found = [forward(reference, fed, edit, start)[0]]
    for token in ids:
        fed = torch.cat((fed, embed(reference, [token])))
        found.append(forward(reference, fed, edit, start)[0])
    return torch.stack(found)[:, :-1].double().log_softmax(-1)


def reasoned(
    reference: Reference, prompt: Sequence[int], edit: Addition | None
) -> tuple[Tensor, Tensor]:
    """What is fed up to where an answer begins [T, D]; states [L+1, T', D] up to position K."""
    start = len(prompt) - 1
    fed = embed(reference, prompt)
    for k in range(reference.latents):
        _, states = forward(reference, fed, edit, start)
        thought = add(states[-1, -1], edit, "thought", k)
        latent = add(reference.prj(thought), edit, "embedding", k + 1)
        fed = torch.cat((fed, latent[None]))
    _, states = forward(reference, fed, edit, start)
    end = [reference.eot] if reference.remove_eos else [reference.eot, reference.eos]
    return torch.cat((fed, embed(reference, end))), states


def add(state: Tensor, edit: Addition | None, site: str, k: int) -> Tensor:
    delta = edit.at(site, k, state) if edit else None
    return state if delta is None else state + delta


def embed(reference: Reference, ids: Sequence[int]) -> Tensor:
    """Rows of the embedding, [T, D]."""
    return reference.model.get_input_embeddings()(torch.tensor(ids))


def forward(
    reference: Reference, fed: Tensor, edit: Addition | None, start: int
) -> tuple[Tensor, Tensor]:
    """Run all of `fed` [T, D]: logits [V] of the last position, hidden states [L+1, T, D]."""
    with residual_edit(reference, edit, start), recorded(reference) as states:
        output = reference.model(inputs_embeds=fed[None], use_cache=False)
    return output.logits[0, -1], torch.stack(states)


@contextmanager
def residual_edit(reference: Reference, edit: Addition | None, start: int) -> Iterator[None]:
    """Add to the output of block `edit.layer` at every edited position that has been fed so far."""

    def hook(module: nn.Module, args: tuple, output: Tensor | tuple) -> Tensor | tuple:
        state = first(output).clone()
        for k in range(state.shape[1] - start):
            delta = edit.at("residual", k, state)
            if delta is not None:
                state[0, start + k] += delta
        return (state, *output[1:]) if isinstance(output, tuple) else state

    if edit is None or edit.site != "residual":
        yield
        return
    handle = blocks(reference)[edit.layer - 1].register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def recorded(reference: Reference) -> Iterator[list[Tensor]]:
    """Collect [T, D] of the input embedding, of blocks 1..L-1 and of the final norm, in this order.

    Own hooks, registered after that of the edit, hence called after it: what the library collects
    under `output_hidden_states` can lack an edit made by a hook.
    """
    states: list[Tensor] = []
    modules = [*blocks(reference)[:-1], final_norm(reference)]
    with ExitStack() as stack:
        handle = blocks(reference)[0].register_forward_pre_hook(
            lambda _, args, kwargs: states.append(first(args or kwargs["hidden_states"])[0]),
            with_kwargs=True,
        )
        stack.callback(handle.remove)
        for module in modules:
            handle = module.register_forward_hook(lambda _, args, out: states.append(first(out)[0]))
            stack.callback(handle.remove)
        yield states


def first(output: Tensor | tuple) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def causal_lm(reference: Reference) -> nn.Module:
    """The transformers model, without peft's wrapper where there is one."""
    model = reference.model
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def blocks(reference: Reference) -> list[nn.Module]:
    lm = causal_lm(reference)
    return list(lm.transformer.h if hasattr(lm, "transformer") else lm.model.layers)


def final_norm(reference: Reference) -> nn.Module:
    lm = causal_lm(reference)
    return lm.transformer.ln_f if hasattr(lm, "transformer") else lm.model.norm
