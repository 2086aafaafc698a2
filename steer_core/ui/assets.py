"""The page's own files and Plotly.js, served from this machine and cached by content."""

import hashlib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
PLOTLY = Path(str(find_spec("plotly").origin)).parent / "package_data"  # pyright: ignore
"""Of the package beside its code, which the page needs only for reports."""


class Forever(StaticFiles):
    """Files whose address changes with their content, so that a browser may keep them."""

    def file_response(self, *args, **kwargs) -> Response:
        """Answer with a year of cache time."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def read(name: str) -> str:
    """Return the text of a static file."""
    return (STATIC / name).read_text(encoding="utf-8")


MCP_SCHEMA = "/gradio_api/mcp/schema"
ABSENT = (MCP_SCHEMA, "/monitoring/summary")
"""Asked for by the API panel of Gradio: whether there is an MCP server, or counts of visits."""


def absent(request: Request) -> Response:
    """Say that there is none: 404 would do, but browsers log that as an error of the page."""
    return Response(status_code=300)


def routes(mcp: bool = False) -> list[BaseRoute]:
    """Return the routes the page's JavaScript is loaded from, and those that Gradio lacks."""
    absent_here = [path for path in ABSENT if not (mcp and path == MCP_SCHEMA)]
    return [
        Mount(_static_path(), app=Forever(directory=STATIC)),
        Mount(_plotly_path(), app=Forever(directory=PLOTLY)),
        *[Route(path, absent) for path in absent_here],
    ]


def mount_script(panel: str, events: tuple[str, ...] = ()) -> str:
    """Return the `js_on_load` that hands a panel's element to its module.

    Gradio takes the events that a panel may trigger from this text.
    """
    return (
        "const base = new URL(window.gradio_config?.root || '/', location.href).pathname;"
        "const root = base.endsWith('/') ? base.slice(0, -1) : base;"
        f"import(root + '{_static_path()}/page.js').then(page => page.mount('{panel}', element,"
        f" props, watch, root + '{_plotly_path()}/plotly.min.js',"
        f" {{ root, trigger, events: {list(events)} }}));"
    )


def _static_path() -> str:
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return f"/page-files/{digest.hexdigest()[:12]}"


def _plotly_path() -> str:
    return f"/plotly-files/{version('plotly')}"
