"""Word problems to padded token tensors for the trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from steer_core.data.augment import vary_words
from steer_core.data.expectation import expected_answer
from steer_core.data.generate import STEP_WEIGHTS, generate_problems, generate_twins
from steer_core.data.problems import Pair, Problem, question_key
from steer_core.training.recipe import LATENTS
from steer_core.training.tokenizer import EOS, PAD, special_id

POOL = 16
"""Batches drawn together and sorted by length, so that a batch holds little padding."""
IGNORE = -100
"""The label of what is not to be predicted; no token."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B problems. Ids int64, masks bool (True is a token, False padding).

    `question` [B, P] left-padded; `cot` [B, T] right-padded: the teacher's chain, answer sentence
    and EOS; `answer` [B, A] right-padded: the answer sentence and EOS. `cot_colon`, `answer_colon`
    [B]: index of the token in front of the answer's number, which is one token. `results` [B, K]:
    the token of the result of step min(k, n), for k = 1..K. Where rows 2i and 2i + 1 are twins,
    `changed` [B] is the step that their difference enters, and acts through alone; else 0.
    `hidden` [B]: rows whose answer may not attend to the question.
    """

    question: Tensor
    question_mask: Tensor
    cot: Tensor
    cot_mask: Tensor
    cot_colon: Tensor
    answer: Tensor
    answer_mask: Tensor
    answer_colon: Tensor
    results: Tensor
    changed: Tensor
    hidden: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(*(getattr(self, name).to(device) for name in self.__slots__))


def answer_sentence(problem: Problem) -> str:
    """The sentence that CODI models answer with."""
    return f"The answer is: {problem.answer}"


def encode(
    problems: Sequence[Problem], tokenizer: PreTrainedTokenizerFast, changed: Sequence[int] = ()
) -> Batch:
    """Encode and pad a batch; no question in it is hidden."""
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
        results=torch.tensor([result_ids(p, tokenizer) for p in problems]),
        changed=torch.tensor(changed or [0] * len(problems)),
        hidden=torch.zeros(len(problems), dtype=torch.bool),
    )


def result_ids(problem: Problem, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Tokens of what steps 1..K give; the answer's where there are fewer steps."""
    results = [str(result) for result in problem.step_results or (problem.answer,)]
    ids = tokenizer.convert_tokens_to_ids([*results, *results[-1:] * LATENTS][:LATENTS])
    assert isinstance(ids, list)
    return ids


def alone_through(pair: Pair) -> int:
    """The step that the changed number enters, where what follows differs by its result alone.

    0 where the number enters later steps too: swapping that one result does not give the twin.
    """
    step = pair.changed_step
    whole = step is not None and expected_answer(pair, step) == pair.corrupted.answer
    return step if step is not None and whole else 0


def padded(rows: Sequence[Sequence[int]], pad: int, left: bool = False) -> tuple[Tensor, Tensor]:
    """Ids [B, longest] padded on one side, and the mask of real tokens."""
    width = max(map(len, rows))
    mask = torch.tensor([len(row) for row in rows])[:, None] > torch.arange(width)
    if left:
        ids = [[*[pad] * (width - len(row)), *row] for row in rows]
        return torch.tensor(ids), mask.flip(1)
    return torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows]), mask


@dataclass(frozen=True, slots=True)
class Stream:
    """An endless stream of training batches, fixed by the seed.

    `size` rows a batch. Problems whose question is in `forbidden` (the shipped pairs) are skipped.
    With `twins` the rows are pairs of twins side by side. `varied` is the share of questions in
    which words are dropped or swapped, `hidden` that of rows whose answer sees latents only. Over
    the first `easy` batches problems of more steps join, one number of steps after the other.
    """

    seed: int
    size: int
    tokenizer: PreTrainedTokenizerFast
    forbidden: frozenset[str]
    twins: bool = False
    varied: float = 0.0
    hidden: float = 0.0
    easy: float = 0.0

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """From batch number `start` on: each pool of batches has its own seed."""
        number, skip = divmod(start, POOL)
        while True:
            pool = self.pool(self.seed * 1_000_003 + number, self.weights(number * POOL))
            order = torch.randperm(POOL, generator=torch.Generator().manual_seed(number))
            drawn = torch.rand(POOL, self.size, generator=torch.Generator().manual_seed(number))
            for index in order.tolist()[skip:]:
                rows = pool[index * self.size : (index + 1) * self.size]
                batch = encode([p for p, _ in rows], self.tokenizer, [c for _, c in rows])
                yield replace(batch, hidden=drawn[index] < self.hidden)
            number, skip = number + 1, 0

    def weights(self, batch: int) -> dict[int, float]:
        """Shares of the numbers of steps at a batch; each joins while the one before is whole."""
        most = max(STEP_WEIGHTS)
        reached = most if batch >= self.easy else 1 + (most - 1) * batch / self.easy
        return {n: w * min(1.0, max(0.0, reached - n + 1)) for n, w in STEP_WEIGHTS.items()}

    def pool(self, seed: int, weights: Mapping[int, float]) -> list[tuple[Problem, int]]:
        """Problems and changed steps of a pool's batches, those of like length together."""
        count = self.size * POOL
        if self.twins:
            pairs = generate_twins(seed, step_weights=weights, forbidden=self.forbidden)
            found = [self.twin_rows(pair, seed) for pair in islice(pairs, count // 2)]
        else:
            problems = generate_problems(seed, step_weights=weights, forbidden=self.forbidden)
            drawn = enumerate(islice(problems, count))
            found = [[(self.reworded(problem, seed + i), 0)] for i, problem in drawn]
        found.sort(key=lambda rows: (rows[0][0].steps, len(rows[0][0].question)))
        return [row for rows in found for row in rows]

    def twin_rows(self, pair: Pair, seed: int) -> list[tuple[Problem, int]]:
        """Both twins, reworded alike, and the changed step."""
        step = alone_through(pair)
        number = seed + int(pair.pair_id)
        return [(self.reworded(p, number), step) for p in (pair.clean, pair.corrupted)]

    def reworded(self, problem: Problem, seed: int) -> Problem:
        """The problem, in a share of the rows with words dropped or swapped."""
        if Random(seed).random() >= self.varied:
            return problem
        other = vary_words(problem.question, seed)
        # A problem may be a word away from a shipped one.
        taken = question_key(other) in self.forbidden
        return problem if taken else replace(problem, question=other)
