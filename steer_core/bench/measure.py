"""Three ways over the same rows in the same run: rates, ratios, ids, memory, share of the floor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from random import Random

import numpy as np
import torch

from steer_core.bench.floor import Rates, Work, best_of, finish, floor_seconds, measured_rates
from steer_core.bench.peak import Peak
from steer_core.bench.shapes import Subject
from steer_core.bench.transformers_way import Asked, TransformersWay
from steer_core.codi import cores, recording
from steer_core.codi.memory import predicted_peak, weight_bytes
from steer_core.experiment.grid import fill_grid, rows_between_updates
from steer_core.process import give_back_freed_memory
from steer_core.steering.spec import EditCurve
from steer_core.version import versions

BATCH = 128
"""Rows of the official evaluation's batches."""
TRIED = 4.0
"""Seconds in which a number of threads is chosen for transformers."""
Ids = dict[Asked, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One benchmark.

    Decodes a second of the three ways (medians over the repeats), `seconds` of the engine for all
    `rows`, also counted in decodes of the loop; `ids_equal` of `compared` rows;
    `share_of_ids_steered` of the edited rows have other ids than the plain row (None where one of
    both is missing). `floor_share` is the floor's time over the engine's. Memory in bytes, weights
    counted; on a GPU what the card has given away, its context and what torch keeps included.
    `recorded` batches take part in the times, `recording_s` that it took to record them does not.
    """

    date: str
    shape: str
    model: str
    device: str
    dtype: str
    cores: int
    rows: int
    questions: int
    layers: int
    alphas: int
    decodes_per_s: float
    one_row_per_s: float
    official_batch_per_s: float
    ratio_one_row: float
    ratio_official_batch: float
    seconds: float
    seconds_in_one_row_decodes: float
    seconds_warm: float
    floor_s: float
    floor_share: float
    peak_memory_bytes: int | None
    predicted_memory_bytes: int
    recorded: int
    recording_s: float
    compared: int
    ids_equal: bool
    share_of_ids_equal: float
    share_of_ids_steered: float | None
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds a row of each way in one repeat, and of the engine for the whole grid twice over."""

    one_row: float
    official: float
    cold: float
    warm: float


def grid_of(subject: Subject, alphas: Sequence[float]) -> list[Asked]:
    """Every row of the grid."""
    return [
        (question, layer, alpha)
        for layer in subject.layers
        for question in range(len(subject.problems))
        for alpha in alphas
    ]


def engine(subject: Subject, alphas: Sequence[float], cap: int | None) -> tuple[float, Ids]:
    """Seconds of the engine for the whole grid, and every row's ids."""
    positions = subject.model.config.positions[1:]
    curves = [
        EditCurve.along(subject.directions[at], "residual", at, positions) for at in subject.layers
    ]
    found: Ids = {}

    def keep(curve: int, alpha: int, problem: int, decoded) -> None:
        if curve >= 0:
            found[problem, subject.layers[curve], alphas[alpha]] = decoded.token_ids

    start = time.perf_counter()
    for _ in fill_grid(
        subject.model,
        subject.problems,
        curves,
        alphas,
        max_new_tokens=subject.max_new_tokens,
        on_row=keep,
        rows_at_a_time=cap,
    ):
        pass
    finish(subject.model.device)
    return time.perf_counter() - start, found


def best_threads(way: TransformersWay, rows: Sequence[Asked], batch: int) -> int:
    """Threads with which transformers decodes some rows fastest: one, or all cores.

    Both are tried in turn for `TRIED` seconds and judged by their best time, for one slow moment
    would handicap what the engine is compared with.
    """
    if way.device.type != "cpu":
        return 1
    times: dict[int, list[float]] = {1: [], cores.ACCOUNT.total: []}
    began = time.perf_counter()
    while time.perf_counter() - began < TRIED or not all(times.values()):
        for threads, taken in times.items():
            taken.append(transformers_run(way, rows, batch, threads)[0])
    return min(times, key=lambda threads: min(times[threads]))


def transformers_run(
    way: TransformersWay, rows: Sequence[Asked], batch: int, threads: int
) -> tuple[float, Ids]:
    """Seconds for some rows in batches of one layer each, and their ids."""
    found: Ids = {}
    torch.set_num_threads(threads)
    start = time.perf_counter()
    for i in range(0, len(rows), batch):
        part = rows[i : i + batch]
        found.update(zip(part, way.decode(part), strict=True))
    finish(way.device)
    return time.perf_counter() - start, found


def measure(
    subject: Subject,
    alphas: Sequence[float],
    *,
    sample: int,
    batches: int,
    repeats: int,
    cap: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Measured:
    """All three ways in turn, `repeats` times, so that a busy machine slows all of them.

    Args:
        subject: What is decoded.
        alphas: The alphas of the grid.
        sample: Random rows for the one-row loop, in every repeat.
        batches: Batches of 128 rows for the official way, in every repeat.
        repeats: How often.
        cap: Most rows of one of the engine's batches.
        say: Told what has been measured.
    """
    rows, way = grid_of(subject, alphas), TransformersWay(subject)
    chosen = Random(0)
    rates = measured_rates(subject.model, core_count(subject))
    subject.model.programs.forget()
    subject.model.session.forget()
    _, ids = engine(subject, alphas, cap)  # warm-up
    recording_s = record(subject, alphas, cap)
    way.decode(rows[:1])
    single = best_threads(way, rows[:4], 1)
    many = best_threads(way, rows[:BATCH], BATCH)
    slow: Ids = {}
    times = []
    for repeat in range(repeats):
        some = chosen.sample(rows, min(sample, len(rows)))
        one_row, found = transformers_run(way, some, 1, single)
        slow |= found
        part = one_layer(rows, batches, chosen)
        official, found = transformers_run(way, part, BATCH, many)
        slow |= found
        subject.model.session.forget()
        cold, _ = engine(subject, alphas, cap)
        warm, _ = engine(subject, alphas, cap)
        times.append(Times(one_row / len(some), official / len(part), cold, warm))
        say(
            f"{repeat + 1}/{repeats}: loop {len(some) / one_row:.1f}, official batches "
            f"{len(part) / official:.1f}, engine {len(rows) / cold:.1f} decodes/s"
        )
    subject.model.session.forget()
    give_back_freed_memory()
    with Peak(subject.model.device) as peak:
        engine(subject, alphas, cap)
    same = np.array([ids[row] == answer for row, answer in slow.items()])
    rates = best_of(rates, measured_rates(subject.model, core_count(subject)))
    return summary(subject, alphas, times, same, ids, peak, cap, rates, recording_s)


def record(subject: Subject, alphas: Sequence[float], cap: int | None) -> float:
    """Record the batches of the grid as far as they will be; the seconds that took."""
    programs, device = subject.model.programs, subject.model.device
    start = time.perf_counter()
    if device.type in recording.RECORDS:
        # Small batches are recorded when they come again, as batches of a first run and of one
        # that knows all questions; large ones while nobody waits.
        for forgotten in (True, False, True, False):
            if forgotten:
                subject.model.session.forget()
            engine(subject, alphas, cap)
            programs.build_waiting(device)
    finish(device)
    return time.perf_counter() - start


def core_count(subject: Subject) -> int:
    """CPU cores that the engine uses."""
    return cores.ACCOUNT.total if subject.model.device.type == "cpu" else 1


def one_layer(rows: list[Asked], batches: int, chosen: Random) -> list[Asked]:
    """Random rows of one layer, whole batches of them where there are enough."""
    layer = chosen.choice(rows)[1]
    same = [row for row in rows if row[1] == layer]
    return chosen.sample(same, min(batches * BATCH, len(same)))


def summary(
    subject: Subject,
    alphas: Sequence[float],
    times: Sequence[Times],
    same: np.ndarray,
    ids: Ids,
    peak: Peak,
    cap: int | None,
    rates: Rates,
    recording_s: float,
) -> Measured:
    """Medians and ratios."""
    model, rows = subject.model, len(ids)
    one_row, official, cold, warm = (
        float(np.median([getattr(t, name) for t in times]))
        for name in ("one_row", "official", "cold", "warm")
    )
    count = core_count(subject)
    least = floor_seconds(model, work_of(subject, ids, cap), rates)
    weights = weight_bytes(model)
    return Measured(
        date=date.today().isoformat(),
        shape=subject.shape,
        model=model.name,
        device=device_name(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
        cores=count,
        rows=rows,
        questions=len(subject.problems),
        layers=len(subject.layers),
        alphas=len(alphas),
        decodes_per_s=rows / cold,
        one_row_per_s=1 / one_row,
        official_batch_per_s=1 / official,
        ratio_one_row=one_row * rows / cold,
        ratio_official_batch=official * rows / cold,
        seconds=cold,
        seconds_in_one_row_decodes=cold / one_row,
        seconds_warm=warm,
        floor_s=least,
        floor_share=least / cold,
        peak_memory_bytes=peak.of_card or (None if peak.bytes is None else weights + peak.bytes),
        predicted_memory_bytes=predicted_peak(
            model, lengths(subject), rows, cap or rows_between_updates(model), count
        ),
        recorded=model.programs.count,
        recording_s=recording_s,
        compared=len(same),
        ids_equal=bool(same.all()),
        share_of_ids_equal=float(same.mean()),
        share_of_ids_steered=steered_share(ids),
        versions=versions(),
    )


def steered_share(ids: Ids) -> float | None:
    """Share of the edited rows whose ids differ from the plain row's; None where one is missing."""
    plain = {question: found for (question, _, alpha), found in ids.items() if alpha == 0}
    differ = [found != plain[q] for (q, _, alpha), found in ids.items() if alpha and q in plain]
    return float(np.mean(differ)) if differ else None


def lengths(subject: Subject) -> list[int]:
    """Tokens of every question."""
    return [len(subject.model.encode(p.question)) for p in subject.problems]


def work_of(subject: Subject, ids: Ids, cap: int | None) -> Work:
    """What the grid asks for; alpha 0 is one row for all layers."""
    rows = len({row if row[2] else (row[0],) for row in ids})
    limit = subject.max_new_tokens
    answer = float(np.mean([min(len(each) + 1, limit) for each in ids.values()]))
    prompt = float(np.mean(lengths(subject))) + 1
    batches = -(-rows // (cap or rows_between_updates(subject.model)))
    shared = float(np.mean(subject.layers))
    return Work(len(subject.problems), prompt, rows, answer, batches, shared)


def device_name(device) -> str:
    """The accelerator's name, or cpu."""
    if device.type != "cuda":
        return device.type
    return torch.cuda.get_device_name(device)


def as_json(measured: Measured) -> dict:
    """With numbers rounded to what means something."""
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in asdict(measured).items()
    }
