"""What training tools do to the names of tensors: undone where that is safe, else named.

A checkpoint whose numbers are packed, split or scaled by another tool must not be read as weights.
"""

from __future__ import annotations

import re

from steer_core.errors import UserError

WRAPPERS = re.compile(
    r"(?:(?<=\.)|^)"
    r"(?:_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module|_forward_module)\."
)
"""Left anywhere in a name by torch.compile, activation checkpointing, FSDP and Lightning."""
PREFIX = re.compile(r"^(?:module\.|codi\.|base_model\.model\.)+")
"""DistributedDataParallel, CODI's own, peft; in any order."""
SAVED = re.compile(r"\.modules_to_save(?:\.[^.]+)?\.(?=weight$|bias$)")
ORIGINAL = ".original_module."
CODI_NAME = re.compile(r"^(?:module\.|_orig_mod\.|_forward_module\.)*(?:codi|prj)\.")
"""Only a checkpoint of CODI's own layout has such names."""

UNREADABLE = {
    r"\.(?:SCB|weight_format|absmax|quant_map|nested_absmax|nested_quant_map)$|\.quant_state\.": (
        "quantised by bitsandbytes",
        "save the model in bfloat16 or float32",
    ),
    r"\.(?:qweight|qzeros|g_idx|scales|biases)$": (
        "quantised (GPTQ, AWQ or MLX)",
        "save the model in bfloat16 or float32",
    ),
    r"\.(?:weight_scale|weight_scale_inv|input_scale|scale_weight|weight_packed)$": (
        "quantised with scales beside the weights (fp8 or compressed-tensors)",
        "save the model in bfloat16 or float32",
    ),
    r"(?:^|\.)_?flat_param(?:_\d+)?$": (
        "flattened by FSDP",
        "save a full state dict (StateDictType.FULL_STATE_DICT)",
    ),
    r"\.lora_magnitude_vector\b": (
        "of DoRA, whose merge is another one",
        "merge the adapter with peft first",
    ),
    r"\.lora_B(?:\.[^.]+)?\.bias$": (
        "a bias of LoRA's factors (lora_bias), which is not merged here",
        "merge the adapter with peft first",
    ),
    r"\.lora_embedding_[AB]\b": (
        "LoRA on an embedding, which is not merged here",
        "merge the adapter with peft first",
    ),
    r"\.(?:lora_E|ranknum|hada_w|lokr_w|ia3_l|vera_|oft_|boft_|randlora_)": (
        "of another kind of adapter than LoRA",
        "merge the adapter with peft first",
    ),
    r"^(?:module\.|_orig_mod\.)*base_causallm\.": (
        "of Coconut's layout, not of CODI's",
        "give a checkpoint trained with CODI",
    ),
}
"""Names that say what a tool did to a checkpoint: (what, the next move)."""


def plain_name(raw: str) -> str:
    """A raw name without what wrappers put around it: transformers' name, or prj's."""
    name = PREFIX.sub("", WRAPPERS.sub("", raw)).replace(".base_layer.", ".")
    return SAVED.sub(".", name).replace(ORIGINAL, ".")


def refuse_unreadable(raw: str) -> None:
    """Raise a `UserError` for a name that belongs to a layout which is not read here."""
    for pattern, (what, move) in UNREADABLE.items():
        if re.search(pattern, raw):
            raise UserError(f"{raw} is {what}; {move}")
