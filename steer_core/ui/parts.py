"""The two splits of the test pairs: a setting is chosen on one, and reported on the other."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from steer_core.ui.settings import Setting

# What counts looks and clusters imports scipy and torch: it is asked once the page is shown.
SELECT, REPORT = "select", "report"
"""As `steer_core.pipeline.ledger` calls them."""
FOLDER = ".explore"
"""Beside the experiments: their verdicts count what was opened here."""
ANY = ""
"""Of all pairs, for scripts, which choose nothing."""


def pairs_of(pairs: Sequence[Any], part: str) -> list[Any]:
    """The pairs of one split, the same ones always.

    What shares a template or a question is in one of them: it would be in both by half.
    """
    from steer_core.analysis.clusters import join_clusters
    from steer_core.pipeline.prepared import problem_keys

    if part == ANY:
        return list(pairs)
    keys = [[*problem_keys(pair), ("template", pair.clean.template)] for pair in pairs]
    groups: dict[int, list[int]] = {}
    for index, group in enumerate(join_clusters(map(known, keys)).tolist()):
        groups.setdefault(group, []).append(index)
    split: dict[str, list[int]] = {SELECT: [], REPORT: []}
    for group in sorted(groups.values(), key=lambda group: min(digest(pairs[i]) for i in group)):
        smaller = min(split, key=lambda name: len(split[name]))
        split[smaller] += group
    return [pairs[index] for index in sorted(split[part])]


def known(keys: list[Any]) -> list[Any]:
    """The keys of a pair without a template that nobody knows."""
    return [key for key in keys if key != ("template", None)]


def digest(pair: Any) -> str:
    """Where a pair comes in an order that follows from its question alone."""
    return sha256(pair.clean.question.encode()).hexdigest()


class Ledger:
    """Which settings were opened on the report split, kept beside the experiments."""

    def __init__(self, runs: Path) -> None:
        self._folder = runs / FOLDER

    def opened(self, model: str, setting: Setting, pairs: Sequence[Any]) -> str:
        """Note that a setting is looked at on its pairs, and say what else was looked at on them.

        Args:
            model: Hash of its weights.
            setting: What is edited.
            pairs: The report split.
        """
        from steer_core.pipeline import ledger
        from steer_core.pipeline.records import canonical
        from steer_core.pipeline.store import now

        questions = sorted(pair.clean.question for pair in pairs)
        pairs_hash = sha256("\n".join(questions).encode()).hexdigest()
        words = setting_words(setting)
        look = ledger.Look(
            what=ledger.hashed(canonical([model, pairs_hash, words, REPORT]), 32),
            part=REPORT,
            model=model,
            pairs=pairs_hash,
            fit="",
            questions=tuple(sorted({ledger.hashed(each, ledger.DIGITS) for each in questions})),
            settings=(words,),
            who="page",
            when=now(),
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        ledger.note(self._folder / ledger.FILE, look)
        others = {each.what: each for each in ledger.beside(self._folder)}
        others.pop(look.what, None)
        shared = tuple(each for each in others.values() if look.shares(each))
        return ledger.Looks(1, shared, part=REPORT).mark


def setting_words(setting: Setting) -> str:
    """A setting as a reader of the ledger sees it."""
    from steer_core.pipeline.records import positions_text

    first = setting.first
    places = " + ".join(
        f"{spec.site}" + ("" if spec.factor == 1 else f" × {spec.factor:g}")
        for spec in setting.specs
    )
    done = "" if first.operation == "add" else f" ({first.operation})"
    schedule = f", schedule {','.join(map(str, first.schedule))}" if first.schedule else ""
    positions = positions_text(first.positions)
    return f"{first.direction}{done} at {places}, positions {positions}{schedule}"
