"""Start the page: `python app.py`, or push this repository to a Hugging Face Space.

Settings come from the environment: STEER_MODEL, STEER_DEVICE, STEER_DTYPE, STEER_HOST, STEER_PORT,
STEER_RUNS, the folder of experiments, and STEER_DIRECTIONS, that of directions computed here.
What visitors may ask for: STEER_EXPERIMENTS, STEER_MAX_DECODES, STEER_MAX_PAIRS, STEER_MAX_RUNS,
STEER_MAX_MEGABYTES and STEER_FORWARDED; the README says what each means.
"""

import contextlib
import os
import socket
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  # pyright: ignore  (patches torch on ZeroGPU: before torch)

from steer_core.errors import UserError
from steer_core.guard import guarded
from steer_core.ui.engine import library, shown_name
from steer_core.ui.handlers import Explorer
from steer_core.ui.options import options_from
from steer_core.ui.page import build, launch_options


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
    page = build(
        Explorer(library(options), shown_name(options.model)), options.runs, options.limits
    )
    served = launch_options(options.runs, forwarded=options.forwarded, alone=options.alone)
    page.launch(server_name=options.host, server_port=options.port, **served)
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
