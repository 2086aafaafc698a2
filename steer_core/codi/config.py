"""What a CODI model is made of, read from a transformers config and a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from steer_core.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

FAMILIES = {
    "gpt2": "gpt2",
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "llama",
    "qwen3": "llama",
}
"""transformers' `model_type` to the block structure that is built for it."""


@dataclass(frozen=True, slots=True)
class CodiConfig:
    """Sizes and special token ids of one CODI model.

    Sizes: `layers` L, `hidden` D, `heads` H, `kv_heads`, `head_dim` d, `vocabulary` V (rows of the
    embedding), `latents` K, `max_positions` the longest sequence. Ids: `eos`, and behind the base
    vocabulary `pad`, `bot`, `eot`. `keep_eos` puts EOS before BOT and after EOT (CODI's
    `remove_eos` off).
    """

    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    latents: int
    max_positions: int
    eos: int
    pad: int
    bot: int
    eot: int
    keep_eos: bool = False

    @property
    def positions(self) -> tuple[int, ...]:
        """The positions 0..K: 0 is the end of the prefill, k >= 1 is latent step k."""
        return tuple(range(self.latents + 1))

    @property
    def middle_layer(self) -> int:
        """See `middle_layer`."""
        return middle_layer(self.layers)


def middle_layer(layers: int) -> int:
    """The default layer of an edit, of blocks 1..L: L / 2, rounded down."""
    return max(1, layers // 2)


def family_of(base: PretrainedConfig) -> str:
    """The block structure of a base model, or a `UserError` where none is known for it."""
    family = FAMILIES.get(base.model_type)
    if family is None:
        raise UserError(
            f"model_type '{base.model_type!s:.40}' has no known block structure; "
            f"use a base of {', '.join(sorted(FAMILIES))}"
        )
    return family


COMPUTED = {
    "gpt2": {
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
    },
    "llama": {"hidden_act": ("silu", "swish")},
}
"""What the blocks of a family compute, where a config could ask for something else."""
ROPES = ("default", "linear", "dynamic", "llama3", "yarn")
"""Kinds of rotary positions whose frequencies do not depend on a sequence within the limit."""


MOST = {
    "num_hidden_layers": 1024,
    "hidden_size": 2**17,
    "num_attention_heads": 2**12,
    "num_key_value_heads": 2**12,
    "head_dim": 2**12,
    "intermediate_size": 2**20,
    "n_inner": 2**20,
    "max_position_embeddings": 2**31,
    "sliding_window": 2**31,
    "vocab_size": 2**24,
}
"""Largest sizes that a config may claim; each is a whole number of 1 or more."""
OPTIONAL = ("num_key_value_heads", "head_dim", "n_inner", "sliding_window", "intermediate_size")


def check_base(base: PretrainedConfig) -> None:
    """Raise a `UserError` for a base that the blocks of its family would compute wrongly."""
    family_of(base)
    check_sizes(base)
    check_kind(base)
    sizes = sizes_of(base)
    rotary, heads, kv_heads = base.model_type != "gpt2", sizes["heads"], sizes["kv_heads"]
    fits = heads % kv_heads == 0 and sizes["head_dim"] >= 1 + rotary
    fits = fits and not (rotary and sizes["head_dim"] % 2)
    if not fits or not (rotary or sizes["hidden"] == heads * sizes["head_dim"]):
        raise UserError(
            f"the base config has {heads} heads of {sizes['head_dim']}, {kv_heads} key heads and "
            f"hidden size {sizes['hidden']}, which make no attention; correct its config.json"
        )


def check_sizes(base: PretrainedConfig) -> None:
    """Raise a `UserError` for sizes that no model has."""
    for name, most in MOST.items():
        value = getattr(base, name, None)
        if value is None and name in OPTIONAL:
            continue
        if type(value) is not int or not 1 <= value <= most:
            raise UserError(
                f"the base config has {name} {value!r:.40}, it must be a whole number of "
                f"1..{most}; correct its config.json"
            )
    epsilon = getattr(base, "rms_norm_eps", None) or getattr(base, "layer_norm_epsilon", None)
    if not isinstance(epsilon, float | int) or not 0 < epsilon < 1:
        raise UserError(
            f"the base config has a norm's epsilon of {epsilon!r:.40}, it must be between 0 and 1; "
            "correct its config.json"
        )


def check_kind(base: PretrainedConfig) -> None:
    """Raise a `UserError` where a config asks for what the blocks of its family do not compute."""
    asked = {
        name: (getattr(base, name, None), can) for name, can in COMPUTED[family_of(base)].items()
    }
    rope = getattr(base, "rope_parameters", None) or {}
    asked["rope_type"] = (rope.get("rope_type"), (*ROPES, None))
    for name, (value, can) in asked.items():
        if value not in can:
            shown = " or ".join(str(each) for each in can if each is not None)
            raise UserError(
                f"the base config has {name} {value!s:.40}, the decoder computes {shown}; "
                "use a base of the plain kind"
            )


GPT2_NAMES = {
    "num_hidden_layers": "n_layer",
    "hidden_size": "n_embd",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
}
"""transformers' common names to those in a config file of GPT-2."""


def plain_config(values: Any) -> Any:
    """A config file of the box as it stands, with the common names of a config of transformers.

    Those classes take a second to import, and fill in what other files leave out; these do not.
    """
    named = {name: values[own] for name, own in GPT2_NAMES.items() if own in values}
    return SimpleNamespace(**values, **named)


def sizes_of(base: PretrainedConfig | SimpleNamespace) -> dict[str, int]:
    """Sizes of a base model under this project's names, whatever the family calls them."""
    heads, longest = base.num_attention_heads, base.max_position_embeddings
    return {
        "layers": base.num_hidden_layers,
        "hidden": base.hidden_size,
        "heads": heads,
        "kv_heads": getattr(base, "num_key_value_heads", None) or heads,
        "head_dim": getattr(base, "head_dim", None) or base.hidden_size // heads,
        # Within the window of sliding attention every position sees all before it.
        "max_positions": min(longest, getattr(base, "sliding_window", None) or longest),
    }
