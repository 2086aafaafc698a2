"""Commands as a person or a script calls them, and a small model to call them with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_checkpoints import Tiny

from steer_core.cli import main

SHORT = ["--max-new-tokens", "4"]
Capture = pytest.CaptureFixture[str]


def printed(capsys: Capture, *arguments: str) -> list[dict]:
    """Run a command that must succeed; the objects that `--json` printed."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    out = capsys.readouterr().out
    return [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]


def refused(capsys: Capture, *arguments: str) -> str:
    """Run a command that must fail as a user error; its one line."""
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


def named(tiny: Tiny) -> list[str]:
    """The options that name a model."""
    alpha = str(tiny.options["lora_alpha"])
    return ["--model", str(tiny.path), "--base", str(tiny.base), "--lora-alpha", alpha]


def write_pairs(path: Path, count: int = 4) -> str:
    """A few pairs, most of them answered wrong."""
    rows = [
        {
            "pair_id": i,
            "clean": {"question": f"Tom has {i + 2} pens. How many?", "answer": i},
            "corrupted": {"question": f"Tom has {i + 9} pens. How many?", "answer": i + 1},
        }
        for i in range(count)
    ]
    path.write_text(json.dumps(rows))
    return str(path)
