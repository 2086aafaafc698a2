"""Shipped sets, readers of pair files, the audit and the command."""

import argparse
import json
import re
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_core.cli.pairs import add_parser
from steer_core.data.audit import audit_file
from steer_core.data.generate import generate_pairs, generate_problems
from steer_core.data.pairs import BUNDLED, PAIRS_DIR, dump_pairs, load_pairs, pair_row, shipped_keys
from steer_core.data.problems import question_key
from steer_core.data.rows import Row, row_faults, row_pair
from steer_core.data.shipped import build_sets, load_recipe
from steer_core.errors import UserError


def _row(pair_id, number=5, answer=8, twin_answer=9):
    """A row in the layout of the seed experiment's file, extra fields included."""
    return {
        "pair_id": pair_id,
        "clean": {
            "question": f"Tom has {number} apples and buys 3. How many has he?",
            "answer": answer,
            "full_answer": "#### 8",
        },
        "corrupted": {
            "question": f"Tom has {number} apples and buys 4. How many has he?",
            "answer": twin_answer,
            "changed_number": "3 -> 4",
        },
        "review_status": "needs_review",
        "notes": "",
    }


@pytest.fixture
def write(tmp_path):
    def _write(content, name="pairs.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return _write


@pytest.fixture
def run(capsys):
    def _run(*arguments):
        parser = argparse.ArgumentParser()
        add_parser(parser.add_subparsers(required=True))
        args = parser.parse_args(["pairs", *map(str, arguments)])
        assert args.handler(args) == 0
        return capsys.readouterr().out

    return _run


# Shipped sets


def test_the_shipped_files_are_what_the_recipe_makes():
    for name, pairs in build_sets(load_recipe()).items():
        assert (PAIRS_DIR / f"{name}.json").read_text(encoding="utf-8") == dump_pairs(pairs)
        assert load_pairs(name) == pairs


def test_the_shipped_sets_have_the_promised_sizes_and_share_nothing():
    fit, test, validation = (load_pairs(name) for name in BUNDLED)
    assert (len(fit), len(test), len(validation)) == (480, 240, 240)
    assert sum(pair.held_out for pair in test) == 60
    assert not any(pair.held_out for pair in (*fit, *validation))
    steps = Counter(pair.clean.steps for pair in test)
    assert steps.keys() == {1, 2, 3, 4, 5}
    assert steps[4] >= 40
    assert {pair.clean.steps for pair in test if pair.held_out} == {1, 2, 3, 4}
    assert len(shipped_keys()) == 2 * (480 + 240 + 240)
    ids = {pair.pair_id for pair in (*fit, *test, *validation)}
    assert len(ids) == 960
    assert max(path.stat().st_size for path in PAIRS_DIR.iterdir()) < 400_000


@pytest.mark.parametrize("name", BUNDLED)
def test_the_shipped_sets_pass_their_own_audit(name):
    others = [other for other in BUNDLED if other != name]
    assert audit_file(name, against=others).findings == ()


@pytest.mark.parametrize("name", BUNDLED)
def test_a_shipped_pair_says_which_step_its_number_enters_and_every_result(name):
    rows = json.loads((PAIRS_DIR / f"{name}.json").read_text(encoding="utf-8"))
    for row, pair in zip(rows, load_pairs(name), strict=True):
        assert 1 <= row["changed_step"] <= pair.clean.steps
        for side in ("clean", "corrupted"):
            results = row[side]["step_results"]
            assert len(results) == len(row[side]["chain"])
            assert results[-1] == row[side]["answer"]
        clean, corrupted = (row[side]["step_results"] for side in ("clean", "corrupted"))
        before = row["changed_step"] - 1
        assert clean[:before] == corrupted[:before]


def test_no_training_problem_is_in_a_shipped_file():
    stream = generate_problems(0, forbidden=shipped_keys())
    assert shipped_keys().isdisjoint(question_key(p.question) for p in islice(stream, 1_000))


def test_a_recipe_that_is_none_is_refused(write):
    with pytest.raises(UserError, match=r"is no recipe .*; see assets"):
        load_recipe(write({"sets": {}}))
    with pytest.raises(UserError, match="is no recipe"):
        load_recipe(write({"step_weights": {"1": 1}, "sets": {"fit": {"n": 3}}}))


# Readers


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.json", json.dumps([_row(0), _row("b", 6)])),
        ("object.json", json.dumps({"version": 1, "pairs": [_row(0), _row("b", 6)], "tags": []})),
        ("other_key.json", json.dumps({"items": [_row(0), _row("b", 6)]})),
        ("lines.jsonl", f"{json.dumps(_row(0))}\n\n{json.dumps(_row('b', 6))}\n"),
        ("lines.txt", f"{json.dumps(_row(0))}\r\n{json.dumps(_row('b', 6))}"),
        ("mark.json", "\ufeff" + json.dumps([_row(0), _row("b", 6)])),
    ],
)
def test_every_layout_reads_the_same(write, name, text):
    pairs = load_pairs(write(text, name))
    assert [pair.pair_id for pair in pairs] == [0, "b"]
    assert pairs[1].clean.question.startswith("Tom has 6 apples")
    assert (pairs[1].clean.answer, pairs[1].corrupted.answer) == (8, 9)
    assert pairs[1].clean.chain == ()
    assert pairs[1].clean.template is None
    assert not pairs[1].held_out


def test_a_file_of_one_object_is_one_pair(write):
    assert len(load_pairs(write(_row(3)))) == 1


def test_repeated_rows_still_load(write):
    assert len(load_pairs(write([_row(0), _row(0)]))) == 2


@given(st.integers(0, 10_000))
def test_pairs_survive_being_written_and_read(seed):
    pairs = generate_pairs(4, seed, held_out_share=0.5)
    rows = json.loads(dump_pairs(pairs))
    assert [row_pair(Row(1, row)) for row in rows] == pairs


def _without(field):
    row = _row(1)
    side, _, name = field.partition(".")
    if name:
        del row[side][name]
    else:
        del row[side]
    return row


def _with(side, name, value):
    row = _row(1)
    row[side][name] = value
    return row


BROKEN = [
    (_without("pair_id"), "missing_field", "has no pair_id"),
    (_without("clean"), "missing_field", "has no clean"),
    (_without("corrupted"), "missing_field", "has no corrupted"),
    (_without("clean.question"), "missing_field", r"has no clean\.question"),
    (_without("corrupted.answer"), "missing_field", r"has no corrupted\.answer"),
    (_with("clean", "answer", "many"), "bad_answer", r"clean\.answer is 'many', not a number"),
    (_with("clean", "answer", None), "bad_answer", r"clean\.answer is None, not a number"),
    (_with("corrupted", "question", " "), "bad_field", r"corrupted\.question is ' ', not a text"),
    (_with("clean", "question", "Now? #### 7"), "bad_field", r"clean\.question holds '####'"),
    (_with("corrupted", "question", 7), "bad_field", r"corrupted\.question is 7, not a text"),
    ({**_row(1), "pair_id": [1]}, "bad_field", r"pair_id is \[1\], not an integer or a text"),
    ({**_row(1), "clean": "Tom"}, "bad_field", "clean is 'Tom', not an object"),
    ([1, 2], "bad_row", r"is \[1, 2\], not an object"),
    (None, "bad_row", "is None, not an object"),
]


@pytest.mark.parametrize(("row", "kind", "message"), BROKEN)
def test_a_broken_row_is_an_error_to_the_reader_and_a_finding_to_the_audit(
    write, row, kind, message
):
    path = write([_row(0), row, _row(2, 6)])
    with pytest.raises(
        UserError, match=rf"pairs\.json row 2: {message}.*; correct the row"
    ) as error:
        load_pairs(path)
    assert "\n" not in str(error.value)
    report = audit_file(path)
    assert (report.rows, report.broken_rows, report.repeated_rows) == (3, 1, 0)
    assert [(found.row, found.kind) for found in report.findings] == [(2, kind)]


def test_every_fault_of_a_row_is_reported():
    faults = row_faults(Row(1, {"clean": {"question": ""}, "corrupted": {"answer": "x"}}))
    assert [fault.kind for fault in faults] == [
        "missing_field",
        "missing_field",
        "bad_field",
        "missing_field",
        "bad_answer",
    ]


def test_a_line_that_is_no_json_is_named_by_its_line(write):
    path = write(f"{json.dumps(_row(0))}\n\n{{oops\n{json.dumps(_row(2, 6))}\n", "lines.jsonl")
    with pytest.raises(UserError, match=r"lines\.jsonl row 3: is not JSON"):
        load_pairs(path)
    report = audit_file(path)
    assert (report.rows, report.broken_rows) == (3, 1)
    assert [(found.row, found.kind) for found in report.findings] == [(3, "bad_json")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("oops", "is not JSON .* give a JSON list or JSONL"),
        ("[" * 100_000, "is not JSON .*nested too deeply"),
        ("7", "holds no list of rows"),
        ('{"a": [], "b": []}', "holds no list of rows"),
        ("[]", "holds no pairs; give at least one row"),
    ],
)
def test_a_file_without_rows_is_refused(write, content, message):
    with pytest.raises(UserError, match=message):
        load_pairs(write(content))


def test_a_file_that_cannot_be_read_says_what_to_give(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*nope.*give 'fit', 'test' or the path"):
        load_pairs(tmp_path / "nope.json")
    with pytest.raises(UserError, match="cannot read"):
        load_pairs(tmp_path)
    (tmp_path / "bytes.json").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        load_pairs(tmp_path / "bytes.json")


def test_a_long_value_is_cut_in_the_message(write):
    path = write([_with("clean", "answer", "x\n" * 5000)])
    with pytest.raises(UserError) as error:
        load_pairs(path)
    assert len(str(error.value).replace(str(path), "")) < 250


# Audit


def test_the_audit_counts_what_it_finds(write):
    rows = [
        _row(0),
        _row(0, 6),  # id again, another problem
        _row(2),  # question of row 1 again
        _row(3, 7, answer="1,200", twin_answer=1200),  # unchanged, once as text
        {**_row(4, 9), "clean": _row(4, 9)["corrupted"]},  # no twin at all
        _row(1, 8, answer="eight"),
    ]
    report = audit_file(write(rows))
    assert (report.rows, report.distinct_ids, report.repeated_rows) == (6, 5, 1)
    assert (report.unchanged_answers, report.broken_rows, report.leaked_rows) == (2, 1, 0)
    assert [(found.row, found.pair_id, found.kind) for found in report.findings] == [
        (2, 0, "duplicate_id"),
        (3, 2, "repeated_question"),
        (4, 3, "unchanged_answer"),
        (5, 4, "unchanged_question"),
        (5, 4, "unchanged_answer"),
        (6, 1, "bad_answer"),
    ]


def test_a_repeated_question_is_the_same_text_and_not_only_the_same_numbers(write):
    other = json.loads(json.dumps(_row(1)).replace("Tom", "Ben"))
    spaced = json.loads(json.dumps(_row(2)).replace("Tom has", "Tom  has"))
    assert audit_file(write([_row(0), other])).repeated_rows == 0
    assert audit_file(write([_row(0), spaced])).repeated_rows == 1


def test_a_leak_is_found_whatever_the_names(write):
    other = write([_row(0), {"broken": True}, _row(1, 6)], "other.json")
    mine = [
        json.loads(json.dumps(_row(7, 6)).replace("Tom", "Mia").replace(" he?", " she?")),
        _row(8, 20),
        {**_row(9, 30, answer=33), "corrupted": _row(0)["clean"]},
    ]
    report = audit_file(write(mine), against=[other])
    assert report.leaked_rows == 2
    assert [(found.row, found.kind) for found in report.findings] == [(1, "leak"), (3, "leak")]
    assert "clean problem" in report.findings[0].message
    assert report.findings[0].message.endswith("other.json row 3")
    assert "corrupted problem" in report.findings[1].message


def _with_steps(**named):
    row = _row(4)
    row["clean"]["chain"], row["corrupted"]["chain"] = ["<<5+3=8>>"], ["<<5+4=9>>"]
    for name, value in named.items():
        side, _, field = name.partition("__")
        if field:
            row[side][field] = value
        else:
            row[name] = value
    return row


def test_steps_are_read_off_the_chains_of_a_file_that_names_no_results(write):
    (pair,) = load_pairs(write([_with_steps()]))
    assert (pair.clean.step_results, pair.corrupted.step_results) == ((8,), (9,))
    assert pair.changed_step == 1
    (bare,) = load_pairs(write([_row(0)]))
    assert bare.clean.step_results is bare.changed_step is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (_with_steps(clean__step_results=[7]), r"clean\.step_results are not those of its chain"),
        (_with_steps(corrupted__answer=5), "the corrupted chain ends in 9, not in 5"),
        (_with_steps(changed_step=2), "changed_step is not that of the chains, 1"),
    ],
)
def test_the_audit_finds_steps_that_contradict_one_another(write, row, message):
    (found,) = audit_file(write([row])).findings
    assert found.kind == "wrong_steps"
    assert re.search(message, found.message)


# Command


def test_audit_prints_the_contract(run, write):
    path = write([_row(0), _row(0)])
    report = json.loads(run("audit", path, "--json"))
    counts = {key: report[key] for key in report if key not in ("file", "findings")}
    assert counts == {
        "rows": 2,
        "distinct_ids": 1,
        "repeated_rows": 1,
        "unchanged_answers": 0,
        "broken_rows": 0,
        "leaked_rows": 0,
    }
    assert {found["kind"] for found in report["findings"]} == {"duplicate_id", "repeated_question"}
    text = run("audit", path)
    assert "2 rows, 1 distinct ids, 1 repeated rows" in text
    assert "row 2 (pair 0): duplicate_id" in text


def test_generate_prints_a_file_that_loads_and_repeats_by_seed(run, write, tmp_path):
    text = run("generate", "--n", 6, "--seed", 4, "--held-out-share", 0.5, "--exclude", "test")
    pairs = load_pairs(write(text))
    assert len(pairs) == 6
    assert sum(pair.held_out for pair in pairs) == 3
    out = tmp_path / "out.json"
    arguments = ("--n", 6, "--seed", 4, "--held-out-share", 0.5, "--exclude", "test")
    assert run("generate", *arguments, "--out", out) == ""
    assert out.read_text(encoding="utf-8") == text
    assert run("generate", "--n", 6, "--seed", 5) != text


def test_generate_leaves_out_the_problems_of_other_files(run, write):
    first = write(run("generate", "--n", 20, "--seed", 4), "first.json")
    second = write(run("generate", "--n", 20, "--seed", 4, "--exclude", first), "second.json")
    assert audit_file(second, against=[first]).leaked_rows == 0
    keys = {question_key(pair.clean.question) for pair in load_pairs(first)}
    assert keys.isdisjoint(question_key(pair.clean.question) for pair in load_pairs(second))


def test_generate_writes_the_sets_of_a_recipe(run, write, tmp_path):
    small = {"n": 3, "seed": 1, "held_out_share": 0.0, "first_id": 5}
    recipe = write({"step_weights": {"2": 1}, "sets": {"a": small, "b": small}}, "recipe.json")
    folder = tmp_path / "sets"
    assert run("generate", "--recipe", recipe, "--out", folder).split() == [
        str(folder / "a.json"),
        str(folder / "b.json"),
    ]
    a, b = load_pairs(folder / "a.json"), load_pairs(folder / "b.json")
    assert [pair.pair_id for pair in a] == [5, 6, 7]
    assert audit_file(folder / "b.json", against=[folder / "a.json"]).findings == ()
    assert a[0].clean.question != b[0].clean.question


def test_show_prints_pairs(run):
    assert len(run("show", "test", "--json").splitlines()) == 5
    assert len(run("show", "test", "--json", "--limit", 0).splitlines()) == 240
    pair = load_pairs("test")[239]
    assert json.loads(run("show", "test", "--pair", 239, "--json")) == pair_row(pair)
    text = run("show", "test", "--pair", 239)
    assert pair.clean.question in text
    assert pair.corrupted.question in text
    assert "held out" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("generate", "--n", 0), "--n 0 is below 1; ask"),
        (("generate", "--held-out-share", 2), r"share 2\.0 is outside"),
        (("generate", "--recipe", PAIRS_DIR / "recipe.json"), "name a folder with --out"),
        (("generate", "--n", 100_001), "--n 100001 is above 100000"),
        (("generate", "--exclude", "nope"), "cannot read 'nope'"),
        (("show", "test", "--pair", "x"), "no pair 'x' in test; its ids run from 0 to 239"),
        (("show", "test", "--limit", -1), "--limit -1 is below 0"),
        (("audit", "nope"), "cannot read 'nope'"),
    ],
)
def test_bad_arguments_are_one_line(run, arguments, message):
    with pytest.raises(UserError, match=message) as error:
        run(*arguments)
    assert "\n" not in str(error.value)
