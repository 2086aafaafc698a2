"""Recorded programs against plain batches: questions, edits and drafts must be data to them.

A CUDA graph bakes in every value the CPU knew while it was recorded and rewrites the same memory
when it is replayed. Here a trace of the tensor operations does the same on a CPU; with a CUDA
device the same tests run on the real thing.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from tiny_models import QUESTIONS, noise, tiny_model
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from steer_core import Edit, decode
from steer_core.codi import program as programs
from steer_core.codi import recording
from steer_core.codi.drafts import Candidates
from steer_core.codi.engine import run_batch
from steer_core.codi.model import CodiModel
from steer_core.codi.recording import Programs
from steer_core.steering.decode import Decoded

LIMIT = 12
CPU = torch.device("cpu")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def record_trace(run: Callable[[], Sequence[Tensor]], device: torch.device):
    """What `record_cuda_graph` does, by tracing: constants are baked in, the same memory filled.

    As with a graph, what is filled holds nonsense until it is first filled.
    """
    run()
    traced = make_fx(lambda: run())()
    filled = [nonsense(x) for x in traced()]

    def again() -> None:
        for mine, new in zip(filled, traced(), strict=True):
            mine.copy_(new)

    return filled, again


def nonsense(like: Tensor) -> Tensor:
    return torch.full_like(like, torch.nan if like.is_floating_point() else 0)


class Counted:
    """Counts what is recorded and what is replayed."""

    def __init__(self, record: recording.Record, kind: str = "cpu"):
        self.record, self.recorded, self.replayed, self.kind = record, 0, 0, kind

    def __call__(self, run: Callable[[], Sequence[Tensor]], device: torch.device):
        self.recorded += 1
        filled, again = self.record(run, device)

        def counted() -> None:
            self.replayed += 1
            again()

        return filled, counted


@pytest.fixture(scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=["llama-bin"])
def loaded(
    request: pytest.FixtureRequest, device: str, tmp_path_factory: pytest.TempPathFactory
) -> CodiModel:
    return tiny_model(
        tmp_path_factory.mktemp(request.param), request.param, device=device, latents=3
    )


@pytest.fixture
def counted(device: str, monkeypatch: pytest.MonkeyPatch) -> Counted:
    count = Counted(recording.RECORDS.get(device, record_trace), device)
    monkeypatch.setitem(recording.RECORDS, device, count)
    return count


@pytest.fixture
def model(loaded: CodiModel, counted: Counted) -> CodiModel:
    """With nothing remembered and nothing recorded."""
    return replace(loaded)


def plain(model: CodiModel, monkeypatch: pytest.MonkeyPatch, *args, **kwargs) -> list[Decoded]:
    """The same without any recording, by a model that remembers nothing."""
    with monkeypatch.context() as patch:
        patch.setattr(recording, "RECORDS", {})
        return decode(replace(model), *args, **kwargs)


def grid(model: CodiModel, shift: float, layers: Sequence[int | None]) -> list[Edit | None]:
    """Edits of five rows: one plain, several alphas, layers, masks, sites, and a schedule."""
    a, b = noise(model, seed=int(10 * shift)), noise(model, seed=int(10 * shift) + 1)
    k = model.config.latents + 1
    return [
        None,
        Edit(a, 0.5 + shift, "residual", layers[0], (1, 2)),
        Edit(b, -1.0 - shift, "residual", layers[1], (1, 3)),
        Edit(a, 2.0 * shift, "thought", None, (1, 2)),
        Edit(b, tuple(0.3 * i - shift for i in range(k)), "embedding", None, (1, 3)),
    ]


def assert_same(found: Sequence[Decoded], wanted: Sequence[Decoded]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.token_ids == other.token_ids
        if other.states is not None:
            torch.testing.assert_close(
                torch.from_numpy(one.states), torch.from_numpy(other.states), rtol=1e-4, atol=1e-4
            )


@pytest.mark.parametrize(
    ("loaded", "hidden"), [("llama-bin", True), ("gpt2-bin", False)], indirect=["loaded"]
)
def test_other_edits_and_questions_are_only_data(
    model: CodiModel, counted: Counted, hidden: bool, monkeypatch: pytest.MonkeyPatch
):
    asked = [
        (QUESTIONS[0], 0.3, (1, 2)),
        (QUESTIONS[0], 0.9, (2, 3)),
        (QUESTIONS[0], 1.7, (3, 1)),
        (QUESTIONS[1], 0.6, (1, 3)),
    ]
    for question, shift, layers in asked:
        edits, questions = grid(model, shift, layers)[not hidden :], [question] * (4 + hidden)
        wanted = plain(model, monkeypatch, questions, edits, max_new_tokens=LIMIT, hidden=hidden)
        found = decode(model, questions, edits, max_new_tokens=LIMIT, hidden=hidden)
        assert_same(found, wanted)
    assert counted.recorded == 2  # passes and steps, once; the first batch of a shape is plain
    assert counted.replayed >= len(asked) - 1


def test_a_row_edited_at_position_0_has_a_program_of_its_own(
    model: CodiModel, counted: Counted, monkeypatch: pytest.MonkeyPatch
):
    for alpha in (0.5, 1.0, 2.0):
        edits = [Edit(noise(model), a, "residual", 2, (0, 1)) for a in (alpha, -alpha)]
        wanted = plain(model, monkeypatch, QUESTIONS[:1] * 2, edits, max_new_tokens=LIMIT)
        assert_same(decode(model, QUESTIONS[:1] * 2, edits, max_new_tokens=LIMIT), wanted)
    assert counted.replayed >= 2


@pytest.mark.parametrize("hidden", [False, True])
def test_batches_without_edits_are_recorded_like_others(
    model: CodiModel, counted: Counted, hidden: bool, monkeypatch: pytest.MonkeyPatch
):
    """Baselines, fit sets, evaluations: other questions of one length are other data."""
    for asked in (QUESTIONS[:3], QUESTIONS[3:6], QUESTIONS[1:4]):
        wanted = plain(model, monkeypatch, asked, max_new_tokens=LIMIT, hidden=hidden)
        model.session.forget()
        assert_same(decode(model, asked, max_new_tokens=LIMIT, hidden=hidden), wanted)
    assert counted.recorded == 2
    assert counted.replayed >= 2


def test_several_edits_of_a_row_act_in_their_order(
    model: CodiModel, counted: Counted, monkeypatch: pytest.MonkeyPatch
):
    a, b = noise(model, seed=1), noise(model, seed=2)
    for alpha in (0.5, 1.5, 2.5):
        both = (Edit(a, alpha, "residual", 1, (1, 2)), Edit(b, 1.0, "residual", 2, (2,)))
        edits = [both, Edit(b, alpha, "residual", 3, (1,))]
        wanted = plain(model, monkeypatch, QUESTIONS[:1] * 2, edits, max_new_tokens=LIMIT)
        assert_same(decode(model, QUESTIONS[:1] * 2, edits, max_new_tokens=LIMIT), wanted)
    assert counted.replayed >= 2


def test_answers_longer_than_there_is_room_for_go_on_plainly(
    model: CodiModel, counted: Counted, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(programs, "STEPS", 3)
    for alpha in (0.5, 1.0, 2.0):
        edits = [Edit(noise(model), a, "residual", 2, (1,)) for a in (alpha, -alpha)]
        wanted = plain(model, monkeypatch, QUESTIONS[:1] * 2, edits, max_new_tokens=30)
        found = decode(model, QUESTIONS[:1] * 2, edits, max_new_tokens=30)
        assert_same(found, wanted)
    assert max(len(row.token_ids) for row in found) > 8, "no answer is longer than the room"
    assert counted.recorded == 2


@pytest.mark.parametrize("loaded", ["gpt2-bin", "llama-bin"], indirect=True)
def test_trees_wider_than_the_positions_that_are_left(
    model: CodiModel, counted: Counted, monkeypatch: pytest.MonkeyPatch
):
    prompt = [5 + i % 50 for i in range(model.longest_question)]
    wide = Candidates(likely=(tuple(range(20, 52)),))

    def ids(one: CodiModel) -> tuple:
        return run_batch(one, [prompt], 2, max_new_tokens=4, candidates=[wide]).token_ids

    with monkeypatch.context() as patch:
        patch.setattr(recording, "RECORDS", {})
        wanted = ids(replace(model))
    assert [ids(model) for _ in range(3)] == [wanted] * 3
    assert counted.replayed >= 1


def test_operations_that_are_no_addition_are_not_recorded(model: CodiModel, counted: Counted):
    edit = Edit(noise(model), 0.5, "residual", 2, (1,), "project_out")
    for _ in range(3):
        decode(model, QUESTIONS[:1], edit, max_new_tokens=LIMIT)
    assert counted.recorded == 0


def test_a_batch_too_large_to_gain_is_not_recorded(
    model: CodiModel, counted: Counted, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recording, "LARGEST", 2 * model.config.hidden**2)
    edits = grid(model, 0.3, (1, 2))
    for _ in range(3):
        decode(model, [QUESTIONS[0]] * 5, edits, max_new_tokens=LIMIT)
    assert counted.recorded == 0


def thrice(model: CodiModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three batches of one shape, whose answers must be the plain ones."""
    for shift in (0.3, 0.9, 1.7):
        edits = grid(model, shift, (1, 2))[1:]
        wanted = plain(model, monkeypatch, [QUESTIONS[0]] * 4, edits, max_new_tokens=LIMIT)
        assert_same(decode(model, [QUESTIONS[0]] * 4, edits, max_new_tokens=LIMIT), wanted)


@pytest.mark.parametrize("fails", [1, 2])
def test_what_cannot_be_recorded_runs_plainly_and_says_so_once(
    model: CodiModel,
    fails: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """Passes (the first recording of a program) or steps (the second)."""
    tried = []

    def refuse(run: Callable, device: torch.device):
        tried.append(1)
        if len(tried) == fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        return record_trace(run, device)

    monkeypatch.setitem(recording.RECORDS, model.device.type, refuse)
    thrice(model, monkeypatch)
    assert sum("cannot be recorded" in record.message for record in caplog.records) == 1
    assert len(tried) == fails


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_memory_that_runs_out_ends_no_recording_for_good(
    model: CodiModel, error: Exception, monkeypatch: pytest.MonkeyPatch
):
    def full(run: Callable, device: torch.device):
        raise error

    with monkeypatch.context() as patch:
        patch.setitem(recording.RECORDS, model.device.type, full)
        thrice(model, monkeypatch)
    assert not model.programs.banned
    assert not any(model.programs.seen.values())


def test_a_model_goes_with_its_last_reference_though_it_has_programs(
    model: CodiModel, counted: Counted
):
    """Without waiting for a garbage collection: on a GPU it may be gigabytes."""
    own = replace(model)
    for alpha in (0.5, 1.0):
        decode(own, QUESTIONS[:1], Edit(noise(own), alpha, "residual", 2, (1,)), max_new_tokens=4)
    assert counted.recorded == 2
    built = [program for program in own.programs.seen.values() if program is not None]
    left = [weakref.ref(each) for each in (own.programs, *built)]
    gc.collect()
    gc.disable()
    try:
        del own, built
        assert [each() for each in left] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("stale", ["passes", "steps"])
def test_a_replay_that_fills_nothing_is_not_used(
    model: CodiModel, stale: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """An empty graph, as of a recording on another device: values of the first run stay."""
    made = []

    def record(run: Callable[[], Sequence[Tensor]], device: torch.device):
        made.append(1)
        if len(made) == 1 + (stale == "steps"):
            return [x.clone() for x in run()], lambda: None
        return record_trace(run, device)

    monkeypatch.setitem(recording.RECORDS, model.device.type, record)
    thrice(model, monkeypatch)
    assert "differs from a plain run" in caplog.text
    assert len(model.programs.banned) == 1


# --- which programs are kept ---------------------------------------------------------------------


class Thing:
    """Stands for a program."""

    nbytes = 10


THING = recording.Build(Thing)


def test_a_program_is_built_when_its_shape_comes_again():
    known = Programs()
    with known.lent("a", CPU, THING) as first:
        assert first is None
    with known.lent("a", CPU, THING) as second, known.lent("a", CPU, THING) as busy:
        assert isinstance(second, Thing)
        assert busy is None
    with known.lent("a", CPU, THING) as third:
        assert third is second


def test_the_least_recently_used_program_goes():
    known = Programs()
    for shape in range(recording.KEPT + 1):
        for _ in range(2):
            with known.lent(shape, CPU, THING):
                pass
    built = [shape for shape, thing in known.seen.items() if thing is not None]
    assert built == list(range(1, recording.KEPT + 1))
    for shape in range(1000, 1000 + recording.KEYS + 9):
        with known.lent(shape, CPU, THING):
            pass
    assert len(known.seen) == recording.KEYS


def test_a_shape_that_cannot_be_recorded_ends_no_other_one(caplog: pytest.LogCaptureFixture):
    known = Programs()

    def refuse() -> Thing:
        raise RuntimeError("operation not permitted when stream is capturing")

    for shape, build in (("bad", refuse), ("good", Thing)):
        for _ in range(3):
            with known.lent(shape, CPU, recording.Build(build)) as last:
                pass
        assert (last is None) == (shape == "bad")
    assert len(caplog.records) == 1


def test_where_nothing_can_be_recorded_it_is_not_tried_for_ever(counted: Counted):
    known, tried, device = Programs(), [], torch.device(counted.kind)

    def refuse() -> Thing:
        tried.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    for shape in range(3 * recording.FAILURES):
        for _ in range(2):
            if known.suit(device, 1, 1):
                with known.lent(shape, device, recording.Build(refuse)):
                    pass
    assert len(tried) == recording.FAILURES


def test_a_large_batch_is_recorded_while_nobody_waits():
    known = Programs()
    for _ in range(2):
        with known.lent("large", CPU, THING, at_once=False) as program:
            assert program is None
    assert known.build_waiting(CPU) == 1
    with known.lent("large", CPU, THING, at_once=False) as program:
        assert isinstance(program, Thing)
        known.seen["other"] = THING
        assert known.build_waiting(CPU) == 0, "a program is in use"
    assert known.build_waiting(CPU) == 1


def test_programs_take_no_more_than_their_part_of_the_memory():
    known = Programs()
    for shape in "abc":
        for _ in range(2):
            with known.lent(shape, CPU, THING):
                pass
    free = int(25 / recording.PART) - 30  # with what they take: room for two and a half
    assert known.make_room(10, free)
    assert [shape for shape, kept in known.seen.items() if kept] == ["c"]
    assert not known.make_room(26, free)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rounding_of_a_dtype_is_no_difference_and_another_row_is(dtype: torch.dtype):
    torch.manual_seed(0)
    wanted = torch.randn(61, 1, 64)
    noise = {torch.float32: 1e-4, torch.float16: 0.01, torch.bfloat16: 0.03}[dtype]
    near = (wanted + noise * torch.randn_like(wanted)).to(dtype)
    assert programs.alike(near, wanted.to(dtype))
    exchanged = near.clone()
    exchanged[[3, 4]] = exchanged[[4, 3]]
    assert not programs.alike(exchanged, wanted.to(dtype))
    assert not programs.alike(near * (1 + 0.2), wanted.to(dtype))
    assert not programs.alike(torch.zeros_like(near), wanted.to(dtype))
