"""What keeps a stored run from being the one that is asked for, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from steer_core.errors import UserError
from steer_core.pipeline.records import RunPlan, RunRecord, positions_text
from steer_core.pipeline.store import Store

FACTS = {
    "model_sha256": "model",
    "latents": "latents",
    "dtype": "dtype",
    "device": "device",
    "pairs_sha256": "pairs",
    "split": "split",
}
"""Provenance that decides a run, and what it is called."""
MOST_NAMED, MOST_LETTERS = 3, 24


def require_stored(store: Store, plan: RunPlan) -> None:
    """Raise a `UserError` where a store holds runs and none is the one of a plan.

    An empty store has nothing that could be gone on with, and nothing that differs.
    """
    if store.find(plan) is not None:
        return
    records = store.runs()
    if not records:
        return
    told = {record.id: list(differences(plan, record)) for record in records}
    closest = min(records, key=lambda run: (len(told[run.id]), bool(run.finished), -run.id))
    named = told[closest.id] or ["directions or pair ids of another content"]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    raise UserError(
        f"no stored run has these settings; run {closest.id} differs in "
        f"{', '.join(named[:MOST_NAMED])}{more}; give its settings, or leave --resume out to begin "
        "another run"
    )


def differences(plan: RunPlan, record: RunRecord) -> Iterator[str]:
    """Every setting that a plan has otherwise than a stored run, with both values."""
    for field in fields(plan.spec):
        mine, stored = (getattr(spec, field.name) for spec in (plan.spec, record.spec))
        if mine != stored:
            yield f"{field.name} {short(mine)} (stored {short(stored)})"
    for name, word in FACTS.items():
        mine, stored = plan.provenance.get(name), record.provenance.get(name)
        if mine == stored:
            continue
        if word in ("model", "pairs"):
            mine, stored = (about.get(word) for about in (plan.provenance, record.provenance))
            content = " of other content" if mine == stored else ""
            yield f"{word} {short(mine)} (stored {short(stored)}{content})"
        else:
            yield f"{word} {short(mine)} (stored {short(stored)})"


def short(value: object) -> str:
    """A setting as the command takes it, cut where it is long."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        text = ",".join(
            positions_text(each)
            if isinstance(each, tuple)
            else f"{each:g}"
            if isinstance(each, float)
            else str(each)
            for each in value
        )
    else:
        text = str(value)
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."
