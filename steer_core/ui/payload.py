"""Results of the library as plain dicts that JSON can carry to the page."""

from typing import Any

import numpy as np

from steer_core.ui.compute import LookJob, StripJob
from steer_core.ui.settings import Setting

DIGITS = 4


def strip_payload(job: StripJob, strip: Any, layers: int) -> dict[str, Any]:
    """Return everything the page draws for one question, for every α at once.

    Args:
        job: what was decoded, and how it was steered.
        strip: an `AlphaStrip`.
        layers: L of the model.
    """
    texts = list(dict.fromkeys(strip.texts))
    return {
        **setting_payload(job.setting),
        "question": job.question,
        "gold": number_text(job.gold),
        "layers": layers,
        "latents": int(strip.delta_norm.shape[1]) - 1,
        "alphas": _numbers(strip.alphas),
        "baseline": int(strip.baseline),
        "texts": texts,
        "text": [texts.index(text) for text in strip.texts],
        "answers": [number_text(answer) for answer in strip.answers],
        "correct": _flags(strip),
        "nonfinite": [index for index, finite in enumerate(strip.finite) if not finite],
        "delta": _numbers(strip.delta_norm),
        "relative": _numbers(strip.relative),
        "change": _numbers(strip.norm_change),
        "dose": _numbers(strip.dose),
        # Where nothing is edited no direction was asked for: it has no length, not the length 0.
        "norms": _numbers(strip.norms if job.setting.first.positions else np.nan * strip.norms),
        "inert": [[int(position), str(reason)] for position, reason in strip.inert],
        "seconds": round(float(strip.seconds), 3),
    }


def decode_payload(setting: Setting, question: str, strip: Any, index: int) -> dict[str, Any]:
    """Return one question at one α beside its baseline, with the names of `decode --json`.

    Args:
        setting: how the question was steered.
        question: the text that was decoded.
        strip: an `AlphaStrip`.
        index: which of its α.
    """
    return {
        **setting_payload(setting),
        "alpha": float(strip.alphas[index]),
        "question": question,
        "text": strip.texts[index],
        "answer": strip.answers[index],
        "baseline_text": strip.texts[strip.baseline],
        "baseline_answer": strip.answers[strip.baseline],
        "inert": [[int(position), str(reason)] for position, reason in strip.inert],
    }


def lens_payload(job: LookJob, lens: Any) -> dict[str, Any]:
    """Return what a lens shows at one α, with the names of `inspect lens --json`.

    Args:
        job: what was asked.
        lens: a `LensCurve` of one α.
    """
    (ids,), (probs,), (entropy,) = lens.top_ids, lens.top_probs, lens.entropy
    return {
        **setting_payload(job.setting),
        "alpha": job.alphas[0],
        "edited": list(job.setting.first.positions) if job.alphas[0] else [],
        "question": lens.question,
        "positions": list(range(len(ids))),
        "layers": list(range(len(ids[0]))),
        "top_tokens": [[[lens.tokens[int(i)] for i in cell] for cell in row] for row in ids],
        "top_probs": _numbers(probs),
        "entropy": _numbers(entropy),
    }


def swap_payload(setting: Setting, swap: Any) -> dict[str, Any]:
    """Return answers on another question's latents, with the names of `inspect swap --json`.

    Args:
        setting: of which the model and the positions count.
        swap: a `SwapCurve`, whose last amount is all of the donor's.
    """
    answer = swap.answers[-1]
    return {
        "model": setting.model,
        "question": swap.question,
        "donor": swap.donor,
        "positions": list(swap.positions),
        "text": swap.texts[-1],
        "answer": answer,
        "own_answer": swap.own_answer,
        "donor_answer": swap.donor_answer,
        "followed": answer == swap.donor_answer != swap.own_answer,
        "amounts": list(swap.amounts),
        "answers": list(swap.answers),
    }


def sweep_payload(setting: Setting, state: Any, finished: bool) -> dict[str, Any]:
    """Return the cumulative state of a sweep over the test pairs.

    Args:
        setting: how the pairs are steered.
        state: a `SweepState`.
        finished: True when no batch is left.
    """
    return {
        **setting_payload(setting),
        "alphas": _numbers(state.alphas),
        "n": _counts(state.done),
        "correct": _counts(state.correct),
        "wrong_to_right": _counts(state.wrong_to_right),
        "right_to_wrong": _counts(state.right_to_wrong),
        "nonfinite": _counts(state.nonfinite),
        "low": _numbers(state.low),
        "high": _numbers(state.high),
        "total": int(state.total),
        "decoded": int(state.decoded),
        "rows": int(state.rows),
        "baseline": None if state.baseline_accuracy is None else float(state.baseline_accuracy),
        "finished": finished,
    }


def sweep_rows(state: Any, setting: Setting) -> list[dict[str, Any]]:
    """Return a finished sweep as one dict per α, with the names of `sweep --json`."""
    first = setting.first
    columns = (state.alphas, state.done, state.correct, state.low, state.high)
    return [
        {
            "site": first.site.name,
            "layer": first.site.layer,
            "operation": first.operation,
            "alpha": float(alpha),
            "direction": first.direction,
            "n": int(n),
            "correct": int(correct),
            "accuracy": float(correct / n) if n else None,
            "low": float(low),
            "high": float(high),
            "flips": int(flip),
            "nonfinite": int(lost),
        }
        for alpha, n, correct, low, high, flip, lost in zip(
            *columns, state.flips, state.nonfinite, strict=True
        )
    ]


def setting_payload(setting: Setting) -> dict[str, Any]:
    """Return the setting under the names the page uses."""
    first = setting.first
    return {
        "model": setting.model,
        "site": first.site.name,
        "layer": first.site.layer,
        "at": [[spec.site.layer, spec.factor] for spec in setting.specs],
        "positions": list(first.positions),
        "direction": first.direction,
        "operation": first.operation,
        "schedule": first.schedule,
    }


def number_text(value: int | float | None) -> str | None:
    """Return a number the way a reader writes it (12, 0.5), None when there is none."""
    if isinstance(value, int):
        return str(value)
    return None if value is None else f"{value:.10g}"


def _flags(strip: Any) -> list[bool | None]:
    """Whether each answer is right; None without a gold answer, or where numbers overflowed."""
    flags = [None] * len(strip.answers) if strip.correct is None else list(strip.correct)
    finite = strip.finite or (True,) * len(flags)
    return [
        None if flag is None or not known else bool(flag)
        for flag, known in zip(flags, finite, strict=True)
    ]


def _counts(values: Any) -> list[int]:
    return [int(value) for value in values]


def _numbers(array: Any) -> Any:
    """Nested lists with `DIGITS` significant digits; not finite becomes None (JSON has no NaN)."""
    values = np.asarray(array, dtype=np.float64)
    finite = np.isfinite(values)
    safe = np.where(finite & (values != 0), np.abs(values), 1.0)
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(safe)))
    rounded = np.round(np.where(finite, values, 0.0) * scale) / scale
    return _nested(rounded, finite)


def _nested(values: np.ndarray, finite: np.ndarray) -> Any:
    if finite.all():
        return values.tolist()
    if values.ndim == 1:
        return [float(v) if ok else None for v, ok in zip(values, finite, strict=True)]
    return [_nested(v, ok) for v, ok in zip(values, finite, strict=True)]
