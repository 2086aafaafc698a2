"""The answer of a batch: drafts checked in one pass, then token by token what is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from steer_core.codi.cache import RowCache, TreeCache
from steer_core.codi.drafts import Candidates, Drafts, follow, plant
from steer_core.codi.model import CodiModel

LOGITS_AT_A_TIME = {"cpu": 2**18, "cuda": 2**27}
"""Logits computed at once: a CPU's should stay in its cache, a GPU's must leave room for the
rest."""
ROOM = 32
"""Generated tokens a row has room for at first."""


class Cancelled(Exception):
    """The caller asked for the decoding to stop; nothing of the batch is returned."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchScores:
    """What N rows think of C candidate answers; float32, logarithms in nats.

    Probabilities are over the tokens that can be generated: all but EOT. `logprobs` [N, C] of each
    candidate with its EOS, taken as given up to there (teacher forcing). `margin` [N]: logit of the
    first candidate's number, its first token, minus the best other one. Against the reference rows:
    `kl` [N] at the first answer step and `kl_number` [N] where numbers begin, KL(reference || row),
    and `shift` [N], the largest change of any log-probability there; NaN without a reference.
    `landmarks` [N, 2, V-1] are the log-probabilities at those two steps, to be a reference; only
    kept where there is none.
    """

    logprobs: Tensor
    margin: Tensor
    kl: Tensor
    kl_number: Tensor
    shift: Tensor
    landmarks: Tensor | None


class Answer:
    """Greedy answers of all rows of a grid; finished rows leave it."""

    def __init__(
        self,
        model: CodiModel,
        cache: RowCache,
        lengths: Tensor,
        limit: int,
        stop: Callable[[], bool],
    ):
        self.model, self.cache, self.stop = model, cache, stop
        config = model.config
        self.start = (config.eot, config.eos) if config.keep_eos else (config.eot,)
        self.questions = len(lengths)
        self.lengths = lengths.repeat_interleave(cache.rows)
        count, device = len(self.lengths), lengths.device
        self.row = torch.arange(count, device=device)  # which row a slot of the grid holds
        self.alive = torch.ones(count, dtype=torch.bool, device=device)
        # Absolute position of a slot's next token; tokens it may still generate.
        self.position = self.lengths + config.latents + 1 + len(self.start)
        self.room = (config.max_positions - self.position + 1).clamp(max=limit)
        self.ids = torch.empty(count, min(ROOM, limit), dtype=torch.long, device=device)
        self.noted = 0  # at least the largest count
        self.count = torch.zeros(count, dtype=torch.long, device=device)
        self.token = torch.zeros(count, dtype=torch.long, device=device)
        self.first_logits: Tensor | None = None
        self.scores: BatchScores | None = None

    def draft(
        self, candidates: Sequence[Candidates], keep_logits: bool, reference: Tensor | None
    ) -> None:
        """Feed the start of an answer and every candidate, and follow them as far as they fit."""
        drafts = plant(self.start, candidates, self.model.config.pad, self.lengths.device)
        hidden = self.feed_tree(drafts)
        if keep_logits:
            self.first_logits = self.model.body.logits(hidden[:, drafts.root]).float().cpu()
        judge = Judge(self.model, drafts, self.cache.rows, reference)
        scored = drafts.path.shape[1] > 0
        picked, self.scores = judge.scores(hidden) if scored else (judge.picked(hidden), None)
        self.accept(drafts, picked)

    def feed_tree(self, drafts: Drafts) -> Tensor:
        """Run all nodes of all rows; normed hidden states [N, T, D]."""
        self.check()
        model, rows = self.model, self.cache.rows
        ids, depth = (x.repeat_interleave(rows, 0) for x in (drafts.ids, drafts.depth))
        where = self.lengths[:, None] + model.config.latents + 1 + depth
        # Drafts beyond the last position are never accepted, but must be computed somehow.
        where = where.clamp_max(model.config.max_positions - 1)
        cache = TreeCache(self.cache, drafts.sees)
        out = model.body.run(model.body.embed(ids), where, cache)
        self.cache.advance(ids.shape[1])
        return model.body.norm(out)

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
        slots = rows.nonzero()[:, 0]
        whole = self.row[slots]
        self.ids[whole, self.count[whole]] = picked[slots]
        self.count[whole] += 1
        self.token = torch.where(rows, picked, self.token)
        self.position = self.position + (rows & (self.count[self.row] > 1))
        self.alive = self.alive & ~ended & (self.count[self.row] < self.room)

    def finish(self) -> tuple[tuple[int, ...], ...]:
        """Go on token by token until every row has ended; the ids of all N rows."""
        while bool(self.alive.any()):
            self.check()
            self.shrink()
            out = self.feed(self.token[:, None], self.position[:, None])
            picked = F.linear(out[:, -1], self.model.body.head[:-1]).argmax(-1)
            self.note(picked, self.alive)
        counts = self.count.tolist()
        return tuple(tuple(ids[:n]) for ids, n in zip(self.ids.tolist(), counts, strict=True))

    def feed(self, ids: Tensor, where: Tensor) -> Tensor:
        """Run ids [n, 1] at absolute positions [n, 1]; normed hidden states [n, 1, D]."""
        # Rows that have ended stay in the grid until it shrinks, whatever their position.
        where = where.clamp_max(self.model.config.max_positions - 1)
        out = self.model.body.run(self.model.body.embed(ids), where, self.cache)
        self.cache.advance(1)
        return self.model.body.norm(out)

    def check(self) -> None:
        """Ask whether to go on."""
        if self.stop():
            raise Cancelled

    def shrink(self) -> None:
        """Rebuild the grid without ended rows once they are the majority of it."""
        alive = self.alive.view(-1, self.cache.rows)
        if int(alive.sum()) * 2 > alive.numel():
            return
        questions = alive.any(1).nonzero()[:, 0]
        widest = int(alive.sum(1).max())
        # Living rows first; a question with fewer than the widest keeps dead ones as filling.
        order = alive[questions].int().argsort(dim=1, descending=True, stable=True)[:, :widest]
        flat = (questions[:, None] * self.cache.rows + order).flatten()
        self.cache = self.cache.keep(questions, order)
        for name in ("row", "alive", "lengths", "position", "room", "token"):
            setattr(self, name, getattr(self, name)[flat])


class Judge:
    """Logits of a tree's nodes, a few rows at a time, boiled down to what is kept of them.

    The last vocabulary row (EOT) is excluded, as in the official evaluation.

    Args:
        model: The model.
        drafts: Trees of G questions.
        rows: R, rows of each question.
        reference: Log-probabilities of G plain rows [G, 2, V-1], or None.
    """

    def __init__(self, model: CodiModel, drafts: Drafts, rows: int, reference: Tensor | None):
        self.head, self.eos = model.body.head[:-1], model.config.eos
        self.drafts, self.rows, self.reference = drafts, rows, reference

    def parts(self, hidden: Tensor):
        """The questions [n] of each part and its logits [n, T, V-1], in the order of the rows."""
        device = self.head.device
        budget = LOGITS_AT_A_TIME.get(device.type, 2**20)
        each = max(1, budget // (hidden.shape[1] * len(self.head)))
        question = torch.arange(len(hidden), device=device) // self.rows
        for some, x in zip(question.split(each), hidden.split(each), strict=True):
            yield some, F.linear(x, self.head)

    def picked(self, hidden: Tensor) -> Tensor:
        """The greedy choice behind every node, hidden [N, T, D] to int [N, T]."""
        return torch.cat([logits.argmax(-1) for _, logits in self.parts(hidden)])

    def scores(self, hidden: Tensor) -> tuple[Tensor, BatchScores]:
        """The greedy choices [N, T], and the scores of all candidates."""
        found = [
            (logits.argmax(-1), *self.score(some, logits)) for some, logits in self.parts(hidden)
        ]
        picked, logprobs, margin, marks, *rest = (
            None if part[0] is None else torch.cat(part) for part in zip(*found, strict=True)
        )
        assert picked is not None
        kept = [None if x is None else x.cpu() for x in (logprobs, margin, *rest)]
        return picked, BatchScores(*kept, landmarks=marks)  # type: ignore[arg-type]

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
