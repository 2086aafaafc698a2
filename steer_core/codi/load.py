"""Names and folders to models: `load_model` and `list_models`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase

from steer_core.codi import hub
from steer_core.codi.checkpoint import CheckpointTensors
from steer_core.codi.config import CodiConfig, family_of, sizes_of
from steer_core.codi.files import WeightFiles
from steer_core.codi.layout import NAMES, Builder
from steer_core.codi.model import CodiModel
from steer_core.errors import UserError

MODELS_DIR = Path(__file__).parents[2] / "assets" / "models"
LATENTS = 6
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model that can be named; `available` means without a network."""

    name: str
    source: str
    layers: int
    hidden: int
    latents: int
    parameters: int
    available: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model's files are: its weights, and its config and tokenizer."""

    name: str
    source: str
    weights: Path
    base: Path
    revision: str | None = None


def load_model(
    name_or_path: str | Path,
    *,
    base: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    lora_alpha: float | None = None,
    keep_eos: bool | None = None,
    latents: int | None = None,
) -> CodiModel:
    """Load a CODI model.

    Args:
        name_or_path: A bundled or known name, a hub repository, or a folder in the official layout.
        base: Folder (or hub repository) with config and tokenizer, where the folder has none.
        device: auto, cpu or cuda.
        dtype: auto, float32, bfloat16 or float16; auto is float32 on a CPU, bfloat16 on CUDA.
        lora_alpha: LoRA's scale numerator; 32 for rank 128 when not given.
        keep_eos: The model was trained with CODI's `remove_eos` off.
        latents: K; what the folder says, or 6.

    Returns:
        The model, LoRA merged, in evaluation mode (nothing in it is random).

    Raises:
        UserError: for an unknown name, files that do not fit, or a device that is not there.
    """
    where = pick_device(device)
    precision = pick_dtype(dtype, where)
    place = locate(str(name_or_path), base)
    files = WeightFiles(place.weights)
    tensors = CheckpointTensors(files, precision, where, lora_alpha)
    base_config = read_config(place.base)
    tokens = NAMES[family_of(base_config)].tokens
    tied = bool(base_config.tie_word_embeddings)
    if tied:
        tensors.tie(tokens)
    rows = tensors.rows(tokens) if tokens in tensors else base_config.vocab_size
    body = Builder(base_config, rows, tensors.take).body(tied)
    projection = tensors.projection(base_config.hidden_size)
    tensors.finish()
    tokenizer = read_tokenizer(place)
    notes = read_notes(place.weights)
    config = codi_config(
        base_config,
        tokenizer,
        rows,
        latents=notes.get("latents", LATENTS) if latents is None else latents,
        keep_eos=notes.get("keep_eos", False) if keep_eos is None else keep_eos,
    )
    return CodiModel(
        name=place.name,
        source=place.source,
        sha256=files.sha256,
        config=config,
        body=body,
        projection=projection,
        tokenizer=tokenizer,
        revision=place.revision,
    )


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


def locate(name: str, base: str | Path | None) -> Place:
    """The files of a model: bundled, in a folder, or on the hub."""
    if name in bundled_names():
        folder, source, revision = MODELS_DIR / name, "bundled", None
    elif Path(name).is_dir():
        folder, source, revision = Path(name), "local", None
    else:
        folder, default, revision = hub.fetch_model(name, known=bundled_names())
        source, base = "hub", base or default
    return Place(name, source, folder, base_folder(folder, base), revision)


def base_folder(folder: Path, base: str | Path | None) -> Path:
    """Where config and tokenizer are."""
    if base is None:
        if (folder / "config.json").is_file() and (folder / "tokenizer_config.json").is_file():
            return folder
        raise UserError(
            f"{folder} holds no config and tokenizer; pass --base with the folder of the base model"
        )
    return Path(base) if Path(base).is_dir() else hub.fetch_base(str(base))


def read_config(folder: Path) -> PretrainedConfig:
    """The base model's config."""
    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder} has no readable config.json ({str(error).splitlines()[0]}); pass --base"
        ) from error


def read_tokenizer(place: Place) -> PreTrainedTokenizerBase:
    """The checkpoint's own tokenizer where it brings one, else the base model's."""
    own = (place.weights / "tokenizer_config.json").is_file()
    folder = place.weights if own else place.base
    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder} has no readable tokenizer ({str(error).splitlines()[0]}); pass --base"
        ) from error


def read_notes(folder: Path) -> dict:
    """What `codi.json` says beside the weights; the official layout has no such file."""
    path = folder / "codi.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def codi_config(
    base: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    rows: int,
    *,
    latents: int,
    keep_eos: bool,
) -> CodiConfig:
    """Sizes and token ids; pad, BOT and EOT follow the base vocabulary, unless they have names."""
    if not 0 <= latents <= 64:
        raise UserError(f"{latents} latents are out of range; choose 0..64 (CODI trains with 6)")
    first = base.vocab_size if rows > base.vocab_size else rows - 3
    vocabulary = tokenizer.get_vocab()
    return CodiConfig(
        family=base.model_type,
        **sizes_of(base),
        vocabulary=rows,
        latents=latents,
        eos=tokenizer.eos_token_id,
        pad=first,
        bot=vocabulary.get("<|bocot|>", first + 1),
        eot=vocabulary.get("<|eocot|>", first + 2),
        keep_eos=keep_eos,
    )


def bundled_names() -> tuple[str, ...]:
    """Names of the models that come in the box."""
    return tuple(sorted(path.parent.name for path in MODELS_DIR.glob("*/model.safetensors")))


def list_models() -> list[ModelInfo]:
    """Every model that has a name: the bundled ones, then the known checkpoints."""
    return [bundled_info(name) for name in bundled_names()] + [
        ModelInfo(
            name=name,
            source="hub",
            layers=known.layers,
            hidden=known.hidden,
            latents=LATENTS,
            parameters=known.parameters,
            available=hub.is_cached(known),
        )
        for name, known in hub.KNOWN.items()
    ]


def bundled_info(name: str) -> ModelInfo:
    """Sizes of a bundled model, read from its files without loading them."""
    folder = MODELS_DIR / name
    sizes = sizes_of(read_config(folder))
    with safe_open(folder / "model.safetensors", "pt") as file:
        names = list(file.keys())
        shapes = [file.get_slice(name).get_shape() for name in names]
    return ModelInfo(
        name=name,
        source="bundled",
        layers=sizes["layers"],
        hidden=sizes["hidden"],
        latents=read_notes(folder).get("latents", LATENTS),
        parameters=sum(torch.Size(shape).numel() for shape in shapes),
        available=True,
    )
