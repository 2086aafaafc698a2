"""Question prefixes: read once, remembered, and laid side by side for a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from steer_core.codi.cache import PrefillCache
from steer_core.codi.model import CodiModel

Prompt = Sequence[int]
TOKENS_AT_A_TIME = {"cpu": 4096, "cuda": 65536}
"""Tokens of one prefill, padding included: on a CPU its activations should stay in the cache."""


def prefixes(
    model: CodiModel, prompts: Sequence[Prompt], check: Callable[[], None] = lambda: None
) -> list[Tensor]:
    """Keys and values of prompts (without BOT), each [L, 2, H_kv, P, d]; read where not yet known.

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
    for n, part in enumerate(parts(missing, TOKENS_AT_A_TIME.get(model.device.type, 4096))):
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
        if part and (len(part) + 1) * len(key[1]) > tokens:
            yield part
            part = []
        part.append(key)
    if part:
        yield part


def prefill(model: CodiModel, prompts: Sequence[Prompt]) -> list[Tensor]:
    """Run prompts, left-padded, as one batch; each one's keys and values [L, 2, H_kv, P, d]."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), model.config.pad)
    real = torch.zeros((len(prompts), width), dtype=torch.bool)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.tensor(prompt)
        real[i, width - len(prompt) :] = True
    ids, real = ids.to(model.device), real.to(model.device)
    cache = PrefillCache(real)
    positions = (real.cumsum(1) - 1).clamp_min(0)
    model.body.read(model.body.embed(ids), positions, cache)
    together = torch.stack([torch.stack(block) for block in cache.blocks])
    return [together[:, :, i, :, width - len(p) :].clone() for i, p in enumerate(prompts)]


def side_by_side(found: Sequence[Tensor], rounded: int = 1) -> tuple[Tensor, Tensor]:
    """Prefixes of G questions as one tensor [L, 2, G, H_kv, P, d], and real bool [G, P].

    P, the longest, is rounded up to a multiple of `rounded`.
    """
    layers, two, heads, _, d = found[0].shape
    lengths = [prefix.shape[3] for prefix in found]
    width = -(-max(lengths) // rounded) * rounded
    together = found[0].new_zeros((layers, two, len(found), heads, width, d))
    for g, prefix in enumerate(found):
        together[:, :, g, :, : lengths[g]] = prefix
    device = found[0].device
    real = torch.arange(width, device=device) < torch.tensor(lengths, device=device)[:, None]
    return together, real
