"""A page served in this process for tests without a browser, and a script that talks to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from steer_core.ui.handlers import Explorer
from steer_core.ui.page import build, launch_options

API = "/gradio_api"
JSON = {"content-type": "application/json"}


class Script:
    """Asks a page as its JavaScript does: joins the queue, then listens."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.http = httpx.Client(base_url=url, timeout=20)
        self._sessions = 0

    def session(self) -> str:
        self._sessions += 1
        return f"script{self._sessions}"

    def join(self, function: Any, data: list[Any], session: str, **more: Any) -> httpx.Response:
        body = {"data": data, "fn_index": function, "session_hash": session, **more}
        return self.http.post(f"{API}/queue/join", json=body)

    def listen(self, session: str) -> dict[str, Any]:
        """The last message: what came out."""
        address = f"{API}/queue/data?session_hash={session}"
        with self.http.stream("GET", address) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ") or "{}")
                if message.get("msg") == "process_completed":
                    return message["output"]
        raise AssertionError("the stream ended without an answer")

    def ask(self, function: int, data: list[Any], **more: Any) -> dict[str, Any]:
        """What a function of the page returns, or the one line of a refusal."""
        if not self.page.fns[function].queue:
            body = {"data": data, "fn_index": function, "session_hash": self.session(), **more}
            return self.http.post(f"{API}/run/predict", json=body).json()
        session = self.session()
        joined = self.join(function, data, session, **more)
        return self.listen(session) if joined.status_code == 200 else joined.json()

    def call(self, name: str, data: list[Any]) -> str:
        """What a named endpoint answers, as text."""
        body = json.dumps({"data": data})  # in ASCII, so that half a character can be sent too
        joined = self.http.post(f"{API}/call/{name}", content=body, headers=JSON)
        if joined.status_code != 200:
            return joined.text
        return self.http.get(f"{API}/call/{name}/{joined.json()['event_id']}").text

    def number(self, kind: str) -> int:
        """The function of a kind of work that has its name, else the first."""
        names = {i: fn.api_name for i, fn in self.page.fns.items() if fn.concurrency_id == kind}
        return min(names, key=lambda i: names[i] != kind)

    def waiting(self) -> int:
        return len(self.page._queue.event_ids_to_events)

    def idle(self, seconds: float = 5.0) -> bool:
        """Whether all work ends in time."""
        ends = time.monotonic() + seconds
        while self.waiting() and time.monotonic() < ends:
            time.sleep(0.02)
        return not self.waiting()


@contextmanager
def served(explorer: Explorer, runs: Path, **options: Any) -> Iterator[Script]:
    """The page while it is up; `options` are those of `launch_options`."""
    page = build(explorer, runs)
    _, url, _ = page.launch(
        prevent_thread_lock=True,
        server_name="127.0.0.1",
        quiet=True,
        **launch_options(runs, **options),
    )
    try:
        yield Script(page, url)
    finally:
        page.close(verbose=False)
