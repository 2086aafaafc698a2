"""One hash over everything about a model that decides its answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from steer_core.codi.config import CodiConfig

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

PROBE = "Tom's 3 boxes hold 12,345 pens each; he sells 7.5 for $20.  How many are left? 8*9=72"
"""Read by a tokenizer to tell it from another one of the same vocabulary."""


def identity_of(
    weights: str,
    base: PretrainedConfig,
    config: CodiConfig,
    tokenizer: PreTrainedTokenizerBase,
    lora_alpha: float | dict[str, Any] | None,
) -> str:
    """The SHA-256, in hexadecimal, by which directions and results know a model.

    The same weights give other answers with another base config, tokenizer, scale of LoRA or
    `keep_eos`, and a checkpoint stores none of these. K, dtype and device are told apart where they
    matter, beside this.

    Args:
        weights: SHA-256 of the weights files.
        base: Config of the base model.
        config: Sizes and token ids.
        tokenizer: The tokenizer.
        lora_alpha: What LoRA factors were merged with, as `LoraScale.identity` says it; None
            without any.
    """
    sizes = {name: value for name, value in asdict(config).items() if name != "latents"}
    epsilon = getattr(base, "rms_norm_eps", None) or getattr(base, "layer_norm_epsilon", None)
    rope = getattr(base, "rope_parameters", None) or {}
    parts = {
        "weights": weights,
        "sizes": sizes,
        "epsilon": epsilon,
        "rope": {name: value for name, value in rope.items() if value is not None},
        "tied": bool(base.tie_word_embeddings),
        "vocabulary": sorted(tokenizer.get_vocab().items()),
        "probe": tokenizer(PROBE)["input_ids"],
        "lora_alpha": lora_alpha,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
