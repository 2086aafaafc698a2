"""What is edited as one value: options and files to edits."""

import json
from pathlib import Path

import pytest
import torch
from command_line import Capture, printed, refused, write_pairs
from tiny_models import QUESTIONS, noise, tiny_model

from steer_core import UserError, decode
from steer_core.codi.model import CodiModel
from steer_core.data.pairs import dump_pairs, load_pairs
from steer_core.steering.directions import Direction
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditSpec, resolved, specs_of

K, L = 6, 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("model"))


def find(model: CodiModel, site: str, layer: int | None, name: str) -> Direction:
    return Direction(noise(model, int(name)), name, site, layer)


def test_a_curve_is_its_edits_at_an_alpha(model: CodiModel):
    specs = [
        EditSpec(Site("residual", 1), (1, 2), "3", factor=0.5),
        EditSpec(Site("thought"), (0, 3), "4", schedule=(1, 0, 0, -2, 0, 0, 0)),
    ]
    low, thought = resolved(model, specs, find).at(2.0)
    assert torch.equal(low.direction, noise(model, 3))
    assert (low.site, low.layer, low.positions, low.alpha) == ("residual", 1, (1, 2), 1.0)
    assert thought.alpha == (2.0, 0.0, 0.0, -4.0, 0.0, 0.0, 0.0)


def test_alpha_zero_of_a_curve_is_the_baseline(model: CodiModel):
    specs = [EditSpec(Site("residual", layer), (1, 2), "3") for layer in (1, 2)]
    edits = resolved(model, specs, find).at(0.0)
    plain, edited = decode(model, QUESTIONS[:1] * 2, [None, edits], hidden=True, max_new_tokens=2)
    assert (plain.states == edited.states).all()


def test_entries_of_a_file_have_defaults(model: CodiModel):
    (spec,) = specs_of([{}], model.config)
    assert spec == EditSpec(Site("residual", 1), (1, 2, 3, 4, 5, 6), "mean_difference")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "a list of 1 to 256 objects"),
        ([], "a list of 1 to 256 objects"),
        ([3], "edit 1 is 3, not an object"),
        ([{}, {"strength": 2}], "edit 2 has a field 'strength'"),
        ([{"site": "mlp"}], "edit 1: unknown site 'mlp'"),
        ([{"site": ["residual"]}], "edit 1: site .* is no text"),
        ([{"layer": 9}], "edit 1: layer 9 is out of range; choose 1..3"),
        ([{"layer": True}], "edit 1: layer True is no whole number"),
        ([{"site": "thought", "layer": 1}], "edit 1: site thought has no layers"),
        ([{"positions": 3}], "edit 1: positions 3 are no list"),
        ([{"positions": [7]}], "edit 1: position 7 is out of range"),
        ([{"alpha": "much"}], "edit 1: alpha much is no finite number"),
        ([{"alpha": 10**400}], "edit 1: alpha 1000.*is no finite number"),
        ([{"operation": "multiply"}], "edit 1: unknown operation 'multiply'"),
        ([{"schedule": [1, 2]}], "edit 1: the schedule has 2 factors, this model needs 7"),
        ([{"schedule": "1,2"}], "edit 1: schedule 1,2 is no list"),
    ],
)
def test_what_an_edits_file_may_not_say(model: CodiModel, entries, message: str):
    with pytest.raises(UserError, match=message):
        specs_of(entries, model.config)


# --- commands ------------------------------------------------------------------------------------

MODEL = ["--model", "tiny-llama", "--question", QUESTIONS[0]]


def decoded(capsys: Capture, *options: str) -> dict:
    (row,) = printed(capsys, "decode", *MODEL, *options)
    return row


def test_a_file_of_edits_is_its_options(capsys: Capture, tmp_path: Path):
    path = tmp_path / "edits.json"
    path.write_text(json.dumps([{"layer": 1, "alpha": 1.5}, {"layer": 2, "alpha": 1.5}]))
    both = decoded(capsys, "--layers-at-once", "1,2", "--alpha", "1.5")
    assert decoded(capsys, "--edits", str(path)) == both
    assert decoded(capsys, "--edits", str(path), "--alpha", "1") == both
    weak = decoded(capsys, "--edits", str(path), "--alpha", "0")
    assert "baseline_text" in both
    assert weak["token_ids"] == decoded(capsys)["token_ids"]


def test_a_mask_is_a_schedule(capsys: Capture):
    mask = decoded(capsys, "--layer", "1", "--alpha", "3", "--positions", "2,4")
    by_factor = ["--layer", "1", "--alpha", "3", "--schedule", "0,0,1,0,1,0,0"]
    assert decoded(capsys, *by_factor) == mask


def test_operations_and_cached_sites_have_names(capsys: Capture):
    added = decoded(capsys, "--layer", "1", "--alpha", "3")
    assert decoded(capsys, "--layer", "1", "--alpha", "3", "--operation", "add") == added
    scaled = ["--site", "values", "--layer", "1", "--alpha", "20", "--operation", "scale"]
    assert decoded(capsys, *scaled)["token_ids"] != added["token_ids"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--edits", "nowhere.json"], "no edits file"),
        (["--edits", "x.json", "--layer", "1"], "leave out --layer"),
        (["--edits", "x.json", "--direction", "random-1"], "leave out --direction"),
        (["--layers-at-once", "1-99", "--alpha", "1"], "layer 5 is out of range"),
        (["--layers-at-once", "1,2", "--layer", "1"], "contradicts --layer"),
        (["--layers-at-once", "1,2", "--site", "thought"], "has no layers"),
        (["--schedule", "1,2", "--alpha", "1"], "the schedule has 2 factors"),
        (["--operation", "multiply", "--alpha", "1"], "unknown operation 'multiply'"),
    ],
)
def test_options_that_contradict(capsys: Capture, options: list[str], message: str):
    assert message in refused(capsys, "decode", *MODEL, *options)


# --- inspect -------------------------------------------------------------------------------------


def inspected(capsys: Capture, what: str, *options: str) -> dict:
    (row,) = printed(capsys, "inspect", what, *MODEL, "--max-new-tokens", "9", *options)
    return row


def test_inspect_prints_what_it_names(capsys: Capture):
    lens = inspected(capsys, "lens")
    assert (lens["positions"], lens["layers"]) == (list(range(7)), list(range(5)))
    assert len(lens["top_probs"][6][4]) == len(lens["top_tokens"][0][0]) == 5
    assert len(inspected(capsys, "early")["answers"]) == 7
    swap = inspected(capsys, "swap", "--donor", QUESTIONS[1], "--positions", "1-3")
    assert set(swap) >= {"text", "answer", "own_answer", "donor_answer"}
    assert (swap["site"], swap["positions"]) == ("embedding", [1, 2, 3])
    none = inspected(capsys, "swap", "--donor", QUESTIONS[1], "--amount", "0")
    assert none["answer"] == none["own_answer"]
    trace = inspected(capsys, "trace", "--layer", "1", "--alpha", "2")
    assert trace["outcome"] == "arrived"
    assert len(trace["relative"]) == 7
    dead = inspected(capsys, "trace", "--site", "thought", "--positions", "6", "--alpha", "2")
    assert dead["outcome"] == "dead site"
    shape = inspected(capsys, "map", "--alpha", "1")
    assert (len(shape["kl"]), len(shape["kl"][0])) == (7, 4)
    assert inspected(capsys, "flip", "--layer", "1")["distance"] > 0
    seen = inspected(capsys, "attention")
    assert len(seen["weights"][0][0]) == len(seen["queries"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lens", "--model", "tiny-llama"], "needs --question"),
        (["probe", *MODEL], "give --pairs"),
        (["swap", *MODEL], "needs --donor"),
        (["map", *MODEL], "give --alpha"),
    ],
)
def test_inspect_says_what_it_lacks(capsys: Capture, arguments: list[str], message: str):
    assert message in refused(capsys, "inspect", *arguments)


def test_inspect_over_pairs(capsys: Capture, tmp_path: Path):
    some = tmp_path / "some.json"
    some.write_text(dump_pairs(load_pairs("test")[:50]), encoding="utf-8")
    asked = ["--model", "tiny-llama", "--pairs", str(some)]
    rows = printed(capsys, "inspect", "paths", *asked)
    assert rows[0]["n"] == len(rows) - 1 == 50
    assert len(rows[1]["points"]) == 6
    cells = printed(capsys, "inspect", "probe", *asked, "--label", "number of steps")
    assert len(cells) == 7 * 5
    assert {cell["measure"] for cell in cells} == {"accuracy"}
    assert min(cell["p"] for cell in cells) == pytest.approx(1 / 40)


@pytest.mark.parametrize(
    "options", [(), ("--alpha", "1", "--positions", "0", "--direction", "random-1")]
)
def test_a_trace_without_latent_steps(capsys: Capture, options: tuple[str, ...]):
    found = inspected(capsys, "trace", "--latents", "0", *options)
    assert found["thought"] == found["before_norm"] == []


@pytest.mark.parametrize("what", ["map", "flip"])
def test_what_is_refused_at_the_last_question_prints_nothing(capsys: Capture, what: str):
    asked = ["--question", QUESTIONS[0], "--question", "word " * 3000, "--alpha", "1"]
    said = refused(capsys, "inspect", what, *MODEL, *asked, "--max-new-tokens", "2")
    assert "shorten it" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--layer", "99"], "layer 99 is out"), (["--site", "bogus"], "unknown site 'bogus'")],
)
def test_paths_are_at_a_place_of_the_model(
    capsys: Capture, tmp_path: Path, options: list[str], message: str
):
    asked = ["--pairs", write_pairs(tmp_path / "pairs.json", 6)]
    assert message in refused(capsys, "inspect", "paths", "--model", "tiny-llama", *asked, *options)
