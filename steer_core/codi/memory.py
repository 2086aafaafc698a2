"""How many rows fit: bytes a row needs, and bytes that are free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from steer_core.codi.answer import CHOICES_AT_A_TIME, LOGITS_AT_A_TIME, NODES_AT_A_TIME
from steer_core.codi.body import TOKENS_AT_A_TIME
from steer_core.codi.head import VOCABULARY_AT_A_TIME
from steer_core.codi.model import CodiModel
from steer_core.codi.recording import idle_in_pool
from steer_core.codi.reordered import Reordered
from steer_core.codi.session import BUDGET
from steer_core.codi.tensors import leaves, tensors_of

CPU_ROWS = 1024
"""On a CPU larger batches gain nothing, and results should arrive often."""
TREE = 10
"""Nodes of a drafted answer, about."""
ANSWER = 16
"""Answer positions of a row, drafted ones that were not taken counted, about."""
SHARE = 0.6
"""Share of the free memory that one batch may take."""
MEMINFO, AVAILABLE = Path("/proc/meminfo"), "MemAvailable:"
"""Linux's count of free memory, caches that can be dropped included."""
MANY = 2**30
"""Questions, where nobody counted them."""
UNKNOWN = 2 * 1024**3
"""Bytes taken to be free where there is no such file, as on macOS."""


def bytes_per_row(
    model: CodiModel, prompt: int, hidden: bool, first_logits: bool, sharing: float = 1.0
) -> int:
    """Peak bytes of one row whose question has `prompt` tokens, shared by `sharing` rows."""
    config = model.config
    item = model.body.tokens.element_size()
    own = config.latents + 2 + ANSWER
    # A prefix is laid side by side and joined with its first positions; a row's own positions are
    # copied when ended rows leave, and may outgrow their room.
    cache = 2 * (own + prompt / sharing) * prefix_bytes(model)
    # The nodes of a drafted answer go through a block at once.
    wide = TREE * 12 * config.hidden * item
    attention = TREE * 3 * config.heads * (prompt + own) * 4
    states = 0
    if hidden:
        states = 2 * (config.latents + 1) * (config.layers + 2) * config.hidden * 4
    logits = 2 * config.vocabulary * 4 * first_logits
    return int(cache + wide + attention + states + logits)


def fixed_bytes(model: CodiModel, prompt: int, questions: int = MANY) -> int:
    """Peak bytes of a batch whatever its rows: reading some questions, and logits."""
    config, kind = model.config, model.device.type
    item = model.body.tokens.element_size()
    tokens = max(prompt, min(questions * prompt, TOKENS_AT_A_TIME[kind]))
    reading = tokens * (prompt * (1 + 4 * config.heads) + 12 * config.hidden * item)
    reading += 3 * tokens * prefix_bytes(model)  # as they come, side by side, question by question
    return reading + 12 * max(LOGITS_AT_A_TIME[kind], *logits_at_once(config.vocabulary))


def logits_at_once(vocabulary: int) -> tuple[int, int]:
    """Of nodes that are scored, and of nodes where a token is chosen."""
    chosen = CHOICES_AT_A_TIME * min(vocabulary, VOCABULARY_AT_A_TIME)
    return NODES_AT_A_TIME * vocabulary, chosen


def rows_that_fit(
    model: CodiModel,
    prompt: int,
    hidden: bool,
    first_logits: bool,
    batches: int = 1,
    sharing: float = 1.0,
    questions: int = MANY,
) -> int:
    """Rows of one of several batches that run at once, at least 1; see `bytes_per_row`."""
    each = bytes_per_row(model, prompt, hidden, first_logits, sharing)
    fixed = fixed_bytes(model, prompt, questions)
    free = int(free_bytes(model.device) * SHARE) // batches - fixed
    rows = max(1, free // each)
    return min(rows, CPU_ROWS) if model.device.type == "cpu" else rows


def predicted_peak(
    model: CodiModel, prompts: Sequence[int], rows: int, cap: int, batches: int = 1
) -> int:
    """Most bytes that decoding a grid takes, weights counted.

    Args:
        model: The model.
        prompts: Tokens of every question.
        rows: Rows of the whole grid.
        cap: Rows of one batch.
        batches: Batches that run beside each other.
    """
    longest = max(prompts, default=0)
    each = bytes_per_row(model, longest, False, False, max(1.0, rows / max(1, len(prompts))))
    remembered = min(BUDGET, sum(prompts) * prefix_bytes(model))
    some = batches * (min(rows, cap) * each + fixed_bytes(model, longest, len(prompts)))
    return weight_bytes(model) + remembered + some


def prefix_bytes(model: CodiModel) -> int:
    """Bytes of one token's keys and values in all blocks."""
    config = model.config
    return 2 * config.layers * config.kv_heads * config.head_dim * model.body.tokens.element_size()


def weight_bytes(model: CodiModel) -> int:
    """Bytes of the model's tensors, each counted once, and of what is kept in another order."""
    parts = model.body, model.projection
    tensors = {tensor.data_ptr(): tensor.nbytes for _, tensor in tensors_of(parts)}
    copies = (leaf.nbytes for _, leaf in leaves(parts) if isinstance(leaf, Reordered))
    return sum(tensors.values()) + sum(copies)


def free_bytes(device: torch.device) -> int:
    """Free memory of a device, in bytes; a modest guess where the system does not say."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + max(0, cached - idle_in_pool(device))
    try:
        lines = MEMINFO.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(AVAILABLE))
    except (OSError, StopIteration):
        return UNKNOWN
