"""A run that an earlier version stored, with its model: what it holds must stay readable.

`data/stored_run.zip` holds `model` (random weights, 2 blocks of 16), `pairs.json`, the folder `run`
as `prepare`, `directions` and `sweep --out` left it, and `rows.csv` as `export-results` wrote it.
It is never written again: a version that cannot read it cannot read what its users have.
"""

from __future__ import annotations

import shutil
from pathlib import Path

DATA = Path(__file__).parent / "data"
SWEEP = (
    *("sweep", "--model", "model", "--split", "run", "--layers", "1,2", "--alphas=-4,0,4"),
    *("--controls", "random=2,shuffled=1", "--max-new-tokens", "8", "--out", "run"),
)
"""The command that made the run, to be given in the folder of `unpack`."""


def unpack(folder: Path) -> Path:
    """The stored run in a folder that exists; returns the folder with `model` and `run`."""
    shutil.unpack_archive(DATA / "stored_run.zip", folder)
    return folder / "stored_run"
