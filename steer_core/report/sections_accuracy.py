"""The sections of one run about right answers: accuracy over α, extremes, where answers go."""

from __future__ import annotations

import numpy as np
import pandas as pd

from steer_core.analysis.cells import FLIPS, STATES
from steer_core.analysis.curves import LEVEL
from steer_core.report import figures, words
from steer_core.report.blocks import Block, Figure, Heading, Paragraph, Table
from steer_core.report.sections import chosen, labels
from steer_core.report.source import Source

SHORT_STATES = ("right", "twin's", "other", "none")
"""`STATES` as heads of narrow columns."""


def accuracy(source: Source) -> list[Block]:
    """Accuracy against α: the figure, every number by curve, and the extremes."""
    drawn = figures.accuracy_figure(source.analysis)
    caption = (
        "Accuracy against α. Purple: the direction with its 95 % interval; grey and between dots: "
        "95 % of the random and label-shuffled directions; dashed: α = 0. A direction that matters "
        "leaves both bands."
    )
    return [
        Heading("Accuracy against α"),
        Figure(drawn, caption),
        Heading("Every α, by curve"),
        *point_tables(source),
        Heading("Best suppression and amplification"),
        *extremes(source),
    ]


def extremes(source: Source) -> list[Block]:
    """Best suppression and amplification of every curve."""
    rows = tuple(
        (
            label,
            f"{words.share(row['baseline'])}\u00a0({source.analysis.correct}/{row['n']})",
            extreme(row, "suppression"),
            extreme(row, "amplification"),
            observation(figures.of_curve(source.analysis.points, source.analysis, i)),
        )
        for i, (label, row) in enumerate(zip(labels(source), best_rows(source), strict=True))
    )
    columns = ("", "α = 0 (baseline)", "best suppression", "best amplification", "observation")
    caption = (
        "Largest loss at α < 0 and largest gain at α > 0; where a side has none, its largest "
        "change the other way. In brackets the 95 % interval of the change in points."
    )
    return [
        chosen(source, "The α of each cell was"),
        Table(columns, rows, caption, left=5),
    ]


def best_rows(source: Source) -> list[dict]:
    """The rows of the table of extremes, one a curve."""
    return source.analysis.best.to_dict("records")


def extreme(row: dict, side: str) -> str:
    """One cell: accuracy, α, change with interval and adjusted p."""
    if np.isnan(row[f"{side}_alpha"]):
        return "no change at any α" if row[f"{side}_swept"] else "not swept"
    limits = words.interval(row[f"{side}_change_low"], row[f"{side}_change_high"], sign=True)
    return (
        f"{words.share(row[f'{side}_accuracy'])} @ α = {words.alpha(row[f'{side}_alpha'])},\n"
        f"{words.change(row[f'{side}_change'])} [{limits}], p {p_sign(row[f'{side}_p_max'])}"
    )


def p_sign(p: float) -> str:
    """A p-value after the letter p."""
    return words.p_value(p) if p < 0.001 else f"= {words.p_value(p)}"


def observation(points: pd.DataFrame) -> str:
    """What either side of 0 does to accuracy at any of its α, as far as it is more than chance.

    Not at the α of the table alone: a gain within chance at a small α may stand before a loss far
    beyond it at a large one.
    """
    change, alpha = points["change"].to_numpy(), points["alpha"].to_numpy()
    if not np.any(points["won"] + points["lost"]):
        return "no pair changed between right and wrong"
    real = np.where(points["p_max"] <= LEVEL, np.sign(change), 0)
    found = [
        f"{where} {verb} accuracy" + " instead" * (sign != side)
        for where, side in (("α < 0", -1), ("α > 0", 1))
        for sign, verb in ((1, "raises"), (-1, "lowers"))
        if np.any(real[side * alpha > 0] == sign)
    ]
    return "; ".join(found) or "nothing beyond chance"


def point_tables(source: Source) -> list[Block]:
    """One table a curve, a row for each α."""
    blocks: list[Block] = [
        Paragraph(
            "adj. p: sign flips with the maximum statistic, corrected over every curve and "
            "α of the run; Holm: exact McNemar tests with Holm's correction over the same, which "
            "no verdict rests on. Flips are answers other than at α = 0: right ones won, "
            "right ones lost to a wrong number other than the twin's, answers that became the "
            "twin's, wrong numbers that became others, and answers without a number. Rank: place "
            "among the controls of that kind by distance from the others, 1 is the furthest. "
            "Marked rows: adj. p ≤ 0.05."
        )
    ]
    for i, label in enumerate(labels(source)):
        points = figures.of_curve(source.analysis.points, source.analysis, i)
        bands = figures.of_curve(source.analysis.bands, source.analysis, i)
        blocks += [Heading(label, 3), point_table(points, bands, source.analysis.controls)]
    return blocks


def point_table(points: pd.DataFrame, bands: pd.DataFrame, controls: dict[str, int]) -> Table:
    """The numbers of one curve."""
    flips = tuple(f"→ {kind.removeprefix('wrong to ').removeprefix('to ')}" for kind in FLIPS)
    names = {"→ right to wrong": "→ wrong", "→ other number": "→ other", "→ no number": "→ none"}
    columns = (
        *("α", "accuracy", "95 %", "correct", "change", "95 % of change", "adj. p", "Holm"),
        *(names.get(flip, flip) for flip in flips),
        *(f"{kind} rank" for kind in controls),
    )
    ranks = {
        kind: pd.DataFrame(bands[bands["kind"] == kind]).set_index("alpha") for kind in controls
    }
    rows = [point_row(row, ranks) for row in points.to_dict("records")]
    marked = np.flatnonzero(
        (points["p_max"] <= LEVEL).to_numpy() & (points["alpha"] != 0).to_numpy()
    )
    return Table(columns, tuple(rows), left=0, marked=frozenset(marked.tolist()))


def point_row(row: dict, ranks: dict[str, pd.DataFrame]) -> tuple[str, ...]:
    """One α; the baseline has nothing to compare with."""
    start = (
        words.alpha(row["alpha"]),
        words.share(row["accuracy"]),
        words.interval(row["low"], row["high"]),
        f"{row['correct']}/{row['n']}",
    )
    if row["alpha"] == 0:
        return *start, *["—"] * (4 + len(FLIPS) + len(ranks))
    places = [each.loc[row["alpha"]] for each in ranks.values()]
    return (
        *start,
        words.change(row["change"]),
        words.interval(row["change_low"], row["change_high"], sign=True),
        words.p_value(row["p_max"]),
        words.p_value(row["p_holm"]),
        *(str(row[kind]) for kind in FLIPS),
        *(f"{place['rank']:.0f}/{place['controls'] + 1:.0f}" for place in places),
    )


def transitions(source: Source) -> list[Block]:
    """From answers at α = 0 to steered ones, at the α that stand out."""
    found = source.analysis
    blocks: list[Block] = []
    for label, (i, row) in zip(labels(source), enumerate(best_rows(source)), strict=True):
        table = figures.of_curve(found.transitions, found, i)
        for side in ("suppression", "amplification"):
            alpha = row[f"{side}_alpha"]
            if not np.isnan(alpha):
                caption = f"{label}, best {side}: α = {words.alpha(alpha)}"
                at = pd.DataFrame(table[table["alpha"] == alpha])
                blocks.append(transition_table(at, caption))
    text = (
        "Pairs by what their answer is at α = 0 (rows) and with the edit (columns). The diagonal "
        "holds pairs whose answer stays of its kind."
    )
    if not blocks:
        blocks = [Paragraph("No pair changed between right and wrong at any α of any curve.")]
    else:
        blocks = [Paragraph(text), chosen(source, "The α of these tables were"), *blocks]
    return [Heading("Where answers go"), *blocks]


def transition_table(rows: pd.DataFrame, caption: str) -> Table:
    """Counts before × after at one α."""
    counts = rows["count"].to_numpy().reshape(len(STATES), len(STATES))
    body = [
        (state, *(str(count) for count in line), str(line.sum()))
        for state, line in zip(STATES, counts, strict=True)
    ]
    body.append(("all", *(str(count) for count in counts.sum(0)), str(counts.sum())))
    return Table(("at α = 0", *SHORT_STATES, "all"), tuple(body), caption, small=True)
