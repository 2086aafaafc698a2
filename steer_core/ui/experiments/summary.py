"""A stored experiment as plain dicts that JSON can carry to the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steer_core.analysis.statistics import wilson
from steer_core.names import REAL
from steer_core.pipeline.ledger import looks_at
from steer_core.pipeline.prepared import ABOUT_FILE, Prepared, load_prepared
from steer_core.pipeline.records import CurveKey, RunRecord, positions_text
from steer_core.pipeline.store import FILE as STORE
from steer_core.pipeline.store import Store

if TYPE_CHECKING:
    from steer_core.report.source import Source

BAND = (2.5, 97.5)
"""Percentiles of the controls' accuracies between which their band is drawn."""


def newest_run(folder: Path) -> RunRecord | None:
    """The run of a folder that the page shows: the newest that has rows, else the newest."""
    if not (folder / STORE).is_file():
        return None
    with Store(folder / STORE, create=False) as store:
        runs = store.readable()
    return next((run for run in reversed(runs) if run.done), runs[-1] if runs else None)


def prepared_of(folder: Path) -> Prepared | None:
    """The prepared pairs of a folder, if there are any."""
    return load_prepared(folder) if (folder / ABOUT_FILE).is_file() else None


def verdicts(source: Source) -> dict[str, Any]:
    """What a report says first: one card a curve."""
    from steer_core.report.sections import (
        baseline_words,
        headline,
        labels,
        reason,
        split_words,
        unfinished_words,
    )

    results, looks = source.analysis.results, source.looks
    return {
        "run": source.record.id,
        "rows": source.record.done,
        "lead": glued(f"{unfinished_words(source)} {baseline_words(source)}".strip()),
        "mark": looks.mark,
        "split": split_words(source),
        "pairs": source.analysis.n,
        "cards": [
            {
                "label": label,
                "kind": each.verdict.kind,
                "headline": headline(source, each.verdict),
                "sentence": glued(with_mark(reason(each.verdict), looks.mark)),
            }
            for label, each in zip(labels(source), results, strict=True)
        ],
    }


def mark_of(folder: Path, record: RunRecord) -> str:
    """What else was looked at on the pairs of a run; it grows when others are looked at."""
    with Store(folder / STORE, create=False) as store:
        return looks_at(folder, record, store.runs()).mark


def with_mark(sentence: str, mark: str) -> str:
    """A sentence, and what else was looked at on its pairs."""
    return f"{sentence} {mark[0].upper()}{mark[1:]}." if mark else sentence


def glued(text: str) -> str:
    """Text in which no line breaks between a number and its sign or unit."""
    from steer_core.report.html import GLUED

    return GLUED.sub("\u00a0", text)


def funnel(prepared: Prepared | None) -> list[dict[str, Any]]:
    """The counts on the way from all rows to the splits."""
    return [
        {"name": step.name, "count": step.count, "of": step.of}
        for step in (prepared.funnel if prepared else ())
    ]


def chart(folder: Path, record: RunRecord | None) -> dict[str, Any] | None:
    """Accuracy against α of every real direction, with the band of its controls, as far as stored.

    Counts and limits are lists by `alphas`; limits are shares, None where nothing is decoded.
    """
    if record is None or not record.done:
        return None
    with Store(folder / STORE, create=False) as store:
        tally = store.tally(record.id)
    columns = (tally[name].tolist() for name in ("curve", "alpha", "n", "correct"))
    cells = {(curve, alpha): (n, right) for curve, alpha, n, right in zip(*columns, strict=True)}
    base = cells[-1, 0.0]
    alphas = sorted(record.spec.alphas)
    grids = {
        i: [cells[i, alpha] if alpha else base for alpha in alphas]
        for i in range(len(record.curves))
    }
    real = [i for i, curve in enumerate(record.curves) if curve.kind == REAL]
    return {
        "alphas": alphas,
        "nonfinite": sum(tally["nonfinite"].tolist()),
        "baseline": base[1] / base[0] if base[0] else None,
        "curves": [curve_payload(record.curves, i, grids, len(real)) for i in real],
        "mark": mark_of(folder, record),
    }


def curve_payload(
    curves: tuple[CurveKey, ...], index: int, grids: dict[int, list[tuple[int, int]]], count: int
) -> dict[str, Any]:
    """One real direction: counts, Wilson limits, and a band for each kind of its controls."""
    mine = curves[index]
    n, correct = np.array(grids[index]).T
    low, high = wilson(correct, np.maximum(n, 1))
    controls = [(other.kind, grids[i]) for i, other in enumerate(curves) if other.controls(mine)]
    several = len({curve.direction for curve in curves if curve.kind == REAL}) > 1
    place = mine.site if mine.layer is None else f"Layer {mine.layer}"
    return {
        "label": f"{place}, {mine.direction}" if several else place,
        "positions": positions_text(mine.positions),
        "n": n.tolist(),
        "correct": correct.tolist(),
        "low": shares(low, n),
        "high": shares(high, n),
        "controls": len(controls),
        "bands": {
            kind: band([cells for other, cells in controls if other == kind])
            for kind in dict.fromkeys(kind for kind, _ in controls)
        },
    }


def band(controls: list[list[tuple[int, int]]]) -> dict[str, Any]:
    """The percentiles of the controls' accuracies at each α, None where none is decoded."""
    found: list[list[float | None]] = [[], []]
    for cells in zip(*controls, strict=True):
        known = [correct / n for n, correct in cells if n]
        limits = np.percentile(known, BAND).tolist() if known else (None, None)
        for side, limit in zip(found, limits, strict=True):
            side.append(None if limit is None else round(limit, 4))
    return {"low": found[0], "high": found[1]}


def shares(values: np.ndarray, n: np.ndarray) -> list[float | None]:
    """Shares with four digits, None where nothing is counted."""
    return [round(float(value), 4) if many else None for value, many in zip(values, n, strict=True)]
