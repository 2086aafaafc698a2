"""Where the files in the box lie: models, pairs and directions.

In a clone they are the top-level folders beside the package; a wheel holds the same folders inside
it, so that an installed package needs no clone. Nothing is ever written there by a command unless
it is told to.
"""

from pathlib import Path

PACKAGE = Path(__file__).parent
INSIDE = PACKAGE / "box"
"""The box of an installed package; pyproject.toml maps the top-level folders to it."""
BOX = INSIDE if INSIDE.is_dir() else PACKAGE.parent
MODELS_DIR = BOX / "assets" / "models"
PAIRS_DIR = BOX / "assets" / "pairs"
DIRECTIONS_DIR = BOX / "cached_directions"
"""Mean differences of the models in the box."""
RUNS_DIR = Path("runs") if INSIDE.is_dir() else PACKAGE.parent / "runs"
"""Where the page keeps experiments when nothing else is said: beside app.py, or, installed, in the
folder that it is started from."""
