"""The first sections of one run: what it shows, what was run, where the pairs come from."""

from __future__ import annotations

from collections import Counter

import numpy as np

from steer_core.experiment.statistics import wilson
from steer_core.experiment.verdict import Verdict
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


def chosen(source: Source, what: str, curves: int = 1) -> Callout:
    """The mark of an α, of one of so many curves, that was picked on the pairs it is shown for."""
    edited = curves * int(np.count_nonzero(source.analysis.alphas))
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
