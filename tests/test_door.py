"""What reaches the page from outside: sizes, types, numbers of requests, and who sends them."""

from __future__ import annotations

import time
from types import SimpleNamespace

import fake_engine
import pytest
from page_server import API, JSON, served

from steer_core.errors import UserError
from steer_core.ui import door, settings, visitors
from steer_core.ui.door import DECODE, SWEEP, SWEEPS, VIEW
from steer_core.ui.handlers import Explorer
from steer_core.ui.lines import MOST_CHARACTERS, line_of
from steer_core.ui.page import SESSIONS
from steer_core.ui.requests import read_json
from steer_core.ui.visitors import Presence, address_of, is_console

DECODED = ["tiny-llama", "What is 2 + 2?", 1.0, None, None, "residual", "mean_difference"]
SWEPT = ["tiny-llama", None, None, "residual", "mean_difference", None]
EDITED = ["tiny-llama", "residual", 2, "", [1], "", "random", "add", "raw"]
"""Model, site, layer, α by layer, positions, α by position, direction, operation and unit."""
PAGE = {
    VIEW: ["pairs", "t001", "clean", "", None, *EDITED],
    SWEEP: ["tiny-llama", "residual", 2, "", [1, 2], "", "mean_difference", "add", "raw"],
}


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    explorer = Explorer(fake_engine.engine(batch_seconds=0.02, pairs=12), settle_seconds=0.0)
    with served(explorer, tmp_path_factory.mktemp("runs")) as script:
        yield script


@pytest.fixture
def slow(tmp_path):
    """A page whose sweeps last as long as anybody waits for them."""
    explorer = Explorer(fake_engine.engine(batch_seconds=0.5, pairs=12), settle_seconds=0.0)
    with served(explorer, tmp_path) as script:
        yield script


# One request


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, 5, "model 5 is unknown"),
        (0, {}, "model {} is unknown"),
        (1, [1], "the question is [1]; give text"),
        (1, "w " * 3000, "limit is 400 words"),
        (1, "half \ud83d", "half a character"),
        (1, "x" * 9000, "9000 characters), the limit is"),
        (1, "x" * 60_001, "60,001 characters, the limit is 60,000"),
        (2, "x" * 5000, "give a number"),
        (2, True, "α is True; give a number"),
        (2, 10**400, "from -3 to 3"),
        (3, [1], "give a number"),
        (3, 10**400, "whole number from 1 to 4"),
        (4, "abc", "give a list of at most 7"),
        (4, 5, "give a list of at most 7"),
        (4, [1] * 20, "positions has 20 values, the limit is 7"),
        (4, [1] * 600, "600 values, the limit is 512"),
        (4, [[[[[[[[[[1]]]]]]]]]], "deeper than 8"),
        (5, None, "site None is unknown"),
        (6, ["random"], "direction ['random'] is unknown"),
    ],
)
def test_a_wrong_value_is_one_line(script, place, value, words):
    data = [value if i == place else usual for i, usual in enumerate(DECODED)]
    answer = script.call("decode", data).encode().decode("unicode_escape", "ignore")
    assert words.replace("α", "") in answer.replace("α", "").replace("Î±", "")
    assert len(answer) < 2 * MOST_CHARACTERS + 200


@pytest.mark.parametrize(
    ("alphas", "words"),
    [
        ([0.1] * 62, "62 values, the limit is 61"),
        ([1.0] * 100_000, "65,536 bytes"),
        ("x", "give a list of at most 61"),
        ([None], "give a number"),
        ([9], "from -3 to 3"),
    ],
)
def test_a_sweep_takes_as_many_alphas_as_the_page_has(script, alphas, words):
    assert words in script.call("sweep", [*SWEPT[:5], alphas])


def test_work_is_counted_before_it_is_begun():
    assert settings.sweep_alphas([1.0], 240) == (0.0, 1.0)
    with pytest.raises(UserError, match="24,400 decodes, the limit of one request is 20,000"):
        settings.sweep_alphas(list(settings.STRIP_ALPHAS), 400)


def test_a_question_of_too_many_tokens_is_not_decoded(script, monkeypatch):
    monkeypatch.setattr("steer_core.ui.compute.PROMPT_TOKENS", 3)
    answer = script.call("decode", [DECODED[0], "one two three four", *DECODED[2:]])
    assert "the question has 4 tokens, the limit is 3" in answer


@pytest.mark.parametrize("value", [None, 7, "x" * 300, [1, [2]], {"a": 1}])
def test_every_event_of_the_page_survives_any_value(script, value, capfd):
    """Whatever is sent in place of each input: an answer, or one line."""
    for number, function in script.page.fns.items():
        if function.fn is None or function.name in ("restore", "named", "leave"):
            continue  # they take no input
        data = [value] * len(function.inputs)
        found = script.ask(number, data, event_data={"name": value, "names": value})
        if "data" not in found:
            line = found["error"]
            assert 0 < len(line or "") <= MOST_CHARACTERS + 20, (function.name, found)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" * 50_000, "no JSON"),
        (b"[1]", "a list; send one JSON object"),
        (b'{"data": 1, "fn_index": 0}', "data is a number"),
        (b'{"data": [], "fn_index": 99999}', "no such endpoint"),
        (b'{"data": [], "fn_index": true}', "no such endpoint"),
        (b'{"data": [], "session_hash": [], "fn_index": 0}', "session_hash"),
        (b'{"data": [], "trigger_id": "x", "fn_index": 0}', "trigger_id"),
    ],
)
def test_a_request_that_is_none_is_one_line(script, body, words):
    answer = script.http.post(f"{API}/queue/join", content=body, headers=JSON)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def test_a_request_names_how_many_values_are_missing(script):
    assert "decode takes 7 values, the request has 3" in script.call("decode", DECODED[:3])
    assert "choose one of models, decode, sweep, lens, swap" in script.call("nothing", [])


def test_a_request_of_another_type_is_not_quoted_back(script):
    found = script.http.post(f"{API}/queue/join", content=b"x" * 5000)
    assert found.status_code == 415
    assert len(found.text) < 300


def test_no_request_skips_the_queue(script):
    assert script.http.post(f"{API}/run/decode", json={"data": DECODED}).status_code == 404


@pytest.mark.parametrize("path", [f"{API}/queue/join", f"{API}/upload", "/login"])
def test_a_long_request_is_refused_unread(script, path):
    def without_length():
        for _ in range(90):
            yield b"x" * 65_536

    found = script.http.post(path, content=without_length())
    assert found.status_code == 413
    assert "limit of" in found.json()["detail"]


def test_a_request_that_does_not_arrive_ends(script, monkeypatch):
    monkeypatch.setattr(door, "BODY_SECONDS", 0.2)

    def slowly():
        yield b"{"
        time.sleep(0.5)
        yield b"}"

    assert script.http.post(f"{API}/queue/join", content=slowly()).status_code == 408


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/file=/etc/passwd",
        f"{API}/file/etc/passwd",
        f"{API}/proxy=https://a.b",
        "/monitoring",
    ],
)
def test_what_the_page_does_not_need_is_closed(script, path):
    assert script.http.get(path).json()["detail"] == "the page has no such address"


@pytest.mark.parametrize("path", ["/monitoring/summary", f"{API}/mcp/schema"])
def test_what_the_api_panel_asks_for_is_no_error(script, path):
    answer = script.http.get(path)
    assert (answer.status_code, answer.content) == (300, b"")


def test_a_session_that_was_forgotten_works_as_before(script):
    """Gradio keeps the inputs of some sessions only: no answer may depend on them."""
    holder = script.page.app.state_holder
    session = script.session()
    script.join(script.number(VIEW), PAGE[VIEW], session)
    first = script.listen(session)["data"][0]
    holder.session_data.clear()
    script.join(script.number(VIEW), PAGE[VIEW], session)
    again = script.listen(session)["data"][0]
    assert {**again, "serial": 0} == {**first, "serial": 0}
    assert "error" not in again


def test_sessions_are_bounded(script):
    holder = script.page.app.state_holder
    for _ in range(SESSIONS + 3):
        script.ask(script.number(VIEW), PAGE[VIEW])
    assert len(holder.session_data) == SESSIONS
    assert script.page._queue.ANALYTICS_MAX_EVENTS == 1


# Many requests


def test_waiting_sweeps_lock_nobody_out(slow):
    """64 sweeps of as many sessions wait: page, questions and endpoints answer as ever."""
    number = slow.number(SWEEP)
    joined = [slow.join(number, PAGE[SWEEP], f"crowd{i}").status_code for i in range(64)]
    assert joined == [200] * 64
    assert slow.http.get("/").status_code == 200
    assert slow.http.get("/config").status_code == 200
    assert "error" not in slow.ask(slow.number(VIEW), PAGE[VIEW])["data"][0]
    assert "The answer is" in slow.call("decode", DECODED)
    opened = next(i for i, fn in slow.page.fns.items() if fn.name == "restore")
    assert "data" in slow.ask(opened, [])


def test_a_sweep_that_a_newer_one_replaces_does_not_wait(slow):
    """However fast somebody changes the edit: only the newest sweep of a page is in the line."""
    number = slow.number(SWEEP)
    for i in range(20):
        slow.join(number, PAGE[SWEEP], f"crowd{i}")
    joined = [slow.join(number, PAGE[SWEEP], "ada") for _ in range(20)]
    assert {found.status_code for found in joined} == {200}
    waiting = slow.page._queue.event_queue_per_concurrency_id[SWEEP].queue
    assert [event._id for event in waiting if event.session_hash == "ada"] == [
        joined[-1].json()["event_id"]
    ]
    told = slow.listen("ada")
    assert told["data"] == [{"__type__": "update"}]


def test_who_has_left_does_not_wait_in_line(slow, monkeypatch):
    number = slow.number(SWEEP)
    for i in range(20):
        slow.join(number, PAGE[SWEEP], f"left{i}")
    monkeypatch.setattr(visitors, "ARRIVES_SECONDS", 0.0)
    slow.join(number, PAGE[SWEEP], "ada")
    waiting = slow.page._queue.event_queue_per_concurrency_id[SWEEP].queue
    assert {event.session_hash for event in waiting} <= {"ada"}


@pytest.mark.parametrize(("kind", "most"), [(SWEEP, 128), (SWEEPS, 8), (DECODE, 32)])
def test_what_is_over_a_bound_is_refused_at_once_with_one_line(slow, monkeypatch, kind, most):
    monkeypatch.setattr("steer_core.ui.gate.Gate.foreground", slow_turn)
    number, data = slow.number(kind), PAGE.get(kind, DECODED if kind == DECODE else SWEPT)
    statuses = [slow.join(number, data, f"many{i}") for i in range(most + 1)]
    assert [found.status_code for found in statuses] == [200] * most + [429]
    assert f"the limit is {most}; try later" in statuses[-1].json()["detail"]


def slow_turn(gate):
    """A turn that comes late."""
    time.sleep(0.5)
    return gate.background()


def test_bounds_of_one_kind_leave_room_for_the_others():
    assert sum(bound.total for bound in door.BOUNDS.values()) <= door.MOST_QUEUED
    for bound in door.BOUNDS.values():
        assert bound.session <= bound.address <= bound.total


def test_work_ends_when_nobody_comes_for_it(slow, monkeypatch):
    monkeypatch.setattr(visitors, "ARRIVES_SECONDS", 0.3)
    alphas = [round(0.1 * i, 1) for i in range(-30, 31)]
    assert slow.join(slow.number(SWEEPS), [*SWEPT[:5], alphas], "nobody").status_code == 200
    assert slow.idle(seconds=3)  # 61 batches of half a second would take half a minute


def test_work_ends_when_whoever_asked_leaves(slow, monkeypatch):
    monkeypatch.setattr(visitors, "RETURNS_SECONDS", 0.1)
    alphas = [round(0.1 * i, 1) for i in range(-30, 31)]
    slow.join(slow.number(SWEEPS), [*SWEPT[:5], alphas], "gone")
    with slow.http.stream("GET", f"{API}/queue/data?session_hash=gone"):
        time.sleep(0.3)
    assert slow.idle(seconds=3)


def test_answers_that_nobody_fetches_are_thrown_away(script, monkeypatch):
    monkeypatch.setattr(door, "KEPT_SESSIONS", 4)
    monkeypatch.setattr(door, "SILENT_SECONDS", 0.0)
    for i in range(20):
        script.join(script.number(VIEW), PAGE[VIEW], f"silent{i}")
        assert script.idle()
    silent = [key for key in script.page._queue.pending_messages_per_session if "silent" in key]
    assert len(silent) <= 5


# Who asks


@pytest.mark.parametrize(
    ("forwarded", "header", "address"),
    [
        (False, "1.2.3.4", "10.0.0.9"),
        (True, "", "10.0.0.9"),
        (True, "1.2.3.4", "1.2.3.4"),
        (True, "6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the first a client may have made up
        (True, "1.2.3.4, 10.1.1.1", "1.2.3.4"),  # the last is a machine of the proxy's own
        (True, "nonsense", "10.0.0.9"),
        (True, "2606:4700:1:2:3::4", "2606:4700:1:2::/64"),
    ],
)
def test_the_address_of_a_visitor(forwarded, header, address):
    scope = {"client": ("10.0.0.9", 1)}
    assert address_of(scope, {"x-forwarded-for": header}, forwarded) == address


@pytest.mark.parametrize(
    ("client", "headers", "console"),
    [
        ("127.0.0.1", {"host": "127.0.0.1:7860"}, True),
        ("::1", {"host": "[::1]:7860"}, True),
        ("127.0.0.1", {"host": "localhost:7860"}, True),
        ("127.0.0.1", {"host": "evil.example:7860"}, False),
        ("127.0.0.1", {"host": "localhost:7860", "x-forwarded-for": "1.2.3.4"}, False),
        ("10.0.0.9", {"host": "localhost:7860"}, False),
    ],
)
def test_who_sits_at_this_machine(client, headers, console):
    assert is_console({"client": (client, 1)}, headers) is console


def test_presence_follows_the_streams(monkeypatch):
    presence, began = Presence(), time.monotonic()
    assert presence.there("ada", began)  # may still arrive
    assert not presence.there("ada", began - visitors.ARRIVES_SECONDS - 1)
    with presence.listening("ada"), presence.listening("ada"):
        assert presence.there("ada", began - 100)
    assert presence.there("ada", began)  # may return
    monkeypatch.setattr(visitors, "RETURNS_SECONDS", 0.0)
    assert not presence.there("ada", began)
    assert presence.there("ada", time.monotonic())  # something else, asked for since


def test_who_left_is_not_remembered_for_ever(monkeypatch):
    monkeypatch.setattr(visitors, "REMEMBERED", 3)
    presence = Presence()
    for name in "abcdef":
        with presence.listening(name):
            pass
    assert list(presence._left) == ["d", "e", "f"]
    assert not presence._open


def test_newest_sweeps_are_forgotten_when_they_end(explorer, setting):
    list(explorer.sweep("ada", setting))
    assert explorer._newest == {}


# Words


def test_a_line_names_no_path_of_this_machine(tmp_path):
    line = line_of(UserError(f"{tmp_path}/runs/a.json cannot be used; see https://a.b/c/d\nor e/f"))
    assert line == "a.json cannot be used; see https://a.b/c/d or e/f"
    assert len(line_of(UserError("x" * 5000))) == MOST_CHARACTERS


def test_json_is_read_once_it_is_small():
    assert read_json(b'{"data": [1]}') == {"data": [1]}
    with pytest.raises(UserError, match="2,000 values"):
        read_json(b'{"data": [' + b",".join([b"[1,2,3]"] * 511) + b",[1,2,3]]}")


def test_a_request_from_elsewhere_is_nobody_known():
    assert visitors.still_there(SimpleNamespace(session_hash="a"))()
