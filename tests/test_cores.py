"""Who computes on how many cores: one account for all requests."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from steer_core.codi import cores
from steer_core.codi.cores import Account, computing

WAIT = 20  # seconds, after which a test fails instead of hanging


def test_an_account_gives_what_is_free_and_takes_it_back():
    account = Account(3)
    with account.take(2) as first:
        assert (first, account.free) == (2, 1)
        with account.take(5) as second:
            assert (second, account.free) == (1, 0)
        assert account.free == 1
    with account.take(3) as every:
        assert every == 3
    assert account.free == 3


def test_an_error_gives_the_cores_back():
    account = Account(3)
    with pytest.raises(ZeroDivisionError), account.take(2):
        1 / 0  # noqa: B018
    assert account.free == 3


def test_whoever_finds_no_core_waits_for_one():
    account, got = Account(2), threading.Event()

    def ask() -> int:
        with account.take(2) as cores:
            got.set()
            return cores

    with ThreadPoolExecutor(1) as pool:
        with account.take(2):
            waiting = pool.submit(ask)
            assert not got.wait(0.1)
        assert waiting.result(WAIT) == 2


def test_never_more_cores_than_there_are():
    account, lock, busy, most = Account(3), threading.Lock(), [0], []

    def work(wanted: int) -> None:
        with account.take(wanted) as cores:
            with lock:
                busy[0] += cores
                most.append(busy[0])
            threading.Event().wait(0.002)
            with lock:
                busy[0] -= cores
            assert 1 <= cores <= wanted

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, 1 + i % 3) for i in range(40)]:
            done.result(WAIT)
    assert max(most) == 3
    assert account.free == 3


@pytest.mark.parametrize(
    ("hidden", "alone", "wanted"), [(512, True, 3), (512, False, 1), (128, True, 1)]
)
def test_only_a_wide_model_alone_takes_several_cores(
    hidden: int, alone: bool, wanted: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cores, "ACCOUNT", Account(3))
    threads = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    model = SimpleNamespace(device=torch.device("cpu"), config=SimpleNamespace(hidden=hidden))
    with computing(model, alone):
        assert cores.ACCOUNT.free == 3 - wanted
    assert threads == [wanted]
    assert cores.ACCOUNT.free == 3


def test_an_accelerator_asks_for_no_core(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cores, "ACCOUNT", Account(2))
    model = SimpleNamespace(device=torch.device("meta"))
    with computing(model, True):
        assert cores.ACCOUNT.free == 2
    assert cores.batches_at_once(model) == 1
