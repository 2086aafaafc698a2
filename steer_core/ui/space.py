"""The one place that knows about Hugging Face Spaces with a shared GPU (ZeroGPU)."""

from collections.abc import Callable
from typing import Any

try:  # must come before torch touches CUDA; app.py imports it first for the same reason
    import spaces
except ImportError:
    spaces = None


def gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """Ask ZeroGPU for a device while `function` runs; the same function anywhere else."""
    return function if spaces is None else spaces.GPU(duration=60)(function)
