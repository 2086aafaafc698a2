"""Word problems to padded token tensors for the trainer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from steer_core.data.generate import generate_problems
from steer_core.data.problems import Problem, question_key
from steer_core.training.tokenizer import EOS, PAD, special_id

POOL = 16
"""Batches drawn together and sorted by length, so that a batch holds little padding."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B problems. Ids int64, masks bool (True is a token, False padding).

    `question` [B, P] left-padded; `cot` [B, T] right-padded: the teacher's chain, answer sentence
    and EOS; `answer` [B, A] right-padded: the answer sentence and EOS. `cot_colon`, `answer_colon`
    [B]: index of the token in front of the answer's number, which is one token. `steps` [B]: steps
    of the solution.
    """

    question: Tensor
    question_mask: Tensor
    cot: Tensor
    cot_mask: Tensor
    cot_colon: Tensor
    answer: Tensor
    answer_mask: Tensor
    answer_colon: Tensor
    steps: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(*(getattr(self, name).to(device) for name in self.__slots__))


def answer_sentence(problem: Problem) -> str:
    """The sentence that CODI models answer with."""
    return f"The answer is: {problem.answer}"


def encode(problems: Sequence[Problem], tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Encode and pad a batch."""
    eos, pad = special_id(tokenizer, EOS), special_id(tokenizer, PAD)
    questions = tokenizer([p.question for p in problems])["input_ids"]
    chains = tokenizer([" ".join(p.chain) for p in problems])["input_ids"]
    answers = [
        [*ids, eos] for ids in tokenizer([answer_sentence(p) for p in problems])["input_ids"]
    ]
    cots = [chain + answer for chain, answer in zip(chains, answers, strict=True)]
    question, question_mask = padded(questions, pad, left=True)
    cot, cot_mask = padded(cots, pad)
    answer, answer_mask = padded(answers, pad)
    return Batch(
        question=question,
        question_mask=question_mask,
        cot=cot,
        cot_mask=cot_mask,
        cot_colon=torch.tensor([len(ids) - 3 for ids in cots]),
        answer=answer,
        answer_mask=answer_mask,
        answer_colon=torch.tensor([len(ids) - 3 for ids in answers]),
        steps=torch.tensor([p.steps for p in problems]),
    )


def padded(rows: Sequence[Sequence[int]], pad: int, left: bool = False) -> tuple[Tensor, Tensor]:
    """Ids [B, longest] padded on one side, and the mask of real tokens."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, where] = torch.tensor(row)
        mask[i, where] = True
    return ids, mask


def batches(
    seed: int,
    size: int,
    tokenizer: PreTrainedTokenizerFast,
    forbidden: frozenset[str],
    start: int = 0,
) -> Iterator[Batch]:
    """An endless stream of training batches from number `start` on, fixed by the seed.

    Problems whose question is in `forbidden` (the shipped pairs) are skipped. Each pool has its own
    seed, so that a resumed run continues exactly where it stopped.
    """
    number = start // POOL
    skip = start % POOL
    while True:
        pool = draw(seed * 1_000_003 + number, size * POOL, forbidden)
        pool.sort(key=lambda problem: len(problem.question))
        order = torch.randperm(POOL, generator=torch.Generator().manual_seed(number)).tolist()
        for index in order[skip:]:
            yield encode(pool[index * size : (index + 1) * size], tokenizer)
        number, skip = number + 1, 0


def draw(seed: int, count: int, forbidden: frozenset[str]) -> list[Problem]:
    """`count` generated problems, none of them forbidden."""
    stream = generate_problems(seed)
    kept: list[Problem] = []
    while len(kept) < count:
        problem = next(stream)
        if question_key(problem.question) not in forbidden:
            kept.append(problem)
    return kept
