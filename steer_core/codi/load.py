"""Names and folders to models: `load_model`."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase

from steer_core.codi.body import Body
from steer_core.codi.checkpoint import CheckpointTensors
from steer_core.codi.config import CodiConfig, check_base, family_of, sizes_of
from steer_core.codi.files import WeightFiles
from steer_core.codi.identity import identity_of
from steer_core.codi.layout import NAMES, Builder
from steer_core.codi.model import CodiModel
from steer_core.codi.places import Place, locate
from steer_core.codi.projection import Projection
from steer_core.codi.selfcheck import require_checks
from steer_core.errors import UserError

LATENTS = 6
NEW_TOKENS = 3
"""Rows that CODI adds behind the base vocabulary: pad, BOT, EOT."""
BOT_TOKEN, EOT_TOKEN = "<|bocot|>", "<|eocot|>"
"""What a tokenizer that knows them calls BOT and EOT."""
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
        device: auto, cpu or cuda.
        dtype: auto, float32, bfloat16 or float16; auto is float32 on a CPU, bfloat16 on CUDA.
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


MOST_LATENTS = 64


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
    base = read_config(place.base)
    files = WeightFiles(place.weights)
    tensors = CheckpointTensors(files, dtype, device, lora_alpha)
    tokens = NAMES[family_of(base)].tokens
    tied = bool(base.tie_word_embeddings)
    if tied:
        tensors.tie(tokens)
    rows = tensors.rows(tokens) if tokens in tensors else base.vocab_size
    body = Builder(base, rows, tensors.take).body(tied)
    projection = tensors.projection(base.hidden_size)
    tensors.finish()
    tokenizer = read_tokenizer(place)
    notes = read_notes(place.weights)
    config = codi_config(
        base,
        tokenizer,
        rows,
        latents=notes.latents if latents is None else latents,
        keep_eos=notes.keep_eos if keep_eos is None else keep_eos,
    )
    body, projection = reordered(body, projection)
    return CodiModel(
        name=place.name,
        source=place.source,
        sha256=identity_of(files.sha256, base, config, tokenizer, tensors.merged_with),
        weights_sha256=files.sha256,
        config=config,
        body=body,
        projection=projection,
        tokenizer=tokenizer,
        revision=place.revision,
        lora_alpha=tensors.merged_with,
    )


def reordered(body: Body, projection: Projection) -> tuple[Body, Projection]:
    """Weights that will not be trained, with a faster way for many rows where there is one."""
    faster = body.reordered()
    return (body, projection) if faster is body else (faster, projection.reordered())


def pick_device(device: str) -> torch.device:
    """The device of an option; auto is CUDA where there is one."""
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"unknown device '{device}'; choose auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device 'cuda' is not available here; choose auto or cpu")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The precision of an option; auto is bfloat16 on CUDA and float32 elsewhere."""
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype '{dtype}'; choose auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


def read_config(folder: Path) -> PretrainedConfig:
    """The base model's config, if its blocks can be computed."""
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder} has no readable config.json ({str(error).splitlines()[0]}); pass --base"
        ) from error
    check_base(config)
    return config


def read_tokenizer(place: Place) -> PreTrainedTokenizerBase:
    """The base model's tokenizer, as in the official evaluation, or one that knows BOT and EOT."""
    folder = place.weights if has_own_tokenizer(place.weights) else place.base
    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder} has no readable tokenizer ({str(error).splitlines()[0]}); pass --base"
        ) from error


def has_own_tokenizer(folder: Path) -> bool:
    """Whether a checkpoint brings a tokenizer with tokens for BOT and EOT."""
    return any(
        (folder / name).is_file() and BOT_TOKEN in (folder / name).read_text(errors="replace")
        for name in ("tokenizer.json", "tokenizer_config.json", "added_tokens.json")
    )


@dataclass(frozen=True, slots=True)
class Notes:
    """What `codi.json` may say beside the weights; the official layout has no such file."""

    latents: int = LATENTS
    keep_eos: bool = False


def read_notes(folder: Path) -> Notes:
    """The notes of a checkpoint, or the usual ones.

    Raises:
        UserError: for a file that says something else, or a number of latents out of range.
    """
    path = folder / "codi.json"
    if not path.is_file():
        return Notes()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        latents, keep_eos = found.get("latents", LATENTS), found.get("keep_eos", False)
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error}); correct or delete it") from error
    whole = type(latents) is int and 0 <= latents <= MOST_LATENTS
    if not whole or type(keep_eos) is not bool:
        raise UserError(
            f"{path} says latents {latents!r}, keep_eos {keep_eos!r}; they must be "
            f"0..{MOST_LATENTS} and true or false"
        )
    return Notes(latents, keep_eos)


def codi_config(
    base: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    rows: int,
    *,
    latents: int,
    keep_eos: bool,
) -> CodiConfig:
    """Sizes and token ids; pad, BOT and EOT follow the base vocabulary, unless they have names."""
    first = first_new_row(base.vocab_size, rows)
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer has no EOS token, where answers end; pass --base")
    if len(tokenizer) > rows:
        raise UserError(
            f"the tokenizer has {len(tokenizer)} tokens, the checkpoint embeds {rows}; "
            "give the base model this checkpoint was trained on"
        )
    vocabulary = tokenizer.get_vocab()
    return CodiConfig(
        family=base.model_type,
        **sizes_of(base),
        vocabulary=rows,
        latents=latents,
        eos=int(tokenizer.eos_token_id),  # pyright: ignore  (one id, not a list of them)
        pad=first,
        bot=vocabulary.get(BOT_TOKEN, first + 1),
        eot=vocabulary.get(EOT_TOKEN, first + 2),
        keep_eos=keep_eos,
    )


def first_new_row(vocabulary: int, rows: int) -> int:
    """The id of pad, V0: the base vocabulary, or what is left of it in a config that counts all.

    More rows than needed are fine (one published checkpoint has two more); they are not tokens.
    """
    if rows == vocabulary:
        return rows - NEW_TOKENS
    if rows < vocabulary + NEW_TOKENS:
        raise UserError(
            f"the checkpoint embeds {rows} tokens, the base config has {vocabulary} and CODI adds "
            f"{NEW_TOKENS}; give the base model this checkpoint was trained on"
        )
    return vocabulary
