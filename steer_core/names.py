"""How directions and their controls are called: the one place that reads and writes such names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from steer_core.errors import UserError

LOCAL, RAY = "local", "ray"
"""Engines: this process, or workers of a Ray cluster."""
MEAN_DIFFERENCE = "mean_difference"
"""The method of directions that is meant where none is named."""
BASELINE, REAL = "baseline", "real"
CONTROL_KINDS = RANDOM, SHUFFLED, COVARIANCE, NUISANCE = (
    *("random", "shuffled"),
    *("covariance", "nuisance"),
)
"""Kinds of controls, in the order in which a run keeps them; stored runs rely on it."""
COMPARABLE = (COVARIANCE, SHUFFLED, NUISANCE)
"""Kinds that lie where the model's states vary, as a direction does; `random` is weaker."""
KINDS = (BASELINE, REAL, *CONTROL_KINDS)
"""Kinds of rows: unedited, along a direction that is tested, along its controls."""
KIND_WORDS = {
    RANDOM: "random",
    SHUFFLED: "label-shuffled",
    COVARIANCE: "covariance-matched",
    NUISANCE: "nuisance-label",
}
"""What a reader is shown for each kind of control."""
KIND_MEANING = {
    RANDOM: "isotropic noise, the weakest control: drawn anew at every position, mostly across "
    "the directions in which states vary",
    SHUFFLED: "computed as the direction is, from randomly relabelled answers",
    COVARIANCE: "Gaussian with the covariance of the fit set's states, as coherent between "
    "positions as the direction",
    NUISANCE: "computed as the direction is, from labels that have nothing to do with "
    "correctness, such as the number of words",
}

RAW, SD, DOSE = UNITS = ("raw", "sd", "dose")
"""What alpha counts, see `steer_core.steering.units`."""
_CONTROL = re.compile(rf"({'|'.join(CONTROL_KINDS)})(?:[-:](\d{{1,18}}))?")


@dataclass(frozen=True, slots=True)
class DirectionRef:
    """What a direction is called: `mean_difference:sd`, `covariance:3`, `random-3 of A`, a file.

    `method`: one of `steer_core.steering.methods.METHODS`, a kind of control, a file or a folder;
    `seed` of a control (None: not given, and for anything else); `unit` of `UNITS`; `of`: whose
    control it is, where a run has several directions.
    """

    method: str
    seed: int | None = None
    unit: str = RAW
    of: str = ""

    @classmethod
    def parse(cls, text: str) -> DirectionRef:
        """What a user asks for; a file that is called so is a file."""
        base, unit = name_and_unit(text)
        found = None if Path(base).is_file() else _CONTROL.fullmatch(base)
        return cls(base, None, unit) if found is None else cls(found[1], seed_of(found[2]), unit)

    @classmethod
    def of_label(cls, label: str) -> DirectionRef:
        """What the label of a curve in a run says; no file is looked at."""
        name, _, of = label.partition(" of ")
        base, unit = split_unit(name)
        if found := _CONTROL.fullmatch(base):
            return cls(found[1], seed_of(found[2]), unit, of)
        base, unit = split_unit(label)
        return cls(base, None, unit)

    @property
    def kind(self) -> str:
        """`REAL`, or which kind of control it is."""
        return self.method if self.method in CONTROL_KINDS else REAL

    def __str__(self) -> str:
        name = self.method if self.seed is None else f"{self.method}-{self.seed}"
        return with_unit(name, self.unit) + (f" of {self.of}" if self.of else "")


def seed_of(text: str | None) -> int | None:
    """The seed in a name; None where there is none."""
    return None if text is None else int(text)


def with_unit(name: str, unit: str) -> str:
    """A direction's name in a unit: `mean_difference:sd`; in raw units the name alone.

    Raises:
        UserError: for an unknown unit.
    """
    if unit not in UNITS:
        raise UserError(f"unknown unit of alpha '{unit}'; choose one of {', '.join(UNITS)}")
    return name if unit == RAW else f"{name}:{unit}"


def name_and_unit(name: str) -> tuple[str, str]:
    """The inverse: what a direction is called, and the unit it is asked for in.

    A file that is called so is a file.
    """
    return (name, RAW) if Path(name).exists() else split_unit(name)


def split_unit(name: str) -> tuple[str, str]:
    """A name and the unit behind it, whatever files there are."""
    base, _, unit = name.rpartition(":")
    return (base, unit) if base and unit in UNITS else (name, RAW)
