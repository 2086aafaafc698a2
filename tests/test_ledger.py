"""The ledger of looks: what was decoded on which pairs, over the runs of a folder and its kin."""

from __future__ import annotations

import json
import logging
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from steer_core.pipeline.ledger import FILE, Look, Looks, looks_at, note, read
from steer_core.pipeline.records import CurveKey, RunRecord, SweepSpec

QUESTIONS = tuple(f"What is {i} and 1?" for i in range(6))


def run_of(
    layers: tuple[int, ...] = (1, 2, 3, 4),
    *,
    part: str | None = "report",
    pairs: str = "pairs",
    model: str = "model",
    alphas: tuple[float, ...] = (-1.0, 1.0),
    controls: int = 3,
) -> RunRecord:
    real = [CurveKey("residual", at, (1, 2), "mean_difference", "real", "d") for at in layers]
    others = [
        CurveKey("residual", at, (1, 2), f"covariance-{i}", "covariance", f"c{i}")
        for at in layers
        for i in range(controls)
    ]
    return RunRecord(
        id=1,
        name="made up",
        started="2026-01-01T00:00:00+00:00",
        finished=None,
        spec=SweepSpec("residual", layers, alphas, ((1, 2),)),
        curves=tuple(real + others),
        provenance={
            "model_sha256": model,
            "pairs_sha256": pairs,
            "split": part,
            "fit": {"problems_sha256": "fit"},
        },
        done=0,
        total=0,
        seconds=0.0,
    )


def look_at(folder: Path, record: RunRecord, questions=QUESTIONS, who: str = "command") -> None:
    folder.mkdir(exist_ok=True)
    note(folder / FILE, Look.of(record, questions, who))


def test_a_first_look_is_not_marked(tmp_path: Path):
    look_at(tmp_path / "a", run_of())
    found = looks_at(tmp_path / "a", run_of())
    assert (found.own, found.curves, found.factor, found.mark) == (4, 4, 1.0, "")
    assert found.problems == ()


def test_a_line_says_what_when_where_and_who(tmp_path: Path):
    look_at(tmp_path / "a", run_of((2,)), who="page")
    (line,) = (tmp_path / "a" / FILE).read_text().splitlines()
    value = json.loads(line)
    assert value["settings"] == ["mean_difference at residual 2, positions 1-2"]
    assert (value["who"], value["part"], value["pairs"]) == ("page", "report", "pairs")
    assert value["when"].endswith("+00:00")
    assert len(value["questions"]) == len(QUESTIONS)


def test_the_best_of_four_layers_judged_again_alone_counts_all_five_curves(tmp_path: Path):
    first, alone = run_of(), run_of((3,))
    look_at(tmp_path / "a", first)
    look_at(tmp_path / "a", alone)
    found = looks_at(tmp_path / "a", alone)
    assert (found.curves, found.own, found.factor) == (5, 1, 5.0)
    assert "looked at once more" in found.mark
    assert "4 other curves; p counts all 5" in found.mark
    before = looks_at(tmp_path / "a", first)
    assert before.factor == pytest.approx(5 / 4), "marked from then on, the first look too"
    assert "1 other curve;" in before.mark


def test_looks_of_the_folders_beside_it_count(tmp_path: Path):
    for i in range(10):
        look_at(tmp_path / f"run-{i}", run_of((i + 1,)))
    found = looks_at(tmp_path / "run-4", run_of((5,)))
    assert (found.curves, len(found.others), found.factor) == (10, 9, 10.0)


def test_a_look_counts_once_whatever_controls_and_however_often(tmp_path: Path):
    for controls in (3, 9, 3):
        look_at(tmp_path / "a", run_of(controls=controls))
        look_at(tmp_path / "b", run_of(controls=controls))
    assert len((tmp_path / "a" / FILE).read_text().splitlines()) == 1
    assert looks_at(tmp_path / "a", run_of()).factor == 1.0


@pytest.mark.parametrize(
    "other",
    [
        {"model": "another", "pairs": "pairs"},
        {"pairs": "other pairs"},
    ],
)
def test_other_models_and_other_questions_do_not_count(tmp_path: Path, other: dict):
    elsewhere = tuple(f"{question} Say." for question in QUESTIONS)
    look_at(tmp_path / "a", run_of())
    look_at(tmp_path / "a", run_of(**other), elsewhere if "model" not in other else QUESTIONS)
    assert looks_at(tmp_path / "a", run_of()).factor == 1.0


def test_pairs_that_overlap_count(tmp_path: Path):
    look_at(tmp_path / "a", run_of())
    look_at(tmp_path / "a", run_of((1,), pairs="others"), (*QUESTIONS[:1], "Another?"))
    assert looks_at(tmp_path / "a", run_of()).curves == 5


def test_another_grid_of_alphas_is_another_look(tmp_path: Path):
    look_at(tmp_path / "a", run_of())
    look_at(tmp_path / "a", run_of(alphas=(2.0,)))
    assert looks_at(tmp_path / "a", run_of()).factor == 2.0


# --- select and report ---------------------------------------------------------------------------


def chosen(folder: Path, *opened: int) -> RunRecord:
    """Four layers compared on select, then some opened on report, one after another."""
    look_at(folder, run_of(part="select", pairs="selected"), ["Another question?"])
    runs = [run_of((layer,)) for layer in opened]
    for each in runs:
        look_at(folder, each)
    return runs[-1]


def test_the_report_split_opens_for_the_chosen_setting(tmp_path: Path):
    found = looks_at(tmp_path / "a", chosen(tmp_path / "a", 2))
    assert (found.factor, found.mark) == (1.0, "")
    assert "4 settings were compared on the select split" in found.words


def test_opening_it_for_another_is_marked_from_then_on(tmp_path: Path):
    second = chosen(tmp_path / "a", 2, 3)
    for record in (second, run_of((2,))):
        found = looks_at(tmp_path / "a", record)
        assert found.factor == 2.0
        assert "these pairs were looked at once more" in found.mark


def test_a_select_split_says_that_a_setting_is_chosen_there(tmp_path: Path):
    chosen(tmp_path / "a", 2)
    found = looks_at(tmp_path / "a", run_of(part="select", pairs="selected"))
    assert found.mark.startswith("select split: a setting is chosen here")
    assert found.words == ""


# --- what can be wrong with it -------------------------------------------------------------------


def test_a_missing_ledger_is_said_and_stored_runs_count(tmp_path: Path):
    records = [run_of(), replace(run_of((3,)), id=2)]
    found = looks_at(tmp_path, records[1], records)
    assert found.factor == 5.0
    assert f"{tmp_path / FILE} is missing" in found.problems[0]


def test_a_ledger_that_lacks_stored_runs_is_said(tmp_path: Path):
    look_at(tmp_path, run_of())
    found = looks_at(tmp_path, run_of(), [run_of(), replace(run_of((3,)), id=2)])
    assert found.curves == 5
    assert "lacks 1 of the stored runs" in found.problems[0]


@pytest.mark.parametrize(
    "damage", [b"{", b"[1]", b"\xff\xfe", b'{"what": 3}', b"[" * 100_000, b"7", b'"x"', b"null"]
)
def test_damaged_lines_are_said_and_the_others_count(tmp_path: Path, damage: bytes):
    look_at(tmp_path / "a", run_of())
    path = tmp_path / "a" / FILE
    path.write_bytes(damage + b"\n" + path.read_bytes() + damage)
    look_at(tmp_path / "a", run_of((3,)))  # behind a line that a crash cut off
    found = looks_at(tmp_path / "a", run_of())
    assert found.curves == 5
    assert f"{path} has 2 damaged lines" in found.problems[0]


def test_a_ledger_that_cannot_be_written_is_said(tmp_path: Path, caplog):
    (tmp_path / FILE).mkdir()
    with caplog.at_level(logging.WARNING):
        note(tmp_path / FILE, Look.of(run_of(), QUESTIONS))
    assert "cannot be written" in caplog.text
    assert looks_at(tmp_path, run_of()).factor == 1.0


def add_some(path: Path, first: int) -> None:
    for layer in range(first, first + 8):
        note(path, Look.of(run_of((layer,)), [f"{i}" for i in range(500)]))


def test_processes_that_write_at_once_lose_no_line(tmp_path: Path):
    path = tmp_path / FILE
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=add_some, args=(path, 1 + 8 * i)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    found, damaged = read(path)
    assert (len(found), damaged) == (32, 0)


def test_nothing_of_ones_own_divides_by_zero():
    assert Looks(0).factor == 1.0
