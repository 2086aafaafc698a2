"""Runs that were ended, in whatever way, and go on."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sweep_parts import (
    ROWS,
    fresh,
    same,
)

from steer_core.codi.engine import Cancelled
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.pipeline.records import SweepSpec
from steer_core.pipeline.run import run_sweep
from steer_core.pipeline.store import Store


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, decoded: Counter, caplog
):
    with Store.memory() as store, Store.memory() as whole:
        wanted = whole.table(run_sweep(fresh(model), asked, spec, whole).id)
        decoded.clear()
        for asks in (10, 60, 200):
            left = iter(range(asks))
            with pytest.raises(Cancelled):
                run_sweep(
                    fresh(model),
                    asked,
                    spec,
                    store,
                    stop=lambda left=left: next(left, None) is None,
                )
        (record,) = store.runs()
        assert 0 < record.done < record.total
        assert record.finished is None
        with caplog.at_level(logging.INFO):
            record = run_sweep(fresh(model), asked, spec, store)
        assert f"of {record.total} rows are stored" in caplog.text
        assert record.finished is not None
        same(store.table(record.id), wanted)
    edited = sum(count for (_, edits), count in decoded.items() if edits)
    assert edited <= record.total - len(asked) + 3 * ROWS, "more than the unit that was stopped"


def in_a_process(work: Callable[[], object]) -> multiprocessing.Process:
    """Start work in a process of its own, which has what was imported and patched here."""
    process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    process.start()
    return process


def test_killed_ten_times_it_ends_with_the_same_bits(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, tmp_path: Path
):
    def run(path: Path) -> None:
        torch.set_num_threads(1)
        with Store(path) as store:
            run_sweep(fresh(model), asked, spec, store)

    def finished(path: Path) -> float:
        began = time.perf_counter()
        process = in_a_process(lambda: run(path))
        process.join(600)
        assert process.exitcode == 0
        return time.perf_counter() - began

    whole, killed = tmp_path / "whole.sqlite", tmp_path / "killed.sqlite"
    seconds = finished(whole)
    rng, seen = np.random.default_rng(0), [0]
    for _ in range(10):
        process = in_a_process(lambda: run(killed))
        time.sleep(rng.uniform(0, seconds / 7))
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        if killed.exists():
            with Store(killed) as store:
                seen += [record.done for record in store.runs()]
    assert seen == sorted(seen)
    finished(killed)
    with Store(whole) as one, Store(killed) as other:
        (record,) = other.runs()
        assert record.done == record.total
        same(other.table(1), one.table(1))
    assert len({done for done in seen if 0 < done < record.total}) >= 2, "killed too early or late"


def test_two_processes_may_run_the_same_sweep(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, tmp_path: Path
):
    def run() -> None:
        torch.set_num_threads(1)
        with Store(tmp_path / "results.sqlite") as store:
            run_sweep(fresh(model), asked, spec, store)

    processes = [in_a_process(run) for _ in range(2)]
    for process in processes:
        process.join(600)
        assert process.exitcode == 0
    with Store(tmp_path / "results.sqlite") as store, Store.memory() as alone:
        (record,) = store.runs()
        assert record.done == record.total
        wanted = alone.table(run_sweep(fresh(model), asked, spec, alone).id)
        same(store.table(1), wanted)


def test_a_partial_run_holds_whole_pairs_of_a_random_order(
    model: CodiModel, asked: list[Pair], spec: SweepSpec
):
    firsts = set()
    for seed in range(4):
        with Store.memory() as store:
            enough = [False]

            def note(done: int, total: int, seconds: float, enough=enough) -> None:
                enough[0] = done > len(asked) + 30

            with pytest.raises(Cancelled):
                run_sweep(
                    model,
                    asked,
                    replace(spec, seed=seed),
                    store,
                    progress=note,
                    stop=lambda enough=enough: enough[0],
                )
            table = store.table(1)
            counts = table[table.kind != "baseline"].question_index.value_counts()
            assert (counts == 2 * 2 * 2 * 3).sum() >= len(counts) - 1
            firsts.add(counts.index[0])
    assert len(firsts) > 1


def test_progress_counts_up_to_all_rows(model: CodiModel, asked: list[Pair], spec: SweepSpec):
    seen: list[tuple] = []
    with Store.memory() as store:
        record = run_sweep(model, asked, spec, store, progress=lambda *now: seen.append(now))
        done, totals, seconds = zip(*seen, strict=True)
        assert list(done) == sorted(done)
        assert (done[0], done[-1]) == (0, record.total)
        assert set(totals) == {record.total}
        assert list(seconds) == sorted(seconds)
        assert 0 < record.seconds <= seconds[-1]
        assert len(done) > 20
