"""The counts on the way from all rows of a pair file to the splits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from steer_core.data.answers import same_number
from steer_core.pipeline.prepared import LABELS, SPLITS, FunnelStep, PreparedPair

PASS, EVERY = "pass filter", "none"
"""Step of the filter, and the filter that drops nothing."""
FILTERS: dict[str, Callable[[bool, bool], bool]] = {
    EVERY: lambda clean, corrupted: True,
    "clean": lambda clean, corrupted: clean,
    "corrupted": lambda clean, corrupted: corrupted,
    "either": lambda clean, corrupted: clean or corrupted,
    "both": lambda clean, corrupted: clean and corrupted,
}
"""Which pairs pass, by whether the clean and the corrupted twin need their latents."""

RIGHT_AT_BASELINE = "clean twin right at baseline"
UNCHANGED = "the corruption leaves the answer unchanged"
TURNED = "twin's latents: another answer"
SWAPPED = "twin's latents: the twin's answer"
"""Both of pairs that have both twins right."""
ALIGNED, ENTERS = "both twins take the same known steps", "of these changed at step {}"
OF_THESE = "of these"
BALANCED = "balanced and split"
"""Step of pairs that were stored when every split was balanced."""
FIT_BALANCED = "fit balanced, split"


def count(rows: Iterable[PreparedPair], label: str) -> int:
    """Rows with a label."""
    return sum(row.label == label for row in rows)


def funnel(
    rows: Sequence[PreparedPair],
    usable: Sequence[PreparedPair],
    passing: Sequence[PreparedPair],
    filter_name: str,
    balanced: bool,
) -> tuple[FunnelStep, ...]:
    """The counts from all rows to the splits."""
    n, kept = len(rows), sum(row.why != UNCHANGED for row in rows)
    changed = sum(not same_number(row.pair.clean.answer, row.pair.corrupted.answer) for row in rows)
    steps = [
        FunnelStep("rows", n, n),
        FunnelStep("answer changed by the corruption", changed, n),
        FunnelStep("not seen before", len(usable), kept),
    ]
    steps += aligned(usable)
    steps += measured(usable)
    steps.append(FunnelStep(f"{PASS} '{filter_name}'", len(passing), len(usable)))
    steps += [FunnelStep(f"{OF_THESE} {lbl}", count(passing, lbl), len(passing)) for lbl in LABELS]
    used = [row for row in rows if row.split]
    name = FIT_BALANCED if balanced else "split"
    steps.append(FunnelStep(name, len(used), len(passing)))
    steps += [
        FunnelStep(split, sum(row.split == split for row in used), len(used)) for split in SPLITS
    ]
    return tuple(steps)


def aligned(rows: Sequence[PreparedPair]) -> list[FunnelStep]:
    """At which solution step the twins part; nothing where no solution is known."""
    known = [step for row in rows if (step := row.pair.changed_step) is not None]
    if not known:
        return []
    parts = [FunnelStep(ENTERS.format(k), known.count(k), len(known)) for k in sorted(set(known))]
    return [FunnelStep(ALIGNED, len(known), len(rows)), *parts]


def measured(rows: Sequence[PreparedPair]) -> list[FunnelStep]:
    """What was measured on the rows that can be used: baseline, and latent necessity."""
    sides = {"clean": [r.clean for r in rows], "corrupted": [r.corrupted for r in rows]}
    steps = [
        FunnelStep(f"{side} twin right at baseline", sum(t.correct for t in twins), len(rows))
        for side, twins in sides.items()
    ]
    if all(twin.ablated_correct is not None for twins in sides.values() for twin in twins):
        needs = [(bool(r.clean.needs_latents), bool(r.corrupted.needs_latents)) for r in rows]
        steps += [
            FunnelStep(f"needs latents: {name}", sum(passes(*need) for need in needs), len(rows))
            for name, passes in FILTERS.items()
            if name != EVERY
        ]
    if swapped := [row for row in rows if row.clean.swapped is not None]:
        both = [row for row in swapped if row.clean.correct and row.corrupted.correct]
        took = sum(bool(row.clean.swapped) for row in both)
        turned = sum(not same_number(row.clean.swapped_answer, row.clean.answer) for row in both)
        steps.append(FunnelStep(TURNED, turned, len(both)))
        steps.append(FunnelStep(SWAPPED, took, len(both)))
    return steps
