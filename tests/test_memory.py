"""What is predicted of memory against what torch asks for, byte by byte."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import torch
from tiny_checkpoints import VARIANTS, Recipe, build
from tiny_models import noise, tiny_model
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from steer_core import Edit, load_model, load_pairs
from steer_core.bench.peak import Peak
from steer_core.codi import memory
from steer_core.codi.model import CodiModel
from steer_core.codi.prefix import prefixes
from steer_core.codi.reordered import LARGE, can_reorder, has_avx512
from steer_core.steering import batches
from steer_core.steering.decode import Options, Row, acting, decode_rows

SHORT, LONG = 21, 120  # tokens of a question


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-gpt2"])
def model(request: pytest.FixtureRequest) -> CodiModel:
    return load_model(request.param, device="cpu", dtype="float32")


# --- weights -------------------------------------------------------------------------------------


def storages(part: object) -> dict[int, int]:
    """Bytes of the memory behind every tensor in a tree of dataclasses."""
    if isinstance(part, Tensor):
        return {part.untyped_storage().data_ptr(): part.untyped_storage().nbytes()}
    inside = part if isinstance(part, tuple) else ()
    if is_dataclass(part):
        inside = [getattr(part, each.name) for each in fields(part)]
    return {where: size for each in inside for where, size in storages(each).items()}


@pytest.mark.parametrize("name", ["gpt2-bin", "gpt2-untied", "llama-bin", "llama-untied", "qwen2"])
def test_weights_are_counted_once_each(name: str, tmp_path):
    tiny = build(tmp_path, VARIANTS[name])
    assert_weights(load_model(str(tiny.path), device="cpu", dtype="float32", **tiny.options))


def test_weights_of_the_shipped_models(model: CodiModel):
    assert_weights(model)


def assert_weights(model: CodiModel) -> None:
    found = storages(model.body) | storages(model.projection)
    # Every matrix but that of token embeddings is there in another order too, without EOT's row;
    # where the CPU lacks AVX-512, only the large ones.
    body, projection = model.body, model.projection
    blocks = [x for b in body.blocks for x in (b.qkv, b.out, b.up, b.down)]
    thoughts = [x for x in (projection.first, projection.second) if x is not None]
    again = [x.weight for x in (*blocks, *thoughts)] + [body.head.weight[:-1]]
    sizes = [x.numel() for x in again if x.numel() >= LARGE or has_avx512()]
    copies = 4 * sum(sizes) if can_reorder(body.tokens) else 0
    assert memory.weight_bytes(model) == sum(found.values()) + copies


# --- rows ----------------------------------------------------------------------------------------


def most_bytes(work: Callable[[], object]) -> int:
    """The most that torch had allocated at once, over what it had before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        work()
    events = watched.profiler.kineto_results.events()
    some = [event for event in events if event.name() == "[memory]"]
    assert some, "torch reports no memory"
    now = most = 0
    for event in sorted(some, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def questions_of(model: CodiModel, count: int, tokens: int) -> list[str]:
    """Questions of so many tokens each."""
    asked = []
    for pair in load_pairs("test")[:count]:
        words = (pair.clean.question + " ") * 20
        ids = model.tokenizer(words, add_special_tokens=False)["input_ids"][:tokens]
        asked.append(model.tokenizer.decode(ids))
    assert all(abs(len(model.encode(text)) - tokens) < 4 for text in asked)
    return asked


def peak_of(model: CodiModel, questions: list[str], rows: int, scored: bool, **kept) -> int:
    """Of decoding so many edited rows of each question as one batch."""
    d = noise(model)
    edits = [Edit(d, 1.0 + i / 8, "residual", 1, (1, 2)) for i in range(rows)]
    asked = [Row(q, acting(model, edit)) for q in range(len(questions)) for edit in edits]
    golds = [(7, 1234)] * len(questions) if scored else None
    options = Options(8, max_rows=1000, **kept)
    model.session.forget()
    return most_bytes(lambda: list(decode_rows(model, questions, asked, options, candidates=golds)))


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize(
    ("questions", "rows", "tokens"), [(1, 1, SHORT), (1, 200, SHORT), (1, 80, LONG), (60, 2, SHORT)]
)
def test_no_grid_takes_more_than_predicted(
    model: CodiModel, questions: int, rows: int, tokens: int, scored: bool
):
    asked = questions_of(model, questions, tokens)
    lengths = [len(model.encode(text)) for text in asked]
    predicted = memory.predicted_peak(model, lengths, questions * rows, 1000)
    most = peak_of(model, asked, rows, scored)
    assert 100_000 < most <= predicted - memory.weight_bytes(model)


def test_reading_many_questions_at_once_takes_no_more_than_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As on a GPU, with fewer heads of keys and values than of queries."""
    heads = {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 16}
    deep = Recipe("llama", config=(*heads.items(), ("num_hidden_layers", 16)))
    model = tiny_model(tmp_path, deep)
    monkeypatch.setitem(memory.TOKENS_AT_A_TIME, "cpu", 65536)
    prompts = [[1 + (i + j) % 90 for j in range(60)] for i in range(100)]
    most = most_bytes(lambda: prefixes(model, prompts))
    assert most > 1_000_000
    kept = len(prompts) * 61 * memory.prefix_bytes(model)
    assert most <= kept + memory.fixed_bytes(model, 61, len(prompts))


@pytest.mark.parametrize("kept", [{}, {"hidden": True}, {"first_logits": True}])
@pytest.mark.parametrize("together", [True, False])
def test_a_row_takes_no_more_than_said(model: CodiModel, kept: dict, together: bool):
    """Rows of one question and of several; what more rows take more than fewer."""
    some, more, tokens = 20, 100, 40
    asked = questions_of(model, 1 if together else more, tokens)
    few = peak_of(model, asked[:some], some if together else 1, False, **kept)
    many = peak_of(model, asked, more if together else 1, False, **kept)
    each = memory.bytes_per_row(
        model, tokens + 3, kept.get("hidden", False), kept.get("first_logits", False)
    )
    # Questions that are read take room of their own beside their rows.
    reading = 0 if together else memory.fixed_bytes(model, tokens + 3)
    assert 0 < many - few <= (more - some) * each + reading


def test_a_prediction_grows_with_what_is_asked(model: CodiModel):
    def of(prompts=(30, 40), rows=50, cap=100, batches_=1) -> int:
        return memory.predicted_peak(model, prompts, rows, cap, batches_)

    assert of(rows=51) > of()
    assert of(rows=100, cap=50) < of(rows=100, cap=100) < of(rows=100, cap=100, batches_=2)
    # Rows of one question share what was read of it.
    assert of(rows=300, cap=100) < of(rows=100, cap=100)
    assert of(prompts=(40, 40)) - of() == 10 * memory.prefix_bytes(model)
    assert of(prompts=(30, 41)) > of()
    # A session has a budget.
    assert of(prompts=(10**4,) * 10**3) == of(prompts=(10**4,) * 10**4)
    assert of(prompts=(), rows=0) >= memory.weight_bytes(model)


# --- caps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("golds", [None, (1, 2)])
@pytest.mark.parametrize("free_rows", [3, 10**6])
@pytest.mark.parametrize("cap", [1, 5, 64])
def test_a_cap_is_kept_and_is_not_more_than_fits(
    tmp_path, monkeypatch: pytest.MonkeyPatch, golds: tuple | None, free_rows: int, cap: int
):
    model = tiny_model(tmp_path)
    asked = ["Ann ran 5 km.", "Ann ran 6 km."]
    tokens = len(model.encode(asked[0]))
    each = memory.bytes_per_row(model, tokens, False, False)
    free = int((free_rows * each + memory.fixed_bytes(model, tokens, 2)) / memory.SHARE) + 2
    monkeypatch.setattr(memory, "free_bytes", lambda _device: free)
    sizes, real = [], batches.run_batch

    def run(model, prompts, rows, *args, **kwargs):
        sizes.append(len(prompts) * rows)
        return real(model, prompts, rows, *args, **kwargs)

    monkeypatch.setattr(batches, "run_batch", run)
    edits = [None, *(Edit(noise(model), 1.0 + i, "residual", 1, (1,)) for i in range(14))]
    rows = [Row(q, acting(model, edit)) for q in range(2) for edit in edits]
    scored = golds and [golds] * 2
    list(decode_rows(model, asked, rows, Options(1, max_rows=cap), candidates=scored))
    wanted = min(cap, free_rows, 28 if golds else 30)
    assert max(sizes) == wanted if wanted < 28 else max(sizes) >= 28
    assert sum(sizes) >= len(rows)


# --- the watcher ---------------------------------------------------------------------------------


def test_a_peak_is_seen_and_what_was_there_before_is_not_counted():
    kept = torch.ones(8 * 2**20)
    with Peak(torch.device("cpu")) as peak:
        held = torch.ones(16 * 2**20)
        time.sleep(0.05)  # it looks every few milliseconds
    if peak.bytes is None:
        pytest.skip("only Linux says how much memory a process has")
    assert 48e6 < peak.bytes < 96e6
    assert kept.nbytes + held.nbytes == 96 * 2**20
