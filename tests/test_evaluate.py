"""Accuracy on test sets: what files mean, the official scoring, and the verdict on a figure."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_hub import Hub, Repository, point_at, serving
from huggingface_hub import constants
from tiny_models import QUESTIONS, problems, tiny_model

from steer_core import UserError, decode
from steer_core.analysis.statistics import wilson
from steer_core.cli import main
from steer_core.codi.known import KNOWN
from steer_core.codi.model import CodiModel
from steer_core.data.pairs import dump_pairs
from steer_core.data.problems import Pair, Problem
from steer_core.data.questions import load_problems
from steer_core.experiment import benchmarks
from steer_core.experiment.benchmarks import TEST_SETS, PublishedSet, load_test_set
from steer_core.experiment.evaluate import evaluate, verdict
from steer_core.steering.decode import Decoded

LIMIT = 6
ROWS = [{"question": "How many?", "answer": "3 + 15 = <<3+15=18>>18\n#### 18"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("model"))


# --- files ---------------------------------------------------------------------------------------


def written(path: Path, rows: list[dict]) -> str:
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        path.write_text(json.dumps(rows))
    return str(path)


@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet"])
@pytest.mark.parametrize(
    "names",
    [
        ("question", "answer"),
        ("question_concat", "Answer"),
        ("instruction", "response"),
        ("question", "final_ans"),
        ("input", "target"),
    ],
)
def test_files_in_every_published_layout(kind: str, names: tuple[str, str], tmp_path: Path):
    rows = [{names[0]: f"Q{i}?", "other": "x", names[1]: f"{i},000"} for i in range(1, 4)]
    found = load_problems(written(tmp_path / f"set.{kind}", rows))
    assert found == [Problem(f"Q{i}?", 1000 * i) for i in range(1, 4)]


def test_numbers_in_parquet(tmp_path: Path):
    rows = [{"question": "Q?", "answer": 12}, {"question": "R?", "answer": 5}]
    assert [p.answer for p in load_problems(written(tmp_path / "a.parquet", rows))] == [12, 5]


def test_of_pairs_the_clean_twins_are_asked(tmp_path: Path):
    pair = Pair(1, Problem("Clean?", 3), Problem("Corrupted?", 4))
    path = tmp_path / "pairs.json"
    path.write_text(dump_pairs([pair]))
    assert load_problems(str(path)) == [pair.clean]
    assert len(load_problems("test")) > 100


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([*ROWS, {"question": "How many?"}], "row 2 has none of the fields answer"),
        ([{"answer": 3}], "row 1 has none of the fields question"),
        ([*ROWS, {"question": "How many?", "answer": "none"}], "row 2: the answer is 'none'"),
        ([{"question": " ", "answer": 3}], "row 1: the question is ' '"),
        (["How many?"], "row 1 is no object"),
        ([], "holds no questions"),
    ],
)
def test_rows_that_cannot_be_used_are_named(rows: list, named: str, tmp_path: Path):
    path = tmp_path / "set.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(UserError, match=named):
        load_problems(str(path))


@pytest.mark.parametrize("name", ["nowhere.json", "nowhere.parquet", "gsm9k"])
def test_files_that_are_not_there(name: str):
    with pytest.raises(UserError, match=name):
        load_test_set(name)


def test_a_file_that_is_no_parquet(tmp_path: Path):
    path = tmp_path / "set.parquet"
    path.write_text("no parquet")
    with pytest.raises(UserError, match=r"set\.parquet"):
        load_problems(str(path))


# --- test sets on the hub ------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as (found, address):
        point_at(address, tmp_path / "cache", monkeypatch)
        yield found


def parquet(rows: list[dict]) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(rows).to_parquet(buffer)
    return buffer.getvalue()


def known(name: str, size: int | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Expect so many problems; the repository's name on the hub."""
    monkeypatch.setitem(TEST_SETS, name, replace(TEST_SETS[name], size=size))
    return f"datasets/{TEST_SETS[name].repository}"


def test_a_test_set_is_fetched_once(served: Hub, monkeypatch: pytest.MonkeyPatch):
    files = {
        "main/test-00000-of-00001.parquet": parquet(ROWS),
        "main/train-00000-of-00001.parquet": parquet(ROWS * 5),
        "socratic/test-00000-of-00001.parquet": parquet(ROWS * 7),
        "README.md": b"text",
    }
    served.repositories[known("gsm8k", 1, monkeypatch)] = Repository(files)
    assert load_test_set("gsm8k") == [Problem("How many?", 18)]
    assert [name for name in served.transfers() if name.endswith(".parquet")] == [
        "test-00000-of-00001.parquet"
    ]
    served.requests.clear()
    load_test_set("gsm8k")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    load_test_set("gsm8k")
    assert served.requests == []


def test_splits_are_joined_in_order(served: Hub, monkeypatch: pytest.MonkeyPatch):
    def rows(*numbers: int) -> bytes:
        found = [{"question_concat": f"Q{n}?", "Answer": str(n)} for n in numbers]
        return json.dumps(found).encode()

    files = {"test.json": rows(3), "train.json": rows(1, 2), "data/test.jsonl": rows(9)}
    served.repositories[known("svamp", 3, monkeypatch)] = Repository(files)
    assert [problem.answer for problem in load_test_set("svamp")] == [1, 2, 3]


def test_a_test_set_of_another_size_is_refused(served: Hub, monkeypatch: pytest.MonkeyPatch):
    rows = json.dumps([{"question": "Q?", "final_ans": "1"}]).encode()
    served.repositories[known("multiarith", 180, monkeypatch)] = Repository({"test.json": rows})
    with pytest.raises(UserError, match="holds 1 problems where 180 are expected"):
        load_test_set("multiarith")


def test_a_test_set_without_a_hub(served: Hub):
    with pytest.raises(UserError, match="--data"):
        load_test_set("gsm-hard")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["train.json", "test.json"], ["train.json", "test.json"]),
        (
            ["test.json", "data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"],
            ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"],
        ),
        (["train.json", "README.md"], []),
        (["training.json", "latest.json"], []),
    ],
)
def test_files_of_a_test_set(names: list[str], chosen: list[str]):
    assert PublishedSet("a/b", ("train", "test")).choose(names) == chosen


# --- scoring and verdict -------------------------------------------------------------------------


def test_scoring(model: CodiModel):
    asked = problems(model, LIMIT)
    seen = []
    model.session.forget()
    result, decoded = evaluate(
        model,
        asked,
        "mine",
        max_new_tokens=LIMIT,
        rows_at_a_time=5,
        progress=lambda *counts: seen.append(counts),
    )
    plain = decode(model, QUESTIONS, max_new_tokens=LIMIT)
    assert [row.token_ids for row in decoded] == [row.token_ids for row in plain]
    right = sum(row.answer == p.answer for row, p in zip(plain, asked, strict=True))
    assert 0 < right < len(asked)
    assert (result.n, result.correct, result.accuracy) == (12, right, right / 12)
    assert (result.low, result.high) == pytest.approx(wilson(right, 12))
    assert result.no_number == sum(row.answer is None for row in plain)
    assert result.problems_per_s == pytest.approx(12 / result.seconds)
    assert [done for done, _, _ in seen] == [4, 8, 12]
    assert seen[-1] == (12, 12, right)
    assert (result.published, result.gate) == ((), "no published figure")


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [(2**60 + 1, 2**60 + 1, 1), (2**60 + 1, 2**60, 0), (float(2**60), 2**60 + 1, 1)],
)
def test_large_golds(
    gold: float, answer: int, right: int, model: CodiModel, monkeypatch: pytest.MonkeyPatch
):
    """Exact, but for golds that were rounded when a file was written, as in GSM-Hard."""
    said = Decoded("?", (1,), str(answer), answer, 1)
    monkeypatch.setattr("steer_core.experiment.evaluate.decode_all", lambda *_: [said])
    assert evaluate(model, [Problem("?", gold)], "mine")[0].correct == right


def test_a_question_asked_twice_counts_twice(model: CodiModel):
    (problem,) = [p for p in problems(model, LIMIT) if p.answer >= 0][:1]
    asked = [problem, replace(problem, answer=-5), problem]
    result, _ = evaluate(model, asked, "mine", max_new_tokens=LIMIT)
    assert (result.n, result.correct) == (3, 2)


@pytest.mark.parametrize(
    ("percent", "published", "n", "said"),
    [
        (43.7, (43.7, 41.9), 1319, "pass"),
        (40.5, (43.7, 41.9), 1319, "pass"),
        (45.1, (43.7, 41.9), 1319, "pass"),
        (37.2, (43.7, 41.9), 1319, "fail"),
        (45.3, (43.7, 41.9), 1319, "fail"),
        (43.7, (), 1319, "no published figure"),
        (43.7, (43.7,), 100, "only 100 of 1319 problems"),
    ],
)
def test_the_verdict(percent: float, published: tuple, n: int, said: str):
    assert verdict(percent, published, n, 1319) == said


@pytest.mark.parametrize("by", ["name", "repository", "weights"])
def test_a_published_model_is_recognised(by: str, model: CodiModel):
    entry = KNOWN["codi-gpt2"]
    named = {"name": {"name": "codi-gpt2"}, "repository": {"name": entry.repository}}
    found = replace(model, **named.get(by, {"weights_sha256": entry.sha256}))
    assert benchmarks.published_figures(found, "gsm8k")[0] == 43.7
    assert benchmarks.published_figures(found, "mine") == ()
    assert benchmarks.published_figures(model, "gsm8k") == ()


def test_every_figure_belongs_to_a_known_model_and_set():
    assert {name for name, _ in benchmarks.PUBLISHED} <= set(KNOWN)
    assert {data for _, data in benchmarks.PUBLISHED} == set(TEST_SETS)
    assert all(1 < figure < 100 for each in benchmarks.PUBLISHED.values() for figure in each)


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def command(
    model: CodiModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], list[Problem]]:
    """The arguments that evaluate on a file of problems half of which are answered right."""
    monkeypatch.setattr("steer_core.cli.options.load", lambda args: model)
    asked = problems(model, LIMIT)
    rows = [{"question": p.question, "answer": f"#### {p.answer}"} for p in asked]
    data = written(tmp_path / "mine.jsonl", rows)
    limit = ["--max-new-tokens", str(LIMIT)]
    return ["evaluate", "--model", "tiny", "--data", data, *limit], asked


def test_the_command(command: tuple, tmp_path: Path, capsys: pytest.CaptureFixture):
    arguments, asked = command
    out = tmp_path / "deep" / "answers.jsonl"
    assert main([*arguments, "--batch", "8", "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["gold"] for row in rows] == [p.answer for p in asked]
    assert found["correct"] == sum(row["correct"] for row in rows)
    assert 0 < found["correct"] < found["n"] == 12
    assert "12/12" in printed.err

    assert main([*arguments, "--limit", "4"]) == 0
    text = capsys.readouterr().out
    assert "of 4," in text
    assert "no published figure" in text


def test_a_figure_that_is_not_reproduced_fails(
    command: tuple, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    figures = "steer_core.experiment.evaluate.published_figures"
    monkeypatch.setattr(figures, lambda model, data: (99.0, 98.0))
    assert main(command[0]) == 1
    assert "fail (published 99, 98)" in capsys.readouterr().out
    assert main([*command[0], "--limit", "5"]) == 0


@pytest.mark.parametrize("option", [["--limit", "0"], ["--batch", "0"], ["--max-new-tokens", "0"]])
def test_numbers_below_one(option: list[str], command: tuple, capsys: pytest.CaptureFixture):
    assert main([*command[0], *option]) == 2
    assert "0" in capsys.readouterr().err
