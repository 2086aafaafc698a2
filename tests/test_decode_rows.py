"""How rows become batches and come back: order, sharing, limits, memory, cancelling."""

from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_checkpoints import Recipe
from tiny_models import PLACES, QUESTIONS, noise, tiny_model

from steer_core import Edit, UserError, decode
from steer_core.codi import memory
from steer_core.codi.cache import RowCache
from steer_core.codi.engine import Cancelled
from steer_core.codi.model import CodiModel
from steer_core.errors import is_out_of_memory
from steer_core.steering import batches
from steer_core.steering.decode import Decoded, Options, Row, acting, decode_rows

LIMIT = 3
CPU_MEMORY = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("llama"))


def rows_of(model: CodiModel, counts: tuple[int, ...], distinct: bool = True) -> list[Row]:
    """For question i counts[i] rows with different edits, the questions interleaved."""
    edits = [Edit(noise(model), float(i), *PLACES[i % 4], (1, 2, 3)) for i in range(max(counts))]
    return [
        Row(question, acting(model, edits[i]))
        for i in range(max(counts))
        for question, wanted in enumerate(counts)
        if i < wanted
    ]


def collect(model: CodiModel, rows: list[Row], options: Options | None = None) -> list[Decoded]:
    """All rows in order, every one exactly once."""
    found: dict[int, Decoded] = {}
    for batch in decode_rows(model, QUESTIONS, rows, options or Options(LIMIT, hidden=True)):
        for where, decoded in batch:
            assert where not in found
            found[where] = decoded
    assert sorted(found) == list(range(len(rows)))
    return [found[i] for i in range(len(rows))]


def assert_same(rows: list[Decoded], others: list[Decoded]) -> None:
    for row, other in zip(rows, others, strict=True):
        assert row.question == other.question
        assert row.token_ids == other.token_ids
        np.testing.assert_allclose(row.states, other.states, rtol=0, atol=1e-4)


class Spy:
    """Stands in for the engine: counts its calls and the rows of each, and can run out of memory.

    `fits`: rows that a batch may have; None for any number.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fits: int | None = None, error=None):
        self.real, self.fits, self.error = batches.run_batch, fits, error
        self.sizes: list[int] = []
        monkeypatch.setattr(batches, "run_batch", self)

    def __call__(self, model, prompts, rows, *args, **kwargs):
        self.sizes.append(len(prompts) * rows)
        if self.fits is not None and self.sizes[-1] > self.fits:
            raise self.error
        return self.real(model, prompts, rows, *args, **kwargs)


# --- order, sharing, filling ---------------------------------------------------------------------


def test_results_come_in_the_order_asked(model: CodiModel):
    questions = [QUESTIONS[i] for i in (5, 0, 3, 0, 9)]
    edits = [Edit(noise(model), float(i), "residual", 1, (1,)) for i in range(5)]
    together = decode(model, questions, edits, max_new_tokens=LIMIT, hidden=True)
    alone = [
        decode(model, [question], [edit], max_new_tokens=LIMIT, hidden=True)[0]
        for question, edit in zip(questions, edits, strict=True)
    ]
    assert_same(together, alone)


def test_equal_rows_are_decoded_once(model: CodiModel, monkeypatch: pytest.MonkeyPatch):
    spy, d = Spy(monkeypatch), noise(model)
    edits = [
        Edit(d, 1.0, "residual", 1, (1, 2)),
        Edit(d, 1.0, "residual", 1, (2, 1)),  # the same mask
        Edit(d, 0.0, "residual", 1, (1, 2)),  # no edit, like the next three
        Edit(d, 1.0, "residual", 1, ()),
        Edit(d, 1.0, "thought", None, (6,)),
        None,
        Edit(d, 2.0, "residual", 1, (1, 2)),
    ]
    rows = decode(model, [QUESTIONS[0]] * 7, edits, max_new_tokens=LIMIT, hidden=True)
    assert spy.sizes == [3]
    assert_same(rows[1:2] + rows[3:6], rows[:1] + rows[2:3] * 3)
    assert not np.array_equal(rows[0].states, rows[6].states)


def test_equal_values_in_another_tensor_are_another_direction(model: CodiModel):
    """Identity stands for equality only one way: different tensors are never mixed up."""
    edits = [Edit(noise(model, seed), 1.0, "residual", 1, (1,)) for seed in (0, 1, 0)]
    rows = decode(model, [QUESTIONS[0]] * 3, edits, max_new_tokens=LIMIT, hidden=True)
    assert_same(rows[:1], rows[2:])
    assert not np.array_equal(rows[0].states, rows[1].states)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(0, 4), min_size=3, max_size=3).filter(any),
    most=st.sampled_from([None, 1, 2, 3, 5, 100]),
)
def test_any_mixture_of_row_counts_and_batch_sizes(
    model: CodiModel, counts: list[int], most: int | None
):
    rows = rows_of(model, tuple(counts))
    with pytest.MonkeyPatch.context() as monkeypatch:
        spy = Spy(monkeypatch)
        found = collect(model, rows, Options(LIMIT, hidden=True, max_rows=most))
    assert max(spy.sizes) <= (most or sum(spy.sizes))
    alone = [collect(model, [row])[0] for row in rows]
    assert_same(found, alone)


def test_no_questions_are_no_results(model: CodiModel):
    assert decode(model, []) == []


def test_kept_values_come_only_when_asked_for(model: CodiModel):
    (bare,) = decode(model, QUESTIONS[:1], max_new_tokens=1)
    assert bare.hidden is bare.states is bare.first_logits is None
    (full,) = decode(model, QUESTIONS[:1], max_new_tokens=1, hidden=True, first_logits=True)
    config = model.config
    assert full.states.shape == (config.latents + 1, config.layers + 2, config.hidden)
    assert np.array_equal(full.hidden[:, : config.layers], full.states[:, : config.layers])
    assert np.array_equal(full.hidden[:, -1], full.states[:, -1])
    assert full.first_logits.shape == (config.vocabulary,)
    assert full.token_ids[0] == full.first_logits[:-1].argmax()
    assert full.prompt_tokens == len(model.encode(QUESTIONS[0])) + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"questions": QUESTIONS[0]}, "list of texts"),
        ({"edits": [None]}, "1 edits .* 2 questions"),
        ({"max_new_tokens": 0}, "0 new tokens"),
        ({"questions": ["  \n"]}, "empty"),
        ({"questions": ["many words " * 2000]}, r"\d+ tokens.*at most \d+"),
    ],
)
def test_what_cannot_be_decoded_is_refused(model: CodiModel, arguments: dict, message: str):
    with pytest.raises(UserError, match=message) as caught:
        decode(model, **({"questions": QUESTIONS[:2]} | arguments))
    assert "\n" not in str(caught.value)


def test_a_batch_holds_at_least_one_row():
    with pytest.raises(UserError, match="0 rows"):
        Options(max_rows=0)


# --- rows that end at different times ------------------------------------------------------------


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    """A model whose answers often end soon."""
    return tiny_model(tmp_path_factory.mktemp("uneven"), Recipe(tied=False, eos_gain=10.0))


def test_rows_that_end_early_leave_the_others_alone(
    uneven: CodiModel, monkeypatch: pytest.MonkeyPatch
):
    kept = []
    keep = RowCache.keep

    def watched(self: RowCache, questions: torch.Tensor, rows: torch.Tensor) -> RowCache:
        kept.append(rows.numel())
        return keep(self, questions, rows)

    monkeypatch.setattr(RowCache, "keep", watched)
    rows = rows_of(uneven, (6, 4, 5, 1, 6))
    options = Options(20, hidden=True)
    together = collect(uneven, rows, options)
    lengths = {len(row.token_ids) for row in together}
    assert len(lengths) > 3
    assert max(lengths) == 20
    assert len(kept) > 1, "the grid never shrank"
    assert_same(together, [collect(uneven, [row], options)[0] for row in rows])


def test_a_row_may_use_every_position_of_the_model(tmp_path):
    """And no more: its answer ends there, whatever the questions beside it need."""
    recipe = Recipe(tied=False, eos_gain=0.01, config=(("n_positions", 112),))
    model = tiny_model(tmp_path, recipe)
    long = "Tom has 3 apples and buys 4 more. " * 2
    rows = decode(model, ["Ann ran 5 km.", long, "Ann ran 6 km."])
    for row in rows:
        # BOT is counted; then K latents, EOT, and all generated tokens but the last are fed.
        assert row.prompt_tokens + 6 + 1 + len(row.token_ids) - 1 == 112
        assert row.token_ids == decode(model, [row.question])[0].token_ids
    assert len(rows[1].token_ids) + 20 < len(rows[0].token_ids)


def test_the_limit_of_new_tokens_is_exact(uneven: CodiModel):
    long = decode(uneven, QUESTIONS, max_new_tokens=9)
    short = decode(uneven, QUESTIONS, max_new_tokens=4)
    assert any(len(row.token_ids) == 9 for row in long)
    assert [row.token_ids[:4] for row in long] == [row.token_ids for row in short]


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), RuntimeError(CPU_MEMORY)])
@pytest.mark.parametrize("fits", [1, 3])
@pytest.mark.parametrize("counts", [(5, 2, 1), (7,), (1, 1, 1, 1)])
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(
    model: CodiModel, monkeypatch: pytest.MonkeyPatch, counts: tuple, fits: int, error: Exception
):
    rows = rows_of(model, counts)
    plain = collect(model, rows)
    spy = Spy(monkeypatch, fits, error)
    assert_same(collect(model, rows), plain)
    assert max(spy.sizes) > fits
    assert sum(size for size in spy.sizes if size <= fits) >= len(rows)


def test_a_single_row_that_does_not_fit_is_an_error(
    model: CodiModel, monkeypatch: pytest.MonkeyPatch
):
    spy = Spy(monkeypatch, 0, torch.OutOfMemoryError("full"))
    with pytest.raises(torch.OutOfMemoryError, match="full"):
        collect(model, rows_of(model, (2,)))
    assert spy.sizes == [2, 1]


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    model: CodiModel, monkeypatch: pytest.MonkeyPatch
):
    spy = Spy(monkeypatch, 0, RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        collect(model, rows_of(model, (4,)))
    assert spy.sizes == [4]


def test_the_text_of_torchs_own_cpu_error_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("sizes do not match"))


def test_fewer_rows_fit_when_less_memory_is_free(model: CodiModel, monkeypatch: pytest.MonkeyPatch):
    each = memory.bytes_per_row(model, 50, hidden=True, first_logits=True)
    fixed = memory.fixed_bytes(model, 50)
    for rows in (0.5, 1, 7):
        free = int((each * rows + fixed) / memory.SHARE) + 2
        monkeypatch.setattr(memory, "free_bytes", lambda _device, free=free: free)
        assert memory.rows_that_fit(model, 50, True, True) == max(1, int(rows))
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 2**60)
    assert memory.rows_that_fit(model, 50, True, True) == memory.CPU_ROWS


def test_what_is_kept_and_longer_questions_need_more_memory(model: CodiModel):
    plain = memory.bytes_per_row(model, 50, False, False)
    assert memory.bytes_per_row(model, 50, True, False) > plain
    assert memory.bytes_per_row(model, 50, False, True) > plain
    assert memory.bytes_per_row(model, 100, False, False) > plain


@pytest.mark.parametrize("text", ["MemTotal: 9 kB\n", None])
def test_free_memory_is_guessed_where_the_system_does_not_say(
    tmp_path, monkeypatch: pytest.MonkeyPatch, text: str | None
):
    path = tmp_path / "meminfo"
    monkeypatch.setattr(memory, "MEMINFO", path)
    path.write_text("MemFree: 1 kB\nMemAvailable:    5000 kB\n")
    assert memory.free_bytes(torch.device("cpu")) == 5000 * 1024
    path.unlink() if text is None else path.write_text(text)
    assert memory.free_bytes(torch.device("cpu")) == memory.UNKNOWN


# --- cancelling ----------------------------------------------------------------------------------


def stop_after(asked: int) -> tuple[Callable[[], bool], list[int]]:
    """A `stop` that says so the `asked`-th time, and the numbers of times it was asked."""
    times, numbers = [], count(1)

    def stop() -> bool:
        times.append(next(numbers))
        return times[-1] >= asked

    return stop, times


@pytest.mark.parametrize("asked", [1, 4, 7, 9])
def test_stop_ends_the_decoding_at_the_next_step(
    model: CodiModel, asked: int, monkeypatch: pytest.MonkeyPatch
):
    """Asked before positions 1 to 5, the drafts with 6, behind their logits, before each token."""
    fed = []
    placed = type(model.body).placed

    def watched(self, x, *args):
        fed.append(len(x))
        return placed(self, x, *args)

    monkeypatch.setattr(type(model.body), "placed", watched)
    rows, (stop, times) = rows_of(model, (2, 2)), stop_after(asked)
    before = collect(model, rows, Options(6, hidden=True))
    fed.clear()
    model.session.forget()
    with pytest.raises(Cancelled):
        list(decode_rows(model, QUESTIONS, rows, Options(6), stop))
    assert times == list(range(1, asked + 1))
    logits = int(asked > 7)  # no pass of its own
    assert len(fed) == asked - logits  # the prefill, and a step for every time the answer was no
    assert_same(collect(model, rows, Options(6, hidden=True)), before)


def test_batches_before_a_stop_have_been_given_out(model: CodiModel):
    stop, _ = stop_after(13)
    found = []
    with pytest.raises(Cancelled):
        found.extend(
            decode_rows(model, QUESTIONS, rows_of(model, (2,)), Options(4, max_rows=1), stop)
        )
    assert len(found) == 1


def test_a_stream_that_is_abandoned_leaves_nothing_behind(model: CodiModel):
    """Between two batches another request may use the model."""
    rows = rows_of(model, (3, 3))
    before = collect(model, rows)
    stream = decode_rows(model, QUESTIONS, rows, Options(LIMIT, max_rows=2))
    next(stream)
    assert_same(collect(model, rows), before)
    stream.close()
    assert_same(collect(model, rows), before)
