"""The first sections of one run: what it shows, what was run, where the pairs come from."""

from __future__ import annotations

from collections import Counter

import numpy as np

from steer_core.analysis.statistics import wilson
from steer_core.analysis.verdict import Verdict
from steer_core.names import COMPARABLE, KIND_WORDS
from steer_core.pipeline.ledger import Looks
from steer_core.pipeline.prepared import FunnelStep, Necessity
from steer_core.pipeline.records import positions_text
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
from steer_core.steering.units import unit_words

HANGS = 0.2
"""Share of pairs above which, as far as is sure, answers are said to hang on latents."""
MEANING = (
    (
        "effect",
        "Accuracy is apart from the mean of every comparable kind of controls, over pairs and "
        "among directions.",
    ),
    (
        "as random",
        "Accuracy differs from α = 0, but so it does along directions without meaning: drawn from "
        "the states' covariance, or computed from shuffled or unrelated labels.",
    ),
    (
        "no effect",
        "A real null: the edit arrived, and a change in accuracy of more than x does not fit.",
    ),
    ("edit never arrived", "Nothing at the answer changed; the flat line is about the edit only."),
    ("too small to tell", "An effect may or may not be there: the pairs are too few."),
    (
        "too few controls",
        "It would be an effect if there were comparable controls enough to tell it from.",
    ),
)


def labels(source: Source) -> list[str]:
    """One label a curve."""
    return words.labels([result.name for result in source.analysis.results])


def verdicts(source: Source) -> list[Block]:
    """One card a curve, up front."""
    results = source.analysis.results
    cards = [
        Card(label, each.verdict.kind, headline(source, each.verdict), reason(each.verdict))
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
        Table(("verdict", "means"), MEANING, "What the six verdicts mean", left=2, folded=True),
    ]


def headline(source: Source, verdict: Verdict) -> str:
    """That of a verdict; of an unfinished run it may still become another one."""
    return verdict.headline if source.analysis.coverage.finished else f"so far: {verdict.headline}"


def reason(verdict: Verdict) -> str:
    """The sentence of a verdict without the headline that stands above it."""
    start = f"{verdict.headline}: "
    text = verdict.sentence
    rest = text[len(start) :] if text.lower().startswith(start) else text
    return f"{rest[0].upper()}{rest[1:]}"


def baseline_words(source: Source) -> str:
    """The baseline: with its interval, or that it is half by choice."""
    found = source.analysis
    fact = f"Without an edit {found.correct} of {found.n} pairs are answered right"
    if (step := balanced_from(source)) is not None:
        before = f"{step.count} of {step.of} ({step.percent:.1f} %)"
        return f"{fact}, as many as wrong by choice: before balancing it was {before}."
    low, high = wilson(found.correct, found.n)
    limits = words.interval(float(low), float(high))
    together = (
        f" They come in {found.groups} clusters that share a template or a question, and count as "
        "so many draws in every test and interval of a change."
    )
    return f"{fact}: {words.share(found.baseline)} (95 % {limits}).{together * clustered(source)}"


def balanced_from(source: Source) -> FunnelStep | None:
    """Right answers among those that the pairs were balanced from; None where they were not."""
    return source.prepared and source.prepared.before_balance(source.split)


def clustered(source: Source) -> bool:
    """Whether pairs hang together."""
    return source.analysis.groups < source.analysis.n


def remarks(source: Source) -> list[Block]:
    """What a reader must know before any number."""
    found = source.analysis
    marks: list[Block] = []
    if text := unfinished_words(source):
        marks.append(Callout(f"{text} Resume with 'sweep --resume'.", "warning"))
    marks += [Callout(text) for text in chosen_by_answer(source)]
    if source.split == "fit":
        marks.append(
            Callout(
                "These pairs are the fit split, from which directions are computed, so they say "
                "little about other pairs. Sweep the report split.",
                "chosen",
            )
        )
    if not set(COMPARABLE) & set(found.controls):
        marks.append(Callout(without_comparable(source), "warning"))
    if found.coverage.finished and found.coverage.left_out:
        marks.append(Callout(nonfinite_words(source), "warning"))
    return marks + looked_at(source.looks)


def looked_at(looks: Looks) -> list[Callout]:
    """What else was looked at on these pairs, and what is wrong with the ledger of it."""
    marks = [Callout(f"{looks.mark[0].upper()}{looks.mark[1:]}.", "warning")] if looks.mark else []
    if looks.words:
        marks.append(Callout(looks.words))
    return marks + [Callout(f"{problem}.") for problem in looks.problems]


def without_comparable(source: Source) -> str:
    """That nothing can be called an effect, and what would change that."""
    names = [KIND_WORDS[kind] for kind in COMPARABLE]
    only = "Isotropic noise hardly enters the components that states vary in; " * bool(
        source.analysis.controls
    )
    return (
        f"No {', '.join(names[:-1])} or {names[-1]} directions were decoded, so nothing here can "
        f"be called an effect. {only}without comparable controls a direction may do what any "
        "does. Sweep with --controls covariance=20,shuffled=20."
    )


def nonfinite_words(source: Source) -> str:
    """That rows were left out because a score is no number."""
    coverage = source.analysis.coverage
    return (
        f"{words.count(coverage.nonfinite)} rows hold a score that is no number. All numbers leave "
        f"out {' and '.join(coverage.left_out)}."
    )


def unfinished_words(source: Source) -> str:
    """What a run lacks: rows that are not decoded, or overflowed; nothing of one that is whole."""
    found, coverage = source.analysis, source.analysis.coverage
    if coverage.finished:
        return ""
    left = f" It leaves out {' and '.join(coverage.left_out)}." if coverage.left_out else ""
    return (
        f"{undecoded_words(source)}{overflow_words(source)}All numbers are of the complete part, "
        f"{found.n} pairs at {len(found.alphas)} α, and verdicts may change.{left}"
    )


def undecoded_words(source: Source) -> str:
    """How many rows were not decoded, if any."""
    coverage, (lost, _) = source.analysis.coverage, source.overflowed
    if coverage.rows + lost == coverage.expected:
        return ""
    return (
        f"Unfinished: {words.count(coverage.rows + lost)} of {words.count(coverage.expected)} rows "
        "are decoded. "
    )


def overflow_words(source: Source) -> str:
    """How many rows overflowed, if any, and that they count as missing."""
    lost, alphas = source.overflowed
    if not lost:
        return ""
    where = ", ".join(f"{alpha:g}" for alpha in alphas[:8]) + (" ..." if len(alphas) > 8 else "")
    return (
        f"The numbers of {words.count(lost)} rows overflowed (not finite, at α = {where}); they "
        "count as missing, not as flips or wrong answers. "
    )


def chosen_by_answer(source: Source) -> list[str]:
    """What it means that pairs were chosen by how they are answered at α = 0."""
    if source.prepared is None:
        return []
    found = []
    if step := balanced_from(source):
        found.append(
            "These pairs were balanced by their answer at α = 0. Every accuracy, change, interval, "
            f"test and verdict here weighs them back to the {step.percent:.1f} % right answers "
            "from before; only counts of pairs are as decoded."
        )
    if step := source.prepared.filter:
        found.append(
            f"Only pairs that {step.name} were kept ({step.count} of {step.of}), which reads their "
            "answers at α = 0 with and without latents. Any disturbance then loses more than it "
            "gains. Verdicts allow for that: an effect is a contrast with the mean of controls, "
            "which lose alike on these very pairs. Changes against α = 0 do not."
        )
    return found


def chosen(source: Source, what: str, curves: int = 1) -> Callout:
    """The mark of an α, of one of so many curves, that was picked on the pairs it is shown for."""
    edited = curves * int(np.count_nonzero(source.analysis.alphas))
    split = f"the {source.split} split" if source.split else "the pairs of this run"
    return Callout(
        f"{what} picked out of {edited} on {split}, the pairs that are shown, so changes flatter. "
        "The adjusted p takes the choice into account. For a number that stands by itself, choose "
        "α with 'sweep --split DIR --part select' and read it off the full tables here.",
        "chosen",
    )


def what_was_run(source: Source) -> list[Block]:
    """Model, pairs, grid and controls in a few lines."""
    found, spec = source.analysis, source.record.spec
    controls = ", ".join(f"{n} {KIND_WORDS[kind]}" for kind, n in found.controls.items())
    names = [result.name for result in found.results]
    rows = [
        ("model", source.model),
        ("pairs", f"{source.fact('pairs') or 'unknown'}, {split_words(source)}"),
        ("compared", f"{found.n} clean twins, {words.share(found.baseline)} right at α = 0"),
        ("edit", f"α · direction, added at site {', '.join(sorted({n.site for n in names}))}"),
        ("curves", "; ".join(labels(source))),
        ("positions", "; ".join(dict.fromkeys(name.positions for name in names))),
        ("direction", ", ".join(dict.fromkeys(name.direction for name in names))),
        ("α", f"{words.listed(found.alphas)}; {unit_words(spec.directions)}"),
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


def control_words(turned: FunnelStep, swapped: FunnelStep, taken: Necessity) -> str:
    """What the positive control says, without which a flat line cannot be read."""
    if not swapped.of:
        return "Positive control: not made, for no pair has both twins right."
    fact = (
        f"Positive control: on the latents of its twin (site {taken.site}, positions "
        f"{positions_text(taken.positions)}) a question gets another answer in {turned.count} of "
        f"{turned.of} pairs that have both right, {turned.percent:.1f} %, and the twin's answer in "
        f"{swapped.count}, {swapped.percent:.1f} %."
    )
    turns, follows = (wilson(step.count, step.of)[0] > HANGS for step in (turned, swapped))
    if follows:
        return f"{fact} Answers follow what the latents hold."
    if turns:
        return f"{fact} Answers hang on the latents, but seldom follow what they hold."
    return f"{fact} Answers hardly hang on them, so a flat line says little about a direction."


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
    if prepared.swapped:
        blocks.append(Paragraph(control_words(*prepared.swapped, taken)))
    if steps:
        caption = f"From {words.count(steps[0].count)} rows of {prepared.pairs_name} to the splits."
        blocks += [Figure(figures.funnel_figure(steps), caption)]
        blocks += [
            Table(("step", "count", "of", "share"), rows, "The same as a table", 1, folded=True)
        ]
    if aside:
        blocks.append(Paragraph(f"Set aside: {'; '.join(aside)}."))
    return [*blocks, *(Callout(text, "warning") for text in prepared.findings)]
