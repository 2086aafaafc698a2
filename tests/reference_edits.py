"""Every operation at every site, written to be read: one row, transformers' own cache, no batch.

Beside `reference`, which knows additions only and no cache. Questions are fed up to BOT, then one
position at a time, so that an edit is a change of what a hook or the cache holds at that moment.
The product's decoder must give the same ids and states; it shares no code with this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from reference import Outcome, Reference, blocks, causal_lm, embed, final_norm, first
from torch import Tensor
from transformers import DynamicCache


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One edit: its coefficient at each position (0: none), and what is done along `direction`."""

    site: str  # "residual" | "thought" | "embedding" | "kv" | "keys" | "values"
    coefficients: tuple[float, ...]  # [K+1]
    direction: Tensor  # [K+1, numbers at the site]
    operation: str = "add"
    layer: int | None = None
    basis: Tensor | None = None  # [K+1, r, numbers]; only what lies in its span is changed
    outside: bool = False  # or only what does not

    def of(self, x: Tensor, k: int, before: Tensor) -> Tensor:
        a, d = self.coefficients[k], self.direction[k]
        if a == 0:
            return x
        new = OPERATIONS[self.operation](x, d, a, before)
        if self.basis is None:
            return new
        within = sum(torch.dot(new - x, row) * row for row in self.basis[k])
        return new - within if self.outside else x + within


def rotated(x: Tensor, d: Tensor, a: float) -> Tensor:
    u = x / x.norm()
    w = d - torch.dot(d, u) * u
    return x.norm() * (math.cos(a) * u + math.sin(a) * w / w.norm())


OPERATIONS = {
    "add": lambda x, d, a, before: x + a * d,
    "project_out": lambda x, d, a, before: x - a * torch.dot(x, d) / torch.dot(d, d) * d,
    "clamp": lambda x, d, a, before: x + (a - torch.dot(x, d) / torch.dot(d, d)) * d,
    "rotate": lambda x, d, a, before: rotated(x, d, a),
    "scale": lambda x, d, a, before: (1 + a) * x,
    "replace": lambda x, d, a, before: (1 - a) * x + a * d,
    "pull_mean": lambda x, d, a, before: x - a * (x - d),
    "pull_principal": lambda x, d, a, before: x - a * (x - d),
    "restore_norm": lambda x, d, a, before: x * ((1 - a) * x.norm() + a * before.norm()) / x.norm(),
}


class SlowRow:
    """One question on its way through positions 0..K and its answer."""

    def __init__(self, reference: Reference, prompt: Sequence[int], changes: Sequence[Change]):
        self.reference, self.changes = reference, changes
        self.model = causal_lm(reference)
        self.cache = DynamicCache(config=self.model.config)
        self.position: int | None = None
        self.states: list[Tensor] = []
        self.hooks = [
            block.register_forward_hook(self.after_block(layer))
            for layer, block in enumerate(blocks(reference), 1)
        ]
        self.hooks.append(final_norm(reference).register_forward_hook(self.keep))
        self.feed(embed(reference, prompt[:-1]))
        self.fed = len(prompt) - 1

    def close(self) -> None:
        for hook in self.hooks:
            hook.remove()

    def keep(self, module, args, output) -> None:
        self.states.append(first(output)[0, -1])

    def after_block(self, layer: int):
        def hook(module, args, output):
            x = first(output)
            if self.position is not None:
                x = x.clone()
                x[0, -1] = self.edited("residual", layer, x[0, -1])
            if layer < len(blocks(self.reference)):
                self.states.append(x[0, -1])
            return (x, *output[1:]) if isinstance(output, tuple) else x

        return hook

    def edited(self, site: str, layer: int | None, x: Tensor, k: int | None = None) -> Tensor:
        k = self.position if k is None else k
        before = x
        for change in self.changes:
            if change.site == site and (layer is None or change.layer == layer):
                x = change.of(x, k, before)
        return x

    def feed(self, x: Tensor) -> Tensor:
        """Run x [T, D] on the cache; logits of the last position. States are kept of it."""
        self.states = [x[-1] + self.place(len(x))]
        out = self.model(inputs_embeds=x[None], past_key_values=self.cache, use_cache=True)
        return out.logits[0, -1]

    def place(self, count: int) -> Tensor:
        learned = getattr(getattr(self.model, "transformer", None), "wpe", None)
        if learned is None:
            return torch.zeros(())
        return learned.weight[self.cache.get_seq_length() + count - 1]

    def step(self, k: int, x: Tensor) -> Tensor:
        """Feed one position of the reasoning; its states [L+1, D]."""
        self.position = k
        self.feed(x[None])
        self.position = None
        for layer in range(1, len(blocks(self.reference)) + 1):
            self.edit_cache(k, layer)
        return torch.stack(self.states)

    def edit_cache(self, k: int, layer: int) -> None:
        """Keys and values of the newest position, once it has gone through every block."""
        here = self.cache.layers[layer - 1]
        keys, values = here.keys[0, :, -1], here.values[0, :, -1]  # [heads, d]
        place = here.keys.shape[2] - 1
        plain = self.turn(keys, place, -1).flatten()
        both = original = torch.cat((plain, values.flatten()))
        half = len(both) // 2
        for change in self.changes:
            if change.layer != layer or change.site not in ("kv", "keys", "values"):
                continue
            part = {"kv": slice(None), "keys": slice(half), "values": slice(half, None)}
            some = part[change.site]
            both = both.clone()
            both[some] = change.of(both[some], k, original[some])
        here.keys[0, :, -1] = self.turn(both[:half].view_as(keys), place, 1)
        here.values[0, :, -1] = both[half:].view_as(values)

    def turn(self, keys: Tensor, place: int, sign: int) -> Tensor:
        """Rotary positions on or off keys [heads, d]; the first half pairs with the second."""
        rotary = getattr(getattr(self.model, "model", None), "rotary_emb", None)
        if rotary is None:
            return keys
        angles = place * torch.cat((rotary.inv_freq, rotary.inv_freq))
        one, two = keys.chunk(2, -1)
        crossed = torch.cat((-two, one), -1)
        return keys * angles.cos() + sign * crossed * angles.sin()


@torch.no_grad()
def decode_edited(
    reference: Reference, prompt: Sequence[int], changes: Sequence[Change], max_new_tokens: int
) -> Outcome:
    """Greedy decoding of one prompt (ids that end in BOT) with any number of edits, in order."""
    row = SlowRow(reference, prompt, changes)
    try:
        hidden = [row.step(0, embed(reference, prompt[-1:])[0])]
        for k in range(reference.latents):
            thought = row.edited("thought", None, hidden[-1][-1], k)
            latent = row.edited("embedding", None, reference.prj(thought), k + 1)
            hidden.append(row.step(k + 1, latent))
        end = [reference.eot] if reference.remove_eos else [reference.eot, reference.eos]
        logits = row.feed(embed(reference, end))
        ids: list[int] = []
        while len(ids) < max_new_tokens:
            token = int(logits[:-1].argmax())
            if token == reference.eos:
                break
            ids.append(token)
            logits = row.feed(embed(reference, [token]))
    finally:
        row.close()
    return Outcome(tuple(ids), torch.stack(hidden).float().numpy())
