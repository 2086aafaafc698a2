"""The sections of one run that say what it shows: verdicts, accuracies, flips."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from steer_core.experiment.statistics import wilson
from steer_core.experiment.verdict import Verdict
from steer_core.pipeline.analysis import LEVEL
from steer_core.pipeline.analysis_grid import FLIPS, STATES
from steer_core.pipeline.analysis_tables import CONTROL_WORDS
from steer_core.report import figures, words
from steer_core.report.blocks import (
    Block,
    Callout,
    Card,
    Cards,
    Facts,
    Figure,
    Heading,
    Paragraph,
    Table,
)
from steer_core.report.source import Source

MEANING = (
    ("effect", "Accuracy differs from α = 0, and more than random and label-shuffled ones do."),
    ("as random", "Accuracy differs from α = 0, but so it does along directions without meaning."),
    ("no effect", "A real null: the edit arrived, and the pairs rule out more than the named x."),
    ("edit never arrived", "Nothing at the answer changed; the flat line is about the edit only."),
    ("too small to tell", "An effect may or may not be there: pairs or controls are too few."),
)
SHORT_STATES = ("right", "twin's", "other", "none")
"""`STATES` as heads of narrow columns."""


def labels(source: Source) -> list[str]:
    """One label a curve."""
    return words.labels([result.name for result in source.analysis.results])


def verdicts(source: Source) -> list[Block]:
    """One card a curve, up front."""
    results = source.analysis.results
    cards = [
        Card(label, each.verdict.kind, each.verdict.headline, reason(each.verdict))
        for label, each in zip(labels(source), results, strict=True)
    ]
    kinds = Counter(each.verdict.kind for each in results)
    counts = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common())
    what = "One curve" if len(cards) == 1 else f"{len(cards)} curves"
    return [
        Heading("What it shows"),
        Paragraph(f"{what}: {counts}. {baseline_words(source)}"),
        *remarks(source),
        Cards(tuple(cards)),
        Table(("verdict", "means"), MEANING, "What the five verdicts mean", left=2, folded=True),
    ]


def reason(verdict: Verdict) -> str:
    """The sentence of a verdict without the headline that stands above it."""
    start = f"{verdict.headline}: "
    text = verdict.sentence
    rest = text[len(start) :] if text.lower().startswith(start) else text
    return f"{rest[0].upper()}{rest[1:]}"


def baseline_words(source: Source) -> str:
    """The baseline with its interval."""
    found = source.analysis
    low, high = wilson(found.correct, found.n)
    return (
        f"Without an edit {found.correct} of {found.n} pairs are answered right: "
        f"{words.share(found.baseline)} (95 % {words.interval(float(low), float(high))})."
    )


def remarks(source: Source) -> list[Block]:
    """What a reader must know before any number."""
    found, coverage = source.analysis, source.analysis.coverage
    marks: list[Block] = []
    if not coverage.finished:
        left = f" It leaves out {' and '.join(coverage.left_out)}." if coverage.left_out else ""
        marks.append(
            Callout(
                f"Unfinished: {words.count(coverage.rows)} of {words.count(coverage.expected)} "
                f"rows are decoded. All numbers are of the complete part, {found.n} pairs at "
                f"{len(found.alphas)} α.{left} Resume with 'sweep --resume'.",
                "warning",
            )
        )
    if source.split == "fit":
        marks.append(
            Callout(
                "These pairs are the fit split, from which directions are computed, so they say "
                "little about other pairs. Sweep the report split.",
                "chosen",
            )
        )
    if missing := [name for kind, name in CONTROL_WORDS.items() if kind not in found.controls]:
        marks.append(
            Callout(
                f"No {' and no '.join(missing)} directions were decoded: what looks like an effect "
                "may be what any direction does. Sweep with --controls random=20,shuffled=20.",
                "warning",
            )
        )
    return marks


def chosen(source: Source, what: str) -> Callout:
    """The mark of an α that was picked on the pairs it is shown for."""
    edited = int(np.count_nonzero(source.analysis.alphas))
    split = f"the {source.split} split" if source.split else "the pairs of this run"
    return Callout(
        f"{what} picked out of {edited} on {split}, the pairs that are shown, so changes flatter. "
        "The adjusted p takes the choice into account. For a number that stands by itself, choose "
        "α on the select split and read it off the full tables here.",
        "chosen",
    )


def what_was_run(source: Source) -> list[Block]:
    """Model, pairs, grid and controls in a few lines."""
    found, spec = source.analysis, source.record.spec
    controls = ", ".join(f"{n} {CONTROL_WORDS[kind]}" for kind, n in found.controls.items())
    names = [result.name for result in found.results]
    rows = [
        ("model", source.model),
        ("pairs", f"{source.fact('pairs') or 'unknown'}, {split_words(source)}"),
        ("compared", f"{found.n} clean twins, {words.share(found.baseline)} right at α = 0"),
        ("edit", f"α · direction, added at site {', '.join(sorted({n.site for n in names}))}"),
        ("curves", "; ".join(labels(source))),
        ("positions", "; ".join(dict.fromkeys(name.positions for name in names))),
        ("direction", ", ".join(dict.fromkeys(name.direction for name in names))),
        ("α", f"{words.listed(found.alphas)} (raw units: times the direction's own norm)"),
        ("controls", f"{controls} of equal norm, in the same run" if controls else "none"),
        ("decoded", decoded_words(source)),
        ("answer limit", f"{spec.max_new_tokens} tokens, greedy"),
    ]
    return [Heading("What was run"), Facts(tuple(rows))]


def split_words(source: Source) -> str:
    """Which part of the pairs was swept."""
    return f"{source.split} split" if source.split else "not split"


def decoded_words(source: Source) -> str:
    """Rows and time."""
    coverage = source.analysis.coverage
    rows = f"{words.count(coverage.rows)} of {words.count(coverage.expected)} rows"
    return f"{rows} in {words.duration(source.record.seconds)}"


def funnel(source: Source) -> list[Block]:
    """From all pairs to the ones that were swept; nothing when the pairs were not prepared."""
    prepared = source.prepared
    if prepared is None:
        return []
    steps = prepared.funnel
    rows = tuple(
        (step.name, words.count(step.count), words.count(step.of), f"{step.percent:.1f} %")
        for step in steps
    )
    taken = prepared.necessity
    aside = [f"{count} ({why})" for why, count in prepared.set_aside.items()]
    text = (
        "Each twin is scored against its own gold answer. A twin needs its latents when it is "
        f"right at baseline and wrong with latents replaced ({taken.kind}, site {taken.site})."
    )
    blocks: list[Block] = [Heading("Where the pairs come from"), Paragraph(text)]
    if steps:
        caption = f"From {words.count(steps[0].count)} rows of {prepared.pairs_name} to the splits."
        blocks += [Figure(figures.funnel_figure(steps), caption)]
        blocks += [
            Table(("step", "count", "of", "share"), rows, "The same as a table", 1, folded=True)
        ]
    if aside:
        blocks.append(Paragraph(f"Set aside: {'; '.join(aside)}."))
    return [*blocks, *(Callout(text, "warning") for text in prepared.findings)]


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
            observation(row),
        )
        for label, row in zip(labels(source), best_rows(source), strict=True)
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
        return "no change at any α"
    limits = words.interval(row[f"{side}_change_low"], row[f"{side}_change_high"], sign=True)
    return (
        f"{words.share(row[f'{side}_accuracy'])} @ α = {words.alpha(row[f'{side}_alpha'])},\n"
        f"{words.change(row[f'{side}_change'])} [{limits}], p {p_sign(row[f'{side}_p_max'])}"
    )


def p_sign(p: float) -> str:
    """A p-value after the letter p."""
    return words.p_value(p) if p < 0.001 else f"= {words.p_value(p)}"


def observation(row: dict) -> str:
    """What the two sides say, as far as it is more than chance."""
    if np.isnan(row["suppression_alpha"]) and np.isnan(row["amplification_alpha"]):
        return "no pair changed between right and wrong"
    sides = (("suppression", "α < 0", -1), ("amplification", "α > 0", 1))
    found = [
        f"{where} {'raises' if row[f'{side}_change'] > 0 else 'lowers'} accuracy"
        + (" instead" if row[f"{side}_change"] * sign < 0 else "")
        for side, where, sign in sides
        if row[f"{side}_p_max"] <= LEVEL
    ]
    return "; ".join(found) or "nothing beyond chance"


def point_tables(source: Source) -> list[Block]:
    """One table a curve, a row for each α."""
    blocks: list[Block] = [
        Paragraph(
            "adj. p: permutation test with the maximum statistic, corrected over every curve and "
            "α of the run; Holm: exact McNemar tests with Holm's correction over the same. Flips "
            "are answers other than at α = 0: right ones won, right ones lost to any wrong number, "
            "answers that became the twin's, wrong numbers that became others, and answers without "
            "a number. Rank: place of the change "
            "among the controls of that kind, 1 is the largest. Marked rows: adj. p ≤ 0.05."
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
