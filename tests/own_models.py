"""A model that nobody knows, and the fit set that its directions come from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from slow_models import MODELS

from steer_core.steering import kept


def changed_model(folder: Path) -> str:
    """A folder with a model that gets some answers right: one in the box, changed a little.

    It is called as that one is, whose directions are not its own.
    """
    path = folder / "tiny-llama"
    shutil.copytree(MODELS / "tiny-llama", path)
    weights = load_file(path / "model.safetensors")
    name = next(name for name in weights if "mlp.down_proj" in name)
    weights[name] = weights[name] * 1.01
    save_file(weights, path / "model.safetensors")
    return str(path)


def few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute directions from 40 pairs instead of 480."""
    whole = kept.bundled_fit_problems()
    monkeypatch.setattr(kept, "bundled_fit_problems", lambda: whole[:80])
