"""Two runs side by side: two models, or two settings of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from steer_core.analysis.statistics import wilson
from steer_core.analysis.verdict import Verdict
from steer_core.codi.config import middle_layer
from steer_core.names import KIND_WORDS
from steer_core.pipeline.funnel import RIGHT_AT_BASELINE
from steer_core.pipeline.prepared import FunnelStep
from steer_core.report import words
from steer_core.report.blocks import Block, Heading, Table
from steer_core.report.figures import of_curve
from steer_core.report.sections import chosen, labels, split_words
from steer_core.report.sections_accuracy import best_rows, extreme
from steer_core.report.source import Shape, Source, shape_of
from steer_core.steering.units import unit_words

UNKNOWN = "not recorded"


def comparison(first: Source, second: Source) -> list[Block]:
    """The tables that put two runs beside each other."""
    names = titles(first, second)
    shapes = [shape_of(source) for source in (first, second)]
    rows = [metric_row(metric, (first, second), shapes) for metric in METRICS]
    effects = [row for name, side in EFFECTS for row in effect_rows(name, side, first, second)]
    return [
        Heading("Side by side"),
        Table(("", *names, "ratio"), tuple(rows), "What was run", left=3),
        Table(("", *names), tuple(effects), "Largest effects over all curves", left=3),
        *marks(first, second),
        Table(("curve", *names), verdict_rows(first, second), "Verdicts", left=3),
    ]


def marks(first: Source, second: Source) -> list[Block]:
    """What each run's curve and α were picked out of; said once where it is the same."""
    what = "Curve and α of each cell were"
    found = [chosen(each, what, len(each.analysis.results)) for each in (first, second)]
    return list(dict.fromkeys(found))


def titles(first: Source, second: Source) -> tuple[str, str]:
    """Names that tell the runs apart."""
    if first.model != second.model:
        return first.model, second.model
    return named(first), named(second)


def named(source: Source) -> str:
    """A run by model, folder and id."""
    return f"{source.model} ({source.folder.name}, run {source.record.id})"


@dataclass(frozen=True, slots=True)
class Metric:
    """One line about a run: `show` in words, `value` as a number where two can be divided."""

    name: str
    show: Callable[[Source, Shape], str]
    value: Callable[[Source, Shape], float | None] = lambda source, shape: None


def metric_row(
    metric: Metric, sources: tuple[Source, Source], shapes: list[Shape]
) -> tuple[str, str, str, str]:
    """One line about both, with what the first's number is of the second's."""
    texts = [metric.show(*each) for each in zip(sources, shapes, strict=True)]
    values = [metric.value(*each) for each in zip(sources, shapes, strict=True)]
    one, other = values
    ratio = f"{words.decimal(one / other)} ×" if one is not None and other else "—"
    return metric.name, texts[0], texts[1], ratio


def of_shape(name: str, field: str, show: Callable[[int], str] = words.count) -> Metric:
    """A number about the model's size, which may not be known."""

    def text(_: Source, shape: Shape) -> str:
        value = getattr(shape, field)
        return UNKNOWN if value is None else show(value)

    return Metric(name, text, lambda _, shape: getattr(shape, field))


def baseline(source: Source, _: Shape) -> str:
    """Accuracy at α = 0."""
    found = source.analysis
    low, high = wilson(found.correct, found.n)
    limits = words.interval(float(low), float(high))
    return f"{words.share(found.baseline)} ({found.correct}/{found.n}), 95 % {limits}"


def before_balance(source: Source, _: Shape) -> str:
    """Accuracy at α = 0 before pairs were balanced: over all that can be used."""
    step = usable_step(source)
    return UNKNOWN if step is None else f"{step.percent:.1f} % ({step.count}/{step.of})"


def usable_step(source: Source) -> FunnelStep | None:
    """The step of the funnel that counts right answers at baseline."""
    steps = source.prepared.funnel if source.prepared else ()
    return next((step for step in steps if step.name == RIGHT_AT_BASELINE), None)


def usable_share(source: Source, _: Shape) -> float | None:
    """The share behind `before_balance`."""
    step = usable_step(source)
    return None if step is None else step.percent


def count_of(source: Source, split: str) -> tuple[int, int] | None:
    """Right and wrong answers of a split, None where that is not known."""
    if source.prepared is not None:
        found = source.prepared.counts[split]
        return found["correct"], found["wrong"]
    if split != "fit":
        return None
    origins = [each.provenance for each in source.directions]
    counts = {(each["correct"], each["wrong"]) for each in origins if "correct" in each}
    return counts.pop() if len(counts) == 1 else None


def fit_text(source: Source, _: Shape) -> str:
    """Answers behind the directions, where the run or its files say so."""
    return answers(count_of(source, "fit"))


def report_text(source: Source, _: Shape) -> str:
    """Pairs that were swept."""
    if source.prepared is None or source.split != "report":
        return f"{source.analysis.n} ({split_words(source)})"
    return answers(count_of(source, "report"))


def answers(counts: tuple[int, int] | None) -> str:
    """Counts of right and wrong answers in words."""
    if counts is None:
        return UNKNOWN
    correct, wrong = counts
    return f"{correct + wrong} ({correct} right + {wrong} wrong)"


def fit_size(source: Source, _: Shape) -> float | None:
    """How many answers the directions come from."""
    counts = count_of(source, "fit")
    return None if counts is None else sum(counts)


def middle_norm(source: Source, shape: Shape) -> tuple[float, int] | None:
    """Norm of the direction nearest the middle layer, mean over latent positions, and its layer."""
    found = {f.layer: f for f in source.directions if f.site == "residual" and f.layer}
    if not found:
        return None
    middle = middle_layer(shape.layers or max(found))
    nearest = min(found, key=lambda layer: (abs(layer - middle), layer))
    norms = found[nearest].norms
    return float(np.mean(norms[1:] if len(norms) > 1 else norms)), nearest


def norm_text(source: Source, shape: Shape) -> str:
    """`middle_norm` in words."""
    found = middle_norm(source, shape)
    return UNKNOWN if found is None else f"{words.decimal(found[0])} (layer {found[1]})"


def norm_value(source: Source, shape: Shape) -> float | None:
    """`middle_norm` as a number."""
    found = middle_norm(source, shape)
    return found and found[0]


METRICS = (
    of_shape("parameters", "parameters", words.millions),
    of_shape("hidden dimension", "hidden"),
    of_shape("layers", "layers"),
    Metric("right before balancing", before_balance, usable_share),
    Metric("baseline accuracy", baseline, lambda source, _: source.analysis.baseline),
    Metric("pairs for the direction (fit)", fit_text, fit_size),
    Metric("pairs reported on", report_text, lambda source, _: source.analysis.n),
    Metric("direction norm, middle layer", norm_text, norm_value),
    Metric("α", lambda source, _: words.listed(source.analysis.alphas)),
    Metric("unit of α", lambda source, _: unit_words(source.record.spec.directions)),
)
EFFECTS = (("best suppression", "suppression"), ("best amplification", "amplification"))


def effect_rows(name: str, side: str, first: Source, second: Source) -> list[tuple[str, str, str]]:
    """The curve with the largest change on one side of each run, and the controls right there."""
    one, other = largest(first, side), largest(second, side)
    rows = [(name, effect_text(first, one, side), effect_text(second, other, side))]
    for kind, word in KIND_WORDS.items():
        texts = controls_text(first, one, side, kind), controls_text(second, other, side, kind)
        if any(texts):
            rows.append((f"{word} directions there", texts[0] or "—", texts[1] or "—"))
    return rows


def largest(source: Source, side: str) -> int | None:
    """Place of the curve with the most of one side: losses for suppression, else gains."""
    change = source.analysis.best[f"{side}_change"].to_numpy(float)
    if np.isnan(change).all():
        return None
    return int(np.nanargmax(change if side == "amplification" else -change))


def effect_text(source: Source, at: int | None, side: str) -> str:
    """The change of a curve at its best α of a side."""
    if at is None:
        return "no change at any α of any curve"
    return f"{extreme(best_rows(source)[at], side)} ({labels(source)[at]})"


def controls_text(source: Source, at: int | None, side: str, kind: str) -> str:
    """What controls of a kind do at that curve and α; empty where there are none."""
    found = source.analysis
    if at is None or kind not in found.controls:
        return ""
    bands = of_curve(found.bands, found, at)
    alpha = best_rows(source)[at][f"{side}_alpha"]
    row = bands[(bands["kind"] == kind) & (bands["alpha"] == alpha)].iloc[0]
    low, high = (row[end] - found.baseline for end in ("low", "high"))
    middle = words.change(row["middle"] - found.baseline)
    return f"{middle} (95 % of {row['controls']}: {words.interval(low, high, sign=True)})"


def verdict_rows(first: Source, second: Source) -> tuple[tuple[str, str, str], ...]:
    """Verdicts by curve; layers that only one of them has leave a gap."""
    sides = [
        dict(zip(labels(each), (r.verdict for r in each.analysis.results), strict=True))
        for each in (first, second)
    ]

    def headline(side: dict[str, Verdict], label: str) -> str:
        return side[label].headline if label in side else "—"

    every = dict.fromkeys([*sides[0], *sides[1]])
    return tuple((label, headline(sides[0], label), headline(sides[1], label)) for label in every)
