"""`sweep`, the table for notebooks, against plain decodes."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.torch import save_file
from statsmodels.stats.proportion import proportion_confint
from tiny_models import noise, pairs, tiny_model

from steer_core import Edit, UserError, decode, sweep
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.pipeline import spec as specs
from steer_core.pipeline.tables import SUMMARY
from steer_core.steering.controls import Background, random_like, shuffled_like
from steer_core.steering.directions import Direction, fit_set

ALPHAS = (-3.0, 0.0, 2.0)
WHERE = (1, 3, 4)
LIMIT = 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def asked(model: CodiModel) -> list[Pair]:
    return pairs(model, LIMIT)


def answers(model: CodiModel, asked: list[Pair], edit: Edit | None) -> list[float | None]:
    """One decode at a time."""
    return [
        decode(model, [pair.clean.question], edit, max_new_tokens=LIMIT)[0].answer for pair in asked
    ]


def right(asked: list[Pair], found: list[float | None]) -> int:
    return sum(a == pair.clean.answer for a, pair in zip(found, asked, strict=True))


@pytest.fixture
def file(model: CodiModel, tmp_path) -> str:
    path = tmp_path / "mine.safetensors"
    save_file({"direction": noise(model)}, path)  # of no site and layer: for every one of them
    return str(path)


def test_the_table_has_a_row_for_each_layer_direction_and_alpha(
    model: CodiModel, asked: list[Pair], file: str
):
    seen = []
    table = sweep(
        model,
        asked,
        layers=[1, 3],
        alphas=ALPHAS,
        positions=WHERE,
        direction=file,
        random=2,
        seed=4,
        max_new_tokens=LIMIT,
        progress=seen.append,
    )
    assert list(table.columns) == SUMMARY
    keys = list(table[["layer", "direction", "alpha"]].itertuples(index=False, name=None))
    names = ("mine", "random-4", "random-5")
    assert keys == [(layer, name, alpha) for layer in (1, 3) for name in names for alpha in ALPHAS]
    steered = [key for key in keys if key[2]]
    assert seen[-1].decoded == seen[-1].rows == len(asked) * (len(steered) + 1)
    assert seen[-1].seconds > 0
    assert (table.n == len(asked)).all()
    np.testing.assert_allclose(table.accuracy, table.correct / table.n)
    low, high = proportion_confint(table.correct, table.n, 0.05, "wilson")
    np.testing.assert_allclose(table[["low", "high"]], np.stack((low, high), 1), atol=1e-9)
    mine = Direction(noise(model), "mine", "residual", 2)
    plain = answers(model, asked, None)
    for each in (mine, random_like(mine, 5)):
        edited = answers(model, asked, Edit(each.vectors, 2.0, "residual", 3, WHERE))
        found = table[
            (table.layer == 3) & (table.alpha == 2.0) & (table.direction == each.method)
        ].iloc[0]
        assert found.correct == right(asked, edited)
        assert found.flips == sum(a != b for a, b in zip(edited, plain, strict=True)) > 0
    assert set(table[table.alpha == 0].correct) == {right(asked, plain)}
    assert set(table[table.alpha == 0].flips) == {0}


def test_controls_of_both_kinds_are_swept_beside_the_direction(
    model: CodiModel, asked: list[Pair], file: str, monkeypatch: pytest.MonkeyPatch
):
    problems = [pair.clean for pair in pairs(model)]
    monkeypatch.setattr(specs, "bundled_fit_problems", lambda: problems)
    options = {"alphas": [2.0], "positions": WHERE, "max_new_tokens": LIMIT, "direction": file}
    table = sweep(model, asked, random=1, shuffled=2, seed=3, **options)
    assert table.direction.tolist() == ["mine", "random-3", "shuffled-3", "shuffled-4"]
    mine = Direction(noise(model), "mine", "residual", 2)
    layer = model.config.middle_layer
    background = Background.at(model, fit_set(model, problems, "fit"), "residual", 2)
    control = shuffled_like(mine, 4, background)
    edit = Edit(control.vectors, 2.0, "residual", layer, WHERE)
    assert table.correct[3] == right(asked, answers(model, asked, edit))


def test_the_defaults_of_a_sweep(model: CodiModel, asked: list[Pair], file: str):
    """Middle layer, site residual, positions 1..K, alpha -3..3 in steps of one half."""
    short = sweep(model, asked[:3], direction=file, max_new_tokens=LIMIT)
    assert short.alpha.tolist() == [-3 + i / 2 for i in range(13)]
    assert set(short.layer) == {model.config.middle_layer}
    spelled = sweep(
        model,
        asked[:3],
        layers=[model.config.middle_layer],
        alphas=[-3 + i / 2 for i in range(13)],
        site="residual",
        positions=range(1, 7),
        direction=file,
        max_new_tokens=LIMIT,
    )
    assert short.equals(spelled)


def test_a_site_without_layers_has_none(model: CodiModel, asked: list[Pair], file: str):
    table = sweep(
        model, asked[:2], site="embedding", alphas=[1.0], direction=file, max_new_tokens=LIMIT
    )
    assert table.layer.tolist() == [None]
    with pytest.raises(UserError, match="embedding has no layers, but layer 2"):
        sweep(model, asked[:2], site="embedding", layers=[2], direction=file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": []}, "no pairs"),
        ({"layers": [1, 9]}, r"layer 9 .*1\.\.3"),
        ({"alphas": []}, "no alpha"),
        ({"alphas": [0.0, float("nan")]}, "alpha nan"),
        ({"positions": [7]}, "position 7"),
        ({"site": "mlp"}, "'mlp'"),
        ({"direction": "nonsense"}, "'nonsense'"),
    ],
)
def test_a_sweep_that_cannot_be_run_is_refused(
    model: CodiModel,
    asked: list[Pair],
    file: str,
    change: dict,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
):
    """Before anything is decoded for the controls."""
    monkeypatch.setattr(specs, "fit_set", lambda *_, **__: pytest.fail("decoded first"))
    options = {"pairs": asked, "direction": file, "shuffled": 1} | change
    with pytest.raises(UserError, match=message):
        sweep(model, **options)
