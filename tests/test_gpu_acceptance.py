"""The acceptance on a GPU, on a CPU with a small shape: it must work when it first meets one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from benchmarks import gpu_parts
from benchmarks.gpu_acceptance import PARTS, Acceptance, Part, as_finding
from benchmarks.gpu_parts import Setting
from steer_core.bench import shapes
from steer_core.bench.floor import Rates

MINI = LlamaConfig(
    vocab_size=2000,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=300,
    tie_word_embeddings=True,
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.SHAPES, "mini", MINI)
    monkeypatch.setattr(gpu_parts, "ALPHAS", [-1.0, 0.0, 1.0])
    monkeypatch.setattr(gpu_parts, "FEW", 2)
    monkeypatch.setattr(gpu_parts, "measured_rates", lambda *_: Rates(1e10, 1e10))


@pytest.mark.parametrize("name", gpu_parts.PARTS)
def test_a_part_finds_what_it_looks_for(name: str):
    setting = Setting(torch.device("cpu"), "mini", time.monotonic() + 60)
    findings = list(gpu_parts.PARTS[name](setting))
    assert findings
    assert all(finding.get("passed", True) for finding in findings)
    assert [as_finding(json.dumps(each, default=str)) for each in findings]


def test_every_part_of_the_run_is_there():
    own = [part.name for part in PARTS if not part.command]
    assert sorted(own) == sorted(gpu_parts.PARTS)
    side_by_side = max(part.seconds for part in PARTS if not part.timed)
    assert side_by_side + sum(part.seconds for part in PARTS if part.timed) < 7 * 60


def run(folder: Path, *parts: Part, limit: float = 60) -> tuple[bool, dict]:
    good = Acceptance(parts, folder, (), limit).run()
    return good, json.loads((folder / "summary.json").read_text())


def script(name: str, text: str, seconds: float = 20, timed: bool = True) -> Part:
    return Part(name, seconds, timed, ("-c", text))


def test_no_part_ends_another(tmp_path: Path):
    good, summary = run(
        tmp_path,
        script("fine", "print('{\"a\": 1}')", timed=False),
        script("fails", "print('{\"b\": 2}'); raise SystemExit('the card is gone')", timed=False),
        script("hangs", "print('{\"c\": 3}', flush=True); import time; time.sleep(60)", 0.7),
        script("last", "print('no finding'); print('{\"d\": 4}')"),
    )
    parts = summary["parts"]
    statuses = {name: part["status"] for name, part in parts.items()}
    assert statuses == {"fine": "passed", "fails": "failed", "hangs": "cut off", "last": "passed"}
    assert [part["findings"] for part in parts.values()] == [
        [{c: n}] for c, n in zip("abcd", (1, 2, 3, 4), strict=True)
    ]
    assert parts["fails"]["last_lines"] == ["the card is gone"]
    assert summary["complete"]
    assert not good


def test_what_does_not_fit_into_the_time_is_left_out_and_said(tmp_path: Path):
    good, summary = run(tmp_path, script("late", "pass"), limit=1)
    assert summary["parts"]["late"]["status"] == "left out"
    assert not good


def test_the_summary_is_there_before_the_run_has_ended(tmp_path: Path):
    text = f"import pathlib; print(pathlib.Path({str(tmp_path / 'summary.json')!r}).read_text())"
    run(tmp_path, script("first", "pass"), script("second", text))
    assert '"first"' in (tmp_path / "second.log").read_text()


def test_it_starts_without_what_a_bare_machine_lacks(tmp_path: Path):
    """Neither gradio, plotly nor hypothesis are imported by any part."""
    for name in ("gradio", "plotly", "hypothesis"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import benchmarks.gpu_parts"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
