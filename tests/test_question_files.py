"""The one reader of users' files: what each layout asks and holds as gold, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_core.data.audit import audit_file
from steer_core.data.pairs import load_pairs
from steer_core.data.problems import Problem
from steer_core.data.questions import load_problems, read_questions
from steer_core.errors import UserError

Q, R = "Tom has 3 apples and buys 4, or 5. How many has he?", "Ann has 2 pens. How many pens?"
GSM8K = [
    {"question": Q, "answer": "3+4=<<3+4=7>>7\n#### 7"},
    {"question": R, "answer": "#### 1,200"},
]
SYMBOLIC = [
    {"id": 1, "question": q, "answer": a, "original_question": "Old?", "original_answer": "#### 9"}
    for q, a in ((Q, "#### 7"), (R, "#### 1200"))
]
SVAMP = [
    {"ID": "1", "Body": "Tom has 3.", "Question": "How many?", "Equation": "3", "Answer": 7.0},
    {"ID": "2", "Body": "Ann has 2.", "Question": "And she?", "Equation": "2", "Answer": 1200},
]
MULTIARITH = [
    {"iIndex": 1, "sQuestion": Q, "lEquations": ["X=3+4"], "lSolutions": [7.0]},
    {"iIndex": 2, "sQuestion": R, "lEquations": ["X=2"], "lSolutions": [1200.0]},
]
TEMPLATE = "Solve the following problem."


def two(question: str, answer: str, **more: object) -> list[dict]:
    """Both questions with their answers under these names."""
    return [more | {question: Q, answer: "7"}, more | {question: R, answer: 1200}]


def lines(rows: list) -> str:
    return "\n".join(map(json.dumps, rows))


def table(rows: list[dict], delimiter: str = ",", end: str = "\n") -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def parquet(rows: list[dict]) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(rows).to_parquet(buffer)
    return buffer.getvalue()


def alpaca(first: tuple[str, str], second: tuple[str, str], answer: str = "output") -> list[dict]:
    return [
        {"instruction": first[0], "input": first[1], answer: "7"},
        {"instruction": second[0], "input": second[1], answer: "1,200"},
    ]


def chat(role: str, said: str, user: str, assistant: str) -> list[list[dict]]:
    return [
        [{role: "system", said: "Be brief."}, {role: user, said: q}, {role: assistant, said: a}]
        for q, a in ((Q, "#### 7"), (R, "1200"))
    ]


SAME = {
    "gsm8k.jsonl": lines(GSM8K),
    "gsm8k.txt": lines(GSM8K),
    "no_ending": lines(GSM8K),
    "gsm8k.json": json.dumps(GSM8K, indent=1),
    "gsm8k.csv": table(GSM8K),
    "crlf.csv": table(GSM8K, end="\r\n"),
    "semicolon.csv": table(GSM8K, ";"),
    "tabs.tsv": table(GSM8K, "\t"),
    "table.txt": table(GSM8K),
    "gsm8k.parquet": parquet(GSM8K),
    "parquet.txt": parquet(GSM8K),
    "mark.jsonl": "\ufeff" + lines(GSM8K),
    "mark.csv": "\ufeff" + table(GSM8K, end="\r\n"),
    "crlf.jsonl": lines(GSM8K).replace("\n", "\r\n") + "\r\n\r\n",
    "symbolic.jsonl": lines(SYMBOLIC),
    "multiarith.json": json.dumps(MULTIARITH),
    "multiarith.csv": table(MULTIARITH),
    "multiarith.parquet": parquet(MULTIARITH),
    "hard.jsonl": lines(two("input", "target", code="print(7)")),
    "problem.jsonl": lines(two("problem", "solution")),
    "prompt.jsonl": lines(two("prompt", "completion")),
    "case.csv": table(two("Question", "Final Answer")),
    "index.csv": table(two("question", "answer", **{"": 0})),
    "alpaca.json": json.dumps(alpaca((Q, ""), (R, ""))),
    "alpaca_no_input.json": json.dumps(alpaca((Q, "<noinput>"), (R, "nan"))),
    "alpaca.csv": table(alpaca((Q, ""), (R, ""))),
    "alpaca_null.jsonl": lines(alpaca((Q, None), (R, None))),  # type: ignore[arg-type]
    "template.json": json.dumps(alpaca((TEMPLATE, Q), (TEMPLATE, R), "response")),
    "template.parquet": parquet(alpaca((TEMPLATE, Q), (TEMPLATE, R), "response")),
    "mixed_inputs.json": json.dumps(alpaca((Q, ""), (TEMPLATE, R))),
    "adapters.json": json.dumps(
        [
            row | {"output": "He thinks.", "answer": row["output"]}
            for row in alpaca((Q, ""), (R, ""))
        ]
    ),
    "data.json": json.dumps({"version": 1, "data": GSM8K}),
    "about.json": json.dumps({"instruction": TEMPLATE, "examples": GSM8K}),
    "viewer.json": json.dumps(
        {
            "features": [{"name": "question"}],
            "rows": [{"row_idx": i, "row": row} for i, row in enumerate(GSM8K)],
        }
    ),
    "harness.jsonl": lines([{"doc_id": 1, "doc": row, "target": "3"} for row in GSM8K]),
    "columns.json": json.dumps({"question": [Q, R], "answer": ["7", "1,200"]}),
    "pandas.json": pd.DataFrame(GSM8K).to_json(),
    "pandas_split.json": pd.DataFrame(GSM8K).to_json(orient="split"),
    "pandas_index.json": pd.DataFrame(GSM8K).to_json(orient="index"),
    "pandas_table.json": pd.DataFrame(GSM8K).to_json(orient="table"),
    "messages.jsonl": lines(
        [{"messages": m} for m in chat("role", "content", "user", "assistant")]
    ),
    "sharegpt.json": json.dumps(
        [{"conversations": m} for m in chat("from", "value", "human", "gpt")]
    ),
    "pairs.json": json.dumps(
        [{"pair_id": i, "clean": row, "corrupted": GSM8K[0]} for i, row in enumerate(GSM8K)]
    ),
    "pairs.csv": table(
        [
            {
                "pair_id": i,
                "clean.question": row["question"],
                "clean.answer": row["answer"],
                "corrupted.question": R,
                "corrupted.answer": 3,
            }
            for i, row in enumerate(GSM8K)
        ]
    ),
    "pairs.parquet": parquet(
        [{"pair_id": i, "clean": row, "corrupted": GSM8K[0]} for i, row in enumerate(GSM8K)]
    ),
}


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", SAME)
def test_every_layout_asks_the_questions_and_holds_the_golds(name: str, tmp_path: Path):
    path = written(tmp_path, name, SAME[name])
    assert read_questions(path) == [Q, R]
    assert [(p.question, p.answer) for p in load_problems(path)] == [(Q, 7), (R, 1200)]


ASKED = {
    "svamp.json": (json.dumps(SVAMP), ["Tom has 3. How many?", "Ann has 2. And she?"]),
    "svamp.csv": (table(SVAMP), ["Tom has 3. How many?", "Ann has 2. And she?"]),
    "joined.json": (
        json.dumps([{"question_concat": Q, "Body": "x", "Question": "y?", "Answer": "7"}]),
        [Q],
    ),
    "context.jsonl": (lines([{"context": "Tom has 3.", "question": "Now?"}]), ["Tom has 3. Now?"]),
    "dolly.jsonl": (
        lines(
            [{"instruction": "Now?", "context": "Tom has 3."}, {"instruction": Q, "context": ""}]
        ),
        ["Tom has 3. Now?", Q],
    ),
    "paragraph.csv": ("paragraph,problem\nTom has 3.,Now?\n", ["Tom has 3. Now?"]),
    "blank.txt": ("What number makes 3 + ? = 7\n", None),
    "middle.txt": ("A number is doubled. The result is 14. What is it?\n", None),
    "points.txt": ("How many? (2 points)\nHow old? Round to 2 places.\n", None),
    "asking_instruction.json": (
        json.dumps(
            alpaca(("How many has Tom?", "Tom has 3."), ("How many has Tom?", "Tom has 4."))
        ),
        ["How many has Tom?\nTom has 3.", "How many has Tom?\nTom has 4."],
    ),
    "own_instructions.json": (
        json.dumps(alpaca(("Add them.", "3 and 4?"), ("Multiply them.", "3 and 4?"))),
        ["Add them.\n3 and 4?", "Multiply them.\n3 and 4?"],
    ),
    "premise.json": (
        json.dumps(alpaca(("Pens cost as caps.", "3 pens?"), ("Pens cost as caps.", "4 pens?"))),
        ["Pens cost as caps.\n3 pens?", "Pens cost as caps.\n4 pens?"],
    ),
    "polite.json": (
        json.dumps([{"instruction": "Can you solve this?", "input": f"{n} pens?"} for n in "34"]),
        ["3 pens?", "4 pens?"],
    ),
    "marked.txt": ("[2 points] How many?\n[3] And now?\n", None),
    "nothing_asked.json": (
        json.dumps(alpaca(("Count all pens.", "3 pens."), ("Count all pens.", "4 pens."))),
        ["Count all pens.\n3 pens.", "Count all pens.\n4 pens."],
    ),
    "texts.json": (json.dumps([Q, R]), [Q, R]),
    "texts.jsonl": (lines([Q, R]), [Q, R]),
    "texts.txt": (lines([Q, R]), [Q, R]),
    "numbers.json": ('["5", "6"]', ["5", "6"]),
    "one.json": (json.dumps({"question": Q, "answer": 7}), [Q]),
    "plain.txt": (f"{Q}\n\n  \n{R}\n", [Q, R]),
    "plain_crlf.txt": (f"{Q}\r\n{R}\r\n", [Q, R]),
    "odd_breaks.txt": (
        "Tom\u2028has\x0c3\x0bpens\x85and\x1c4?\nAnn?",
        ["Tom\u2028has\x0c3\x0bpens\x85and\x1c4?", "Ann?"],
    ),
    "odd_breaks.csv": ("question\nTom\u2028has\x0c3?\n", ["Tom\u2028has\x0c3?"]),
    "odd_breaks.jsonl": ('{"question": "Tom\u2028has\x853?"}\n', ["Tom\u2028has\x853?"]),
    "quoted.txt": ('"Hi", said Tom. How many?\n', ['"Hi", said Tom. How many?']),
    "clocks.txt": ("At 7:30 [noon]: what, 3?\n[Hard] 3-4?\n", None),
    "commas.txt": ("3, 4, 5\n6, 7, 8\n", None),
    "one_column.csv": ("question\nTom has 3 pens. How many?\n", ["Tom has 3 pens. How many?"]),
    "breaks_in_cells.csv": ('question,answer\n"Tom has 3.\nNow?",7\n', ["Tom has 3.\nNow?"]),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked(name: str, tmp_path: Path):
    content, questions = ASKED[name]
    assert read_questions(written(tmp_path, name, content)) == (questions or content.splitlines())


REFUSED = {
    "text_field.jsonl": (lines([{"text": Q, "label": 7}]), "it has text, label: name"),
    "new_question.json": (json.dumps([{"new_question": Q}]), "it has new_question"),
    "ids.json": (json.dumps({"q1": Q, "q2": R}), r"no list of rows \(q1, q2\)"),
    "two_sets.json": (json.dumps({"train": GSM8K, "test": GSM8K}), "several sets"),
    "two_lists.json": (json.dumps({"a": GSM8K, "b": GSM8K}), r"no list of rows \(a, b\)"),
    "unequal.json": (json.dumps({"question": [Q], "answer": []}), "columns of several lengths"),
    "lists.json": (json.dumps([[Q, "7"]]), "row 1 is .*, no question"),
    "scalar.json": ("7", "no list of rows"),
    "rivals.json": (json.dumps([{"question": "How many?", "problem": Q}]), "both question and"),
    "input_too.json": (json.dumps([{"question": "Now?", "input": Q}]), "both question and input"),
    "same_name.json": (json.dumps([{"Question": Q, "QUESTION": R}]), "both 'Question' and"),
    "twice.json": ('[{"question": "a?", "question": "b?"}]', "'question' comes twice"),
    "second_row.jsonl": (lines([GSM8K[0], {"problem": R}]), "row 2 has none of .* it has problem"),
    "mixed.json": (json.dumps([Q, GSM8K[1]]), "row 2 is no text as the rows before"),
    "mixed_too.json": (json.dumps([GSM8K[0], R]), "row 2 is the text"),
    "unwrapped.jsonl": (lines([{"row": GSM8K[0]}, GSM8K[1]]), "row 2 has no object row"),
    "null.jsonl": (lines([{"question": None}]), "row 1: the question is None"),
    "blank.jsonl": (lines([{"question": " "}]), "row 1: the question is ' '"),
    "object.jsonl": (lines([{"question": {"text": Q}}]), "row 1: the question is {"),
    "inner_json.csv": (table([{"question": json.dumps(GSM8K[0])}]), "is JSON in a text"),
    "chat.csv": (table([{"messages": json.dumps([{"role": "user"}])}]), "is JSON in a text"),
    "gold_inside.jsonl": (lines([{"question": f"{Q} #### 7"}]), "the mark of a gold answer"),
    "number.csv": ("question,answer\n17,Tom?\n", "row 1: the question is '17', a number"),
    "two_turns.jsonl": (
        lines([{"messages": [{"role": "user", "content": q} for q in (Q, R)]}]),
        "row 1 has 2 messages of the user",
    ),
    "surrogate.json": ('[{"question": "a\\ud800?"}]', "row 1 holds half of a surrogate pair"),
    "surrogate_name.json": ('[{"question": "a", "\\udfff": 1}]', "row 1 holds half of a surrogate"),
    "deep.json": ("[" * 100_000, "nested too deeply"),
    "deep_row.json": (f'[{{"question": {"[" * 200}{"]" * 200}}}]', "nested more than 40 deep"),
    "digits.json": (f'[{{"question": "a?", "answer": {"9" * 5000}}}]', "a number of 5000 digits"),
    "trailing_comma.json": ('[{"question": "a?"},]', "is not JSON"),
    "python.txt": ("{'question': 'Tom?', 'answer': 7}\n", "is not JSON"),
    "broken.jsonl": (f"{json.dumps(GSM8K[0])}\n\n{{oops\n", "row 3 is not JSON"),
    "json_below.txt": (f"{R}\n{json.dumps(GSM8K[0])}\n", "row 2 is JSON or markup among lines"),
    "no_header.csv": (f'"{Q}",7\n"{R}",8\n', "names no column of questions"),
    "boxed.txt": (f"{Q} \\boxed{{7}}\n", "row 1 holds an answer in LaTeX"),
    "arrow.txt": (f"{Q} => 7\n", "row 1 has a number behind the question"),
    "bracketed.txt": (f"{R}\n{Q} (Answer: 7)\n", "row 2 tells an answer"),
    "solved.txt": (f"{Q} Solution: 3+4=7\n", "row 1 tells an answer behind"),
    "calculated.txt": (f"{Q} <<3+4=7>>\n", "row 1 holds <<...>>"),
    "colon.txt": (f"{Q} He has 7. The answer is: 7.\n", "row 1 tells an answer"),
    "below.txt": (f"{Q}\n7\n", "row 2 is a number alone"),
    "word_below.txt": (f"{Q}\nAnswer 7\n", "row 2 is an answer"),
    "before.txt": (f"7,{Q}\n", "row 1 begins with a cell with a number"),
    "tab_before.txt": (f"7\t{Q}\n", "is a table"),
    "markdown.txt": (f"| question | answer |\n|---|---|\n| {Q} | 7 |\n", "is a line of a table"),
    "told.json": (json.dumps([f"{Q} The answer is 7"]), "the question tells an answer"),
    "told.jsonl": (lines([{"question": f"{Q}\nAnswer: 7"}]), "the question tells an answer"),
    "steps.csv": (table([{"question": f"{Q} <<3+4=7>>", "answer": 7}]), "question holds <<...>>"),
    "told_what_to_do.jsonl": (
        lines([{"instruction": "Solve the following", "text": Q, "answer": 7}]),
        "row 1 has an instruction without a problem, it has instruction, text, answer; name",
    ),
    "mawps.json": (json.dumps([{"Question": "Mary had N_00 pens."}]), "the placeholder N_00"),
    "number0.csv": ("Question\nMary had number0 pens?\n", "the placeholder number0"),
    "slots.jsonl": (lines([{"question": "{name} has {x} pens?"}]), "the placeholder {name}"),
    "plain.csv": (f"{R}\nTom?\n", "names no column of questions"),
    "numbers.csv": ("1,2,3\n4,5,6\n", "it reads 1, 2, 3"),
    "two_columns.csv": ("question,question,answer\na?,b?,7\n", "two columns question"),
    "unquoted.csv": ("question,answer\nTom has 3, or 4?,7\n", "row 1 has 3 cells .* quote cells"),
    "short.csv": ("question,answer\na?,7\nb?\n", "row 2 has 1 cells"),
    "open_quote.csv": ('question,answer\n"Tom?,7\nAnn?,8\n', "row 1 is no CSV"),
    "inner_quote.csv": ('question,answer\n"a "b" c",7\n', "double the quotes"),
    "other_header.txt": ("id;text;gold\n1;Tom?;7\n", "table with the columns id, text, gold"),
    "tabs.txt": ("Tom has 3?\t7\nAnn?\t8\n", "is a table"),
    "given.txt": ('"Tom has 3, 4?",7\nAnn?\n', "row 1 ends in a cell with a number"),
    "marks.txt": (f"{Q} #### 7\n", "row 1 holds '####'"),
    "labels.txt": ("Question: Tom?\nAnswer: 7\n", "row 1 begins with the name of a field"),
    "told.txt": (f"{R}\nTom? The answer is 7\n", "row 2 tells an answer"),
    "markup.txt": ("<q>Tom has 3?</q>\n", "row 1 is JSON or markup"),
    "returns.txt": ("Tom?\rAnn?\r", "carriage returns alone"),
    "set.yaml": ("- question: Tom?\n", "is none of JSON"),
    "utf16.txt": (Q.encode("utf-16"), "is UTF-16 text; save"),
    "utf16_bare.csv": (Q.encode("utf-16-le"), "is UTF-16 text or binary; save"),
    "latin.txt": (b"caf\xe9?", "not UTF-8 text; save"),
    "set.jsonl.gz": (b"\x1f\x8b\x08x", r"compressed \(gzip\); unpack"),
    "set.xlsx": (b"PK\x03\x04x", "a spreadsheet; export it as CSV"),
    "damaged.parquet": (b"PAR1 and no more", "damaged Parquet file"),
    "parquet.json": (parquet(GSM8K), "is a Parquet file; name it .parquet"),
    "parquet.csv": (parquet(GSM8K), "is a Parquet file; name it .parquet"),
    "text.parquet": (b"Tom has 3?", "is none of JSON"),
    "empty.txt": ("\n \n", "holds no questions"),
    "empty.csv": ("", "holds no questions"),
    "empty.json": ("[]", "holds no questions"),
    "empty.jsonl": ("", "holds no questions"),
    "header.csv": ("question,answer\n", "holds no questions"),
    "many_columns.csv": (",".join(f"column{i}" for i in range(900)), "column7, …; name"),
}


TEXTS_WITHOUT_ANSWERS = ("mixed.json", "mixed_too.json", "lists.json", "told.json")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_question_is_never_asked(name: str, tmp_path: Path):
    content, reason = REFUSED[name]
    path = written(tmp_path, name, content)
    for read in (read_questions, load_problems):
        if read is load_problems and name in TEXTS_WITHOUT_ANSWERS:
            reason = "is no object with a question and an answer"
        with pytest.raises(UserError, match=reason) as caught:
            read(path)
        message = str(caught.value).replace(str(tmp_path), "")
        assert name in message
        assert ";" in message or ":" in message, "the next move is missing"
        assert message.isprintable()
        assert len(message) < 300


NO_GOLD = {
    "plain.txt": (R, "row 1 is no object with a question and an answer"),
    "questions.csv": ("question\nTom?\n", "has none of the fields answer.*it has question"),
    "unasked.jsonl": (lines([{"question": Q, "label": 7}]), "it has question, label"),
    "one_missing.jsonl": (
        lines([GSM8K[0], {"question": R}]),
        "row 2 has none of the fields answer",
    ),
    "comma.jsonl": (
        lines([*GSM8K, {"question": Q, "answer": "3,5"}]),
        "row 3:",
    ),
    "two_in_a_cell.csv": ('question,answer\na?,"[1,200]"\n', r"the answer is \[1, 200\], not a"),
    "fraction.csv": ("question,answer\na?,1/2\n", "row 1: the answer is '1/2', not a number"),
    "empty_cell.csv": ("question,answer\na?,\n", "row 1: the answer is '', not a number"),
    "roots.json": (json.dumps([{"sQuestion": Q, "lSolutions": [1, 2]}]), r"is \[1, 2\], not a"),
    "choices.json": (
        json.dumps([{"question": Q, "choices": ["3", "7"], "answer": 1}]),
        "row 1 holds choices",
    ),
    "letters.jsonl": (
        lines([{"question": Q, "options": ["A)3"], "correct": "A"}]),
        "holds choices",
    ),
    "beyond.json": (f'[{{"question": "a?", "answer": {"9" * 400}}}]', "row 1: the answer is 999"),
    "none.jsonl": (lines([{"question": Q, "answer": "None"}]), "no row .* has an answer"),
    "words.jsonl": (lines([*alpaca((Q, ""), (R, "")), {"instruction": R}]), "row 3 has none"),
}


@pytest.mark.parametrize("name", NO_GOLD)
def test_a_gold_answer_is_never_guessed(name: str, tmp_path: Path):
    content, reason = NO_GOLD[name]
    path = written(tmp_path, name, content)
    assert read_questions(path)
    with pytest.raises(UserError, match=reason) as caught:
        load_problems(path)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 300


@pytest.mark.parametrize("name", ["plus.jsonl", "plus.csv", "plus.parquet"])
def test_problems_without_an_answer_are_left_out_and_said(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """GSM-Plus asks some questions that nothing answers; their gold is the text None."""
    rows = [{"question": Q, "answer": "None"}, {"question": R, "answer": "7"}]
    content = {".jsonl": lines, ".csv": table, ".parquet": parquet}[Path(name).suffix](rows)
    path = written(tmp_path, name, content)
    with caplog.at_level(logging.WARNING):
        assert load_problems(path) == [Problem(R, 7)]
    assert "1 of 2 rows" in caplog.text
    assert read_questions(path) == [Q, R]


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet"])
def test_whole_golds_keep_every_digit(kind: str, tmp_path: Path):
    rows = [{"question": Q, "answer": 2**53 + 1}, {"question": R, "answer": -(2**60) - 1}]
    make = {"json": json.dumps, "jsonl": lines, "csv": table, "parquet": parquet}[kind]
    path = written(tmp_path, f"big.{kind}", make(rows))
    assert [p.answer for p in load_problems(path)] == [2**53 + 1, -(2**60) - 1]


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        ({"steps": ["<<3+4=7>>", "<<7*2=14>>"]}, ("<<3+4=7>>", "<<7*2=14>>")),
        ({"cot": "<<3+4=7>> then <<7*2=14>>"}, ("<<3+4=7>>", "<<7*2=14>>")),
        ({"steps": 3}, ()),
    ],
)
def test_solution_steps(value: dict, steps: tuple[str, ...], tmp_path: Path):
    path = written(tmp_path, "steps.json", json.dumps([{"question": Q, "answer": 14} | value]))
    assert load_problems(path) == [Problem(Q, 14, steps)]


def test_broken_rows_of_pairs_in_any_format_are_findings(tmp_path: Path):
    row = {"pair_id": 1, "clean": GSM8K[0], "corrupted": GSM8K[1]}
    rows = [row, {"pair_id": "\ud800", "clean": row["clean"], "corrupted": "\udfff"}]
    report = audit_file(written(tmp_path, "pairs.json", json.dumps(rows)))
    assert [(found.row, found.pair_id) for found in report.findings] == [(2, None)]
    assert json.dumps(report.to_json(), ensure_ascii=False).encode()
    plain = written(tmp_path, "plain.csv", table(GSM8K))
    with pytest.raises(UserError, match="holds no pairs, row 1 has question, answer; give"):
        load_pairs(plain)


# --- any texts -----------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1)
WORDS = TEXTS.map(lambda text: f"Tom {text} pens?".replace("####", "#"))


@given(
    texts=st.lists(WORDS, min_size=1, max_size=5),
    kind=st.sampled_from(["json", "jsonl", "csv", "tsv"]),
)
def test_any_question_is_asked_as_it_was_written(texts: list[str], kind: str, tmp_path_factory):
    rows = [{"question": text, "answer": i} for i, text in enumerate(texts)]
    content = {"json": json.dumps, "jsonl": lines, "csv": table}.get(kind, _tabs)(rows)
    path = written(tmp_path_factory.getbasetemp(), f"any.{kind}", content)
    assert read_questions(path) == texts
    assert [p.answer for p in load_problems(path)] == list(range(len(texts)))


def _tabs(rows: list[dict]) -> str:
    return table(rows, "\t")


@given(
    parts=st.lists(st.sampled_from(["Tom has", "3 pens", "\u2028", "\x0c", "\x85", " ", "?", "\n"]))
)
def test_text_splits_at_line_feeds_alone(parts: list[str], tmp_path_factory):
    text = "".join(["Ann?\n", *parts])
    path = written(tmp_path_factory.getbasetemp(), "any.txt", text)
    assert read_questions(path) == [line for line in text.split("\n") if line.strip()]


def refusal(read: Callable, path: Path) -> str:
    """Why a file is refused; empty where it is read."""
    try:
        read(path)
    except UserError as error:
        return str(error)
    return ""


@given(
    data=st.binary(max_size=200),
    kind=st.sampled_from(["txt", "json", "jsonl", "csv", "parquet", ""]),
)
def test_any_bytes_are_questions_or_refused_in_one_line(data: bytes, kind: str, tmp_path_factory):
    path = written(tmp_path_factory.getbasetemp(), f"bytes.{kind}", data)
    for read in (read_questions, load_problems, audit_file):
        assert "\n" not in refusal(read, path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["question", "answer", "clean", "corrupted", "data", "input", "messages"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(value=JSON, kind=st.sampled_from(["json", "jsonl"]))
def test_any_json_is_questions_or_refused(value: object, kind: str, tmp_path_factory):
    path = written(tmp_path_factory.getbasetemp(), f"any_value.{kind}", json.dumps(value))
    for read in (read_questions, load_problems, audit_file, load_pairs):
        assert "\n" not in refusal(read, path)
