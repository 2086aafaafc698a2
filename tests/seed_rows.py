"""Small files in the layout of the seed experiment's, that agree with one another."""

from __future__ import annotations

import json
from pathlib import Path

from steer_core.data.seed.audit import SeedAudit, audit_seed_files
from steer_core.data.seed.files import read_seed_files

N = 12
NAMES = ("pairs", "necessity", "validation", "split")

FINE = {("pairs", "unchanged_answer"): 3}


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


def leaked_id(files: dict) -> None:
    files["split"]["test_correct"].append({"pair_id": 2})
