"""Load and decode at the size of the published checkpoints: `python -m benchmarks.real_size`.

Writes a checkpoint of random weights in the official layout (bfloat16 base, float32 LoRA of rank
128 and projection, the head stored beside the tied embedding, as published), loads it in a fresh
process and decodes a few questions. Prints a table, then one JSON line.
"""

import argparse
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig

from steer_core.bench.shapes import SHAPES, word_tokenizer
from steer_core.data.pairs import load_pairs

RANK = 128
ADAPTED = ("c_attn", "c_proj", "c_fc", *(f"{x}_proj" for x in "q k v o gate up down".split()))


def main() -> int:
    """Write, load, decode, print."""
    options = parse()
    folder = options.dir / options.shape
    if not (folder / "checkpoint" / "pytorch_model.bin").is_file():
        write(folder, SHAPES[options.shape])
    arguments = (folder, options.device, options.dtype, options.questions, options.max_new_tokens)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        result = {"shape": options.shape} | pool.submit(measure, *arguments).result()
    if not options.keep:
        shutil.rmtree(folder)
    print(*(f"{name:24} {value}" for name, value in result.items()), sep="\n")
    print(json.dumps(result))
    return 0


def parse() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=list(SHAPES), default="gpt2")
    parser.add_argument("--dir", type=Path, default=Path("runs/real_size"), help="where it writes")
    parser.add_argument("--keep", action="store_true", help="keep the files for another run")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=16)
    return parser.parse_args()


def write(folder: Path, config: PretrainedConfig) -> None:
    """A base folder (config, tokenizer) and a checkpoint folder (weights only)."""
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder / "base")
    word_tokenizer().save_pretrained(folder / "base")
    torch.save(dict(tensors(config)), folder / "checkpoint" / "pytorch_model.bin")


def tensors(config: PretrainedConfig) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a checkpoint under its official name."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        model.resize_token_embeddings(config.vocab_size + 3, mean_resizing=False)
    for name, like in model.state_dict().items():
        module, _, kind = name.rpartition(".")
        adapted = module.rpartition(".")[2] in ADAPTED
        raw = f"codi.base_model.model.{module}{'.base_layer' * adapted}.{kind}"
        yield raw, noise(like.shape, generator).bfloat16()
        if adapted and kind == "weight":
            outs, ins = like.shape if "_proj" in name and "c_" not in name else like.shape[::-1]
            yield raw.replace("base_layer", "lora_A.default"), noise((RANK, ins), generator)
            yield raw.replace("base_layer", "lora_B.default"), noise((outs, RANK), generator)
    size = config.hidden_size
    for number in (1, 3):
        yield f"prj.{number}.weight", noise((size, size), generator)
        yield f"prj.{number}.bias", torch.zeros(size)
    yield "prj.ln.weight", torch.full((size,), 0.02)
    yield "prj.ln.bias", torch.zeros(size)
    if config.model_type == "llama":  # a head that nothing uses, as in the published one
        yield "dynamic_cls.0.weight", noise((size, size), generator)


def noise(shape: tuple[int, ...] | torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Small numbers; vectors, which belong to norms, around one."""
    values = torch.randn(shape, generator=generator) * 0.02
    return values + 1.0 if len(shape) == 1 else values


def measure(folder: Path, device: str, dtype: str, questions: int, limit: int) -> dict:
    """Load and decode in this process, which has done nothing else."""
    from steer_core.codi.load import load_model
    from steer_core.steering.decode import decode

    checkpoint = folder / "checkpoint"
    size = (checkpoint / "pytorch_model.bin").stat().st_size
    before = memory("VmRSS")
    with PeakOwnMemory() as own:
        start = time.perf_counter()
        model = load_model(checkpoint, base=folder / "base", device=device, dtype=dtype)
        load_s = time.perf_counter() - start
    peak = memory("VmHWM") - before
    asked = [pair.clean.question for pair in load_pairs("test")[:questions]]
    start = time.perf_counter()
    decode(model, asked[:1], max_new_tokens=limit)
    one_s = time.perf_counter() - start
    start = time.perf_counter()
    rows = decode(model, asked, max_new_tokens=limit)
    batch_s = time.perf_counter() - start
    return {
        "device": str(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "checkpoint_bytes": size,
        "load_s": round(load_s, 2),
        "load_peak_bytes": peak,
        "load_peak_ratio": round(peak / size, 3),
        "load_peak_own_ratio": round(own.peak / size, 3),
        "one_question_s": round(one_s, 2),
        "questions": len(rows),
        "questions_s": round(batch_s, 2),
        "prompt_tokens": max(row.prompt_tokens for row in rows),
        "new_tokens": limit,
        "peak_memory_bytes": memory("VmHWM"),
    }


def memory(name: str) -> int:
    """A line of the process's status in bytes: VmRSS, VmHWM (its peak), RssAnon (without files)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"this system does not tell {name}; run it on Linux")


class PeakOwnMemory:
    """Watches the peak of the process's own memory, without pages of mapped files, in bytes."""

    def __enter__(self) -> "PeakOwnMemory":
        self.start, self.peak, self.over = memory("RssAnon"), 0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def watch(self) -> None:
        """Look every few milliseconds."""
        while not self.over.wait(0.005):
            self.peak = max(self.peak, memory("RssAnon") - self.start)

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    raise SystemExit(main())
