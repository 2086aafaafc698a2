"""The calibration script: meaningless directions pass, planted losses do not, on every source."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic_runs as runs
from stored_runs import store_run

from benchmarks import false_positives
from steer_core.errors import UserError


def test_simulated_sweeps_are_judged_as_they_should():
    draw = false_positives.simulated(pairs=160, layers=1)
    kinds = {}
    for name, change in false_positives.SCENARIOS.items():
        found = list(false_positives.repeat(draw, 20, 499, change))
        kinds[name] = false_positives.summary(found)["sweeps_with_effect"][0]
    assert kinds["no change on average"] <= 0.15
    assert kinds["label-shuffled as real"] <= 0.15
    assert kinds["half of right answers lost"] >= 0.9


def test_a_meaningless_direction_that_harms_is_as_random():
    """Where every direction breaks answers, a shuffled one is found to differ, and to mean nothing.

    At least 95 of 100; `python -m benchmarks.false_positives --harm 0.06` gives 96.6 % of 200.
    """
    draw = false_positives.simulated(pairs=200, layers=1, harm=0.08)
    found = list(false_positives.repeat(draw, 100, 499, false_positives.as_it_is))
    verdicts = false_positives.summary(found)["verdicts"]
    assert verdicts["as random"] >= 0.95
    weak = false_positives.simulated(pairs=200, layers=1, harm=0.0)
    found = list(false_positives.repeat(weak, 20, 499, false_positives.as_it_is))
    assert false_positives.summary(found)["verdicts"].get("as random", 0) <= 0.15


def test_exchanged_answers_keep_the_flips():
    sweep = false_positives.simulated(80, 1)(np.random.default_rng(0))
    turned = false_positives.exchanged(sweep, np.random.default_rng(1))
    before = sweep.real != sweep.baseline
    assert ((turned.real != turned.baseline) == before).all()
    assert (turned.baseline != sweep.baseline).any()


def test_decoded_rows_of_a_folder(tmp_path: Path, monkeypatch, capsys):
    table = runs.run_table(runs.everywhere, layers=[1], pairs=60, alphas=(-2, -1, 1, 2))
    store_run(tmp_path, table)
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path), "--repetitions", "5"])
    false_positives.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "20 decoded label-shuffled directions, 1 curves"
    assert json.loads(lines[-1])["label-shuffled as real"]["repetitions"] == 5


def test_too_few_controls_are_refused(tmp_path: Path):
    store_run(tmp_path, runs.run_table(pairs=8, layers=[1], random=0, shuffled=3))
    with pytest.raises(UserError, match="fewer than 20 label-shuffled"):
        false_positives.decoded(tmp_path, None)
