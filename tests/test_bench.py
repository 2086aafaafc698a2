"""The command `bench`: three ways over the same rows, and the floor beneath them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from command_line import refused
from reference import Addition, prompt_ids
from reference import decode as decode_slowly
from slow_models import bundled_reference
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, LlamaConfig

from steer_core.bench import measure as measuring
from steer_core.bench import shapes
from steer_core.bench.floor import Rates, Work, operations
from steer_core.bench.measure import grid_of, measure, one_layer, work_of
from steer_core.bench.shapes import Subject, bundled, random_subject, spread
from steer_core.bench.transformers_way import TransformersWay
from steer_core.cli import main
from steer_core.codi import cores
from steer_core.codi.engine import run_batch

ALPHAS = (-1.0, 0.0, 1.0)
SMALL = ("bench", "--pairs", "2", "--alphas=-1:1:1", "--sample", "2", "--repeats", "1")
KEYS = {
    *("shape", "device", "decodes_per_s", "ratio_one_row", "ratio_official_batch"),
    *("floor_share", "peak_memory_bytes", "ids_equal"),
}
CPU = torch.device("cpu")
TINY = {
    "gpt2": GPT2Config(vocab_size=2000, n_embd=32, n_layer=3, n_head=4, n_positions=200),
    "llama-1b": LlamaConfig(
        vocab_size=2000,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=300,
        tie_word_embeddings=True,
    ),
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates and numbers of threads that take no seconds to find; cores as they were afterwards."""
    monkeypatch.setattr(measuring, "measured_rates", lambda *_: Rates(1e10, 1e10))
    monkeypatch.setattr(measuring, "TRIED", 0.0)
    monkeypatch.setattr(cores, "ACCOUNT", cores.ACCOUNT)


# --- the command ---------------------------------------------------------------------------------


def assert_measured(found: dict) -> None:
    assert set(found) >= KEYS
    assert (found["shape"], found["model"]) == ("bundled", "tiny-llama")
    assert (found["device"], found["rows"]) == ("cpu", 6)
    assert found["ids_equal"] is True
    assert found["share_of_ids_equal"] == 1
    assert found["compared"] == 6  # the official batch holds all rows
    for way in ("one_row", "official_batch"):
        speed = found["decodes_per_s"] / found[f"{way}_per_s"]
        assert found[f"ratio_{way}"] == pytest.approx(speed, rel=0.01)
    assert found["floor_share"] == pytest.approx(found["floor_s"] / found["seconds"], rel=0.01)
    assert found["peak_memory_bytes"] > 4e6
    assert found["predicted_memory_bytes"] > 4e6


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]):
    assert main([*SMALL, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert_measured(json.loads(out))


def test_without_edits_there_is_no_share_of_edited_rows(capsys: pytest.CaptureFixture[str]):
    assert main([*SMALL, "--alphas=0"]) == 0
    *table, last = capsys.readouterr().out.splitlines()
    assert json.loads(last, parse_constant=pytest.fail)["share_of_ids_steered"] is None
    assert any("no edited row" in line for line in table)


def test_the_table_ends_in_the_same_line(capsys: pytest.CaptureFixture[str]):
    assert main([*SMALL, "--scaling", "--cores", "1", "--max-rows", "4"]) == 0
    *table, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert_measured(found)
    for label in ("one-row loop", "official, batch 128", "engine", "same ids on 100 % of 6 rows"):
        assert any(line.startswith(label) for line in table)
    # Two pairs have nothing to grow with.
    sizes = {each["what"]: each["sizes"] for each in found["growth"]}
    assert sizes == {"alphas of one problem": [4, 8, 16, 32, 64], "layers": [1, 2, 4]}
    for growth in found["growth"]:
        assert len(growth["sizes"]) == len(growth["seconds"])
        assert growth["doubling"] == pytest.approx(2 ** growth["exponent"])
    assert cores.ACCOUNT.total == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--pairs", "0"), "0 pairs"),
        (("--sample", "0"), "0 sampled rows"),
        (("--sample", "-1"), "-1 sampled rows"),
        (("--repeats", "0"), "0 repeats"),
        (("--layers", "0"), "0 layers"),
        (("--layers", "9"), "there are 4 layers in tiny-llama, not 9"),
        (("--pairs", "9999"), "there are 240 test pairs, not 9999"),
        (("--shape", "gpt2", "--model", "tiny-llama"), "--model is for --shape bundled"),
        (("--max-rows", "0"), "0 rows in a batch"),
        (("--cores", "0"), "0 cores"),
        (("--alphas", "1:0:1"), "1:0:1"),
        (("--alphas", "x"), "x"),
        (("--model", "zen-E/CODI-gpt2"), "not in the box"),
        (("--shape", "gpt3"), "gpt3"),
        (("--device", "quantum"), "quantum"),
        (("--dtype", "float16"), "--dtype float16 is for shapes with random weights"),
        (("--dtype", "int8"), "unknown dtype 'int8'"),
    ],
)
def test_wrong_input_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], says: str
):
    assert says in refused(capsys, "bench", "--json", *arguments)


# --- the ways that exist -------------------------------------------------------------------------


def test_transformers_in_a_padded_batch_gives_the_ids_of_the_reference():
    subject = bundled("tiny-llama", 3)
    reference, tokenizer = bundled_reference("tiny-llama")
    (layer,) = subject.layers
    rows = [(q, layer, alpha) for q in range(3) for alpha in (-25.0, 0.0, 25.0)]
    way = TransformersWay(subject)
    assert len({len(prompt) for prompt in way.prompts}) > 1, "nothing is padded"
    found = way.decode(rows)
    vectors = subject.directions[layer].vectors
    for (question, _, alpha), ids in zip(rows, found, strict=True):
        prompt = prompt_ids(reference, tokenizer, subject.problems[question].question)
        edit = Addition("residual", alpha, vectors, tuple(range(1, 7)), layer)
        assert ids == decode_slowly(reference, prompt, edit, 24).ids
    assert [ids for row in rows for ids in way.decode([row])] == found
    assert len(set(found)) > 3, "edits change nothing"


@pytest.fixture(scope="module", params=TINY)
def random_one(request: pytest.FixtureRequest) -> Subject:
    """A published shape, made small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(shapes.SHAPES, request.param, TINY[request.param])
        return random_subject(request.param, CPU, torch.float32, problems=4, layers=2)


def test_random_shapes_are_the_same_model_twice(random_one: Subject):
    model = random_one.model
    assert model.config.layers == random_one.twin.config.num_hidden_layers
    assert len(random_one.layers) == 2
    assert len(random_one.directions) == model.config.layers
    assert model.body.tokens.data_ptr() == random_one.twin.get_input_embeddings().weight.data_ptr()
    found = measure(random_one, ALPHAS, sample=3, batches=1, repeats=2)
    assert found.ids_equal
    assert found.compared >= 12
    assert (found.rows, found.questions, found.layers, found.alphas) == (24, 4, 2, 3)
    assert found.shape in TINY


def test_a_wrong_id_is_noticed(random_one: Subject, monkeypatch: pytest.MonkeyPatch):
    real = TransformersWay.answers

    def one_off(self, *args):
        first, *others = real(self, *args)
        return [(*first, 0), *others]

    monkeypatch.setattr(TransformersWay, "answers", one_off)
    found = measure(random_one, ALPHAS, sample=3, batches=1, repeats=1)
    assert not found.ids_equal
    assert 0 < found.share_of_ids_equal < 1


def test_one_slow_moment_does_not_choose_the_threads(monkeypatch: pytest.MonkeyPatch):
    seconds = {1: iter((9.0, 1.0)), 2: iter((2.0, 2.0))}
    monkeypatch.setattr(measuring, "TRIED", 4.0)
    monkeypatch.setattr(cores, "ACCOUNT", cores.Account(2))
    monkeypatch.setattr(
        measuring, "transformers_run", lambda _way, _rows, _batch, n: (next(seconds[n]), {})
    )
    clock = iter((0.0, 1.0, 2.0, 9.0))  # time for two tries of each
    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    way = SimpleNamespace(device=torch.device("cpu"))
    assert measuring.best_threads(way, [], 1) == 1  # pyright: ignore[reportArgumentType]


def test_rows_of_the_official_way_are_of_one_layer(random_one: Subject):
    rows = grid_of(random_one, ALPHAS)
    assert len(set(rows)) == len(rows) == 24
    part = one_layer(rows, 1, measuring.Random(1))
    assert len(part) == len(set(part)) == 12
    assert len({layer for _, layer, _ in part}) == 1


def test_layers_are_spread():
    assert spread(12, 1) == (6,)
    assert spread(12, 3) == (3, 6, 9)
    assert spread(4, 1) == (2,)
    assert spread(2, 5) == (1, 2)


def test_a_bundled_model_is_measured_at_as_many_layers_as_asked(
    capsys: pytest.CaptureFixture[str],
):
    assert main([*SMALL, "--layers", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["layers"], found["rows"]) == (4, 24)
    assert found["ids_equal"] is True


# --- the floor -----------------------------------------------------------------------------------


def test_the_floor_lies_below_what_the_engine_computes(random_one: Subject):
    """And near it where next to nothing is wasted: one question, all rows together."""
    model = random_one.model
    prompt = model.encode(random_one.problems[0].question)
    model.session.forget()
    with FlopCounterMode(display=False) as counter:
        found = run_batch(model, [prompt], 64, max_new_tokens=1)
    assert all(len(ids) == 1 for ids in found.token_ids)
    # Plain rows share their latent thoughts: count those of one row.
    thoughts = operations(model, Work(1, len(prompt) + 1, 1, 1, 1))
    answers = operations(model, Work(0, len(prompt) + 1, 64, 1, 1)) - operations(
        model, Work(0, len(prompt) + 1, 64, 0, 1)
    )
    done = counter.get_total_flops()
    assert 0.6 * done < thoughts + answers < 1.05 * done


def test_what_the_grid_asks_for(random_one: Subject):
    """Alpha 0 is one row of a question for all layers."""
    rows = grid_of(random_one, ALPHAS)
    work = work_of(random_one, dict.fromkeys(rows, (5, 6, 7)), 5)
    assert (work.questions, work.rows) == (4, 4 * (2 * 2 + 1))
    assert work.batches == 4
    assert work.shared == sum(random_one.layers) / len(random_one.layers)
    lengths = [len(random_one.model.encode(p.question)) for p in random_one.problems]
    assert 0 <= work.prompt - sum(lengths) / 4 <= 1  # BOT counted
    assert 3 <= work.answer <= 4
