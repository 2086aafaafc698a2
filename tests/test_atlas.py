"""Instruments over pairs: what is counted, of how many, and beside what."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from tiny_models import direction, pairs, tiny_model

from steer_core import UserError, decode
from steer_core.codi.model import CodiModel
from steer_core.data.answers import same_number
from steer_core.inspect.cells import Counts, share_of
from steer_core.inspect.over import atlas
from steer_core.steering.spec import EditCurve


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("atlas"), "llama-bin")


def test_counts_keep_the_counterpart_beside_each_place():
    counts = Counts.empty()
    for hit, chance in ((1, 0), (1, None), (0, 1)):
        counts.note(("z1", 1, None, None), hit, chance)
    (cell,) = counts.cells(shares=True)
    assert (cell.group, cell.position, cell.n) == ("z1", 1, 3)
    assert cell.value == pytest.approx(2 / 3)
    assert cell.control == pytest.approx(1 / 2)
    assert cell.low < cell.value < cell.high
    assert all(map(math.isnan, share_of([])))


def test_early_accuracy_over_pairs_grows_with_its_counterpart(model: CodiModel):
    some = pairs(model)
    every = list(atlas(model, some, "early", EditCurve(())))
    last = every[-1]
    assert (last.done, last.total) == (len(some), len(some))
    assert [cell.position for cell in last.cells] == list(model.config.positions)
    assert last.cells[-1].n == len(some)
    right = [
        same_number(row.answer, pair.clean.answer)
        for row, pair in zip(decode(model, [p.clean.question for p in some]), some, strict=True)
    ]
    assert 0 < last.cells[-1].value == pytest.approx(np.mean(right))
    assert last.cells[0].value == last.cells[0].control  # of no latents none can be another's


def test_an_atlas_ends_when_it_is_told_to(model: CodiModel):
    assert list(atlas(model, pairs(model), "lens", EditCurve(()), stop=lambda: True)) == []


def test_a_map_over_pairs_is_beside_a_random_direction(model: CodiModel):
    curve = EditCurve.along(direction(model), "embedding", None, (1, 2))
    *_, last = atlas(model, pairs(model)[:2], "map", curve, 3.0)
    assert {cell.position for cell in last.cells} == set(model.config.positions)
    acting = [cell for cell in last.cells if cell.position]
    assert all(cell.value > 0 and cell.control > 0 for cell in acting)


def test_an_unknown_table_names_the_known_ones(model: CodiModel):
    with pytest.raises(UserError, match="no table of trace over pairs; choose one of swap, lens"):
        list(atlas(model, [], "trace", EditCurve(())))


def test_a_table_as_lines(model: CodiModel, tmp_path, capsys: pytest.CaptureFixture[str]):
    from steer_core.cli import main
    from steer_core.data.pairs import dump_pairs

    path = tmp_path / "pairs.json"
    path.write_text(dump_pairs(pairs(model)))
    asked = ["inspect", "early", "--model", "tiny-llama", "--pairs", str(path), "--json"]
    assert main(asked) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["position"] for row in rows] == list(range(7))
    assert {"value", "low", "high", "control", "control_low", "control_high", "n"} <= set(rows[0])
    assert main(["inspect", "trace", "--model", "tiny-llama", "--pairs", str(path)]) == 2
