"""The way of the seed experiment: one problem and one alpha at a time, on the transformers model.

It decodes as its scripts did (prefill with a cache, latent steps, then token by token), with the
edit made by a forward hook on the block it names. Used as the baseline of speed, and of ids.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, DynamicCache

LATENTS = 6


class OneRowLoop:
    """A bundled model as a plain transformers model with its projection."""

    def __init__(self, folder: Path):
        config = AutoConfig.from_pretrained(folder)
        tensors = load_file(folder / "model.safetensors")
        self.model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        weights = {n.removeprefix("codi."): t for n, t in tensors.items() if n.startswith("codi.")}
        missing = self.model.load_state_dict(weights, strict=False).missing_keys
        assert missing in ([], ["lm_head.weight"]), missing
        self.model.tie_weights()
        size = config.hidden_size
        self.prj = nn.Sequential(
            nn.Dropout(0.0), nn.Linear(size, size), nn.GELU(), nn.Linear(size, size)
        )
        self.prj.add_module("ln", nn.LayerNorm(size))
        own = {n.removeprefix("prj."): t for n, t in tensors.items() if n.startswith("prj.")}
        self.prj.load_state_dict(own)
        self.prj.eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        rows = config.vocab_size
        self.bot, self.eot, self.eos = rows - 2, rows - 1, self.tokenizer.eos_token_id
        base = self.model.base_model
        self.blocks = base.h if hasattr(base, "h") else base.layers
        self.embedding = self.model.get_input_embeddings()

    @torch.no_grad()
    def decode(self, question: str, layer: int, alpha: float, direction, positions, limit=256):
        """Ids of one answer with alpha * direction[k] added to the output of a block."""
        ids = self.tokenizer(question, return_tensors="pt")["input_ids"]
        ids = torch.cat((ids, torch.tensor([[self.bot]])), 1)
        cache = DynamicCache()
        out = self.model(ids, past_key_values=cache, output_hidden_states=True, logits_to_keep=1)
        for k in range(1, LATENTS + 1):
            latent = self.prj(out.hidden_states[-1][:, -1:])
            with self.edited(layer, alpha * direction[k] if k in positions else None):
                out = self.model(
                    inputs_embeds=latent,
                    past_key_values=cache,
                    output_hidden_states=True,
                )
        return self.answer(cache, limit)

    def answer(self, cache: DynamicCache, limit: int) -> tuple[int, ...]:
        """Greedy tokens after EOT; the last vocabulary row is excluded."""
        found: list[int] = []
        token = self.eot
        for _ in range(limit):
            embedded = self.embedding(torch.tensor([[token]]))
            logits = self.model(inputs_embeds=embedded, past_key_values=cache).logits
            token = int(logits[0, -1, :-1].argmax())
            if token == self.eos:
                break
            found.append(token)
        return tuple(found)

    @contextmanager
    def edited(self, layer: int, delta):
        """Add `delta` [D] to the output of a block for one forward pass."""
        if delta is None:
            yield
            return

        def hook(_module, _inputs, output):
            if isinstance(output, tuple):
                return (output[0] + delta, *output[1:])
            return output + delta

        handle = self.blocks[layer - 1].register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()
