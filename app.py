"""Start the page: `python app.py`, or push this repository to a Hugging Face Space.

Settings come from the environment: STEER_MODEL, STEER_DEVICE, STEER_DTYPE, STEER_HOST, STEER_PORT,
STEER_RUNS, the folder of experiments, and STEER_DIRECTIONS, that of directions computed here.
"""

import contextlib
import os
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  # pyright: ignore  (patches torch on ZeroGPU: before torch)

from steer_core.errors import UserError
from steer_core.ui.engine import library
from steer_core.ui.handlers import Explorer
from steer_core.ui.options import options_from
from steer_core.ui.page import build, launch_options


def main() -> int:
    """Build the page, serve it until interrupted, and return an exit status."""
    if arguments := sys.argv[1:]:  # whoever looks for options gets told where they are
        wanted = arguments[0] in ("-h", "--help")
        (sys.stdout if wanted else sys.stderr).write(str(__doc__))
        return 0 if wanted else 2
    try:
        options = options_from(os.environ)
        page = build(Explorer(library(options), options.model), options.runs)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    page.launch(server_name=options.host, server_port=options.port, **launch_options(options.runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
