"""The work of a run, cut into units: sets of rows that do not depend on what is stored already.

A unit is decoded and stored as a whole, so a run that was killed goes on with the very batches that
it would have had, as far as memory allows, and ends with the same bits where it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from steer_core.codi.model import CodiModel
from steer_core.pipeline.records import RunPlan

BASELINES = 32
"""Questions whose unedited rows are decoded together, at least."""
FEWEST, MOST = 24, 4096
WEIGHTS_PER_UNIT = {"cpu": 2.5e10, "cuda": 4e12}
"""Rows of a unit times weights of the model: what two cores, or a GPU, decode in seconds."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the n distinct questions and the cells of a run are cut.

    `groups`: indices of questions whose baselines are decoded together, each a tuple of chunks of
    questions that are edited together; `blocks`: indices of cells that are decoded together, all of
    one layer. A unit is a chunk with a block.
    """

    groups: tuple[tuple[tuple[int, ...], ...], ...]
    blocks: tuple[tuple[int, ...], ...]


def layout_of(plan: RunPlan, questions: int, rows: int) -> Layout:
    """Cut a run into units of about `rows` rows.

    Questions come in an order of their own, each with all its cells, so that what is stored is at
    any time a random sample of the whole.
    """
    blocks = tuple(blocks_of(plan, rows))
    order = np.random.default_rng(plan.spec.seed).permutation(questions).tolist()
    chunk = max(1, rows // max(map(len, blocks), default=1))
    chunks = [tuple(part) for part in cut(order, chunk)]
    several = max(1, BASELINES // chunk)
    return Layout(tuple(tuple(part) for part in cut(chunks, several)), blocks)


def blocks_of(plan: RunPlan, rows: int) -> Iterator[tuple[int, ...]]:
    """Cells by layer, in parts of like size with at most `rows` cells.

    The baseline is in none, and an edit that comes under two labels in one.
    """
    first = {edit: i for i, (_, edit) in reversed(list(enumerate(plan.cells)))}
    steered = sorted((i, edit.layer) for edit, i in first.items() if i)
    for _, several in groupby(steered, key=lambda cell: cell[1]):
        cells = [i for i, _ in several]
        parts = -(-len(cells) // rows)
        yield from (tuple(part) for part in cut(cells, -(-len(cells) // parts)))


def cut(items: Sequence, size: int) -> Iterator[Sequence]:
    """Consecutive parts of `size` items; the last may be shorter."""
    return (items[i : i + size] for i in range(0, len(items), size))


def unit_rows(model: CodiModel) -> int:
    """Rows of a unit: a matter of seconds, and the same on every machine of a kind."""
    config = model.config
    weights = config.hidden * (12 * config.hidden * config.layers + config.vocabulary)
    budget = WEIGHTS_PER_UNIT.get(model.device.type, WEIGHTS_PER_UNIT["cpu"])
    return int(min(MOST, max(FEWEST, budget // weights)))
