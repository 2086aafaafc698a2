"""The version of the project, and of the libraries that decide what a model computes."""

import platform
from importlib.metadata import version

__version__ = "0.1.0"


def versions() -> dict[str, str]:
    """Versions by name, for the provenance of results."""
    return {
        "steer_core": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
