"""What instruments found, as plain dicts that JSON can carry to the page; numbers to 3 digits."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from steer_core.data.answers import Number, same_number
from steer_core.inspect import asked
from steer_core.ui.compute import LookJob
from steer_core.ui.payload import number_text

DIGITS = 3


def payload_of(job: LookJob, seen: Any, gold: Number | None, info: Any) -> dict[str, Any]:
    """Return everything that the figure of an instrument draws.

    Args:
        job: What was asked.
        seen: See `steer_core.inspect.looks.look`.
        gold: The right answer, where it is known.
        info: The model's layers and latents.
    """
    return {
        "alphas": list(job.alphas),
        "layers": info.layers,
        "latents": info.latents,
        "site": job.setting.first.site.name,
        "gold": number_text(gold),
        **OF[job.asked.what](seen, gold),
    }


def of_trace(seen: Any, gold: Number | None) -> dict[str, Any]:
    """Traces at each α."""
    grids = ("delta_norm", "norm_change", "relative", "cosine", "cached", "attention", "read")
    columns = ("before_norm", "thought")
    return {
        "sentence": [one.sentence for one in seen],
        "outcome": [one.outcome for one in seen],
        "kl": numbers([one.kl for one in seen]),
        "margin": numbers([one.margin for one in seen]),
        **{name: numbers([getattr(one, name) for one in seen]) for name in (*grids, *columns)},
    }


def of_lens(seen: Any, gold: Number | None) -> dict[str, Any]:
    """A lens at each α."""
    return {
        "ids": seen.top_ids.tolist(),
        "probs": numbers(seen.top_probs),
        "tokens": {str(i): text for i, text in seen.tokens.items()},
        "entropy": numbers(seen.entropy),
        "values": [number_text(value) for value in seen.values],
        "ranks": seen.ranks.tolist(),
        "tuned": seen.tuned,
    }


def of_early(seen: Any, gold: Number | None) -> dict[str, Any]:
    """Early answers at each α."""
    return {
        "answers": [[number_text(answer) for answer in one.answers] for one in seen],
        "right": [[right(answer, gold) for answer in one.answers] for one in seen],
        "settled": [one.settled for one in seen],
    }


def of_attention(seen: Any, gold: Number | None) -> dict[str, Any]:
    """Attention at each α: bytes 0..255 for 0..1, in the order of `shape`."""
    levels = np.clip(np.round(seen.weights * 255), 0, 255).astype(np.uint8)
    return {
        "keys": list(seen.keys),
        "queries": list(seen.queries),
        "question_keys": seen.question_keys,
        "block": seen.layer,
        "shape": list(levels.shape),
        "levels": base64.b64encode(levels.tobytes()).decode(),
    }


def of_swap(seen: Any, gold: Number | None) -> dict[str, Any]:
    """A swap at each amount."""
    return {
        "kind": seen.kind,
        "donor_question": seen.donor,
        "swap_site": seen.site.name,
        "swap_layer": seen.site.layer,
        "positions": list(seen.positions),
        "amounts": list(seen.amounts),
        "texts": list(seen.texts),
        "answers": [number_text(answer) for answer in seen.answers],
        "own": number_text(seen.own_answer),
        "theirs": number_text(seen.donor_answer),
        "logprobs": numbers(seen.logprobs.T),
        "kl": numbers(seen.kl),
    }


def of_map(seen: Any, gold: Number | None) -> dict[str, Any]:
    """Effect maps at each α."""
    return {
        "blocks": list(seen[0].layers),
        "baseline": number_text(seen[0].baseline_answer),
        "margin": numbers([one.margin for one in seen]),
        "kl": numbers([one.kl for one in seen]),
        "answers": [
            [[number_text(answer) for answer in row] for row in one.answers] for one in seen
        ],
        "flipped": [one.flipped.tolist() for one in seen],
    }


def of_flip(seen: Any, gold: Number | None) -> dict[str, Any]:
    """How far the answer is from turning."""
    ways = {"below": seen.below, "above": seen.above}
    return {
        "baseline": number_text(seen.baseline_answer),
        **{
            name: {
                "alpha": way.alpha,
                "answer": number_text(way.answer),
                "searched": way.searched,
            }
            for name, way in ways.items()
        },
    }


OF: Mapping[str, Callable[[Any, Number | None], dict[str, Any]]] = {
    asked.TRACE: of_trace,
    asked.LENS: of_lens,
    asked.EARLY: of_early,
    asked.ATTENTION: of_attention,
    asked.SWAP: of_swap,
    asked.MAP: of_map,
    asked.FLIP: of_flip,
}


def right(answer: Number | None, gold: Number | None) -> bool | None:
    """Whether an answer is right; None where nobody knows."""
    return None if gold is None else same_number(answer, gold)


def numbers(values: Any) -> Any:
    """Nested lists with `DIGITS` significant digits; None for what is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim:
        return [numbers(part) for part in array] if array.ndim > 1 else list(map(number, array))
    return number(array)


def number(value: Any) -> float | None:
    """One number as JSON can hold it."""
    if not np.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short
