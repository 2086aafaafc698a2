"""How much an experiment decodes, how long that takes, and what a stored one was: in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steer_core.names import CONTROL_KINDS
from steer_core.pipeline.prepared import Prepared
from steer_core.pipeline.records import RunRecord, positions_text
from steer_core.steering.units import unit_words
from steer_core.ui.experiments.settings import Experiment

WORK = {"cpu": 2e9, "cuda": 5e11}
"""Decodes a second times parameters, before anything was measured: bundled models on two busy
cores, and a 1B model on a data-centre GPU."""
PARAMETERS = 2e6  # of a model that does not say


@dataclass(frozen=True, slots=True)
class Speed:
    """Decodes a second, and where that number comes from."""

    rate: float
    source: str


def assumed(parameters: int | None, device: str | None) -> Speed:
    """The speed of a model that no experiment has measured yet."""
    work = WORK.get(device or "cpu", WORK["cpu"])
    return Speed(work / (parameters or PARAMETERS), "a guess from the size of the model")


def plan_payload(experiment: Experiment, pairs: int, speed: Speed) -> dict[str, Any]:
    """What the settings ask for: at most so many decodes, and about how long.

    Args:
        experiment: The settings.
        pairs: In the set that is chosen.
        speed: Of the model.
    """
    used = min(pairs, experiment.most or pairs)
    # Both twins at baseline and without latents; the clean one on its twin's, which are read anew.
    answers = used * (2 if experiment.necessity == "none" else 6)
    fit, report = (round(used * experiment.fractions[i]) for i in (0, 2))
    sweep = report * (1 + experiment.edited)
    total = answers + fit + sweep
    return {
        "decodes": total,
        "seconds": total / speed.rate,
        "rate": speed.rate,
        "source": speed.source,
        "pairs": used,
        "answers": answers,
        "report": report,
        "layers": len(experiment.layers),
        "directions": 1 + sum(experiment.spec.controls.values()),
        "alphas": sum(alpha != 0 for alpha in experiment.alphas),
        "controls": sum(experiment.spec.controls.values()),
    }


def facts(record: RunRecord | None, prepared: Prepared | None) -> list[list[str]]:
    """What an experiment was, as (name, value)."""
    found = []
    if prepared is not None:
        found += [["pairs", prepared.pairs_name], ["latents taken away", prepared.necessity.kind]]
        found += [["filter", prepared.filter]]
    if record is not None:
        found += run_facts(record)
    return found


def run_facts(record: RunRecord) -> list[list[str]]:
    """The facts of a sweep."""
    spec, about = record.spec, record.provenance
    kinds = {curve.direction: curve.kind for curve in record.curves}
    controls = [
        f"{count} {kind}" for kind in CONTROL_KINDS if (count := [*kinds.values()].count(kind))
    ]
    layers = [str(layer) for layer in spec.layers if layer is not None]
    return [
        ["site", spec.site],
        *([["layers", ", ".join(layers)]] if layers else []),
        ["latent tokens", "; ".join(map(positions_text, spec.masks))],
        ["α", ", ".join(f"{alpha:g}".replace("-", "−") for alpha in sorted(spec.alphas))],
        ["unit of α", unit_words(spec.directions)],
        ["controls", ", ".join(controls) or "none"],
        ["seed", str(spec.seed)],
        ["decoded", f"{record.done:,} of {record.total:,} rows"],
        ["on", f"{about.get('device', '?')}, {about.get('dtype', '?')}"],
    ]
