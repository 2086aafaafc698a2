"""Serve the page: `python app.py`, `steer-core-app`, or a Hugging Face Space.

Settings come from the environment: STEER_MODEL, STEER_DEVICE, STEER_DTYPE, STEER_HOST, STEER_PORT,
STEER_RUNS, the folder of experiments, and STEER_DIRECTIONS, that of directions computed here.
What visitors may ask for: STEER_EXPERIMENTS, STEER_MAX_DECODES, STEER_MAX_PAIRS, STEER_MAX_RUNS,
STEER_MAX_MEGABYTES, STEER_MAX_REQUESTS and STEER_FORWARDED. STEER_LOG=json writes a line a request,
STEER_MCP=yes serves the endpoints as tools. docs/hosting.md says what each means.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  # pyright: ignore  (patches torch on ZeroGPU: before torch)

from steer_core.errors import UserError
from steer_core.guard import guarded
from steer_core.ui import health, logs
from steer_core.ui.engine import library, shown_name
from steer_core.ui.handlers import Explorer
from steer_core.ui.options import options_from
from steer_core.ui.page import build, launch_options

STOP_SECONDS = 25.0
"""In which the batch of an experiment that is in flight is stored once the page is to stop."""


def main() -> int:
    """Build the page, serve it until interrupted, and return an exit status."""
    if arguments := sys.argv[1:]:  # whoever looks for options gets told where they are
        wanted = arguments[0] in ("-h", "--help")
        (sys.stdout if wanted else sys.stderr).write(str(__doc__))
        return 0 if wanted else 2
    return guarded(serve)


def serve() -> int:
    """Serve the page until interrupted."""
    options = options_from(os.environ)
    check_address(options.host, options.port)
    if options.mcp:
        check_tools()
    if options.log:
        logs.write_lines()
    explorer = Explorer(library(options), shown_name(options.model))
    page = build(explorer, options.runs, options.limits)
    served = launch_options(
        options.runs,
        forwarded=options.forwarded,
        alone=options.alone,
        limits=options.limits,
        mcp=options.mcp,
    )
    with until_ended() as ended:
        page.launch(
            server_name=options.host,
            server_port=options.port,
            prevent_thread_lock=True,
            **served,
        )
        threading.Thread(target=warm, args=(explorer,), name="warm", daemon=True).start()
        ended.wait()
        _, desk = health.served_by(page)
        desk.lab.close(STOP_SECONDS)
    page.close(verbose=False)
    return 0


def check_tools() -> None:
    """Raise a `UserError` where the package is missing that tools are served with."""
    if find_spec("mcp") is None:
        raise UserError(
            "STEER_MCP is yes and the package mcp is not installed; pip install"
            " 'steer-core[mcp]', or set it to no"
        )


@contextmanager
def until_ended() -> Iterator[threading.Event]:
    """An event that is set when somebody asks the process to end, by a signal or the keyboard."""
    ended = threading.Event()
    known = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield ended
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)


def warm(explorer: Explorer) -> None:
    """Load the model that is shown first, so that the first visitor does not wait for it."""
    with contextlib.suppress(Exception):  # the page tells whoever asks for it what is wrong
        explorer.runner.ready(next(iter(explorer.models)))


def check_address(host: str | None, port: int | None) -> None:
    """Raise a `UserError` where the page cannot be served; what is not given, Gradio chooses."""
    try:
        kind, *_, address = socket.getaddrinfo(host or "127.0.0.1", port or 0)[0]
        with socket.socket(kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except (OSError, UnicodeError) as error:
        where = f"STEER_HOST={host or '127.0.0.1'}, STEER_PORT={port or 'the first free'}"
        raise UserError(
            f"the page cannot be served at {where} ({getattr(error, 'strerror', error)}); "
            "set another, or end the program that has it"
        ) from error
