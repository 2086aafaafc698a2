"""The commands `sweep` and `export-results`: their rows, their store, and how they fail."""

import csv
import json
import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from command_line import SHORT, named, printed, refused, write_pairs
from safetensors.torch import save_file
from tiny_checkpoints import HIDDEN, VARIANTS, Tiny, build

from steer_core import UserError, load_pairs
from steer_core.cli import main
from steer_core.cli import options as cli_options
from steer_core.cli.sweep import controls_of
from steer_core.data.pairs import dump_pairs
from steer_core.pipeline import runner
from steer_core.pipeline.export import export_results, is_export, write_csv, write_parquet
from steer_core.pipeline.prepared import load_prepared
from steer_core.pipeline.store import FILE, Store

K = 6


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp("gpt2"), VARIANTS["gpt2-bin"])


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> list[str]:
    return named(tiny)


@pytest.fixture(scope="module")
def vectors() -> torch.Tensor:
    return torch.randn(K + 1, HIDDEN, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture(scope="module")
def direction(vectors: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("direction") / "mine.safetensors"
    save_file({"direction": vectors}, path)
    return str(path)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "mine.json")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict]]:
    return partial(printed, capsys)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    return partial(refused, capsys)


@pytest.fixture
def sweep(model: list[str], direction: str, pairs: str) -> list[str]:
    """A small sweep at the middle layer."""
    return ["sweep", *model, "--pairs", pairs, "--direction", direction, "--alphas=-1,0,2", *SHORT]


FIELDS = {
    *("site", "layer", "operation", "alpha", "direction"),
    *("n", "correct", "accuracy", "low", "high", "flips", "nonfinite", "rose", "fell", "to_twin"),
}


def test_sweep_prints_one_object_for_each_layer_direction_and_alpha(
    run, model: list[str], direction: str, pairs: str, tmp_path: Path
):
    rows = run(
        *("sweep", *model, "--pairs", pairs, "--layers", "1,3", "--alphas=-1:1:1"),
        *("--controls", "random=2", "--direction", direction, "--out", str(tmp_path / "new")),
        *SHORT,
    )
    names = ("mine", "random-0", "random-1")
    keys = [(row["layer"], row["direction"], row["alpha"]) for row in rows]
    assert keys == [(at, name, a) for at in (1, 3) for name in names for a in (-1.0, 0.0, 1.0)]
    for row in rows:
        assert set(row) == FIELDS
        assert row["n"] == 4
        assert row["accuracy"] == row["correct"] / 4
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert row["flips"] == 0 or row["alpha"] != 0
        assert max(row["rose"] + row["fell"], row["to_twin"]) <= row["flips"]
    with Store(tmp_path / "new" / FILE, create=False) as store:
        (record,) = store.runs()
        assert record.done == record.total == len(store.table(1)) == 4 * (1 + 2 * 3 * 2)
        assert record.provenance["pairs"] == pairs
        assert "sweep" in record.provenance["command"]
        assert "--alphas=-1:1:1" in record.provenance["command"]
        assert "--seed=0" in record.provenance["command"].split()


def test_without_a_folder_the_rows_are_the_same(run, sweep: list[str], tmp_path: Path):
    assert run(*sweep) == run(*sweep, "--out", str(tmp_path))


def test_a_reader_sees_controls_as_ranges(
    capsys: pytest.CaptureFixture[str], sweep: list[str], run, tmp_path: Path
):
    options = [*sweep, "--controls", "random=3", "--out", str(tmp_path)]
    rows = run(*options)
    assert main(options) == 0
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert head.split()[-3:] == ["3", "random", "%"]
    assert str(tmp_path) in last
    assert "report" in last
    assert [line.split()[:3] for line in lines] == [["1", a, "mine"] for a in ("-1", "0", "2")]
    for line, mine in zip(lines, rows, strict=False):
        alpha = mine["alpha"]
        random = [row["accuracy"] for row in rows if row["alpha"] == alpha][1:]
        assert len(random) == 3
        assert line.endswith(f"{100 * min(random):.1f} to {100 * max(random):.1f}")
        assert f" {100 * mine['accuracy']:.1f} " in line


def test_several_masks_are_told_apart(run, sweep: list[str]):
    rows = run(*sweep, "--positions", "1-3;2,5")
    assert [(row["positions"], row["alpha"]) for row in rows] == [
        (mask, alpha) for mask in ("1-3", "2,5") for alpha in (-1.0, 0.0, 2.0)
    ]
    (plain,) = [row for row in rows if row["positions"] == "2,5" and row["alpha"] == 2.0]
    alone = run(*sweep, "--positions", "2,5")
    assert {name: plain[name] for name in FIELDS} == alone[2]


def test_sweep_at_a_site_without_layers(run, model: list[str], direction: str, pairs: str):
    rows = run(
        *("sweep", *model, "--pairs", pairs, "--site", "thought", "--alphas", "1,-0"),
        *("--direction", direction, *SHORT),
    )
    assert [(row["layer"], row["alpha"]) for row in rows] == [(None, 1.0), (None, 0.0)]
    assert "-0.0" not in json.dumps(rows)


def test_the_seed_of_a_sweep_picks_its_controls(run, model: list[str], direction: str, pairs: str):
    options = ["--pairs", pairs, "--alphas", "1", "--controls", "random=1", "--seed", "7"]
    rows = run("sweep", *model, *options, "--direction", direction, *SHORT)
    assert [row["direction"] for row in rows] == ["mine", "random-7"]


def test_progress_is_no_data(
    capsys: pytest.CaptureFixture[str],
    model: list[str],
    direction: str,
    pairs: str,
    monkeypatch: pytest.MonkeyPatch,
):
    """On stderr: counted for a watcher; in a log a line now and then, none of a short run."""
    options = ["--pairs", pairs, "--alphas", "1", "--direction", direction, *SHORT, "--json"]
    for watched in (False, True):
        capsys.readouterr()
        monkeypatch.setattr("sys.stderr.isatty", lambda watched=watched: watched)
        assert main(["sweep", *model, *options]) == 0
        found = capsys.readouterr()
        assert ("8/8 rows" in found.err) is watched
        assert len(found.out.splitlines()) == 1
    monkeypatch.setattr(cli_options, "LOG_SECONDS", 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    assert main(["sweep", *model, *options]) == 0
    assert "8/8 rows\n" in capsys.readouterr().err


# --- the store -----------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each call of the decoder was given."""
    found = []
    plain = runner.decode_rows

    def counting(model, questions, rows, *args, **options):
        found.append(len(rows))
        return plain(model, questions, rows, *args, **options)

    monkeypatch.setattr(runner, "decode_rows", counting)
    return found


def test_a_finished_sweep_is_not_decoded_again(
    run, sweep: list[str], tmp_path: Path, calls: list[int]
):
    rows = run(*sweep, "--out", str(tmp_path))
    assert sum(calls) == 4 * 3
    assert run(*sweep, "--out", str(tmp_path), "--resume") == rows
    assert sum(calls) == 4 * 3


def test_an_ended_sweep_goes_on_and_says_so(
    run,
    sweep: list[str],
    tmp_path: Path,
    calls: list[int],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(runner, "unit_rows", lambda model: 2)
    wanted = run(*sweep)
    calls.clear()
    write = Store.write

    def interrupted(store, ids, rows, *args) -> None:
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(store, ids, rows, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", interrupted)
        assert main([*sweep, "--out", str(tmp_path)]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    with caplog.at_level(logging.INFO):
        assert run(*sweep, "--out", str(tmp_path)) == wanted
    assert "6 of 12 rows are stored; going on from there" in caplog.text
    assert sum(calls[3:]) == 4 + 12 - 6


def test_other_settings_in_the_same_folder_are_another_run(
    run, sweep: list[str], tmp_path: Path, calls: list[int]
):
    run(*sweep, "--out", str(tmp_path))
    calls.clear()
    rows = run(*sweep, "--alphas=-1,0,2,3", "--out", str(tmp_path))
    assert len(rows) == 4
    assert sum(calls) == 4 + 4, "the questions for their doses, and one new alpha"
    with Store(tmp_path / FILE) as store:
        assert len(store.runs()) == 2


def test_a_run_of_weights_that_were_replaced_is_not_resumed(
    run, fails, tiny: Tiny, sweep: list[str], tmp_path: Path
):
    """One line says why, and the stored rows stay."""
    out, folder = str(tmp_path / "run"), tmp_path / "model"
    shutil.copytree(tiny.path, folder)
    mine = [str(folder) if part == str(tiny.path) else part for part in sweep]
    run(*mine, "--out", out)
    weights = folder / "pytorch_model.bin"
    state = torch.load(weights, weights_only=True)
    state["codi.base_model.model.transformer.ln_f.weight"] *= 2
    torch.save(state, weights)
    line = fails(*mine, "--out", out, "--resume")
    assert "cannot be resumed" in line
    assert "had other weights then" in line
    with Store(Path(out) / FILE) as store:
        assert [record.done == record.total for record in store.runs()] == [True]


def test_a_sweep_over_a_prepared_split(run, fails, tmp_path: Path):
    file, out = tmp_path / "pairs.json", str(tmp_path / "experiment")
    file.write_text(dump_pairs(load_pairs("test")[:40]))
    model = ["--model", "tiny-llama", "--device", "cpu"]
    run("prepare", *model, "--pairs", str(file), "--out", out, "--necessity", "none")
    options = ["--split", out, "--alphas", "0,1", "--controls", "shuffled=2", *SHORT]
    found = run("sweep", *model, *options, "--out", out)
    names = ["mean_difference", "shuffled-0", "shuffled-1"]
    assert [row["direction"] for row in found] == [name for name in names for _ in range(2)]
    split = load_prepared(Path(out)).split("report")
    assert {row["n"] for row in found} == {len(split)}
    with Store(Path(out) / FILE) as store:
        about = store.run(1).provenance
        assert store.table(1).pair_id.unique().tolist() == [pair.pair_id for pair in split]
    assert (about["split"], about["pairs"]) == ("report", str(file))
    assert about["fit"]["problems"] == f"{file}, split fit"
    direction = about["directions"]["mean_difference, residual 2"]
    assert {name: direction[name] for name in about["fit"]} == about["fit"]
    assert about["prepared"]["counts"] == load_prepared(Path(out)).counts
    line = fails("sweep", "--model", "tiny-gpt2", "--device", "cpu", *options)
    assert "prepared" in line
    chosen = run("sweep", *model, *options, "--part", "select", "--out", out)
    assert {row["n"] for row in chosen} == {len(load_prepared(Path(out)).split("select"))}
    with Store(Path(out) / FILE) as store:
        assert store.run(2).provenance["split"] == "select"
    assert "give --split" in fails("sweep", *model, "--part", "select")
    assert ";" in line
    assert "not allowed with" in fails("sweep", *model, *options, "--pairs", "test")


# --- export-results ------------------------------------------------------------------------------


@pytest.fixture
def folder(run, sweep: list[str], tmp_path: Path) -> Path:
    run(*sweep, "--controls", "random=1", "--out", str(tmp_path / "experiment"))
    return tmp_path / "experiment"


def read_parquet(path: Path) -> tuple[pd.DataFrame, dict]:
    table = pq.read_table(path)
    return table.to_pandas(), json.loads(table.schema.metadata[b"steer_core"])


def read_csv(path: Path) -> tuple[pd.DataFrame, dict]:
    return pd.read_csv(path), json.loads(Path(f"{path}.json").read_text())


def read_json(path: Path) -> tuple[pd.DataFrame, dict]:
    found = json.loads(path.read_text())
    return pd.DataFrame(found["rows"]), found["run"]


@pytest.mark.parametrize(
    ("name", "read"),
    [("rows.parquet", read_parquet), ("rows.csv", read_csv), ("new/rows.json", read_json)],
)
def test_results_are_exported_with_where_they_come_from(run, folder: Path, name: str, read):
    out = folder / name
    (said,) = run("export-results", str(folder), "--out", str(out))
    assert said == {"run": 1, "rows": 4 * 5, "file": str(out)}
    found, about = read(out)
    with Store(folder / FILE) as store:
        table, record = store.table(1), store.run(1)
    assert list(found.columns) == list(table.columns)
    assert about["provenance"] == json.loads(json.dumps(record.provenance))
    assert about["spec"]["alphas"] == list(record.spec.alphas)
    for column in table.columns:
        one, other = found[column], table[column]
        both_missing = one.isna().to_numpy() & other.isna().to_numpy()
        empty = (one.isna() & (other.astype(object) == "")).to_numpy()
        equal = (one.astype(object) == other.astype(object)).fillna(False).to_numpy(dtype=bool)
        assert (equal | both_missing | empty).all(), column


CELLS = {
    "=1+2": "'=1+2",
    "+A1": "'+A1",
    "-cmd|' /C calc'!A0": "'-cmd|' /C calc'!A0",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "'\t=1",
    "\r=1": "'\r=1",
    "Tom\r=1": "Tom\r=1",
    "\N{FULLWIDTH EQUALS SIGN}1": "'\N{FULLWIDTH EQUALS SIGN}1",
    "-7": "-7",
    "+1.5e3": "+1.5e3",
    "The answer is: -7": "The answer is: -7",
    "": "",
}
"""Texts of a model, and what stands in a CSV file for them."""


@pytest.mark.parametrize("kind", ["category", "object", "str"])
def test_text_in_csv_is_no_formula(kind: str, tmp_path: Path):
    table = pd.DataFrame({"text": pd.Series(list(CELLS), dtype=kind), "alpha": -3.0})
    write_csv(table, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["text", "alpha"], *([text, "-3.0"] for text in CELLS.values())]


def test_a_csv_with_formulas_is_written_again(folder: Path):
    out = folder / "rows.csv"
    with Store(folder / FILE) as store:
        record = store.run(1)
        export_results(store, 1, out)
        assert is_export(out, record)
        about = json.loads(Path(f"{out}.json").read_text())
        assert "apostrophe" in about.pop("formulas")
        Path(f"{out}.json").write_text(json.dumps(about))  # as earlier versions wrote it
        assert not is_export(out, record)


def test_ids_beyond_64_bits_are_exported_as_texts(tmp_path: Path):
    table = pd.DataFrame({"pair_id": [10**23, 1]})
    write_parquet(table, {}, tmp_path / "x.parquet")
    assert read_parquet(tmp_path / "x.parquet")[0].pair_id.tolist() == [str(10**23), "1"]


def test_ids_of_several_kinds_are_exported_as_texts(folder: Path, tmp_path: Path):
    table = pd.DataFrame({"pair_id": [1, "a"], "x": [1.5, 2.5]})
    write_parquet(table, {"who": "me"}, tmp_path / "x.parquet")
    found, about = read_parquet(tmp_path / "x.parquet")
    assert found.pair_id.tolist() == ["1", "a"]
    assert about == {"who": "me"}


def test_what_cannot_be_exported(fails, folder: Path, tmp_path: Path):
    out = str(tmp_path / "x.csv")
    for options, parts in (
        ([str(folder), "--out", str(tmp_path / "x.xlsx")], ["x.xlsx", ".parquet, .csv, .json;"]),
        ([str(folder), "--out", out, "--run", "7"], ["run 7", "1 runs", ";"]),
        ([str(tmp_path / "none"), "--out", out], ["does not exist;", "sweep --out"]),
    ):
        line = fails("export-results", *options)
        for part in parts:
            assert part in line
    Store(tmp_path / FILE).close()
    assert "holds no run;" in fails("export-results", str(tmp_path), "--out", out)


# --- user errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--layers", "1,9"], ["layer 9", "1..3"]),
        (["--layers", "3-1"], ["'3-1'"]),
        (["--alphas", "3:1:1"], ["'3:1:1'", "start:stop:step"]),
        (["--alphas", "a"], ["'a'", "1.5"]),
        (["--controls", "shuffle=2"], ["'shuffle=2'", "random=20"]),
        (["--controls", "random"], ["'random'"]),
        (["--pairs", "no.json"], ["no.json"]),
        (["--max-new-tokens", "-1"], ["-1 new tokens"]),
        (["--out", "/proc/nowhere"], ["/proc/nowhere"]),
        (["--resume"], ["--resume", "--out"]),
        (["--site", "thought", "--layers", "1"], ["thought has no layers", "layer 1"]),
        (["--site", "embedding", "--layers", "2"], ["embedding has no layers", "layer 2"]),
        (["--positions", "1-3;"], ["''"]),
        (["--positions", "1-3;9"], ["position 9"]),
        (["--split", "/no/folder"], ["not allowed with"]),
    ],
)
def test_sweep_refuses_in_one_line(
    fails, model: list[str], direction: str, pairs: str, options: list, parts: list
):
    given = ["--pairs", pairs, "--direction", direction, "--alphas", "1", *SHORT]
    line = fails("sweep", *model, *given, *options)
    for part in [*parts, ";"]:
        assert part in line


def test_controls():
    assert controls_of(None)["random"] == 0
    assert controls_of("random=20")["random"] == 20
    assert controls_of("covariance=2,nuisance=3,most=9") == {
        **{"random": 0, "shuffled": 0, "covariance": 2, "nuisance": 3, "most": 9}
    }
    assert controls_of("random=20,shuffled=20")["most"] == 0, "means what it always meant"
    comparable = {"covariance": 20, "shuffled": 20, "nuisance": 20, "random": 0, "most": 99}
    assert controls_of(None, split=True) == comparable
    assert not any(controls_of("none", split=True).values())
    for text in ("random", "random=", "random=-1", "random=x", "noise=2", "random=1,", "random=²"):
        with pytest.raises(UserError, match="random=20"):
            controls_of(text)
