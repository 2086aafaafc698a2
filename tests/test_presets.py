"""The preset of the seed experiment, and the self-check, as commands."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from reference import SEED_REPLAY as REPLAY
from reference import Addition, prompt_ids
from reference import decode as decode_slowly
from safetensors.torch import save_file
from tiny_checkpoints import HIDDEN, QUESTIONS, VARIANTS, Tiny, build, changed, some_key

from steer_core import UserError, load_model
from steer_core.cli import main
from steer_core.steering.directions import Direction, Provenance, load_direction, save_direction
from steer_core.steering.presets import PRESETS, SEED_REPLAY, preset_of

SHORT = ["--max-new-tokens", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp("tiny"), VARIANTS["gpt2-bin"])


@pytest.fixture(scope="module")
def vectors() -> torch.Tensor:
    return 3 * torch.randn(6, HIDDEN, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def direction(vectors: torch.Tensor, tmp_path: Path) -> str:
    path = tmp_path / "six_rows.safetensors"
    save_file({"direction": vectors}, path)
    return str(path)


def named(tiny: Tiny) -> list[str]:
    alpha = str(tiny.options["lora_alpha"])
    return ["--model", str(tiny.path), "--base", str(tiny.base), "--lora-alpha", alpha]


def test_it_is_what_the_reference_replays():
    found = {name: getattr(SEED_REPLAY, name) for name in ("latents", "site", "positions")}
    assert found == REPLAY
    assert PRESETS == {"seed-replay": SEED_REPLAY}
    with pytest.raises(UserError, match="seed-replay"):
        preset_of("seed")


@pytest.mark.parametrize("alpha", [-2.0, 1.0, 3.0])
def test_decode_replays_the_seed(
    alpha: float,
    tiny: Tiny,
    vectors: torch.Tensor,
    direction: str,
    capsys: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
):
    asked = ["--question", QUESTIONS[0], "--direction", direction, f"--alpha={alpha}", "--json"]
    with caplog.at_level(logging.INFO):
        assert main(["decode", *named(tiny), *SHORT, "--preset", "seed-replay", *asked]) == 0
    row = json.loads(capsys.readouterr().out)
    reference = tiny.reference.with_latents(5)
    edit = Addition("thought", alpha, vectors, (0, 1, 2, 3, 4, 5))
    prompt = prompt_ids(reference, tiny.tokenizer, QUESTIONS[0])
    assert tuple(row["token_ids"]) == decode_slowly(reference, prompt, edit, 4).ids
    assert any("position 5 is dead" in line for line in caplog.messages)


def test_sweep_replays_the_seed(
    tiny: Tiny,
    direction: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
):
    side = {"question": QUESTIONS[0], "answer": 7}
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps([{"pair_id": 1, "clean": side, "corrupted": side}]))
    about = ["--pairs", str(pairs), "--alphas=0,2", "--direction", direction, "--json"]
    with caplog.at_level(logging.INFO):
        assert main(["sweep", *named(tiny), *SHORT, "--preset", "seed-replay", *about]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["alpha"], row["layer"]) for row in rows] == [(0.0, None), (2.0, None)]
    assert any("position 5 is dead" in line for line in caplog.messages)


@pytest.mark.parametrize("command", ["decode", "sweep"])
def test_the_preset_takes_a_direction_of_any_layer(
    command: str, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture
):
    """As the experiment did; the same site without the preset refuses the file."""
    six = load_model(tiny.path, device="cpu", **tiny.options)
    origin = Provenance(six.name, six.sha256, "mine", "0" * 64, 1, 1, 0, {})
    path = tmp_path / "layer-2.safetensors"
    save_direction(Direction(torch.randn(7, HIDDEN), "noise", "residual", 2, origin), path)
    side = {"question": QUESTIONS[0], "answer": 7}
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps([{"pair_id": 1, "clean": side, "corrupted": side}]))
    asked = {
        "decode": ["--question", QUESTIONS[0], "--alpha", "2"],
        "sweep": ["--pairs", str(pairs), "--alphas", "2"],
    }
    run = [command, *named(tiny), *SHORT, *asked[command]]
    assert main([*run, "--preset", "seed-replay", "--direction", str(path)]) == 0
    capsys.readouterr()
    elsewhere = [*run, "--site", "thought", "--latents", "5", "--direction"]
    assert main([*elsewhere, str(path)]) == 2
    assert "computed at residual 2, not at thought" in capsys.readouterr().err
    assert main([*elsewhere, f"moved:{path}"]) == 0


@pytest.mark.parametrize(
    "option",
    [
        ["--site", "residual"],
        ["--site", "thought"],
        ["--latents", "6"],
        ["--positions", "1,2"],
        ["--layer", "2"],
    ],
)
def test_what_the_preset_sets_cannot_be_given_too(
    option: list[str], tiny: Tiny, capsys: pytest.CaptureFixture
):
    asked = ["--question", "How many?", "--preset", "seed-replay"]
    assert main(["decode", *named(tiny), *asked, *option]) == 2
    assert f"leave out {option[0]}" in capsys.readouterr().err


def test_no_word_about_positions_that_act(
    tiny: Tiny, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO):
        assert main(["decode", *named(tiny), *SHORT, "--question", "How many?"]) == 0
    assert not any("dead" in line for line in caplog.messages)


def test_a_direction_of_more_positions_loses_those_that_are_not_there(tiny: Tiny, tmp_path: Path):
    """Only one that says which model it is of: rows of any other file may mean anything."""
    six = load_model(tiny.path, device="cpu", **tiny.options)
    five = load_model(tiny.path, device="cpu", latents=5, **tiny.options)
    vectors = torch.randn(7, HIDDEN)
    origin = Provenance(six.name, six.sha256, "mine", "0" * 64, 1, 1, 0, {})
    for provenance, name in ((origin, "ours"), (None, "theirs")):
        path = tmp_path / f"{name}.safetensors"
        save_direction(Direction(vectors, "noise", "thought", None, provenance), path)
        assert torch.equal(load_direction(path, six, "thought", None).vectors, vectors)
    cut = load_direction(tmp_path / "ours.safetensors", five, "thought", None)
    assert torch.equal(cut.vectors, vectors[:6])
    with pytest.raises(UserError, match=r"\[7, 32\]"):
        load_direction(tmp_path / "theirs.safetensors", five, "thought", None)


# --- the command `check` -------------------------------------------------------------------------


def test_check_prints_every_finding(tiny: Tiny, capsys: pytest.CaptureFixture):
    assert main(["check", *named(tiny), "--device", "cpu", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 6
    assert all(row["passed"] for row in rows)


def test_check_fails_where_decode_refuses(tmp_path: Path, capsys: pytest.CaptureFixture):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    changed(tiny.path, lambda state: state[some_key(state, "ln_f.weight")].zero_())
    assert main(["check", *named(tiny), "--device", "cpu"]) == 1
    printed = capsys.readouterr().out
    assert "pass  numbers are finite" in printed
    assert "FAIL  an edit changes the answer's logits" in printed
    assert main(["decode", *named(tiny), *SHORT, "--question", "How many?"]) == 2
    assert "self-check" in capsys.readouterr().err
