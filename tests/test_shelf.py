"""Files of stored experiments that the page hands out: whole, and made again only when needed."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from stored_runs import store_run
from synthetic_runs import run_table

from steer_core.files import replacing
from steer_core.pipeline.store import FILE, Store
from steer_core.ui.experiments.shelf import ROWS, Shelf

PAIRS = 6


@pytest.fixture
def table() -> pd.DataFrame:
    return run_table(pairs=PAIRS, layers=(1,), alphas=(-1, 0, 1), random=1, shuffled=1)


@pytest.fixture
def shelf(tmp_path: Path, table: pd.DataFrame) -> Shelf:
    """With one experiment that was stopped."""
    (tmp_path / "small").mkdir()
    store_run(tmp_path / "small", table, keep=PAIRS - 2)
    return Shelf(tmp_path)


def made(shelf: Shelf, file: str) -> Path:
    path = shelf.file("small", file)
    assert path is not None
    return path


def rows(file: str, content: bytes) -> int:
    read = pd.read_csv if file.endswith(".csv") else pd.read_parquet
    return len(read(io.BytesIO(content)))


@pytest.mark.parametrize("file", ROWS)
def test_rows_are_not_written_again_while_none_is_added(shelf: Shelf, file: str):
    first = made(shelf, file).stat()
    with Store(shelf.folder / "small" / FILE, create=False) as store:  # as a visitor's chart has it
        store.runs()
        again = made(shelf, file).stat()
    assert (again.st_ino, again.st_mtime_ns) == (first.st_ino, first.st_mtime_ns)


@pytest.mark.parametrize("file", ROWS)
def test_whoever_reads_rows_gets_all_of_them_while_newer_ones_are_written(
    shelf: Shelf, table: pd.DataFrame, file: str
):
    with made(shelf, file).open("rb") as reader:
        start = reader.read(10)
        store_run(shelf.folder / "small", table)
        newer = made(shelf, file).read_bytes()
        before = rows(file, start + reader.read())
    assert before * PAIRS == rows(file, newer) * (PAIRS - 2)
    assert not list((shelf.folder / "small").glob("*.part"))


@pytest.mark.parametrize("file", ROWS)
def test_rows_of_another_run_or_half_a_file_are_written_again(
    shelf: Shelf, table: pd.DataFrame, file: str
):
    whole = made(shelf, file).read_bytes()
    made(shelf, file).write_bytes(whole[: len(whole) // 2])
    if file.endswith(".csv"):  # its provenance is written last, and lies in a file of its own
        Path(f"{shelf.folder / 'small' / file}.json").unlink()
    assert made(shelf, file).read_bytes() == whole
    for path in (shelf.folder / "small").glob(f"{FILE}*"):
        path.unlink()
    store_run(shelf.folder / "small", table.assign(correct=False), keep=PAIRS - 2, seed=1)
    assert made(shelf, file).read_bytes() != whole


def test_a_file_that_goes_while_folders_are_listed_is_passed_over(shelf: Shelf):
    (shelf.folder / "small" / ".rows.csv.1-1.part").symlink_to("gone")
    (entry,) = shelf.entries()
    assert entry.state == "stopped"


def write_half(path: Path) -> None:
    with replacing(path) as part:
        part.write_text("ne")
        raise OSError("the disk is full")


def test_a_file_is_replaced_once_it_is_complete(tmp_path: Path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(OSError, match="full"):
        write_half(path)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert [each.read_text() for each in tmp_path.iterdir()] == ["new"]
