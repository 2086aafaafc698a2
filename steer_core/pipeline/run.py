"""Run a sweep into a store: what it is, where it comes from, and what of it is missing."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from steer_core.analysis.clusters import join_clusters
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair, problems_hash
from steer_core.errors import UserError
from steer_core.names import RANDOM, REAL
from steer_core.pipeline import ledger
from steer_core.pipeline.lazy import (
    Needed,
    by_table,
    counts_of,
    left_open,
    more_counts,
    restored,
)
from steer_core.pipeline.preparation import Preparation
from steer_core.pipeline.prepared import Prepared, problem_keys
from steer_core.pipeline.records import (
    Question,
    RunPlan,
    RunRecord,
    Setting,
    SweepSpec,
)
from steer_core.pipeline.resume import require_stored
from steer_core.pipeline.runner import Engine, Progress, Runner
from steer_core.pipeline.spec import Drawer, SpecCurve, check_spec
from steer_core.pipeline.stability import stability
from steer_core.pipeline.store import Store
from steer_core.steering.directions import Direction, place_name
from steer_core.steering.fit import FitSet
from steer_core.version import versions

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run notes beside its numbers.

    `pairs` as the user named them, `split` of a prepared folder that they are (None: a pair file),
    `command` line, and `name` of the run. `prepared` is that folder's content: what a report says
    of it is kept with the run, so that the folder may move or be made again. `who` looks at the
    pairs, for the ledger: page or command.
    """

    pairs: str = ""
    split: str | None = None
    command: str = ""
    name: str = ""
    prepared: Prepared | None = None
    who: str = "command"


def run_sweep(
    model: CodiModel,
    pairs: Sequence[Pair],
    spec: SweepSpec,
    store: Store,
    *,
    origin: Origin = Origin(),
    fit: FitSet | None = None,
    resume: bool = False,
    progress: Progress = lambda done, total, seconds: None,
    stop: Callable[[], bool] = lambda: False,
    needed: Needed | None = None,
    engine: Engine | None = None,
) -> RunRecord:
    """Decode the clean twins of pairs, unedited and at every α of every curve, into a store.

    Edited rows that are stored are not decoded. A run that was ended is found again by its content
    (model, spec, directions, pairs) and goes on; its table is then that of a run that was not
    ended, bit for bit where the batches are the same. How large those are depends on free memory,
    and on CUDA what is recorded on what ran before: then it is the same but for rounding.

    Args:
        model: The model.
        pairs: n pairs.
        spec: What is swept.
        store: Where rows go.
        origin: What is noted with the run.
        fit: What directions and shuffled controls are computed from, see `expand`.
        resume: Only go on with a run that the store holds; an empty store begins one.
        progress: Called after every batch.
        stop: Asked before every decoding step; True raises `steer_core.codi.engine.Cancelled`.
        needed: Says of which kinds more controls are drawn where the spec allows more; by default
            those that leave a verdict open.
        engine: Where it is decoded; this process when not given. Rows and table are the same with
            any, on processors of one kind with as many threads.

    Returns:
        The finished run.

    Raises:
        UserError: for no pairs, a spec, direction or question that does not fit the model, a run
            that is not the one to resume, or a store that cannot be written.
    """
    check_asked(model, pairs, spec)
    drawer = Drawer(model, spec, fit, stop)
    first = drawer.first()
    plan = plan_of(model, pairs, spec, first, origin, fit)
    if resume:
        require_stored(store, plan)
    later = restored(drawer, store.find(plan), first)
    while True:
        runner = Runner(model, plan, first, later, store, progress, stop, engine)
        note_look(store, runner.ids.run, plan, origin)
        runner.run()
        record = store.run(runner.ids.run)
        counts = counts_of(spec, record.curves[len(first) :])
        judge = (
            by_table(store, record, needed)
            if needed
            else left_open(store, record, right_before(origin))
        )
        more = more_counts(record, counts, judge)
        if more == counts:
            store.finish(record.id)
            return store.run(record.id)
        _log.info("the controls so far leave it open; going on to %s", words_of(more))
        later += drawer.later(counts, more)


def check_asked(model: CodiModel, pairs: Sequence[Pair], spec: SweepSpec) -> None:
    """Raise a `UserError` for what cannot be swept, before anything is decoded."""
    if not pairs:
        raise UserError("there are no pairs to sweep over; give at least one")
    check_spec(model, spec)
    for pair in pairs:
        model.encode(pair.clean.question)


def right_before(origin: Origin) -> float | None:
    """Share of right answers before the pairs were balanced by them; None where they were not."""
    preparation = origin.prepared and Preparation.of(origin.prepared)
    step = preparation and preparation.before_balance(origin.split)
    return step.percent / 100 if step else None


def note_look(store: Store, run: int, plan: RunPlan, origin: Origin) -> None:
    """Count a run as a look at its pairs, in the folder of its store; in memory nobody looks."""
    if store.path is not None:
        questions = [question.text for question in plan.questions]
        look = ledger.Look.of(store.run(run), questions, origin.who)
        ledger.note(store.path.parent / ledger.FILE, look)


def words_of(counts: Mapping[str, int]) -> str:
    """Numbers of controls by kind, as `sweep --controls` takes them."""
    return ",".join(f"{kind}={count}" for kind, count in counts.items())


def plan_of(
    model: CodiModel,
    pairs: Sequence[Pair],
    spec: SweepSpec,
    curves: Sequence[SpecCurve],
    origin: Origin,
    fit: FitSet | None = None,
) -> RunPlan:
    """A run as the store knows it."""
    return RunPlan(
        name=origin.name or f"{model.name} on {origin.pairs or 'pairs'}",
        setting=setting_of(model, spec),
        spec=spec,
        curves=tuple(curve.key for curve in curves),
        questions=tuple(
            Question(pair.clean.question, pair.clean.answer, pair.corrupted.answer)
            for pair in pairs
        ),
        pair_ids=tuple(pair.pair_id for pair in pairs),
        provenance=provenance_of(model, pairs, spec, curves, origin, fit),
    )


def setting_of(model: CodiModel, spec: SweepSpec) -> Setting:
    """Everything about the decoding that can change a result."""
    return Setting(
        model_sha256=model.sha256,
        latents=model.config.latents,
        dtype=str(model.dtype).removeprefix("torch."),
        device=model.device.type,
        max_new_tokens=spec.max_new_tokens,
    )


def provenance_of(
    model: CodiModel,
    pairs: Sequence[Pair],
    spec: SweepSpec,
    curves: Sequence[SpecCurve],
    origin: Origin,
    fit: FitSet | None,
) -> dict[str, object]:
    """Which model, pairs, directions, seed, versions and command a run comes from."""
    setting = dataclasses.asdict(setting_of(model, spec))
    drawn = [c.curve.parts[0][1] for c in curves if c.key.kind not in (REAL, RANDOM)]
    source = fit.provenance if fit else drawn[0].provenance if drawn else None
    return {
        "model": model.name,
        "revision": model.revision,
        "hidden": model.config.hidden,
        "layers": model.config.layers,
        **{name: value for name, value in setting.items() if name != "max_new_tokens"},
        "weights_sha256": model.weights_sha256,
        "keep_eos": model.config.keep_eos,
        "lora_alpha": model.lora_alpha,
        "pairs": origin.pairs,
        "pairs_sha256": problems_hash(p for pair in pairs for p in (pair.clean, pair.corrupted)),
        "split": origin.split,
        "n_pairs": len(pairs),
        "clusters": pair_clusters(pairs),
        "seed": spec.seed,
        "versions": versions(),
        "command": origin.command,
        "fit": source and dataclasses.asdict(source),
        "prepared": origin.prepared and Preparation.of(origin.prepared).to_json(),
        "directions": direction_sources(model, curves, fit if origin.split else None),
    }


def pair_clusters(pairs: Sequence[Pair]) -> list[int]:
    """A number for each pair, the same where they share a template, an id or a twin."""
    return join_clusters(
        [*problem_keys(pair), *template_key(pair.clean.template)] for pair in pairs
    ).tolist()


def template_key(template: str | None) -> list[tuple[str, str]]:
    """What pairs of one template share; nothing where none is known."""
    return [] if template is None else [("template", template)]


def direction_sources(
    model: CodiModel, curves: Sequence[SpecCurve], fit: FitSet | None
) -> dict[str, object]:
    """Every direction that is tested, by label and place: its norms, provenance and stability.

    Stability needs one problem a pair, as the fit split of prepared pairs has them: `fit`, else
    None.
    """
    found: dict[str, object] = {}
    for each in curves:
        for _, direction in each.curve.parts if each.key.kind == REAL else ():
            label = each.key.direction if not each.key.parts else direction.method
            name = f"{label}, {place_name(direction.site, direction.layer)}"
            if name not in found:
                found[name] = direction_source(model, direction, fit)
    return found


def direction_source(model: CodiModel, direction: Direction, fit: FitSet | None) -> dict:
    """One direction: where it is, its norm at every position, what it comes from."""
    origin = direction.provenance
    source = {} if origin is None else dataclasses.asdict(origin)
    norms = [round(float(norm), 6) for norm in direction.norms]
    source |= {"site": direction.site, "layer": direction.layer, "norms": norms}
    # Only of this very set: another file's halves are not known here.
    if fit is not None and origin == fit.provenance:
        halves = stability(model, fit, direction)
        source["stability"] = [half and dataclasses.asdict(half) for half in halves]
    return source
