"""No command line, and no file, ends in a traceback or in more than a few short lines.

`STEER_FUZZ=1000` tries a thousand lines of each command instead of a few.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from command_line import refused
from fuzz_lines import COMMANDS, Ending, Fuzzer, ending
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from steer_core.bench import measure
from steer_core.errors import UserError
from steer_core.training import trainer

LINES = int(os.environ.get("STEER_FUZZ", "20"))
ROOT = Path(__file__).parent.parent
BOUNDED = settings(
    max_examples=LINES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory):
    """Commands that measure or train for minutes do the least that they can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEER_DEBUG", "1")  # what is unexpected is raised
        patch.setattr(trainer, "TOKENIZER_TEXTS", 300)
        patch.setattr(trainer, "VALIDATION", 8)
        patch.setattr(measure, "measure", not_measured)
        patch.chdir(tmp_path_factory.mktemp("empty"))
        yield Fuzzer(tmp_path_factory.mktemp("fuzz"))


def not_measured(*_: object, **__: object) -> None:
    raise UserError("nothing is measured here; its own tests do")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_any_line_ends_well(fuzzer: Fuzzer, words: tuple[str, ...]):
    @BOUNDED
    @given(rng=st.randoms(use_true_random=False))
    def try_lines(rng: Random) -> None:
        fuzzer.clear()
        line = fuzzer.line(words, rng)
        found = ending(line)
        assert not found.faults(), found

    try_lines()


def test_the_fuzzer_sees_faults():
    wrong = {
        "status 3": Ending(["pairs"], 3, "", "error: x\n"),
        "4 lines on stderr": Ending(["pairs"], 2, "", "error: x\n" * 4),
        "500 characters on stderr": Ending(["pairs"], 2, "", "x" * 500),
        "a traceback": Ending(["pairs"], 2, "", "Traceback (most recent call last)"),
        "refused without a word": Ending(["pairs"], 2, "", "12/24 rows\n"),
        "refused, with something on stdout": Ending(["pairs"], 2, "x", "error: x\n"),
        "stdout is no JSON": Ending(["pairs", "--json"], 0, '{"a": NaN}\n', ""),
    }
    for fault, found in wrong.items():
        assert fault in found.faults()
    assert not Ending(["pairs", "--json"], 0, '{"a": 1}\n{"a": 2}\n', "12/24 rows\n" * 9).faults()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["pairs", "generate", "--seed=--"], "expected a value"),
        (["sweep", "--model", "tiny-llama", "--controls=--"], "expected a value"),
        (["pairs", "generate", "--n", "1" * 23], "no whole number"),
        (["pairs", "generate", "--n", "9" * 5000], "no whole number"),
        (["pairs", "generate", "--n", "1000000"], "above 100000"),
        (["pairs", "generate", "--out", ""], "empty"),
        (["decode", "--model", "", "--question", "1?"], "empty"),
        (["decode", "--model", "~nosuchuser", "--question", "1?"], "nosuchuser"),
        (["decode", "--model", "x" * 5000, "--question", "1?"], "too long"),
        (["evaluate", "--model", "tiny-llama", "--data", "x" * 5000], "..."),
        (["sweep", "--model", "tiny-llama", "--alphas=-3:3:0.0000001"], "more than 10001"),
        (["sweep", "--model", "tiny-llama", "--controls", "random=9223372036854775808"], "1000"),
        (["decode", "--model", "tiny-llama", "--question", "1?", "--latents", str(2**63)], "whole"),
        (["decode", "--model", "tiny-llama", "--question", "1?", "--layer", str(2**63)], "whole"),
        (["export", "--model", "tiny-llama", "--out", "x", "--rank", "99999"], "1..4096"),
        (["report", "x", "--seed", "-1"], "no seed"),
    ],
)
def test_lines_that_once_ended_badly(
    capsys: pytest.CaptureFixture[str], line: list[str], words: str
):
    said = refused(capsys, *line)
    assert words in said
    assert ";" in said
    assert len(said) <= 400


@pytest.mark.parametrize(
    "arguments",
    [
        (b"pairs", b"audit", b"\xff\xfe"),
        (b"pairs", b"show", b"deep.json"),
        (b"pairs", b"generate", b"--exclude=--"),
    ],
)
def test_a_shell_sees_the_same(tmp_path: Path, arguments: tuple[bytes, ...]):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    run = subprocess.run(
        [sys.executable, "-m", "steer_core", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, b"")
    assert run.stderr.startswith(b"error: ")
    assert run.stderr.count(b"\n") == 1


def test_a_tokenizer_that_fails_only_when_it_is_used(fuzzer: Fuzzer):
    tiny = fuzzer.models[0]
    folder = shutil.copytree(tiny.base, fuzzer.fresh())
    shutil.copytree(tiny.path, folder, dirs_exist_ok=True)
    about = json.loads((folder / "tokenizer_config.json").read_text()) | {"model_max_length": "1"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    found = ending(["check", "--model", str(folder), "--lora-alpha", "8"])
    assert found.status == 2
    assert "no readable tokenizer" in found.err
