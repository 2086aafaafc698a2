"""More controls in the same run, where those that are decoded leave a verdict open.

Twenty controls cannot show less than p = .048, and mostly they need not: a direction that five of
them outdo is like them. So a run begins with few and doubles those kinds that decide something, up
to the most that its spec allows. What is drawn is decided by the rows alone, so a run that was
ended goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from steer_core.analysis.lazy import more_controls_needed
from steer_core.errors import UserError
from steer_core.names import DirectionRef
from steer_core.pipeline.ledger import looks_at
from steer_core.pipeline.records import CurveKey, RunRecord, SweepSpec
from steer_core.pipeline.spec import Drawer, SpecCurve, first_seed
from steer_core.pipeline.store import Store

Needed = Callable[[pd.DataFrame, int], Iterable[str]]
"""From a complete table of a run, and the most controls of a kind that may be drawn, the kinds of
which more could change a verdict."""
Open = Callable[[int], Iterable[str]]
"""The same of a run that is known."""


def by_table(store: Store, record: RunRecord, needed: Needed) -> Open:
    """What somebody says of the table of a run."""
    return lambda most: needed(store.table(record.id), most)


def left_open(store: Store, record: RunRecord, before: float | None) -> Open:
    """What a verdict on the run needs, with what else was looked at on its pairs.

    Args:
        store: Of the run.
        record: The run.
        before: Share of right answers before its pairs were balanced by them; None where they
            were not.
    """

    def needed(most: int) -> Iterable[str]:
        looks = 1.0
        if store.path is not None:
            looks = looks_at(store.path.parent, record, store.runs()).factor
        try:
            grid = store.grid(record.id)
            return more_controls_needed(grid, looks=looks, most=most, before=before)
        except UserError:  # nothing that could be judged, with however many controls
            return ()

    return needed


def restored(
    drawer: Drawer, record: RunRecord | None, first: Sequence[SpecCurve]
) -> list[SpecCurve]:
    """The controls that a stored run got since it began, in its order.

    Raises:
        UserError: where they do not come out as they were.
    """
    tail = () if record is None else record.curves[len(first) :]
    if record is None or not tail:
        return []
    spec = drawer.spec
    drawn = drawer.later(spec.controls, counts_of(spec, tail))
    found = {each.key: each for each in drawn}
    if missing := [key.direction for key in tail if key not in found]:
        raise UserError(
            f"run {record.id} has a control {missing[0]} that cannot be drawn again here; sweep "
            "into another folder"
        )
    return [found[key] for key in tail]


def counts_of(spec: SweepSpec, curves: Iterable[CurveKey]) -> dict[str, int]:
    """How many controls of each kind there are, with those that came later."""
    counts = dict(spec.controls)
    for curve in curves:
        ref = DirectionRef.of_label(curve.direction)
        number = (ref.seed or 0) - first_seed(spec, curve.kind)
        counts[curve.kind] = max(counts[curve.kind], number + 1)
    return counts


def more_counts(record: RunRecord, counts: dict[str, int], needed: Open) -> dict[str, int]:
    """Twice as many of the kinds that leave something open, as far as the spec allows.

    Args:
        record: The run, of which every row is stored.
        counts: How many of each kind are decoded.
        needed: Which kinds leave something open; not asked where nothing may be drawn, or where
            that was decided before.
    """
    most = record.spec.most
    short = {kind for kind, count in counts.items() if count < most}
    if not short or record.finished is not None:
        return counts
    open_kinds = short.intersection(needed(most))
    return counts | {kind: min(most, 2 * counts[kind]) for kind in open_kinds}
