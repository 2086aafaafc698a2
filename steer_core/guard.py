"""How every command ends: with 0, or with 2 and one line that names the next move.

A traceback is for whoever mends this program: `STEER_DEBUG=1` shows it.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress

from steer_core.errors import UserError, is_out_of_memory, one_line

BAD_INPUT, STOPPED = 2, 130
DEBUG = "STEER_DEBUG"
FULL = re.compile(
    r"No space left|Disk quota|os error (28|122)\b|PytorchStreamWriter failed|unexpected pos"
)
"""What libraries say when no room is left for a file; some raise errors without a number."""


def guarded(run: Callable[[], int]) -> int:
    """Run a command to its exit status, whatever happens in it.

    `SystemExit`, by which argparse ends, goes through.
    """
    prepare_streams()
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()  # here: what fails when the interpreter ends is no longer ours
    except BrokenPipeError:
        drop_output()  # the reader of a pipe has gone (`... | head`): nothing is left to say
        return 0
    except KeyboardInterrupt as error:
        say(one_line(error) or "stopped; run the command again")
        return STOPPED
    except Exception as error:
        if os.environ.get(DEBUG) and not explained(error):
            raise
        drop_output()
        say(f"error: {one_line(explained(error) or unexpected(error))}")
        return BAD_INPUT


def explained(error: Exception) -> str | None:
    """What happened and the next move, on one line; None for what only a bug of ours raises."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("steer_core"):
        return (
            f"{error.name} is not installed in this Python; activate the environment "
            "(. .venv/bin/activate) or run pip install -r requirements.txt"
        )
    if is_out_of_memory(error):
        return "memory ran out; ask for less at once (questions, alphas, rows), or free some"
    if isinstance(error, RecursionError):
        return "a file is nested too deeply to be read; give a plainer one"
    if isinstance(error, UnicodeError):
        return f"text that is no Unicode ({error}); write it, or save the file, as UTF-8"
    if is_full(error):
        return f"no room is left on the device{place_of(error)}; free some, or name another place"
    return of_system(error) if isinstance(error, OSError) else None


def is_full(error: Exception) -> bool:
    """Whether a file could not be written for want of room."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return getattr(error, "errno", None) in numbers or bool(FULL.search(str(error)))


def of_system(error: OSError) -> str:
    """What the system refused."""
    if error.errno == errno.ENOENT and error.filename is None:
        return "the present folder does not exist any more; change to another one"
    return f"{error.strerror or error}{place_of(error)}; give a path that can be used"


def place_of(error: Exception) -> str:
    """The file that an error is about, in brackets."""
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return f" ('{name}')" if name else ""


def unexpected(error: Exception) -> str:
    """A fault of this program, in a form that can be reported."""
    return (
        f"unexpected {type(error).__name__}: {one_line(error)[:200]}; a fault of this program, "
        f"set {DEBUG}=1 for its traceback and report it"
    )


def say(line: str) -> None:
    """A line on stderr, where there is one."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def prepare_streams() -> None:
    """Streams that are there and take every character.

    What the encoding of stdout lacks becomes an escape of JSON, which is what most of it is.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  (for as long as we run)
    codecs.register_error("json", json_escapes)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="json")


def json_escapes(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: characters as JSON writes them in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs(units)), error.end


def pairs(units: bytes) -> list[tuple[int, int]]:
    """Bytes two by two."""
    return list(zip(units[::2], units[1::2], strict=True))


def drop_output() -> None:
    """Let nothing wait for a stdout that takes nothing: the interpreter would complain of it."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
