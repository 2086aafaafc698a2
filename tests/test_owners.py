"""Experiments of many visitors on one page: whose they are, what they may take, what is told."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import fake_engine
import httpx
import pytest
from experiment_forms import SMALL
from gradio.utils import get_upload_folder
from page_server import API, served

from steer_core.codi.places import MODELS_DIR
from steer_core.data.pairs import dump_pairs, load_pairs
from steer_core.errors import UserError
from steer_core.ui.compute import loaded
from steer_core.ui.door import MOST_UPLOAD
from steer_core.ui.engine import library, shown_name
from steer_core.ui.experiments import owners, uploads
from steer_core.ui.experiments.desk import Desk
from steer_core.ui.experiments.files import answer
from steer_core.ui.experiments.lab import RUNNING, STOPPING, State
from steer_core.ui.experiments.owners import FILE, Who, who_asks
from steer_core.ui.experiments.shelf import KEPT_COMPARISONS, newest_first
from steer_core.ui.experiments.uploads import Uploads
from steer_core.ui.experiments.work import prepare_command, sweep_command
from steer_core.ui.handlers import Explorer
from steer_core.ui.limits import PUBLIC, Limits, limits_from
from steer_core.ui.options import Options, options_from

MODEL = "tiny-llama"
ADA, BOB, CONSOLE = Who("a" * 32, False), Who("b" * 32, False), Who()
NOBODY = Who("", False)
"""A browser that sends no key, or a script."""


def desk_of(explorer, folder: Path, **limits) -> Desk:
    """A desk whose experiments begin and decode nothing."""
    desk = Desk(explorer, folder, Limits(**limits))
    desk.lab._launch = lambda experiment: None
    return desk


@pytest.fixture
def desk(explorer, tmp_path):
    """With an experiment of Ada's."""
    desk = desk_of(explorer, tmp_path / "runs")
    desk.start(MODEL, SMALL, ADA)
    return desk


def refused(action, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        action()
    assert "\n" not in str(error.value)


# Whose it is


@pytest.mark.parametrize("who", [BOB, NOBODY])
def test_others_look_but_change_nothing(desk, who):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in desk.lab.folder.rglob("*"))
    desk.lab._state = State(RUNNING, "small")
    refused(lambda: desk.lab.cancel(who), "'small' was begun by somebody else")
    assert not desk.may_cancel(who)
    desk.lab._state = State()
    refused(lambda: desk.resume("small", who), "begin one of your own under another name")
    refused(lambda: desk.start(MODEL, SMALL, who), "'small' exists already")
    assert desk.listed(who)["entries"][0]["resumable"] is False
    assert desk.opened("small")["model"] == ""  # it has no results yet, and can be looked at
    after = sorted((path.name, path.stat().st_mtime_ns) for path in desk.lab.folder.rglob("*"))
    assert after == before


@pytest.mark.parametrize("who", [ADA, CONSOLE])
def test_the_owner_and_the_person_at_the_console_do(desk, who):
    desk.resume("small", who)
    desk.start(MODEL, SMALL, who)  # without results its name can be used again
    assert desk.listed(who)["entries"][0]["resumable"] is True
    desk.lab._state = State(RUNNING, "small")
    assert desk.may_cancel(who)
    desk.lab.cancel(who)
    assert desk.lab.state.status == STOPPING


def test_experiments_of_commands_and_earlier_versions_are_the_consoles(desk):
    (desk.lab.folder / "small" / FILE).unlink()
    refused(lambda: desk.resume("small", ADA), "somebody else")
    refused(lambda: desk.resume("small", NOBODY), "somebody else")
    desk.resume("small", CONSOLE)


def test_what_is_shared_is_everybodys(explorer, tmp_path):
    desk = desk_of(explorer, tmp_path, experiments="shared")
    desk.start(MODEL, SMALL, ADA)
    desk.resume("small", BOB)
    assert desk.listed(BOB)["entries"][0]["resumable"] is True


@pytest.mark.parametrize("who", [ADA, CONSOLE])
def test_what_is_off_is_nobodys(explorer, tmp_path, who):
    desk_of(explorer, tmp_path).start(MODEL, SMALL, ADA)
    desk = desk_of(explorer, tmp_path, experiments="off")
    for action in (
        lambda: desk.start(MODEL, {**SMALL, "name": "b"}, who),
        lambda: desk.resume("small", who),
    ):
        refused(action, "switched off on this page")
    assert [entry["name"] for entry in desk.listed(who)["entries"]] == ["small"]


def test_a_folder_holds_no_key_and_hands_its_owner_out_to_nobody(desk):
    kept = (desk.lab.folder / "small" / FILE).read_text()
    assert kept.strip() == ADA.mark
    assert ADA.key not in kept
    assert desk.shelf.file("small", FILE) is None
    assert ADA.mark not in json.dumps(desk.listed(BOB))


@pytest.mark.parametrize("key", [None, 5, "", "short", "A" * 32, "a" * 33, ["a" * 32]])
def test_a_key_that_is_none_owns_nothing(key, desk):
    who = who_asks(key, None)
    assert who == Who("", True)
    assert not owners.may_change(desk.lab.folder / "small", Who(who.key, False), "own")


# How much


def test_a_form_for_millions_of_decodes_is_refused_live_and_at_run(explorer, tmp_path):
    """The largest that the form can be filled with: 69 million decodes."""
    desk = desk_of(explorer, tmp_path)
    huge = {**SMALL, "pairs": "fit,test", "most": 0, "layers": [1, 2, 3, 4], "necessity": "none"}
    huge |= {"alphas": "-3:3:0.05", "random": 200, "shuffled": 200, "fractions": "0.1,0,0.9"}
    for ask in (desk.plan, desk.start):
        refused(lambda ask=ask: ask(MODEL, huge), r"up to 1\d\d,\d{3},\d{3} decodes, .* 5,000,000;")
    assert not list(tmp_path.iterdir())
    assert desk.plan(MODEL, SMALL)["decodes"] < 5_000_000


def test_pairs_runs_and_disk_have_limits(explorer, tmp_path):
    desk = desk_of(explorer, tmp_path, pairs=20, runs=1)
    refused(lambda: desk.plan(MODEL, SMALL), "30 pairs, the limit of this page is 20")
    few = {**SMALL, "most": 20}
    desk.start(MODEL, few)
    refused(lambda: desk.start(MODEL, {**few, "name": "b"}), "1 experiments are stored, the limit")
    desk.limits = Limits(megabytes=1)
    (tmp_path / "small" / "big").write_bytes(b"x" * 1_100_000)
    refused(lambda: desk.start(MODEL, {**few, "name": "b"}), "take 1 MB, the limit of this page")
    refused(lambda: desk.resume("small"), "take 1 MB")


def test_comparisons_do_not_pile_up(tmp_path):
    for i in range(3):
        path = tmp_path / f"{i}.html"
        path.write_text("")
        os.utime(path, (i, i))
    assert [path.name for path in newest_first(tmp_path.glob("*"))] == [
        "2.html",
        "1.html",
        "0.html",
    ]
    assert KEPT_COMPARISONS <= 100


@pytest.mark.parametrize(
    ("environment", "limits"),
    [
        ({}, Limits()),
        ({"SPACE_ID": "a/b"}, PUBLIC),
        ({"STEER_EXPERIMENTS": "off"}, Limits("off")),
        (
            {"SPACE_ID": "a/b", "STEER_MAX_DECODES": "7"},
            replace(PUBLIC, decodes=7),
        ),
    ],
)
def test_limits_come_from_the_environment(environment, limits):
    assert limits_from(environment) == limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STEER_EXPERIMENTS", "mine"),
        ("STEER_MAX_PAIRS", "0"),
        ("STEER_MAX_RUNS", "1e3"),
        ("STEER_MAX_MEGABYTES", "9" * 40),
        ("STEER_FORWARDED", "maybe"),
    ],
)
def test_a_limit_that_is_none_is_one_line(name, value):
    with pytest.raises(UserError, match=name) as error:
        options_from({name: value})
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("environment", "alone"),
    [
        ({}, True),
        ({"STEER_HOST": "127.0.0.1"}, True),
        ({"STEER_HOST": "0.0.0.0"}, False),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, False),
        ({"GRADIO_SHARE": "True"}, False),
        ({"SPACE_ID": "a/b"}, False),
    ],
)
def test_only_a_page_of_ones_own_machine_has_a_console(environment, alone):
    assert options_from(environment).alone is alone


# Files that are handed in


def pair_file(folder: Path, name: str = "mine.json", count: int = 8) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(dump_pairs(load_pairs("test")[:count]))
    return path


def test_a_file_is_read_once_and_gone(tmp_path):
    kept = Uploads(100)
    path = pair_file(tmp_path)
    upload = kept.take(path)
    assert not path.exists()
    assert (upload.name, len(upload.pairs)) == ("mine.json", 8)
    assert kept.find(upload.token) is upload


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("mine.json", "{", "mine.json is not JSON"),
        ("mine.json", "[" * 100_000, "mine.json"),
        ("mine.csv", "a,b\n1,2\n", "names no column of questions, it reads a, b"),
        ("mine.parquet", "PAR1", "is no JSON, JSONL, CSV or TSV file; upload one"),
        ("mine.json", "PAR1", "is a Parquet file"),
        ("m\u0000<b>.json".replace("\u0000", "'"), "{", "m_b_.json is not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_says_so_each_time_it_is_asked_for(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    kept = Uploads(100)
    upload = kept.take(path)
    assert not path.exists()
    for _ in range(2):
        with pytest.raises(UserError, match=words) as error:
            kept.find(upload.token)
        assert str(tmp_path) not in str(error.value)


def test_a_file_of_too_many_pairs_is_refused(tmp_path):
    upload = Uploads(5).take(pair_file(tmp_path))
    assert upload.error == "mine.json holds 8 pairs, the limit of this page is 5; upload fewer"


def test_files_are_forgotten_oldest_first(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "KEPT", 2)
    kept = Uploads(100)
    tokens = [kept.take(pair_file(tmp_path)).token for _ in range(3)]
    with pytest.raises(UserError, match="no longer here; upload it again"):
        kept.find(tokens[0])
    assert kept.find(tokens[2]).pairs
    for nothing in (None, ""):
        with pytest.raises(UserError, match="no pair file is chosen"):
            kept.find(nothing)
    for other in ("../x", 5, ["a"], {"a": 1}):
        with pytest.raises(UserError, match="no longer here"):
            kept.find(other)


# What is told


def test_nothing_that_is_kept_or_served_names_a_folder_of_the_server(explorer, tmp_path):
    desk = desk_of(explorer, tmp_path / "runs")
    upload = desk.uploads.take(pair_file(tmp_path / "uploads"))
    name = desk.start(MODEL, {**SMALL, "pairs": "own", "own": upload.token, "most": 0}, ADA)
    folder = desk.lab.folder / name
    kept = "".join(path.read_text() for path in folder.iterdir())
    assert str(tmp_path) not in kept
    assert '"pairs": "mine.json"' in kept
    experiment = desk._read(explorer.info(MODEL), {**SMALL, "pairs": "own", "own": upload.token})[0]
    for command in (prepare_command(experiment, folder), sweep_command(experiment, folder)):
        assert "runs/small" in command
        assert str(tmp_path) not in command


def test_files_of_earlier_versions_are_handed_out_without_folders(tmp_path):
    root = tmp_path / "runs"
    (root / "old").mkdir(parents=True)
    about = root / "old" / "experiment.json"
    about.write_text(json.dumps({"pairs": "/var/gradio/1a2b/mine.json", "note": f"{root}/old"}))
    page = root / "old" / "report.md"
    page.write_text(f"sweep --out {root}/old, see https://a.b/c/d")
    found = json.loads(answer(about, "x.json", False, root).body)
    assert found == {"pairs": "mine.json", "note": "runs/old"}
    assert answer(page, "x.md", False, root).body == b"sweep --out runs/old, see https://a.b/c/d"


def test_a_model_of_ones_own_folder_is_shown_by_its_last_part(tmp_path):
    copy = tmp_path / "private" / "mine"
    shutil.copytree(MODELS_DIR / "tiny-gpt2", copy)
    options = Options(model=str(copy), device="cpu", dtype="float32")
    explorer = Explorer(library(options), shown_name(options.model), settle_seconds=0.0)
    assert next(iter(explorer.models)) == "mine"
    setting = explorer.setting("mine", **fake_engine.EDIT)
    told = explorer.decode(setting.edited_at(()), "What is 2 + 2?", 0.0)
    assert told["model"] == "mine"
    assert loaded(explorer.runner.engine, "mine").name == "mine"
    assert str(tmp_path) not in json.dumps([told, [str(each) for each in explorer.models.values()]])
    assert shown_name("tiny-gpt2") == "tiny-gpt2"
    assert shown_name("owner/name") == "owner/name"
    assert shown_name(None) is None
    assert shown_name(str(MODELS_DIR / "tiny-gpt2")) == "tiny-gpt2 (folder)"


# Over HTTP


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    explorer = Explorer(fake_engine.engine(batch_seconds=0.0, pairs=12), settle_seconds=0.0)
    with served(explorer, tmp_path_factory.mktemp("runs"), forwarded=True) as script:
        yield script


def function(script, name: str) -> int:
    return next(i for i, fn in script.page.fns.items() if fn.name == name)


def send(script, content: bytes, name: str = "mine.json") -> httpx.Response:
    return script.http.post(f"{API}/upload", files={"files": (name, content)})


def handed_in(path: str) -> dict[str, object]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_an_uploaded_file_is_read_in_the_queue_and_served_to_nobody(script, tmp_path):
    path = send(script, pair_file(tmp_path).read_bytes()).json()[0]
    assert Path(path).is_relative_to(get_upload_folder())
    assert script.http.get(f"{API}/file={path}").status_code == 404
    assert script.page.fns[function(script, "take")].queue
    found = script.ask(function(script, "take"), [handed_in(path)])["data"]
    assert found[0]["label"] == "mine.json: 8 pairs"
    assert len(found[1]) == 32
    assert not Path(path).exists()


@pytest.mark.parametrize("path", ["/etc/hostname", "x", "../../etc/hostname"])
def test_no_other_file_is_read_or_deleted(script, path, tmp_path):
    found = script.ask(function(script, "take"), [handed_in(path)])
    assert "data" not in found
    victim = tmp_path / "mine.json"
    victim.write_text("[]")
    assert "data" not in script.ask(function(script, "take"), [handed_in(str(victim))])
    assert victim.exists()


def test_files_that_nobody_reads_are_deleted(script, monkeypatch):
    monkeypatch.setattr("steer_core.ui.door.KEPT_UPLOADS", 3)
    paths = [send(script, f"[{i}]".encode()).json()[0] for i in range(6)]
    for _ in range(250):  # the answer is there before the last one has been tidied up
        if len(script.page.upload_file_set) == 3:
            break
        time.sleep(0.02)
    assert sum(Path(path).exists() for path in paths) == 3
    assert Path(paths[-1]).exists()
    assert len(script.page.upload_file_set) == 3


def test_a_large_file_is_refused(script):
    found = send(script, b"x" * (MOST_UPLOAD + 100_000))
    assert found.status_code == 413
    assert "limit of" in found.json()["detail"]


def test_only_the_console_acts_without_a_key(script):
    """Behind a proxy, or from another page in the same browser, nobody is the person here."""
    number = function(script, "enter")
    form = [None] * (len(script.page.fns[number].inputs) - 1)
    seen = []

    def asks(key, request):
        seen.append(who_asks(key, request))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("steer_core.ui.experiments.tab.who_asks", asks)
        script.ask(number, [*form, "c" * 32])
        for headers in ({"x-forwarded-for": "1.2.3.4"}, {"host": "evil.example"}):
            with httpx.Client(base_url=script.http.base_url, headers=headers) as other:
                body = {"data": [*form, "c" * 32], "fn_index": number, "session_hash": "other"}
                assert other.post(f"{API}/queue/join", json=body).status_code == 200
                assert script.idle()
    assert [who.console for who in seen] == [True, False, False]
    assert {who.key for who in seen} == {"c" * 32}
