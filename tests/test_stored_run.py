"""What an earlier version stored opens, exports, reports and goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import Capture, printed
from stored_fixture import SWEEP, unpack

from steer_core import load_model
from steer_core.cli import main
from steer_core.pipeline import runner
from steer_core.pipeline.prepared import load_prepared
from steer_core.pipeline.store import FILE, Store

MODEL = "33dc3d0ac507197c2e3b5d14e360d657d0779d019ef9d3e310b76440da4f742c"
ROWS = 136


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = unpack(tmp_path)
    monkeypatch.chdir(folder)
    return folder


def exported(capsys: Capture, folder: Path) -> pd.DataFrame:
    (found,) = printed(capsys, "export-results", str(folder), "--out", "again.csv")
    assert found["rows"] == ROWS
    return pd.read_csv("again.csv")


def check(found: pd.DataFrame, exact: bool) -> None:
    """The columns of then, in their order, with what they held; another processor rounds scores."""
    wanted = pd.read_csv("rows.csv")
    found = found[list(wanted.columns)]
    scores = list(wanted.columns[wanted.columns.get_loc("margin") :])
    pd.testing.assert_frame_equal(found.drop(columns=scores), wanted.drop(columns=scores))
    if exact:
        pd.testing.assert_frame_equal(found[scores], wanted[scores], check_exact=True)
    np.testing.assert_allclose(found[scores], wanted[scores], atol=1e-3, rtol=1e-3)


def test_its_model_is_known_by_the_same_hash(stored: Path):
    assert load_model("model", device="cpu", dtype="float32").sha256 == MODEL


def test_it_opens(stored: Path):
    with Store(stored / "run" / FILE, create=False) as store:
        (record,) = store.runs()
    assert (record.done, record.total) == (8 * 17, 8 * 17)
    assert record.finished is not None
    assert [curve.kind for curve in record.curves] == ["real", "random", "random", "shuffled"] * 2
    assert record.provenance["model_sha256"] == MODEL
    prepared = load_prepared(stored / "run")
    assert (len(prepared.split("fit")), len(prepared.split("report"))) == (10, 8)


def test_it_exports_the_same_rows(stored: Path, capsys: Capture):
    check(exported(capsys, stored / "run"), exact=True)


def test_it_is_reported(stored: Path, capsys: Capture):
    rows = printed(capsys, "report", "run")
    assert [(row["layer"], row["direction"], row["n"], row["finished"]) for row in rows] == [
        (1, "mean_difference", 8, True),
        (2, "mean_difference", 8, True),
    ]
    assert main(["report", "run", "--out", "run.html"]) == 0
    assert "mean_difference" in Path("run.html").read_text(encoding="utf-8")


def test_the_whole_of_it_is_not_decoded_again(
    stored: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner, "decode_rows", lambda *_, **__: pytest.fail("decoded again"))
    summary = printed(capsys, *SWEEP, "--resume")
    assert len(summary) == 2 * 4 * 3
    check(exported(capsys, stored / "run"), exact=True)


def test_half_of_it_goes_on_to_the_same_rows(stored: Path, capsys: Capture):
    with closing(sqlite3.connect(stored / "run" / FILE)) as db, db:
        db.execute("DELETE FROM results WHERE (question + edit) % 2")
        db.execute("UPDATE runs SET finished = NULL")
    printed(capsys, *SWEEP, "--resume")
    check(exported(capsys, stored / "run"), exact=False)
    with Store(stored / "run" / FILE, create=False) as store:
        assert len(store.runs()) == 1
