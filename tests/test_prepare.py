"""Preparing pairs: baseline and latent necessity against single decodes, and the fit set."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import QUESTIONS, tiny_model

from steer_core import Edit, UserError, decode, load_model
from steer_core.cli import main
from steer_core.codi.engine import Cancelled
from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair, Problem, problems_hash
from steer_core.pipeline.necessity import ROWS_AT_A_TIME
from steer_core.pipeline.prepare import PrepareSettings, fit_from, prepare
from steer_core.pipeline.prepared import Prepared, check_no_leak, load_prepared
from steer_core.pipeline.splits import SplitSettings
from steer_core.steering.fit import site_states

K = 6
LIMIT = 6
SPLIT = SplitSettings(fractions=(0.5, 0.0, 0.5), keep_unchanged=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("llama"))


def answer(model: CodiModel, question: str, edit: Edit | None = None):
    return decode(model, [question], edit, max_new_tokens=LIMIT)[0].answer


@pytest.fixture(scope="module")
def asked(model: CodiModel) -> list[Pair]:
    """Every other clean twin right, and corrupted twins right by their own answer only."""
    twins = [question.replace("pens", "cups") for question in QUESTIONS]
    found = []
    for i, (question, twin) in enumerate(zip(QUESTIONS, twins, strict=True)):
        golds = (answer(model, question) if i % 2 else -1, answer(model, twin) if i % 3 else -2)
        clean, corrupted = (-3 if gold is None else gold for gold in golds)
        found.append(Pair(i, Problem(question, clean), Problem(twin, corrupted)))
    return found


def settings(kind: str, **options) -> PrepareSettings:
    return PrepareSettings(kind, **{"split": SPLIT, "max_new_tokens": LIMIT, **options})


def sides(prepared: Prepared):
    for row in prepared.pairs:
        yield row.pair.clean, row.clean
        yield row.pair.corrupted, row.corrupted


# --- baseline and necessity ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def zeros(model: CodiModel, asked: list[Pair]) -> Prepared:
    return prepare(model, asked, settings("zeros"), name="mine", command="by hand")


def test_the_baseline_of_both_twins_is_that_of_single_decodes(model: CodiModel, zeros: Prepared):
    for problem, twin in sides(zeros):
        (alone,) = decode(model, [problem.question], max_new_tokens=LIMIT)
        assert (twin.text, twin.answer) == (alone.text, alone.answer)
        assert twin.correct == (alone.answer == problem.answer)
    labels = [row.label for row in zeros.pairs]
    assert labels == ["correct" if row.clean.correct else "wrong" for row in zeros.pairs]
    assert len(set(labels)) == 2


def test_a_corrupted_twin_is_held_to_its_own_answer(model: CodiModel, asked: list[Pair]):
    first = asked[1]
    swapped = Pair(77, first.clean, Problem(first.corrupted.question, first.clean.answer))
    rows = prepare(model, [*asked, swapped], settings("none")).pairs
    own = answer(model, first.corrupted.question)
    assert own != first.clean.answer, "the twins answer alike: choose other questions"
    assert rows[1].corrupted.correct
    assert not rows[-1].corrupted.correct


def replaced(model: CodiModel, question: str, states: torch.Tensor, site="embedding", **where):
    """The answer with the states put in, as one plain edit."""
    where = {"positions": tuple(range(1, K + 1))} | where
    return answer(model, question, Edit(states, 1.0, site, operation="replace", **where))


def test_zeros_are_what_an_edit_with_zeros_gives(model: CodiModel, zeros: Prepared):
    states = torch.zeros(K + 1, model.config.hidden)
    changed = 0
    for problem, twin in sides(zeros):
        assert twin.ablated_answer == replaced(model, problem.question, states)
        assert twin.ablated_correct == (twin.ablated_answer == problem.answer)
        changed += twin.ablated_answer != twin.answer
    assert changed > 2


@pytest.mark.parametrize(("site", "layer"), [("embedding", None), ("residual", 2)])
def test_swapped_latents_are_those_of_the_twin(
    model: CodiModel, asked: list[Pair], site: str, layer: int | None
):
    found, changed = prepare(model, asked, settings("zeros", site=site, layer=layer)), 0
    for row in found.pairs:
        (other,) = decode(model, [row.pair.corrupted.question], max_new_tokens=1, hidden=True)
        states = torch.from_numpy(site_states(model, other.states, site, layer))
        wanted = replaced(model, row.pair.clean.question, states, site, layer=layer)
        assert row.clean.swapped_answer == wanted
        assert row.clean.swapped == (wanted == row.pair.corrupted.answer)
        assert row.corrupted.swapped is None
        changed += wanted != row.clean.answer
    assert changed > 0
    assert all(row.clean.swapped is None for row in prepare(model, asked, settings("none")).pairs)


@pytest.mark.parametrize(
    ("site", "layer", "index"), [("residual", 2, 2), ("residual", None, 1), ("thought", None, -1)]
)
def test_the_mean_is_that_of_all_questions(
    model: CodiModel, asked: list[Pair], site: str, layer: int | None, index: int
):
    """Each counted once, whatever the batches."""
    doubled = [*asked, dataclasses.replace(asked[0], pair_id=99)]
    prepared = prepare(model, doubled, settings("mean", site=site, layer=layer))
    questions = dict.fromkeys(problem.question for problem, _ in sides(prepared))
    alone = [
        decode(model, [q], max_new_tokens=1, hidden=True)[0].states[:, index] for q in questions
    ]
    mean = torch.from_numpy(np.mean(alone, axis=0, dtype=np.float64).astype(np.float32))
    where = prepared.necessity
    assert where.layer == (layer or 1 if site == "residual" else None)
    assert where.positions == (tuple(range(K)) if site == "thought" else tuple(range(1, K + 1)))
    got = {p.question: twin.ablated_answer for p, twin in sides(prepared)}
    edit = {"layer": where.layer, "positions": where.positions}
    assert got == {q: replaced(model, q, mean, site, **edit) for q in questions}


def test_noise_has_the_size_of_the_states_and_its_own_seed(model: CodiModel, asked: list[Pair]):
    from steer_core.pipeline.necessity import SiteMean, necessity_of

    where = necessity_of(model.config, "noise", "residual", 2, None)
    decoded = decode(model, QUESTIONS, max_new_tokens=1, hidden=True)
    mean = SiteMean(model, where)
    for row in decoded:
        mean.add([row])
    norms = np.mean([np.linalg.norm(row.states[:, 2], axis=-1) for row in decoded], axis=0)
    noise = mean.noise(5, 0)
    np.testing.assert_allclose(noise.norm(dim=-1).numpy(), norms, rtol=1e-5)
    assert torch.equal(noise, mean.noise(5, 0))
    for other in (mean.noise(5, 1), mean.noise(6, 0)):
        assert torch.cosine_similarity(noise, other, dim=-1).abs().max() < 0.8
    first, again = (prepare(model, asked, settings("noise")).pairs for _ in range(2))
    assert first == again


def test_results_do_not_depend_on_batches(
    model: CodiModel, asked: list[Pair], monkeypatch: pytest.MonkeyPatch
):
    whole = prepare(model, asked, settings("noise"))
    monkeypatch.setattr("steer_core.pipeline.necessity.ROWS_AT_A_TIME", 5)
    seen = []
    small = prepare(model, asked, settings("noise"), lambda *state: seen.append(state))
    assert small.pairs == whole.pairs
    n = 2 * len(asked)
    assert n < ROWS_AT_A_TIME
    for stage in ("baseline", "without latents"):
        done = [count for name, count, total in seen if name == stage and total == n]
        assert (done[0], done[-1]) == (0, n)
        assert done == sorted(done)
        assert len(done) > 4


def test_necessity_need_not_be_tested(model: CodiModel, asked: list[Pair]):
    stages = set()
    prepared = prepare(model, asked, settings("none"), lambda stage, *_: stages.add(stage))
    assert stages == {"baseline"}
    assert {twin.needs_latents for _, twin in sides(prepared)} == {None}
    with pytest.raises(UserError, match="filter 'clean' needs a test of necessity; choose"):
        settings("none", split=SplitSettings("clean"))


@pytest.mark.parametrize("after", [0, 1, 9])
def test_it_stops_when_asked(model: CodiModel, asked: list[Pair], after: int):
    left = [after]

    def stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    with pytest.raises(Cancelled):
        prepare(model, asked, settings("zeros"), stop=stop)


# --- the record ----------------------------------------------------------------------------------


def test_the_record_says_where_it_comes_from(model: CodiModel, asked: list[Pair], zeros: Prepared):
    both = [problem for pair in asked for problem in (pair.clean, pair.corrupted)]
    assert (zeros.model, zeros.model_sha256) == (model.name, model.sha256)
    assert (zeros.latents, zeros.dtype, zeros.device) == (K, "float32", "cpu")
    assert (zeros.pairs_name, zeros.pairs_sha256) == ("mine", problems_hash(both))
    assert (zeros.seed, zeros.command, zeros.balanced) == (0, "by hand", True)
    assert {"torch", "transformers", "steer_core", "python"} <= set(zeros.versions)
    assert [row.pair for row in zeros.pairs] == asked
    check_no_leak(zeros)


def test_the_fit_set_is_the_clean_twins_of_the_fit_split(model: CodiModel, zeros: Prepared):
    fit = fit_from(model, zeros)
    problems = [pair.clean for pair in zeros.split("fit")]
    assert fit.provenance.problems == "mine, split fit"
    assert fit.provenance.problems_sha256 == problems_hash(problems)
    alone = [decode(model, [p.question], max_new_tokens=LIMIT, hidden=True)[0] for p in problems]
    right = [row.answer == problem.answer for row, problem in zip(alone, problems, strict=True)]
    assert fit.right.tolist() == right
    assert (fit.provenance.correct, fit.provenance.wrong) == (sum(right), len(right) - sum(right))
    np.testing.assert_allclose(fit.states, np.stack([row.states for row in alone]), atol=1e-4)


def test_labels_are_those_that_were_prepared(model: CodiModel, zeros: Prepared):
    """A reader of stored answers gives its own; they are not scored again."""
    turned = {"correct": "wrong", "wrong": "correct"}
    rows = tuple(dataclasses.replace(row, label=turned[row.label]) for row in zeros.pairs)
    fit, other = (fit_from(model, each) for each in (zeros, dataclasses.replace(zeros, pairs=rows)))
    assert (fit.right != other.right).all()
    assert (fit.provenance.correct, fit.provenance.wrong) == (
        other.provenance.wrong,
        other.provenance.correct,
    )


def test_a_fit_set_of_another_model_or_one_label_is_refused(model: CodiModel, zeros: Prepared):
    changed = dataclasses.replace(model, sha256="0" * 64)
    with pytest.raises(UserError, match=r"had other weights .* now 0+\); run 'prepare"):
        fit_from(changed, zeros)
    other = dataclasses.replace(changed, name="other")
    with pytest.raises(UserError, match=r"prepared with .*, not with other .*; run 'prepare"):
        fit_from(other, zeros)
    right = tuple(dataclasses.replace(row, label="correct") for row in zeros.pairs)
    with pytest.raises(UserError, match=r"answers are right; .*both"):
        fit_from(model, dataclasses.replace(zeros, pairs=right))
    with pytest.raises(Cancelled):
        fit_from(model, zeros, stop=lambda: True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"necessity": "ones"}, "unknown necessity 'ones'; choose zeros, mean, noise, none"),
        ({"site": "mlp"}, "unknown site 'mlp'"),
        ({"site": "residual", "layer": 9}, r"layer 9 is out of range; choose 1\.\.3"),
        ({"site": "embedding", "layer": 2}, "site embedding has no layers; leave out layer 2"),
        ({"positions": (7,)}, r"position 7 is out of range; choose from 0\.\.6"),
        ({"positions": (0,)}, r"changes nothing; choose from 1\.\.6"),
        ({"positions": ()}, "changes nothing"),
        ({"site": "thought", "positions": (6,)}, r"changes nothing; choose from 0\.\.5"),
    ],
)
def test_a_test_that_cannot_be_is_refused(model: CodiModel, asked, options: dict, message: str):
    with pytest.raises(UserError, match=message):
        prepare(model, asked, PrepareSettings(**options))


def test_no_pairs_and_no_latents_are_refused(model: CodiModel, asked: list[Pair]):
    with pytest.raises(UserError, match="no pairs to prepare; give"):
        prepare(model, [])
    none = dataclasses.replace(model, config=dataclasses.replace(model.config, latents=0))
    with pytest.raises(UserError, match="changes nothing"):
        prepare(none, asked, settings("zeros"))


# --- the command ---------------------------------------------------------------------------------

SMALL = ["prepare", "--model", "tiny-llama", "--device", "cpu", "--max-new-tokens", "12"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sixty bundled pairs in two files; the second begins with the first one's last five."""
    from steer_core.data.pairs import dump_pairs, load_pairs

    pairs, folder = load_pairs("fit")[:60], tmp_path_factory.mktemp("pairs")
    paths = [folder / "a.json", folder / "b.json"]
    for path, part in zip(paths, (pairs[:35], pairs[30:]), strict=True):
        path.write_text(dump_pairs(part))
    return paths


def test_the_command_writes_a_folder_and_prints_one_object(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture
):
    out = tmp_path / "new" / "split"
    pairs = ",".join(map(str, files))
    assert main([*SMALL, "--pairs", pairs, "--out", str(out), "--seed", "4", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    prepared = load_prepared(out)
    check_no_leak(prepared)
    assert prepared.model == "tiny-llama" == shown["model"]
    assert prepared.model_sha256 == load_model("tiny-llama", device="cpu").sha256
    assert shown["out"] == str(out)
    assert shown["counts"] == prepared.counts
    assert shown["set_aside"]["its pair_id was seen before"] == 5
    assert shown["funnel"][0] == {"name": "rows", "count": 65, "of": 65, "percent": 100.0}
    assert prepared.pairs_name == pairs
    assert (prepared.seed, prepared.necessity.kind) == (4, "zeros")
    assert "--seed=4" in prepared.command


def test_the_command_shows_the_funnel(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture
):
    options = ["--pairs", str(files[1]), "--out", str(tmp_path), "--necessity", "none"]
    assert main([*SMALL, *options, "--keep-all-labels", "--fractions", "0.5,0,0.5"]) == 0
    shown = capsys.readouterr().out.splitlines()
    prepared = load_prepared(tmp_path)
    assert not prepared.balanced
    assert prepared.fractions == (0.5, 0, 0.5)
    for step in prepared.funnel:
        (line,) = [line for line in shown if line.startswith(f"{step.name}  ")]
        assert f" {step.count} of {step.of} " in line
        assert f"{step.percent:.1f} %" in line
    full, half = (next(x for x in shown if x.startswith(n)) for n in ("rows ", "fit "))
    assert full.count("█") == 24 > half.count("█") > 0
    assert shown[-1] == f"written to {tmp_path}"


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--model", "tiny-llama"], ["--out is missing"]),
        (["--out", "x"], ["--model is missing"]),
        (["--model", "tiny-llama", "--out", "x", "--filter", "all"], ["'all'", "either"]),
        (["--model", "tiny-llama", "--out", "x", "--fractions", "1"], ["fractions 1 "]),
        (["--model", "tiny-llama", "--out", "x", "--fractions", "a,b,c"], ["'a'"]),
        (["--model", "tiny-llama", "--out", "x", "--necessity", "ones"], ["'ones'"]),
        (["--model", "tiny-llama", "--out", "x", "--pairs", "fit,none.json"], ["none.json"]),
        (["--model", "tiny-llama", "--out", "x", "--necessity-positions", "z"], ["'z'"]),
        (["--model", "/no/model", "--out", "x"], ["/no/model"]),
    ],
)
def test_the_command_refuses_in_one_line(
    options: list[str],
    parts: list[str],
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", *options]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.count("\n") == 1
    assert ";" in found.err
    for part in parts:
        assert part in found.err


def test_a_folder_that_cannot_be_made_is_found_before_the_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def load(*_):
        raise AssertionError("loaded")

    monkeypatch.setattr("steer_core.cli.options.load", load)
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "out")
    assert main(["prepare", "--model", "tiny-llama", "--pairs", "test", "--out", out]) == 2
    assert out in capsys.readouterr().err
    assert (
        main(["prepare", "--model", "tiny-llama", "--pairs", "test", "--out", str(tmp_path)]) == 2
    )
    assert "loaded" in capsys.readouterr().err
