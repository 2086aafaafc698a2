"""Where a report takes pairs and directions from: the run first, files only if they are of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import synthetic_runs as runs
from stored_runs import store_run

from steer_core.data.problems import Pair, Problem, problems_hash
from steer_core.pipeline.funnel import SWAPPED, TURNED
from steer_core.pipeline.preparation import Preparation
from steer_core.pipeline.prepared import FunnelStep, Necessity, Prepared, PreparedPair, Twin
from steer_core.report.blocks import Callout, Heading, Paragraph, Table
from steer_core.report.sections import baseline_words
from steer_core.report.source import load_source
from steer_core.report.write import document

HALF = {"cosine": 0.7, "low": 0.52, "high": 0.81, "level": 0.95, "norm": 2.0}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return runs.run_table(pairs=20, alphas=(-1, 1), layers=[1], random=1, shuffled=1)


def row(number: int, split: str) -> PreparedPair:
    pair = Pair(number, Problem(f"{number} pens?", number), Problem(f"{number} cups?", number + 1))
    twin = Twin("", number, correct=True)
    return PreparedPair(pair, twin, twin, "correct", split)


def prepared(*report: int) -> Prepared:
    return Prepared(
        model="tiny-llama",
        model_sha256="ab" * 32,
        revision=None,
        latents=6,
        dtype="float32",
        device="cpu",
        pairs_name="mine",
        pairs_sha256="",
        seed=0,
        necessity=Necessity("mean", "thought", None, (1, 2)),
        filter="none",
        fractions=(0.5, 0.0, 0.5),
        balanced=False,
        pairs=(row(1, "fit"), *(row(number, "report") for number in report)),
        funnel=(FunnelStep("rows", 3, 3), FunnelStep("report", len(report), 3)),
        versions={},
        command="python -m steer_core prepare --out x",
        findings=("a row is odd",),
    )


def swept(asked: Prepared) -> str:
    """The hash of the pairs of the report split, both twins of each."""
    return problems_hash(p for pair in asked.split("report") for p in (pair.clean, pair.corrupted))


def headings(folder: Path) -> list[str]:
    return [b.text for b in document([load_source(folder)]).blocks if isinstance(b, Heading)]


def test_a_preparation_is_read_as_it_was_written():
    about = Preparation.of(prepared(2, 3))
    assert Preparation.from_json(about.to_json()) == about
    assert about.counts["report"] == {"correct": 2, "wrong": 0}


BALANCED = (
    FunnelStep("rows", 80, 80),
    FunnelStep("pass filter 'none'", 80, 80),
    FunnelStep("of these correct", 60, 80),
    FunnelStep("of these wrong", 20, 80),
    FunnelStep("balanced and split", 40, 80),
)


def callouts(folder: Path) -> str:
    blocks = document([load_source(folder)]).blocks
    return "\n".join(block.text for block in blocks if isinstance(block, Callout))


def test_balanced_pairs_are_weighed_back_and_said_to_be(table: pd.DataFrame, tmp_path: Path):
    """Runs are stored whose every split was balanced; they still open."""
    about = replace(Preparation.of(prepared(2, 3)), funnel=BALANCED)
    store_run(tmp_path, table, prepared=about.to_json())
    source = load_source(tmp_path)
    assert source.analysis.weighed
    assert source.analysis.baseline == pytest.approx(0.75)
    assert "as many as wrong by choice: before balancing it was 60 of 80" in baseline_words(source)
    assert "weighs them back to the 75.0 %" in callouts(tmp_path)
    assert "filter" not in callouts(tmp_path)


def test_a_report_split_of_today_is_not_balanced(table: pd.DataFrame, tmp_path: Path):
    step = FunnelStep("fit balanced, split", 60, 80)
    about = replace(Preparation.of(prepared(2, 3)), funnel=(*BALANCED[:4], step))
    assert about.before_balance("report") is None
    assert about.before_balance("fit") == BALANCED[2]
    store_run(tmp_path, table, prepared=about.to_json(), split="report")
    assert not load_source(tmp_path).analysis.weighed


@pytest.mark.parametrize(
    ("turned", "took", "said"),
    [(70, 60, "Answers follow"), (40, 5, "but seldom follow"), (5, 1, "hardly hang on them")],
)
def test_the_positive_control_in_words(
    table: pd.DataFrame, tmp_path: Path, turned: int, took: int, said: str
):
    steps = (FunnelStep(TURNED, turned, 80), FunnelStep(SWAPPED, took, 80))
    about = replace(Preparation.of(prepared(2, 3)), funnel=steps)
    store_run(tmp_path, table, prepared=about.to_json())
    blocks = document([load_source(tmp_path)]).blocks
    (text,) = [b.text for b in blocks if isinstance(b, Paragraph) and "control:" in b.text]
    assert said in text
    assert f"{turned} of 80" in text


def test_pairs_that_a_filter_chose_are_said_to_be(table: pd.DataFrame, tmp_path: Path):
    steps = (FunnelStep("pass filter 'clean'", 30, 80), FunnelStep("split", 30, 30))
    about = replace(Preparation.of(prepared(2, 3)), funnel=steps)
    store_run(tmp_path, table, prepared=about.to_json())
    assert "pass filter 'clean' were kept (30 of 80)" in callouts(tmp_path)
    assert "Verdicts allow for that" in callouts(tmp_path)
    assert "balanced" not in callouts(tmp_path)


def test_what_the_run_notes_needs_no_folder(table: pd.DataFrame, tmp_path: Path):
    store_run(tmp_path, table, prepared=Preparation.of(prepared(2, 3)).to_json())
    assert load_source(tmp_path).prepared == Preparation.of(prepared(2, 3))
    assert "Where the pairs come from" in headings(tmp_path)


def test_a_folder_counts_only_with_the_pairs_that_were_swept(table: pd.DataFrame, tmp_path: Path):
    store_run(tmp_path, table, pairs_sha256=swept(prepared(2, 3)))
    prepared(2, 3).save(tmp_path)
    assert load_source(tmp_path).prepared == Preparation.of(prepared(2, 3))
    prepared(2, 4).save(tmp_path)  # made again, with other pairs
    assert load_source(tmp_path).prepared is None
    assert "Where the pairs come from" not in headings(tmp_path)


def test_pairs_that_were_not_split_come_from_no_split(table: pd.DataFrame, tmp_path: Path):
    asked = prepared(2, 3)
    store_run(tmp_path, table, split=None, pairs_sha256=swept(asked))
    replace(asked, command="").save(tmp_path)
    assert load_source(tmp_path).prepared is None


def test_norms_and_stability_are_those_the_run_notes(table: pd.DataFrame, tmp_path: Path):
    noted = {"site": "residual", "layer": 1, "norms": [1.0, 2.25], "correct": 5, "wrong": 4}
    noted["stability"] = [None, HALF]
    store_run(tmp_path, table, directions={"mean_difference, residual 1": noted})
    blocks = list(document([load_source(tmp_path)]).blocks)
    at = blocks.index(Heading("Directions"))
    norms, stable = [b for b in blocks[at:] if isinstance(b, Table)][:2]
    assert norms.rows == (("layer 1", "1.00", "2.25", "5 right, 4 wrong"),)
    assert stable.rows == (("layer 1", "—", "0.70\n[0.52 to 0.81]"),)


def test_a_direction_without_stability_has_no_table_of_it(table: pd.DataFrame, tmp_path: Path):
    noted = {"site": "thought", "layer": None, "norms": [1.0]}
    store_run(tmp_path, table, directions={"mine, thought": noted})
    blocks = list(document([load_source(tmp_path)]).blocks)
    at = blocks.index(Heading("Directions"))
    assert next(b.rows for b in blocks[at:] if isinstance(b, Table)) == (("thought", "1.00", "—"),)
    assert not any(isinstance(b, Table) and "Split-half" in b.caption for b in blocks)
