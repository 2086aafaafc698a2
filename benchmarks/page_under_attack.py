"""A page under attack while visitors work with it.

    python -m benchmarks.page_under_attack [--seconds 60]

Serves the page in a process of its own on this machine. Five visitors decode and drag for a quiet
while, then for as long while the same address sends requests that are too large, starts sweeps and
leaves, keeps 64 sweeps waiting and uploads files. Then so many sessions open the page one after
another. Prints a table, then one JSON line; exit status 1 when a visitor saw an error. Nothing is
sent to any other machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

API = "/gradio_api"
PAUSE_SECONDS = 0.5
"""Between two changes of a visitor; dragging between them needs no server."""
WAITING = 64
MODELS = {"tiny-llama": 4, "tiny-gpt2": 4}
POSITIONS = [1, 2, 3, 4, 5, 6]


def main() -> int:
    """Measure, print, and return the exit status."""
    options = parse()
    with served() as (url, process):
        page = Page(url)
        quiet = phase(page, process, options, [])
        attacked = phase(page, process, options, [oversized, abandoned, crowd, uploads])
        sessions = many_sessions(page, process, options.sessions)
    return report(options, quiet, attacked, sessions)


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of either while (default 60)")
    parser.add_argument("--visitors", type=int, default=5, help="at once (default 5)")
    parser.add_argument("--sessions", type=int, default=300, help="opened at the end (default 300)")
    return parser.parse_args()


@contextmanager
def served() -> Iterator[tuple[str, int]]:
    """The page in a process of its own: its address, and the process."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environment = {
            **os.environ,
            "STEER_HOST": "127.0.0.1",
            "STEER_PORT": str(port),
            "STEER_RUNS": folder,
            "GRADIO_TEMP_DIR": f"{folder}/uploads",
        }
        app = Path(__file__).parents[1] / "app.py"
        process = subprocess.Popen(
            [sys.executable, str(app)], env=environment, stdout=subprocess.DEVNULL
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url)
            yield url, process.pid
        finally:
            process.terminate()
            process.wait(20)


def wait_for(url: str) -> None:
    """Wait until the page answers."""
    for _ in range(600):
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"{url} did not answer")


class Page:
    """What the page's JavaScript knows: its functions, and how to ask them."""

    def __init__(self, url: str) -> None:
        self.url = url
        config = httpx.get(f"{url}/config", timeout=60).json()
        self._kinds = {
            part["id"]: part["props"].get("elem_id", "") for part in config["components"]
        }
        self.functions = config["dependencies"]

    def number(self, output: str) -> int:
        """The first function behind the queue whose one output is the figure of this name."""
        return next(
            function["id"]
            for function in self.functions
            if [self._kinds[part] for part in function["outputs"]] == [output]
            and function["backend_fn"]
            and function["queue"]
        )

    def opening(self) -> int:
        """The function that fills the page in when it is opened."""
        return next(
            function["id"]
            for function in self.functions
            if function["backend_fn"] and len(function["outputs"]) > 10
        )


def join(http: httpx.Client, number: int, data: list[Any], session: str) -> httpx.Response:
    """Ask for something, as the page does."""
    body = {"data": data, "fn_index": number, "session_hash": session}
    return http.post(f"{API}/queue/join", json=body)


def listen(http: httpx.Client, session: str, event: str) -> Any:
    """The value that an event ends with.

    Raises:
        RuntimeError: when it ends with an error.
    """
    with http.stream("GET", f"{API}/queue/data?session_hash={session}") as stream:
        for line in stream.iter_lines():
            message = json.loads(line.removeprefix("data: ") or "{}")
            if message.get("event_id") != event or message["msg"] != "process_completed":
                continue
            if not message["success"] or not message["output"].get("data"):
                raise RuntimeError(str(message["output"])[:200])
            return message["output"]["data"]
    raise RuntimeError("the stream ended without an answer")


# Visitors


class Visitor:
    """Opens the page, then changes the problem or the edit every half second."""

    def __init__(self, page: Page, seed: int, serial: str) -> None:
        self._page, self._random = page, random.Random(seed)
        self._http = httpx.Client(base_url=page.url, timeout=60)
        self._session = f"visitor{serial}{seed}"
        self.opened, self.decoded, self.errors = [], [], []

    def work(self, ends: float) -> None:
        """Work until a monotonic time."""
        self._try(self._open, self.opened)
        while time.monotonic() < ends:
            self._try(self._change, self.decoded)
            time.sleep(PAUSE_SECONDS)

    def _try(self, action: Callable[[], None], times: list[float]) -> None:
        began = time.monotonic()
        try:
            action()
        except (RuntimeError, httpx.HTTPError) as error:
            self.errors.append(f"{action.__name__}: {error!r}"[:200])
        else:
            times.append(time.monotonic() - began)

    def _open(self) -> None:
        self._http.get("/").raise_for_status()
        self._answer(self._page.opening(), [])

    def _change(self) -> None:
        """Another problem and layer: the answers at all α, and a new sweep beside them."""
        model = self._random.choice(list(MODELS))
        layer, problem = self._random.randint(1, MODELS[model]), str(self._random.randint(1, 240))
        mask = sorted(self._random.sample(POSITIONS, 4))
        edit = [model, "residual", layer, mask, "mean_difference", "raw"]
        sweep = join(self._http, self._page.number("sweep"), edit, self._session)
        sweep.raise_for_status()
        found = self._answer(
            self._page.number("question"), ["pairs", problem, "clean", "", None, *edit]
        )
        if "error" in found[0]:
            raise RuntimeError(found[0]["error"])

    def _answer(self, number: int, data: list[Any]) -> Any:
        asked = join(self._http, number, data, self._session)
        asked.raise_for_status()
        return listen(self._http, self._session, asked.json()["event_id"])


# Attackers: each does its worst until the time is over, and counts what was refused


def oversized(page: Page, ends: float, refused: list[int]) -> None:
    """Lists, texts and nestings that no input needs, whole and in parts."""
    data = ["tiny-llama", None, None, "residual", "mean_difference"]
    bodies = [
        json.dumps({"data": [*data, [0.1] * 1_000_000]}),
        json.dumps({"data": [*data, [0.1] * 5_000]}),
        json.dumps(
            {"data": ["tiny-llama", "word " * 10_000, 1.0, None, None, "residual", "random"]}
        ),
        "[" * 60_000,
    ]
    headers = {"content-type": "application/json"}
    with httpx.Client(base_url=page.url, timeout=60, headers=headers) as http:
        while time.monotonic() < ends:
            for body in bodies:
                refused.append(http.post(f"{API}/call/sweep", content=body).status_code)
            time.sleep(0.1)


def abandoned(page: Page, ends: float, refused: list[int]) -> None:
    """Sweeps over all α that nobody waits for."""
    serial = 0
    while time.monotonic() < ends:
        with httpx.Client(base_url=page.url, timeout=60) as http:
            serial += 1
            alphas = [round(0.1 * i - 3, 1) for i in range(61)]
            layer = 1 + serial % 4
            body = {"data": ["tiny-gpt2", layer, [serial % 7], "residual", "random", alphas]}
            refused.append(http.post(f"{API}/call/sweep", json=body).status_code)
            edit = ["tiny-gpt2", "residual", layer, [serial % 7], "random", "raw"]
            refused.append(join(http, page.number("sweep"), edit, f"left{serial}").status_code)
        time.sleep(0.3)


def crowd(page: Page, ends: float, refused: list[int]) -> None:
    """As many sessions as filled the queue once, each with a sweep it listens to."""

    def one(number: int) -> None:
        with httpx.Client(base_url=page.url, timeout=60) as http:
            while time.monotonic() < ends:
                edit = ["tiny-llama", "residual", 1 + number % 4, [number % 7], "random", "sd"]
                session = f"crowd{number}"
                asked = join(http, page.number("sweep"), edit, session)
                refused.append(asked.status_code)
                if asked.status_code == httpx.codes.OK:
                    with http.stream("GET", f"{API}/queue/data?session_hash={session}") as stream:
                        for _ in stream.iter_lines():
                            if time.monotonic() > ends:
                                break
                time.sleep(1)

    with ThreadPoolExecutor(WAITING) as pool:
        list(pool.map(one, range(WAITING)))


def uploads(page: Page, ends: float, refused: list[int]) -> None:
    """Files that are too large, and files that nobody reads."""
    with httpx.Client(base_url=page.url, timeout=60) as http:
        while time.monotonic() < ends:
            for size in (20_000_000, 3_000_000):
                files = {"files": ("pairs.json", random.randbytes(size // 1000) * 1000)}
                refused.append(http.post(f"{API}/upload", files=files).status_code)
            time.sleep(0.5)


# Whiles


def phase(
    page: Page, process: int, options: argparse.Namespace, attacks: list[Callable[..., None]]
) -> dict[str, Any]:
    """Let visitors work, and attackers beside them; what the visitors saw."""
    before, ends = memory(process), time.monotonic() + options.seconds
    serial = "attacked" if attacks else "quiet"
    visitors = [Visitor(page, seed, serial) for seed in range(options.visitors)]
    statuses: list[list[int]] = [[] for _ in attacks]
    workers = [threading.Thread(target=visitor.work, args=(ends,)) for visitor in visitors]
    workers += [
        threading.Thread(target=attack, args=(page, ends, seen))
        for attack, seen in zip(attacks, statuses, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    errors = [error for visitor in visitors for error in visitor.errors]
    decoded = np.array([t for visitor in visitors for t in visitor.decoded] or [np.inf])
    opened = [t for visitor in visitors for t in visitor.opened] or [np.inf]
    found = {
        "decodes": len(decoded),
        "p50_ms": float(np.round(np.percentile(decoded, 50) * 1000)),
        "p95_ms": float(np.round(np.percentile(decoded, 95) * 1000)),
        "open_ms": float(np.round(max(opened) * 1000)),
        "errors": errors,
        "memory_mb": [before, memory(process)],
    }
    names = [attack.__name__ for attack in attacks]
    counted = {
        name: [len(seen), sum(status >= 400 for status in seen)]
        for name, seen in zip(names, statuses, strict=True)
    }
    return {**found, "attacks": counted}


def many_sessions(page: Page, process: int, count: int) -> list[int]:
    """Open the page so many times, each a session of its own: the memory on the way, in MB."""
    found = [memory(process)]
    for number in range(count):
        Visitor(page, number, "session")._try(Visitor(page, number, "s")._open, [])
        if (number + 1) % max(1, count // 3) == 0:
            found.append(memory(process))
    return found


def memory(process: int) -> int:
    """What a process holds of the memory, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def report(
    options: argparse.Namespace, quiet: dict[str, Any], attacked: dict[str, Any], opened: list[int]
) -> int:
    """Print the table and the JSON line; returns the exit status."""
    print(f"{options.visitors} visitors, {options.seconds:g} s each\n")
    print(f"{'':34} {'quiet':>10} {'attacked':>10}")
    rows = [("decodes of visitors", "decodes"), ("a decode, p50, ms", "p50_ms")]
    rows += [("a decode, p95, ms", "p95_ms"), ("opening the page, longest, ms", "open_ms")]
    for words, key in rows:
        print(f"{words:34} {quiet[key]:10} {attacked[key]:10}")
    counts = (len(quiet["errors"]), len(attacked["errors"]))
    print(f"{'errors that visitors saw':34} {counts[0]:10} {counts[1]:10}")
    ranges = ["{} -> {}".format(*found["memory_mb"]) for found in (quiet, attacked)]
    print(f"{'memory of the server, MB':34} {ranges[0]:>10} {ranges[1]:>10}")
    for name, (sent, refused) in attacked["attacks"].items():
        print(f"  {name}: {sent} requests, {refused} refused")
    print(f"memory while {options.sessions} sessions open the page, MB: {opened}")
    for error in (quiet["errors"] + attacked["errors"])[:5]:
        print(f"  error: {error}")
    print(json.dumps({"quiet": quiet, "attacked": attacked, "sessions_mb": opened}))
    return int(any(counts))


if __name__ == "__main__":
    sys.exit(main())
