"""Stored answers of the seed experiment: counts again from rows, and every disagreement found.

The files are small ones of the test's own, in the same layout.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from steer_core import UserError
from steer_core.cli import main
from steer_core.data.seed.audit import SeedAudit, audit_seed_files
from steer_core.data.seed.files import matched, read_seed_files
from steer_core.pipeline.prepared import check_no_leak, load_prepared
from steer_core.pipeline.splits import SplitSettings
from steer_core.pipeline.stored import prepared_from_files

N = 12
NAMES = ("pairs", "necessity", "validation", "split")


def pair_row(number: int) -> dict:
    """Every fourth corruption leaves the answer as it is."""
    gold = 10 + number
    twin = gold if number % 4 == 3 else gold + 5
    words = "one two three four five six seven eight nine ten eleven twelve".split()
    return {
        "pair_id": number,
        "clean": {"question": f"Tom has {words[number]} pens and buys 4. Sum?", "answer": gold},
        "corrupted": {"question": f"Tom has {words[number]} pens and buys 9. Sum?", "answer": twin},
    }


def side(gold: int, correct: bool) -> dict:
    predicted = gold if correct else gold + 100
    text = f"The answer is: {predicted}"
    return {
        "output": text,
        "predicted": predicted,
        "expected": gold,
        "correct": correct,
        "output_length": len(text),
    }


def right(number: int) -> tuple[bool, bool]:
    """Clean: even ones; corrupted: every third."""
    return number % 2 == 0, number % 3 == 0


def validation_row(row: dict) -> dict:
    clean, corrupted = right(row["pair_id"])
    return {
        "pair_id": row["pair_id"],
        "clean": side(row["clean"]["answer"], clean),
        "corrupted": side(row["corrupted"]["answer"], corrupted),
        "both_correct": clean and corrupted,
        "clean_only": clean and not corrupted,
        "corrupted_only": corrupted and not clean,
        "both_wrong": not clean and not corrupted,
    }


def necessity_row(row: dict) -> dict:
    """Without latents only the clean twin of pair 0 is still right."""
    clean, corrupted = right(row["pair_id"])
    keeps = row["pair_id"] == 0
    return {
        "pair_id": row["pair_id"],
        "clean_baseline_correct": clean,
        "clean_ablated_correct": keeps,
        "clean_needs_cot": clean and not keeps,
        "corrupted_baseline_correct": corrupted,
        "corrupted_ablated_correct": False,
        "corrupted_needs_cot": corrupted,
        "needs_cot_either": (clean and not keeps) or corrupted,
    }


def contents() -> dict[str, object]:
    """Files that agree: 12 pairs, 6 + 4 right answers, 8 in training, 4 in the test."""
    pairs = [pair_row(i) for i in range(N)]
    lists = {
        "train_correct": [0, 2, 4, 6],
        "train_wrong": [1, 3, 5, 7],
        "test_correct": [8, 10],
        "test_wrong": [9, 11],
    }
    return {
        "pairs": pairs,
        "necessity": [necessity_row(row) for row in pairs],
        "validation": {
            "model_name": "theirs",
            "num_pairs": N,
            "statistics": {
                "clean_correct": 6,
                "corrupted_correct": 4,
                "both_correct": 2,
                "clean_only": 4,
                "corrupted_only": 2,
                "both_wrong": 4,
            },
            "results": [validation_row(row) for row in pairs],
        },
        "split": {
            **{
                name: [
                    {"pair_id": i, "correct": "correct" in name, "expected": 10 + i} for i in ids
                ]
                for name, ids in lists.items()
            },
            "stats": {"train_size": 8, "test_size": 4, "total_pairs": 8, "correct": 6, "wrong": 2},
        },
    }


def written(folder: Path, files: dict) -> list[Path]:
    paths = [folder / f"{name}.json" for name in NAMES]
    for path, name in zip(paths, NAMES, strict=True):
        path.write_text(json.dumps(files[name]))
    return paths


def audit(folder: Path, files: dict) -> SeedAudit:
    return audit_seed_files(read_seed_files(*written(folder, files)))


def kinds(found: SeedAudit) -> dict[tuple[str, str], int]:
    return {(one.file, one.kind): one.count for one in found.findings}


# --- counts --------------------------------------------------------------------------------------

FINE = {("pairs", "unchanged_answer"): 3}


def test_files_that_agree_have_no_findings_but_what_is_in_the_pairs(tmp_path: Path):
    found = audit(tmp_path, contents())
    assert kinds(found) == FINE
    assert found.counts["pairs"] == {
        "rows": N,
        "distinct_ids": N,
        "repeated_rows": 0,
        "unchanged_answers": 3,
        "distinct_unchanged_answers": 3,
    }
    validation = found.counts["validation"]
    assert [validation[name] for name in ("clean_correct", "corrupted_correct")] == [6, 4]
    assert [validation[n] for n in ("both_correct", "clean_only", "corrupted_only")] == [2, 4, 2]
    needs = {"clean": 5, "corrupted": 4, "either": 8, "both": 1}
    assert found.counts["necessity"]["needs_by_row"] == needs
    split = found.counts["split"]
    assert [split[name] for name in ("train", "test", "leaked_test_rows")] == [8, 4, 0]
    assert split["unchanged_answers"] == 3


def test_repeated_rows_count_once_for_distinct_ids(tmp_path: Path):
    files = contents()
    for name in ("pairs", "necessity"):
        files[name] += copy.deepcopy(files[name][2:4])
    files["validation"]["results"] += copy.deepcopy(files["validation"]["results"][2:4])
    found = audit(tmp_path, files)
    counts = found.counts
    assert [counts["pairs"][n] for n in ("rows", "distinct_ids", "repeated_rows")] == [14, 12, 2]
    assert counts["necessity"]["needs_by_row"]["clean"] == 6
    assert counts["necessity"]["needs_by_distinct_id"]["clean"] == 5
    assert kinds(found)["pairs", "repeated_id"] == 2
    stated = {one.message.split(" = ")[0] for one in found.findings if one.kind == "stated_number"}
    assert "states clean_correct" in stated
    assert "states num_pairs" in stated
    assert ("pairs", "repeat_differs") not in kinds(found)


# --- findings ------------------------------------------------------------------------------------


def repeat_differs(files: dict) -> None:
    files["pairs"].append(copy.deepcopy(files["pairs"][5]))
    files["pairs"][-1]["corrupted"]["answer"] = 77


def same_question(files: dict) -> None:
    files["pairs"][5]["clean"]["question"] = files["pairs"][4]["clean"]["question"]


def stated(files: dict) -> None:
    files["validation"]["statistics"]["both_correct"] = 3


def own_flag(files: dict) -> None:
    files["validation"]["results"][0]["clean"]["predicted"] = 999


def outcome_flag(files: dict) -> None:
    files["validation"]["results"][1]["both_wrong"] ^= True


def other_gold(files: dict) -> None:
    files["validation"]["results"][1]["clean"]["expected"] = 500


def held_to_clean(files: dict) -> None:
    """What the seed experiment did: the corrupted twin scored against the clean gold answer."""
    row = files["validation"]["results"][1]
    row["corrupted"]["expected"] = row["clean"]["expected"]


def unknown_row(files: dict) -> None:
    files["necessity"][0]["pair_id"] = 404


def need_flag(files: dict) -> None:
    files["necessity"][0]["needs_cot_either"] ^= True


def baseline(files: dict) -> None:
    files["necessity"][1]["clean_baseline_correct"] = True
    files["necessity"][1]["clean_ablated_correct"] = True


def marked_right(files: dict) -> None:
    """Counted as right though the stored answer is the clean twin's, not its own."""
    row = files["validation"]["results"][1]["corrupted"]
    row["predicted"] = files["pairs"][1]["clean"]["answer"]
    files["necessity"][1]["corrupted_baseline_correct"] = True
    files["necessity"][1]["corrupted_ablated_correct"] = True


def leaked_id(files: dict) -> None:
    files["split"]["test_correct"].append({"pair_id": 2})


def leaked_name(files: dict) -> None:
    question = files["pairs"][0]["clean"]["question"].replace("Tom", "Mia")
    files["pairs"][8]["corrupted"]["question"] = question


def twice(files: dict) -> None:
    files["split"]["train_wrong"].append({"pair_id": 1})


def both_labels(files: dict) -> None:
    files["split"]["train_wrong"].append({"pair_id": 0})


def own_label(files: dict) -> None:
    files["split"]["train_wrong"][0]["correct"] = True


def moved_label(files: dict) -> None:
    files["split"]["test_correct"].append(files["split"]["test_wrong"].pop() | {"correct": True})


def split_gold(files: dict) -> None:
    files["split"]["train_wrong"][0]["expected"] = 1


def unknown_entry(files: dict) -> None:
    files["split"]["train_wrong"].append({"pair_id": 404})


def stated_size(files: dict) -> None:
    files["split"]["stats"]["test_size"] = 5


def stated_needs(files: dict) -> None:
    files["split"]["stats"]["wrong"] = 4


DAMAGE = [
    (repeat_differs, {("pairs", "repeated_id"): 1, ("pairs", "repeat_differs"): 1}),
    (same_question, {("pairs", "repeated_question"): 1}),
    (stated, {("validation", "stated_number"): 1}),
    (own_flag, {("validation", "wrong_flag"): 1}),
    (outcome_flag, {("validation", "wrong_outcome"): 1}),
    (other_gold, {("validation", "other_gold"): 1}),
    (held_to_clean, {("validation", "corrupted_scored_as_clean"): 1}),
    (unknown_row, {("necessity", "unknown_id"): 1, ("necessity", "missing_id"): 1}),
    (need_flag, {("necessity", "wrong_flag"): 1}),
    (baseline, {("necessity", "clean_baseline_differs"): 1}),
    (
        marked_right,
        {
            ("necessity", "corrupted_baseline_differs"): 1,
            ("necessity", "corrupted_scored_as_clean"): 1,
        },
    ),
    (leaked_id, {("split", "leaked_id"): 1}),
    (leaked_name, {("split", "leaked_question"): 1}),
    (twice, {("split", "repeated_id"): 1}),
    (both_labels, {("split", "both_labels"): 1, ("split", "label_differs"): 1}),
    (own_label, {("split", "wrong_flag"): 1}),
    (moved_label, {("split", "label_differs"): 1}),
    (split_gold, {("split", "other_gold"): 1}),
    (unknown_entry, {("split", "unknown_id"): 1}),
    (stated_size, {("split", "stated_number"): 1}),
    (stated_needs, {("split", "stated_number"): 1}),
]


@pytest.mark.parametrize(("damage", "wanted"), DAMAGE, ids=[d.__name__ for d, _ in DAMAGE])
def test_every_disagreement_is_found(tmp_path: Path, damage, wanted: dict):
    files = contents()
    damage(files)
    found = kinds(audit(tmp_path, files))
    assert wanted.items() <= found.items()
    assert set(found) - set(FINE) <= set(wanted) | {
        # A changed answer or one more entry also contradicts the numbers stated about them.
        ("validation", "stated_number"),
        ("split", "stated_number"),
        ("validation", "wrong_flag"),
        ("validation", "wrong_outcome"),
        ("validation", "other_gold"),
        ("necessity", "clean_baseline_differs"),
        ("split", "label_differs"),
    }


def test_a_twin_scored_as_clean_shows_in_what_is_right_without_latents(tmp_path: Path):
    """Right where the two gold answers are the same, never where they differ."""
    files = contents()
    for number in range(N, 100):
        row = pair_row(number % N) | {"pair_id": number}
        files["pairs"].append(row)
        files["necessity"].append(necessity_row(row))
    plain = kinds(audit(tmp_path, files))
    assert ("necessity", "corrupted_ablation_suspicious") not in plain
    for row in files["necessity"]:
        row["corrupted_ablated_correct"] = row["pair_id"] % 4 == 3
    found = audit(tmp_path, files)
    assert kinds(found)["necessity", "corrupted_ablation_suspicious"] == 75
    shares = found.counts["necessity"]["right_without_latents"]["corrupted"]
    assert shares == {"answers_same": 25, "of_same": 25, "answers_differ": 0, "of_differ": 75}
    for row in files["necessity"]:  # the clean twin has it too: then the problems are harder
        row["clean_ablated_correct"] = row["pair_id"] % 4 == 3
    assert ("necessity", "corrupted_ablation_suspicious") not in kinds(audit(tmp_path, files))


def test_rows_are_matched_by_id_and_by_how_often_it_came():
    assert matched([3, 1, 3, 3, 9], [1, 3, 2, 3]) == [1, 0, 3, None, None]


@pytest.mark.parametrize("missing", [(1,), (2,), (3,), (1, 2), (2, 3)])
def test_any_subset_of_the_files_is_read(tmp_path: Path, missing: tuple[int, ...]):
    paths = [None if i in missing else path for i, path in enumerate(written(tmp_path, contents()))]
    found = audit_seed_files(read_seed_files(*paths))
    assert set(found.counts) == {name for i, name in enumerate(NAMES) if i not in missing}
    assert kinds(found) == FINE


# --- prepared pairs from them --------------------------------------------------------------------


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
    assert prepared.counts["report"] == {"correct": 1, "wrong": 1}  # of three wrong ones
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
    with pytest.raises(UserError, match=r"cannot read .*no\.json.*; name"):
        read_seed_files(pairs, tmp_path / "no.json")
    necessity.write_text("{")
    with pytest.raises(UserError, match=r"is not JSON .*; give"):
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
