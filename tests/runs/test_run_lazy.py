"""Controls that a run draws only where the first ones leave a verdict open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import pandas as pd
import pytest
from sweep_parts import fresh, same
from tiny_models import problems

from steer_core import UserError
from steer_core.codi.engine import Cancelled
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.pipeline import spec as specs
from steer_core.pipeline.records import SweepSpec
from steer_core.pipeline.run import run_sweep
from steer_core.pipeline.store import Store


class Judge:
    """Leaves kinds open until there are so many of each, and keeps what it was asked."""

    def __init__(self, **wanted: int):
        self.wanted, self.asked = wanted, []

    def __call__(self, table: pd.DataFrame, most: int) -> Iterable[str]:
        edited = table[table.kind != "baseline"]
        rows = edited.groupby(["layer", "positions", "direction"], observed=True).size()
        assert rows.nunique() == 1, "asked before everything is decoded"
        counts = edited.groupby("kind", observed=True).direction.nunique().to_dict()
        self.asked.append((counts, most))
        return [kind for kind, wanted in self.wanted.items() if counts[kind] < wanted]


FIRST = 2 * 2 * 3
"""Curves that the run begins with: layers, masks, and a direction with two controls."""


def later(store: Store, asks: int) -> Callable[[], bool]:
    """Stops so many decoding steps after the first later controls were entered."""
    left = iter(range(asks))

    def stop() -> bool:
        runs = store.runs()
        return bool(runs) and len(runs[0].curves) > FIRST and next(left, None) is None

    return stop


@pytest.fixture
def lazy(spec: SweepSpec) -> SweepSpec:
    """One control of each of two kinds, at most five."""
    return replace(spec, shuffled=1, random=1, most=5, alphas=(0.0, 2.0))


@pytest.fixture(autouse=True)
def small_fit(model: CodiModel, monkeypatch: pytest.MonkeyPatch):
    asked = problems(model)
    monkeypatch.setattr(specs, "bundled_fit_problems", lambda: asked)


def of_kind(store: Store, run: int, kind: str) -> list[str]:
    table = store.table(run)
    return sorted(set(table[table.kind == kind].direction.astype(str)))


def test_kinds_that_leave_it_open_are_doubled_up_to_the_most(
    model: CodiModel, asked: list[Pair], lazy: SweepSpec
):
    judge = Judge(random=9, shuffled=2)
    with Store.memory() as store:
        record = run_sweep(fresh(model), asked, lazy, store, needed=judge)
        assert [counts["random"] for counts, _ in judge.asked] == [1, 2, 4, 5]
        assert [counts["shuffled"] for counts, _ in judge.asked] == [1, 2, 2, 2]
        assert {most for _, most in judge.asked} == {5}
        assert of_kind(store, record.id, "random") == [f"random-{4 + i}" for i in range(5)]
        assert of_kind(store, record.id, "shuffled") == ["shuffled-4", "shuffled-5"]
        assert record.finished is not None
        assert record.done == record.total
        assert len(store.runs()) == 1
        assert len(store.summary(record.id)) == 2 * len(record.curves)


def test_later_controls_are_those_that_a_longer_run_begins_with(
    model: CodiModel, asked: list[Pair], lazy: SweepSpec
):
    longer = replace(lazy, random=5, shuffled=2, most=0)
    keys = ["layer", "positions", "direction", "kind", "alpha", "question_index"]
    with Store.memory() as store, Store.memory() as other:
        judge = Judge(random=9, shuffled=2)
        mine = store.table(run_sweep(fresh(model), asked, lazy, store, needed=judge).id)
        theirs = other.table(run_sweep(fresh(model), asked, longer, other).id)
    for found in (mine, theirs):
        found[["direction", "kind"]] = found[["direction", "kind"]].astype(str)
    columns = [*keys, "answer", "correct", "dose"]
    mine, theirs = (t.sort_values(keys)[columns].reset_index(drop=True) for t in (mine, theirs))
    pd.testing.assert_frame_equal(mine, theirs, rtol=1e-5)


@pytest.mark.parametrize("most", [0, 1])
def test_where_no_more_may_be_drawn_nobody_is_asked(
    model: CodiModel, asked: list[Pair], lazy: SweepSpec, most: int
):
    judge = Judge(random=9)
    with Store.memory() as store:
        run_sweep(fresh(model), asked, replace(lazy, most=most), store, needed=judge)
    assert judge.asked == []


def test_a_run_that_was_ended_among_its_later_controls_goes_on_to_the_same_bits(
    model: CodiModel, asked: list[Pair], lazy: SweepSpec
):
    def judge() -> Judge:
        return Judge(random=9, shuffled=2)

    with Store.memory() as store, Store.memory() as whole:
        wanted = run_sweep(fresh(model), asked, lazy, whole, needed=judge())
        for asks in (5, 25):
            with pytest.raises(Cancelled):
                run_sweep(fresh(model), asked, lazy, store, stop=later(store, asks), needed=judge())
            (record,) = store.runs()
            assert record.finished is None
            assert len(record.curves) > FIRST
            assert record.done < record.total
        record = run_sweep(fresh(model), asked, lazy, store, needed=judge())
        assert record.curves == wanted.curves
        same(store.table(record.id), whole.table(wanted.id))


def test_a_finished_run_is_not_judged_again(
    model: CodiModel, asked: list[Pair], lazy: SweepSpec, decoded: Counter
):
    with Store.memory() as store:
        first = run_sweep(fresh(model), asked, lazy, store, needed=Judge(random=2))
        decoded.clear()
        judge = Judge(random=9)
        again = run_sweep(fresh(model), asked, lazy, store, needed=judge)
    assert again == first
    assert judge.asked == []
    assert not [edits for _, edits in decoded if edits]


def test_later_controls_that_come_out_otherwise_are_refused(
    model: CodiModel, asked: list[Pair], lazy: SweepSpec, monkeypatch: pytest.MonkeyPatch
):
    with Store.memory() as store:
        run_sweep(fresh(model), asked, lazy, store, needed=Judge(random=2))
        monkeypatch.setattr(specs.Drawer, "later", lambda *_: [])
        with pytest.raises(UserError, match="control random-5 that cannot be drawn again"):
            run_sweep(fresh(model), asked, lazy, store, needed=Judge(random=2))


def test_by_default_it_is_the_verdict_that_is_asked(
    model: CodiModel, asked: list[Pair], lazy: SweepSpec, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    """With the looks at the same pairs, of which another run is one."""
    told = []

    def needed(table: pd.DataFrame, **options) -> tuple[str, ...]:
        told.append(options)
        return ()

    monkeypatch.setattr("steer_core.pipeline.lazy.more_controls_needed", needed)
    (tmp_path / "experiment").mkdir()
    with Store(tmp_path / "experiment" / "results.sqlite") as store:
        run_sweep(fresh(model), asked, replace(lazy, alphas=(1.0,), most=0), store)
        run_sweep(fresh(model), asked, lazy, store)
    assert told == [{"looks": 2.0, "most": 5, "before": None}]
