"""Who computes on how many cores: one account for all requests."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from steer_core.codi import cores
from steer_core.codi.cores import Account, computing

WAIT = 20  # seconds, after which a test fails instead of hanging


def model_of(hidden: int, device: str = "cpu") -> Any:
    return SimpleNamespace(device=torch.device(device), config=SimpleNamespace(hidden=hidden))


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(cores, "ACCOUNT", Account(3))
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    return cores.ACCOUNT


def test_an_account_gives_what_is_free_and_takes_it_back():
    account = Account(3)
    assert (account.take(2), account.free) == (2, 1)
    assert (account.take(5), account.free) == (1, 0)
    account.give_back(2)
    assert account.free == 2
    account.give_back(1)
    assert (account.take(3), account.free) == (3, 0)


def test_an_error_gives_the_cores_back(account: Account):
    with pytest.raises(ZeroDivisionError), computing(model_of(512), True, lambda: False):
        1 / 0  # noqa: B018
    assert account.free == 3


def test_whoever_finds_no_core_waits_for_one():
    account, got = Account(2), threading.Event()

    def ask() -> int:
        cores = account.take(2)
        got.set()
        return cores

    with ThreadPoolExecutor(1) as pool:
        taken = account.take(2)
        waiting = pool.submit(ask)
        assert not got.wait(0.1)
        account.give_back(taken)
        assert waiting.result(WAIT) == 2


def test_never_more_cores_than_there_are(account: Account, monkeypatch: pytest.MonkeyPatch):
    lock, busy, most = threading.Lock(), [0], []
    mine = threading.local()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 0)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: setattr(mine, "cores", count))

    def work(alone: bool) -> None:
        with computing(model_of(512), alone, lambda: False) as stop:
            for _ in range(3):
                with lock:
                    busy[0] += mine.cores
                    most.append(busy[0])
                threading.Event().wait(0.001)
                with lock:
                    busy[0] -= mine.cores
                assert not stop()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, i % 2 == 0) for i in range(40)]:
            done.result(WAIT)
    assert max(most) == 3
    assert account.free == 3


def test_whoever_is_asked_to_stop_may_wait_for_others_that_need_the_cores(account: Account):
    """Else a run that lets a visitor go first keeps the cores the visitor waits for."""
    visited = threading.Event()

    def visit() -> None:
        with computing(model_of(512), True, lambda: False):
            visited.set()

    def let_a_visitor_go_first() -> bool:
        threading.Thread(target=visit).start()
        assert visited.wait(WAIT)
        return True

    with computing(model_of(512), True, let_a_visitor_go_first) as stop:
        assert account.free == 0
        assert stop()
        assert account.free == 0
    assert account.free == 3


@pytest.mark.parametrize(
    ("hidden", "alone", "wanted"), [(512, True, 3), (512, False, 1), (128, True, 1)]
)
def test_only_a_wide_model_alone_takes_several_cores(
    hidden: int, alone: bool, wanted: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cores, "ACCOUNT", Account(3))
    threads = [2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    with computing(model_of(hidden), alone, lambda: False):
        assert cores.ACCOUNT.free == 3 - wanted
        assert threads[-1] == wanted
    assert cores.ACCOUNT.free == 3
    assert threads[-1] == 2  # the caller's own work goes on as before


def test_who_waits_for_a_core_is_served_before_who_just_had_it(monkeypatch: pytest.MonkeyPatch):
    """A long batch asks before every step; whoever waits must not starve behind it."""
    monkeypatch.setattr(cores, "ACCOUNT", Account(1))
    waiting, served = threading.Event(), threading.Event()

    def visit() -> None:
        waiting.set()
        with computing(model_of(128), True, lambda: False):
            served.set()

    with computing(model_of(128), True, lambda: False) as stop:
        visitor = threading.Thread(target=visit)
        visitor.start()
        assert waiting.wait(WAIT)
        while not cores.ACCOUNT.waiting:
            threading.Event().wait(0.001)
        stop()
        assert served.is_set()
    visitor.join(WAIT)


def test_an_accelerator_asks_for_no_core(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cores, "ACCOUNT", Account(2))
    model = model_of(128, "meta")
    with computing(model, True, lambda: False):
        assert cores.ACCOUNT.free == 2
    assert cores.batches_at_once(model, 1000) == 1


@pytest.mark.parametrize(
    ("hidden", "rows", "wanted"),
    [(128, 0, 1), (128, 95, 1), (128, 96, 2), (128, 999, 3), (512, 127, 1), (512, 128, 2)],
)
def test_cores_get_batches_that_are_worth_it(hidden: int, rows: int, wanted: int, account: Account):
    assert cores.batches_at_once(model_of(hidden), rows) == wanted


def test_only_a_large_batch_of_a_narrow_model_on_a_cpu_rather_makes_another_pass():
    many = cores.MANY_ROWS
    assert not cores.saves_passes(model_of(128), many)
    assert cores.saves_passes(model_of(128), many - 1)
    assert cores.saves_passes(model_of(cores.WIDE), many)
    assert cores.saves_passes(model_of(128, "cuda"), many)
