"""The template bank and the generator: every problem solvable, every twin a real twin."""

import re
from collections import Counter
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_core.data.bank import BANK
from steer_core.data.generate import (
    STEP_WEIGHTS,
    _draft,
    _twins,
    generate_pairs,
    generate_problems,
)
from steer_core.data.problems import Problem, question_key
from steer_core.data.templates import Template
from steer_core.data.words import WORD_LISTS
from steer_core.errors import UserError

seeds = st.integers(0, 2**32)
templates = st.sampled_from(BANK)
by_template = pytest.mark.parametrize("template", BANK, ids=lambda template: template.id)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _problems(template: Template, n: int) -> list[Problem]:
    rng = Random(template.id)
    return [_draft(template, rng).problem() for _ in range(n)]


def _follow(problem: Problem) -> int:
    """Recompute a chain with Python's own arithmetic; every operand must be known by then."""
    known = {*_numbers(problem.question), 2, 100}  # "half", "twice", "percent" are words
    result = 0
    for step in problem.chain:
        sides = re.fullmatch(r"<<(\d+(?:[-+*/]\d+){1,2})=(\d+)>>", step)
        assert sides, step
        assert set(_numbers(sides[1])) <= known, (problem.question, step)
        result = int(sides[2])
        assert eval(sides[1]) == result, step
        assert 1 <= result <= 999
        known.add(result)
    return result


@given(templates, seeds)
def test_the_chain_leads_from_the_question_to_the_answer(template, seed):
    problem = _draft(template, Random(seed)).problem()
    assert _follow(problem) == problem.answer
    assert problem.steps == len(template.steps)
    assert all(1 <= number <= 999 for number in _numbers(problem.question))


@given(templates, seeds)
def test_a_twin_differs_in_one_number_and_in_the_answer(template, seed):
    rng = Random(seed)
    twins = _twins(_draft(template, rng), rng)
    if twins is None:  # a problem none of whose numbers can change; asserted rare below
        return
    clean, corrupted = twins
    changed = [
        pair
        for pair in zip(_numbers(clean.question), _numbers(corrupted.question), strict=True)
        if pair[0] != pair[1]
    ]
    assert len(changed) == 1
    assert re.sub(r"\d+", "#", clean.question) == re.sub(r"\d+", "#", corrupted.question)
    assert clean.answer != corrupted.answer
    assert _follow(corrupted) == corrupted.answer
    assert clean.template == corrupted.template == template.id


@by_template
def test_nearly_every_problem_has_a_twin(template):
    rng = Random(5)
    assert sum(_twins(_draft(template, rng), rng) is None for _ in range(100)) <= 2


@by_template
def test_answers_vary(template):
    answers = Counter(problem.answer for problem in _problems(template, 400))
    assert max(answers.values()) <= 0.15 * 400
    assert len(answers) >= 20


@by_template
def test_questions_read_as_whole_sentences(template):
    for question in (problem.question for problem in _problems(template, 100)):
        assert question[0].isupper() or question[0].isdigit()
        assert question.endswith("?")
        assert not re.search(r"  |[{}]|\?.", question)
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n (?!hour)[^aeiou]", question)
        assert 8 <= len(question.split()) <= 60


@by_template
def test_every_phrasing_is_used(template):
    rng = Random(1)
    used = {_draft(template, rng).phrasing for _ in range(100)}
    assert used == {*range(len(template.phrasings))}
    assert len(used) >= 2


def test_the_bank_is_wide_enough_and_small_enough_to_learn():
    assert len({template.id for template in BANK}) == len(BANK) >= 50
    per_steps = Counter(len(template.steps) for template in BANK)
    assert set(per_steps) == {1, 2, 3, 4, 5}
    assert min(per_steps.values()) >= 5
    held = Counter(len(template.steps) for template in BANK if template.held_out)
    assert held.keys() >= {1, 2, 3, 4}
    problems = [*islice(generate_problems(0), 20_000)]
    words = {word for p in problems for word in re.findall(r"[A-Za-z]+", p.question)}
    assert 200 < len(words) < 900


def test_different_people_have_different_names():
    names = {entry["person"] for entry in WORD_LISTS["person"]}
    for problem in islice(generate_problems(3), 5_000):
        template = next(t for t in BANK if t.id == problem.template)
        people = {
            slot for text in template.phrasings for slot in re.findall(r"{(person\d*)}", text)
        }
        told = {word for word in re.findall(r"[A-Z]\w+", problem.question) if word in names}
        assert len(told) <= len(people)
        if problem.template in ("three_collectors", "three_scores", "three_share"):
            assert len(told) == 3


@given(seeds, st.booleans())
def test_the_stream_is_a_function_of_the_seed(seed, held_out):
    first = [*islice(generate_problems(seed, held_out), 20)]
    assert first == [*islice(generate_problems(seed, held_out), 20)]
    assert first != [*islice(generate_problems(seed + 1, held_out), 20)]


def test_the_stream_does_not_depend_on_the_python_release():
    first = next(generate_problems(0))
    assert first.question == (
        "Olivia has 26 liters of water and adds 11 liters a minute for 10 minutes. "
        "She then gives 9 plants 4 liters each. How many liters are left?"
    )
    assert first.chain == ("<<11*10=110>>", "<<110+26=136>>", "<<9*4=36>>", "<<136-36=100>>")


def test_training_never_sees_a_held_out_template():
    held = {template.id for template in BANK if template.held_out}
    trained = {problem.template for problem in islice(generate_problems(1), 20_000)}
    shown = {problem.template for problem in islice(generate_problems(1, held_out=True), 5_000)}
    assert shown == held
    assert trained == {template.id for template in BANK} - held


def test_steps_come_in_the_asked_shares():
    steps = Counter(problem.steps for problem in islice(generate_problems(2), 20_000))
    assert {n: steps[n] / 20_000 for n in steps} == pytest.approx(STEP_WEIGHTS, abs=0.015)
    only = islice(generate_problems(2, step_weights={4: 1.0}), 100)
    assert {problem.steps for problem in only} == {4}


@given(seeds)
def test_pairs_share_no_problem_with_each_other_or_with_the_excluded(seed):
    earlier = {question_key(pair.clean.question) for pair in generate_pairs(30, seed)}
    pairs = generate_pairs(30, seed, held_out_share=0.2, exclude=earlier)
    keys = [question_key(p.question) for pair in pairs for p in (pair.clean, pair.corrupted)]
    assert len(set(keys)) == 60
    assert not earlier & set(keys)
    assert sum(pair.held_out for pair in pairs) == 6
    held = {template.id for template in BANK if template.held_out}
    assert all((pair.clean.template in held) == pair.held_out for pair in pairs)


def test_impossible_requests_name_the_value_and_the_next_move(monkeypatch):
    with pytest.raises(UserError, match=r"share 1\.5 .* 0\.\.1; give"):
        generate_pairs(2, 0, held_out_share=1.5)
    with pytest.raises(UserError, match=r"\[9\] steps; give a weight"):
        next(generate_problems(0, step_weights={9: 1.0}))
    tiny = Template("tiny", ("Is it {a} and {b}?",), {"a": (1, 2), "b": (1, 2)}, ("a+b",))
    monkeypatch.setattr("steer_core.data.generate.BANK", (tiny,))
    with pytest.raises(UserError, match=r"3 pairs asked, only 2 new ones found; ask for fewer"):
        generate_pairs(3, 0)


def test_names_do_not_make_a_problem_new_but_numbers_and_nouns_do():
    key = question_key("Tom has 3 apples.  He gives his sister 2.")
    assert key == question_key("Mia has 3 apples. She gives her sister 2.")
    assert key != question_key("Tom has 4 apples. He gives his sister 2.")
    assert key != question_key("Tom has 3 pears. He gives his sister 2.")


@pytest.mark.parametrize(
    "broken",
    [
        {"phrasings": ("{a} apples?",)},
        {"phrasings": ("{a} and {a} and {b}?",)},
        {"steps": ("a+b*2",)},
        {"numbers": {"a": (5, 5), "b": (1, 9)}},
        {"constraints": ("a>b",)},
    ],
)
def test_a_template_that_cannot_work_fails_when_it_is_written(broken):
    good = {
        "phrasings": ("{a} and {b}?",),
        "numbers": {"a": (1, 9), "b": (1, 9)},
        "steps": ("a+b",),
    }
    Template("good", **good)
    with pytest.raises(AssertionError):
        Template("broken", **{**good, **broken})


def test_values_outside_the_rules_have_no_solution():
    template = Template(
        "t", ("{a} {b}?",), {"a": (1, 99), "b": (1, 99)}, ("a/b", "s1*a"), ("b<a",), limit=100
    )
    assert template.solve({"a": 12, "b": 4}) == (3, 36)
    assert template.chain({"a": 12, "b": 4}, (3, 36)) == ("<<12/4=3>>", "<<3*12=36>>")
    assert template.solve({"a": 12, "b": 5}) is None  # remainder
    assert template.solve({"a": 40, "b": 4}) is None  # 400 is over the limit
    assert template.solve({"a": 4, "b": 4}) is None  # constraint
