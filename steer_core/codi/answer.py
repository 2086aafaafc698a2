"""The answer of a batch: drafts checked in one pass, then token by token what is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from steer_core.codi.body import Attention
from steer_core.codi.cache import RowCache
from steer_core.codi.drafts import Drafts, follow
from steer_core.codi.head import first_largest
from steer_core.codi.model import CodiModel
from steer_core.codi.passes import Cancelled, Inputs, start_of

LOGITS_AT_A_TIME = {"cpu": 2**18, "cuda": 2**27}
"""Logits computed at once: a CPU's should stay in its cache, a GPU's must leave room for the
rest."""
NODES_AT_A_TIME = 128
"""Nodes that are worth reading the whole head for, though their logits may leave the cache."""
CHOICES_AT_A_TIME = 512
"""The same where the logits of a part of the vocabulary are there at once."""
TOKENS_BETWEEN_LOOKS = {"cuda": 4}
"""Tokens after which it is asked how many rows are left; 1 on a CPU, where asking costs nothing."""
ROOM = 32
"""Generated tokens a row has room for at first."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchScores:
    """What N rows think of C candidate answers; lists of numbers, logarithms in nats.

    Probabilities are over the tokens that can be generated: all but EOT. `logprobs` [N, C] of each
    candidate with its EOS, taken as given up to there (teacher forcing). `margin` [N]: logit of the
    first candidate's number, its first token, minus the best other one. Against the reference rows:
    `kl` [N] at the first answer step and `kl_number` [N] where numbers begin, KL(reference || row),
    and `shift` [N], the largest change of any log-probability there; NaN without a reference.
    `landmarks` float32 [N, 2, V-1] are the log-probabilities at those two steps, to be a reference;
    only kept where there is none.
    """

    logprobs: list[list[float]]
    margin: list[float]
    kl: list[float]
    kl_number: list[float]
    shift: list[float]
    landmarks: Tensor | None


class Steps(Protocol):
    """Another way to feed tokens, as long as it has room (`steer_core.codi.program`)."""

    @property
    def left(self) -> int:
        """Tokens there is room for."""
        ...

    def begin(self, cache: RowCache) -> None:
        """Go on from a cache."""
        ...

    def step(self, token: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
        """Feed every row's token [N] at its absolute position [N].

        What is picked behind them, int [N], and whether it is of finite numbers, bool [N].
        """
        ...

    def end(self) -> RowCache:
        """A cache to go on from without it."""
        ...


class Answer:
    """Greedy answers of all rows of a grid; finished rows leave it.

    Args:
        model: The model.
        cache: Of all rows, drafts included.
        inputs: What the batch has read.
        limit: Most tokens of an answer.
        stop: Asked before every step.
        steps: Goes on token by token while it has room; None for plain steps from the start.
    """

    def __init__(
        self,
        model: CodiModel,
        cache: RowCache,
        inputs: Inputs,
        limit: int,
        stop: Callable[[], bool],
        steps: Steps | None = None,
    ):
        self.model, self.cache, self.stop, self.steps = model, cache, stop, steps
        self.drafts, config = inputs.drafts, model.config
        self.lengths = inputs.lengths.repeat_interleave(cache.rows)
        count, device = len(self.lengths), self.lengths.device
        self.row = torch.arange(count, device=device)  # which row a slot of the grid holds
        self.alive = torch.ones(count, dtype=torch.bool, device=device)
        # Absolute position of a slot's next token; tokens it may still generate.
        self.position = self.lengths + config.latents + 1 + len(start_of(config))
        self.room = (config.max_positions - self.position + 1).clamp(max=limit)
        self.ids = torch.empty(count, min(ROOM, limit), dtype=torch.long, device=device)
        self.noted = 0  # at least the largest count
        self.count = torch.zeros(count, dtype=torch.long, device=device)
        self.token = torch.zeros(count, dtype=torch.long, device=device)
        self.first_logits: Tensor | None = None
        self.scores: BatchScores | None = None
        # Of every row: whether all numbers that its tokens were chosen by are finite.
        self.finite = torch.ones(count, dtype=torch.bool, device=device)
        self.all_finite: tuple[bool, ...] = ()

    def judge(self, hidden: Tensor, keep_logits: bool, reference: Tensor | None) -> None:
        """Follow the drafts as far as they fit; hidden [N, T, D] of their nodes."""
        drafts = self.drafts
        if keep_logits:
            self.first_logits = self.model.body.head.logits(hidden[:, drafts.root]).float()
        judge = Judge(self.model, drafts, self.cache.rows, reference, self.check)
        scored = drafts.path.shape[1] > 0
        chosen, self.scores = judge.scores(hidden) if scored else (judge.picked(hidden), None)
        root = self.drafts.root
        self.finite &= are_finite(self.model, hidden[:, root], chosen[:, root])
        self.accept(drafts, chosen)

    def accept(self, drafts: Drafts, picked: Tensor) -> None:
        """Note what rows picked on their way through the tree; picked int [N, T]."""
        nodes = follow(drafts, picked, self.cache.rows)
        for step in range(nodes.shape[1]):
            moved = nodes[:, step] != nodes[:, step - 1] if step else self.alive
            self.note(picked.gather(1, nodes[:, step : step + 1])[:, 0], self.alive & moved)
        if not drafts.only_start:
            question = torch.arange(len(nodes), device=nodes.device) // self.cache.rows
            self.cache.hide(~drafts.sees[question, nodes[:, -1]])

    def note(self, picked: Tensor, rows: Tensor) -> None:
        """Append a picked token [n] to some of the rows, bool [n]; a row ends at EOS or its limit.

        A row also ends where the model has no position for its next token.
        """
        ended = rows & (picked == self.model.config.eos)
        rows = rows & ~ended
        self.noted += 1
        if self.noted > self.ids.shape[1]:
            self.ids = F.pad(self.ids, (0, self.ids.shape[1]))
        # Every slot writes, those of other rows what is there: which these are is no question that
        # the host would have to wait for.
        at = self.row, self.count[self.row].clamp_max(self.ids.shape[1] - 1)
        self.ids[at] = torch.where(rows, picked, self.ids[at])
        self.count.index_add_(0, self.row, rows.long())
        self.token = torch.where(rows, picked, self.token)
        self.position = self.position + (rows & (self.count[self.row] > 1))
        self.alive = self.alive & ~ended & (self.count[self.row] < self.room)

    def finish(self) -> tuple[tuple[int, ...], ...]:
        """Go on token by token until every row has ended; the ids of all N rows."""
        alive = self.look()
        if self.steps is not None and alive:
            self.steps.begin(self.cache)
        tokens = 0
        while alive:
            self.check()
            self.note(self.next_tokens(), self.alive)
            tokens += 1
            if tokens % TOKENS_BETWEEN_LOOKS.get(self.ids.device.type, 1) == 0:
                alive = self.look()
        found = torch.cat((self.count[:, None], self.finite.long()[:, None], self.ids), 1).tolist()
        self.all_finite = tuple(bool(fine) for _, fine, *_ in found)
        return tuple(tuple(ids[:n]) for n, _, *ids in found)

    def look(self) -> int:
        """How many rows have not ended.

        Where those that have are the majority of the grid, they leave it; but for recorded steps.
        """
        each = self.alive.view(-1, self.cache.rows).sum(1).tolist()
        if self.steps is None and 0 < 2 * sum(each) <= len(self.alive):
            self.shrink(each)
        return sum(each)

    def next_tokens(self) -> Tensor:
        """Feed every slot's token; what is picked behind it, int [n]."""
        if self.steps is not None and not self.steps.left:
            self.cache, self.steps = self.steps.end(), None
            self.look()
        if self.steps is not None:
            chosen, fine = self.steps.step(self.token, self.where())
        else:
            hidden = behind(self.model, self.token, self.where(), self.cache)
            self.cache.advance(1)
            chosen = picked(self.model, hidden)
            fine = are_finite(self.model, hidden, chosen)
        self.finite[self.row] = self.finite[self.row] & (fine | ~self.alive)
        return chosen

    def where(self) -> Tensor:
        """Absolute position of every slot's next token."""
        # Rows that have ended stay in the grid until it shrinks, whatever their position.
        return self.position.clamp_max(self.model.config.max_positions - 1)

    def check(self) -> None:
        """Ask whether to go on."""
        if self.stop():
            raise Cancelled

    def shrink(self, each: Sequence[int]) -> None:
        """Rebuild the grid without ended rows, of which every question has so many left."""
        alive, widest = self.alive.view(-1, self.cache.rows), max(each)
        left = [question for question, count in enumerate(each) if count]
        questions = torch.tensor(left, device=alive.device)
        # Living rows first; a question with fewer than the widest keeps dead ones as filling.
        order = alive[questions].int().argsort(dim=1, descending=True, stable=True)[:, :widest]
        flat = (questions[:, None] * self.cache.rows + order).flatten()
        self.cache = self.cache.keep(questions, order)
        for name in ("row", "alive", "lengths", "position", "room", "token"):
            setattr(self, name, getattr(self, name)[flat])


def behind(model: CodiModel, token: Tensor, where: Tensor, cache: Attention) -> Tensor:
    """Feed tokens [n] at absolute positions [n]; the normed hidden states behind them, [n, D]."""
    out = model.body.run(model.body.embed(token[:, None]), where[:, None], cache)
    return model.body.norm(out[:, -1])


def picked(model: CodiModel, hidden: Tensor) -> Tensor:
    """The greedy choices behind hidden states [n, D], int [n]; EOT is excluded."""
    return model.body.head.choice(hidden)


def are_finite(model: CodiModel, hidden: Tensor, chosen: Tensor) -> Tensor:
    """Whether the logit of each choice [n] behind hidden states [n, D] is a number, bool [n].

    Whatever overflowed before ends there: of NaN and infinity every product is one, and an infinite
    logit is the largest.
    """
    return (hidden * model.body.head.weight[chosen]).sum(-1).isfinite()


class Judge:
    """Logits of a tree's nodes, a few rows at a time, boiled down to what is kept of them.

    EOT is excluded, as in the official evaluation.

    Args:
        model: The model.
        drafts: Trees of G questions.
        rows: R, rows of each question.
        reference: Log-probabilities of G plain rows [G, 2, V-1], or None.
        check: Called between a few rows and the next; raises `Cancelled` to end.
    """

    def __init__(
        self,
        model: CodiModel,
        drafts: Drafts,
        rows: int,
        reference: Tensor | None,
        check: Callable[[], None],
    ):
        self.head, self.eos, self.check = model.body.head, model.config.eos, check
        self.drafts, self.rows, self.reference = drafts, rows, reference

    def parts(self, hidden: Tensor, least: int):
        """The questions [n] of each part and its states [n, T, D], in the order of the rows.

        A part has about `least` nodes, or more where their logits are few.
        """
        device = hidden.device
        nodes = max(LOGITS_AT_A_TIME[device.type] // len(self.head.weight), least)
        each = max(1, nodes // hidden.shape[1])
        question = torch.arange(len(hidden), device=device) // self.rows
        for some, x in zip(question.split(each), hidden.split(each), strict=True):
            yield some, x
            self.check()

    def picked(self, hidden: Tensor) -> Tensor:
        """The greedy choice behind every node, hidden [N, T, D] to int [N, T]."""
        return torch.cat([self.head.choice(x) for _, x in self.parts(hidden, CHOICES_AT_A_TIME)])

    def scores(self, hidden: Tensor) -> tuple[Tensor, BatchScores]:
        """The greedy choices [N, T], and the scores of all candidates."""
        found = [
            self.judged(some, self.head.without_eot(x))
            for some, x in self.parts(hidden, NODES_AT_A_TIME)
        ]
        picked, logprobs, margin, marks, *rest = (
            None if part[0] is None else torch.cat(part) for part in zip(*found, strict=True)
        )
        assert picked is not None
        assert logprobs is not None
        each = torch.stack([x for x in (margin, *rest) if x is not None], 1)
        kept = torch.cat((each, logprobs), 1).tolist()  # one copy, and one wait
        columns = [list(x) for x in zip(*(row[:4] for row in kept), strict=True)]
        return picked, BatchScores([row[4:] for row in kept], *columns, landmarks=marks)

    def judged(self, some: Tensor, logits: Tensor) -> tuple[Tensor | None, ...]:
        """The choices, and scores: log-probabilities, margin, landmarks, three distances."""
        return first_largest(logits), *self.score(some, logits)

    def score(self, some: Tensor, logits: Tensor) -> tuple[Tensor | None, ...]:
        """Log-probabilities, margin, landmarks, and the three distances from the reference."""
        drafts = self.drafts
        logs = logits.float().log_softmax(-1)
        rows = torch.arange(len(some), device=some.device)
        above = drafts.parent[some].clamp_min(0)
        # Log-probability of every node's token behind its parent, and of EOS behind every node.
        tokens = drafts.ids[some].clamp_max(logs.shape[-1] - 1)  # EOT starts, and is in no path
        each = logs[rows[:, None], above, tokens]
        ends = logs[:, :, self.eos]
        path, leaf = drafts.path[some], drafts.leaf[some]
        logprobs = (each[:, None] * path).sum(-1) + ends.gather(1, leaf)
        fork, first = drafts.fork[some], drafts.first[some]
        number = logits[rows, fork].float()
        gold = number[rows, first]
        others = number.scatter(1, first[:, None], -torch.inf).amax(-1)
        marks = torch.stack((logs[:, drafts.root], logs[rows, fork]), 1)
        return logprobs, gold - others, *self.compare(some, marks)

    def compare(self, some: Tensor, marks: Tensor) -> tuple[Tensor | None, ...]:
        """The landmarks themselves without a reference; else KL at each of them, and the shift."""
        if self.reference is None:
            nothing = torch.full((len(some),), torch.nan, device=some.device)
            return marks, nothing, nothing, nothing
        known = self.reference[some]
        gap = known - marks
        kl = (known.exp() * gap).sum(-1).clamp_min(0.0)
        return None, kl[:, 0], kl[:, 1], gap.abs().amax((1, 2))
