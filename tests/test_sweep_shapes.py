"""Sweeps of several sites, operations and edits at once: the rows of the edits that they name."""

import json
from pathlib import Path

import pytest
from command_line import Capture, named, printed, refused, write_pairs
from tiny_checkpoints import VARIANTS, Tiny, build

from steer_core import decode, load_model, load_pairs
from steer_core.cli import main
from steer_core.pipeline.records import CurveKey, PartKey, SweepSpec, read_curves, said
from steer_core.steering.spec import resolved, specs_of

LIMIT = ["--max-new-tokens", "6", "--alphas=-2,0,2"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp("tiny"), VARIANTS["llama-bin"])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.json", 5)


@pytest.fixture(scope="module")
def noise_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    import torch
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("direction") / "noise.safetensors"
    save_file({"direction": torch.randn(7, 32, generator=torch.Generator().manual_seed(1))}, path)
    return str(path)


def swept(capsys: Capture, tiny: Tiny, pairs: str, *options: str) -> list[dict]:
    return printed(capsys, "sweep", *named(tiny), "--pairs", pairs, *LIMIT, *options)


def test_sites_operations_and_directions_in_one_run(capsys: Capture, tiny, pairs, noise_file):
    rows = swept(
        capsys,
        tiny,
        pairs,
        *("--sites", "residual,thought", "--operations", "add,rotate,scale", "--layers", "1,2"),
        *("--directions", noise_file),
    )
    curves = {(r["site"], r["layer"], r["operation"], r["direction"]) for r in rows}
    places = [("residual", 1), ("residual", 2), ("thought", None)]
    operations = ("add", "rotate", "scale")
    assert curves == {(*place, op, "noise") for place in places for op in operations}
    assert len(rows) == 9 * 3
    for row in rows:
        if row["alpha"] == 0:
            assert row["flips"] == 0


def test_rows_are_those_of_the_edits(capsys: Capture, tiny, pairs, noise_file, tmp_path: Path):
    """Every row of a sweep of an edits file is what `decode` gives with these edits."""
    path = tmp_path / "edits.json"
    entries = [
        {"layer": 1, "direction": noise_file, "alpha": 0.5, "operation": "rotate"},
        {"layer": 2, "direction": noise_file, "schedule": [0, 1, 0, 2, 0, 0, 0]},
    ]
    path.write_text(json.dumps(entries))
    rows = swept(capsys, tiny, pairs, "--edits", str(path))
    assert [row["operation"] for row in rows] == ["edits"] * 3
    model = load_model(str(tiny.path), device="cpu", dtype="float32", **tiny.options)
    curve = resolved(model, specs_of(entries, model.config))
    asked = [pair.clean for pair in load_pairs(pairs)]
    questions = [problem.question for problem in asked]
    plain = decode(model, questions, max_new_tokens=6)
    for row in rows:
        found = decode(model, questions, [curve.at(row["alpha"])] * len(asked), max_new_tokens=6)
        assert row["correct"] == sum(
            one.answer == problem.answer for one, problem in zip(found, asked, strict=True)
        )
        assert row["flips"] == sum(
            one.answer != two.answer for one, two in zip(found, plain, strict=True)
        )


def test_one_edit_at_several_layers_has_controls_at_all_of_them(capsys, tiny, pairs, noise_file):
    rows = swept(
        capsys,
        tiny,
        pairs,
        *("--layers-at-once", "1,3", "--direction", f"moved:{noise_file}"),
        *("--controls", "random=2"),
    )
    assert {row["direction"] for row in rows} == {"noise", "random-0", "random-1"}
    assert {row["layer"] for row in rows} == {None}
    assert {row["operation"] for row in rows} == {"add"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--site", "thought", "--sites", "residual"], "--site and --sites"),
        (["--operation", "add", "--operations", "rotate"], "--operation and --operations"),
        (["--operations", "add,multiply"], "unknown operation 'multiply'"),
        (["--sites", "residual,mlp"], "unknown site 'mlp'"),
        (["--layers-at-once", "1,2", "--layers", "1"], "contradicts --layers"),
        (["--edits", "x.json", "--operations", "add"], "leave out --operations"),
    ],
)
def test_sweep_options_that_contradict(capsys, tiny, pairs, options: list[str], message: str):
    found = refused(capsys, "sweep", *named(tiny), "--pairs", pairs, *LIMIT, *options)
    assert message in found


# --- identity ------------------------------------------------------------------------------------


def test_what_was_there_first_keeps_its_identity():
    spec = SweepSpec("residual", (1,), (0.0, 1.0), ((1, 2),))
    assert set(spec.content) == {
        *("site", "layers", "alphas", "masks", "directions", "random", "shuffled", "seed"),
        "max_new_tokens",
    }
    curve = CurveKey("residual", 1, (1, 2), "mean_difference", "real", "abc")
    assert set(said(curve)) == {"site", "layer", "positions", "direction", "kind", "sha256"}
    assert curve.edit(1.5).key == '["add","residual",1,[1,2],1.5,"abc"]'


def test_what_came_later_has_an_identity_of_its_own():
    part = PartKey("add", "residual", 1, (1, 2), 1.0, "abc")
    place = ("residual", 1, (1, 2), "mean_difference", "real", "abc")
    curves = [
        CurveKey(*place),
        CurveKey(*place, operation="rotate"),
        CurveKey(*place, schedule=(0.0, 1.0)),
        CurveKey(*place, parts=(part,)),
        CurveKey(*place, parts=(part, part)),
    ]
    assert len({curve.edit(1.0).key for curve in curves}) == len(curves)
    text = json.dumps([said(curve) for curve in curves])
    assert read_curves(text) == tuple(curves)


def test_a_spec_is_read_as_it_was_written():
    spec = SweepSpec(
        *("residual", (1,), (0.0, 1.0), ((1, 2),)),
        sites=("thought",),
        operations=("add", "rotate"),
        schedule=(0, 1, 0, 0, 0, 0, 0),
        at_once=(1, 2),
        edits="[]",
    )
    assert SweepSpec.from_json(json.dumps(spec.content)) == spec


def test_controls_that_are_swept_alone_have_lines(capsys: Capture, pairs: str):
    line = ["sweep", "--model", "tiny-llama", "--pairs", pairs, *LIMIT]
    line += ["--directions", "random-1,random-2"]
    assert main(line) == 0
    rows = capsys.readouterr().out.splitlines()
    assert sum("random-1" in row for row in rows) == sum("random-2" in row for row in rows) == 3
    assert main([*line[:-1], "random-1"]) == 0


def test_edits_of_a_file_have_their_directions(capsys: Capture, tiny: Tiny, pairs: str):
    line = ["--edits", "x.json", "--direction", "random-1"]
    said = refused(capsys, "sweep", *named(tiny), "--pairs", pairs, *LIMIT, *line)
    assert "leave out --direction" in said
