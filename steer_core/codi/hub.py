"""Checkpoints on the Hugging Face hub: known names, pinned revisions, verified downloads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

from steer_core.codi.files import digest
from steer_core.errors import UserError

WEIGHTS = ("*.safetensors", "*.bin", "*.index.json", "*.json", "tokenizer*")
BASE_FILES = ("config.json", "tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json")
LLAMA_1B = ("meta-llama/Llama-3.2-1B-Instruct", "unsloth/Llama-3.2-1B-Instruct")
LLAMA_3B = ("meta-llama/Llama-3.2-3B-Instruct", "unsloth/Llama-3.2-3B-Instruct")
LLAMA_8B = ("meta-llama/Llama-3.1-8B-Instruct", "unsloth/Meta-Llama-3.1-8B-Instruct")
GPT2 = ("openai-community/gpt2",)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A published checkpoint: repository, pinned revision, weights file with its sha256, bases.

    `bases` are tried in order: the first may be gated, the second is an ungated mirror.
    """

    repository: str
    bases: tuple[str, ...]
    layers: int
    hidden: int
    parameters: int
    revision: str | None = None
    file: str = "model.safetensors"
    sha256: str | None = None


KNOWN = {
    "codi-gpt2": KnownModel(
        "zen-E/CODI-gpt2",
        GPT2,
        12,
        768,
        124_000_000,
        "fd641b3d3edc59e4f534b55588e906588c9e36bb",
        "pytorch_model.bin",
        "fd223b14932b8b66605c2a688e7d7193058ff2b40b2c6f6c1547c227d06d8417",
    ),
    "codi-llama-1b": KnownModel(
        "zen-E/CODI-llama3.2-1b-Instruct",
        LLAMA_1B,
        16,
        2048,
        1_240_000_000,
        "b2c88ba224b06b12b52ef39b87f794b98a6eb1c8",
        "pytorch_model.bin",
        "c6d4b4b096f03fafca18409a4a7535ac9539f558ed741b31878fecadb40ed23b",
    ),
    "simcot-gpt2": KnownModel(
        "internlm/SIM_COT-GPT2-CODI",
        GPT2,
        12,
        768,
        124_000_000,
        file="model-00001-of-00001.safetensors",
    ),
    "simcot-llama-1b": KnownModel(
        "internlm/SIM_COT-LLaMA3-CODI-1B",
        LLAMA_1B,
        16,
        2048,
        1_240_000_000,
        "6e16fe4215025a9c48bc90d214c57349f247b017",
    ),
    "simcot-llama-3b": KnownModel(
        "internlm/SIM_COT-LLaMA3-CODI-3B", LLAMA_3B, 28, 3072, 3_210_000_000
    ),
    "simcot-llama-8b": KnownModel(
        "internlm/SIM_COT-LLaMA3-CODI-8B", LLAMA_8B, 32, 4096, 8_030_000_000
    ),
}


def fetch_model(name: str, known: tuple[str, ...] = ()) -> tuple[Path, Path, str | None]:
    """Folder of the weights, folder of the base and revision of a known name or `owner/name`."""
    entry = KNOWN.get(name)
    if (entry is None and name.count("/") != 1) or name.startswith((".", "/")):
        names = ", ".join((*known, *KNOWN))
        raise UserError(
            f"unknown model '{name}'; choose one of {names}, a hub repository owner/name, "
            "or the folder of a checkpoint"
        )
    if entry is None:
        folder = fetch(name, None, WEIGHTS)
        return folder, folder, folder.name
    folder = fetch(entry.repository, entry.revision, WEIGHTS)
    verify(folder / entry.file, entry.sha256)
    return folder, first_base(entry.bases), entry.revision


def first_base(bases: tuple[str, ...]) -> Path:
    """The first base model whose config and tokenizer can be had."""
    tried = []
    for base in bases:
        try:
            return fetch_base(base)
        except UserError as error:
            tried.append(str(error))
    raise UserError(tried[-1])


def fetch_base(repository: str) -> Path:
    """Config and tokenizer of a base model."""
    return fetch(repository, None, BASE_FILES)


def fetch(repository: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """The files of a repository: from the cache, else downloaded (resumable, with progress)."""
    try:
        return Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=list(patterns), local_files_only=True
            )
        )
    except LocalEntryNotFoundError:
        pass  # not in the cache: the network is next
    try:
        hf_hub_download(repository, "config.json", revision=revision, etag_timeout=5)
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns)))
    except GatedRepoError as error:
        raise UserError(
            f"{repository} is gated; set HF_TOKEN to a token with access, "
            "or pass --base with a local folder"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:120] if str(error) else type(error).__name__
        raise UserError(
            f"{repository} could not be fetched from {os.environ.get('HF_ENDPOINT', 'the hub')} "
            f"({reason}); pass a local folder of it instead"
        ) from error


def verify(path: Path, sha256: str | None) -> None:
    """Compare a downloaded file with its published hash, once."""
    mark = Path(f"{path}.verified")
    if sha256 is None or (mark.is_file() and mark.read_text() == sha256):
        return
    found = digest(path)
    if found != sha256:
        raise UserError(
            f"{path} has sha256 {found[:12]}..., published is {sha256[:12]}...; "
            "delete it and try again"
        )
    mark.write_text(sha256)


def is_cached(known: KnownModel) -> bool:
    """Whether a known checkpoint's weights are on this machine."""
    found = try_to_load_from_cache(known.repository, known.file, revision=known.revision)
    return isinstance(found, str)
