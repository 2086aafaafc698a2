"""How many rows fit: bytes a row needs, and bytes that are free."""

from __future__ import annotations

import os

import torch

from steer_core.codi.model import CodiModel

CPU_ROWS = 1024
"""On a CPU larger batches gain nothing, and results should arrive often."""
SHARE = 0.6
"""Share of the free memory that one batch may take."""


def bytes_per_row(model: CodiModel, prompt: int, hidden: bool, first_logits: bool) -> int:
    """Peak bytes of one row whose question has `prompt` tokens, if no other row shares it."""
    config = model.config
    item = model.body.tokens.element_size()
    kept = prompt + 2 * (config.latents + 20)
    cache = 2 * config.layers * config.kv_heads * config.head_dim * kept * item
    attention = 3 * config.heads * (prompt + config.latents + 20) * 4
    logits = 2 * config.vocabulary * 4 * (1 + first_logits)
    states = 12 * config.hidden * item
    if hidden:
        states += 2 * (config.latents + 1) * (config.layers + 1) * config.hidden * 4
    return cache + attention + logits + states


def rows_that_fit(model: CodiModel, prompt: int, hidden: bool, first_logits: bool) -> int:
    """Rows of one batch, at least 1."""
    each = bytes_per_row(model, prompt, hidden, first_logits)
    rows = max(1, int(free_bytes(model.device) * SHARE) // each)
    return min(rows, CPU_ROWS) if model.device.type == "cpu" else rows


def free_bytes(device: torch.device) -> int:
    """Free memory of a device, in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
