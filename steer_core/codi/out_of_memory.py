"""What an error looks like that says that memory ran out."""

from __future__ import annotations

import torch

OTHER_WORDS = ("DefaultCPUAllocator", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""How memory that ran out shows in errors that are no `torch.OutOfMemoryError`."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out; torch has no type of its own for a CPU's."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(words in str(error) for words in OTHER_WORDS)
