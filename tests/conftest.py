"""Settings and fixtures that every test shares: offline, one thread, a browser where needed."""

import os
import shutil
import sys

# Before any library reads them: no test talks to another host unless it is marked `network`.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
from absent import Absent

BROWSER_TESTS = "tests/browser/"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


try:
    import hypothesis
except ImportError:
    sys.modules["hypothesis"] = Absent("hypothesis")
else:
    hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
    hypothesis.settings.register_profile("here", deadline=None)
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_configure() -> None:
    torch.set_num_threads(1)  # tiny matrices: more threads only wait for each other


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the reason; in CI a missing browser fails instead."""
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if item.get_closest_marker("browser") and not find_browser() and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason="no Chromium on PATH"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """With `-n`: a file's tests, which share fixtures, and all browser tests stay together.

    Servers of browser tests look for free ports, and should not do so beside each other.
    """
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return (
                BROWSER_TESTS if nodeid.startswith(BROWSER_TESTS) else super()._split_scope(nodeid)
            )

    config.option.loadscopereorder = False  # as collected: browser tests, which take longest, first
    return Together(config, log)


def find_browser() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@pytest.fixture(scope="session", autouse=True)
def own_directions(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a test computes of directions is not kept among those of the person who runs it."""
    os.environ["STEER_DIRECTIONS"] = str(tmp_path_factory.getbasetemp() / "directions")


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Path of a Chromium. Fails, never skips: the skip outside CI is decided at collection."""
    path = find_browser()
    if path is None:
        pytest.fail(f"no browser on PATH (looked for {', '.join(BROWSERS)}); install chromium")
    return path


@pytest.fixture
def explorer():
    """The page's handlers over an engine that is made up; a test of the real one has its own."""
    import fake_engine  # brings Gradio, which most tests do without

    return fake_engine.explorer()


@pytest.fixture
def setting(explorer):
    """An edit of its first model."""
    import fake_engine

    return explorer.setting("tiny-llama", **fake_engine.EDIT)
