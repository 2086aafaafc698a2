"""How LoRA factors are scaled: by option, by the `adapter_config.json` that peft writes, or known.

The official layout stores no scale; trainers that save through peft leave it beside the weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steer_core.data.json_file import read_json
from steer_core.errors import UserError

FILE = "adapter_config.json"
APART = ("adapter_model.safetensors", "adapter_model.bin")
"""LoRA factors in a file of their own, which CODI's layout does not have."""
KNOWN_ALPHA = {128: 32.0}
"""lora_alpha by rank of the published checkpoints, which do not store it."""
NOT_MERGED = (
    *("use_dora", "lora_bias", "use_qalora", "use_bdlora", "alora_invocation_tokens"),
    *("layer_replication", "trainable_token_indices", "target_parameters", "arrow_config"),
    *("kasa_config", "monteclora_config", "velora_config", "megatron_config"),
)
"""Settings of peft under which factors are merged in another way, or are not all there is."""


@dataclass(frozen=True, slots=True)
class LoraScale:
    """What the LoRA factors of a checkpoint are merged with.

    `lora_alpha` None: the published value of the rank. `rank`, `rank_pattern` and `targets` (module
    names or one regular expression; None: not said) are what the factors are held to.
    `alpha_pattern` and `rank_pattern` are peft's: regular expressions of module names, the first
    that fits counts.
    """

    lora_alpha: float | None = None
    use_rslora: bool = False
    alpha_pattern: tuple[tuple[str, float], ...] = ()
    rank: int | None = None
    rank_pattern: tuple[tuple[str, int], ...] = ()
    targets: tuple[str, ...] | str | None = None
    path: Path | None = None

    def factor(self, module: str, rank: int) -> float:
        """What B A of a module is multiplied by.

        Raises:
            UserError: where no `lora_alpha` is known, or the rank is not the one that is said.
        """
        said = fitting(self.rank_pattern, module, self.rank)
        if said is not None and said != rank:
            raise UserError(
                f"{self.path} says rank {said} for {module}, its factors have {rank}; give the "
                "file that belongs to this checkpoint"
            )
        alpha = fitting(self.alpha_pattern, module, self.alpha(rank))
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)

    def alpha(self, rank: int) -> float:
        """lora_alpha as given, or the published one of this rank."""
        value = self.lora_alpha if self.lora_alpha is not None else KNOWN_ALPHA.get(rank)
        if value is None:
            raise UserError(
                f"the checkpoint has LoRA factors of rank {rank} and does not store lora_alpha; "
                "pass --lora-alpha with the value it was trained with"
            )
        return float(value)

    def identity(self, alpha: float | None) -> float | dict[str, Any] | None:
        """What of it tells a model from another one, where `alpha` was merged with."""
        if alpha is None or not (self.use_rslora or self.alpha_pattern):
            return alpha
        return {
            "lora_alpha": alpha,
            "use_rslora": self.use_rslora,
            "alpha_pattern": dict(self.alpha_pattern),
        }

    def check_modules(self, modules: Collection[str]) -> None:
        """Raise a `UserError` where the modules that have factors are not those that are said."""
        if self.path is None:
            return
        if not modules:
            raise UserError(
                f"{self.path} describes LoRA factors, and the weights hold none; delete it if they "
                "are merged, else give the checkpoint with its factors"
            )
        strange = [name for name in sorted(modules) if not targeted(self.targets, name)]
        idle = [
            target
            for target in (self.targets if isinstance(self.targets, tuple) else ())
            if not any(targeted((target,), name) for name in modules)
        ]
        if strange or idle:
            what = f"no factors for {strange[0]}" if strange else f"factors for {idle[0]}"
            raise UserError(
                f"{self.path} says {what}, the weights say otherwise; give the file that belongs "
                "to this checkpoint"
            )


def fitting(patterns: tuple[tuple[str, Any], ...], module: str, otherwise: Any) -> Any:
    """The value of the first pattern that a module's name ends with, as peft looks it up."""
    fits = (value for key, value in patterns if re.match(rf"(.*\.)?({key})$", module))
    return next(fits, otherwise)


def targeted(targets: tuple[str, ...] | str | None, module: str) -> bool:
    """Whether peft would give a module factors."""
    if targets is None or targets == "all-linear":
        return True
    if isinstance(targets, str):
        return re.fullmatch(targets, module) is not None
    return any(module == target or module.endswith(f".{target}") for target in targets)


def read_scale(folder: Path, given: float | None) -> LoraScale:
    """The scale of a checkpoint: what lies beside its weights, held to the option `--lora-alpha`.

    Raises:
        UserError: for factors in a file of their own, a file that cannot be used or asks for what
            is not merged here, or an option that it contradicts.
    """
    apart = [name for name in APART if (folder / name).is_file()]
    if apart:
        raise UserError(
            f"{folder / apart[0]} holds LoRA factors in a file of their own, which is not read; "
            "merge them with peft first, or save the whole model as CODI does"
        )
    path = folder / FILE
    if not path.is_file():
        return LoraScale(given)
    found = read_json(path)
    if not isinstance(found, dict):
        raise UserError(f"{path} is no JSON object; fetch it again")
    refuse_unmerged(path, found)
    scale = scale_of(path, found)
    if given is not None and scale.lora_alpha not in (None, given):
        raise UserError(
            f"lora_alpha {given:g} was given, {path} says {scale.lora_alpha:g}; leave the option "
            "out, or delete the file if it belongs to another checkpoint"
        )
    if scale.lora_alpha is None and given is None:
        raise UserError(f"{path} does not say lora_alpha; pass --lora-alpha")
    return replace(scale, lora_alpha=given if scale.lora_alpha is None else scale.lora_alpha)


def refuse_unmerged(path: Path, found: Mapping[str, Any]) -> None:
    """Raise a `UserError` for what changes the merge and is not done here."""
    kind = found.get("peft_type", "LORA")
    if kind != "LORA":
        raise UserError(f"{path} says peft_type {kind!r:.40}, only LORA is merged; merge it first")
    asked = [name for name in NOT_MERGED if found.get(name)]
    if asked:
        raise UserError(
            f"{path} says {asked[0]}, which is not merged here; merge the adapter with peft first"
        )


def scale_of(path: Path, found: Mapping[str, Any]) -> LoraScale:
    """The settings of peft that decide how factors are merged.

    Not `fan_in_fan_out`: peft itself sets it right for the kind of layer. Not `bias`: what was
    trained of the base's biases lies in the checkpoint as they are.
    """
    alpha, rank = found.get("lora_alpha"), found.get("r")
    rslora, targets = found.get("use_rslora", False), found.get("target_modules")
    patterns = [found.get(name) or {} for name in ("alpha_pattern", "rank_pattern")]
    said = {
        "lora_alpha": alpha is None or is_positive(alpha),
        "r": rank is None or (type(rank) is int and rank > 0),
        "use_rslora": type(rslora) is bool,
        "alpha_pattern": is_pattern(patterns[0]),
        "rank_pattern": is_pattern(patterns[1]),
        "target_modules": are_targets(targets),
    }
    for name, fine in said.items():
        if not fine:
            raise UserError(f"{path} says {name} {found[name]!r:.60}; correct it or fetch it again")
    alphas, ranks = (tuple(each.items()) for each in patterns)
    return LoraScale(
        lora_alpha=None if alpha is None else float(alpha),
        use_rslora=rslora,
        alpha_pattern=tuple((key, float(value)) for key, value in alphas),
        rank=rank,
        rank_pattern=ranks,
        targets=tuple(targets) if isinstance(targets, list) else targets,
        path=path,
    )


def is_positive(value: object) -> bool:
    """Whether a value of JSON is a positive finite number."""
    return type(value) in (int, float) and 0 < value < 1e9  # pyright: ignore  (a number)


def is_pattern(value: object) -> bool:
    """Whether a value of JSON maps regular expressions to positive numbers."""
    return isinstance(value, dict) and all(
        is_expression(key) and is_positive(number) for key, number in value.items()
    )


def are_targets(value: object) -> bool:
    """Whether a value of JSON names modules: nothing, a list of names, or one expression."""
    if isinstance(value, list):
        return all(isinstance(name, str) for name in value)
    return value is None or (isinstance(value, str) and is_expression(value))


def is_expression(text: str) -> bool:
    """Whether a text is a regular expression."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return False
    return True
