"""What an experiment does, as its form says it: checked, and kept with the results."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steer_core.errors import UserError
from steer_core.files import write_whole
from steer_core.names import CONTROL_KINDS, MEAN_DIFFERENCE, RAW, UNITS, with_unit
from steer_core.pipeline.funnel import FILTERS
from steer_core.pipeline.prepared import NECESSITY_KINDS
from steer_core.pipeline.records import SweepSpec
from steer_core.pipeline.splits import SplitSettings
from steer_core.ui import settings as checks

if TYPE_CHECKING:
    from steer_core.pipeline.prepare import PrepareSettings

FILE = "experiment.json"
"""In the folder of an experiment: its settings."""
FORMAT = 1
BUNDLED = ("fit,test", "test", "fit")
"""Sets of pairs that come in the box, as `prepare --pairs` takes them."""
OWN = "own"
MOST_TEXT = 1_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
MOST_ALPHAS, LARGEST_ALPHA = 121, 1000.0
MOST_CONTROLS, MOST_PAIRS, LARGEST_SEED = 200, 100_000, 2**32 - 1


@dataclass(frozen=True, slots=True)
class Experiment:
    """Everything that decides the results of an experiment.

    `pairs` is one of `BUNDLED` or a file; `most` limits how many pairs are taken of it (None: all).
    `layers` are those of site residual, (None,) at the other sites; `unit` is what α counts. The
    rest is named as in `PrepareSettings`, `SplitSettings` and `SweepSpec`, whose `most` is
    `most_controls` here.
    """

    name: str
    model: str
    pairs: str
    most: int | None
    necessity: str
    filter: str
    fractions: tuple[float, ...]
    balanced: bool
    site: str
    layers: tuple[int | None, ...]
    positions: tuple[int, ...]
    alphas: tuple[float, ...]
    random: int
    shuffled: int
    seed: int
    unit: str = RAW
    covariance: int = 0
    nuisance: int = 0
    most_controls: int = 0

    @property
    def split(self) -> SplitSettings:
        """How pairs are chosen; raises a `UserError` for shares that are none."""
        return SplitSettings(self.filter, self.fractions, self.balanced, seed=self.seed)

    @property
    def prepare(self) -> PrepareSettings:
        """How pairs are prepared; raises a `UserError` where settings exclude each other."""
        from steer_core.pipeline.prepare import PrepareSettings

        return PrepareSettings(self.necessity, split=self.split)

    @property
    def spec(self) -> SweepSpec:
        """What is swept."""
        return SweepSpec(
            site=self.site,
            layers=self.layers,
            alphas=self.alphas,
            masks=(self.positions,),
            directions=(with_unit(MEAN_DIFFERENCE, self.unit),),
            random=self.random,
            shuffled=self.shuffled,
            covariance=self.covariance,
            nuisance=self.nuisance,
            most=self.most_controls,
            seed=self.seed,
        )

    @property
    def edited(self) -> int:
        """Edits of each swept pair: layers x (direction and controls) x α other than 0."""
        curves = len(self.layers) * (1 + sum(self.spec.controls.values()))
        return curves * sum(alpha != 0 for alpha in self.alphas)

    def save(self, folder: Path) -> None:
        """Write the settings into the folder of the experiment."""
        text = json.dumps({"format": FORMAT} | asdict(self), indent=1, ensure_ascii=False)
        write_whole(folder / FILE, text + "\n")


def load_experiment(folder: Path) -> Experiment:
    """Read what `Experiment.save` wrote.

    Raises:
        UserError: for a folder that this page did not begin, or a damaged file.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(
            f"{folder.name} was not begun on this page; resume it with the command that began it"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        lists = ("fractions", "layers", "positions", "alphas")
        return Experiment(**found | {name: tuple(found[name]) for name in lists})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} cannot be used ({error}); start a new experiment") from error


def read_form(info: Any, values: Mapping[str, Any]) -> Experiment:
    """Check the inputs of the form against the model they are meant for.

    Args:
        info: The model (name, layers, latents).
        values: By the names of `Experiment`, and `own`, the name of the file of one's own pairs.
            The name may be empty.

    Raises:
        UserError: naming the value, the limit and the next move.
    """
    site = checks.choose("site", values["site"], checks.SITES)
    found = Experiment(
        name=checked_name(values["name"]) if short_text("name", values["name"]).strip() else "",
        model=info.name,
        pairs=pairs_of(values["pairs"], values.get("own")),
        most=most_of(values["most"]),
        necessity=checks.choose("necessity", values["necessity"], NECESSITY_KINDS),
        filter=checks.choose("filter", values["filter"], FILTERS),
        fractions=fractions_of(values["fractions"]),
        balanced=bool(values["balanced"]),
        site=site,
        layers=layers_of(info, values["layers"]) if site == "residual" else (None,),
        positions=positions_of(info, values["positions"]),
        alphas=alphas_of(values["alphas"]),
        **{kind: controls_of(kind, values.get(kind)) for kind in (*CONTROL_KINDS, "most_controls")},
        seed=checks.whole("seed", values["seed"], 0, LARGEST_SEED),
        unit=checks.choose("unit of α", values["unit"], UNITS),
    )
    found.prepare.split  # noqa: B018  (both raise where settings exclude each other)
    return found


def controls_of(kind: str, value: Any) -> int:
    """How many controls of a kind, or of any at most; none where a form does not say."""
    name = f"number of {kind} controls" if kind in CONTROL_KINDS else "most controls of a kind"
    return 0 if value is None else checks.whole(name, value, 0, MOST_CONTROLS)


def checked_name(value: Any) -> str:
    """The name of a folder; spaces become dashes.

    Raises:
        UserError: for one that could lead out of the folder of all experiments.
    """
    name = "-".join(str(value or "").split())
    if not NAME.fullmatch(name):
        raise UserError(
            f"the name {name[:80]!r} cannot be used; give 1 to 60 letters, digits, dots, dashes or"
            " underscores, a letter or digit first"
        )
    return name


def pairs_of(choice: Any, own: Any) -> str:
    """A bundled set, or the name of a file that was handed in."""
    if choice == OWN:
        return str(own)
    return checks.choose("pairs", choice, BUNDLED)


def most_of(value: Any) -> int | None:
    """How many pairs are taken at most; None for all."""
    if value is None or (value in ("", 0) and not isinstance(value, bool)):
        return None
    return checks.whole("number of pairs", value, 4, MOST_PAIRS)


def fractions_of(value: Any) -> tuple[float, ...]:
    """Shares of fit, select and report, from text such as 0.4, 0.1, 0.5."""
    return tuple(number(part, "shares") for part in short_text("shares", value).split(","))


def layers_of(info: Any, values: Sequence[Any]) -> tuple[int, ...]:
    """Blocks 1..L, at least one."""
    if not checks.some("layers", values, info.layers):
        raise UserError("no layer is chosen; tick at least one")
    name = f"layer of {info.name}"
    return tuple(sorted({checks.whole(name, value, 1, info.layers) for value in values}))


def positions_of(info: Any, values: Sequence[Any]) -> tuple[int, ...]:
    """Positions 0..K, at least one."""
    if not checks.some("positions", values, info.latents + 1):
        raise UserError("no latent token is chosen; tick at least one")
    name = f"position of {info.name}"
    return tuple(sorted({checks.whole(name, value, 0, info.latents) for value in values}))


def alphas_of(value: Any) -> tuple[float, ...]:
    """A grid of α from text, -3:3:1 (start:stop:step) or -2,-1,1,2; 0 is always among them.

    Raises:
        UserError: for text that is no grid, or one too long or too wide.
    """
    text = short_text("α", value).replace("−", "-").strip()
    parts = [number(part, "α") for part in re.split("[:,]", text)]
    grid = ranged(parts, text) if ":" in text else parts
    if max(map(abs, grid)) > LARGEST_ALPHA or len(grid) > MOST_ALPHAS:
        raise UserError(
            f"α {checks.shown(text)} has {len(grid)} values up to {max(map(abs, grid)):g}, the"
            f" limits are {MOST_ALPHAS} values up to {LARGEST_ALPHA:g}; give fewer or smaller ones"
        )
    if not any(grid):
        raise UserError(f"α {checks.shown(text)} edits nothing; add a value other than 0")
    return tuple(sorted({0.0, *grid}))


def ranged(parts: Sequence[float], text: str) -> list[float]:
    """The values of start:stop:step, both ends included."""
    if len(parts) != 3 or "," in text or parts[2] <= 0 or parts[1] < parts[0]:
        raise UserError(
            f"α {checks.shown(text)} is no range; write start:stop:step, such as -3:3:1"
        )
    start, stop, step = parts
    steps = math.floor((stop - start) / step + 1e-9)
    # Rounded, so that 0 is 0 and not 5.6e-17: the baseline must be recognised.
    return [round(start + i * step, 10) + 0.0 for i in range(min(steps, MOST_ALPHAS) + 1)]


def short_text(what: str, value: Any) -> str:
    """Text of one line of the form; nothing is empty text.

    Raises:
        UserError: for other than text, or more than a line of it.
    """
    if not isinstance(value, str | None):
        raise UserError(f"{what} is {checks.shown(value)}; give text")
    if len(value or "") > MOST_TEXT:
        raise UserError(f"{what} has {len(value or ''):,} characters, the limit is {MOST_TEXT}")
    return value or ""


def number(text: str, what: str) -> float:
    """One finite number of a list."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UserError(
            f"{checks.shown(text.strip())} in {what} is no number; write numbers such as 0.5"
        )
    return found
