"""Stored answers of the seed experiment: counts again from rows, and every disagreement found.

The files are small ones of the test's own, in the same layout.
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from seed_rows import (
    FINE,
    NAMES,
    N,
    audit,
    contents,
    kinds,
    leaked_id,
    necessity_row,
    pair_row,
    written,
)

from steer_core.data.seed.audit import audit_seed_files
from steer_core.data.seed.files import matched, read_seed_files

# --- counts --------------------------------------------------------------------------------------


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
