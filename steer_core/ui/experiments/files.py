"""Reports and tables of stored experiments, at addresses of their own."""

from __future__ import annotations

import threading
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from steer_core.errors import UserError
from steer_core.ui.experiments.shelf import Shelf
from steer_core.ui.lines import line_of, short, without_paths

ADDRESS = "/experiment-files"
TYPES = {
    ".html": "text/html",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
}
# A report holds text of models and pairs. It is escaped; should that ever fail, the page that the
# text then makes is alone: no access to this one, no request to anywhere.
ALONE = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; img-src data: blob:;"
    " style-src 'unsafe-inline'; script-src 'unsafe-inline'; font-src data:"
)


MOST_AT_ONCE = 4
"""Files that are looked up or made at once: each takes a thread that others need."""
TOLD = (".json", ".md", ".html")
"""Files that hold commands, which name folders."""


def routes(folder: Path) -> list[Route]:
    """The routes below `ADDRESS` that hand out files of the experiments in a folder."""
    shelf, turns = Shelf(folder), threading.BoundedSemaphore(MOST_AT_ONCE)

    def hand_out(request: Request) -> Response:
        name, file = request.path_params["name"], request.path_params["file"]
        if not turns.acquire(blocking=False):
            line = "other files are being written; ask again in a moment"
            return PlainTextResponse(line, 503, {"Retry-After": "2"})
        try:
            path = shelf.file(name, file)
        except UserError as error:
            return PlainTextResponse(line_of(error), 404)
        finally:
            turns.release()
        if path is None:
            return PlainTextResponse(short(f"{name} has no {file}"), 404)
        shown = path.suffix == ".html" and "download" not in request.query_params
        return answer(path, f"{name.lstrip('_')}-{path.name}", shown, folder)

    return [Route(f"{ADDRESS}/{{name}}/{{file}}", hand_out)]


def answer(path: Path, name: str, shown: bool, folder: Path) -> Response:
    """A file under a name of its own; `shown` in the browser rather than saved.

    Commands in files of earlier versions name folders of this machine: their last part is enough.
    """
    headers = {
        "Content-Security-Policy": ALONE,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    how = "inline" if shown else "attachment"
    if path.suffix not in TOLD:
        kind = TYPES[path.suffix]
        return FileResponse(
            path, media_type=kind, filename=name, content_disposition_type=how, headers=headers
        )
    text = path.read_text(encoding="utf-8")
    for root in {str(folder), str(folder.resolve())} - {".", "/"}:
        text = text.replace(f"{root}/", f"{Path(root).name}/")
    if path.suffix == ".json":
        text = without_paths(text)
    headers["Content-Disposition"] = f'{how}; filename="{name}"'
    return Response(text, media_type=TYPES[path.suffix], headers=headers)
