"""Numbers and names as a report writes them: plain text, not yet escaped for any format."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from steer_core.analysis.cells import CurveName
from steer_core.analysis.verdict_words import number, points

OUTCOMES = {
    "margin": "margin (logits)",
    "logprob_gold": "log-probability of the gold answer (nats)",
    "logprob_twin": "log-probability of the twin's answer (nats)",
    "kl": "KL at the first answer step (nats)",
    "kl_number": "KL at the number (nats)",
    "dose": "dose (‖edit‖ / ‖state‖)",
}


def share(value: float) -> str:
    """A share in percent with one decimal: "58.3 %"."""
    return f"{points(value)} %"


def change(value: float) -> str:
    """A change of accuracy in points: "−12.8 pts"; a dash where it is not known."""
    return "—" if math.isnan(value) else f"{points(value, sign=True)} pts"


def interval(low: float, high: float, *, sign: bool = False) -> str:
    """Limits in points: "18.8 to 81.2"."""
    return f"{points(low, sign=sign)} to {points(high, sign=sign)}"


def p_value(p: float) -> str:
    """A p-value by itself: "0.048", "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def alpha(value: float) -> str:
    """A signed α: "+1.5", "−3", "0"."""
    return f"+{number(value)}" if value > 0 else number(value + 0.0)


def decimal(value: float, digits: int = 2, *, sign: bool = False) -> str:
    """A number with fixed decimals and a true minus; a dash where it is not known."""
    if not math.isfinite(value):
        return "—"
    rounded = round(value, digits) + 0.0  # no "−0.00"
    return f"{rounded:{'+' if sign and rounded else ''}.{digits}f}".replace("-", "−")


def count(value: int | float) -> str:
    """A whole number with thousands apart: "1,240"."""
    return f"{int(value):,}"


def millions(value: int) -> str:
    """A number of parameters: "3.6 M", "124 M", "1.24 B"."""
    size, unit = (value / 1e9, "B") if value >= 1e9 else (value / 1e6, "M")
    return f"{size:.3g} {unit}"


def duration(seconds: float) -> str:
    """A time span: "42 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def listed(values: Iterable[float]) -> str:
    """A grid of α: "−3 to 3 in steps of 0.5" where it is even, else every value."""
    values = [float(value) for value in values]
    steps = [round(b - a, 9) for a, b in itertools.pairwise(values)]
    if len(values) > 3 and len(set(steps)) == 1:
        return f"{number(values[0])} to {number(values[-1])} in steps of {number(steps[0])}"
    return ", ".join(map(number, values))


def place(name: CurveName) -> str:
    """Where a curve acts: "layer 2", "thought"."""
    return f"layer {name.layer}" if name.layer >= 0 else name.site


def labels(names: Sequence[CurveName]) -> list[str]:
    """One label a curve, no longer than tells them apart: "Layer 2", "Layer 2, positions 1-6"."""
    many = {part: len({getattr(name, part) for name in names}) > 1 for part in CurveName.__slots__}
    return [label(name, many) for name in names]


def label(name: CurveName, many: dict[str, bool]) -> str:
    """The label of one curve; `many` says which parts differ among the curves."""
    parts = [place(name).capitalize()]
    if many["site"] and name.layer >= 0:
        parts.append(name.site)
    if many["positions"]:
        parts.append(f"positions {name.positions}")
    if many["direction"]:
        parts.append(name.direction)
    return ", ".join(parts)
