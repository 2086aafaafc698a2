"""Any instrument over pairs, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.errors import UserError
from steer_core.inspect import atlas as tables
from steer_core.inspect.atlas import Stop
from steer_core.inspect.atlas_states import path_atlas, probe_atlas
from steer_core.steering.spec import EditCurve

Table = Callable[[CodiModel, Sequence[Pair], EditCurve, float, Stop], Iterator[Any]]
ATLASES: Mapping[str, Table] = {
    "swap": tables.swap_atlas,
    "lens": tables.lens_atlas,
    "early": tables.early_atlas,
    "map": tables.map_atlas,
    "flip": tables.flip_atlas,
    "attention": tables.attention_atlas,
    "probe": probe_atlas,
    "paths": path_atlas,
}
EDITED = ("map", "flip")
"""Those that look at an edit."""


def atlas(
    model: CodiModel,
    pairs: Sequence[Pair],
    what: str,
    curve: EditCurve,
    alpha: float = 1.0,
    stop: Stop = lambda: False,
) -> Iterator[Any]:
    """An instrument over pairs, table by table as it grows.

    Args:
        model: The model.
        pairs: N pairs.
        what: One of `ATLASES`.
        curve: The edits, for those of `EDITED`.
        alpha: Their strength, for `map`.
        stop: Asked before each part; True ends it.

    Raises:
        UserError: for an unknown instrument, or edits that do not fit.
    """
    if what not in ATLASES:
        known = ", ".join(ATLASES)
        raise UserError(f"there is no table of {what} over pairs; choose one of {known}")
    yield from ATLASES[what](model, pairs, curve, alpha, stop)
