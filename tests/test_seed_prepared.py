"""Stored answers of the seed experiment as prepared pairs; damaged files, and the command."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from seed_rows import (
    NAMES,
    N,
    audit,
    contents,
    leaked_id,
    written,
)

from steer_core import UserError
from steer_core.cli import main
from steer_core.data.seed.audit import audit_seed_files
from steer_core.data.seed.files import read_seed_files
from steer_core.pipeline.prepared import check_no_leak, load_prepared
from steer_core.pipeline.splits import SplitSettings
from steer_core.pipeline.stored import prepared_from_files

# --- prepared pairs ------------------------------------------------------------------------------


def prepared_of(folder: Path, files: dict, keep=NAMES, **settings):
    paths = written(folder, files)
    chosen = [path if name in keep else None for path, name in zip(paths, NAMES, strict=True)]
    read = read_seed_files(*chosen)
    return prepared_from_files(read, audit_seed_files(read), SplitSettings(**settings), "by hand")


def test_the_stored_split_is_taken_as_it_is(tmp_path: Path):
    prepared = prepared_of(tmp_path, contents())
    assert [pair.pair_id for pair in prepared.split("fit")] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert [pair.pair_id for pair in prepared.split("report")] == [8, 9, 10, 11]
    assert prepared.counts["fit"] == {"correct": 4, "wrong": 4}
    assert (prepared.model, prepared.model_sha256, prepared.latents) == ("theirs", "", 0)
    assert prepared.balanced
    assert prepared.fractions == pytest.approx((8 / 12, 0, 4 / 12))
    first = prepared.pairs[0]
    assert first.clean.text == "The answer is: 10"
    assert (first.clean.answer, first.clean.correct) == (10, True)
    assert (first.clean.ablated_correct, first.corrupted.ablated_correct) == (True, False)
    assert not first.clean.needs_latents
    assert first.corrupted.needs_latents
    steps = {step.name: step.count for step in prepared.funnel}
    assert steps["needs latents: clean"] == 5
    assert steps["in the split file"] == 12
    check_no_leak(prepared)
    prepared.save(tmp_path / "out")
    assert load_prepared(tmp_path / "out") == prepared


def test_leaked_and_repeated_problems_stay_where_they_were(tmp_path: Path):
    """And in the findings."""
    files = contents()
    for name in ("pairs", "necessity"):
        files[name].append(copy.deepcopy(files[name][2]))
    leaked_id(files)
    prepared = prepared_of(tmp_path, files)
    ids = {split: [pair.pair_id for pair in prepared.split(split)] for split in ("fit", "report")}
    assert ids["fit"].count(2) == 1 == ids["report"].count(2)
    assert any("1 of 5 test problems are also training" in line for line in prepared.findings)
    with pytest.raises(UserError, match="pair 2"):
        check_no_leak(prepared)


def test_a_twin_is_scored_again_against_its_own_answer(tmp_path: Path):
    files = contents()
    row = files["validation"]["results"][0]["corrupted"]
    row["predicted"] = row["expected"] = files["pairs"][0]["clean"]["answer"]
    assert not prepared_of(tmp_path, files).pairs[0].corrupted.correct


def test_without_a_split_file_the_pairs_are_split_anew(tmp_path: Path):
    keep = ("pairs", "necessity", "validation")
    prepared = prepared_of(tmp_path, contents(), keep, fractions=(0.5, 0, 0.5), seed=3)
    check_no_leak(prepared)
    assert prepared.counts["fit"] == {"correct": 2, "wrong": 2}
    assert prepared.counts["report"] == {"correct": 3, "wrong": 1}  # as they are
    assert prepared.seed == 3
    unchanged = [row for row in prepared.pairs if row.pair.pair_id % 4 == 3]
    assert {row.why for row in unchanged} == {"the corruption leaves the answer unchanged"}


@pytest.mark.parametrize("keep", [("pairs", "split"), ("pairs", "split", "necessity")])
def test_labels_come_from_the_split_file_where_no_answer_is_stored(tmp_path: Path, keep: tuple):
    prepared = prepared_of(tmp_path, contents(), keep)
    assert prepared.counts["report"] == {"correct": 2, "wrong": 2}
    assert [row.clean.correct for row in prepared.pairs] == [i % 2 == 0 for i in range(N)]
    names = [step.name for step in prepared.funnel]
    assert ("clean twin right at baseline" in names) is ("necessity" in keep)


@pytest.mark.parametrize(
    ("keep", "settings", "message"),
    [
        (NAMES, {"filter": "either"}, "has its own split; leave out"),
        (NAMES, {"balanced": False}, "has its own split; leave out"),
        (("pairs", "validation"), {"filter": "either"}, "needs the necessity file; add"),
        (("pairs",), {}, "12 of 12 pairs have no stored answer.*; add"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path: Path, keep: tuple, settings: dict, message: str):
    with pytest.raises(UserError, match=message):
        prepared_of(tmp_path, contents(), keep, **settings)


# --- damaged files, and the command --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("necessity", {"rows": 1}, "necessity.json holds .*, not a list of rows; give"),
        ("necessity", [3], "necessity.json row 1 is 3, no object; correct"),
        ("necessity", [{"pair_id": 1}], "row 1 has clean_baseline_correct None, not true or false"),
        ("necessity", [{"pair_id": True}], "row 1 has pair_id True, not an id; correct"),
        ("validation", [], "validation.json is no validation file"),
        (
            "validation",
            {"results": [{"pair_id": 1}]},
            "results row 1 has clean None, not an object",
        ),
        ("split", {"train_correct": []}, "split.json is no split file .*'train_wrong'"),
        ("split", [1], "split.json is no split file"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path: Path, name: str, value, message: str):
    files = contents() | {name: value}
    with pytest.raises(UserError, match=message) as caught:
        audit(tmp_path, files)
    assert ";" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path):
    pairs, necessity, *_ = written(tmp_path, contents())
    with pytest.raises(UserError, match=r"no\.json cannot be read .*; name"):
        read_seed_files(pairs, tmp_path / "no.json")
    necessity.write_text("{")
    with pytest.raises(UserError, match=r"is no JSON .*; correct"):
        read_seed_files(pairs, necessity)


def options_of(paths: list[Path]) -> list[str]:
    names = ("--pairs", "--necessity-file", "--validation-file", "--split-file")
    return [str(part) for pair in zip(names, paths, strict=True) for part in pair]


def test_the_command_prints_counts_and_findings_and_writes_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    files = contents()
    leaked_id(files)
    options = options_of(written(tmp_path, files))
    assert main(["prepare", *options, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["out"] is None
    assert shown["validation"]["clean_correct"] == 6
    assert shown["split"]["leaked_test_rows"] == 1
    leaks = [one for one in shown["findings"] if one["kind"] == "leaked_id"]
    assert [(one["file"], one["count"], one["pair_ids"]) for one in leaks] == [("split", 1, [2])]
    assert main(["prepare", *options, "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  clean correct                     6" in lines
    assert any("1 of 5 test problems are also training problems" in line for line in lines)
    made = load_prepared(tmp_path / "out")
    assert made.findings
    assert any(line.startswith("in the split file ") for line in lines)
    report = made.counts["report"]
    assert f"split report: {report['correct']} right + {report['wrong']} wrong" in lines
    assert lines[-1] == f"written to {tmp_path / 'out'}"
    assert main(["prepare", *options, "--out", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prepared"]["counts"] == made.counts


def test_files_and_a_model_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture):
    options = options_of(written(tmp_path, contents()))
    assert main(["prepare", "--model", "tiny-llama", *options]) == 2
    assert "leave out --model" in capsys.readouterr().err
