"""Settings and fixtures that every test shares: offline, one thread, a browser where needed."""

import os
import shutil
import sys

# Before any library reads them: no test talks to another host unless it is marked `network`.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Gradio takes the first free port from here on: with `-n` each process has a hundred of its own.
os.environ["GRADIO_SERVER_PORT"] = str(
    7860 + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
)

import pytest
import torch
from absent import Absent
from quick_files import QUICK

pytest_plugins = ["slowest"]
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


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the reason; in CI a missing browser fails instead."""
    for item in items:
        if item.path.stem in QUICK:
            item.add_marker("quick")
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if item.get_closest_marker("browser") and not find_browser() and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason="no Chromium on PATH"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """With `-n`: a file's tests, which share fixtures, stay together, those of the browser first.

    They wait for most of their time, so two of their files at once take little more than one.
    """
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # as collected: browser tests, which take longest, first
    return LoadFileScheduling(config, log)


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
