"""What identifies a stored result, and what is known of a run: plain data, no tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from steer_core.data.answers import Number, format_number
from steer_core.names import CONTROL_KINDS, REAL, DirectionRef

LATER: dict[str, object] = {
    **{"covariance": 0, "nuisance": 0, "most": 0},
    **{"sites": (), "operations": ("add",), "schedule": None, "at_once": (), "edits": ""},
    **{"operation": "add", "parts": ()},
}
"""Fields of specs and curves that runs had not at first: left out where they say nothing, so that a
run of before keeps its key."""


def said(record: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON keeps them; those of `LATER` where they say anything."""
    return {
        name: value
        for name, value in asdict(record).items()
        if name not in LATER or value != LATER[name]
    }


def canonical(value: object) -> str:
    """JSON of which equal values have equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """What one run decodes; everything that decides a result is in it, but model and pairs.

    `layers` of site residual, (None,) at the other sites; `alphas` count lengths of their
    direction; `masks`: sets of positions 0..K, each swept on its own; `directions`:
    `mean_difference` (from the fit set that the run is given, else the model's cached one),
    a control such as `random-SEED`, a safetensors file or a folder of them, each with a unit of
    alpha behind it or without (`steer_core.names`); `random`, `shuffled`, `covariance`, `nuisance`:
    number of controls of each kind for every direction; of the kinds that are drawn at all, up to
    `most` where so few leave a verdict open (0: no more). `seed` is that of the first control of
    each kind, nuisance labels apart, and of the order of the pairs. Besides: `sites`, more of them,
    at the same `layers` where they have layers; `operations`, each swept on its own; `schedule`,
    [K+1] factors of α by position; `at_once`, blocks that are edited together instead of `layers`;
    `edits`, JSON of an edits file (`steering.spec.specs_of`), one curve that takes the place of all
    of this.
    """

    site: str
    layers: tuple[int | None, ...]
    alphas: tuple[float, ...]
    masks: tuple[tuple[int, ...], ...]
    directions: tuple[str, ...] = ("mean_difference",)
    random: int = 0
    shuffled: int = 0
    seed: int = 0
    max_new_tokens: int = 256
    covariance: int = 0
    nuisance: int = 0
    most: int = 0
    sites: tuple[str, ...] = ()
    operations: tuple[str, ...] = ("add",)
    schedule: tuple[float, ...] | None = None
    at_once: tuple[int, ...] = ()
    edits: str = ""

    def __post_init__(self) -> None:
        # Equal grids are equal specs: each value once, masks as sets, -0.0 as the baseline's 0.0.
        each = {
            "layers": self.layers,
            "alphas": [float(alpha) + 0.0 for alpha in self.alphas],
            "masks": [tuple(sorted(set(mask))) for mask in self.masks],
            "directions": self.directions,
            "sites": [site for site in self.sites if site != self.site],
            "operations": self.operations,
            "at_once": self.at_once,
        }
        for name, values in each.items():
            object.__setattr__(self, name, tuple(dict.fromkeys(values)))
        if self.schedule is not None:
            object.__setattr__(self, "schedule", tuple(map(float, self.schedule)))

    @property
    def controls(self) -> dict[str, int]:
        """Number of controls of each kind that is drawn."""
        return {kind: count for kind in CONTROL_KINDS if (count := getattr(self, kind))}

    @property
    def content(self) -> dict[str, Any]:
        """See `said`."""
        return said(self)

    @classmethod
    def from_json(cls, text: str) -> SweepSpec:
        """The spec whose `content` was written as JSON."""
        found = json.loads(text)
        found["masks"] = [tuple(mask) for mask in found["masks"]]
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Setting:
    """What decodes: everything about model and decoding that can change a result.

    `model_sha256` is `CodiModel.sha256`; `latents` K, `dtype`, `device` (its type),
    `max_new_tokens`. Versions of libraries are provenance: a newer one does not make every stored
    row worthless.
    """

    model_sha256: str
    latents: int
    dtype: str
    device: str
    max_new_tokens: int

    @property
    def key(self) -> str:
        """Its identity in a store."""
        return canonical(asdict(self))


@dataclass(frozen=True, slots=True)
class PartKey:
    """One of several edits that are made together, at α = 1 of their curve; see `EditKey`."""

    operation: str
    site: str
    layer: int | None
    positions: tuple[int, ...]
    factor: float
    direction: str
    schedule: tuple[float, ...] | None = None

    @property
    def words(self) -> str:
        """What it does, for a reader; its direction is named elsewhere."""
        place = self.site if self.layer is None else f"{self.site} {self.layer}"
        times = "" if self.factor == 1 else f" × {self.factor:g}"
        return f"{self.operation} at {place}{times}{schedule_words(self.schedule)}"


@dataclass(frozen=True, slots=True)
class EditKey:
    """One edit by content; `direction` is the sha256 of its float32 bytes [K+1, D].

    `schedule`: factors of α by position, None without. `parts`: several edits that are made
    together, which then say everything but α.
    """

    operation: str
    site: str
    layer: int | None
    positions: tuple[int, ...]
    alpha: float
    direction: str
    schedule: tuple[float, ...] | None = None
    parts: tuple[PartKey, ...] = ()

    @property
    def key(self) -> str:
        """Its identity in a store; what an edit had not at first is left out where it is not."""
        place = [self.operation, self.site, self.layer, self.positions, self.alpha, self.direction]
        if self.parts:
            return canonical([*place, [asdict(part) for part in self.parts]])
        return canonical(place if self.schedule is None else [*place, self.schedule])


NO_EDIT = EditKey("", "", None, (), 0.0, "")
"""The unedited row of a question: α = 0 of every curve."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the answers it is scored against: its gold answer and its twin's."""

    text: str
    gold: Number
    twin: Number

    @property
    def key(self) -> tuple[str, str, str]:
        """Its identity in a store; numbers as answers write them."""
        return self.text, format_number(self.gold), format_number(self.twin)


@dataclass(frozen=True, slots=True)
class CurveKey:
    """One curve of a run: a direction (label and kind, `steer_core.names`), a place and a mask."""

    site: str
    layer: int | None
    positions: tuple[int, ...]
    direction: str
    kind: str
    sha256: str
    operation: str = "add"
    schedule: tuple[float, ...] | None = None
    parts: tuple[PartKey, ...] = ()

    def edit(self, alpha: float) -> EditKey:
        """The edit at one α."""
        if alpha == 0:
            return NO_EDIT
        place = self.operation, self.site, self.layer, self.positions
        return EditKey(*place, alpha, self.sha256, self.schedule, self.parts)

    @property
    def doing(self) -> str:
        """What is done along the direction: "add", "rotate", or all of several edits."""
        if self.parts:
            return ", then ".join(part.words for part in self.parts)
        return self.operation + schedule_words(self.schedule)

    def controls(self, real: CurveKey) -> bool:
        """Whether this is a control of a real curve, at its place; it may name the direction."""
        mine, its = ((key.site, key.layer, key.positions, key.doing) for key in (self, real))
        named = DirectionRef.of_label(self.direction).of
        return mine == its and self.kind != REAL and named in ("", real.direction)


@dataclass(frozen=True)
class RunPlan:
    """A run before it begins: N `questions` with their `pair_ids`, C `curves` x the spec's α.

    `provenance`: model, model_sha256, revision, device, dtype, latents, keep_eos, lora_alpha, pairs
    (their name), pairs_sha256, split, n_pairs, seed, versions, command, fit. `later`: controls
    that were drawn since it began, because the first ones left a verdict open; the run stays the
    same one.
    """

    name: str
    setting: Setting
    spec: SweepSpec
    curves: tuple[CurveKey, ...]
    questions: tuple[Question, ...]
    pair_ids: tuple[int | str, ...]
    provenance: Mapping[str, Any]
    later: tuple[CurveKey, ...] = ()

    @cached_property
    def cells(self) -> tuple[tuple[int, EditKey], ...]:
        """(index of the curve, edit) of everything decoded for a question, baseline (-1) first."""
        steered = [alpha for alpha in self.spec.alphas if alpha != 0]
        curves = enumerate((*self.curves, *self.later))
        cells = [(i, curve.edit(a)) for i, curve in curves for a in steered]
        return ((-1, NO_EDIT), *cells)

    @property
    def key(self) -> str:
        """Runs of equal key are one run: same decoding, grid, directions and pairs."""
        parts = [
            self.setting.key,
            self.spec.content,
            [said(curve) for curve in self.curves],
            [question.key for question in self.questions],
            self.pair_ids,
        ]
        return hashlib.sha256(canonical(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One stored run.

    `started` and `finished` (None while rows are missing) in ISO 8601, UTC; `provenance` as in
    `RunPlan`; `done` of `total` rows are stored, counted over distinct questions and edits;
    `seconds` were spent decoding, over all sittings.
    """

    id: int
    name: str
    started: str
    finished: str | None
    spec: SweepSpec
    curves: tuple[CurveKey, ...]
    provenance: dict[str, Any]
    done: int
    total: int
    seconds: float


def cell_places(run: RunRecord) -> list[tuple[int, float]]:
    """(index of the curve, α) of each cell of a run, the baseline (-1, 0.0) first."""
    steered = [alpha for alpha in run.spec.alphas if alpha]
    return [(-1, 0.0), *((c, alpha) for c in range(len(run.curves)) for alpha in steered)]


def positions_text(positions: Sequence[int]) -> str:
    """Positions as the commands take them: (1, 2, 3, 5) is "1-3,5"."""
    spans: list[list[int]] = []
    for k in sorted(positions):
        if spans and k == spans[-1][-1] + 1:
            spans[-1].append(k)
        else:
            spans.append([k])
    return ",".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else str(span[0]) for span in spans)


def schedule_words(schedule: Sequence[float] | None) -> str:
    """Factors by position for a reader; nothing where there are none."""
    return "" if schedule is None else f" × ({', '.join(f'{factor:g}' for factor in schedule)})"


def read_curves(text: str) -> tuple[CurveKey, ...]:
    """The curves of a stored run, from their JSON."""
    return tuple(read_curve(found) for found in json.loads(text))


def read_curve(found: dict[str, Any]) -> CurveKey:
    """One of them."""
    parts = tuple(PartKey(**tuples(part)) for part in found.get("parts", ()))
    return replace(CurveKey(**tuples(found)), parts=parts)


def tuples(found: dict[str, Any]) -> dict[str, Any]:
    """The same with tuples for lists, as dataclasses have them."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
