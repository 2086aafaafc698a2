"""How many rows fit: bytes a row needs, and bytes that are free."""

from __future__ import annotations

from pathlib import Path

import torch

from steer_core.codi.model import CodiModel

CPU_ROWS = 1024
"""On a CPU larger batches gain nothing, and results should arrive often."""
SHARE = 0.6
"""Share of the free memory that one batch may take."""
MEMINFO, AVAILABLE = Path("/proc/meminfo"), "MemAvailable:"
"""Linux's count of free memory, caches that can be dropped included."""
UNKNOWN = 2 * 1024**3
"""Bytes taken to be free where there is no such file, as on macOS."""


def bytes_per_row(model: CodiModel, prompt: int, hidden: bool, first_logits: bool) -> int:
    """Peak bytes of one row whose question has `prompt` tokens, if no other row shares it."""
    config = model.config
    item = model.body.tokens.element_size()
    # A mask and scores of every pair of tokens, and a block's packed activations.
    prefill = prompt * (prompt * (1 + 4 * config.heads) + 12 * config.hidden * item)
    kept = prompt + 2 * (config.latents + 20)
    cache = 2 * config.layers * config.kv_heads * config.head_dim * kept * item
    attention = 3 * config.heads * (prompt + config.latents + 20) * 4
    logits = 2 * config.vocabulary * 4 * (1 + first_logits)
    states = 12 * config.hidden * item
    if hidden:
        states += 2 * (config.latents + 1) * (config.layers + 1) * config.hidden * 4
    return prefill + cache + attention + logits + states


def rows_that_fit(
    model: CodiModel, prompt: int, hidden: bool, first_logits: bool, batches: int = 1
) -> int:
    """Rows of one of several batches that run at once, at least 1."""
    each = bytes_per_row(model, prompt, hidden, first_logits)
    rows = max(1, int(free_bytes(model.device) * SHARE) // each // batches)
    return min(rows, CPU_ROWS) if model.device.type == "cpu" else rows


def free_bytes(device: torch.device) -> int:
    """Free memory of a device, in bytes; a modest guess where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = MEMINFO.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(AVAILABLE))
    except (OSError, StopIteration):
        return UNKNOWN


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out; torch has no type of its own for a CPU's."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "DefaultCPUAllocator" in str(error)
