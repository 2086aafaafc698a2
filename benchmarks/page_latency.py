"""From a slider event to painted answer and figures.

    python -m benchmarks.page_latency

Drags α with a real mouse in a headless Chromium. A move counts from the time stamp of the slider's
event to the frame after the one in which every figure was drawn. Prints a table, then one JSON
line; exit status 1 when a move was not drawn, a request was sent, or the p95 is above the limit.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from playwright.sync_api import Page, sync_playwright

LIMIT_MS = 50.0
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
PROBE = """() => {
    window.moves = [];
    const shown = panel => document.querySelector(`#${panel} .html-container > div`).dataset;
    document.addEventListener('input', event => {
        if (!event.target.closest('#alpha')) return;
        const alpha = event.target.value, start = event.timeStamp;
        requestAnimationFrame(() => requestAnimationFrame(() => {
            const index = shown('answers').index;
            const drawn = shown('answers').alpha === alpha && shown('sweep').alpha === alpha
                && shown('strip').index === index && shown('deltas').index === index;
            window.moves.push({alpha, ms: performance.now() - start, drawn});
        }));
    }, {capture: true});
}"""


def main() -> int:
    """Measure, print, and return the exit status."""
    options = parse()
    with served(options.url, options.model) as url, opened(url, options.width) as (page, requests):
        page.evaluate(PROBE)
        before = len(requests)
        drag(page, options.moves)
        moves = page.evaluate("window.moves")[: options.moves]
        late = [address for address in requests[before:] if "heartbeat" not in address]
        local = (url, "data:", "blob:")
        strangers = [address for address in requests if not address.startswith(local)]
        result = summary(moves, len(late), len(strangers))
    print(table(result))
    print(json.dumps(result))
    return 0 if result["passed"] else 1


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a page that is already served; else one is started")
    parser.add_argument("--model", help="model of the page that is started")
    parser.add_argument("--moves", type=int, default=50)
    parser.add_argument("--width", type=int, default=1280)
    return parser.parse_args()


@contextmanager
def served(url: str | None, model: str | None) -> Iterator[str]:
    """Yield the address of a page, started here unless one was given."""
    if url:
        yield url
        return
    from steer_core.ui.engine import library
    from steer_core.ui.handlers import Explorer
    from steer_core.ui.options import Options
    from steer_core.ui.page import build, launch_options

    page = build(Explorer(library(Options()), model))
    _, address, _ = page.launch(
        prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, **launch_options()
    )
    try:
        yield address
    finally:
        page.close()


@contextmanager
def opened(url: str, width: int) -> Iterator[tuple[Page, list[str]]]:
    """Yield the loaded page with its finished sweep, and the list its requests go to."""
    requests: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.set_default_timeout(300_000)
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        page.wait_for_selector("#answers [data-serial]")
        page.wait_for_selector("#sweep [data-finished=yes]")
        page.wait_for_timeout(1000)
        yield page, requests
        browser.close()


def drag(page: Page, moves: int) -> None:
    """Drag the thumb to a new α `moves` times, back and forth over the whole range."""
    box = page.locator("#alpha input[type=range]").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(place(box, 0), middle)
    page.mouse.down()
    for move in range(moves):
        page.mouse.move(place(box, 7 * (move + 1)), middle)
        page.wait_for_timeout(80)
    page.mouse.up()
    page.wait_for_timeout(800)  # the address line is written late; it must send nothing either


def place(box: Any, step: int) -> float:
    """Return the pixel of the `step`-th α on a way that turns back at both ends."""
    there = (step + 30) % 120
    index = there if there <= 60 else 120 - there
    return box["x"] + 8 + (box["width"] - 16) * index / 60


def summary(moves: list[dict[str, Any]], requests: int, strangers: int) -> dict[str, Any]:
    """Return percentiles in milliseconds and whether the page kept its promises.

    `requests` were sent during the drag, those to `strangers` (other hosts) in the whole session.
    """
    times = sorted(move["ms"] for move in moves)
    drawn = sum(move["drawn"] for move in moves)
    p95 = quantile(times, 0.95)
    return {
        "moves": len(moves),
        "drawn": drawn,
        "p50_ms": round(quantile(times, 0.5), 1),
        "p95_ms": round(p95, 1),
        "max_ms": round(times[-1], 1),
        "requests": requests,
        "other_hosts": strangers,
        "limit_ms": LIMIT_MS,
        "passed": drawn == len(moves) and not requests + strangers and p95 <= LIMIT_MS,
    }


def quantile(ordered: list[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not exceed."""
    return ordered[max(0, -(-len(ordered) * int(share * 100) // 100) - 1)]


def table(result: dict[str, Any]) -> str:
    """Return the result as two aligned columns."""
    return "\n".join(f"{name:<12} {value}" for name, value in result.items())


if __name__ == "__main__":
    sys.exit(main())
