"""A page served in this process, and a browser tab that notices every error and every request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import fake_engine
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from steer_core.ui.handlers import Explorer
from steer_core.ui.page import build, launch_options

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
expect.set_options(timeout=30_000)
LEFT_BEHIND = ("AbortError", "Connection errored out")
"""What Gradio logs about requests of a page that is left while they are on their way."""


@dataclass
class Tab:
    """An open page; `close` fails when it logged an error or asked another host for anything."""

    page: Page
    home: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(30_000)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._listen)
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))

    def _listen(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, query: str = "?alpha=0") -> Page:
        """Load the page, at the baseline if nothing else is said, and wait until it is complete."""
        self.page.goto(self.home + query)
        self.page.wait_for_selector("#answers [data-serial]")
        self.finished()
        return self.page

    def move(self, query: str) -> None:
        """Leave for another address; that requests of the old page end with it is no fault."""
        known = len(self.errors)
        self.page.goto(self.home + query)
        self.errors[known:] = [
            error for error in self.errors[known:] if not any(end in error for end in LEFT_BEHIND)
        ]

    def reload(self) -> None:
        """Load the page again."""
        self.move(urlsplit(self.page.url)._replace(scheme="", netloc="", path="").geturl())

    def finished(self) -> None:
        """Wait until no figure waits for the server."""
        self.page.wait_for_selector("body:not([data-waiting=yes])")
        self.page.wait_for_selector("#sweep [data-finished=yes]:not([data-waiting=yes])")

    def address(self) -> dict[str, list[str]]:
        """The parts of the address."""
        return parse_qs(urlsplit(self.page.url).query)

    def in_address(self, part: str, there: bool = True) -> None:
        """Wait until the address, which is written late, has a part or has lost it."""
        has = "([part, there]) => new URL(location.href).search.includes(part) === there"
        self.page.wait_for_function(has, arg=[part, there])

    def other_hosts(self) -> list[str]:
        local = (self.home, "data:", "blob:")
        return [url for url in self.requests if not url.startswith(local)]


@pytest.fixture(scope="session")
def browser(browser_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page over the fake engine."""
    runs = tmp_path_factory.mktemp("runs")
    page = build(Explorer(fake_engine.engine(batch_seconds=0.02)), runs)
    _, url, _ = page.launch(
        prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, **launch_options(runs)
    )
    yield url
    page.close()


@pytest.fixture
def tab(browser: Browser, home: str) -> Iterator[Tab]:
    """A fresh tab of 1280 x 900."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = Tab(context.new_page(), home)
    yield tab
    context.close()
    assert tab.errors == []
    assert tab.other_hosts() == []
