"""What whoever hosts the page relies on: health, a log without visitors' words, a graceful stop."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Iterator

import experiment_forms as forms
import fake_engine
import pytest
from page_server import Script, served

from steer_core.errors import UserError
from steer_core.ui import health, logs, serve
from steer_core.ui.door import Pace, Refused
from steer_core.ui.experiments import lab
from steer_core.ui.experiments.desk import Desk
from steer_core.ui.experiments.lab import STOPPED
from steer_core.ui.experiments.work import SWEEP
from steer_core.ui.limits import limits_from
from steer_core.ui.options import options_from
from steer_core.ui.serve import until_ended
from steer_core.version import __version__

SECRET = "How many zebras does Rumpelstiltskin keep?"
ASKED = ["tiny-llama", SECRET, 1.0, None, None, "residual", "mean_difference"]


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    with served(fake_engine.explorer(), tmp_path_factory.mktemp("runs")) as script:
        yield script


@pytest.fixture
def kept() -> Iterator[list[str]]:
    handler, level = Kept(), logs.log.level
    logs.log.addHandler(handler)
    logs.log.setLevel(logging.INFO)
    yield handler.lines
    logs.log.removeHandler(handler)
    logs.log.setLevel(level)


# Health


def test_health_says_what_runs(page: Script):
    answer = page.http.get(health.PATH)
    found = answer.json()
    assert answer.status_code == 200
    assert (found["status"], found["version"]) == ("ok", __version__)
    assert found["model"] in found["models"]
    assert (found["queue"], found["experiment"]) == ({}, "idle")
    assert set(found) == {
        *("status", "version", "model", "models", "device", "queue", "experiment", "seconds"),
    }


def test_a_page_that_stops_is_not_healthy(page: Script):
    _, desk = health.served_by(page.page)
    desk.lab.close(0.0)
    try:
        answer = page.http.get(health.PATH)
        assert (answer.status_code, answer.json()["status"]) == (503, "stopping")
        with pytest.raises(UserError, match="being stopped"):
            desk.start(forms.MODEL, forms.SMALL)
    finally:
        desk.lab._closing.clear()


# Log


def test_a_request_is_one_line_without_its_words(page: Script, kept: list[str]):
    page.call("decode", ASKED)
    page.call("decode", [*ASKED[:2], 99.0, *ASKED[3:]])
    page.call("sweep", ["tiny-llama", None, None, "residual", "mean_difference", [1.0]])
    rows = [json.loads(line) for line in kept]
    assert [(row["what"], row["outcome"]) for row in rows] == [
        ("decode", "ok"),
        ("decode", "refused"),
        ("sweeps", "ok"),
    ]
    assert [row["rows"] for row in rows] == [2, 0, 24]  # both alphas; none; 12 pairs of each
    assert [row["model"] for row in rows] == ["tiny-llama", "", "tiny-llama"]
    assert all(row["seconds"] >= 0 for row in rows)
    everything = "".join(kept)
    assert "zebras" not in everything
    assert "127.0.0.1" not in everything


def test_what_was_decoded_before_is_no_row(page: Script, kept: list[str]):
    for _ in range(2):
        page.call("decode", [*ASKED[:2], 0.5, *ASKED[3:]])
    assert [json.loads(line)["rows"] for line in kept] == [2, 0]


def test_a_request_that_is_sent_away_is_a_line(page: Script, kept: list[str]):
    assert page.http.get("/gradio_api/file=/etc/passwd").status_code == 404
    assert page.call("nothing-of-the-kind", []).startswith("{")
    assert [json.loads(line)["status"] for line in kept] == [404, 400]
    assert "passwd" not in "".join(kept)


def test_a_growing_result_is_one_line(kept: list[str]):
    def grows(n: int) -> Iterator[int]:
        for i in range(n):
            logs.counted("m", 10)
            yield i

    wrapped = logs.logged("sweep", "grows", grows)
    assert list(wrapped(3)) == [0, 1, 2]
    next(iter(wrapped(3)))  # whoever asked has left
    assert [json.loads(line)["rows"] for line in kept] == [30, 10]


def test_a_fault_of_ours_is_told_from_wrong_input(kept: list[str]):
    def fails(error: Exception) -> None:
        raise error

    wrapped = logs.logged("view", "fails", fails)
    for error in (UserError("too long"), ZeroDivisionError()):
        with pytest.raises(type(error)):
            wrapped(error)
    assert [json.loads(line)["outcome"] for line in kept] == ["refused", "failed"]


@pytest.mark.parametrize(
    ("environment", "log"),
    [
        ({}, False),
        ({"STEER_HOST": "0.0.0.0"}, True),
        ({"SPACE_ID": "a/b"}, True),
        ({"SPACE_ID": "a/b", "STEER_LOG": "off"}, False),
        ({"STEER_LOG": "json"}, True),
    ],
)
def test_who_gets_a_log(environment: dict[str, str], log: bool):
    assert options_from(environment).log is log


# Limits


def test_an_address_has_so_many_requests_in_a_minute(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr("steer_core.ui.door.time.monotonic", lambda: now[0])
    pace = Pace(2)
    for address in ("a", "b", "a"):
        pace.check(address)
    with pytest.raises(Refused, match="more than 2 requests from your address in a minute"):
        pace.check("a")
    pace.check("b")
    now[0] = 60.0
    pace.check("a")


def test_the_limit_of_requests_is_a_setting():
    assert limits_from({"STEER_MAX_REQUESTS": "7"}).requests == 7
    assert limits_from({"SPACE_ID": "a/b"}).requests < limits_from({}).requests


def test_tools_without_their_package_are_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="mcp is not installed; pip install"):
        serve.check_tools()


# Stop


def test_the_batch_in_flight_is_stored(tmp_path, monkeypatch: pytest.MonkeyPatch):
    desk = Desk(fake_engine.explorer(), tmp_path)
    stored: list[int] = []
    decoding, finish = threading.Event(), threading.Event()

    def batches(engine, order, stop, told):
        for batch in range(3):
            decoding.set()
            assert finish.wait(10)
            assert not stop()
            stored.append(batch)
            told(SWEEP, batch + 1, 3, 1.0)
        yield True

    monkeypatch.setattr(lab, "work", batches)
    desk.start(forms.MODEL, forms.SMALL)
    assert decoding.wait(10)
    ends = threading.Thread(target=desk.lab.close, args=(10.0,))
    ends.start()
    while not desk.lab.closing:
        pass
    finish.set()
    ends.join()
    assert stored == [0]
    assert desk.lab.state.status == STOPPED
    assert "Resume" in desk.lab.state.message


def test_a_batch_that_takes_too_long_is_cut_off(tmp_path, monkeypatch: pytest.MonkeyPatch):
    desk = Desk(fake_engine.explorer(), tmp_path)

    def endless(engine, order, stop, told):
        while not stop():
            pass
        raise engine.cancelled
        yield

    monkeypatch.setattr(lab, "work", endless)
    desk.start(forms.MODEL, forms.SMALL)
    desk.lab.close(0.1)
    assert desk.lab.wait(10).status == STOPPED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_page_in_order(number: signal.Signals):
    before = signal.getsignal(number)
    with until_ended() as ended:
        assert not ended.is_set()
        os.kill(os.getpid(), number)
        assert ended.wait(5)
    assert signal.getsignal(number) is before
