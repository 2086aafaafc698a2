"""The decoder's forward pass with gradients through the latent thoughts.

The same blocks, projection and head as `steer_core.codi.passes`, which is made for decoding many
rows and writes in place; here the cache grows by concatenation. Both give the same ids (tests).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from steer_core.codi.cache import KeysValues
from steer_core.codi.drafts import Ids
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import start_of

Change = Callable[[str, int, int, Tensor], Tensor]
"""States x [N, D] at a site, layer (0 where it has none) and position, changed."""


class Past:
    """Keys and values of every block so far, [N, H_kv, T, d], and which are no padding [N, T]."""

    def __init__(self, blocks: Sequence[KeysValues] = (), real: Tensor | None = None):
        self.blocks, self.real = list(blocks), real
        self.allowed: Tensor | None = None

    def fork(self) -> Past:
        """The same to go on from; this one stays as it is."""
        return Past(self.blocks, self.real)

    def begin(self, real: Tensor) -> Past:
        """Announce T new positions, bool [N, T]; False is padding."""
        count, device = real.shape[1], real.device
        before = 0 if self.real is None else self.real.shape[1]
        self.real = real if self.real is None else torch.cat((self.real, real), 1)
        causal = torch.ones(count, before + count, dtype=torch.bool, device=device).tril(before)
        # A padding query sees itself: an empty row of the softmax would be NaN.
        itself = torch.eye(count, dtype=torch.bool, device=device)
        allowed = causal & self.real[:, None]
        self.allowed = torch.cat((allowed[..., :before], allowed[..., before:] | itself), -1)[
            :, None
        ]
        return self

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `steer_core.codi.body.Attention`."""
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        if layer < len(self.blocks):
            keys, values = self.blocks[layer]
            k, v = torch.cat((keys, k), 2), torch.cat((values, v), 2)
            self.blocks[layer] = k, v
        else:
            self.blocks.append((k, v))
        grouped = q.shape[1] != k.shape[1]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self.allowed, enable_gqa=grouped)
        return out.transpose(1, 2)


class Differentiable:
    """N questions, read once without gradients; answers behind changed latent thoughts with them.

    Args:
        model: The model.
        questions: N questions.
    """

    def __init__(self, model: CodiModel, questions: Sequence[str]):
        self.model = model
        prompts = [torch.tensor(ids, device=model.device) for ids in model.encode_all(questions)]
        ids = pad_sequence(prompts, batch_first=True, padding_value=model.config.pad)
        self.lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        where = torch.arange(ids.shape[1], device=model.device).expand_as(ids)
        self.past = Past().begin(where < self.lengths[:, None])
        with torch.no_grad():
            model.body.run(model.body.embed(ids), where, self.past)

    def states(self, change: Change, answers: Sequence[Ids]) -> Tensor:
        """Normed hidden states [N, T, D] of an answer's start and tokens, one answer a question.

        State i predicts token i of the answer, but for the tokens that start every answer.
        """
        past, config = self.past.fork(), self.model.config
        bot = self.model.body.tokens[config.bot].expand(len(self.lengths), 1, -1)
        hidden = self.feed(past, bot, 0, change)
        for position in range(1, config.latents + 1):
            thought = change("thought", 0, position - 1, hidden[:, 0])
            latent = change("embedding", 0, position, self.model.projection(thought))
            hidden = self.feed(past, latent[:, None], position, change)
        rows = [torch.tensor([*start_of(config), *ids]) for ids in answers]
        ids = pad_sequence(rows, batch_first=True, padding_value=config.pad).to(bot.device)
        real = pad_sequence([torch.ones(len(row)) for row in rows], batch_first=True) > 0
        places = self.lengths[:, None] + torch.arange(ids.shape[1], device=bot.device)
        places = (places + config.latents + 1).clamp_max(config.max_positions - 1)
        past.begin(real.to(bot.device))
        return self.model.body.norm(self.model.body.run(self.model.body.embed(ids), places, past))

    def feed(self, past: Past, x: Tensor, position: int, change: Change) -> Tensor:
        """Feed x [N, 1, D] at a position of the reasoning; normed hidden states."""

        def tap(layer: int, x: Tensor) -> Tensor:
            return change("residual", layer, position, x[:, 0])[:, None] if layer else x

        past.begin(torch.ones_like(self.lengths, dtype=torch.bool)[:, None])
        places = (self.lengths + position)[:, None]
        return self.model.body.norm(self.model.body.run(x, places, past, tap))
