"""How commands end when something else than their own input is wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from steer_core.errors import MOST_OF_A_LINE, UserError, one_line, shortened
from steer_core.guard import guarded

ROOT = Path(__file__).parent.parent


def ended(error: BaseException) -> int:
    def run() -> int:
        raise error

    return guarded(run)


class OutOfMemoryError(RuntimeError):
    """As torch's own is called."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("layer 9 is not within 1..3; choose one"), "layer 9"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "no room is left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "no room is left"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "no room is left"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "Permission denied ('/x/y')"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "present folder"),
        (MemoryError(), "memory ran out"),
        (OutOfMemoryError("CUDA"), "memory ran out"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory ran out"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), "UTF-8"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "torch is not installed"),
        (TypeError("a bug\nof two lines"), "unexpected TypeError: a bug of two lines"),
    ],
)
def test_every_error_is_one_line_with_a_next_move(
    error: Exception, words: str, capsys: pytest.CaptureFixture[str], monkeypatch
):
    monkeypatch.delenv("STEER_DEBUG", raising=False)
    assert ended(error) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("error: ")
    assert found.err.count("\n") == 1
    assert words in found.err
    assert ";" in found.err


def test_a_fault_of_ours_can_be_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STEER_DEBUG", "1")
    with pytest.raises(TypeError, match="a bug"):
        ended(TypeError("a bug"))
    assert ended(UserError("no bug")) == 2


def test_a_stop_and_a_reader_that_is_gone(capsys: pytest.CaptureFixture[str]):
    assert ended(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "stopped; run the command again\n"
    assert ended(BrokenPipeError()) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "value",
    ["x" * 5000, "word " * 1000, "é\n" * 1000, "/a" * 3000, "\x1b[31m" * 99, "\udcff" * 500],
)
def test_what_is_echoed_is_short_and_harmless(value: str):
    for text in (f"'{value}' is no number; give one", value, f"{value} {value}"):
        line = one_line(text)
        assert len(line) <= MOST_OF_A_LINE
        assert line.isprintable()
    line = one_line(f"'{value}' is no number; give one")
    assert line.endswith("is no number; give one")


def test_a_text_keeps_its_beginning_and_its_end():
    assert shortened("a" * 80) == "a" * 80
    found = shortened("a" * 50 + "b" * 50)
    assert (len(found), found[0], found[-1]) == (80, "a", "b")
    path = "/tmp/" + "folder/" * 15 + "file.json"
    assert path in one_line(f"{path} cannot be read; give another")


# --- at a real shell -----------------------------------------------------------------------------


def at_a_shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = f"{sys.executable} -m steer_core"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        ["bash", "-c", line.replace("STEER", command)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("STEER pairs show test --limit 0 > /dev/full", 2, b"no room is left"),
        ("set -o pipefail; STEER pairs show test --limit 0 | head -n 1", 0, b""),
        ("set -o pipefail; STEER --help | true", 0, b""),
        ("STEER pairs show test >&-", 0, b""),
        ("STEER pairs show nothing 2>&-", 2, b""),
        ("STEER pairs show nothing 2>/dev/full", 2, b""),
        ("mkdir gone; cd gone; rmdir ../gone; STEER pairs generate --out x/y", 2, b"; "),
        ("STEER pairs show test --pair $'\\xff'", 2, b"no pair"),
        ("env -u HOME XDG_CACHE_HOME=/proc/none STEER pairs show test --limit 1", 0, b""),
    ],
)
def test_streams_and_folders_that_are_not_as_usual(
    tmp_path: Path, line: str, status: int, words: bytes
):
    found = at_a_shell(line, tmp_path)
    assert found.returncode == status, found.stderr
    assert words in found.stderr
    assert len(found.stderr.splitlines()) == (1 if words else 0)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_stdout_can_show_any_text(tmp_path: Path, encoding: str):
    import json

    question = "Çok 7 çay 🙂? α"
    rows = [
        {"pair_id": i, **dict.fromkeys(("clean", "corrupted"), side)}
        for i in range(1)
        for side in [{"question": question, "answer": 7}]
    ]
    (tmp_path / "pairs.json").write_text(json.dumps(rows))
    line = "STEER pairs show pairs.json --json"
    found = at_a_shell(line, tmp_path, PYTHONIOENCODING=encoding)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout.decode(encoding))["clean"]["question"] == question
