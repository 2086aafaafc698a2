"""Question prefixes: read once, remembered, and laid side by side for a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steer_core.codi.body import TOKENS_AT_A_TIME
from steer_core.codi.cache import CausalCache, PrefillCache
from steer_core.codi.model import CodiModel

Prompt = Sequence[int]
WIDTH = 8
"""Questions that an accelerator reads are filled up to a multiple of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """A question that has been read, up to position 0.

    `known` [L, 2, H_kv, P + 1, d]: keys and values of its P tokens and BOT; `states` [L+2, D] at
    BOT: index 0 input embedding, 1..L block outputs, L+1 after the final norm.
    """

    known: Tensor
    states: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.known.nbytes + self.states.nbytes


def prefixes(
    model: CodiModel, prompts: Sequence[Prompt], check: Callable[[], None] = lambda: None
) -> list[Prefix]:
    """Prompts (without BOT) and BOT; read where not yet known.

    Args:
        model: The model.
        prompts: G lists of ids, `CodiModel.encode`.
        check: Called between a few prompts and the next; may raise to end. What was read is kept.
    """
    keys = [("prefix", tuple(prompt)) for prompt in prompts]
    found = {key: model.session.get(key) for key in keys}
    missing = sorted(
        (key for key, known in found.items() if known is None), key=lambda k: len(k[1])
    )
    for n, part in enumerate(parts(missing, TOKENS_AT_A_TIME[model.device.type])):
        if n:
            check()
        for key, prefix in zip(part, prefill(model, [key[1] for key in part]), strict=True):
            found[key] = prefix
            model.session.put(key, prefix, prefix.nbytes)
    return [prefix for key in keys if (prefix := found[key]) is not None]


def parts(keys: list, tokens: int) -> Iterator[list]:
    """Keys of prompts, the shortest first, cut where a batch would have too many tokens."""
    part: list = []
    for key in keys:
        if part and (len(part) + 1) * (len(key[1]) + 1) > tokens:
            yield part
            part = []
        part.append(key)
    if part:
        yield part


def prefill(model: CodiModel, prompts: Sequence[Prompt]) -> list[Prefix]:
    """Run prompts and BOT as one batch."""
    return left_padded(model, prompts) if model.device.type == "cpu" else causal(model, prompts)


def causal(model: CodiModel, prompts: Sequence[Prompt]) -> list[Prefix]:
    """Right-padded, for an accelerator: attention needs no mask, and nothing waits."""
    lengths = [len(prompt) + 1 for prompt in prompts]
    width = -(-max(lengths) // WIDTH) * WIDTH
    filling = [model.config.pad] * width
    rows = [[*prompt, model.config.bot, *filling][:width] for prompt in prompts]
    ids = torch.tensor(rows, device=model.device)
    last = torch.tensor([length - 1 for length in lengths], device=model.device)
    at = torch.arange(len(prompts), device=model.device), last
    cache, states = CausalCache(), []

    def keep(_layer: int, x: Tensor) -> Tensor:
        states.append(x[at])
        return x

    # What is filled in may lie behind the last position there is, and is read by nobody.
    positions = torch.arange(width, device=model.device).clamp_max(model.config.max_positions - 1)
    out = model.body.run(model.body.embed(ids), positions.expand(ids.shape), cache, keep)
    kept = torch.stack((*states, model.body.norm(out[at])), 1)
    known = torch.stack([torch.stack(block) for block in cache.blocks])
    return [
        Prefix(known[:, :, i, :, :length].clone(), kept[i].clone())
        for i, length in enumerate(lengths)
    ]


def left_padded(model: CodiModel, prompts: Sequence[Prompt]) -> list[Prefix]:
    """Left-padded: all questions end at one place, and of the last block a CPU runs only that."""
    lengths = [len(prompt) + 1 for prompt in prompts]
    width = max(lengths)
    ids = torch.full((len(prompts), width), model.config.pad)
    real = torch.zeros((len(prompts), width), dtype=torch.bool)
    for i, prompt in enumerate(prompts):
        ids[i, width - lengths[i] :] = torch.tensor((*prompt, model.config.bot))
        real[i, width - lengths[i] :] = True
    ids, real = ids.to(model.device), real.to(model.device)
    cache, states = PrefillCache(real), []

    def keep(_layer: int, x: Tensor) -> Tensor:
        states.append(x[:, -1].clone())
        return x

    positions = (real.cumsum(1) - 1).clamp_min(0)
    out = model.body.run(model.body.embed(ids), positions, cache, keep, last=1)
    kept = torch.stack((*states, model.body.norm(out[:, -1])), 1)
    known = torch.stack([torch.stack(block) for block in cache.blocks])
    return [
        Prefix(known[:, :, i, :, width - length :].clone(), kept[i].clone())
        for i, length in enumerate(lengths)
    ]


def side_by_side(found: Sequence[Prefix], rounded: int = 1) -> tuple[Tensor, Tensor]:
    """Keys and values of G questions as one tensor [L, 2, G, H_kv, P, d], and real bool [G, P].

    P, that of the longest with BOT, is rounded up to a multiple of `rounded`.
    """
    layers, two, heads, _, d = found[0].known.shape
    lengths = [prefix.known.shape[3] for prefix in found]
    width = -(-max(lengths) // rounded) * rounded
    together = found[0].known.new_zeros((layers, two, len(found), heads, width, d))
    for g, prefix in enumerate(found):
        together[:, :, g, :, : lengths[g]] = prefix.known
    device = found[0].known.device
    real = torch.arange(width, device=device) < torch.tensor(lengths, device=device)[:, None]
    return together, real
