"""One instrument on one question, by name: what the page and notebooks ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steer_core.codi.model import CodiModel
from steer_core.data.pairs import load_pairs
from steer_core.inspect import asked
from steer_core.inspect.asked import LookAsked, SwapAsked
from steer_core.inspect.curves import attention_curve, early_curve, lens_curve
from steer_core.inspect.effects import effect_maps, flip_distance
from steer_core.inspect.swap import swap_curve
from steer_core.inspect.trace import trace_curve
from steer_core.inspect.translators import translators_of
from steer_core.steering.decode import acting
from steer_core.steering.edits import Edit
from steer_core.steering.fit import FIT
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditCurve, resolved
from steer_core.steering.uses import Edits

SAMPLE = 64
"""Questions of the fit set whose mean state and spread stand for anybody's."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A model with edits along a curve of A alphas."""

    model: CodiModel
    curve: EditCurve
    alphas: tuple[float, ...]

    @property
    def made(self) -> list[Edits]:
        """The edits at each alpha, also those that cannot act."""
        return [self.curve.at(alpha) for alpha in self.alphas]

    @property
    def acting(self) -> list[Edits]:
        """Those that can change anything."""
        return [acting(self.model, edits) for edits in self.made]


def look(
    model: CodiModel, wanted: LookAsked, curve: EditCurve, alphas: Sequence[float] = (0.0,)
) -> Any:
    """Use one instrument on one question.

    Args:
        model: The model.
        wanted: Which instrument and question.
        curve: The edits.
        alphas: A alphas; a swap and a flip distance need none.

    Returns:
        A list of A `Trace`, `EarlyAnswers` or `EffectMap`; a `LensCurve`, `AttentionCurve`,
        `SwapCurve` or `FlipDistance`.

    Raises:
        UserError: for a question or an edit that does not fit the model.
    """
    return INSTRUMENTS[wanted.what](Subject(model, curve, tuple(alphas)), wanted)


def see_trace(subject: Subject, wanted: LookAsked) -> Any:
    """`Trace` at each alpha."""
    return trace_curve(subject.model, wanted.question, subject.made)


def see_lens(subject: Subject, wanted: LookAsked) -> Any:
    """`LensCurve`."""
    return lens_curve(
        subject.model,
        wanted.question,
        subject.acting,
        values=wanted.values,
        translators=translators_of(subject.model) if wanted.tuned else None,
    )


def see_early(subject: Subject, wanted: LookAsked) -> Any:
    """`EarlyAnswers` at each alpha."""
    return early_curve(subject.model, wanted.question, subject.acting)


def see_attention(subject: Subject, wanted: LookAsked) -> Any:
    """`AttentionCurve`."""
    return attention_curve(subject.model, wanted.question, subject.acting, layer=wanted.block)


def see_map(subject: Subject, wanted: LookAsked) -> Any:
    """`EffectMap` at each alpha: the edit of the curve at every position and layer alone."""
    layers = list(every_layer(subject.model, subject.curve))
    return effect_maps(
        subject.model,
        wanted.question,
        [lambda layer, alpha=alpha: alone(layers[layer - 1], alpha) for alpha in subject.alphas],
        layers=range(1, len(layers) + 1),
    )


def every_layer(model: CodiModel, curve: EditCurve) -> list[EditCurve]:
    """The first edit of a curve at each layer, with that layer's own direction; one without."""
    spec, direction = curve.parts[0]
    if not spec.site.has_layers:
        return [EditCurve(((spec, direction),))]
    return [
        resolved(model, [replace(spec, site=Site(spec.site.name, layer))])
        for layer in range(1, model.config.layers + 1)
    ]


def alone(curve: EditCurve, alpha: float) -> Edit:
    """The one edit of a curve at an alpha."""
    (edit,) = curve.at(alpha)
    return edit


def see_swap(subject: Subject, wanted: LookAsked) -> Any:
    """`SwapCurve`."""
    asked_for = wanted.swap or SwapAsked()
    needs_sample = asked_for.kind in ("mean", "noise")
    return swap_curve(
        subject.model,
        wanted.question,
        asked_for.donor,
        kind=asked_for.kind,
        sample=sample_questions() if needs_sample else (),
        site=Site(asked_for.site, asked_for.layer),
        positions=asked_for.positions,
    )


def sample_questions(n: int = SAMPLE) -> list[str]:
    """The first n clean questions of the bundled fit set."""
    return [pair.clean.question for pair in load_pairs(FIT)[:n]]


def see_flip(subject: Subject, wanted: LookAsked) -> Any:
    """`FlipDistance`."""
    return flip_distance(
        subject.model,
        wanted.question,
        lambda alpha: acting(subject.model, subject.curve.at(alpha)),
    )


INSTRUMENTS: dict[str, Callable[[Subject, LookAsked], Any]] = {
    asked.TRACE: see_trace,
    asked.LENS: see_lens,
    asked.EARLY: see_early,
    asked.ATTENTION: see_attention,
    asked.SWAP: see_swap,
    asked.MAP: see_map,
    asked.FLIP: see_flip,
}
