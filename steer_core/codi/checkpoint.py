"""A CODI checkpoint's tensors under transformers' names, LoRA merged, every key accounted for."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from steer_core.codi.body import Linear, Norm
from steer_core.codi.files import WeightFiles
from steer_core.codi.layout import HEAD
from steer_core.codi.projection import Projection
from steer_core.errors import UserError
from steer_core.process import give_back_freed_memory

PREFIX = re.compile(r"^codi\.(?:base_model\.model\.)?")
DROPPED = re.compile(
    # Parts of other training recipes that decoding does not use, and buffers of old transformers.
    r"^(?:dynamic_cls|decoder|pj_in|pj_out)\."
    r"|rotary_emb\.inv_freq$|\.attn\.(?:masked_)?bias$"
)
LORA = re.compile(r"^(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight$")
KNOWN_ALPHA = {128: 32.0}
"""lora_alpha by rank of the published checkpoints, which do not store it."""


class CheckpointTensors:
    """Hands out tensors by transformers name, merged in float32 and cast to `dtype`.

    One tensor at a time is in memory twice, never the model.

    Args:
        files: Raw name to tensor.
        dtype, device: What every tensor is cast and moved to.
        lora_alpha: Numerator of LoRA's scale; None for the published value of the rank.
    """

    def __init__(
        self,
        files: WeightFiles,
        dtype: torch.dtype,
        device: torch.device,
        lora_alpha: float | None = None,
    ):
        self.files, self.dtype, self.device, self.lora_alpha = files, dtype, device, lora_alpha
        self.raw: dict[str, str] = {}
        self.lora: dict[str, dict[str, str]] = {}
        for raw in files:
            self.index(raw)
        self.used: set[str] = set()
        self.missing: list[str] = []
        self.merged_with: float | None = None
        """The `lora_alpha` that was used; None while no LoRA factors were merged."""

    def index(self, raw: str) -> None:
        """Sort one raw key into plain tensors, LoRA factors, or what is dropped by name."""
        if DROPPED.search(raw):
            return
        name = PREFIX.sub("", raw).replace(".base_layer.", ".")
        factor = LORA.match(name)
        if factor:
            self.lora.setdefault(f"{factor['module']}.weight", {})[factor["side"]] = raw
        else:
            self.raw[name] = raw

    def __contains__(self, name: str) -> bool:
        return name in self.raw

    def rows(self, name: str) -> int:
        """Length of a tensor's first axis."""
        return self.files[self.raw[name]].shape[0]

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor of a name. A missing one is noted (`finish` lists all) and comes as zeros."""
        if name not in self.raw:
            self.missing.append(name)
            return torch.zeros(shape, dtype=self.dtype, device=self.device)
        self.used.add(name)
        found = tuple(self.files[self.raw[name]].shape)
        if found != shape:
            raise UserError(
                f"{self.raw[name]} has shape {list(found)}, the base config needs "
                f"{list(shape)}; give the base model this checkpoint was trained on"
            )
        if name not in self.lora:
            return self.stored(name)
        tensor = self.merged(name)
        give_back_freed_memory()
        return tensor

    def stored(self, name: str) -> Tensor:
        """The tensor as in the file; the decoder uses Conv1D's weights the other way round."""
        return self.files.copy(self.raw[name], self.device, self.dtype, is_conv1d(name))

    def merged(self, name: str) -> Tensor:
        """W + lora_alpha / r * B A in float32; GPT-2's Conv1D stores W transposed."""
        raw, merging = self.raw[name], torch.float32
        # What stays is allocated before the temporaries, so that these leave no holes below it.
        result = self.stored(name)
        weight = result if self.dtype == merging else self.files.copy(raw, self.device, merging)
        a, b = self.factors(name)
        scale = self.alpha(a.shape[0]) / a.shape[0]
        left, right = (a.t(), b.t()) if is_conv1d(name) else (b, a)
        if (left.shape[0], right.shape[1]) != weight.shape:
            raise UserError(
                f"the LoRA factors of {name} make {[left.shape[0], right.shape[1]]}, "
                f"its weight is {list(weight.shape)}; fetch the file again"
            )
        weight.addmm_(left, right, alpha=scale)
        return result if weight is result else result.copy_(weight)

    def factors(self, name: str) -> tuple[Tensor, Tensor]:
        """LoRA's A [r, in] and B [out, r] of a weight, float32."""
        sides = self.lora[name]
        if set(sides) != {"A", "B"}:
            raise UserError(f"{name} has only one of its two LoRA factors; fetch the file again")
        a, b = (self.files.copy(sides[side], self.device, torch.float32) for side in "AB")
        if a.dim() != 2 or b.dim() != 2 or a.shape[0] != b.shape[1]:
            raise UserError(
                f"the LoRA factors of {name} have shapes {list(a.shape)} and {list(b.shape)}, "
                "A must be [r, in] and B [out, r]; fetch the file again"
            )
        return a, b

    def alpha(self, rank: int) -> float:
        """lora_alpha as given, or the published one of this rank."""
        value = self.lora_alpha if self.lora_alpha is not None else KNOWN_ALPHA.get(rank)
        if value is None:
            raise UserError(
                f"the checkpoint has LoRA factors of rank {rank} and does not store lora_alpha; "
                "pass --lora-alpha with the value it was trained with"
            )
        self.merged_with = float(value)
        return value

    def projection(self, hidden: int) -> Projection:
        """The projection `prj`, whole, without its LayerNorm, or absent."""
        first, second = (self.square(f"prj.{n}", hidden) for n in (1, 3))
        norm = None
        if "prj.ln.weight" in self:
            weight, bias = (self.take(f"prj.ln.{n}", (hidden,)) for n in ("weight", "bias"))
            norm = Norm(weight, bias, 1e-5, rms=False)
        return Projection(first, second, norm)

    def square(self, name: str, hidden: int) -> Linear | None:
        """One of the projection's linears; its inner width is read from the file."""
        if not any(n.startswith("prj.") and not n.startswith("prj.ln") for n in self.raw):
            return None
        inner = self.rows("prj.1.weight") if "prj.1.weight" in self else hidden
        shape = (inner, hidden) if name.endswith("1") else (hidden, inner)
        return Linear(self.take(f"{name}.weight", shape), self.take(f"{name}.bias", shape[:1]))

    def tie(self, tokens: str) -> None:
        """Tied weights: where the file holds both names the head wins, as in the official code."""
        if HEAD in self.raw:
            self.raw[tokens] = self.raw.pop(HEAD)

    def finish(self) -> None:
        """Raise a `UserError` that lists every missing and every unexpected key."""
        extra = [raw for name, raw in self.raw.items() if name not in self.used]
        extra += [
            raw
            for name, sides in self.lora.items()
            if name not in self.used
            for raw in sides.values()
        ]
        faults = [
            f"{what} {len(names)}: {', '.join(sorted(names)[:8])}{' ...' if len(names) > 8 else ''}"
            for what, names in (("missing", self.missing), ("unexpected", extra))
            if names
        ]
        if faults:
            raise UserError(
                f"the checkpoint does not fit the base config ({'; '.join(faults)}); "
                "give the base model it was trained on"
            )


def is_conv1d(name: str) -> bool:
    """Whether a weight is one of GPT-2's Conv1D layers, which store it as [in, out]."""
    return ".c_" in name and name.endswith(".weight")
