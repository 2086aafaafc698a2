"""The model's part of an experiment: prepare, directions, sweep.

All of it goes through one function, so that a shared GPU is asked for in one place. On ZeroGPU that
function runs in a forked process that nobody can stop or hear, for a limited time; so it works in
slices of some seconds, and what a slice has decoded lies in the store, where the next one goes on.
Anywhere else one slice does everything.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from steer_core.data.pairs import dump_pairs, load_pairs
from steer_core.data.problems import Pair
from steer_core.errors import UserError
from steer_core.pipeline.journal import FILE as ANSWERS
from steer_core.pipeline.prepared import ABOUT_FILE, Prepared, load_prepared, write_whole
from steer_core.pipeline.store import FILE as STORE
from steer_core.pipeline.store import Store
from steer_core.ui.compute import loaded, start_seconds
from steer_core.ui.engine import Engine
from steer_core.ui.experiments.settings import BUNDLED, Experiment
from steer_core.ui.space import gpu

PREPARE, DIRECTIONS, SWEEP, REPORT = "prepare", "directions", "sweep", "report"
STAGES = (PREPARE, DIRECTIONS, SWEEP, REPORT)
PAIRS_USED = "pairs_used.json"
"""In the folder of an experiment: its pairs, where they are not a whole bundled set."""
DIRECTIONS_FOLDER = "directions"
SWEPT = "report"
"""The split that is swept: no direction was computed, no setting chosen on it."""
SLICE_SECONDS = 45.0
LONGEST_SECONDS = 240.0
"""The longest that a shared GPU is held: by preparing, which keeps its answers so far when it is
cut off, and by a slice that needs more than `SLICE_SECONDS` to store anything."""
TIDYING_SECONDS = 15
"""From the end of a slice's time to the end of its last decoding step."""

Progress = Callable[[str, int, int, float], None]
"""Called with a stage, how many of how many decodes of it are done, and the seconds it took."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a slice works on: an experiment in its folder, for at most some seconds."""

    experiment: Experiment
    folder: Path
    seconds: float = math.inf


def seconds_of(engine: Engine, order: Order, *_: Any) -> int:
    """Return the longest a slice may hold a shared GPU, in seconds."""
    prepared = (order.folder / ABOUT_FILE).is_file()
    spent = order.seconds + TIDYING_SECONDS if prepared else LONGEST_SECONDS
    return math.ceil(start_seconds(engine, order.experiment.model) + spent)


@gpu(duration=seconds_of)
def work(
    engine: Engine,
    order: Order,
    stop: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> Iterator[bool]:
    """Yield True once everything is decoded, or False when the slice is over before.

    `stop` and `progress` are asked and told before and after each decoding step; in a forked
    process there are none.

    Raises:
        UserError: for pairs or settings that do not fit the model.
    """
    loaded(engine, order.experiment.model)  # before the clock starts: a slice is time to decode
    ends = monotonic() + order.seconds
    told, asked = progress or (lambda *_: None), stop or (lambda: False)
    try:
        yield decoded(engine, order, lambda: asked() or monotonic() > ends, told)
    except engine.cancelled:
        if asked():
            raise
        yield False


def decoded(engine: Engine, order: Order, stop: Callable[[], bool], progress: Progress) -> bool:
    """Do what is missing; False when the rest is for another slice."""
    from steer_core.pipeline.ray_engine import engine_from
    from steer_core.pipeline.run import Origin, run_sweep

    experiment, folder = order.experiment, order.folder
    model = loaded(engine, experiment.model)
    if not (folder / ABOUT_FILE).is_file():
        sliced = math.isfinite(order.seconds)
        never = (lambda: False) if sliced else stop
        prepare_pairs(model, experiment, folder, never, progress).save(folder)
        if sliced:
            return False
    prepared = load_prepared(folder)
    fit = store_directions(model, experiment, folder, prepared, stop, progress)
    with Store(folder / STORE) as store:
        run_sweep(
            model,
            prepared.split(SWEPT),
            experiment.spec,
            store,
            origin=Origin(
                prepared.pairs_name,
                SWEPT,
                sweep_command(experiment, folder),
                prepared=prepared,
                who="page",
            ),
            fit=fit,
            progress=lambda done, total, seconds: progress(SWEEP, done, total, seconds),
            stop=stop,
            engine=engine_from(os.environ, model),
        )
    return True


def prepare_pairs(
    model: Any,
    experiment: Experiment,
    folder: Path,
    stop: Callable[[], bool],
    progress: Progress,
) -> Prepared:
    """Answer the pairs of an experiment and split them."""
    from steer_core.pipeline.prepare import prepare

    pairs, name = chosen_pairs(experiment, folder)
    began, tested = monotonic(), experiment.necessity != "none"
    stages: dict[str, int] = {}

    def told(stage: str, done: int, total: int) -> None:
        stages[stage] = total
        before, questions = sum(stages.values()) - total, max(stages.values())
        # All questions at baseline and without latents, then the clean ones with their twin's.
        whole = 2 * questions + len(pairs) if tested else questions
        progress(PREPARE, before + done, whole, monotonic() - began)

    return prepare(
        model,
        pairs,
        experiment.prepare,
        told,
        stop,
        name=name,
        command=prepare_command(experiment, folder),
        answers=folder / ANSWERS,
    )


def chosen_pairs(experiment: Experiment, folder: Path) -> tuple[list[Pair], str]:
    """The pairs and what they are called; a part of a set, or a file, is kept in the folder."""
    if (folder / PAIRS_USED).is_file():
        pairs = load_pairs(folder / PAIRS_USED)
        return pairs, f"{label_of(experiment.pairs)}, {len(pairs)} pairs"
    pairs = bundled_pairs(experiment.pairs)
    chosen = sample(pairs, experiment.most, experiment.seed)
    if len(chosen) == len(pairs):
        return pairs, experiment.pairs
    keep_pairs(folder, chosen)
    return chosen, f"{label_of(experiment.pairs)}, {len(chosen)} pairs"


def keep_pairs(folder: Path, pairs: Sequence[Pair]) -> None:
    """Put the pairs of an experiment into its folder."""
    write_whole(folder / PAIRS_USED, dump_pairs(pairs))


def bundled_pairs(pairs: str) -> list[Pair]:
    """The pairs of a bundled set.

    Raises:
        UserError: for a file that was handed in: its pairs are kept with the experiment, or gone.
    """
    if pairs not in BUNDLED:
        raise UserError(f"the pairs of {label_of(pairs)} are no longer here; upload it again")
    return [pair for name in pairs.split(",") for pair in load_pairs(name)]


def sample(pairs: Sequence[Pair], most: int | None, seed: int) -> list[Pair]:
    """At most so many of the pairs, drawn at random, in their order."""
    if most is None or most >= len(pairs):
        return list(pairs)
    drawn = np.random.default_rng(seed).permutation(len(pairs))[:most]
    return [pairs[i] for i in sorted(drawn.tolist())]


def label_of(pairs: str) -> str:
    """What a set of pairs is called; of a file its name."""
    return pairs if pairs in BUNDLED else Path(pairs).name


def store_directions(
    model: Any,
    experiment: Experiment,
    folder: Path,
    prepared: Prepared,
    stop: Callable[[], bool],
    progress: Progress,
) -> Any:
    """Write the direction of every layer, and return the fit set they come from."""
    from steer_core.pipeline.prepare import fit_from
    from steer_core.steering.directions import fitted, save_direction
    from steer_core.steering.library import direction_path

    began, layers = monotonic(), experiment.layers
    progress(DIRECTIONS, 0, len(layers), 0.0)
    fit = fit_from(model, prepared, stop)
    for count, layer in enumerate(layers, start=1):
        path = direction_path(folder / DIRECTIONS_FOLDER, experiment.site, layer)
        save_direction(fitted(model, fit, experiment.site, layer), path)
        progress(DIRECTIONS, count, len(layers), monotonic() - began)
    return fit


def prepare_command(experiment: Experiment, folder: Path) -> str:
    """The command that does the same as the first stage."""
    used = folder / PAIRS_USED
    pairs = f"{place_of(folder)}/{PAIRS_USED}" if used.is_file() else experiment.pairs
    shares = ",".join(f"{part:g}" for part in experiment.fractions)
    labels = "" if experiment.balanced else " --keep-all-labels"
    return (
        f"python -m steer_core prepare --model {experiment.model} --pairs {pairs}"
        f" --necessity {experiment.necessity} --filter {experiment.filter} --fractions {shares}"
        f"{labels} --seed {experiment.seed} --out {place_of(folder)}"
    )


def sweep_command(experiment: Experiment, folder: Path) -> str:
    """The command that goes on with the sweep, or repeats it."""
    spec, layers = experiment.spec, [layer for layer in experiment.layers if layer is not None]
    where = f" --layers {listed(layers)}" if layers else ""
    counts = spec.controls | ({"most": spec.most} if spec.most else {})
    controls = ",".join(f"{name}={count}" for name, count in counts.items()) or "none"
    return (
        f"python -m steer_core sweep --model {experiment.model} --split {place_of(folder)}"
        f" --site {spec.site}{where} --positions {listed(experiment.positions)}"
        f" --direction {spec.directions[0]} --alphas={listed(spec.alphas)}"
        f" --controls {controls} --seed {spec.seed} --out {place_of(folder)}"
    )


def place_of(folder: Path) -> str:
    """The folder of an experiment as reports name it: nobody needs to know where it lies here."""
    return f"{folder.parent.name}/{folder.name}"


def listed(values: Any) -> str:
    """Numbers as the commands take them."""
    return ",".join(f"{value:g}" for value in values)
