"""Batches beside each other: nothing lost, nothing doubled, errors and stops reach all of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_models import PLACES, QUESTIONS, noise, tiny_model

from steer_core import Edit
from steer_core.codi import cores
from steer_core.codi.cores import Account
from steer_core.codi.engine import Cancelled
from steer_core.codi.model import CodiModel
from steer_core.steering import batches
from steer_core.steering.decode import Decoded, Options, Row, acting, decode_rows
from steer_core.steering.grids import Grid
from steer_core.steering.workers import run_all

WAIT = 20  # seconds, after which a test fails instead of hanging
NO_MEMORY = (
    torch.OutOfMemoryError("full"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
)
Stop = Callable[[], bool]


def grids(*sizes: int) -> list[Grid]:
    """One question each, rows numbered through."""
    starts = np.cumsum((0, *sizes)).tolist()
    return [Grid((q,), (tuple(range(starts[q], starts[q + 1])),)) for q in range(len(sizes))]


def never() -> bool:
    return False


def until(stop: Stop) -> None:
    """Run until stopped, as a batch does."""
    pause, asked = threading.Event(), 0
    while not stop():
        pause.wait(0.005)
        asked += 1
        assert asked < WAIT * 200, "nobody stopped this batch"
    raise Cancelled


# --- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_every_batch_runs_once(at_once: int, count: int):
    asked = grids(*[2] * count)
    found = list(run_all(iter(asked), lambda grid, _: grid.rows, at_once, never))
    assert Counter(found) == Counter(grid.rows for grid in asked)
    if at_once == 1:
        assert found == [grid.rows for grid in asked]


def test_as_many_run_beside_each_other_as_asked_for():
    """Three meet, so three run at once; a fourth would be seen."""
    meeting, lock = threading.Barrier(3, timeout=WAIT), threading.Lock()
    running, most = set(), []

    def run(grid: Grid, _stop: Stop) -> Grid:
        with lock:
            running.add(grid)
            most.append(len(running))
        meeting.wait()
        with lock:
            running.remove(grid)
        meeting.wait()
        return grid

    assert len(list(run_all(grids(*[1] * 9), run, 3, never))) == 9
    assert max(most) == 3


def test_results_come_as_they_are_done():
    """The first batch waits for the third to have been given out."""
    seen = threading.Event()

    def run(grid: Grid, _stop: Stop) -> int:
        assert grid.questions != (0,) or seen.wait(WAIT)
        return grid.questions[0]

    found = []
    for question in run_all(grids(1, 1, 1), run, 2, never):
        found.append(question)
        if question == 2:
            seen.set()
    assert found == [1, 2, 0]


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_a_lack_of_memory_halves_only_the_batch_that_had_it(at_once: int, error: Exception):
    ran: list[tuple[int, ...]] = []

    def run(grid: Grid, _stop: Stop) -> tuple[int, ...]:
        rows = tuple(row for some in grid.rows for row in some)
        if len(rows) > 3:
            raise error
        ran.append(rows)
        return rows

    asked = [*grids(2, 9, 3, 1), Grid((4, 5, 6), ((15, 16), (17,), (18,)))]
    found = list(run_all(asked, run, at_once, never))
    assert sorted(row for rows in found for row in rows) == list(range(19))
    assert sorted(found) == sorted(ran)
    assert {(0, 1), (11, 12, 13), (14,)} <= set(found)
    assert max(map(len, found)) <= 3


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("sizes"), NO_MEMORY[0]])
def test_an_error_ends_the_others_and_is_raised(error: Exception):
    """Also a lack of memory for a single row."""
    started, ended = [], []
    beside = threading.Barrier(2, timeout=WAIT)

    def run(grid: Grid, stop: Stop) -> None:
        started.append(grid.questions[0])
        beside.wait()
        if grid.questions == (0,):
            raise error
        try:
            until(stop)
        finally:
            ended.append(grid.questions[0])

    with pytest.raises(type(error), match=str(error)):
        list(run_all(grids(1, 1, 1, 1), run, 2, never))
    assert sorted(started) == [0, 1]
    assert ended == [1]


def test_whoever_closes_the_iterator_ends_what_runs():
    ended = []

    def run(grid: Grid, stop: Stop) -> int:
        if grid.questions != (0,):
            try:
                until(stop)
            finally:
                ended.append(grid.questions[0])
        return 0

    stream = run_all(grids(1, 1, 1, 1), run, 2, never)
    assert next(stream) == 0
    stream.close()
    # Beside the first ran the second; whether the third had begun is a matter of time.
    assert 1 in ended
    assert set(ended) <= {1, 2}


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_stop_is_raised_once_every_batch_has_heard_it(at_once: int):
    told, ended = threading.Event(), []

    def run(grid: Grid, stop: Stop) -> None:
        told.set()
        try:
            until(stop)
        finally:
            ended.append(grid)

    with pytest.raises(Cancelled):
        list(run_all(grids(1, 1, 1), run, at_once, told.is_set))
    assert 1 <= len(ended) <= at_once


# --- decoding ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(params=[1, 3])
def account(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(cores, "ACCOUNT", Account(request.param))
    return cores.ACCOUNT


def rows_of(model: CodiModel) -> list[Row]:
    """Seven rows of each of four questions, plain ones among them, one row asked for twice."""
    edits = [Edit(noise(model, i), 1.0 + i, *PLACES[i % 5], (1, 2, 4)) for i in range(6)]
    rows = [Row(q, acting(model, edit)) for edit in (None, *edits) for q in range(4)]
    return [*rows, rows[9]]


def collect(model: CodiModel, stop: Stop = never) -> list[Decoded]:
    """All rows, each exactly once, in batches of at most 4."""
    model.session.forget()
    rows, found = rows_of(model), {}
    golds = [(q, 12) for q in range(len(QUESTIONS))]
    options = Options(5, hidden=True, max_rows=4)
    for batch in decode_rows(model, QUESTIONS, rows, options, stop, golds):
        assert not {where for where, _ in batch} & set(found)
        found.update(batch)
    assert sorted(found) == list(range(len(rows)))
    return [found[i] for i in range(len(rows))]


@pytest.fixture(scope="module")
def alone(model: CodiModel) -> list[Decoded]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(cores, "ACCOUNT", Account(1))
        return collect(model)


def assert_same(rows: list[Decoded], others: list[Decoded]) -> None:
    for row, other in zip(rows, others, strict=True):
        assert (row.question, row.token_ids) == (other.question, other.token_ids)
        np.testing.assert_allclose(row.states, other.states, rtol=0, atol=1e-4)
        wanted = pytest.approx(other.scores.logprobs, abs=1e-4)
        assert row.scores.logprobs == wanted
        assert row.scores.shift == pytest.approx(other.scores.shift, abs=1e-4)


def test_workers_change_no_result(model: CodiModel, account: Account, alone: list[Decoded]):
    assert_same(collect(model), alone)
    assert account.free == account.total


def test_memory_that_runs_out_changes_no_result(
    model: CodiModel, account: Account, alone: list[Decoded], monkeypatch: pytest.MonkeyPatch
):
    real, failed = batches.run_batch, []

    def run(model, prompts, rows, *args, **kwargs):
        if len(prompts) * rows > 2:
            failed.append(rows)
            raise NO_MEMORY[0]
        return real(model, prompts, rows, *args, **kwargs)

    monkeypatch.setattr(batches, "run_batch", run)
    assert_same(collect(model), alone)
    assert len(failed) > 3
    assert account.free == account.total


def test_a_stop_ends_the_decoding_and_gives_all_cores_back(model: CodiModel, account: Account):
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 15

    with pytest.raises(Cancelled):
        collect(model, stop)
    assert account.free == account.total
    assert len(asked) <= 16 + account.total


def test_a_few_rows_are_one_batch_and_many_are_shared_out(
    model: CodiModel, account: Account, monkeypatch: pytest.MonkeyPatch
):
    sizes, real = [], batches.run_batch

    def run(model, prompts, rows, *args, **kwargs):
        sizes.append(len(prompts) * rows)
        return real(model, prompts, rows, *args, **kwargs)

    monkeypatch.setattr(batches, "run_batch", run)
    d = noise(model)
    for count, wanted in ((12, 1), (cores.NARROW_ROWS * account.total, account.total)):
        sizes.clear()
        rows = [Row(0, (Edit(d, 1.0 + i, "residual", 1, (1,)),)) for i in range(count)]
        for cap in (None, 512):
            list(decode_rows(model, QUESTIONS[:1], rows, Options(1, max_rows=cap)))
        assert len(sizes) == 2 * wanted
