"""Forms of the second tab that ask for little, so that a whole experiment takes a second or two."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from steer_core.ui.engine import library
from steer_core.ui.experiments.desk import Desk
from steer_core.ui.handlers import Explorer
from steer_core.ui.options import Options

MODEL = "tiny-llama"
SMALL: dict[str, Any] = {
    "name": "small",
    "pairs": "test",
    "own": None,
    "most": 30,
    "size": "quick",
    "necessity": "zeros",
    "filter": "none",
    "fractions": "0.5, 0, 0.5",
    "balanced": True,
    "site": "residual",
    "layers": [2],
    "positions": [1, 2, 3, 4, 5, 6],
    "alphas": "-2,2",
    "unit": "raw",
    "random": 1,
    "shuffled": 1,
    "covariance": 0,
    "nuisance": 0,
    "most_controls": 0,
    "seed": 0,
}
LONG = {**SMALL, "name": "long", "most": 0, "random": 60, "shuffled": 60, "alphas": "-3:3:0.5"}
"""Minutes of work, to be stopped."""


@cache
def explorer() -> Explorer:
    """The real engine on the bundled model, loaded once for all tests."""
    return Explorer(library(Options(device="cpu", dtype="float32")), MODEL, settle_seconds=0.0)


def desk(folder: Path) -> Desk:
    """The tab's handlers over a folder of experiments."""
    return Desk(explorer(), folder)
