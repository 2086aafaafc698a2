"""The journal of `prepare`: whole units or nothing, by content, across sittings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import QUESTIONS, tiny_model

from steer_core import UserError, decode
from steer_core.codi.engine import Cancelled
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair, Problem
from steer_core.pipeline import necessity
from steer_core.pipeline.journal import Answer, Journal
from steer_core.pipeline.prepare import PrepareSettings, prepare
from steer_core.pipeline.splits import SplitSettings

LIMIT = 6
ANSWERS = [Answer("The answer is: 7", 7), Answer("no\nnumber “ü”", None), Answer("1.5", 1.5)]
SPLIT = SplitSettings(fractions=(0.5, 0.0, 0.5), keep_unchanged=True, balanced=False)


def test_a_unit_is_read_as_it_was_written(tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    journal = Journal(path, {"model": "a"})
    key = journal.key(["one?", "two?"])
    assert journal.find(key) is None
    journal.write(key, ANSWERS)
    assert journal.find(key) == Journal(path, {"model": "a"}).find(key) == ANSWERS


def test_a_unit_is_known_by_setting_and_content():
    one = Journal(None, {"model": "a"})
    assert one.key(["x"]) == Journal(None, {"model": "a"}).key(["x"])
    assert one.key(["x"]) != one.key(["y"])
    assert one.key(["x"]) != Journal(None, {"model": "b"}).key(["x"])


def test_every_cut_of_the_file_loses_at_most_the_last_unit(tmp_path: Path):
    """As a killed process leaves it; what is written behind the cut is read again."""
    whole = tmp_path / "whole.jsonl"
    journal = Journal(whole)
    journal.write("first", ANSWERS)
    first = whole.stat().st_size
    journal.write("second", ANSWERS[:1])
    content = whole.read_bytes()
    for cut in range(first, len(content)):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(content[:cut])
        resumed = Journal(path)
        assert resumed.find("first") == ANSWERS
        resumed.write("third", ANSWERS[1:])
        again = Journal(path)
        assert again.find("third") == ANSWERS[1:]
        # All but the line's end is a whole line.
        assert again.find("second") in (None, ANSWERS[:1])


def test_a_known_unit_is_not_written_twice(tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    Journal(path).write("a", ANSWERS)
    size = path.stat().st_size
    Journal(path).write("a", ANSWERS)
    assert path.stat().st_size == size


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot be read .*; name another folder"):
        Journal(tmp_path)


# --- with a model --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every call to the decoder, in units of 4."""
    calls: list[int] = []
    real = necessity.decode_rows

    def counted(model, questions, rows, *rest):
        calls.append(len(rows))
        return real(model, questions, rows, *rest)

    monkeypatch.setattr(necessity, "decode_rows", counted)
    monkeypatch.setattr(necessity, "ROWS_AT_A_TIME", 4)
    return calls


def pairs() -> list[Pair]:
    """Gold answers that an untrained model misses; one twin is right by chance at most."""
    return [
        Pair(i, Problem(q, i), Problem(q.replace("pens", "cups"), i + 1))
        for i, q in enumerate(QUESTIONS)
    ]


@pytest.fixture
def asked(model: CodiModel) -> list[Pair]:
    """Every other clean twin is right."""
    found = pairs()
    for i, row in enumerate(decode(model, QUESTIONS, max_new_tokens=LIMIT)):
        if i % 2 and row.answer is not None:
            found[i] = replace(found[i], clean=replace(found[i].clean, answer=row.answer))
    return found


@pytest.fixture
def run(model: CodiModel, asked: list[Pair], tmp_path: Path) -> Callable:
    def run(kind: str = "zeros", stop=lambda: False, limit: int = LIMIT, split=SPLIT, **other):
        settings = PrepareSettings(kind, split=split, max_new_tokens=limit)
        path = tmp_path / "answers.jsonl"
        return prepare(replace(model, **other), asked, settings, stop=stop, answers=path)

    return run


def test_a_stopped_run_decodes_the_rest_only(run: Callable, decoded: list[int], tmp_path: Path):
    whole = run()
    total = sum(decoded)
    (tmp_path / "answers.jsonl").unlink()
    decoded.clear()

    def late() -> bool:
        return len(decoded) > 3

    with pytest.raises(Cancelled):
        run(stop=late)
    before = sum(decoded[:-1])  # the last was stopped
    assert before < total
    decoded.clear()
    assert run() == whole
    assert sum(decoded) == total - before
    decoded.clear()
    assert run() == whole
    assert run(split=replace(SPLIT, filter="none", seed=5)).pairs != whole.pairs
    assert decoded == []


def test_states_are_decoded_again_for_a_mean_but_not_what_replaces_them(
    run: Callable, decoded: list[int]
):
    whole = run("noise")
    total = sum(decoded)
    decoded.clear()
    assert run("noise") == whole
    # Both twins at baseline; not both without latents, nor the clean ones with their twin's.
    assert sum(decoded) == total * 2 / 5


@pytest.mark.parametrize(
    ("other", "again"),
    [({"limit": LIMIT + 1}, 5), ({"sha256": "cd" * 32}, 5), ({"kind": "mean"}, 4)],
)
def test_another_decoding_takes_over_what_is_the_same(
    run: Callable, decoded: list[int], other: dict, again: int
):
    """Nothing, but for what replaces latents the answers on those of the twin."""
    run()
    total = sum(decoded)
    decoded.clear()
    with suppress(UserError):  # other answers may leave a split without right ones
        run(**other)
    assert sum(decoded) == total * again / 5
