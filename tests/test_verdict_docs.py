"""The sentences of docs/verdicts.md are those that the program writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from simulated_answers import simulated

from steer_core.analysis.curves import Answers, Curve, measure_curves
from steer_core.analysis.power import power_of
from steer_core.analysis.verdict import judge

PAGE = Path(__file__).parent.parent / "docs" / "verdicts.md"


def flat(seed: int) -> Answers:
    answers = simulated(seed, noise=0.0)
    assert (answers.steered == answers.baseline).all()
    return answers


EXAMPLES: dict[str, tuple[str, Callable[[], Answers]]] = {
    "effect": ("effect", lambda: simulated(1, change=-0.15)),
    "spared": ("effect", lambda: simulated(3, harm=0.06, change=0.2)),
    "as random": ("as random", lambda: simulated(1, harm=0.06)),
    "no effect": ("no effect", lambda: simulated(1)),
    "too small": ("too small to tell", lambda: simulated(1, pairs=24)),
    "too few": ("too few controls", lambda: simulated(1, change=-0.2, controls={"covariance": 5})),
    "never": ("edit never arrived", lambda: flat(1)),
}


def written(answers: Answers) -> tuple[str, str]:
    """Kind and sentence of the only curve."""
    still = not (answers.steered != answers.baseline).any()
    moved = np.zeros((1, answers.alphas.size), bool) if still else None
    curve: Curve = measure_curves(answers, logits_changed=moved, resamples=1999)[0]
    found = judge(curve, power_of(answers, [curve])[0])
    return found.kind, found.sentence


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_what_the_program_says(name: str):
    kind, answers = EXAMPLES[name]
    found, sentence = written(answers())
    assert found == kind
    quotes = [line[2:] for line in PAGE.read_text().splitlines() if line.startswith("> ")]
    assert sentence in quotes


def test_the_page_explains_every_verdict():
    text = PAGE.read_text()
    assert all(f"\n## {kind}\n" in text for kind, _ in EXAMPLES.values())
