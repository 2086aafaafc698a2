"""A CODI checkpoint's tensors under transformers' names, LoRA merged, every key accounted for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from steer_core.codi.adapter import LoraScale
from steer_core.codi.body import Linear, Norm
from steer_core.codi.files import WeightFiles
from steer_core.codi.layout import HEAD, Take
from steer_core.codi.projection import Projection
from steer_core.codi.raw_names import (
    CODI_NAME,
    ORIGINAL,
    SAVED,
    plain_name,
    refuse_unreadable,
)
from steer_core.errors import UserError
from steer_core.process import give_back_freed_memory

DROPPED = re.compile(
    # Parts of other training recipes that decoding does not use, and buffers of old transformers.
    r"^(?:dynamic_cls|decoder|pj_in|pj_out)\."
    r"|rotary_emb\.inv_freq$|\.attn\.(?:masked_)?bias$"
)
LORA = re.compile(r"^(?P<module>.+)\.lora_(?P<side>[AB])(?:\.(?P<adapter>[^.]+))?\.weight$")
MOST_NAMES, MOST_LETTERS = 3, 40
FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


class CheckpointTensors:
    """Hands out tensors by transformers name, merged in float32 and cast to `dtype`.

    One tensor at a time is in memory twice, never the model.

    Args:
        files: Raw name to tensor.
        dtype, device: What every tensor is cast and moved to.
        scale: How LoRA factors are merged.
    """

    def __init__(
        self,
        files: WeightFiles,
        dtype: torch.dtype,
        device: torch.device,
        scale: LoraScale,
    ):
        self.files, self.dtype, self.device, self.scale = files, dtype, device, scale
        self.raw: dict[str, str] = {}
        self.lora: dict[str, dict[str, str]] = {}
        self.adapter: str | None = None
        for raw in files:
            self.index(raw)
        self.check_names()
        self.used: set[str] = set()
        self.missing: list[str] = []
        self.merged_with: float | None = None
        """The `lora_alpha` that was used; None while no LoRA factors were merged."""

    def index(self, raw: str) -> None:
        """Sort one raw key into plain tensors, LoRA factors, or what is dropped by name."""
        name = plain_name(raw)
        if DROPPED.search(name) or self.has_saved_twin(raw):
            return
        refuse_unreadable(raw)
        factor = LORA.match(name)
        if factor:
            self.note_adapter(factor["adapter"] or "default")
            place, key = self.lora.setdefault(f"{factor['module']}.weight", {}), factor["side"]
        else:
            place, key = self.raw, name
        if key in place:
            raise UserError(
                f"{place[key]} and {raw} are two tensors for one place; keep the one that was "
                "trained last"
            )
        place[key] = raw

    def note_adapter(self, name: str) -> None:
        """Raise a `UserError` for factors of a second adapter: which one counts is not said."""
        if self.adapter not in (None, name):
            raise UserError(
                f"the checkpoint holds LoRA factors of 2 adapters ({self.adapter}, {name}); "
                "save it with one"
            )
        self.adapter = name

    def has_saved_twin(self, raw: str) -> bool:
        """Whether a module was trained in the place of this one (peft's `modules_to_save`)."""
        if ORIGINAL not in raw:
            return False
        return any(
            plain_name(other) == plain_name(raw) and SAVED.search(other) for other in self.files
        )

    def check_names(self) -> None:
        """Raise a `UserError` for LoRA factors that are not what `LoraScale` or their names say."""
        bare = [
            raw
            for name, raw in self.raw.items()
            if ".base_layer." in raw and name.endswith(".weight") and name not in self.lora
        ]
        if bare:
            raise UserError(f"{bare[0]} has lost its LoRA factors; fetch the checkpoint again")
        self.scale.check_modules([name.removesuffix(".weight") for name in self.lora])

    def __contains__(self, name: str) -> bool:
        return name in self.raw

    def shape(self, raw: str) -> tuple[int, ...]:
        """The shape of a raw tensor, if it holds numbers that can be weights."""
        tensor = self.files[raw]
        if 0 in tensor.shape:
            raise UserError(
                f"{raw} has shape {list(tensor.shape)}: DeepSpeed ZeRO-3 leaves such in place of "
                "its parts; gather them with zero_to_fp32.py"
            )
        if tensor.is_meta:
            raise UserError(f"{raw} has a shape and no numbers; save the model with its weights")
        if tensor.dtype not in FLOATS or tensor.is_sparse or tensor.is_quantized:
            raise UserError(
                f"{raw} holds {str(tensor.dtype).removeprefix('torch.')} numbers, a quantised "
                "model's; save the model in bfloat16 or float32"
            )
        return tuple(tensor.shape)

    def rows(self, name: str) -> int:
        """Length of a matrix's first axis."""
        shape = self.shape(self.raw[name])
        if len(shape) != 2:
            raise UserError(f"{self.raw[name]} has shape {list(shape)}, it must be a matrix")
        return shape[0]

    def look(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor without numbers in place of one of that name and shape, which is checked.

        A missing one is noted; `finish` lists all. Nothing is allocated for what a config claims.
        """
        if name in self.raw:
            self.used.add(name)
            self.check_shape(name, shape)
        else:
            self.missing.append(name)
        return torch.empty(shape, dtype=self.dtype, device="meta")

    def check_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise a `UserError` where a weight, or what its factors make, has another shape."""
        found = self.shape(self.raw[name])
        if found != shape:
            raise UserError(
                f"{self.raw[name]} has shape {list(found)}, the base config needs "
                f"{list(shape)}; give the base model this checkpoint was trained on"
            )
        if name not in self.lora:
            return
        a, b = self.factor_shapes(name)
        made = [a[1], b[0]] if is_conv1d(name) else [b[0], a[1]]
        if tuple(made) != shape:
            raise UserError(
                f"the LoRA factors of {name} make {made}, its weight is {list(shape)}; "
                "fetch the file again"
            )

    def factor_shapes(self, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of LoRA's A [r, in] and B [out, r] of a weight."""
        sides = self.lora[name]
        if set(sides) != {"A", "B"}:
            raise UserError(f"{name} has only one of its two LoRA factors; fetch the file again")
        a, b = (self.shape(sides[side]) for side in "AB")
        if len(a) != 2 or len(b) != 2 or a[0] != b[1]:
            raise UserError(
                f"the LoRA factors of {name} have shapes {list(a)} and {list(b)}, "
                "A must be [r, in] and B [out, r]; fetch the file again"
            )
        return a, b

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor of a name and shape that `look` has seen."""
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
        a, b = (self.files.copy(self.lora[name][side], self.device, merging) for side in "AB")
        left, right = (a.t(), b.t()) if is_conv1d(name) else (b, a)
        module = name.removesuffix(".weight")
        self.merged_with = self.scale.alpha(len(a))
        weight.addmm_(left, right, alpha=self.scale.factor(module, len(a)))
        return result if weight is result else result.copy_(weight)

    def projection(self, hidden: int, take: Take) -> Projection:
        """The projection `prj`, whole, without its LayerNorm, or absent."""
        first, second = (self.square(f"prj.{n}", hidden, take) for n in (1, 3))
        norm = None
        if "prj.ln.weight" in self:
            weight, bias = (take(f"prj.ln.{n}", (hidden,)) for n in ("weight", "bias"))
            norm = Norm(weight, bias, 1e-5, rms=False)
        return Projection(first, second, norm)

    def square(self, name: str, hidden: int, take: Take) -> Linear | None:
        """One of the projection's linears; its inner width is read from the file."""
        if not any(n.startswith("prj.") and not n.startswith("prj.ln") for n in self.raw):
            return None
        inner = self.rows("prj.1.weight") if "prj.1.weight" in self else hidden
        shape = (inner, hidden) if name.endswith("1") else (hidden, inner)
        return Linear(take(f"{name}.weight", shape), take(f"{name}.bias", shape[:1]))

    def tie(self, tokens: str) -> None:
        """Tied weights: where the file holds both names the head wins, as in the official code."""
        if HEAD not in self.raw:
            return
        pair = [self.raw[name] for name in (HEAD, tokens) if name in self.raw]
        if any("modules_to_save" in raw for raw in pair) and not self.equal(pair):
            raise UserError(
                f"the base config ties head and embedding, {' and '.join(pair)} were trained "
                "apart; give a base config with tie_word_embeddings false"
            )
        self.raw[tokens] = self.raw.pop(HEAD)

    def equal(self, raws: Sequence[str]) -> bool:
        """Whether there are two tensors, and they hold the same."""
        return len(raws) == 2 and torch.equal(*(self.files[raw] for raw in raws))

    @property
    def is_codi(self) -> bool:
        """Whether a projection or CODI's own prefix says what the checkpoint is."""
        return any(CODI_NAME.match(raw) for raw in self.files)

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
            f"{what} {len(names)}: {listed(names)}"
            for what, names in (("missing", self.missing), ("unexpected", extra))
            if names
        ]
        if faults:
            raise UserError(
                f"the checkpoint does not fit the base config ({'; '.join(faults)}); "
                f"{self.advice(extra)}"
            )

    def advice(self, extra: Sequence[str]) -> str:
        """The next move: another base, unless a prefix is all that keeps names from fitting."""
        wanted = set(self.missing)
        for raw in extra:
            prefix, _, rest = raw.partition(".")
            if rest in wanted or plain_name(rest) in wanted:
                return f"its names begin with '{prefix}.', save the model without that wrapper"
        return "give the base model it was trained on"


def listed(names: Sequence[str]) -> str:
    """The first few names, their ends: one line for a checkpoint of thousands."""
    short = [name if len(name) <= MOST_LETTERS else f"...{name[-MOST_LETTERS:]}" for name in names]
    return ", ".join(sorted(short)[:MOST_NAMES]) + (" ..." if len(names) > MOST_NAMES else "")


def is_conv1d(name: str) -> bool:
    """Whether a weight is one of GPT-2's Conv1D layers, which store it as [in, out]."""
    return ".c_" in name and name.endswith(".weight")
