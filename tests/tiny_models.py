"""Tiny random models for tests of what happens around the decoder, and problems to ask them."""

from dataclasses import replace
from pathlib import Path

import torch
from tiny_checkpoints import VARIANTS, Recipe, build
from torch import Tensor

from steer_core import decode, load_model
from steer_core.codi.head import Head
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair, Problem
from steer_core.steering.directions import Direction

PLACES = (("residual", 1), ("residual", 2), ("residual", 3), ("thought", None), ("embedding", None))
QUESTIONS = tuple(
    f"{name} has {a} pens and buys {b} more. How many?"
    for name in ("Tom", "Ann")
    for a in (2, 4, 7)
    for b in (1, 5)
)


def tiny_model(folder: Path, recipe: str | Recipe = "llama-bin", **options) -> CodiModel:
    """L = 3, D = 32, K = 6. Its answers are mostly digits, so that edits change numbers."""
    tiny = build(folder, VARIANTS[recipe] if isinstance(recipe, str) else recipe)
    options = {"device": "cpu", "dtype": "float32", **tiny.options, **options}
    model = load_model(str(tiny.path), **options)
    head = model.body.head.weight.clone()
    for piece, index in model.tokenizer.get_vocab().items():
        if piece.strip("Ġ").isdigit():
            head[index] *= 1.6
    return replace(model, body=replace(model.body, head=Head(head)))


def noise(model: CodiModel, seed: int = 0, size: float = 1.0) -> Tensor:
    """A random direction [K+1, D]."""
    shape = (model.config.latents + 1, model.config.hidden)
    return size * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def direction(model: CodiModel, site: str = "residual", layer: int | None = 2) -> Direction:
    """The same, as a direction of unknown origin."""
    return Direction(noise(model), "noise", site, layer)


def problems(model: CodiModel, limit: int = 256) -> list[Problem]:
    """Problems of which the unedited model answers every other one right."""
    rows = decode(model, QUESTIONS, max_new_tokens=limit)
    golds = [row.answer if i % 2 else -1 for i, row in enumerate(rows)]
    return [
        Problem(q, -1 if gold is None else gold) for q, gold in zip(QUESTIONS, golds, strict=True)
    ]


def pairs(model: CodiModel, limit: int = 256) -> list[Pair]:
    """The same as clean twins."""
    return [Pair(i, problem, problem) for i, problem in enumerate(problems(model, limit))]
