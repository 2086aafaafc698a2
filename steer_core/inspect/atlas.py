"""Instruments over pairs: what is seen in how many, with intervals, beside a random counterpart.

Every function is a generator of growing tables: after each part of the pairs a whole `Atlas`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steer_core.codi.model import CodiModel
from steer_core.data.answers import same_number
from steer_core.data.problems import Pair
from steer_core.inspect.attention import names_of, watch
from steer_core.inspect.cells import Atlas, Counts
from steer_core.inspect.early import with_latents
from steer_core.inspect.effects import effect_map, flip_distance
from steer_core.inspect.lens import log_probabilities, of_values
from steer_core.inspect.looks import alone, every_layer
from steer_core.inspect.probes import result_of
from steer_core.inspect.swap import DEFAULT_SITE, replacement
from steer_core.inspect.trace import number_step
from steer_core.steering.controls import random_like
from steer_core.steering.decode import Decoded, acting, decode, stacked_states
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditCurve

PART = 16
"""Pairs between two tables."""
FLIPS_WITHIN = (1.0, 3.0, 10.0, 30.0)
Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Twins:
    """A part of the pairs, decoded: clean and corrupted twins with their states."""

    pairs: Sequence[Pair]
    clean: Sequence[Decoded]
    corrupted: Sequence[Decoded]

    @property
    def both_right(self) -> list[int]:
        """Indices of pairs where both twins are answered right, with different answers."""
        return [
            i
            for i, pair in enumerate(self.pairs)
            if same_number(self.clean[i].answer, pair.clean.answer)
            and same_number(self.corrupted[i].answer, pair.corrupted.answer)
            and not same_number(pair.clean.answer, pair.corrupted.answer)
        ]


def parts(model: CodiModel, pairs: Sequence[Pair], stop: Stop) -> Iterator[tuple[int, Twins]]:
    """Pairs part by part, with how many are done behind each."""
    for start in range(0, len(pairs), PART):
        if stop():
            return
        some = pairs[start : start + PART]
        questions = [problem.question for p in some for problem in (p.clean, p.corrupted)]
        rows = decode(model, questions, hidden=True)
        yield start + len(some), Twins(some, rows[::2], rows[1::2])


def changed_step(pair: Pair) -> int | None:
    """The first step, from 1, that the changed number enters; None where that is not known."""
    if pair.clean.steps != pair.corrupted.steps:
        return None
    steps = zip(pair.clean.chain, pair.corrupted.chain, strict=True)
    return next((i for i, (one, two) in enumerate(steps, 1) if one != two), None)


def swap_atlas(
    model: CodiModel, pairs: Sequence[Pair], curve: EditCurve, alpha: float, stop: Stop
) -> Iterator[Atlas]:
    """How often the answer becomes the twin's on its latents: all, each alone, by changed step."""
    counts, ks = Counts.empty(), model.config.positions[1:]
    sets = [("all latents", None, ks), *((f"z{k}", k, (k,)) for k in ks)]
    for done, twins in parts(model, pairs, stop):
        rows = twins.both_right
        states = stacked([twins.corrupted[i] for i in rows], model, DEFAULT_SITE)
        for name, position, where in sets:
            own = followed(model, twins, rows, states, where)
            # The counterpart: latents of a random other pair; is the answer the twin's?
            other = followed(model, twins, rows, np.roll(states, 1, 0), where)
            for i, hit, chance in zip(rows, own, other, strict=True):
                random = chance if len(rows) > 1 else None
                counts.note((name, position, None, None), hit, random)
                if (step := changed_step(twins.pairs[i])) is not None:
                    counts.note((f"{name}, step {step} changed", position, None, step), hit, random)
        yield Atlas(
            "swap",
            "answers that become the twin's on its latents (both twins answered right)",
            "latents of a random other pair",
            done,
            len(pairs),
            counts.cells(shares=True),
        )


def stacked(rows: Sequence[Decoded], model: CodiModel, site: Site) -> NDArray[np.float32]:
    """States of rows at a site, [n, K+1, width]; no rows, no states."""
    if not rows:
        return np.zeros((0, len(model.config.positions), site.width(model.config)), np.float32)
    return site.states(model, stacked_states(rows))


def followed(
    model: CodiModel, twins: Twins, rows: Sequence[int], states: np.ndarray, where: tuple[int, ...]
) -> list[float]:
    """Whether clean questions are answered as their twins on some states, 1 or 0."""
    edits = [replacement(each, DEFAULT_SITE, where) for each in states]
    found = decode(model, [twins.pairs[i].clean.question for i in rows], edits)
    golds = [twins.pairs[i].corrupted.answer for i in rows]
    return [float(same_number(row.answer, gold)) for row, gold in zip(found, golds, strict=True)]


def lens_atlas(
    model: CodiModel, pairs: Sequence[Pair], curve: EditCurve, alpha: float, stop: Stop
) -> Iterator[Atlas]:
    """How often the result of each step is the likeliest token, at every position and layer."""
    counts = Counts.empty()
    for done, twins in parts(model, pairs, stop):
        every = [results(pair) for pair in twins.pairs]
        for i, row in enumerate(twins.clean):
            assert row.hidden is not None
            logs = log_probabilities(model, row.hidden)
            ranks = of_values(model, logs, every[i])[1]
            strange = of_values(model, logs, every[i - 1])[1]  # of the pair before, the last for 0
            for step in range(len(every[i])):
                chance = strange[step] if step < len(strange) else None
                for k, layer in np.ndindex(*ranks.shape[1:]):
                    random = None if chance is None else float(chance[k, layer] == 0)
                    place = (f"step {step + 1}", k, layer, step + 1)
                    counts.note(place, float(ranks[step, k, layer] == 0), random)
        yield Atlas(
            "lens",
            "problems where the step's result is the likeliest token (logit lens)",
            "results of another problem at the same place",
            done,
            len(pairs),
            counts.cells(shares=True),
        )


def results(pair: Pair) -> list[float]:
    """Results of the clean twin's steps."""
    found = [result_of(pair.clean, step) for step in range(pair.clean.steps)]
    return [int(x) if float(x).is_integer() else x for x in found if x is not None]


def early_atlas(
    model: CodiModel, pairs: Sequence[Pair], curve: EditCurve, alpha: float, stop: Stop
) -> Iterator[Atlas]:
    """Accuracy after k = 0..K latents, beside k latents of another problem."""
    counts = Counts.empty()
    for done, twins in parts(model, pairs, stop):
        questions = [pair.clean.question for pair in twins.pairs]
        strange = np.roll(stacked(twins.clean, model, DEFAULT_SITE), 1, 0)
        for k in model.config.positions:
            short = with_latents(model, k)
            plain = decode(short, questions)
            where = tuple(range(1, k + 1))
            edits = [replacement(each[: k + 1], DEFAULT_SITE, where) for each in strange]
            other = decode(short, questions, edits)
            for pair, one, two in zip(twins.pairs, plain, other, strict=True):
                hits = [float(same_number(row.answer, pair.clean.answer)) for row in (one, two)]
                counts.note((f"k = {k}", k, None, None), *hits)
        yield Atlas(
            "early",
            "right answers after k latent thoughts",
            "k latent thoughts of another problem",
            done,
            len(pairs),
            counts.cells(shares=True),
        )


def map_atlas(
    model: CodiModel, pairs: Sequence[Pair], curve: EditCurve, alpha: float, stop: Stop
) -> Iterator[Atlas]:
    """Mean KL of each position and layer edited alone, beside a random direction of its norms."""
    counts, real = Counts.empty(), every_layer(model, curve)
    random = [at_random(one) for one in real]
    layers = list(range(1, len(real) + 1))
    for done, twins in parts(model, pairs, stop):
        for pair in twins.pairs:
            if stop():
                return
            one, two = (
                effect_map(
                    model,
                    pair.clean.question,
                    lambda layer, kind=kind: alone(kind[layer - 1], alpha),
                    layers=layers,
                )
                for kind in (real, random)
            )
            for k, i in np.ndindex(*one.kl.shape):
                counts.note(
                    ("KL, nats", k, layers[i], None), float(one.kl[k, i]), float(two.kl[k, i])
                )
        yield Atlas(
            "map",
            f"mean KL in nats at the answer's first number, each place alone, alpha {alpha:g}",
            "a random direction of the same norms",
            done,
            len(pairs),
            counts.cells(shares=False),
        )


def at_random(curve: EditCurve, seed: int = 0) -> EditCurve:
    """The same edits along random directions of the same norms."""
    return EditCurve(tuple((spec, random_like(direction, seed)) for spec, direction in curve.parts))


def flip_atlas(
    model: CodiModel, pairs: Sequence[Pair], curve: EditCurve, alpha: float, stop: Stop
) -> Iterator[Atlas]:
    """How many answers turn within some |alpha|, beside a random direction of the same norms."""
    counts, farthest = Counts.empty(), max(FLIPS_WITHIN)
    for done, twins in parts(model, pairs, stop):
        for pair in twins.pairs:
            if stop():
                return
            one, two = (
                flip_distance(
                    model,
                    pair.clean.question,
                    lambda a, kind=kind: acting(model, kind.at(a)),
                    farthest=farthest,
                    tolerance=0.1,
                ).distance
                for kind in (curve, at_random(curve))
            )
            for within in FLIPS_WITHIN:
                place = (f"within |α| = {within:g}", None, None, None)
                counts.note(place, float(one <= within), float(two <= within))
        yield Atlas(
            "flip",
            "answers that turn, either way",
            "a random direction of the same norms",
            done,
            len(pairs),
            counts.cells(shares=True),
        )


def attention_atlas(
    model: CodiModel, pairs: Sequence[Pair], curve: EditCurve, alpha: float, stop: Stop
) -> Iterator[Atlas]:
    """Mean attention of the answer's first number by block, beside an even look at every token."""
    counts, K = Counts.empty(), len(model.config.positions)
    for done, twins in parts(model, pairs, stop):
        for row in twins.clean:
            number = number_step(model, row.token_ids)
            cache, _ = watch(model, [row], [()], row.token_ids[:number])
            weights = cache.weights()[0, :, :, K + number].mean(1)  # [L, T]
            keys, _ = names_of(model, row.question, row.token_ids[:number])
            spans = {"question": slice(0, cache.question)} | {
                keys[cache.question + k]: slice(cache.question + k, cache.question + k + 1)
                for k in range(K)
            }
            for name, span in spans.items():
                even = (span.stop - span.start) / weights.shape[1]
                position = None if name == "question" else span.start - cache.question
                for layer, share in enumerate(weights[:, span].sum(1), 1):
                    counts.note((name, position, layer, None), float(share), even)
        yield Atlas(
            "attention",
            "mean attention of the answer's first number, mean over heads",
            "an even look at all tokens",
            done,
            len(pairs),
            counts.cells(shares=False),
        )
