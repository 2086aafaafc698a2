"""Two runs side by side: two models, or two settings of one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from steer_core.experiment.statistics import wilson
from steer_core.experiment.verdict import Verdict
from steer_core.report import words
from steer_core.report.blocks import Block, Heading, Table
from steer_core.report.sections import chosen, labels, split_words
from steer_core.report.sections_accuracy import best_rows, extreme
from steer_core.report.source import Shape, Source, shape_of

UNKNOWN = "not recorded"


def comparison(first: Source, second: Source) -> list[Block]:
    """The tables that put two runs beside each other."""
    names = titles(first, second)
    shapes = [shape_of(source) for source in (first, second)]
    rows = [(name, *map(show, (first, second), shapes)) for name, show in METRICS]
    effects = [effect_row(name, side, first, second) for name, side in EFFECTS]
    return [
        Heading("Side by side"),
        Table(("", *names), tuple(rows), "What was run", left=3),
        Table(("", *names), tuple(effects), "Largest effects over all curves", left=3),
        chosen(first, "Curve and α of each cell were"),
        Table(("curve", *names), verdict_rows(first, second), "Verdicts", left=3),
    ]


def titles(first: Source, second: Source) -> tuple[str, str]:
    """Names that tell the runs apart."""
    if first.model != second.model:
        return first.model, second.model
    return named(first), named(second)


def named(source: Source) -> str:
    """A run by model, folder and id."""
    return f"{source.model} ({source.folder.name}, run {source.record.id})"


def known(value: int | None, show: Callable[[int], str] = words.count) -> str:
    """A number that may not be known."""
    return UNKNOWN if value is None else show(value)


def baseline(source: Source, _: Shape) -> str:
    """Accuracy at α = 0."""
    found = source.analysis
    low, high = wilson(found.correct, found.n)
    limits = words.interval(float(low), float(high))
    return f"{words.share(found.baseline)} ({found.correct}/{found.n}), 95 % {limits}"


def split_counts(split: str) -> Callable[[Source, Shape], str]:
    """Pairs of one split by the label of their clean twin."""

    def show(source: Source, _: Shape) -> str:
        if source.prepared is not None:
            found = source.prepared.counts[split]
            return f"{sum(found.values())} ({found['correct']} right + {found['wrong']} wrong)"
        if split == "fit":
            return fit_counts(source)
        return f"{source.analysis.n} ({split_words(source)})"

    return show


def fit_counts(source: Source) -> str:
    """Answers behind the directions, where the files say so."""
    origins = [each.provenance for each in source.directions]
    counts = {(each["correct"], each["wrong"]) for each in origins if "correct" in each}
    if len(counts) != 1:
        return UNKNOWN
    correct, wrong = counts.pop()
    return f"{correct + wrong} answers ({correct} right + {wrong} wrong)"


def middle_norm(source: Source, shape: Shape) -> str:
    """Norm of the direction at the middle layer, mean over the latent positions."""
    layers = sorted(f.layer for f in source.directions if f.site == "residual" and f.layer)
    if not layers:
        return UNKNOWN
    middle = (shape.layers or layers[-1]) // 2 or 1
    nearest = min(layers, key=lambda layer: (abs(layer - middle), layer))
    file = next(f for f in source.directions if f.site == "residual" and f.layer == nearest)
    norms = file.norms[1:] if len(file.norms) > 1 else file.norms
    return f"{words.decimal(float(np.mean(norms)))} (layer {nearest})"


METRICS: tuple[tuple[str, Callable[[Source, Shape], str]], ...] = (
    ("parameters", lambda _, shape: known(shape.parameters, words.millions)),
    ("hidden dimension", lambda _, shape: known(shape.hidden)),
    ("layers", lambda _, shape: known(shape.layers)),
    ("baseline accuracy", baseline),
    ("pairs for the direction (fit)", split_counts("fit")),
    ("pairs reported on", split_counts("report")),
    ("direction norm, middle layer", middle_norm),
    ("α", lambda source, _: words.listed(source.analysis.alphas)),
)
EFFECTS = (("best suppression", "suppression"), ("best amplification", "amplification"))


def effect_row(name: str, side: str, first: Source, second: Source) -> tuple[str, str, str]:
    """The curve with the largest change on one side, of each run."""
    return name, largest(first, side), largest(second, side)


def largest(source: Source, side: str) -> str:
    """The most of one side over all curves: losses for suppression, gains for amplification."""
    change = source.analysis.best[f"{side}_change"].to_numpy(float)
    if np.isnan(change).all():
        return "no change at any α of any curve"
    wanted = change if side == "amplification" else -change
    at = int(np.nanargmax(wanted))
    return f"{extreme(best_rows(source)[at], side)} ({labels(source)[at]})"


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
