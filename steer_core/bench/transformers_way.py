"""The ways that exist: transformers' model, its cache, and a hook on the block that is edited.

With one row a batch this is the loop of the seed experiment, with 128 rows the official batched
evaluation, mended (it passes the padding mask and positions through, so that ids are right). Every
row reads its own question; nothing is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from steer_core.bench.shapes import Subject

Asked = tuple[int, int, float]
"""Index of a problem, layer, alpha."""


class TransformersWay:
    """A subject decoded row by row or in padded batches.

    Args:
        subject: What is decoded.
    """

    def __init__(self, subject: Subject):
        self.subject, self.config = subject, subject.model.config
        self.device = subject.model.device
        self.prompts = [subject.model.encode(p.question) for p in subject.problems]
        twin: Any = subject.twin
        body = twin.base_model
        self.twin, self.blocks = twin, body.h if hasattr(body, "h") else body.layers
        # The argument's name in newer versions of transformers, and in older ones.
        newer = "cache" in signature(twin.forward).parameters
        self.cache_name = "cache" if newer else "past_key_values"

    @torch.no_grad()
    def decode(self, rows: Sequence[Asked]) -> list[tuple[int, ...]]:
        """Ids of a batch of rows without EOS; all of one layer."""
        config, cache = self.config, DynamicCache()
        ids, mask = self.padded([self.prompts[question] for question, _, _ in rows])
        layer, deltas = rows[0][1], self.deltas(rows)
        lengths = mask.sum(1)
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        hidden = self.forward(cache, mask, positions, input_ids=ids)
        for k in config.positions[1:]:
            latent = self.subject.prj(hidden[:, -1:])
            mask = torch.nn.functional.pad(mask, (0, 1), value=1)
            with self.edited(layer, deltas[k]):
                hidden = self.forward(cache, mask, (lengths + k - 1)[:, None], inputs_embeds=latent)
        return self.answers(cache, mask, lengths + config.latents)

    def padded(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Prompts and BOT, left-padded, [B, P], and their mask."""
        width = max(map(len, prompts)) + 1
        rows = [[self.config.pad] * (width - len(p) - 1) + [*p, self.config.bot] for p in prompts]
        mask = [[0] * (width - len(p) - 1) + [1] * (len(p) + 1) for p in prompts]
        return torch.tensor(rows, device=self.device), torch.tensor(mask, device=self.device)

    def deltas(self, rows: Sequence[Asked]) -> Tensor:
        """What is added at every position, [K+1, B, D]."""
        vectors = self.subject.directions[rows[0][1]].vectors
        alphas = torch.tensor([alpha for _, _, alpha in rows])[None, :, None]
        return (alphas * vectors[:, None]).to(self.device, self.subject.model.dtype)

    def forward(self, cache, mask: Tensor, positions: Tensor, **inputs: Tensor) -> Tensor:
        """Normed hidden states [B, T, D] of one step.

        All hidden states and the vocabulary head are computed, as in the official evaluation and
        the seed experiment; the head for the last position only, which is kinder than either.
        """
        # A single row has no padding; without a mask transformers takes its faster way.
        kept = {} if len(mask) == 1 else {"attention_mask": mask}
        out = self.twin(
            **{self.cache_name: cache},
            position_ids=positions,
            output_hidden_states=True,
            logits_to_keep=1,
            **kept,
            **inputs,
        )
        return out.hidden_states[-1]

    def logits(self, cache, mask: Tensor, positions: Tensor, token: Tensor) -> Tensor:
        """Logits [B, V] behind one token a row [B]."""
        kept = {} if len(mask) == 1 else {"attention_mask": mask}
        out = self.twin(
            input_ids=token[:, None],
            **{self.cache_name: cache},
            position_ids=positions[:, None],
            **kept,
        )
        return out.logits[:, -1]

    def answers(self, cache, mask: Tensor, position: Tensor) -> list[tuple[int, ...]]:
        """Greedy tokens after EOT until every row has met EOS or the limit."""
        config, found = self.config, [[] for _ in position]
        token = torch.full((len(found),), config.eot, device=self.device)
        open_rows = [True] * len(found)
        for _ in range(self.subject.max_new_tokens):
            mask = torch.nn.functional.pad(mask, (0, 1), value=1)
            token = self.logits(cache, mask, position, token)[:, :-1].argmax(-1)
            position = position + 1
            for row, one in enumerate(token.tolist()):
                open_rows[row] = open_rows[row] and one != config.eos
                if open_rows[row]:
                    found[row].append(one)
            if not any(open_rows):
                break
        return [tuple(ids) for ids in found]

    @contextmanager
    def edited(self, layer: int, delta: Tensor) -> Iterator[None]:
        """Add `delta` [B, D] to the output of a block for one forward pass."""

        def hook(_module, _inputs, output):
            if isinstance(output, tuple):
                return (output[0] + delta[:, None], *output[1:])
            return output + delta[:, None]

        handle = self.blocks[layer - 1].register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()
