"""Published CODI checkpoints: repositories, pinned revisions, sizes and hashes of their weights."""

from __future__ import annotations

from dataclasses import dataclass

LLAMA_1B = ("meta-llama/Llama-3.2-1B-Instruct", "unsloth/Llama-3.2-1B-Instruct")
LLAMA_3B = ("meta-llama/Llama-3.2-3B-Instruct", "unsloth/Llama-3.2-3B-Instruct")
LLAMA_8B = ("meta-llama/Llama-3.1-8B-Instruct", "unsloth/Llama-3.1-8B-Instruct")
GPT2 = ("openai-community/gpt2",)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A published checkpoint.

    `bases` are tried in order for config and tokenizer: the first may be gated, the second is its
    ungated mirror. `revision` is the commit that is fetched; None where none is known, and then the
    commit that was fetched first stays. `size` (bytes) and `sha256` are those of its single weights
    file, where published; every other download is held to what the hub says of it.
    """

    repository: str
    bases: tuple[str, ...]
    layers: int
    hidden: int
    parameters: int
    revision: str | None = None
    size: int | None = None
    sha256: str | None = None


KNOWN = {
    "codi-gpt2": KnownModel(
        repository="zen-E/CODI-gpt2",
        bases=GPT2,
        layers=12,
        hidden=768,
        parameters=124_000_000,
        revision="fd641b3d3edc59e4f534b55588e906588c9e36bb",
        size=406_398_137,
        sha256="fd223b14932b8b66605c2a688e7d7193058ff2b40b2c6f6c1547c227d06d8417",
    ),
    "codi-llama-1b": KnownModel(
        repository="zen-E/CODI-llama3.2-1b-Instruct",
        bases=LLAMA_1B,
        layers=16,
        hidden=2048,
        parameters=1_240_000_000,
        revision="b2c88ba224b06b12b52ef39b87f794b98a6eb1c8",
        size=3_408_265_790,
        sha256="c6d4b4b096f03fafca18409a4a7535ac9539f558ed741b31878fecadb40ed23b",
    ),
    "simcot-gpt2": KnownModel(
        repository="internlm/SIM_COT-GPT2-CODI",
        bases=GPT2,
        layers=12,
        hidden=768,
        parameters=124_000_000,
    ),
    "simcot-llama-1b": KnownModel(
        repository="internlm/SIM_COT-LLaMA3-CODI-1B",
        bases=LLAMA_1B,
        layers=16,
        hidden=2048,
        parameters=1_240_000_000,
        revision="6e16fe4215025a9c48bc90d214c57349f247b017",
    ),
    "simcot-llama-3b": KnownModel(
        repository="internlm/SIM_COT-LLaMA3-CODI-3B",
        bases=LLAMA_3B,
        layers=28,
        hidden=3072,
        parameters=3_210_000_000,
    ),
    "simcot-llama-8b": KnownModel(
        repository="internlm/SIM_COT-LLaMA3-CODI-8B",
        bases=LLAMA_8B,
        layers=32,
        hidden=4096,
        parameters=8_030_000_000,
    ),
}
