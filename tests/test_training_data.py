"""What the trainer reads: tokenizer and batches."""

from itertools import chain, islice

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from training_parts import PROBLEMS, small_tokenizer, texts
from transformers import PreTrainedTokenizerFast

from steer_core.data.generate import STEP_WEIGHTS, generate_problems
from steer_core.data.pairs import shipped_keys
from steer_core.data.problems import Pair, Problem, question_key
from steer_core.training import batch as batching
from steer_core.training.batch import Batch, Stream, alone_through, encode
from steer_core.training.tokenizer import BOT, EOS, EOT, PAD, train_tokenizer

NONE: frozenset[str] = frozenset()
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems are drawn a few at a time."""
    monkeypatch.setattr(batching, "POOL", 4)


# --- tokenizer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "context",
    [
        "{}",
        "has {} apples",
        "${}.",
        "<<3*4={}>>",
        "The answer is: {}",
        "-{}%",
        "({}",
        "Á{}",
        "1,{}",
    ],
)
def test_every_number_is_the_same_one_token(tokenizer: PreTrainedTokenizerFast, context: str):
    numbers = range(1000)
    ids = tokenizer([context.format(n) for n in numbers])["input_ids"]
    wanted = tokenizer.convert_tokens_to_ids([str(n) for n in numbers])
    assert len(set(wanted)) == 1000
    assert {len(row) for row in ids} == {len(ids[0])}
    for row, token in zip(ids, wanted, strict=True):
        assert row.count(token) >= 1


@quick
@given(text=st.text())
def test_any_text_comes_back(tokenizer: PreTrainedTokenizerFast, text: str):
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert max(ids, default=0) < tokenizer.pad_token_id


@pytest.mark.parametrize(
    "text",
    ["😀 7 apples", "1234567", "007", "a  b\n\tc ", "naïve café 中文", " 5 ", "e\u0301", "\x00"],
)
def test_odd_text_comes_back(tokenizer: PreTrainedTokenizerFast, text: str):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_special_tokens_end_the_vocabulary(tokenizer: PreTrainedTokenizerFast):
    ids = tokenizer.convert_tokens_to_ids([EOS, PAD, BOT, EOT])
    base = len(tokenizer) - 3
    assert ids == [base - 1, base, base + 1, base + 2]
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (base - 1, base)


def test_word_problems_take_few_tokens(tokenizer: PreTrainedTokenizerFast):
    """Merges were learned: fewer than one token for three characters."""
    material = texts(50)
    count = sum(len(ids) for ids in tokenizer(material)["input_ids"])
    assert count * 3 < sum(map(len, material))


def test_blanks_cost_no_tokens_of_their_own(tokenizer: PreTrainedTokenizerFast):
    """The one before a number belongs to the word in front of it."""
    blank = tokenizer.convert_tokens_to_ids("Ġ")
    ids = [token for row in tokenizer(texts(50))["input_ids"] for token in row]
    assert ids.count(blank) < len(ids) / 100


def test_training_a_tokenizer_twice_gives_the_same(tokenizer: PreTrainedTokenizerFast):
    """A resumed run learns its tokenizer again."""
    again = train_tokenizer(texts(300))
    assert (
        again.backend_tokenizer.to_str() == train_tokenizer(texts(300)).backend_tokenizer.to_str()
    )
    assert again.get_vocab() == tokenizer.get_vocab()


# --- batches -------------------------------------------------------------------------------------


def test_a_batch_holds_its_problems(tokenizer: PreTrainedTokenizerFast):
    batch = encode(PROBLEMS, tokenizer)
    for i, problem in enumerate(PROBLEMS):
        question = batch.question[i][batch.question_mask[i]]
        assert tokenizer.decode(question) == problem.question
        assert batch.question_mask[i, -len(question) :].all(), "not padded on the left"
        cot, answer = (
            ids[i][mask[i]]
            for ids, mask in ((batch.cot, batch.cot_mask), (batch.answer, batch.answer_mask))
        )
        sentence = f"The answer is: {problem.answer}{EOS}"
        assert tokenizer.decode(answer) == sentence
        assert tokenizer.decode(cot) == " ".join(problem.chain) + sentence
        assert batch.cot_mask[i, : len(cot)].all(), "not padded on the right"
        number = tokenizer.convert_tokens_to_ids(str(problem.answer))
        assert batch.cot[i, batch.cot_colon[i] + 1] == number
        assert batch.answer[i, batch.answer_colon[i] + 1] == number
        assert tokenizer.decode(batch.answer[i, batch.answer_colon[i]]) == ": "
    for ids, mask in (
        (batch.question, batch.question_mask),
        (batch.cot, batch.cot_mask),
        (batch.answer, batch.answer_mask),
    ):
        assert (ids[~mask] == tokenizer.pad_token_id).all()


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, n), getattr(other, n)) for n in Batch.__slots__)


def stream(tokenizer: PreTrainedTokenizerFast, count: int, seed: int = 0, start: int = 0, **more):
    made = Stream(seed, 4, tokenizer, **{"forbidden": NONE, **more})
    return list(islice(made.batches(start), count))


@pytest.mark.parametrize("start", [0, 1, 3, 4, 5, 8, 11])
def test_a_stream_goes_on_where_it_was_left(
    tokenizer: PreTrainedTokenizerFast, start: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batching, "POOL", 4)
    options = {"twins": True, "varied": 0.5, "hidden": 0.5}
    whole = stream(tokenizer, 14, **options)
    tail = stream(tokenizer, 14 - start, start=start, **options)
    assert all(same(one, other) for one, other in zip(whole[start:], tail, strict=True))


def test_another_seed_is_another_stream(tokenizer: PreTrainedTokenizerFast):
    one, other = (stream(tokenizer, 2, seed) for seed in (0, 1))
    assert not any(same(a, b) for a, b in zip(one, other, strict=True))


def questions(found: list[Batch], tokenizer: PreTrainedTokenizerFast) -> list[str]:
    rows = chain.from_iterable(zip(b.question, b.question_mask, strict=True) for b in found)
    return [tokenizer.decode(ids[mask]) for ids, mask in rows]


def test_a_pool_is_drawn_once_and_used_whole(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batching, "POOL", 4)
    drawn = [problem.question for problem in islice(generate_problems(0), 16)]
    assert sorted(questions(stream(tokenizer, 4), tokenizer)) == sorted(drawn)


def test_forbidden_problems_are_left_out(tokenizer: PreTrainedTokenizerFast):
    plain = questions(stream(tokenizer, 16), tokenizer)
    forbidden = frozenset(map(question_key, plain[::2]))
    kept = questions(stream(tokenizer, 16, forbidden=forbidden), tokenizer)
    assert not forbidden & set(map(question_key, kept))
    assert set(plain[1::2]) & set(kept)


def test_problems_of_more_steps_join_one_after_the_other(tokenizer: PreTrainedTokenizerFast):
    made = Stream(0, 4, tokenizer, NONE, easy=100)
    joined = [sorted(n for n, w in made.weights(batch).items() if w > 0) for batch in range(120)]
    assert [len(each) for each in joined] == sorted(len(each) for each in joined)
    assert joined[0] == [1]
    assert joined[24] == [1, 2]
    assert joined[26] == [1, 2, 3]
    assert made.weights(100) == made.weights(119) == dict(STEP_WEIGHTS)
    first = [problem.steps for problem, _ in made.pool(0, made.weights(0))]
    assert set(first) == {1}


def test_no_shipped_problem_is_in_the_stream(tokenizer: PreTrainedTokenizerFast):
    """A twin of every shipped question is generated by the same templates: some would be."""
    keys = shipped_keys()
    found = questions(stream(tokenizer, 120, forbidden=keys, varied=0.5), tokenizer)
    assert len(found) == 480
    assert not keys & {question_key(question) for question in found}


def test_results_stand_at_their_positions_and_the_last_ones_repeat(
    tokenizer: PreTrainedTokenizerFast,
):
    batch = encode(PROBLEMS, tokenizer)
    wanted = [[7] * 6, [84] + [80] * 5, [5] * 6]
    found = [[int(tokenizer.decode(token)) for token in row] for row in batch.results]
    assert found == wanted


def test_twins_lie_side_by_side_with_the_step_that_they_differ_through(
    tokenizer: PreTrainedTokenizerFast,
):
    for batch in stream(tokenizer, 8, twins=True, varied=0.5):
        assert torch.equal(batch.changed[::2], batch.changed[1::2])
        differing = (batch.question[::2] != batch.question[1::2]).sum(1)
        assert (differing == 1).all(), "twins differ in one number, whatever words were dropped"
        for row in batch.changed.nonzero().flatten().tolist():
            step = int(batch.changed[row])
            mine, other = batch.results[row], batch.results[row ^ 1]
            assert torch.equal(mine[: step - 1], other[: step - 1])
            assert mine[step - 1] != other[step - 1]


def pair(clean: tuple[str, ...], corrupted: tuple[str, ...]) -> Pair:
    problems = (
        Problem("", int(chain[-1][:-2].split("=")[1]), chain) for chain in (clean, corrupted)
    )
    return Pair(0, *problems)


@pytest.mark.parametrize(
    ("clean", "corrupted", "step"),
    [
        (("<<3+4=7>>", "<<7*2=14>>"), ("<<3+5=8>>", "<<8*2=16>>"), 1),
        (("<<3+4=7>>", "<<7*2=14>>"), ("<<3+4=7>>", "<<7*3=21>>"), 2),
        (("<<3+4=7>>", "<<7+4=11>>"), ("<<3+5=8>>", "<<8+5=13>>"), 0),
        (("<<3+4=7>>", "<<2*5=10>>", "<<7+10=17>>"), ("<<3+5=8>>", "<<2*5=10>>", "<<8+10=18>>"), 1),
        (("<<3+4=7>>",), ("<<3+4=7>>",), 0),
    ],
    ids=["carried on", "last step", "used again", "across a step", "no change"],
)
def test_a_number_that_is_used_again_acts_through_more_than_one_result(
    clean: tuple[str, ...], corrupted: tuple[str, ...], step: int
):
    assert alone_through(pair(clean, corrupted)) == step


def test_the_share_of_rows_that_hide_the_question(tokenizer: PreTrainedTokenizerFast):
    hidden = torch.cat([b.hidden for b in stream(tokenizer, 60, hidden=0.4)])
    assert 0.25 < hidden.float().mean() < 0.55
    assert not any(b.hidden.any() for b in stream(tokenizer, 4))


def test_words_are_varied_in_a_share_of_the_questions(tokenizer: PreTrainedTokenizerFast):
    plain, varied = (questions(stream(tokenizer, 8, varied=v), tokenizer) for v in (0.0, 0.5))
    changed = set(varied) - set(plain)
    assert 0 < len(changed) < len(varied)
