"""The folder of prepared pairs: what comes back from it, and how a damaged one is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from steer_core import UserError, load_pairs
from steer_core.data.problems import Pair, Problem
from steer_core.pipeline.prepared import (
    FunnelStep,
    Necessity,
    Prepared,
    PreparedPair,
    Twin,
    check_no_leak,
    load_prepared,
)


def row(number: int, split: str | None, label: str = "correct", why: str = "") -> PreparedPair:
    clean = Problem(f"Tom has 3 pens and {number} cups. How many?", 2.5, ("<<1+1.5=2.5>>",), "t7")
    corrupted = Problem(f"Tom hat 4 Stühle und {number}. Wie viele?\u2028", number, (), "t7")
    sides = (Twin("it is 2.5\n", 2.5, True, None, False), Twin("", None, False))
    return PreparedPair(Pair(number, clean, corrupted, True), *sides, label, split, why)


@pytest.fixture
def prepared() -> Prepared:
    return Prepared(
        model="mine",
        model_sha256="ab" * 32,
        revision=None,
        latents=6,
        dtype="float32",
        device="cpu",
        pairs_name="fit,test",
        pairs_sha256="cd" * 32,
        seed=3,
        necessity=Necessity("mean", "residual", 2, (1, 2)),
        filter="either",
        fractions=(0.4, 0.1, 0.5),
        balanced=True,
        pairs=(
            row(1, "fit"),
            row(2, "report", "wrong"),
            row(3, None, why="dropped"),
            row(4, "fit", "wrong"),
        ),
        funnel=(FunnelStep("rows", 4, 4), FunnelStep("none", 0, 0)),
        versions={"torch": "2"},
        command="prepare --out 'x y'",
        findings=("pairs: something",),
    )


def test_what_was_saved_comes_back_whole(prepared: Prepared, tmp_path: Path):
    prepared.save(tmp_path / "new" / "folder")
    assert load_prepared(tmp_path / "new" / "folder") == prepared
    files = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert files == {"prepared.json", "pairs.jsonl"}


def test_the_pairs_are_a_pair_file(prepared: Prepared, tmp_path: Path):
    prepared.save(tmp_path)
    assert load_pairs(tmp_path / "pairs.jsonl") == [each.pair for each in prepared.pairs]


def test_splits_and_counts(prepared: Prepared):
    assert [pair.pair_id for pair in prepared.split("fit")] == [1, 4]
    assert prepared.split("select") == []
    assert prepared.counts == {
        "fit": {"correct": 1, "wrong": 1},
        "select": {"correct": 0, "wrong": 0},
        "report": {"correct": 0, "wrong": 1},
    }
    assert prepared.set_aside == {"dropped": 1}
    with pytest.raises(UserError, match="unknown split 'test'; choose fit, select, report"):
        prepared.split("test")


@pytest.mark.parametrize(
    ("correct", "ablated", "needs"),
    [
        (True, False, True),
        (True, True, False),
        (False, False, False),
        (False, True, False),
        (True, None, None),
    ],
)
def test_a_twin_needs_latents_when_it_is_wrong_only_without(correct, ablated, needs):
    assert Twin("", 1, correct, 1, ablated).needs_latents is needs


def test_shares_are_of_what_was_there():
    assert FunnelStep("a", 1, 8).percent == 12.5
    assert FunnelStep("a", 0, 0).percent == 0


def test_another_model_is_refused(prepared: Prepared):
    prepared.check_model("elsewhere", "ab" * 32, 6)
    with pytest.raises(UserError, match=r"with mine \(abababababab\), not with other \(0000.*;"):
        prepared.check_model("other", "0" * 64, 6)
    with pytest.raises(UserError, match=r"when mine had other weights \(abababababab, now 0000"):
        prepared.check_model("mine", "0" * 64, 6)
    with pytest.raises(UserError, match="with 6 latents, not with 5; run"):
        prepared.check_model("mine", "ab" * 32, 5)
    unknown = dataclasses.replace(prepared, model_sha256="", latents=0)
    unknown.check_model("other", "0" * 64, 5)


@pytest.mark.parametrize(
    "twin",
    [
        Pair(1, Problem("Other?", 1), Problem("Another?", 2)),
        Pair("1", Problem("Other?", 1), Problem("Another?", 2)),
        Pair(9, Problem("Mia has 3 pens and  1 cups. How many?", 1), Problem("Another?", 2)),
        Pair(9, Problem("Other?", 1), Problem("Mia has 3 pens and 1 cups. How many?", 2)),
    ],
)
def test_a_problem_on_two_sides_is_a_leak(prepared: Prepared, twin: Pair):
    check_no_leak(prepared)
    first, second, *others = prepared.pairs
    unused = dataclasses.replace(second, pair=twin, split=None)
    check_no_leak(dataclasses.replace(prepared, pairs=(first, unused, *others)))
    leaked = dataclasses.replace(second, pair=twin)
    with pytest.raises(UserError, match=r"of split report shares .* with pair 1 of split fit;"):
        check_no_leak(dataclasses.replace(prepared, pairs=(first, leaked, *others)))


# --- damaged folders -----------------------------------------------------------------------------


def changed(path: Path, **fields) -> None:
    value = json.loads(path.read_text())
    for name, field in fields.items():
        value.pop(name) if field is None else value.update({name: field})
    path.write_text(json.dumps(value))


def reworded(folder: Path, **fields) -> None:
    """Change the first pair, and the digest that would give it away."""
    import hashlib

    path = folder / "pairs.jsonl"
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([json.dumps(json.loads(first) | fields) + "\n", *others]))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    changed(folder / "prepared.json", pairs_file_sha256=digest)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "prepared.json").unlink(), "prepared.json: No such file"),
        (lambda f: (f / "pairs.jsonl").unlink(), "pairs.jsonl: No such file"),
        (lambda f: (f / "pairs.jsonl").write_bytes(b"\xff"), "pairs.jsonl: is no UTF-8"),
        (lambda f: (f / "prepared.json").write_text("{"), "can be used"),
        (lambda f: (f / "prepared.json").write_text("[]"), "can be used"),
        (lambda f: changed(f / "prepared.json", format=99), "format is not 1"),
        (lambda f: changed(f / "prepared.json", seed=None), "seed"),
        (lambda f: changed(f / "prepared.json", funnel=[{"name": "x"}]), "count"),
        (lambda f: changed(f / "prepared.json", colour="red"), "colour"),
        (lambda f: (f / "pairs.jsonl").write_text(""), "of another run"),
        (lambda f: reworded(f, split="test"), "row 1: label 'correct', split 'test'"),
        (lambda f: reworded(f, clean={"question": "?"}), "row 1: has no clean.answer"),
        (lambda f: reworded(f, baseline={}), "clean"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(prepared, tmp_path: Path, damage, message: str):
    prepared.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        load_prepared(tmp_path)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(UserError, match=r"holds no prepared pairs .*; make them with 'prepare"):
        load_prepared(tmp_path / "nowhere")


def test_a_crash_while_writing_leaves_no_mixed_folder(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The new pairs with the old record: refused, not read as one."""
    prepared.save(tmp_path)
    other = dataclasses.replace(prepared, pairs=prepared.pairs[:2])

    def crash(source, target):
        if Path(target).name == "prepared.json":
            raise OSError("no space left")
        Path(source).rename(target)

    monkeypatch.setattr("steer_core.files.os.replace", crash)
    with pytest.raises(OSError, match="no space"):
        other.save(tmp_path)
    with pytest.raises(UserError, match="of another run"):
        load_prepared(tmp_path)
