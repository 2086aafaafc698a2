"""How directions and their controls are called: the one place that reads and writes such names."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from steer_core.errors import UserError, shortened

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
MOVED = "moved:"
"""In front of a file: the direction is used elsewhere than where it was computed, on purpose."""
_CONTROL = re.compile(rf"({'|'.join(CONTROL_KINDS)})(?:[-:](\d{{1,18}}))?")
_METHOD = re.compile(
    rf"(?!(?:{'|'.join(CONTROL_KINDS)}|moved):)([a-z_]+):([a-z0-9_]+(?:=[^:=]+)?)", re.ASCII
)
_ACROSS = " orthogonal to "
_SIGN = re.compile(r"\s+([+-])\s+")
_TERM = re.compile(r"(?:([+-]?\d{1,12}(?:\.\d{1,12})?)\s*\*\s*)?(\S.*)")
MOST_TERMS = 16
"""Directions that one expression may name."""


@dataclass(frozen=True, slots=True)
class DirectionRef:
    """What a direction is called: `mean_difference:sd`, `contrast:steps`, `covariance:3`, a file.

    `method`: one of `steer_core.steering.methods.METHODS`, a kind of control, a file or a folder;
    `seed` of a control (None: not given, and for anything else); `unit` of `UNITS`; `of`: whose
    control it is (`random-3 of A`), the mean difference's where nothing is said. `option`: what the
    method is told, such as a label or the number of a component. An expression
    (`a - 0.5*b orthogonal to c`) has `terms`, factor and name each, and what is taken out of their
    sum, `across`.
    """

    method: str
    seed: int | None = None
    unit: str = RAW
    of: str = ""
    option: str = ""
    terms: tuple[tuple[float, DirectionRef], ...] = ()
    across: DirectionRef | None = None

    @classmethod
    def parse(cls, text: str) -> DirectionRef:
        """What a user asks for; a file that is called so is a file.

        Raises:
            UserError: for an expression that is none.
        """
        if Path(text).is_file():
            return cls(text)
        name, _, of = text.partition(" of ")
        base, unit = name_and_unit(name)
        if (found := _CONTROL.fullmatch(base)) and not Path(base).is_file():
            return cls(found[1], seed_of(found[2]), unit, of)
        if is_expression(text) and not Path(text).exists():
            return expression(text, cls.parse)
        return cls.of_method(*name_and_unit(text))

    @classmethod
    def of_label(cls, label: str) -> DirectionRef:
        """What the label of a curve in a run says; no file is looked at."""
        name, _, of = label.partition(" of ")
        base, unit = split_unit(name)
        if found := _CONTROL.fullmatch(base):
            return cls(found[1], seed_of(found[2]), unit, of)
        if is_expression(label):
            with suppress(UserError):  # a file may be called like half an expression
                return expression(label, cls.of_label)
        return cls.of_method(*split_unit(label))

    @classmethod
    def of_method(cls, base: str, unit: str) -> DirectionRef:
        """A method with what it is told, or a file."""
        found = None if Path(base).suffix else _METHOD.fullmatch(base)
        return cls(base, unit=unit) if found is None else cls(found[1], unit=unit, option=found[2])

    @property
    def kind(self) -> str:
        """`REAL`, or which kind of control it is."""
        return self.method if self.method in CONTROL_KINDS else REAL

    def __str__(self) -> str:
        if self.terms:
            return "".join(term_text(i, *term) for i, term in enumerate(self.terms)) + (
                f"{_ACROSS}{self.across}" if self.across else ""
            )
        name = f"{self.method}:{self.option}" if self.option else self.method
        name = name if self.seed is None else f"{name}-{self.seed}"
        return with_unit(name, self.unit) + (f" of {self.of}" if self.of else "")


def is_expression(text: str) -> bool:
    """Whether a text is a sum of directions by name, or one across another."""
    times = _TERM.fullmatch(text.strip())
    return _ACROSS in text or bool(_SIGN.search(text)) or bool(times and times[1])


def expression(text: str, read: Callable[[str], DirectionRef]) -> DirectionRef:
    """A sum such as `a - 0.5*b`, or what is left of one across another: `a orthogonal to b`.

    Raises:
        UserError: for what is no such sum.
    """
    total, mark, across = text.partition(_ACROSS)
    first, *others = _SIGN.split(total.strip())
    signed = [("+", first), *zip(others[::2], others[1::2], strict=True)]
    terms = tuple(term_of(sign, part, read) for sign, part in signed)
    if len(terms) > MOST_TERMS or (mark and (not across.strip() or is_expression(across))):
        raise UserError(
            f"'{shortened(text)}' is no expression of up to {MOST_TERMS} directions; write such as "
            "'mean_difference - 0.5*pca:1' or 'probe orthogonal to contrast:answer_size'"
        )
    name = " + ".join(str(ref) for _, ref in terms)
    return DirectionRef(name, terms=terms, across=read(across.strip()) if mark else None)


def term_of(
    sign: str, part: str, read: Callable[[str], DirectionRef]
) -> tuple[float, DirectionRef]:
    """One term of a sum: its factor and its name."""
    found = _TERM.fullmatch(part.strip())
    if found is None:
        raise UserError(f"a direction is missing beside '{sign}'; write such as 'a - 0.5*b'")
    factor = float(found[1] or 1)
    return (-factor if sign == "-" else factor), read(found[2])


def term_text(index: int, factor: float, ref: DirectionRef) -> str:
    """One term of a sum as it is written."""
    sign = "" if index == 0 else " - " if factor < 0 else " + "
    size = factor if index == 0 else abs(factor)
    return f"{sign}{'' if size == 1 else f'{number_text(size)}*'}{ref}"


def number_text(value: float) -> str:
    """A factor as `expression` reads it."""
    return f"{value:.12f}".rstrip("0").rstrip(".")


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
    """A name and the unit behind it, whatever files there are; an expression has none."""
    if is_expression(name):
        return name, RAW
    base, _, unit = name.rpartition(":")
    return (base, unit) if base and unit in UNITS else (name, RAW)
