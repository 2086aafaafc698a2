"""A page whose model has no direction yet: it says so, stays usable, and goes on alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import fake_engine
import pytest
from conftest import Tab
from playwright.sync_api import Browser, expect

from steer_core.ui.handlers import Explorer
from steer_core.ui.page import build, launch_options

pytestmark = pytest.mark.browser
NOTE = "tiny-llama: computing the direction from 60 fit pairs, once per model (3 of 12 problems)"


@pytest.fixture
def go() -> threading.Event:
    """Set when the direction of tiny-llama is there."""
    return threading.Event()


@pytest.fixture
def lacking(browser: Browser, go: threading.Event, tmp_path) -> Iterator[Tab]:
    """A tab on a page that computes until it is let go; tiny-gpt2 has what it needs."""

    def keep(model, progress, stop) -> None:
        while not go.is_set():
            progress(3, 12)
            if stop():
                raise fake_engine.FakeCancelled
            time.sleep(0.02)

    engine = replace(
        fake_engine.engine(batch_seconds=0.02),
        has_directions=lambda model: go.is_set() or model == "tiny-gpt2",
        keep_directions=keep,
    )
    page = build(Explorer(engine), tmp_path)
    _, url, _ = page.launch(
        prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, **launch_options(tmp_path)
    )
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = Tab(context.new_page(), url)
    yield tab
    go.set()
    context.close()
    page.close()
    assert tab.errors == []


def test_the_page_says_that_it_computes_and_goes_on_alone(lacking: Tab, go: threading.Event):
    page = lacking.page
    page.goto(lacking.home)
    message = page.locator("#question .message.note")
    expect(message).to_have_text(NOTE)
    expect(page.locator("#sweep .status")).to_have_text(NOTE)
    for _ in range(2):  # it asks again and again, and the line stays
        with page.expect_response("**/queue/join*"):
            pass
    expect(message).to_have_text(NOTE)
    go.set()
    expect(page.locator("#answers [data-serial]")).to_be_attached()
    expect(page.locator("#question .message")).to_be_hidden()
    lacking.finished()
    assert page.locator("#strip .cells i").count() == 61


def test_another_model_needs_no_waiting(lacking: Tab):
    page = lacking.page
    page.goto(lacking.home)
    expect(page.locator("#question .message.note")).to_have_text(NOTE)
    page.locator("#model input").click()
    page.get_by_role("option", name="tiny-gpt2").click()
    expect(page.locator("#deltas .cell")).to_have_count(7 * 7)
    lacking.finished()
    expect(page.locator("#question .message")).to_be_hidden()
    page.locator("#model input").click()
    page.get_by_role("option", name="tiny-llama").click()
    expect(page.locator("#question .message.note")).to_have_text(NOTE)
    expect(page.locator("body[data-outdated=yes]")).to_be_attached()
    page.locator("#positions label").first.wait_for()
    for box in page.locator("#positions input:checked").all()[::-1]:
        box.uncheck()
    expect(page.locator("#deltas .cell")).to_have_count(7 * 5)  # the baseline of this model
    expect(page.locator("#question .message")).to_be_hidden()
