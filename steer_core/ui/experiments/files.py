"""Reports and tables of stored experiments, at addresses of their own."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from steer_core.errors import UserError
from steer_core.ui.experiments.shelf import Shelf

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


def routes(folder: Path) -> list[Route]:
    """The routes below `ADDRESS` that hand out files of the experiments in a folder."""
    shelf = Shelf(folder)

    def hand_out(request: Request) -> Response:
        name, file = request.path_params["name"], request.path_params["file"]
        try:
            path = shelf.file(name, file)
        except UserError as error:
            return PlainTextResponse(str(error), 404)
        if path is None:
            return PlainTextResponse(f"{name} has no {file}", 404)
        shown = path.suffix == ".html" and "download" not in request.query_params
        return FileResponse(
            path,
            media_type=TYPES[path.suffix],
            filename=f"{name.lstrip('_')}-{path.name}",
            content_disposition_type="inline" if shown else "attachment",
            headers={
                "Content-Security-Policy": ALONE,
                "Cache-Control": "no-cache",
                "X-Content-Type-Options": "nosniff",
            },
        )

    return [Route(f"{ADDRESS}/{{name}}/{{file}}", hand_out)]
