"""Scores of candidate answers against teacher forcing by the slow reference, token by token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pytest
import torch
from reference import Addition, Reference, log_probabilities, prompt_ids
from slow_models import bundled_reference, edit_of
from tiny_checkpoints import QUESTIONS, Recipe, build

from steer_core import load_model, load_pairs
from steer_core.codi.model import CodiModel
from steer_core.steering.decode import Decoded, Options, Row, Scores, acting, decode_rows
from steer_core.steering.rows import MAX_NEW_TOKENS

TOLERANCE = 1e-4
RECIPES = {
    "gpt2": Recipe(tied=False, eos_gain=4.0),
    "llama that keeps EOS": Recipe("llama", tied=False, eos_gain=4.0, keep_eos=True),
}
GOLDS = ((7, 12345), (12, 12), (3.5, 30))
"""Of one token and of several; "12" and "1..." begin alike."""
Numbers = Sequence[tuple[float, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A model twice, and three questions for it."""

    model: CodiModel
    reference: Reference
    tokenizer: object
    questions: tuple[str, ...]
    size: float  # of an edit that changes much

    def additions(self) -> list[Addition | None]:
        """Plain, and edited at each site; small and large."""
        size = self.model.config.hidden
        d = self.size * torch.randn(7, size, generator=torch.Generator().manual_seed(3))
        return [
            None,
            Addition("residual", 0.1, d, (1, 2, 3), 1),
            Addition("residual", -3.0, d, (4, 6), 2),
            Addition("thought", 2.0, d, (0, 5)),
            Addition("embedding", 0.5, d, (6,)),
        ]

    def rows(self) -> list[Row]:
        return [
            Row(question, acting(self.model, edit_of(addition)))
            for addition in self.additions()
            for question in range(len(self.questions))
        ]

    def run(
        self, rows: list[Row], numbers: Numbers | None, options: Options | None = None
    ) -> list[Decoded]:
        """Results in the order of the rows, each exactly once, nothing remembered before."""
        self.model.session.forget()
        found: dict[int, Decoded] = {}
        options = options or Options(max_new_tokens=3)
        for batch in decode_rows(self.model, self.questions, rows, options, candidates=numbers):
            assert not {where for where, _ in batch} & set(found)
            found.update(batch)
        assert sorted(found) == list(range(len(rows)))
        return [found[i] for i in range(len(rows))]

    def written(self, number: float) -> tuple[list[int], int]:
        """The answer with a number as ids, and where its number begins."""
        ids = self.tokenizer(f"The answer is: {number}", add_special_tokens=False)["input_ids"]
        texts = [self.tokenizer.decode(ids[: n + 1]) for n in range(len(ids))]
        return ids, next(n for n, text in enumerate(texts) if text[-1].isdigit())


@pytest.fixture(scope="module", params=[*RECIPES, "tiny-llama"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    if request.param == "tiny-llama":
        model = load_model("tiny-llama", device="cpu", dtype="float32")
        asked = tuple(pair.clean.question for pair in load_pairs("test")[:60:20])
        return Case(model, *bundled_reference("tiny-llama"), asked, 300.0)
    tiny = build(tmp_path_factory.mktemp("tiny"), RECIPES[request.param])
    model = load_model(str(tiny.path), device="cpu", dtype="float32", **tiny.options)
    return Case(model, tiny.reference, tiny.tokenizer, QUESTIONS[:3], 4.0)


@pytest.fixture(scope="module")
def scored(case: Case) -> list[Decoded]:
    return case.run(case.rows(), GOLDS)


def assert_close(found: Scores, wanted: Scores) -> None:
    for a, b in zip(astuple(found), astuple(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE)


# --- against brute force -------------------------------------------------------------------------


def slow_scores(case: Case, row: int) -> Scores:
    """Scores of one of `case.rows()`, by the definitions."""
    question, addition = row % 3, case.additions()[row // 3]
    prompt = prompt_ids(case.reference, case.tokenizer, case.questions[question])
    logprobs, margin, distances = [], None, None
    for number in GOLDS[question]:
        ids, at = case.written(number)
        logs = log_probabilities(case.reference, prompt, ids, addition)
        steps = [float(logs[n, token]) for n, token in enumerate(ids)]
        logprobs.append(sum(steps) + float(logs[-1, case.reference.eos]))
        if margin is None:
            others = logs[at].clone()
            others[ids[at]] = -math.inf
            margin = float(logs[at, ids[at]] - others.max())
            plain = log_probabilities(case.reference, prompt, ids[:at])[[0, at]]
            gap = plain - logs[[0, at]]
            distances = (*(plain.exp() * gap).sum(1).tolist(), float(gap.abs().max()))
    return Scores(tuple(logprobs), margin, *distances)


def test_scores_are_those_of_teacher_forcing(case: Case, scored: list[Decoded]):
    for index, row in enumerate(scored):
        assert_close(row.scores, slow_scores(case, index))


def test_there_is_something_to_score(case: Case, scored: list[Decoded]):
    """Edits move the scores by far more than the tolerance."""
    edited = [row.scores for row in scored[3:]]
    assert min(s.shift for s in edited) > 10 * TOLERANCE
    # Nothing makes a trained model begin with another word than "The".
    assert case.model.source == "bundled" or max(s.kl for s in edited) > 100 * TOLERANCE
    assert max(s.kl_number for s in edited) > 100 * TOLERANCE
    assert len({round(s.margin, 3) for s in edited}) > 6


# --- what must not change ------------------------------------------------------------------------


def test_ids_are_those_without_candidates(case: Case):
    options = Options(max_new_tokens=8)
    bare = case.run(case.rows(), None, options)
    full = case.run(case.rows(), GOLDS, options)
    assert [row.token_ids for row in bare] == [row.token_ids for row in full]
    assert all(row.scores is None for row in bare)


@pytest.mark.parametrize(
    "options",
    [
        Options(3, max_rows=1),
        Options(3, max_rows=4),
        Options(3, hidden=True),
        Options(1),
        Options(3, in_order=True),
    ],
)
def test_scores_do_not_depend_on_the_batches(case: Case, scored: list[Decoded], options: Options):
    for row, other in zip(case.run(case.rows(), GOLDS, options), scored, strict=True):
        assert_close(row.scores, other.scores)


def test_scores_do_not_depend_on_the_rows_beside(case: Case, scored: list[Decoded]):
    """Nor on plain rows that nobody asked for: they are decoded, and not given out."""
    rows = case.rows()
    for index in (4, 8, 12):
        (alone,) = case.run([rows[index]], GOLDS)
        assert_close(alone.scores, scored[index].scores)
    backwards = case.run(rows[:2:-1], GOLDS)[::-1]
    for row, other in zip(backwards, scored[3:], strict=True):
        assert_close(row.scores, other.scores)


def test_a_second_request_remembers_the_plain_rows(case: Case, scored: list[Decoded]):
    rows = case.rows()
    again = dict(
        pair
        for batch in [*decode_rows(case.model, case.questions, rows, Options(3), candidates=GOLDS)]
        for pair in batch
    )
    for index, row in enumerate(scored):
        assert_close(again[index].scores, row.scores)
        assert again[index].token_ids == row.token_ids
    # Other candidates of the same questions are other scores.
    other = [numbers[::-1] for numbers in GOLDS]
    for batch in decode_rows(case.model, case.questions, rows, Options(3), candidates=other):
        for index, row in batch:
            want = scored[index].scores.logprobs[::-1]
            np.testing.assert_allclose(row.scores.logprobs, want, rtol=0, atol=TOLERANCE)


# --- nothing arrived -----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [Options(3), Options(3, hidden=True, max_rows=2)])
def test_where_nothing_arrives_nothing_changes(case: Case, options: Options):
    """Exactly nothing, not nearly: plain rows, and edits that the answer cannot see."""
    config = case.model.config
    d = 100 * torch.ones(config.latents + 1, config.hidden)
    nothing = [
        Addition("residual", 0.0, d, (1, 2), 1),
        Addition("residual", 1.0, d, (), 1),
        Addition("thought", 1.0, d, (config.latents,)),
        Addition("embedding", 1.0, d, (0,)),
        Addition("residual", 1.0, d, (config.latents,), config.layers),
    ]
    edits = [(), *(acting(case.model, edit_of(each)) for each in nothing)]
    live = acting(case.model, edit_of(case.additions()[1]))
    rows = [Row(1, edit) for edit in (*edits, live)]
    *dead, alive = case.run(rows, GOLDS, options)
    for row in dead:
        assert (row.scores.kl, row.scores.kl_number, row.scores.shift) == (0.0, 0.0, 0.0)
        assert row.scores == dead[0].scores
    assert alive.scores.shift > 0


# --- odd candidates ------------------------------------------------------------------------------


def test_gold_and_twin_may_be_the_same(scored: list[Decoded]):
    for row in scored[1::3]:
        assert row.scores.logprobs[0] == row.scores.logprobs[1]


def test_any_count_of_candidates(case: Case, scored: list[Decoded]):
    for numbers in ([(g,) for g, _ in GOLDS], [(g, t, 8) for g, t in GOLDS]):
        for row, other in zip(case.run(case.rows(), numbers), scored, strict=True):
            assert len(row.scores.logprobs) == len(numbers[0])
            assert row.scores.margin == pytest.approx(other.scores.margin, abs=TOLERANCE)
            same = min(2, len(numbers[0]))
            np.testing.assert_allclose(
                row.scores.logprobs[:same], other.scores.logprobs[:same], rtol=0, atol=TOLERANCE
            )


@pytest.mark.parametrize("missing", [(0,), (1,), (0, 1)])
def test_what_cannot_be_written_is_nan_and_nothing_else(
    case: Case, scored: list[Decoded], missing: tuple[int, ...]
):
    numbers = [list(each) for each in GOLDS]
    for which in missing:
        numbers[0][which] = math.inf  # no number that any vocabulary writes
    for index, (row, other) in enumerate(zip(case.run(case.rows(), numbers), scored, strict=True)):
        lost = missing if index % 3 == 0 else ()
        want = [math.nan if i in lost else x for i, x in enumerate(other.scores.logprobs)]
        np.testing.assert_allclose(row.scores.logprobs, want, rtol=0, atol=TOLERANCE)
        want = math.nan if 0 in lost else other.scores.margin
        np.testing.assert_allclose(row.scores.margin, want, rtol=0, atol=TOLERANCE)
        assert row.token_ids == other.token_ids
        for name in ("kl", "kl_number", "shift"):
            found, wanted = (getattr(each.scores, name) for each in (row, other))
            assert found == pytest.approx(wanted, abs=TOLERANCE)


def test_a_vocabulary_may_lack_numbers():
    """In tiny-llama's a negative number does not begin behind what all answers begin with."""
    model = load_model("tiny-llama", device="cpu", dtype="float32")
    question = load_pairs("test")[0].clean.question
    numbers = [(-3, 1234567)]
    ((_, row),) = next(decode_rows(model, [question], [Row(0)], candidates=numbers))
    assert math.isnan(row.scores.margin)
    assert math.isnan(row.scores.logprobs[0])
    assert row.scores.logprobs[1] < 0
    assert len(row.token_ids) < MAX_NEW_TOKENS
