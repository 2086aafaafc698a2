"""The commands as a person or a script calls them: what is printed where, and how they fail."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import SHORT, named, printed, refused
from safetensors.numpy import load_file
from safetensors.torch import save_file
from tiny_checkpoints import HIDDEN, LAYERS, VARIANTS, Tiny, build

from steer_core import decode, load_model
from steer_core.cli import main
from steer_core.codi.places import MODELS_DIR, bundled_names

K = 6
QUESTIONS = ["Ann ran 5 km.", "Tom has 3 pens and buys 4. How many?", "Çok 7 çay 🙂?"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp("gpt2"), VARIANTS["gpt2-bin"])


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> list[str]:
    return named(tiny)


@pytest.fixture(scope="module")
def vectors() -> torch.Tensor:
    return torch.randn(K + 1, HIDDEN, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture(scope="module")
def direction(vectors: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("direction") / "mine.safetensors"
    save_file({"direction": vectors}, path)
    return str(path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict]]:
    return partial(printed, capsys)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    return partial(refused, capsys)


# --- models --------------------------------------------------------------------------------------


def test_models_lists_every_named_model(run):
    rows = run("models")
    for row in rows:
        assert set(row) == {
            "name",
            "source",
            "layers",
            "hidden",
            "latents",
            "parameters",
            "available",
        }
        assert row["source"] in ("bundled", "hub", "local")
        assert isinstance(row["available"], bool)
        assert min(row[name] for name in ("layers", "hidden", "latents", "parameters")) > 0
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names)
    bundled = {row["name"] for row in rows if row["source"] == "bundled"}
    assert {"tiny-llama", "tiny-gpt2"} <= bundled == {path.name for path in MODELS_DIR.iterdir()}
    assert any("CODI" in name or "codi" in name for name in names if name not in bundled)


def test_models_for_a_reader(capsys: pytest.CaptureFixture[str]):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("tiny-llama" in line and "ready" in line for line in lines)


# --- decode --------------------------------------------------------------------------------------

PLAIN = {"question", "token_ids", "text", "answer", "prompt_tokens"}
WITH_BASELINE = PLAIN | {"baseline_text", "baseline_answer"}


def test_a_python_without_the_packages_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "steer_core.codi.load")
    asked = ("decode", "--model", "tiny-llama", "--question", "2 + 2?")
    assert "torch is not installed in this Python" in refused(capsys, *asked)


def test_decode_prints_one_object_for_each_question(run, model: list[str], tiny: Tiny):
    asked = [part for question in QUESTIONS for part in ("--question", question)]
    rows = run("decode", *model, *asked, *SHORT)
    loaded = load_model(str(tiny.path), device="cpu", **tiny.options)
    wanted = decode(loaded, QUESTIONS, max_new_tokens=4)
    for row, same in zip(rows, wanted, strict=True):
        assert set(row) == PLAIN
        assert (row["question"], row["text"]) == (same.question, same.text)
        assert tuple(row["token_ids"]) == same.token_ids
        assert (row["answer"], row["prompt_tokens"]) == (same.answer, same.prompt_tokens)


def test_decode_with_an_edit_prints_the_baseline_too(
    run, model: list[str], tiny: Tiny, direction: str, vectors: torch.Tensor
):
    where = ["--layer", "1", "--positions", "1,2-3", "--alpha", "-2.5", "--direction", direction]
    (row,) = run("decode", *model, "--question", QUESTIONS[1], *where, *SHORT)
    (plain,) = run("decode", *model, "--question", QUESTIONS[1], *SHORT)
    assert set(row) == WITH_BASELINE
    assert (row["baseline_text"], row["baseline_answer"]) == (plain["text"], plain["answer"])
    from steer_core import Edit

    loaded = load_model(str(tiny.path), device="cpu", **tiny.options)
    edit = Edit(vectors, -2.5, "residual", 1, (1, 2, 3))
    (same,) = decode(loaded, QUESTIONS[1:2], edit, max_new_tokens=4)
    assert tuple(row["token_ids"]) == same.token_ids != tuple(plain["token_ids"])


def test_decode_edits_the_middle_layer_at_all_latents_unless_told(
    run, model: list[str], direction: str
):
    steered = ["--question", QUESTIONS[1], "--alpha", "2", "--direction", direction, *SHORT]
    spelled = ["--site", "residual", "--layer", "1", "--positions", "1-6"]
    assert run("decode", *model, *steered) == run("decode", *model, *steered, *spelled)
    assert run("decode", *model, *steered) != run("decode", *model, *steered, "--layer", "3")


@pytest.mark.parametrize("site", ["thought", "embedding"])
def test_decode_at_the_other_sites(run, model: list[str], direction: str, site: str):
    steered = ["--question", QUESTIONS[1], "--site", site, "--alpha", "3", "--direction", direction]
    (row,) = run("decode", *model, *steered, *SHORT)
    assert set(row) == WITH_BASELINE


@pytest.mark.parametrize("alpha", ["0", "-0", "0.0"])
def test_decode_at_alpha_zero_is_no_edit(run, model: list[str], alpha: str):
    """Also of a model that has no directions."""
    rows = run("decode", *model, "--question", QUESTIONS[0], "--alpha", alpha, *SHORT)
    assert rows == run("decode", *model, "--question", QUESTIONS[0], *SHORT)


@pytest.mark.parametrize(
    ("options", "warned"), [(["--layer", "2"], True), (["--layer", "2", "--alpha", "0"], False)]
)
def test_decode_says_that_a_place_alone_edits_nothing(
    run, model: list[str], caplog: pytest.LogCaptureFixture, options: list[str], warned: bool
):
    run("decode", *model, "--question", "Tom has 3 pens. How many?", *SHORT, *options)
    assert ("without --alpha" in caplog.text) == warned


def test_decode_with_another_number_of_latents(run, model: list[str], tmp_path: Path):
    out = tmp_path / "hidden.safetensors"
    rows = run(
        "decode", *model, "--latents", "2", "--question", "5?", "--hidden-out", str(out), *SHORT
    )
    assert len(rows) == 1
    assert load_file(out)["hidden"].shape == (1, 3, LAYERS + 1, HIDDEN)


def test_decode_writes_hidden_states(run, model: list[str], tiny: Tiny, tmp_path: Path):
    out = tmp_path / "new" / "hidden.safetensors"
    asked = [part for question in QUESTIONS for part in ("--question", question)]
    run("decode", *model, *asked, "--hidden-out", str(out), *SHORT)
    stored = load_file(out)
    assert list(stored) == ["hidden"]
    assert stored["hidden"].dtype == np.float32
    assert stored["hidden"].shape == (len(QUESTIONS), K + 1, LAYERS + 1, HIDDEN)
    loaded = load_model(str(tiny.path), device="cpu", **tiny.options)
    wanted = [row.hidden for row in decode(loaded, QUESTIONS, max_new_tokens=1, hidden=True)]
    np.testing.assert_allclose(stored["hidden"], np.stack(wanted), atol=1e-5)


@pytest.mark.parametrize("kind", ["text", "json", "json with a byte order mark"])
def test_decode_reads_questions_from_a_file(run, model: list[str], tmp_path: Path, kind: str):
    path = tmp_path / "questions"
    if kind == "text":
        path.write_text("\n".join([*QUESTIONS, "  ", ""]), encoding="utf-8")
    else:
        mark = "\ufeff" if "mark" in kind else ""
        path.write_text(mark + json.dumps(QUESTIONS, ensure_ascii=False), encoding="utf-8")
    rows = run("decode", *model, "--questions-file", str(path), *SHORT)
    assert [row["question"] for row in rows] == QUESTIONS


def test_decode_for_a_reader(
    capsys: pytest.CaptureFixture[str], run, model: list[str], direction: str
):
    steered = ["--question", QUESTIONS[1], "--alpha", "2", "--direction", direction, *SHORT]
    (row,) = run("decode", *model, *steered)
    assert main(["decode", *model, *steered]) == 0
    assert capsys.readouterr().out == f"{row['baseline_text']}  ->  {row['text']}\n"


@pytest.mark.parametrize("name", bundled_names())
def test_decode_steers_the_bundled_models_along_their_own_directions(run, name: str):
    question = "Tom has 3 apples and buys 4 more. How many apples does he have?"
    asked = ["--question", question, "--device", "cpu", "--max-new-tokens", "12"]
    (row,) = run("decode", "--model", name, *asked, "--layer", "3", "--alpha", "2")
    assert set(row) == WITH_BASELINE
    (other,) = run("decode", "--model", name, *asked, "--alpha", "2", "--direction", "random-5")
    assert other["baseline_text"] == row["baseline_text"]


def test_the_seed_of_a_random_direction_is_the_one_that_is_asked_for(run):
    question = "Tom has 3 apples and buys 4 more. How many apples does he have?"
    steered = ["--question", question, "--alpha", "30", "--device", "cpu", "--max-new-tokens", "12"]
    asked = ["decode", "--model", "tiny-llama", *steered, "--direction"]
    (named,) = run(*asked, "random-5")
    (seeded,) = run(*asked, "random", "--seed", "5")
    (other,) = run(*asked, "random", "--seed", "6")
    (first,) = run(*asked, "random")
    (zero,) = run(*asked, "random-0")
    assert seeded == named
    assert first == zero
    assert len({tuple(row["token_ids"]) for row in (seeded, other, first)}) == 3


# --- directions, train ---------------------------------------------------------------------------


def test_directions_are_computed_stored_and_usable(
    run, model: list[str], tiny: Tiny, tmp_path: Path
):
    loaded = load_model(str(tiny.path), device="cpu", **tiny.options)
    texts = [f"Tom has {a} pens and buys {b} more. How many?" for a in range(2, 7) for b in (1, 5)]
    answers = [row.answer for row in decode(loaded, texts)]
    golds = [answer if answer is not None else 0 for answer in answers]
    assert any(answer is not None for answer in answers)
    sides = [{"question": t, "answer": g} for t, g in zip(texts, golds, strict=True)]
    wrong = {"question": "Ann ran 5 km.", "answer": 123456}
    rows = [{"pair_id": i, "clean": side, "corrupted": wrong} for i, side in enumerate(sides)]
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps(rows))
    out = tmp_path / "out"
    found = run("directions", *model, "--pairs", str(pairs), "--out", str(out))
    places = [("residual", layer) for layer in range(1, LAYERS + 1)]
    assert [(row["site"], row["layer"]) for row in found] == [
        *places,
        ("thought", None),
        ("embedding", None),
    ]
    for row in found:
        assert len(row["norms"]) == K + 1
        assert row["correct"] + row["wrong"] == 2 * len(rows)
        used = ["--site", row["site"], "--direction", row["file"], "--alpha", "1"]
        at = ["--layer", str(row["layer"])] if row["layer"] else []
        assert run("decode", *model, "--question", "5?", *used, *at, *SHORT)


def test_train_writes_a_model_that_decodes(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("steer_core.training.trainer.TOKENIZER_TEXTS", 300)
    monkeypatch.setattr("steer_core.training.trainer.VALIDATION", 8)
    run("train", "--arch", "gpt2", "--out", str(tmp_path), "--steps", "2", "--batch", "2")
    rows = run("decode", "--model", str(tmp_path), "--question", "Tom has 3 apples.", *SHORT)
    assert set(rows[0]) == PLAIN


# --- user errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--layer", "9", "--alpha", "1"], ["layer 9", "1..3"]),
        (["--layer", "0"], ["layer 0", "1..3"]),
        (["--site", "mlp"], ["'mlp'", "residual, thought, embedding"]),
        (["--positions", "7"], ["position 7", "0..6"]),
        (["--positions", "1,x"], ["'1,x'", "1-6"]),
        (["--positions", "6-1"], ["'6-1'"]),
        (["--positions", ""], ["''"]),
        (["--alpha", "nan"], ["alpha nan", "1.5"]),
        (["--alpha", "inf"], ["alpha inf", "1.5"]),
        (["--alpha", "1e300"], ["1e+300", "1e+12"]),
        (["--alpha", "much"], ["'much'", "--help"]),
        (["--seed", "-1"], ["'-1'", "0..4294967295"]),
        (["--seed", "4294967296"], ["'4294967296'", "0..4294967295"]),
        (["--alpha", "1", "--direction", "nonsense"], ["'nonsense'", "mean_difference"]),
        (["--direction", "nonsense"], ["'nonsense'", "mean_difference"]),
        (["--alpha", "1", "--direction", "two\nlines"], ["two lines"]),
        (["--alpha", "1"], ["no cached direction", "directions --model"]),
        (["--alpha", "1", "--direction", "no.safetensors"], ["no.safetensors"]),
        (["--max-new-tokens", "0"], ["0 new tokens"]),
        (["--latents", "99"], ["99", "0..64"]),
        (["--device", "tpu"], ["'tpu'", "cpu"]),
        (["--dtype", "int8"], ["'int8'", "float32"]),
        (["--question", "  "], ["empty"]),
        (["--question", "a\udcff"], ["Unicode", "UTF-8"]),
        (["--question", "word " * 10_000], ["tokens", "at most"]),
        (["--hidden-out", "/proc/nowhere/x"], ["/proc/nowhere"]),
        (["--questions-file", "x.json"], ["not allowed with"]),
        (["--colour", "red"], ["--colour", "--help"]),
    ],
)
def test_decode_refuses_in_one_line(fails, model: list[str], options: list, parts: list):
    line = fails("decode", *model, "--question", QUESTIONS[0], *SHORT, *options)
    for part in parts:
        assert part in line
    assert ";" in line, "the next move is missing"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (None, ["cannot read"]),
        ("", ["no questions"]),
        ("[]", ["no questions"]),
        ("[1, 2]", ["row 1"]),
        ('["a", 2]', ["row 2"]),
        ('["a"', ["is not JSON"]),
        (b"\xff\xfe", ["UTF-16"]),
    ],
)
def test_a_questions_file_that_cannot_be_used(
    fails, model: list[str], tmp_path: Path, text: str | bytes | None, parts: list[str]
):
    path = tmp_path / "questions.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    line = fails("decode", *model, "--questions-file", str(path))
    for part in [*parts, "questions.json", ";"]:
        assert part in line


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "command"),
        (["fly"], "fly"),
        (["decode", "--question", "1"], "--model"),
        (["decode", "--model", "tiny-llama"], "--question"),
        (["train", "--arch", "bert", "--out", "x"], "'bert'"),
        (["train", "--arch", "gpt2", "--out", "x", "--steps", "0"], "steps 0"),
        (["directions", "--model", "tiny-llama", "--out", "x", "--method", "umap"], "'umap'"),
        (["decode", "--model", "/no/such/folder", "--question", "1"], "/no/such/folder"),
    ],
)
def test_other_mistakes_are_one_line_too(fails, arguments: list[str], part: str):
    line = fails(*arguments)
    assert part in line
    assert ";" in line


def test_a_direction_of_another_model_is_refused(fails, run, model: list[str], tmp_path: Path):
    about = {"provenance": {"model": "other", "model_sha256": "ab" * 32, "problems": "fit"}}
    about["provenance"] |= {"problems_sha256": "", "correct": 1, "wrong": 1, "seed": 0}
    about["provenance"]["versions"] = {}
    path = tmp_path / "theirs.safetensors"
    metadata = {"steer_core": json.dumps(about)}
    save_file({"direction": torch.ones(K + 1, HIDDEN)}, path, metadata=metadata)
    line = fails("decode", *model, "--question", "5?", "--alpha", "1", "--direction", str(path))
    assert "computed from other (abababababab)" in line
    assert "directions --model" in line
