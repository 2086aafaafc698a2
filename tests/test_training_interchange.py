"""Losses by interchange, each against the same thing done one row and one step at a time."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from training_parts import large, small_tokenizer
from transformers import PreTrainedTokenizerFast

from steer_core.data.problems import Problem
from steer_core.training.batch import IGNORE, Batch, encode
from steer_core.training.forward import Forward, Speed, Student
from steer_core.training.interchange import chained, lens, swapped, twins_of, visible
from steer_core.training.losses import Thoughts, answer, reason
from steer_core.training.recipe import ARCHITECTURES, LATENTS

PAIRS = (
    Problem("Tom has 3 apples and buys 4 more.", 14, ("<<3+4=7>>", "<<7*2=14>>")),
    Problem("Tom has 3 apples and buys 5 more.", 16, ("<<3+5=8>>", "<<8*2=16>>")),
    Problem("Ann reads 9 books.", 9, ("<<9+0=9>>",)),
    Problem("Ann reads 8 books.", 8, ("<<8+0=8>>",)),
    Problem("A box of 12 eggs costs 7.", 84, ("<<2*6=12>>", "<<12*7=84>>")),
    Problem("A box of 12 eggs costs 3.", 36, ("<<2*6=12>>", "<<12*3=36>>")),
)
CHANGED = (1, 1, 0, 0, 2, 2)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module", params=ARCHITECTURES)
def student(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Student:
    return large(request.param, tokenizer)


@pytest.fixture(scope="module")
def batch(tokenizer: PreTrainedTokenizerFast) -> Batch:
    return encode(PAIRS, tokenizer, CHANGED)


@torch.no_grad()
def thought(student: Student, batch: Batch) -> tuple[Forward, object, Thoughts]:
    forward = Forward(student, Speed())
    question = forward.read(batch.question, batch.question_mask)
    return forward, question, reason(forward, question)


class Alone:
    """One row, without padding or cache: the whole sequence is run again for every latent."""

    def __init__(self, student: Student, batch: Batch, row: int, see: bool = True):
        self.student, self.see = student, see
        ids = batch.question[row][batch.question_mask[row]]
        self.asked = len(ids)
        self.x = student.body.embed(torch.cat((ids, torch.tensor([student.bot]))))

    def output(self, hidden_from: int | None = None) -> Tensor:
        """The last block's outputs [T, D]; from a position on the question is not seen."""
        forward = Forward(self.student, Speed())
        x = self.x[None]
        length = x.shape[1]
        bias = torch.full((length, length), -1e9).triu(1)
        if hidden_from is not None:
            bias[hidden_from:, : self.asked] = -1e9
        x, waves = forward.place(x, torch.arange(length)[None])
        for weights in forward.weights:
            x, _, _ = forward.blocks.run(x, weights, waves, bias[None], None, None)
        return x[0]

    def feed(self, thought: Tensor | None = None) -> Tensor:
        """Feed a thought, or the own one; the thought [D]."""
        if thought is None:
            thought = Forward(self.student, Speed()).think(self.output()[None, -1:])[0, 0]
        self.x = torch.cat((self.x, thought[None]))
        return thought

    def answer_losses(self, ids: Tensor) -> Tensor:
        """Losses of the answer behind EOT."""
        start = len(self.x)
        eot = torch.tensor([self.student.eot])
        self.x = torch.cat((self.x, self.student.body.embed(torch.cat((eot, ids)))))
        hidden = self.student.body.norm(self.output(None if self.see else start)[start:-1])
        logits = self.student.body.head.logits(hidden)
        return F.cross_entropy(logits, ids, reduction="none")


def ids_of(batch: Batch, row: int) -> Tensor:
    return batch.answer[row][batch.answer_mask[row]]


def thoughts_of(student: Student, batch: Batch, row: int) -> list[Tensor]:
    alone = Alone(student, batch, row)
    return [alone.feed() for _ in range(LATENTS)]


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found.detach(), wanted.detach(), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_lens_reads_the_result_of_each_step_at_its_position(student: Student, batch: Batch):
    forward, _, thoughts = thought(student, batch)
    loss, read = lens(forward, thoughts.outputs, batch.results)
    rows = []
    for row in range(len(PAIRS)):
        alone = Alone(student, batch, row)
        for _ in range(LATENTS):
            alone.feed()
        hidden = student.body.norm(alone.output()[-LATENTS:])
        rows.append(student.body.head.logits(hidden))
    logits = torch.stack(rows)
    close(loss, F.cross_entropy(logits.flatten(0, 1), batch.results.flatten()))
    assert torch.equal(read, logits.argmax(-1) == batch.results)


@torch.no_grad()
def test_results_that_are_ignored_do_not_count(student: Student, batch: Batch):
    forward, _, thoughts = thought(student, batch)
    some = batch.results.clone()
    some[1:] = IGNORE
    first, _ = lens(forward, [x[:1] for x in thoughts.outputs], batch.results[:1])
    close(lens(forward, thoughts.outputs, some)[0], first)


@torch.no_grad()
@pytest.mark.parametrize("see", [True, False], ids=["question seen", "question hidden"])
def test_swapped_rows_answer_on_their_question_behind_the_twins_latents(
    student: Student, batch: Batch, see: bool
):
    batch = replace(batch, hidden=torch.full((len(PAIRS),), not see))
    forward, question, thoughts = thought(student, batch)
    losses = []
    for row in range(len(PAIRS)):
        alone = Alone(student, batch, row, see)
        for z in thoughts_of(student, batch, row ^ 1):
            alone.feed(z)
        losses.append(alone.answer_losses(ids_of(batch, row ^ 1)))
    close(swapped(forward, batch, question, thoughts).loss, torch.cat(losses).mean())


@torch.no_grad()
def test_one_swapped_latent_is_followed_by_latents_computed_anew(student: Student, batch: Batch):
    forward, question, thoughts = thought(student, batch)
    read, answered = chained(forward, batch, question, thoughts)
    lenses, losses = [], []
    for row, step in enumerate(CHANGED):
        if step == 0:
            continue
        alone, twin = Alone(student, batch, row), thoughts_of(student, batch, row ^ 1)
        for k in range(1, LATENTS + 1):
            alone.feed(twin[k - 1] if k == step + 1 else None)
            if k > step:
                logits = student.body.head.logits(student.body.norm(alone.output()[-1:]))
                lenses.append(F.cross_entropy(logits, batch.results[row ^ 1, k - 1 : k]))
        losses.append(alone.answer_losses(ids_of(batch, row ^ 1)))
    close(read, torch.stack(lenses).mean())
    close(answered.loss, torch.cat(losses).mean())


@torch.no_grad()
def test_a_hidden_question_is_hidden_from_the_answer_alone(student: Student, batch: Batch):
    """Other rows, and the latents of the same row, are as they were."""
    hiding = replace(batch, hidden=torch.tensor([True] + [False] * (len(PAIRS) - 1)))
    forward, question, thoughts = thought(student, hiding)
    seen = visible(hiding, question, thoughts.contexts[-1])
    assert seen[1:].all()
    asked = batch.question.shape[1]
    assert not seen[0, :asked].any()
    assert seen[0, asked:].all()
    plain = answer(forward, batch, thoughts.contexts[-1]).states[-1]
    hidden = answer(forward, hiding, thoughts.contexts[-1], seen).states[-1]
    close(hidden[1:], plain[1:])
    assert (hidden[0] - plain[0]).norm() > 1e-2


def test_gradients_of_a_swap_reach_the_twins_question(student: Student, batch: Batch):
    """That is what makes latents carry what the twin's answer needs."""
    forward = Forward(student, Speed())
    question = forward.read(batch.question, batch.question_mask)
    thoughts = reason(forward, question)
    first = thoughts.thoughts[0]
    first.retain_grad()
    losses = swapped(forward, batch, question, thoughts)
    losses.loss.backward()
    assert first.grad is not None
    assert first.grad.flatten(1).norm(dim=1).gt(0).all()


def test_twins_of_twins_are_the_rows(batch: Batch):
    rows = torch.arange(6)
    assert twins_of(rows).tolist() == [1, 0, 3, 2, 5, 4]
    assert torch.equal(twins_of(twins_of(batch.question)), batch.question)
