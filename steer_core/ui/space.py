"""The one place that knows about Hugging Face Spaces with a shared GPU (ZeroGPU)."""

from collections.abc import Callable
from typing import Any

try:  # must come before torch touches CUDA; app.py imports it first for the same reason
    import spaces  # pyright: ignore[reportMissingImports]
except ImportError:
    spaces = None


FORKS = spaces is not None
"""Whether decorated functions may run in another process, which sees no change made in this one."""


def gpu(duration: Callable[..., int]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that asks ZeroGPU for a device while a function runs.

    Args:
        duration: from the arguments of a call to the seconds it may take at most.

    Anywhere else the function stays as it is.
    """
    return (lambda function: function) if spaces is None else spaces.GPU(duration=duration)
