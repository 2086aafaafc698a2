"""What visitors may ask for: read from the environment, safe where the page is public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from steer_core.errors import UserError

OWN, SHARED, OFF = "own", "shared", "off"
EXPERIMENTS = (OWN, SHARED, OFF)
"""Who may cancel, resume and overwrite an experiment: whoever began it, everybody, nobody."""
LARGEST = 10**12


@dataclass(frozen=True, slots=True)
class Limits:
    """Of experiments and requests; by default of a page that only its own machine reaches."""

    experiments: str = OWN
    decodes: int = 5_000_000
    """Of one experiment."""
    pairs: int = 20_000
    """Of one experiment, and of a file that is handed in."""
    runs: int = 500
    """Stored experiments; no further one is begun."""
    megabytes: int = 20_000
    """On disk, of all stored experiments; no further one is begun."""
    requests: int = 6_000
    """Requests that do work, of one address in a minute."""


PUBLIC = Limits(decodes=500_000, pairs=2_000, runs=100, megabytes=2_000, requests=600)
"""On a Space, which anybody can reach and where an experiment takes turns with all visitors."""
VARIABLES = {
    "decodes": "STEER_MAX_DECODES",
    "pairs": "STEER_MAX_PAIRS",
    "runs": "STEER_MAX_RUNS",
    "megabytes": "STEER_MAX_MEGABYTES",
    "requests": "STEER_MAX_REQUESTS",
}


def limits_from(environment: Mapping[str, str]) -> Limits:
    """Read STEER_EXPERIMENTS and the variables of `VARIABLES`.

    Raises:
        UserError: if a variable holds a value that is not one of its choices.
    """
    usual = PUBLIC if environment.get("SPACE_ID") else Limits()
    chosen = environment.get("STEER_EXPERIMENTS") or usual.experiments
    if chosen not in EXPERIMENTS:
        raise UserError(
            f"STEER_EXPERIMENTS is {chosen[:80]!r}; choose one of {', '.join(EXPERIMENTS)}"
        )
    counts = {
        field.name: _count(environment, VARIABLES[field.name], getattr(usual, field.name))
        for field in fields(Limits)
        if field.name in VARIABLES
    }
    return Limits(chosen, **counts)


def _count(environment: Mapping[str, str], name: str, usual: int) -> int:
    text = (environment.get(name) or str(usual)).strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 13 or not 0 < int(text) <= LARGEST:
        raise UserError(f"{name} is {text[:80]!r}; give a whole number from 1 to {LARGEST:,}")
    return int(text)
