"""`python app.py` as a person starts it: the bundled model, the real engine, a real browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from steer_core.ui.engine import library
from steer_core.ui.handlers import Asked, Explorer
from steer_core.ui.options import Options

ROOT = Path(__file__).parents[2]
MODEL = "tiny-llama"
SECONDS_TO_START = 120  # about 10 on an idle machine; tests may run on a busy one


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app, started as its own process."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    environment = {**os.environ, "STEER_PORT": str(port), "STEER_MODEL": MODEL}
    runs = str(tmp_path_factory.mktemp("runs"))
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "STEER_RUNS": runs}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
    began = time.monotonic()
    while not answers(url) and app.poll() is None and time.monotonic() - began < SECONDS_TO_START:
        time.sleep(0.2)
    took = time.monotonic() - began
    assert app.poll() is None, f"the app ended with status {app.returncode}"
    assert answers(url), f"the app does not answer after {took:.0f} s"
    yield url
    app.terminate()
    app.wait(10)


@pytest.fixture(scope="module")
def flip() -> tuple[str, int]:
    """A test problem and layer for which α = 3 and α = 0 give different answers."""
    explorer = Explorer(library(Options(device="cpu")), MODEL)
    info = explorer.info(MODEL)
    for _, pair_id in explorer.problems(MODEL, "clean"):
        for layer in range(1, info.layers + 1):
            setting = explorer.setting(
                MODEL,
                site="residual",
                layer=layer,
                positions=range(1, info.latents + 1),
                direction="mean_difference",
            )
            strip = explorer.strip(Asked(pair_id=pair_id), setting)
            if strip["answers"][-1] != strip["answers"][strip["baseline"]]:
                return pair_id, layer
    pytest.fail("α = 3 changes no answer of any test problem at any layer")


@pytest.mark.browser
def test_dragging_alpha_flips_the_answer_of_the_bundled_model(tab, flip):
    pair_id, layer = flip
    tab.page.set_default_timeout(120_000)
    page = tab.open(f"?problem={pair_id}&layer={layer}")
    before = page.locator(".steered .number").inner_text()
    assert before == page.locator(".baseline .number").inner_text()
    total = page.locator("#deltas [data-total]").get_attribute("data-total")
    assert float(total) == 0
    tab.requests.clear()
    slider = page.locator("#alpha input[type=range]")
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2, steps=20)
    page.mouse.up()
    expect(page.locator(".steered .at")).to_have_text("α = 3")
    assert page.locator(".steered .number").inner_text() != before
    assert page.locator(".steered mark").count() > 0
    assert float(page.locator("#deltas [data-total]").get_attribute("data-total")) > 0
    assert [url for url in tab.requests if "heartbeat" not in url] == []


@pytest.mark.browser
def test_the_chart_counts_every_test_pair(tab):
    """Half of the 240 at first, the other half as the setting is reported."""
    page = tab.open()
    expect(page.locator("#sweep .status")).to_contain_text("n = 120 · 13 α")
    page.locator("#sweep .data > details > summary").click()
    counts = "#sweep tbody td:nth-child(2)"
    assert page.locator(counts).all_inner_texts() == ["120"] * 13
    page.locator("#sweep .report").click()
    expect(page.locator("[data-part=report] .sweep .status")).to_contain_text("n = 120 · 13 α")
    counted = page.locator("#sweep [data-part=report] tbody td:nth-child(2)")
    expect(counted).to_have_text(["120"] * 13)
    tab.finished()


def test_a_wrong_setting_ends_with_one_line():
    run = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "STEER_MODEL": "no-such-model"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert "no-such-model" in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "203.0.113.1", "no host"])
def test_an_address_that_cannot_be_had_is_one_line(host: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env={**os.environ, "STEER_HOST": host, "STEER_PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert str(port) in run.stderr


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("--port=80", 2)])
def test_whoever_looks_for_options_is_told_where_they_are(argument: str, status: int):
    found = subprocess.run(
        [sys.executable, "app.py", argument], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert found.returncode == status
    assert "STEER_PORT" in (found.stderr if status else found.stdout)
