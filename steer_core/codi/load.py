"""Names and folders to models: `load_model`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from steer_core.codi.adapter import read_scale
from steer_core.codi.body import Body
from steer_core.codi.checkpoint import CheckpointTensors
from steer_core.codi.config import (
    FAMILIES,
    CodiConfig,
    check_base,
    family_of,
    plain_config,
    sizes_of,
)
from steer_core.codi.files import WeightFiles
from steer_core.codi.identity import identity_of
from steer_core.codi.layout import NAMES, Builder, Take
from steer_core.codi.model import CodiModel
from steer_core.codi.notes import MOST_LATENTS, NOTES, read_notes
from steer_core.codi.places import Place, locate
from steer_core.codi.projection import Projection
from steer_core.codi.selfcheck import require_checks
from steer_core.codi.vocabulary import BOT_TOKEN, new_rows
from steer_core.data.json_file import read_json
from steer_core.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

WITH_BFLOAT16 = 8, 0
"""Compute capability of the first GPUs with units for bfloat16."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    name_or_path: str | Path,
    *,
    base: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    lora_alpha: float | None = None,
    keep_eos: bool | None = None,
    latents: int | None = None,
    check: bool | None = None,
) -> CodiModel:
    """Load a CODI model.

    Args:
        name_or_path: A bundled or known name, a hub repository owner/name (with @revision or
            without), or a folder in the official layout.
        base: Folder (or hub repository) with config and tokenizer, where the folder has none.
        device: auto, cpu, cuda, or cuda:N for one of several.
        dtype: auto, float32, bfloat16 or float16; auto is float32 on a CPU, bfloat16 on CUDA,
            float16 on GPUs without it (T4, V100).
        lora_alpha: LoRA's scale numerator; 32 for rank 128 when not given.
        keep_eos: The model was trained with CODI's `remove_eos` off.
        latents: K; what the folder says, or 6.
        check: Run the self-check of `steer_core.codi.selfcheck`; by default for every model that
            does not come in the box.

    Returns:
        The model, LoRA merged, in evaluation mode (nothing in it is random).

    Raises:
        UserError: for an unknown name, files that do not fit, a device that is not there, or a
            model that fails its self-check.
    """
    where = pick_device(device)
    precision = pick_dtype(dtype, where)
    check_options(lora_alpha, latents)
    place = locate(str(name_or_path), None if base is None else str(base))
    model = read_model(place, where, precision, lora_alpha, keep_eos, latents)
    if check if check is not None else place.source != "bundled":
        require_checks(model)
    return model


def check_options(lora_alpha: float | None, latents: int | None) -> None:
    """Raise a `UserError` for options that no checkpoint can have."""
    if latents is not None and not 0 <= latents <= MOST_LATENTS:
        raise UserError(
            f"{latents} latents are out of range; choose 0..{MOST_LATENTS} (CODI trains with 6)"
        )
    if lora_alpha is not None and not (math.isfinite(lora_alpha) and lora_alpha > 0):
        raise UserError(f"lora_alpha {lora_alpha} is no positive number; CODI trains with 32")


def read_model(
    place: Place,
    device: torch.device,
    dtype: torch.dtype,
    lora_alpha: float | None,
    keep_eos: bool | None,
    latents: int | None,
) -> CodiModel:
    """The model of a place; every tensor of its checkpoint is used or the load fails."""
    base = config_of(place)
    scale = read_scale(place.weights, lora_alpha)
    files = WeightFiles(place.weights)
    tensors = CheckpointTensors(files, dtype, device, scale)
    tokens = NAMES[family_of(base)].tokens
    tied = bool(base.tie_word_embeddings)
    if tied:
        tensors.tie(tokens)
    rows = tensors.rows(tokens) if tokens in tensors else base.vocab_size
    # All names and shapes first: nothing is read, or allocated, for a config that does not fit.
    parts_of(base, rows, tensors, tensors.look)
    tensors.finish()
    tokenizer = read_tokenizer(place)
    notes = read_notes(place.weights)
    config = codi_config(
        base,
        tokenizer,
        rows,
        latents=notes.latents if latents is None else latents,
        keep_eos=notes.keep_eos if keep_eos is None else keep_eos,
        is_codi=tensors.is_codi or (place.weights / NOTES).is_file(),
    )
    body, projection = reordered(*parts_of(base, rows, tensors, tensors.take))
    return CodiModel(
        name=place.name,
        source=place.source,
        sha256=identity_of(
            files.sha256, base, config, tokenizer, scale.identity(tensors.merged_with)
        ),
        weights_sha256=files.sha256,
        config=config,
        body=body,
        projection=projection,
        tokenizer=tokenizer,
        revision=place.revision,
        lora_alpha=tensors.merged_with,
    )


def parts_of(
    base: PretrainedConfig, rows: int, tensors: CheckpointTensors, take: Take
) -> tuple[Body, Projection]:
    """Body and projection from what `take` hands out."""
    body = Builder(base, rows, take).body(bool(base.tie_word_embeddings))
    return body, tensors.projection(base.hidden_size, take)


def reordered(body: Body, projection: Projection) -> tuple[Body, Projection]:
    """Weights that will not be trained, with a faster way for many rows where there is one."""
    faster = body.reordered()
    on_cpu = body.tokens.device.type == "cpu"
    return faster, projection.reordered() if on_cpu and faster is not body else projection


def pick_device(device: str) -> torch.device:
    """The device of an option; auto is CUDA where there is one. One of several GPUs is cuda:1."""
    if device in ("mps", "xpu", "hpu") or device.startswith("mps:"):
        raise UserError(f"device '{device}' has never been tried; choose auto, cpu, cuda or cuda:N")
    kind, _, number = device.partition(":")
    counted = number.isdecimal() and number.isascii() and len(number) < 4
    if kind not in ("auto", "cpu", "cuda") or (":" in device and (kind != "cuda" or not counted)):
        raise UserError(f"unknown device '{device}'; choose auto, cpu, cuda or cuda:N")
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(f"device '{device}' is not available here; choose auto or cpu")
    if number and int(number) >= torch.cuda.device_count():
        there = torch.cuda.device_count()
        raise UserError(f"device '{device}' is not among the {there} here; choose cuda:0 or auto")
    return torch.device(f"cuda:{int(number)}" if number else "cuda")


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The precision of an option; auto is float32 on a CPU.

    On CUDA it is bfloat16, or float16 on GPUs older than `WITH_BFLOAT16`, which have no units for
    the other.
    """
    if dtype == "auto" and device.type == "cuda":
        known = torch.cuda.get_device_capability(device) >= WITH_BFLOAT16
        return torch.bfloat16 if known else torch.float16
    if dtype == "auto":
        return torch.float32
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype '{dtype}'; choose auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


def config_of(place: Place) -> PretrainedConfig:
    """The base model's config; transformers reads those of anybody, ours are plain to read."""
    if place.source == "bundled" and place.base == place.weights:
        return plain_config(read_json(place.base / "config.json"))
    return read_config(place.base)


def read_config(folder: Path) -> PretrainedConfig:
    """The base model's config, if its blocks can be computed."""
    from transformers import AutoConfig

    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder} has no readable config.json (no such file); pass --base")
    found = read_json(path)
    if not isinstance(found, dict):
        raise UserError(f"{path} is no JSON object; pass --base with the base model's folder")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except ImportError:
        raise  # a fault of this Python, and none of the file
    except Exception as error:  # values of anybody: each class of config fails in its own ways
        raise unreadable(folder, "config.json", found, error) from error
    check_base(config)
    return config


def read_tokenizer(place: Place) -> PreTrainedTokenizerBase:
    """The base model's tokenizer, as in the official evaluation, or one that knows BOT and EOT."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    # Which kind a folder has, a config says, whose class takes a second to import.
    kind = PreTrainedTokenizerFast if place.source == "bundled" else AutoTokenizer
    folder = place.weights if has_own_tokenizer(place.weights) else place.base
    path = folder / "tokenizer_config.json"
    about = read_json(path) if path.is_file() else {}
    try:
        tokenizer = kind.from_pretrained(folder, trust_remote_code=False)
        tokenizer("1")  # some settings fail only once they are used
        return tokenizer
    except Exception as error:  # as with a config
        raise unreadable(folder, "tokenizer", about, error) from error


def unreadable(folder: Path, what: str, about: object, error: Exception) -> UserError:
    """Why transformers cannot read a part of a base model; code in its folder is never run."""
    if isinstance(about, dict) and "auto_map" in about:
        return UserError(
            f"the {what} of {folder} asks for code of its own (auto_map), which is never run; use "
            f"a base of {', '.join(sorted(FAMILIES))} without it"
        )
    said = " ".join(str(error).split())[:160] or type(error).__name__
    return UserError(f"{folder} has no readable {what} ({said}); pass --base")


def has_own_tokenizer(folder: Path) -> bool:
    """Whether a checkpoint brings a tokenizer with tokens for BOT and EOT."""
    paths = [folder / n for n in ("tokenizer.json", "tokenizer_config.json", "added_tokens.json")]
    try:
        return any(p.is_file() and BOT_TOKEN in p.read_text(errors="replace") for p in paths)
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be read ({error.strerror}); give another folder"
        ) from error


def codi_config(
    base: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    rows: int,
    *,
    latents: int,
    keep_eos: bool,
    is_codi: bool,
) -> CodiConfig:
    """Sizes and token ids; see `new_rows` for pad, BOT and EOT."""
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer has no EOS token, where answers end; pass --base")
    tokens = max(len(tokenizer), max(tokenizer.get_vocab().values(), default=0) + 1)
    if tokens > rows:
        raise UserError(
            f"the tokenizer has {tokens} tokens, the checkpoint embeds {rows}; "
            "give the base model this checkpoint was trained on"
        )
    added = new_rows(base.vocab_size, rows, tokenizer, is_codi)
    return CodiConfig(
        family=base.model_type,
        **sizes_of(base),
        vocabulary=rows,
        latents=latents,
        eos=int(tokenizer.eos_token_id),  # pyright: ignore  (one id, not a list of them)
        pad=added.pad,
        bot=added.bot,
        eot=added.eot,
        keep_eos=keep_eos,
    )
