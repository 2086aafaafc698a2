"""The section on what answers do under an edit, right or wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd

from steer_core.pipeline.changes import COUNTED, CURVE
from steer_core.report import sections, words
from steer_core.report.blocks import Block, Heading, Paragraph, Table
from steer_core.report.source import Source

NAMES = {"rose": "rose", "fell": "fell", "to_twin": "became the twin's"}
PLACE = CURVE[:3]
REAL = "real"
TEXT = (
    "Shares of pairs whose answer is a larger or a smaller number than at α = 0, or became the "
    "twin's, whether it was right or not, with Wilson's 95 % interval. Beside each: the range over "
    "the controls of that kind at the same place and α. An edit that moves answers beyond every "
    "control does something, even where accuracy stays."
)


JUDGED = (
    "The same tests and verdicts as for accuracy, of these shares; they are one family: p-values "
    "are corrected over all curves, α and the three of them."
)


def changes(source: Source) -> list[Block]:
    """Verdicts by what answers do, and a table for each real curve."""
    found = source.changes
    real = found["kind"] == REAL
    blocks: list[Block] = []
    curves = pd.DataFrame(found.loc[real, CURVE]).drop_duplicates()
    for key in curves.itertuples(index=False, name=None):
        here = at_place(found, key)
        rows = pd.DataFrame(found[here & real & (found["direction"] == key[3])])
        blocks.append(change_rows(rows, pd.DataFrame(found[here & ~real]), caption_of(key)))
    if not blocks:
        return []
    return [Heading("What answers do"), Paragraph(TEXT), *blocks, verdicts(source)]


def verdicts(source: Source) -> Table:
    """The verdict on each curve by each of the shares."""
    rows = [
        (label, NAMES[name], sections.headline(source, each.verdict), sections.reason(each.verdict))
        for name, results in source.analysis.changes.items()
        for label, each in zip(sections.labels(source), results, strict=True)
    ]
    return Table(("curve", "answers that", "verdict", "why"), tuple(rows), JUDGED, left=4)


def at_place(found: pd.DataFrame, key: tuple) -> np.ndarray:
    """Which rows are of a curve's site, layer and positions, bool [n]."""
    same = np.ones(len(found), dtype=bool)
    for name, value in zip(PLACE, key, strict=False):
        column = pd.Series(found[name])
        same &= (column.isna() if pd.isna(value) else (column == value).fillna(False)).to_numpy(
            dtype=bool
        )
    return same


def caption_of(key: tuple) -> str:
    """The curve in words."""
    site, layer, positions, direction, _ = key
    at = "" if pd.isna(layer) else f" layer {layer}"
    return f"{direction}, {site}{at}, positions {positions}"


def change_rows(rows: pd.DataFrame, controls: pd.DataFrame, caption: str) -> Table:
    """One α a row: each outcome with its interval and the ranges of the controls."""
    kinds = list(dict.fromkeys(controls["kind"].astype(str)))
    columns = ["α", "pairs"]
    for name in NAMES.values():
        columns += [name, "95 %", *(f"{kind} controls" for kind in kinds)]
    body = []
    for row in rows.to_dict("records"):
        same = controls[controls["alpha"] == row["alpha"]]
        cells = [words.alpha(row["alpha"]), words.count(row["n"])]
        for name in COUNTED:
            limits = words.interval(row[f"{name}_low"], row[f"{name}_high"])
            cells += [words.share(row[name]), limits]
            cells += [range_of(same.loc[same["kind"] == kind, name]) for kind in kinds]
        body.append(tuple(cells))
    return Table(tuple(columns), tuple(body), caption, left=0)


def range_of(shares: pd.Series) -> str:
    """From the lowest to the highest; a dash without controls."""
    return words.interval(shares.min(), shares.max()) if len(shares) else "—"
