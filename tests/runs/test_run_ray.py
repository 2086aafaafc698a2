"""Runs decoded by workers: the rows of one process, whoever dies, under whichever engine."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fake_ray
import pytest
from fake_ray import OutOfMemoryError, Ray, RayActorError
from sweep_parts import fresh, same

from steer_core import UserError
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import Cancelled
from steer_core.data.problems import Pair
from steer_core.pipeline import ray_engine
from steer_core.pipeline.ray_engine import RayEngine, RayOptions
from steer_core.pipeline.records import SweepSpec
from steer_core.pipeline.run import run_sweep
from steer_core.pipeline.store import FILE, Store


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, model: CodiModel) -> Callable[..., tuple[Ray, RayEngine]]:
    """A made-up Ray, and the engine on it."""

    # The actors of the made-up Ray share this process, and its threads.
    monkeypatch.setattr(ray_engine, "set_threads", lambda count: None)

    def given(fault=lambda actor: None, workers: int = 3) -> tuple[Ray, RayEngine]:
        ray = Ray(fault)
        monkeypatch.setattr(ray_engine, "required", lambda: ray)
        return ray, RayEngine(lambda: fresh(model), RayOptions(workers=workers))

    return given


@pytest.fixture(scope="module")
def wanted(model: CodiModel, asked: list[Pair], file: str):
    """The table of one process."""
    from sweep_parts import ROWS, spec_of

    with pytest.MonkeyPatch.context() as patch, Store.memory() as store:
        patch.setattr("steer_core.pipeline.runner.unit_rows", lambda model: ROWS)
        return store.table(run_sweep(fresh(model), asked, spec_of(file), store).id)


def dying(*times: int, error: type[Exception] = RayActorError) -> Callable[[int], Exception | None]:
    """A fault at these batches, counted over all actors."""
    seen = iter(range(10**6))
    return lambda actor: error("it died") if next(seen) in times else None


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_table_is_that_of_one_process(
    use, model: CodiModel, asked: list[Pair], spec: SweepSpec, wanted, workers: int
):
    ray, engine = use(workers=workers)
    with Store.memory() as store:
        run = run_sweep(fresh(model), asked, spec, store, engine=engine)
        same(store.table(run.id), wanted)
        assert run.done == run.total
    assert ray.made == ray.killed == workers
    assert not ray.begun


def test_a_worker_that_dies_costs_its_batch(
    use, model: CodiModel, asked: list[Pair], spec: SweepSpec, wanted, decoded
):
    ray, engine = use(dying(0, 3, 4, 9))
    with Store.memory() as store:
        run = run_sweep(fresh(model), asked, spec, store, engine=engine)
        same(store.table(run.id), wanted)
    assert ray.made == 3 + 4
    edited = {key: count for key, count in decoded.items() if key[1]}
    assert max(edited.values()) == 1  # nothing that was handed over is decoded again


def test_memory_that_runs_out_makes_the_batches_of_one_worker_smaller(
    use, model: CodiModel, asked: list[Pair], spec: SweepSpec, wanted
):
    ray, engine = use(dying(2, 5, error=OutOfMemoryError), workers=2)
    with Store.memory() as store:
        same(store.table(run_sweep(fresh(model), asked, spec, store, engine=engine).id), wanted)
    caps = [arguments[-1] for arguments in ray.arguments]
    assert caps[:2] == [None, None]
    assert sorted(caps[2:], reverse=True) in ([2048, 2048], [2048, 1024])


def test_five_deaths_at_one_batch_end_the_run_and_another_engine_goes_on(
    use, model: CodiModel, asked: list[Pair], spec: SweepSpec, wanted, tmp_path: Path
):
    seen = iter(range(10**6))
    _, engine = use(lambda actor: RayActorError("gone") if next(seen) > 6 else None)
    with Store(tmp_path / FILE) as store:
        with pytest.raises(UserError, match=r"workers have died at one batch.*gone.*resume"):
            run_sweep(fresh(model), asked, spec, store, engine=engine)
        assert 0 < store.runs()[0].done < store.runs()[0].total
        run = run_sweep(fresh(model), asked, spec, store, resume=True)
        same(store.table(run.id), wanted)
        _, engine = use()
        again = run_sweep(fresh(model), asked, spec, store, resume=True, engine=engine)
        assert again.id == run.id


def test_a_run_that_was_stopped_goes_on_with_workers(
    use, model: CodiModel, asked: list[Pair], spec: SweepSpec, wanted
):
    ray, engine = use()
    seen = iter(range(10**6))
    with Store.memory() as store:
        with pytest.raises(Cancelled):
            run_sweep(fresh(model), asked, spec, store, engine=engine, stop=lambda: next(seen) > 5)
        assert ray.killed == ray.made
        begun = store.runs()[0]
        assert 0 < begun.done < begun.total
        _, engine = use(workers=2)
        run = run_sweep(fresh(model), asked, spec, store, resume=True, engine=engine)
        same(store.table(run.id), wanted)


def test_progress_counts_all_workers(use, model: CodiModel, asked: list[Pair], spec: SweepSpec):
    _, engine = use()
    told = []
    with Store.memory() as store:
        run = run_sweep(
            fresh(model),
            asked,
            spec,
            store,
            engine=engine,
            progress=lambda done, total, _: told.append((done, total)),
        )
    assert told[0] == (0, run.total)
    assert told[-1] == (run.total, run.total)
    assert told == sorted(told)


def test_what_a_worker_refuses_is_said_as_it_is(
    use, model: CodiModel, asked: list[Pair], spec: SweepSpec
):
    _, engine = use()
    other = replace(engine.load(), sha256="0" * 64)
    engine.load = lambda: other
    with Store.memory() as store, pytest.raises(UserError, match="loads other weights"):
        run_sweep(fresh(model), asked, spec, store, engine=engine)


def test_the_page_is_told_by_settings(model: CodiModel):
    assert ray_engine.engine_from({}, model) is None
    assert ray_engine.engine_from({"STEER_ENGINE": "local", "STEER_WORKERS": "9"}, model) is None
    found = ray_engine.engine_from({"STEER_ENGINE": "ray", "STEER_WORKERS": "3"}, model)
    assert found is not None
    assert (found.options.workers, found.options.gpus, found.options.address) == (3, 0.0, None)
    for settings, words in (
        ({"STEER_ENGINE": "dask"}, "STEER_ENGINE is 'dask'; choose one of local, ray"),
        ({"STEER_ENGINE": "ray", "STEER_WORKERS": "two"}, "STEER_WORKERS is 'two'"),
    ):
        with pytest.raises(UserError, match=words):
            ray_engine.engine_from(settings, model)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "0 workers decode nothing"),
        ({"gpus": -1.0}, "-1 GPUs per worker"),
        ({"threads": 0}, "0 threads are too few"),
    ],
)
def test_options_that_mean_nothing(options: dict, words: str):
    with pytest.raises(UserError, match=words):
        RayOptions(**options)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_is_one_line():
    with pytest.raises(UserError, match=r"needs Ray .*pip install 'steer-core\[ray\]'"):
        ray_engine.required()


def test_the_fake_names_what_ray_has():
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    for name in vars(fake_ray.Ray.exceptions):
        assert issubclass(getattr(ray.exceptions, name), Exception)
    for name in ("is_initialized", "init", "shutdown", "put", "get", "wait", "kill", "remote"):
        assert callable(getattr(ray, name))
