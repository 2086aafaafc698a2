"""What a model remembers between requests: it saves work and changes no result."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import QUESTIONS, noise, tiny_model

from steer_core import Edit, decode
from steer_core.codi import cores, prefix
from steer_core.codi.model import CodiModel
from steer_core.codi.prefix import parts, prefixes
from steer_core.codi.session import Session
from steer_core.steering import batches
from steer_core.steering.decode import Decoded
from steer_core.steering.plain import keep_usual

LIMIT = 6


# --- the store -----------------------------------------------------------------------------------


class Recent:
    """The same by the book: a list from the least to the most recently used."""

    def __init__(self, budget: int):
        self.budget, self.kept = budget, OrderedDict()

    def put(self, key: int, value: object, size: int) -> None:
        if size > self.budget:
            return
        self.kept.pop(key, None)
        self.kept[key] = value, size
        while sum(size for _, size in self.kept.values()) > self.budget:
            self.kept.popitem(last=False)

    def get(self, key: int) -> object:
        if key in self.kept:
            self.kept.move_to_end(key)
        return self.kept.get(key, (None,))[0]


requests = st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 12)), max_size=30)


@given(budget=st.integers(0, 20), asked=requests)
def test_the_least_recently_used_goes_first(budget: int, asked: list):
    session, wanted = Session(budget), Recent(budget)
    for number, (write, key, size) in enumerate(asked):
        if write:
            session.put(key, number, size)
            wanted.put(key, number, size)
        else:
            assert session.get(key) == wanted.get(key)
        assert session.used == sum(size for _, size in wanted.kept.values()) <= budget
        assert list(session.kept) == list(wanted.kept)


def test_forgetting_drops_everything():
    session = Session(10)
    session.put("a", 1, 9)
    session.forget()
    assert session.get("a") is None
    session.put("b", 2, 10)  # there is room again
    assert session.get("b") == 2


def test_threads_may_write_at_once():
    session = Session(50)

    def work(seed: int) -> None:
        for i in range(300):
            session.put((seed * i) % 17, i, 1 + i % 5)
            session.get(i % 17)
            if i % 100 == 99:
                session.forget()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, seed) for seed in range(1, 9)]:
            done.result()
    assert session.used == sum(size for _, size in session.kept.values()) <= 50


# --- requests ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def model(one: CodiModel) -> CodiModel:
    """With nothing remembered."""
    return replace(one)


class Work:
    """Counts what is computed: questions read, and rows of every batch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.read: list[int] = []
        self.rows: list[int] = []
        prefill, run = prefix.prefill, batches.run_batch

        def reading(model, prompts):
            self.read.append(len(prompts))
            return prefill(model, prompts)

        def running(model, prompts, rows, *args, **kwargs):
            self.rows.append(len(prompts) * rows)
            return run(model, prompts, rows, *args, **kwargs)

        monkeypatch.setattr(prefix, "prefill", reading)
        monkeypatch.setattr(batches, "run_batch", running)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


def edited(model: CodiModel, alpha: float) -> list[Decoded]:
    edit = Edit(noise(model), alpha, "residual", 2, (1, 2))
    return decode(model, QUESTIONS[:3], edit, max_new_tokens=LIMIT, hidden=True)


def plain(model: CodiModel, limit: int = LIMIT, **kept) -> list[Decoded]:
    return decode(model, QUESTIONS[:3], max_new_tokens=limit, **kept)


def assert_same(rows: list[Decoded], others: list[Decoded]) -> None:
    for row, other in zip(rows, others, strict=True):
        found, wanted = ((r.question, r.token_ids, r.text, r.prompt_tokens) for r in (row, other))
        assert found == wanted
        if other.states is not None:
            np.testing.assert_allclose(row.states, other.states, rtol=0, atol=1e-4)


def test_a_question_is_read_once_and_its_plain_answer_decoded_once(model: CodiModel, work: Work):
    first = plain(model)
    assert (work.read, work.rows) == ([3], [3])
    assert_same(plain(model), first)
    assert (work.read, work.rows) == ([3], [3])
    edited(model, 1.0)
    edited(model, 2.0)
    assert (work.read, work.rows) == ([3], [3, 3, 3])
    decode(model, QUESTIONS[2:4], max_new_tokens=LIMIT)
    assert (work.read, work.rows) == ([3, 1], [3, 3, 3, 1])


def test_another_limit_is_another_answer(model: CodiModel, work: Work):
    long = plain(model, 8)
    short = plain(model, 3)
    assert [row.token_ids for row in short] == [row.token_ids[:3] for row in long]
    assert len(work.rows) == 2
    assert_same(plain(model, 8), long)
    assert len(work.rows) == 2


def test_states_are_never_taken_from_memory(model: CodiModel, work: Work):
    plain(model)
    (row, *_) = plain(model, hidden=True)
    assert row.states is not None
    (row, *_) = plain(model, first_logits=True)
    assert row.first_logits is not None
    assert work.rows == [3, 3, 3]
    assert plain(model)[0].states is None
    assert work.rows == [3, 3, 3]


def test_forgetting_gives_equal_results(model: CodiModel, work: Work):
    before = edited(model, 1.0), plain(model)
    model.session.forget()
    after = edited(model, 1.0), plain(model)
    assert work.read == [3, 3]
    for found, wanted in zip(after, before, strict=True):
        assert_same(found, wanted)


def test_a_changed_model_remembers_nothing(model: CodiModel, work: Work):
    before = plain(model)
    other = replace(model, body=replace(model.body, tokens=-model.body.tokens))
    assert other.session is not model.session
    assert plain(other)[0].token_ids != before[0].token_ids
    assert work.read == [3, 3]
    assert_same(plain(model), before)


def test_a_model_that_may_remember_nothing_still_answers(model: CodiModel, work: Work):
    wanted = plain(model), edited(model, 1.0)
    for budget in (0, 2000):
        model.session.forget()
        model.session.budget = budget
        assert_same(plain(model), wanted[0])
        assert_same(edited(model, 1.0), wanted[1])
        assert model.session.used <= budget
    assert len(work.read) > 3


def test_what_is_kept_fits_the_budget_in_bytes(model: CodiModel):
    plain(model)
    prompts = [len(model.encode(question)) for question in QUESTIONS[:3]]
    config = model.config
    each = 2 * config.layers * config.kv_heads * config.head_dim * 4
    assert sum(prompts) * each <= model.session.used <= sum(prompts) * each + 20_000


def test_requests_at_once_get_what_they_would_alone(one: CodiModel, model: CodiModel):
    wanted = [edited(replace(one), alpha) for alpha in (0.0, 1.0, 2.0)]

    def ask(i: int) -> list[Decoded]:
        return plain(model) if i % 4 == 3 else edited(model, float(i % 4))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(16)))
    for i, rows in enumerate(found):
        if i % 4 == 3:
            assert [r.token_ids for r in rows] == [r.token_ids for r in wanted[0]]
        else:
            assert_same(rows, wanted[i % 4])


# --- what is read --------------------------------------------------------------------------------


def test_prefixes_come_in_the_order_asked_and_do_not_see_each_other(model: CodiModel, work: Work):
    prompts = [model.encode(text) for text in ("Ann ran 5 km. " * 3, "Ann", "Ann ran 5 km.", "Ann")]
    together = prefixes(model, prompts)
    assert work.read == [3]  # one of them twice
    for found, prompt in zip(together, prompts, strict=True):
        (alone,) = prefixes(replace(model), [prompt])
        assert found.known.shape[3] == len(prompt) + 1
        torch.testing.assert_close(found.known, alone.known, rtol=0, atol=1e-5)
        torch.testing.assert_close(found.states, alone.states, rtol=0, atol=1e-5)


@given(lengths=st.lists(st.integers(1, 9), max_size=12).map(sorted), tokens=st.integers(1, 30))
def test_prompts_are_read_in_parts_of_so_many_tokens(lengths: list[int], tokens: int):
    keys = [("prefix", (i,) * n) for i, n in enumerate(lengths)]
    found = list(parts(keys, tokens))
    assert [key for part in found for key in part] == keys
    for part in found:
        assert len(part) == 1 or len(part) * (len(part[-1][1]) + 1) <= tokens
    for part, after in pairwise(found):
        assert (len(part) + 1) * (len(after[0][1]) + 1) > tokens


def test_many_questions_are_read_in_several_parts(
    model: CodiModel, work: Work, monkeypatch: pytest.MonkeyPatch
):
    wanted = plain(replace(model), hidden=True)
    work.read.clear()
    longest = max(len(model.encode(question)) for question in QUESTIONS[:3])
    monkeypatch.setitem(prefix.TOKENS_AT_A_TIME, "cpu", 2 * (longest + 1))
    assert_same(plain(model, hidden=True), wanted)
    assert work.read == [2, 1]


def test_what_answers_begin_with_is_learnt(model: CodiModel):
    for ids, usual in [((1, 2, 3), (1, 2, 3)), ((1, 2, 4, 5), (1, 2)), ((1,), (1,)), ((9,), ())]:
        keep_usual(model, ids)
        assert model.session.get("usual") == usual


@pytest.mark.parametrize("wide", [True, False])
def test_a_wide_model_answers_plainly_first_and_drafts_edited_rows_with_it(
    model: CodiModel, wide: bool, monkeypatch: pytest.MonkeyPatch
):
    plainly = decode(replace(model), QUESTIONS[:3], max_new_tokens=LIMIT)
    wanted = {row.question: row.token_ids for row in plainly}
    monkeypatch.setattr(cores, "WIDE", model.config.hidden if wide else model.config.hidden + 1)
    edits = [None, Edit(noise(model), 1e-6, "residual", 2, (1,))]
    asked, likely, run = [], [], batches.run_batch

    def running(model, prompts, rows, *args, **kwargs):
        likely.extend(each.likely for each in kwargs["candidates"])
        asked.append(len(prompts) * rows)
        return run(model, prompts, rows, *args, **kwargs)

    monkeypatch.setattr(batches, "run_batch", running)
    questions = [question for question in QUESTIONS[:3] for _ in edits]
    found = decode(model, questions, edits * 3, max_new_tokens=LIMIT)
    assert all(row.token_ids == wanted[row.question] for row in found)
    assert asked == ([3, 3] if wide else [6])
    if wide:
        assert set(likely[3:]) == {(ids,) for ids in wanted.values()}
