"""Stores that cannot be written, runs that are damaged, and runs that are not the one to resume."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from command_line import Capture, printed, refused
from made_up_runs import SETTING, fill, plan
from stored_fixture import SWEEP, unpack

from steer_core import UserError
from steer_core.pipeline.journal import Answer, Journal
from steer_core.pipeline.resume import require_stored
from steer_core.pipeline.store import FILE, Store

NOBODY = 65534


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that another user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


def left_open(folder: Path, index: bool) -> tuple[Path, int]:
    """A store as a killed writer leaves it, rows still in the log; and how many those are."""
    (folder / "live").mkdir()
    with Store(folder / "live" / FILE) as store:
        run = fill(store, plan()).run
        rows = len(store.table(run))
        there = folder / "there"
        there.mkdir()
        for path in (folder / "live").iterdir():
            if index or not path.name.endswith("-shm"):
                shutil.copy(path, there)
    return there / FILE, rows


def locked(path: Path) -> None:
    """Take the right to write away, from the files and from their folder."""
    for file in path.parent.iterdir():
        file.chmod(0o444)
    path.parent.chmod(0o555)


def as_reader(work: Callable[[], object]) -> object:
    """What a process says that has no rights beyond a reader's, or the error it ended with."""
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            sender.send(work())
        except UserError as error:
            sender.send(str(error))

    process = context.Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    return receiver.recv()


# --- folders that cannot be written --------------------------------------------------------------


def count(path: Path) -> int:
    with Store(path, create=False) as store:
        return sum(len(store.table(run.id)) for run in store.runs())


@pytest.mark.parametrize("index", [True, False], ids=["with its index", "as a snapshot"])
def test_rows_that_are_still_in_the_log_are_read(index: bool, shared: Path):
    path, rows = left_open(shared, index)
    assert path.with_name(f"{FILE}-wal").stat().st_size > 0
    before = {file.name: file.stat().st_mtime_ns for file in path.parent.iterdir()}
    locked(path)
    assert as_reader(lambda: count(path)) == rows
    after = {file.name: file.stat().st_mtime_ns for file in path.parent.iterdir()}
    assert after == before


def test_a_store_without_a_log_is_read_in_place(shared: Path):
    path = shared / FILE
    with Store(path) as store:
        rows = len(store.table(fill(store, plan()).run))
    assert not path.with_name(f"{FILE}-wal").exists()
    locked(path)
    assert as_reader(lambda: count(path)) == rows


def test_a_run_that_was_killed_before_its_first_row_is_listed(shared: Path):
    (shared / "live").mkdir()
    there = shared / "there"
    there.mkdir()
    with Store(shared / "live" / FILE) as store:
        store.begin(plan())
        for path in (shared / "live").iterdir():
            if not path.name.endswith("-shm"):
                shutil.copy(path, there)
    locked(there / FILE)

    def done() -> list[int]:
        with Store(there / FILE, create=False) as store:
            return [run.done for run in store.runs()]

    assert as_reader(done) == [0]


def test_an_empty_file_is_said_to_hold_no_run(shared: Path):
    path = shared / FILE
    path.touch()
    locked(path)
    assert "holds no run" in str(as_reader(lambda: count(path)))


@pytest.mark.parametrize("log", [True, False])
def test_nothing_is_written_to_it_or_to_a_copy(log: bool, shared: Path):
    path, _ = left_open(shared, index=False)
    if not log:
        with Store(path):
            pass
    locked(path)

    def write() -> None:
        with Store(path) as store:
            store.begin(replace(plan(), name="other", pair_ids=(7, 8, 9)))

    message = str(as_reader(write))
    assert "cannot be written" in message
    assert "\n" not in message


def test_a_copy_is_removed_with_its_store(shared: Path):
    path, _ = left_open(shared, index=False)
    locked(path)

    def left() -> list[str]:
        count(path)
        return [name for name in os.listdir(tempfile.gettempdir()) if "steer-store-" in name]

    assert as_reader(left) == []


# --- damaged runs --------------------------------------------------------------------------------

DAMAGE = {
    "an empty spec": "UPDATE runs SET spec = '{}' WHERE id = 1",
    "a spec that is none": "UPDATE runs SET spec = '[]' WHERE id = 1",
    "half a spec": "UPDATE runs SET spec = substr(spec, 1, 20) WHERE id = 1",
    "a deep spec": "UPDATE runs SET spec = replace(hex(zeroblob(100000)), '0', '[') WHERE id = 1",
    "texts for alphas": """UPDATE runs SET spec = json_set(spec, '$.alphas', json('["a"]'))
        WHERE id = 1""",
    "other alphas": "UPDATE runs SET spec = json_set(spec, '$.alphas', json('[5.0]')) WHERE id = 1",
    "a mask of text": "UPDATE runs SET spec = json_set(spec, '$.masks', 'ab') WHERE id = 1",
    "no curves": "UPDATE runs SET curves = '[]' WHERE id = 1",
    "curves of text": "UPDATE runs SET curves = '[\"x\"]' WHERE id = 1",
    "a list for provenance": "UPDATE runs SET provenance = '[]' WHERE id = 1",
    "bytes for provenance": "UPDATE runs SET provenance = x'ff00' WHERE id = 1",
    "a number for a name": "UPDATE runs SET name = x'00' WHERE id = 1",
    "no cells": "DELETE FROM run_cells WHERE run = 1",
    "text for seconds": "UPDATE runs SET seconds = 'long' WHERE id = 1",
}
ROWS = {
    "scores cut short": "UPDATE results SET scores = x'00'",
    "an unknown flip": "UPDATE results SET flip = 99",
    "outputs gone": "DELETE FROM outputs",
    "a gold that is no number": "UPDATE questions SET gold = 'many'",
    "an id that is no JSON": "UPDATE run_pairs SET pair_id = '{'",
}


def damage(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


@pytest.fixture
def two_runs(tmp_path: Path) -> Path:
    path = tmp_path / FILE
    with Store(path) as store:
        fill(store, plan())
        fill(store, replace(plan(), pair_ids=(7, 8, 9)))
    return path


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_run_is_listed_with_the_reason_and_the_other_works(how: str, two_runs: Path):
    damage(two_runs, DAMAGE[how])
    with Store(two_runs, create=False) as store:
        assert [run.id for run in store.runs()] == [2]
        assert [run.id for run in store.readable()] == [2]
        (found,) = store.damaged()
        assert found.id == 1
        assert "damaged (" in found.reason
        assert len(found.reason) < 250
        with pytest.raises(UserError, match="run 1 is damaged"):
            store.table(1)
        assert len(store.table(2)) > 0


@pytest.mark.parametrize("how", ROWS)
def test_damaged_rows_are_said_to_be(how: str, two_runs: Path):
    damage(two_runs, ROWS[how])
    with Store(two_runs, create=False) as store:
        assert len(store.runs()) == 2
        with pytest.raises(UserError, match="rows of run 1 are damaged"):
            store.table(1)


def test_a_store_whose_runs_are_all_damaged(tmp_path: Path, capsys: Capture):
    with Store(tmp_path / FILE) as store:
        fill(store, plan())
    damage(tmp_path / FILE, DAMAGE["an empty spec"])
    for command in (
        ["report", str(tmp_path), "--json"],
        ["report", str(tmp_path), "--out", "x.md"],
    ):
        assert "run 1 is damaged" in refused(capsys, *command)
    out = str(tmp_path / "rows.csv")
    assert "run 1 is damaged" in refused(capsys, "export-results", str(tmp_path), "--out", out)


@pytest.mark.parametrize(
    "value", ['{"directions": [1]}', '{"n_pairs": "many"}', '{"prepared": [7]}', '{"split": {}}']
)
def test_provenance_of_another_kind_is_no_traceback(value: str, tmp_path: Path, capsys: Capture):
    with Store(tmp_path / FILE) as store:
        fill(store, plan())
    with closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        db.execute("UPDATE runs SET provenance = ?", (value,))
    from steer_core.cli import main

    assert main(["report", str(tmp_path), "--json"]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_damaged_folder_does_not_take_the_list_of_experiments_away(tmp_path: Path):
    from steer_core.ui.experiments.shelf import Shelf

    for name in ("good", "spec", "bytes", "prepared", "begun"):
        (tmp_path / name).mkdir()
    for name in ("good", "spec"):
        with Store(tmp_path / name / FILE) as store:
            fill(store, plan())
    damage(tmp_path / "spec" / FILE, DAMAGE["an empty spec"])
    (tmp_path / "bytes" / FILE).write_bytes(os.urandom(4096))
    (tmp_path / "prepared" / "prepared.json").write_text("[" * 100_000)
    (tmp_path / "prepared" / "pairs.jsonl").write_text("")
    (tmp_path / "begun" / "experiment.json").write_text("[" * 100_000)
    entries = {entry.name: entry for entry in Shelf(tmp_path).entries()}
    assert set(entries) == {"good", "spec", "bytes", "prepared", "begun"}
    assert entries["good"].state != "unreadable"
    assert {entries[n].state for n in ("spec", "bytes", "prepared", "begun")} == {"unreadable"}
    assert "run 1 is damaged" in entries["spec"].message


@pytest.mark.parametrize(
    "line",
    ["[" * 100_000, '{"unit": [1], "answers": []}', '{"unit": "u", "answers": [["a", "b"]]}', "7"],
)
def test_damaged_lines_of_a_journal_are_passed_over(line: str, tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    Journal(path).write("whole", [Answer("It is 7", 7)])
    with path.open("a") as file:
        file.write(f"\n{line}\n")
    found = Journal(path)
    assert found.find("whole") == [Answer("It is 7", 7)]
    assert found.find("u") is None


# --- resume --------------------------------------------------------------------------------------


FACTS = {"model": "m", "model_sha256": "ab", "latents": 6, "dtype": "float32", "pairs": "p"}


def other_facts(**change):
    """A plan with provenance, and where some of that differs another setting."""
    key = {"dtype": change["dtype"]} if "dtype" in change else {"device": str(sorted(change))}
    setting = replace(SETTING, **key) if change else SETTING
    return replace(plan(), setting=setting, provenance=FACTS | change)


def changed_plan(**change):
    base = other_facts()
    spec = replace(base.spec, **change)
    assert asdict(spec) != asdict(base.spec)
    return replace(base, spec=spec)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (lambda: changed_plan(seed=5), "seed 5 (stored "),
        (lambda: changed_plan(max_new_tokens=9), "max_new_tokens 9 (stored "),
        (lambda: other_facts(dtype="bfloat16"), "dtype bfloat16 (stored float32)"),
        (lambda: other_facts(latents=5), "latents 5 (stored 6)"),
        (lambda: other_facts(model_sha256="cd"), "model m (stored m of other content)"),
        (lambda: other_facts(pairs_sha256="cd", pairs="mine"), "pairs mine (stored p)"),
        (lambda: replace(other_facts(), pair_ids=(7, 8, 9)), "another content"),
    ],
)
def test_what_differs_is_named(other: Callable, named: str):
    with Store.memory() as store:
        fill(store, other_facts())
        require_stored(store, other_facts())
        with pytest.raises(UserError) as caught:
            require_stored(store, other())
        assert len(store.runs()) == 1
    assert named in str(caught.value)


def test_an_empty_store_has_nothing_to_differ_from():
    with Store.memory() as store:
        require_stored(store, plan())
        assert store.runs() == []  # it only looked


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (("--seed", "1"), "seed 1 (stored 0)"),
        (("--alphas=-4,0,2",), "alphas -4,0,2 (stored -4,0,4)"),
        (("--max-new-tokens", "7"), "max_new_tokens 7 (stored 8)"),
        (("--layers", "1"), "layers 1 (stored 1,2)"),
        (("--positions", "1-3"), "masks 1-3 (stored 1-6)"),
        (("--controls", "random=1,shuffled=1"), "random 1 (stored 2)"),
    ],
)
def test_resume_with_other_settings_is_refused_and_stores_nothing(
    option: tuple[str, ...],
    named: str,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(unpack(tmp_path))
    line = refused(capsys, *SWEEP, *option, "--resume")
    assert named in line
    assert len(line) < 400
    with Store(Path("run") / FILE, create=False) as store:
        assert len(store.runs()) == 1


def test_resume_of_nothing_begins(tmp_path: Path, capsys: Capture, monkeypatch):
    monkeypatch.chdir(unpack(tmp_path))
    words = [word if word != "run" else "new" for word in SWEEP]
    words[words.index("--split") + 1] = "run"
    assert len(printed(capsys, *words, "--resume")) == 24
