"""The one place that knows about Hugging Face Spaces with a shared GPU (ZeroGPU).

There the GPU belongs to forked processes, one for each decorated function, which are reused while
they last. In this process CUDA is emulated, in the main thread alone: a model must never be loaded
here, for a page works in other threads, and nothing here could compute with it.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import wraps
from typing import Any

import gradio as gr

from steer_core.errors import UserError

try:  # must come before torch touches CUDA; app.py imports it first for the same reason
    import spaces  # pyright: ignore[reportMissingImports]
except ImportError:
    spaces = None

FORKS = spaces is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
"""Whether decorated functions run in another process, which sees no change made in this one.

Other Spaces have the package too, and there it decorates nothing.
"""

Work = Callable[..., Any]
"""A generator function."""


class Unavailable(UserError):
    """Trouble with the GPU and not with what was asked: another time it may go well."""


def gpu(duration: Callable[..., int]) -> Callable[[Work], Work]:
    """Return a decorator that asks ZeroGPU for a device while a generator function runs.

    Args:
        duration: from the arguments of a call to the seconds it may take at most.

    Anywhere else the function stays as it is. A `UserError` comes through as it is; what goes wrong
    with the GPU itself (no quota left, a process that was ended) is `Unavailable`.
    """

    def decorate(function: Work) -> Work:
        if spaces is None or not FORKS:
            return function
        return received(spaces.GPU(duration=duration)(sent(function)))

    return decorate


def sent(function: Work) -> Work:
    """In the forked process: hand a `UserError` over like a result, for of others the name stays.

    So the process also lives on, with the model that it has loaded.
    """

    @wraps(function)
    def results(*args: Any) -> Iterator[Any]:
        try:
            yield from function(*args)
        except UserError as error:
            yield error

    return results


def received(function: Work) -> Work:
    """In this process: raise what was handed over."""

    @wraps(function)
    def results(*args: Any) -> Iterator[Any]:
        try:
            with closing(function(*args)) as found:
                for result in found:
                    if isinstance(result, UserError):
                        raise result
                    yield result
        except gr.Error as error:
            words = re.sub("<[^>]*>", "", str(error.message))  # some hold a link
            raise Unavailable(f"{error.title}: {' '.join(words.split())}") from error

    return results
