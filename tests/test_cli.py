"""The commands as a person or a script calls them: what is printed where, and how they fail."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from safetensors.torch import save_file
from tiny_checkpoints import HIDDEN, LAYERS, VARIANTS, Tiny, build

from steer_core import UserError, decode, load_model
from steer_core.cli import main
from steer_core.cli.options import MOST_ALPHAS, alphas_of, integers_of, positions_of, read_questions
from steer_core.cli.sweep import controls_of
from steer_core.codi.load import MODELS_DIR

K = 6
QUESTIONS = ["Ann ran 5 km.", "Tom has 3 pens and buys 4. How many?", "Çok 7 çay 🙂?"]
SHORT = ["--max-new-tokens", "4"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp("gpt2"), VARIANTS["gpt2-bin"])


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> list[str]:
    """The options that name the model."""
    alpha = str(tiny.options["lora_alpha"])
    return ["--model", str(tiny.path), "--base", str(tiny.base), "--lora-alpha", alpha]


@pytest.fixture(scope="module")
def vectors() -> torch.Tensor:
    return torch.randn(K + 1, HIDDEN, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture(scope="module")
def direction(vectors: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("direction") / "mine.safetensors"
    save_file({"direction": vectors}, path)
    return str(path)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = [
        {
            "pair_id": i,
            "clean": {"question": f"Tom has {i + 2} pens. How many?", "answer": i},
            "corrupted": {"question": f"Tom has {i + 9} pens. How many?", "answer": i + 1},
        }
        for i in range(4)
    ]
    path = tmp_path_factory.mktemp("pairs") / "mine.json"
    path.write_text(json.dumps(rows))
    return str(path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict]]:
    """Run a command that must succeed; the objects that `--json` printed."""

    def run(*arguments: str) -> list[dict]:
        capsys.readouterr()
        assert main([*arguments, "--json"]) == 0
        out = capsys.readouterr().out
        return [json.loads(line) for line in out.splitlines()]

    return run


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail as a user error; its one line."""

    def fails(*arguments: str) -> str:
        capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as error:  # argparse
            status = error.code
        found = capsys.readouterr()
        assert status == 2
        assert found.out == ""
        assert found.err.startswith("error: ")
        assert found.err.count("\n") == 1
        assert found.err.endswith("\n")
        return found.err

    return fails


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
    assert bundled == {"tiny-llama", "tiny-gpt2"} == {path.name for path in MODELS_DIR.iterdir()}
    assert any("CODI" in name or "codi" in name for name in names if name not in bundled)


def test_models_for_a_reader(capsys: pytest.CaptureFixture[str]):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("tiny-llama" in line and "ready" in line for line in lines)


# --- decode --------------------------------------------------------------------------------------

PLAIN = {"question", "token_ids", "text", "answer", "prompt_tokens"}
WITH_BASELINE = PLAIN | {"baseline_text", "baseline_answer"}


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


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-gpt2"])
def test_decode_steers_the_bundled_models_along_their_own_directions(run, name: str):
    question = "Tom has 3 apples and buys 4 more. How many apples does he have?"
    asked = ["--question", question, "--device", "cpu", "--max-new-tokens", "12"]
    (row,) = run("decode", "--model", name, *asked, "--layer", "3", "--alpha", "2")
    assert set(row) == WITH_BASELINE
    (other,) = run("decode", "--model", name, *asked, "--alpha", "2", "--direction", "random-5")
    assert other["baseline_text"] == row["baseline_text"]


# --- sweep ---------------------------------------------------------------------------------------

FIELDS = {"layer", "alpha", "direction", "n", "correct", "accuracy", "low", "high", "flips"}


def test_sweep_prints_one_object_for_each_layer_direction_and_alpha(
    run, model: list[str], direction: str, pairs: str, tmp_path: Path
):
    rows = run(
        *("sweep", *model, "--pairs", pairs, "--layers", "1,3", "--alphas=-1:1:1"),
        *("--controls", "random=2", "--direction", direction, "--out", str(tmp_path / "new")),
        *SHORT,
    )
    names = ("mine", "random-0", "random-1")
    keys = [(row["layer"], row["direction"], row["alpha"]) for row in rows]
    assert keys == [(at, name, a) for at in (1, 3) for name in names for a in (-1.0, 0.0, 1.0)]
    for row in rows:
        assert set(row) == FIELDS
        assert row["n"] == 4
        assert row["accuracy"] == row["correct"] / 4
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert row["flips"] == 0 or row["alpha"] != 0
    table = (tmp_path / "new" / "sweep.csv").read_text().splitlines()
    assert len(table) == 1 + len(rows)


def test_sweep_at_a_site_without_layers(run, model: list[str], direction: str, pairs: str):
    rows = run(
        *("sweep", *model, "--pairs", pairs, "--site", "thought", "--alphas", "1,-0"),
        *("--direction", direction, *SHORT),
    )
    assert [(row["layer"], row["alpha"]) for row in rows] == [(None, 1.0), (None, 0.0)]
    assert "-0.0" not in json.dumps(rows)


def test_the_seed_of_a_sweep_picks_its_controls(run, model: list[str], direction: str, pairs: str):
    options = ["--pairs", pairs, "--alphas", "1", "--controls", "random=1", "--seed", "7"]
    rows = run("sweep", *model, *options, "--direction", direction, *SHORT)
    assert [row["direction"] for row in rows] == ["mine", "random-7"]


def test_progress_is_no_data(
    capsys: pytest.CaptureFixture[str],
    model: list[str],
    direction: str,
    pairs: str,
    monkeypatch: pytest.MonkeyPatch,
):
    """On stderr, and only when somebody watches."""
    options = ["--pairs", pairs, "--alphas", "1", "--direction", direction, *SHORT, "--json"]
    for watched in (False, True):
        capsys.readouterr()
        monkeypatch.setattr("sys.stderr.isatty", lambda watched=watched: watched)
        assert main(["sweep", *model, *options]) == 0
        found = capsys.readouterr()
        assert ("8/8 rows" in found.err) is watched
        assert len(found.out.splitlines()) == 1


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
        (None, ["cannot be read"]),
        ("", ["no questions"]),
        ("[]", ["no questions"]),
        ("[1, 2]", ["entry 1"]),
        ('["a", 2]', ["entry 2"]),
        ('["a"', ["no JSON list"]),
        (b"\xff\xfe", ["cannot be read"]),
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
    ("options", "parts"),
    [
        (["--layers", "1,9"], ["layer 9", "1..3"]),
        (["--layers", "3-1"], ["'3-1'"]),
        (["--alphas", "3:1:1"], ["'3:1:1'", "start:stop:step"]),
        (["--alphas", "a"], ["'a'", "1.5"]),
        (["--controls", "shuffle=2"], ["'shuffle=2'", "random=20"]),
        (["--controls", "random"], ["'random'"]),
        (["--pairs", "no.json"], ["no.json"]),
        (["--max-new-tokens", "-1"], ["-1 new tokens"]),
        (["--out", "/proc/nowhere"], ["/proc/nowhere"]),
    ],
)
def test_sweep_refuses_in_one_line(
    fails, model: list[str], direction: str, pairs: str, options: list, parts: list
):
    given = ["--pairs", pairs, "--direction", direction, "--alphas", "1", *SHORT]
    line = fails("sweep", *model, *given, *options)
    for part in [*parts, ";"]:
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
        (["directions", "--model", "tiny-llama", "--out", "x", "--method", "pca"], "'pca'"),
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


# --- texts to values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0,1,2.5", [0.0, 1.0, 2.5]),
        (" -1 , 2e-1", [-1.0, 0.2]),
        ("-3:3:0.5", [-3 + i / 2 for i in range(13)]),
        ("-0.3:0.3:0.1", [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]),
        ("-3:3:0.1", [i / 10 for i in range(-30, 31)]),
        ("0:1:0.3", [0.0, 0.3, 0.6, 0.9]),
        ("2:2:1", [2.0]),
        ("1:2:5", [1.0]),
        ("0:10000:1", [float(i) for i in range(10_001)]),
    ],
)
def test_alphas(text: str, wanted: list[float]):
    assert alphas_of(text) == wanted


@pytest.mark.parametrize("text", ["-0", "0,-0.0", "-0:0:1", "-1:0:1", "-1:1:0.1", "-2:-0:0.25"])
def test_zero_is_the_zero_of_the_baseline(text: str):
    """Neither -0.0 nor 5.6e-17."""
    near = [alpha for alpha in alphas_of(text) if abs(alpha) < 1e-6]
    assert near
    assert all(str(alpha) == "0.0" for alpha in near)


@given(
    start=st.integers(-500, 500), count=st.integers(0, 300), step=st.sampled_from([1, 5, 10, 25])
)
def test_a_range_holds_both_ends_and_exact_hundredths(start: int, count: int, step: int):
    stop = start + count * step
    found = alphas_of(f"{start / 100}:{stop / 100}:{step / 100}")
    assert found == [(start + i * step) / 100 for i in range(count + 1)]


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "1,", "1,,2", "x", "1;2", "nan", "1,inf", "1e999"),
        *("1:2", "1:2:3:4", "1:2:0", "1:2:-1", "2:1:1", "1:2:1,3", "0:1:1e-12", "::"),
        *(f"0:{MOST_ALPHAS}:1", "0:1e300:1", "-1e308:1e308:1", "0:1e300:1e-9"),
    ],
)
def test_what_is_no_list_of_alphas(text: str):
    with pytest.raises(UserError, match=";") as caught:
        alphas_of(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, (1, 2, 3, 4, 5, 6)),
        ("1,2,3", (1, 2, 3)),
        ("0-6", (0, 1, 2, 3, 4, 5, 6)),
        (" 5, 1 - 2 ,5", (5, 1, 2)),
        ("3-3", (3,)),
    ],
)
def test_positions(text: str | None, wanted: tuple[int, ...]):
    assert positions_of(text, K) == wanted
    if text is not None:
        assert integers_of(text) == list(wanted)


@pytest.mark.parametrize(
    "text", ["", "x", "1,", "-1", "1.5", "6-1", "1-", "1--3", "0-99999999999999"]
)
def test_what_is_no_list_of_whole_numbers(text: str):
    for parse in (integers_of, lambda text: positions_of(text, K)):
        with pytest.raises(UserError, match="write 1,2,3 or 1-6"):
            parse(text)


def test_controls():
    assert controls_of(None)["random"] == 0
    assert controls_of("random=20")["random"] == 20
    for text in ("random", "random=", "random=-1", "random=x", "noise=2", "random=1,", "random=²"):
        with pytest.raises(UserError, match="random=20"):
            controls_of(text)


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1))
def test_any_json_list_of_texts_is_read(texts: list[str], tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(texts), encoding="utf-8")
    assert read_questions(path) == texts
