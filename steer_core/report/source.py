"""What a report is made from: one run of a folder, its analysis, and what lies beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from steer_core.analysis.analyse import Analysis, analyse_grid
from steer_core.analysis.cells import Grid
from steer_core.analysis.equal import Side, sides_of
from steer_core.box import DIRECTIONS_DIR
from steer_core.data.problems import problems_hash
from steer_core.errors import UserError
from steer_core.names import BASELINE, REAL
from steer_core.pipeline.changes import change_table
from steer_core.pipeline.kept_runs import DAMAGE, what
from steer_core.pipeline.ledger import Looks, looks_at
from steer_core.pipeline.outcomes import FLIPS, NOT_FINITE
from steer_core.pipeline.preparation import Preparation
from steer_core.pipeline.prepared import ABOUT_FILE, Prepared, load_prepared
from steer_core.pipeline.records import RunRecord
from steer_core.pipeline.store import FILE, Store

DIRECTIONS = "directions"
"""Folder of an experiment that holds its direction files."""


@dataclass(frozen=True, slots=True, eq=False)
class DirectionFacts:
    """A direction: `norms` float [K+1], one a position, and its `provenance`, empty if unknown.

    `stability`: at each position the split-half cosine with its limits (`cosine`, `low`, `high`),
    None where there is none; empty when it was not computed.
    """

    site: str
    layer: int | None
    norms: np.ndarray
    provenance: Mapping[str, Any]
    stability: tuple[Mapping[str, float] | None, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One run with everything a report says of it.

    `changes` is its `change_table`; `others` are the ids of the other runs in the folder;
    `prepared` (None: the pairs were not) and `directions` are what the run notes, or what lies
    beside it and belongs to it; `seed` is that of the analysis. `overflowed`: how many rows have
    numbers that are not finite, and at which α; they are missing from the analysis. `looks`: what
    else was looked at on its pairs. `sides`: both signs of every curve that is no control.
    """

    folder: Path
    record: RunRecord
    others: tuple[int, ...]
    analysis: Analysis
    changes: pd.DataFrame
    prepared: Preparation | None = None
    directions: tuple[DirectionFacts, ...] = ()
    looks: Looks = field(default_factory=lambda: Looks(1))
    seed: int = 0
    overflowed: tuple[int, tuple[float, ...]] = (0, ())
    sides: tuple[Side, ...] = ()

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.fact("model") or self.record.name)

    @property
    def split(self) -> str | None:
        """The split that was swept; None for pairs that were not split."""
        return self.fact("split")

    def fact(self, name: str):
        """An entry of the run's provenance, None where there is none."""
        return self.record.provenance.get(name)


def load_source(folder: Path, run: int | None = None, seed: int = 0) -> Source:
    """Read a folder and analyse one of its runs.

    Args:
        folder: Folder of an experiment, as `sweep --out` wrote it.
        run: Id of the run; the newest one that has rows when not given.
        seed: Of the analysis.

    Raises:
        UserError: for a folder without results, an unknown run, or one without a complete pair.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(
            f"{folder} holds no results ({FILE} is missing); run 'sweep --out {folder}' first"
        )
    with Store(path, create=False) as store:
        records = store.readable()
        if not records:
            raise UserError(f"{path} holds no run; run 'sweep --out {folder}' first")
        record = pick(records, run, folder)
        grid, tally = store.grid(record.id, expected_rows(record)), store.tally(record.id)
        table = store.table(record.id)
    try:
        return source_of(folder, record, records, grid, tally, table, seed)
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(
            f"run {record.id} of {folder} is damaged ({what(error)}); choose another with --run"
        ) from error


def source_of(
    folder: Path,
    record: RunRecord,
    records: list[RunRecord],
    grid: Grid,
    tally: pd.DataFrame,
    table: pd.DataFrame,
    seed: int,
) -> Source:
    """One run with its analysis and what lies beside it."""
    prepared = preparation_of(folder, record)
    looks = looks_at(folder, record, records)
    finite = pd.DataFrame(table[table["flip"] != FLIPS[NOT_FINITE]])
    return Source(
        folder=folder,
        record=record,
        others=tuple(each.id for each in records if each.id != record.id),
        analysis=analyse_grid(
            grid,
            before=right_before(prepared, record),
            looks=looks.factor,
            chosen=looks.chosen,
            seed=seed,
        ),
        changes=change_table(table),
        prepared=prepared,
        directions=directions_of(folder, record),
        looks=looks,
        seed=seed,
        overflowed=overflowed_rows(tally),
        sides=tuple(sides_of(pd.DataFrame(finite[finite["kind"].isin((BASELINE, REAL))]))),
    )


def overflowed_rows(tally: pd.DataFrame) -> tuple[int, tuple[float, ...]]:
    """How many rows overflowed, and at which α."""
    lost = tally[tally["nonfinite"] > 0]
    return sum(lost["nonfinite"].tolist()), tuple(sorted(set(lost["alpha"].tolist())))


def pick(records: list[RunRecord], run: int | None, folder: Path) -> RunRecord:
    """The run of this id, or the newest that has rows."""
    if run is None:
        return next((each for each in reversed(records) if each.done), records[-1])
    found = [each for each in records if each.id == run]
    if not found:
        ids = ", ".join(str(each.id) for each in records)
        raise UserError(f"run {run} is not in {folder}; choose one of {ids}")
    return found[0]


def expected_rows(record: RunRecord) -> int | None:
    """Rows of the run's table once it is finished; None when its pairs were not counted."""
    pairs = record.provenance.get("n_pairs")
    edited = sum(alpha != 0 for alpha in record.spec.alphas)
    return None if pairs is None else int(pairs) * (1 + len(record.curves) * edited)


def right_before(prepared: Preparation | None, record: RunRecord) -> float | None:
    """Share of right answers before pairs were balanced by them; None where they were not."""
    split = record.provenance.get("split")
    step = None if prepared is None else prepared.before_balance(split)
    return step and step.percent / 100


def preparation_of(folder: Path, record: RunRecord) -> Preparation | None:
    """Where the pairs of a run come from: as it notes, else as its folder says, if it is of it."""
    if noted := record.provenance.get("prepared"):
        return Preparation.from_json(noted)
    if not (folder / ABOUT_FILE).is_file():
        return None
    prepared = load_prepared(folder)
    return Preparation.of(prepared) if is_of(prepared, record) else None


def is_of(prepared: Prepared, record: RunRecord) -> bool:
    """Whether a run swept over these very pairs; a folder may have been prepared again since."""
    split, facts = record.provenance.get("split"), record.provenance
    if split is None:
        return False
    pairs = prepared.split(split)
    problems = (problem for pair in pairs for problem in (pair.clean, pair.corrupted))
    return problems_hash(problems) == facts.get("pairs_sha256")


def directions_of(folder: Path, record: RunRecord) -> tuple[DirectionFacts, ...]:
    """The directions of a run: as it notes them, else from files that belong to it.

    A file that was computed from other weights or other problems than the run notes is passed over.
    """
    noted = (record.provenance.get("directions") or {}).values()
    if found := [noted_direction(each) for each in noted if "norms" in each]:
        return in_order(found)
    name = Path(str(record.provenance.get("model", ""))).name
    mine = tuple(each for each in read_directions(folder / DIRECTIONS) if belongs(each, record))
    if mine or not name:
        return mine
    return tuple(each for each in read_directions(DIRECTIONS_DIR / name) if belongs(each, record))


def noted_direction(noted: Mapping[str, Any]) -> DirectionFacts:
    """A direction as a run notes it."""
    stability = tuple(noted.get("stability") or ())
    norms = np.array(noted["norms"], dtype=np.float64)
    return DirectionFacts(noted["site"], noted["layer"], norms, noted, stability)


def belongs(found: DirectionFacts, record: RunRecord) -> bool:
    """Whether a direction file has the provenance that a run notes of its directions."""
    noted = (record.provenance.get("directions") or {}).values()
    names = ("model_sha256", "problems_sha256")
    used = [tuple(each.get(name) for name in names) for each in noted]
    return tuple(found.provenance.get(name) for name in names) in used


def read_directions(folder: Path) -> tuple[DirectionFacts, ...]:
    """Every direction file of a folder, by site and layer; other files are passed over."""
    found = [read_direction(path) for path in sorted(folder.rglob("*.safetensors"))]
    return in_order(each for each in found if each is not None)


def in_order(found: Iterable[DirectionFacts]) -> tuple[DirectionFacts, ...]:
    """Directions by site and layer."""
    return tuple(sorted(found, key=lambda each: (each.site != "residual", each.layer or 0)))


def read_direction(path: Path) -> DirectionFacts | None:
    """One direction file; None for a file that is none."""
    try:
        with safe_open(path, "np") as file:
            vectors = np.atleast_2d(file.get_tensor("direction").astype(np.float64))
            about = json.loads((file.metadata() or {}).get("steer_core", "{}"))
        site, layer = about.get("site") or path.stem, about.get("layer")
    except (OSError, SafetensorError, *DAMAGE):
        return None
    norms = np.linalg.norm(vectors, axis=-1)
    return DirectionFacts(site, layer, norms, about.get("provenance") or {})


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of a model; None where it is not known."""

    parameters: int | None = None
    hidden: int | None = None
    layers: int | None = None


def shape_of(source: Source) -> Shape:
    """Size of the model of a run: as the run noted it, else by the model's name."""
    # Imported late: it takes seconds, and only a comparison of models asks for it.
    from steer_core.codi.listing import list_models

    known = {each.name: each for each in list_models()}.get(source.model)
    names = [field.name for field in dataclasses.fields(Shape)]
    return Shape(**{name: source.fact(name) or getattr(known, name, None) for name in names})
