"""Looks at pairs, from the command to the report: chosen on select, opened on report, marked."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from steer_core.cli import main
from steer_core.data.pairs import dump_pairs, load_pairs
from steer_core.pipeline.ledger import FILE
from steer_core.pipeline.store import FILE as STORE
from steer_core.pipeline.store import Store

MODEL = ("--model", "tiny-llama", "--device", "cpu")
MARK = "looked at once more"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("looks") / "experiment"
    file = folder.with_name("pairs.json")
    file.write_text(dump_pairs(load_pairs("test")[:40]))
    asked = ["--pairs", str(file), "--necessity", "none", "--fractions", "0.4,0.2,0.4"]
    assert main(["prepare", *MODEL, *asked, "--out", str(folder)]) == 0
    return folder


def swept(prepared: Path, part: str, layers: str, *options: str) -> None:
    folder = str(prepared)
    grid = ["--layers", layers, "--alphas", "0,2", "--controls", "covariance=1,nuisance=1"]
    given = ["--split", folder, "--part", part, *grid, "--out", folder, *options]
    assert main(["sweep", *MODEL, *given, "--max-new-tokens", "12"]) == 0


def test_what_was_chosen_on_select_opens_report_and_another_is_marked(
    prepared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        swept(prepared, "select", "1,2")
        assert "select split: a setting is chosen here" in caplog.text
        caplog.clear()
        swept(prepared, "report", "2")
        assert MARK not in caplog.text
        assert "2 settings were compared on the select split" in caplog.text
        first = report(prepared, tmp_path)
        assert MARK not in first
        swept(prepared, "report", "2")
        assert MARK not in caplog.text, "the same run again is no new look"
        swept(prepared, "report", "1")
        assert f"{MARK}, along 1 other curve; p counts all 2" in caplog.text
    lines = [json.loads(line) for line in (prepared / FILE).read_text().splitlines()]
    assert [(line["part"], len(line["settings"])) for line in lines] == [
        *(("select", 2), ("report", 1), ("report", 1)),
    ]
    for run in ("2", "3"):  # the look before, too, from then on
        text = report(prepared, tmp_path, "--run", run)
        assert text.count(MARK) > 6, "in the remarks, the verdict, every figure and table"
    with Store(prepared / STORE) as store:
        kinds = [{curve.kind for curve in record.curves} for record in store.runs()]
    assert kinds == [{"real", "covariance", "nuisance"}] * 3


def report(folder: Path, out: Path, *options: str) -> str:
    file = out / "report.md"
    assert main(["report", str(folder), "--out", str(file), *options]) == 0
    return file.read_text(encoding="utf-8")
