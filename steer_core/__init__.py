"""Steered latent decoding of CODI models, and what can be trusted about it.

from steer_core import Edit, decode, load_model, load_pairs, sweep

model = load_model("tiny-llama")
table = sweep(model, load_pairs("test"), layers=[2])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import steer_core.process  # noqa: F401  (before torch)
from steer_core.errors import UserError
from steer_core.version import __version__

if TYPE_CHECKING:
    from steer_core.codi.load import load_model
    from steer_core.data.pairs import load_pairs
    from steer_core.inspect.attention import attention
    from steer_core.inspect.early import early_answers
    from steer_core.inspect.effects import effect_map, flip_distance
    from steer_core.inspect.lens import lens
    from steer_core.inspect.paths import paths
    from steer_core.inspect.probes import probe
    from steer_core.inspect.swap import swap
    from steer_core.inspect.trace import trace
    from steer_core.pipeline.directions import directions
    from steer_core.pipeline.sweep import sweep
    from steer_core.steering.decode import decode
    from steer_core.steering.edits import Edit

_LAZY = {
    "attention": "steer_core.inspect.attention",
    "early_answers": "steer_core.inspect.early",
    "effect_map": "steer_core.inspect.effects",
    "flip_distance": "steer_core.inspect.effects",
    "lens": "steer_core.inspect.lens",
    "paths": "steer_core.inspect.paths",
    "probe": "steer_core.inspect.probes",
    "swap": "steer_core.inspect.swap",
    "trace": "steer_core.inspect.trace",
    "Edit": "steer_core.steering.edits",
    "decode": "steer_core.steering.decode",
    "directions": "steer_core.pipeline.directions",
    "load_model": "steer_core.codi.load",
    "load_pairs": "steer_core.data.pairs",
    "sweep": "steer_core.pipeline.sweep",
}
__all__ = [
    "Edit",
    "UserError",
    "__version__",
    "attention",
    "decode",
    "directions",
    "early_answers",
    "effect_map",
    "flip_distance",
    "lens",
    "load_model",
    "load_pairs",
    "paths",
    "probe",
    "swap",
    "sweep",
    "trace",
]


def __getattr__(name: str) -> Any:
    # torch and transformers take seconds to import; `pairs --help` needs neither.
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'steer_core' has no attribute '{name}'")
