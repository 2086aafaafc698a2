"""The engine on a GPU that is not there (`pretend_device`): what it refuses, and what it costs.

Everything a person starts runs on it, on both families, recorded and not; the ids are those of a
CPU. Budgets are counts of kernels and waits, which a GPU's time follows: they may sink, not rise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, OnDevice, Refused, inner
from pretending import moved_tree, on_the_device, pretending, record
from tiny_models import QUESTIONS, direction, noise, pairs, tiny_model
from training_parts import PROBLEMS, large, small_tokenizer

from benchmarks.predicted import KERNELS
from steer_core import Edit, decode, load_model, load_pairs, sweep
from steer_core.codi.drafts import Candidates
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import inputs_of, passes
from steer_core.experiment.evaluate import evaluate
from steer_core.experiment.grid import fill_grid
from steer_core.experiment.strip import AlphaStrip, alpha_strip
from steer_core.steering.plan import EditPlan
from steer_core.steering.spec import EditCurve
from steer_core.training.batch import encode
from steer_core.training.forward import Forward, Speed
from steer_core.training.losses import answer, distillation, reason, teach
from steer_core.training.recipe import ARCHITECTURES, Recipe
from steer_core.training.state import parameters
from steer_core.training.trainer import optimizers_of

LIMIT = 5
ALPHAS = (-2.0, 0.0, 0.5)
WHERE = (1, 3)
WAITS_OF_A_TOKEN = 0.3
GRAPHS = pytest.mark.parametrize("graphs", [False, True], ids=["plain", "recorded"])


@pytest.fixture(scope="module", params=["llama-bin", "gpt2-bin"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    folder = tmp_path_factory.mktemp(request.param)
    return tiny_model(folder, request.param, latents=3)


# --- what a person starts ------------------------------------------------------------------------


def strip(model: CodiModel) -> AlphaStrip:
    curve = EditCurve.along(direction(model), "residual", 2, WHERE)
    options = {"alphas": ALPHAS, "max_new_tokens": LIMIT}
    return alpha_strip(model, QUESTIONS[0], 5, curve=curve, **options)


@GRAPHS
def test_a_strip_is_the_same_there(model: CodiModel, graphs: bool):
    wanted = strip(model)
    with pretending(graphs) as log:
        there = on_the_device(model)
        for _ in range(3):  # plain, recorded, replayed
            found = strip(there)
    assert found.texts == wanted.texts
    assert found.answers == wanted.answers
    for name in ("delta_norm", "relative", "norm_change", "dose"):
        one, other = getattr(found, name), getattr(wanted, name)
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert bool(log.replays) == graphs


def grid(model: CodiModel) -> list[tuple]:
    curves = [EditCurve.along(direction(model, *at), *at, WHERE) for at in (("residual", 1),)]
    problems = [pair.clean for pair in pairs(model, LIMIT)[:4]]
    found = []
    keep = lambda *row: found.append((*row[:3], row[3].token_ids))  # noqa: E731
    for _ in fill_grid(model, problems, curves, ALPHAS, max_new_tokens=LIMIT, on_row=keep):
        pass
    return sorted(found)


@GRAPHS
def test_a_grid_is_the_same_there(model: CodiModel, graphs: bool):
    wanted = grid(model)
    with pretending(graphs):
        there = on_the_device(model)
        for _ in range(3 if graphs else 1):
            assert grid(there) == wanted


@GRAPHS
@pytest.mark.parametrize("name", ["tiny-llama", "tiny-gpt2"])
def test_a_sweep_with_controls_is_the_same_there(name: str, graphs: bool):
    model, asked = load_model(name, device="cpu", dtype="float32"), load_pairs("test")[:3]
    options = {"layers": [2], "alphas": (-1.0, 2.0), "random": 1, "max_new_tokens": 12}
    wanted = sweep(model, asked, **options)
    with pretending(graphs):
        there = on_the_device(model)
        for _ in range(2 if graphs else 1):
            found = sweep(there, asked, **options)
    assert found[["correct", "flips"]].equals(wanted[["correct", "flips"]])
    assert len(found) > len(options["alphas"])


@GRAPHS
def test_an_evaluation_is_the_same_there(model: CodiModel, graphs: bool):
    problems = [pair.clean for pair in pairs(model, LIMIT)[:4]]

    def ids(one: CodiModel) -> list:
        _, decoded = evaluate(one, problems, "mine", max_new_tokens=LIMIT, rows_at_a_time=2)
        return [row.token_ids for row in decoded]

    wanted = ids(model)
    with pretending(graphs):
        there = on_the_device(model)
        for _ in range(3 if graphs else 1):
            there.session.forget()
            assert ids(there) == wanted


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_training_step_is_the_same_there(arch: str, tmp_path):
    tokenizer = small_tokenizer(tmp_path)
    batch, recipe = encode(PROBLEMS, tokenizer), Recipe(arch)

    def stepped(student, batch) -> dict[str, torch.Tensor]:
        """The gradients of a step that has moved every weight."""
        forward = Forward(student, Speed())
        question = forward.read(batch.question, batch.question_mask)
        taught = teach(forward, batch, question)
        said = answer(forward, batch, reason(forward, question).contexts[-1])
        (taught.loss + said.loss + distillation(said.states, taught.states)).backward()
        before = {name: inner(p.detach()).clone() for name, p in parameters(student)}
        for optimizer in optimizers_of(student, recipe):
            optimizer.step()
        after = {name: inner(p.detach()) for name, p in parameters(student)}
        assert not any(torch.equal(before[name], after[name]) for name in before)
        return {name: inner(p.grad) for name, p in parameters(student)}

    wanted = stepped(large(arch, tokenizer), batch)
    with pretending():
        there = moved_tree(large(arch, tokenizer), trainable)
        found = stepped(there, batch.to(DEVICE))
    # By their length: single numbers of a chain of latents are large, and rounded accordingly.
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() <= 0.01 * gradient.norm(), name


def trainable(x: torch.Tensor) -> torch.Tensor:
    return OnDevice(x.detach()).requires_grad_(x.requires_grad)


# --- what it costs -------------------------------------------------------------------------------


def passed_kernels(model: CodiModel, rows: int) -> int:
    """Kernels of all passes of a batch of two questions, in half precision."""
    prompts = model.encode_all(QUESTIONS[:2])
    edit = (Edit(noise(model), 1.0, "residual", 1, WHERE),)
    with torch.inference_mode(), pretending() as log:
        there = on_the_device(model, torch.bfloat16)
        inputs = inputs_of(there, prompts, [Candidates()] * 2)
        plan = EditPlan([edit] * 2 * rows, there.device)
        passes(there, inputs, rows, plan, False)  # what is made once is there
        log.clear()
        passes(there, inputs, rows, plan, False)
        assert not log.waits
        assert not log.uploads
        return log.kernels


def test_kernels_of_a_block_are_within_their_budget_and_no_more_for_more_rows(model: CodiModel):
    body, config = model.body, model.config
    less = replace(model, body=replace(body, blocks=body.blocks[1:]))
    less = replace(less, config=replace(config, layers=config.layers - 1))
    whole = passed_kernels(model, 2)
    assert passed_kernels(model, 7) == whole
    # Trees and the last thought are one pass.
    assert (whole - passed_kernels(less, 2)) / config.latents <= KERNELS[config.family]


def test_a_strip_brings_back_figures_and_no_states(model: CodiModel):
    with pretending() as log:
        there = on_the_device(model)
        strip(there)
        log.clear()
        strip(there)
    config = model.config
    figures = 3 * len(ALPHAS) * (config.latents + 1) * (config.layers + 1)
    figures += len(ALPHAS) + config.latents + 1  # KL, and sizes for the dose
    ids = len(ALPHAS) * (2 * LIMIT + 4) + 8
    states = len(ALPHAS) * (config.latents + 1) * (config.layers + 2) * config.hidden
    assert log.downloaded <= 4 * figures + 8 * ids < 4 * states / 4
    assert log.waited <= 6


def waits_of(model: CodiModel, tokens: int, rows: int = 3) -> int:
    """Waits of a batch whose answers are `tokens` long."""
    edits = [Edit(noise(model), 1.0 + a, "residual", 1, WHERE) for a in range(rows)]
    endless = replace(model, config=replace(model.config, eos=model.config.eot))
    with pretending() as log:
        decode(on_the_device(endless), [QUESTIONS[0]] * rows, edits, max_new_tokens=tokens)
        return log.waited


def test_the_host_waits_seldom_for_a_token_and_no_more_for_more_rows(model: CodiModel):
    short, long = waits_of(model, 4), waits_of(model, 20)
    assert (long - short) / 16 <= WAITS_OF_A_TOKEN
    assert waits_of(model, 4, rows=9) == short


# --- the pretended device itself -----------------------------------------------------------------


def on_device(*shape: int) -> torch.Tensor:
    return torch.ones(shape, device="cuda")


REFUSED: dict[str, Callable[[], object]] = {
    "operands on two devices": lambda: on_device(2) + torch.ones(2),
    "a product with the CPU": lambda: on_device(2, 2) @ torch.ones(2, 2),
    "float64": lambda: on_device(2).double(),
}
REFUSED_IN_A_RECORDING: dict[str, Callable[[], object]] = {
    "item": lambda: on_device(1).item(),
    "if": lambda: bool(on_device(1) > 0),
    "a list": lambda: on_device(2).tolist(),
    "a download": lambda: on_device(2).cpu(),
    "an upload": lambda: torch.ones(2).to("cuda"),
    "a new tensor of values": lambda: torch.tensor([1.0], device="cuda"),
    "nonzero": lambda: on_device(2).nonzero(),
    "a mask": lambda: on_device(2)[on_device(2) > 0],
    "indices of the CPU": lambda: on_device(2)[torch.tensor([0])],
    "a number at indices": lambda: on_device(2).__setitem__(on_device(1).long(), 0.5),
    "a copy from the CPU": lambda: on_device(2).copy_(torch.ones(2)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_gpu_does_is_refused(what: str):
    with pretending(), pytest.raises(Refused):
        REFUSED[what]()


@pytest.mark.parametrize("what", REFUSED_IN_A_RECORDING)
def test_what_no_recording_can_hold_is_refused(what: str):
    def run() -> list[torch.Tensor]:
        REFUSED_IN_A_RECORDING[what]()
        return []

    with pretending(graphs=True), torch.inference_mode():
        run()  # by itself it is allowed
        with pytest.raises(Refused, match="in a recorded region"):
            record(run, torch.device("cuda"))


def test_a_replay_reads_what_is_there_then_and_fills_the_same_memory():
    with pretending(graphs=True), torch.inference_mode():
        x = on_device(2)
        (twice,), again = record(lambda: [x * 2], torch.device("cuda"))
        assert twice.inner.isnan().all()
        x.fill_(3.0)
        again()
        assert twice.tolist() == [6.0, 6.0]
