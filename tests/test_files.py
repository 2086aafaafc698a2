"""Files that are whole or not there, and that leave nothing behind when they fail."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command_line import named, refused, write_pairs
from safetensors.torch import save_file
from tiny_checkpoints import HIDDEN, VARIANTS, Tiny, build

from steer_core.cli import main
from steer_core.files import replacing, replacing_folder, write_whole

OLD = "what stood there before"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def fails_in_the_middle(path: Path) -> None:
    with pytest.raises(OSError, match="full"):
        write_half(path)


def write_half(path: Path) -> None:
    with replacing(path) as part:
        part.write_text("half")
        raise OSError("the disk is full")


def fill_half(folder: Path) -> None:
    with replacing_folder(folder) as part:
        (part / "a").write_text("half")
        raise OSError("the disk is full")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a"
    path.write_text(OLD)
    fails_in_the_middle(path)
    fails_in_the_middle(tmp_path / "new" / "folder" / "b")
    assert names(tmp_path) == ["a"]
    assert path.read_text() == OLD


def test_folders_on_the_way_are_made_and_those_of_others_stay(tmp_path: Path):
    write_whole(tmp_path / "new" / "folder" / "a", "text")
    assert names(tmp_path) == ["new", "new/folder", "new/folder/a"]
    fails_in_the_middle(tmp_path / "new" / "folder" / "b")
    assert names(tmp_path) == ["new", "new/folder", "new/folder/a"]


def test_a_link_is_followed(tmp_path: Path):
    target = tmp_path / "target"
    target.write_text(OLD)
    (tmp_path / "link").symlink_to(target)
    write_whole(tmp_path / "link", "new")
    assert target.read_text() == "new"
    assert (tmp_path / "link").is_symlink()


def test_devices_are_written_to_and_never_replaced(tmp_path: Path):
    before = os.stat(os.devnull).st_ino
    write_whole(Path(os.devnull), "gone")
    assert os.stat(os.devnull).st_ino == before
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(OSError, match="No space left"):
        write_whole(Path("/dev/full"), "x")


def test_a_file_is_as_readable_as_one_that_was_opened(tmp_path: Path):
    (tmp_path / "opened").write_text("")
    write_whole(tmp_path / "replaced", "")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("opened", "replaced")}
    assert len(modes) == 1


def test_a_folder_is_filled_whole_or_not_at_all(tmp_path: Path):
    folder = tmp_path / "out"
    with pytest.raises(OSError, match="full"):
        fill_half(folder)
    assert names(tmp_path) == []
    folder.mkdir()
    (folder / "kept").write_text("kept")
    (folder / "a").write_text(OLD)
    with replacing_folder(folder) as part:
        (part / "b").mkdir()
        (part / "b" / "c").write_text("c")
        (part / "a").write_text("new")
        assert (folder / "a").read_text() == OLD
    assert names(folder) == ["a", "b", "b/c", "kept"]
    assert (folder / "a").read_text() == "new"


# --- a disk that is full -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp("tiny"), VARIANTS["llama-bin"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small file system cannot be mounted here (no root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def lines(tiny: Tiny, files: Path, out: Path) -> dict[str, list[str]]:
    """Commands that write more than 16 kB."""
    model = named(tiny)
    pairs = write_pairs(files / "pairs.json", 200)
    asked = [part for i in range(30) for part in ("--question", f"{i}?")]
    evaluated = ["--data", pairs, "--max-new-tokens", "1", "--out", str(out / "rows.jsonl")]
    return {
        "pairs": ["pairs", "generate", "--n", "100", "--out", str(out / "pairs.json")],
        "export": ["export", *model, "--out", str(out / "new" / "model")],
        "safetensors": ["export", *model, "--file", "safetensors", "--out", str(out / "model")],
        "hidden": ["decode", *model, *asked, "--hidden-out", str(out / "hidden.safetensors")],
        "evaluate": ["evaluate", *model, *evaluated],
    }


@pytest.mark.parametrize("name", ["pairs", "export", "safetensors", "hidden", "evaluate"])
def test_a_full_disk_is_one_line_and_leaves_no_part(
    tiny: Tiny, tmp_path: Path, small_disk: Path, capsys: pytest.CaptureFixture[str], name: str
):
    (small_disk / "mine").write_text("mine")
    assert main(lines(tiny, tmp_path, small_disk)[name]) == 2
    found = capsys.readouterr()
    said = [line for line in found.err.splitlines() if not line.startswith("[")]
    assert said == [line for line in said if "no room is left" in line]
    assert len(said) == 1
    assert found.out == ""
    assert names(small_disk) == ["mine"]


@pytest.mark.parametrize("out", ["/dev/full", "FOLDER", "FILE/below"])
@pytest.mark.parametrize("option", ["--hidden-out", "--out"])
def test_places_that_cannot_be_written_are_one_line(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, out: str
):
    (tmp_path / "FILE").write_text("x")
    (tmp_path / "FOLDER").mkdir()
    place = out if out.startswith("/") else str(tmp_path / out)
    if option == "--out":
        line = ["pairs", "generate", "--n", "1", option, place]
    else:
        line = ["decode", *named(tiny), "--question", "1?", "--max-new-tokens", "1", option, place]
    assert ";" in refused(capsys, *line)
    assert names(tmp_path) == ["FILE", "FOLDER"]


def test_a_direction_of_a_full_disk_leaves_no_part(tmp_path: Path, small_disk: Path):
    with pytest.raises(Exception, match="No space left"), replacing(small_disk / "d") as part:
        save_file({"direction": torch.ones(1000, HIDDEN)}, part)
    assert names(small_disk) == []
