"""What a run is made of: curves and controls of a spec, what is refused, provenance."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from sweep_parts import (
    LIMIT,
    MASKS,
)
from tiny_models import noise, problems

from steer_core import UserError
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.pipeline import runner
from steer_core.pipeline import spec as specs
from steer_core.pipeline.records import CurveKey, Question, RunPlan, Setting, SweepSpec
from steer_core.pipeline.run import Origin, run_sweep
from steer_core.pipeline.spec import expand
from steer_core.pipeline.stability import stability
from steer_core.pipeline.store import Store
from steer_core.steering.directions import fit_set, fitted

# --- directions ----------------------------------------------------------------------------------


def test_curves_of_a_spec_come_with_their_controls(model: CodiModel, spec: SweepSpec):
    fit = fit_set(model, problems(model), "mine")
    wide = replace(spec, shuffled=2, directions=("mean_difference",), masks=((1, 2), (3,)))
    curves = expand(model, wide, fit)
    keys = [(c.key.layer, c.key.positions, c.key.direction, c.key.kind) for c in curves]
    each = [
        ("mean_difference", "real"),
        ("random-4", "random"),
        ("shuffled-4", "shuffled"),
        ("shuffled-5", "shuffled"),
    ]
    assert keys == [
        (layer, mask, *one) for layer in (1, 3) for mask in ((1, 2), (3,)) for one in each
    ]
    real, *controls = (curve.curve.parts[0][1] for curve in curves[:4])
    for control in controls:
        np.testing.assert_allclose(control.norms, real.norms, rtol=1e-4)
    assert len({curve.key.sha256 for curve in curves}) == 8
    assert [c.key.sha256 for c in expand(model, wide, fit)] == [c.key.sha256 for c in curves]


def test_controls_of_several_directions_are_told_apart(
    model: CodiModel, spec: SweepSpec, tmp_path: Path
):
    other = tmp_path / "mine.safetensors"
    save_file({"direction": noise(model, 7)}, other)
    curves = expand(model, replace(spec, layers=(1,), directions=(*spec.directions, str(other))))
    labels = [curve.key.direction for curve in curves]
    assert len(labels) == 2 * len(set(labels)) == 2 * 4  # at two masks
    assert [curve.key.kind for curve in curves[:4]] == ["real", "random", "real", "random"]


def test_a_spec_is_the_same_however_it_is_written(spec: SweepSpec):
    other = replace(spec, alphas=(-3, -0.0, 0, 1, 4.0, 1), masks=((4, 3, 1, 1), (2, 6), (6, 2)))
    assert other == spec
    assert SweepSpec.from_json(json.dumps(asdict(other))) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": (1, 9)}, r"layer 9 .*1\.\.3"),
        ({"layers": ()}, "no layers; give"),
        ({"alphas": ()}, "no alpha"),
        ({"alphas": (float("nan"),)}, "alpha nan"),
        ({"masks": ((7,),)}, "position 7"),
        ({"masks": ()}, "no masks; give"),
        ({"masks": ((1,), ())}, "no positions; give"),
        ({"site": "mlp"}, "'mlp'"),
        ({"site": "thought"}, "thought has no layers, but layer 1"),
        ({"site": "thought", "layers": (None, 2)}, "thought has no layers, but layer 2"),
        ({"directions": ()}, "no directions; give"),
        ({"directions": ("nonsense",)}, "'nonsense'"),
        ({"random": -1}, "random -1"),
        ({"max_new_tokens": 0}, "0 new tokens"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_decoded(
    model: CodiModel,
    asked: list[Pair],
    spec: SweepSpec,
    change: dict,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(specs, "fit_set", lambda *_, **__: pytest.fail("decoded first"))
    monkeypatch.setattr(runner, "decode_rows", lambda *_, **__: pytest.fail("decoded first"))
    with Store.memory() as store:
        with pytest.raises(UserError, match=message):
            run_sweep(model, asked, replace(spec, **{"shuffled": 1} | change), store)
        assert store.runs() == []


def test_pairs_that_cannot_be_read_are_refused(
    model: CodiModel, asked: list[Pair], spec: SweepSpec
):
    with Store.memory() as store:
        with pytest.raises(UserError, match="no pairs"):
            run_sweep(model, [], spec, store)
        blank = replace(asked[0], clean=replace(asked[0].clean, question="  "))
        with pytest.raises(UserError, match="empty"):
            run_sweep(model, [asked[1], blank], spec, store)
        assert store.runs() == []


# --- provenance ----------------------------------------------------------------------------------


def test_a_run_says_where_it_comes_from(model: CodiModel, asked: list[Pair], spec: SweepSpec):
    fit = fit_set(model, problems(model), "theirs, split fit")
    origin = Origin("theirs", "report", "python -m steer_core sweep")
    one = replace(spec, directions=("mean_difference",), layers=(1,), shuffled=1)
    with Store.memory() as store:
        record = run_sweep(
            replace(model, lora_alpha=16.0), asked, one, store, origin=origin, fit=fit
        )
    found = record.provenance
    assert found["model_sha256"] == model.sha256
    wanted = {
        "model": model.name,
        "revision": None,
        "device": "cpu",
        "dtype": "float32",
        "latents": 6,
        "keep_eos": False,
        "lora_alpha": 16.0,
        "pairs": "theirs",
        "split": "report",
        "n_pairs": len(asked),
        "seed": 4,
        "command": "python -m steer_core sweep",
    }
    assert {name: found[name] for name in wanted} == wanted
    assert len(found["pairs_sha256"]) == 64
    assert found["fit"]["problems"] == "theirs, split fit"
    direction = found["directions"]["mean_difference, residual 1"]
    assert {name: direction[name] for name in found["fit"]} == found["fit"]
    computed = fitted(model, fit, "residual", 1)
    np.testing.assert_allclose(direction["norms"], computed.norms, atol=1e-6)
    halves = stability(model, fit, computed)
    assert [each["cosine"] for each in direction["stability"]] == [each.cosine for each in halves]
    assert found["prepared"] is None
    assert found["layers"] == model.config.layers
    assert "torch" in found["versions"]
    assert record.spec == one


def test_another_model_or_decoding_is_another_run(
    model: CodiModel, asked: list[Pair], spec: SweepSpec, decoded: Counter
):
    small = replace(spec, layers=(1,), alphas=(1.0,), masks=(MASKS[0],), random=0)
    with Store.memory() as store:
        for other, limit in (
            (model, LIMIT),
            (replace(model, sha256="cd" * 32), LIMIT),
            (model, LIMIT + 1),
        ):
            run_sweep(other, asked[:2], replace(small, max_new_tokens=limit), store)
        assert len(store.runs()) == 3
    assert set(decoded.values()) == {3}


def test_a_run_of_before_keeps_its_key():
    """Stored runs are found by it: new fields of a spec count only where they say something."""
    spec = SweepSpec("residual", (1, 2), (-1.0, 0.0, 2.0), ((1, 2),), random=2, shuffled=2, seed=3)
    curve = CurveKey("residual", 1, (1, 2), "mean_difference", "real", "b" * 64)
    setting = Setting("a" * 64, 6, "float32", "cpu", 256)
    plan = RunPlan("x", setting, spec, (curve,), (Question("q", 1, 2),), (0,), {})
    # Written by the version that knew two kinds of controls.
    assert plan.key == "eee2cb122661e88e014cc59fb2521eb742766fd17e730bbbc2e05a8228cb2a66"
    for other in ({"covariance": 1}, {"nuisance": 1}, {"most": 99}):
        assert replace(plan, spec=replace(spec, **other)).key != plan.key
