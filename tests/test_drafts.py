"""Drafts save passes and change nothing: ids equal the reference's, whatever is drafted."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import Addition, prompt_ids
from reference import decode as decode_slowly
from slow_models import edit_of
from tiny_checkpoints import HIDDEN, QUESTIONS, Recipe, Tiny, build

from steer_core import decode, load_model
from steer_core.codi import cores
from steer_core.codi.answer import Answer
from steer_core.codi.drafts import Candidates, evened
from steer_core.codi.engine import BatchResult, run_batch
from steer_core.codi.model import CodiModel
from steer_core.steering import batches
from steer_core.steering.decode import acting
from steer_core.steering.edits import Edit
from steer_core.steering.plan import EditPlan

LIMIT = 10
RECIPES = {
    "gpt2": Recipe(tied=False, eos_gain=10.0),
    "gpt2 that keeps EOS": Recipe(tied=False, eos_gain=6.0, keep_eos=True),
    "llama": Recipe("llama", tied=False, eos_gain=10.0),
    "llama that keeps EOS": Recipe("llama", tied=False, eos_gain=6.0, keep_eos=True),
}
ASKED = QUESTIONS[:3]
quick = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def additions() -> list[Addition | None]:
    """The rows of every question: plain, and edited at each site."""
    d = torch.randn(7, HIDDEN, generator=torch.Generator().manual_seed(1))
    return [
        None,
        Addition("residual", -2.0, d, (1, 2, 3), 1),
        Addition("thought", 1.0, d, (0, 4)),
        Addition("residual", 2.0, d, (5, 6), 2),
        Addition("embedding", 0.7, d, (2, 6)),
    ]


ROWS = len(additions())


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A model, its rows, and their ids by the reference, `LIMIT` at most."""

    tiny: Tiny
    model: CodiModel
    ids: list[list[tuple[int, ...]]]

    def run(self, drafts: list[Candidates] | None, limit: int = LIMIT, **kept) -> BatchResult:
        """All rows of all questions in one batch."""
        rows = [acting(self.model, edit_of(each)) for each in additions()] * len(ASKED)
        return run_batch(
            self.model,
            [self.model.encode(question) for question in ASKED],
            ROWS,
            EditPlan(rows, self.model.device),
            max_new_tokens=limit,
            candidates=drafts,
            **kept,
        )

    def wanted(self, limit: int) -> tuple[tuple[int, ...], ...]:
        """The ids of all rows."""
        return tuple(ids[:limit] for question in self.ids for ids in question)


@pytest.fixture(scope="module", params=RECIPES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    tiny = build(tmp_path_factory.mktemp("tiny"), RECIPES[request.param])
    model = load_model(str(tiny.path), device="cpu", dtype="float32", **tiny.options)
    prompts = [prompt_ids(tiny.reference, tiny.tokenizer, question) for question in ASKED]
    ids = [
        [decode_slowly(tiny.reference, prompt, edit, LIMIT).ids for edit in additions()]
        for prompt in prompts
    ]
    assert len({len(some) for question in ids for some in question}) > 2, "rows must end apart"
    return Case(tiny, model, ids)


# --- ids -----------------------------------------------------------------------------------------

tails = st.lists(st.integers(-4, 12), max_size=4)
"""Token ids; negative ones from the end of the vocabulary: EOT, BOT, pad. EOS is 0 or 1."""
some_drafts = st.lists(
    st.tuples(st.integers(0, ROWS - 1), st.integers(0, LIMIT + 2), tails), min_size=2, max_size=5
)


def drafted(case: Case, question: int, specs: list, scored: int) -> Candidates:
    """Answers of some row of the question up to a token, then something else."""
    size = case.model.config.vocabulary
    answers = [
        (*case.ids[question][row][:cut], *(token % size for token in tail))
        for row, cut, tail in specs
    ]
    asked = [tuple(t for t in ids if t != size - 1) for ids in answers[:scored]]
    trunk = 0
    while asked and all(len(ids) > trunk and ids[trunk] == asked[0][trunk] for ids in asked):
        trunk += 1
    return Candidates(tuple(asked), tuple(answers[scored:]), trunk)


@quick
@given(
    specs=st.lists(some_drafts, min_size=3, max_size=3),
    scored=st.integers(0, 2),
    limit=st.integers(1, LIMIT),
)
def test_no_draft_changes_an_id(case: Case, specs: list, scored: int, limit: int):
    """Right ones, wrong ones, both beside each other, longer than the limit, with EOS and pad."""
    drafts = [drafted(case, g, some, scored) for g, some in enumerate(specs)]
    assert case.run(drafts, limit).token_ids == case.wanted(limit)


def test_without_drafts_they_are_the_same(case: Case):
    assert case.run(None).token_ids == case.wanted(LIMIT)


def test_every_row_may_have_a_draft_of_its_own(case: Case):
    drafts = [Candidates(likely=tuple(ids)) for ids in case.ids]
    assert case.run(drafts).token_ids == case.wanted(LIMIT)


def test_a_row_whose_answer_is_drafted_in_full_needs_no_pass_of_its_own(
    case: Case, monkeypatch: pytest.MonkeyPatch
):
    fed = []
    feed = Answer.next_tokens
    monkeypatch.setattr(Answer, "next_tokens", lambda *args: fed.append(1) or feed(*args))
    case.run(None)
    assert len(fed) == max(map(len, case.wanted(LIMIT))) - 1
    fed.clear()
    case.run([Candidates(likely=tuple(ids)) for ids in case.ids])
    assert not fed
    # Three tokens of each are drafted; then the first pick behind them is known too.
    case.run([Candidates(likely=tuple(ids[:3] for ids in some)) for some in case.ids])
    assert len(fed) == max(map(len, case.wanted(LIMIT))) - 4


def test_states_and_first_logits_do_not_see_drafts(case: Case):
    junk = [Candidates(scored=((5, 6), (5, 7)), likely=(ids[1],), trunk=1) for ids in case.ids]
    bare = case.run(None, record=True, first_logits=True)
    full = case.run(junk, record=True, first_logits=True)
    assert torch.equal(bare.states, full.states)
    torch.testing.assert_close(full.first_logits, bare.first_logits, rtol=0, atol=1e-4)
    assert bare.scores is None
    assert full.scores is not None


def test_what_a_session_remembers_wrongly_changes_no_id(case: Case):
    """Whoever asked before, and whatever the model said then."""
    model = case.model
    model.session.forget()
    model.session.put("usual", (7, 8, 9), 24)
    for index, question in enumerate(ASKED):
        prompt = tuple(model.encode(question))
        wrong = (*case.ids[index][1][:2], 3, 0, 1)
        model.session.put(("answer", prompt), wrong if index else (), 40)
    questions = [question for question in ASKED for _ in additions()]
    edits = [edit_of(each) for each in additions()] * len(ASKED)
    rows = decode(model, questions, edits, max_new_tokens=LIMIT)
    assert tuple(row.token_ids for row in rows) == case.wanted(LIMIT)
    model.session.forget()


# --- the model's last position -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_drafts_beyond_the_last_position_are_not_taken(name: str, tmp_path):
    """The long question has room for a part of the draft only, the short one for all of it."""
    size = "n_positions" if name == "gpt2" else "max_position_embeddings"
    tiny = build(tmp_path, Recipe(name, tied=False, eos_gain=0.01, config=((size, 88),)))
    model = load_model(str(tiny.path), device="cpu", dtype="float32", **tiny.options)
    asked = [QUESTIONS[2], "Tom has 3 apples and buys 4 more. " * 2]
    wanted = [
        decode_slowly(
            tiny.reference,
            prompt_ids(tiny.reference, tiny.tokenizer, question),
            None,
            88 - 6 - 1 - len(model.encode(question)),
        ).ids
        for question in asked
    ]
    assert len(wanted[0]) > len(wanted[1]) + 20
    prompts = [model.encode(question) for question in asked]
    for known in (0, 1, 30, 200):
        drafts = [Candidates(likely=((*ids[:known], 9, 9, 9, 9), (8,) * 70)) for ids in wanted]
        found = run_batch(model, prompts, 1, candidates=drafts)
        assert list(found.token_ids) == wanted


def drafted_by(monkeypatch: pytest.MonkeyPatch, model: CodiModel, edit: Edit) -> list[Candidates]:
    """What edited rows of all questions are drafted with, once their plain answers are known."""
    decode(model, QUESTIONS, None, max_new_tokens=LIMIT)
    seen: list[Candidates] = []

    def spy(*args, candidates: list[Candidates], **kept) -> BatchResult:
        seen.extend(candidates)
        return run_batch(*args, candidates=candidates, **kept)

    monkeypatch.setattr(batches, "run_batch", spy)
    decode(model, QUESTIONS, edit, max_new_tokens=LIMIT)
    return seen


def test_few_rows_are_drafted_with_their_plain_answers_evened(monkeypatch, case: Case):
    addition = additions()[1]
    assert addition is not None
    edit = edit_of(addition)
    plain = [row.token_ids for row in decode(case.model, QUESTIONS, None, max_new_tokens=LIMIT)]
    seen = drafted_by(monkeypatch, case.model, edit)
    assert sorted(seen, key=str) == sorted(
        evened([Candidates(likely=(x,)) for x in plain]), key=str
    )
    case.model.session.forget()
    monkeypatch.setattr(cores, "MANY_ROWS", 1)
    (draft,) = {one.likely for one in drafted_by(monkeypatch, case.model, edit)}
    assert draft[0] == case.model.session.get("usual")
