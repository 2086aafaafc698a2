"""Settings and fixtures that every test shares: offline, one thread, a browser where needed."""

import os
import shutil

# Before any library reads them: no test talks to another host unless it is marked `network`.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import hypothesis
import pytest
import torch

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_configure() -> None:
    torch.set_num_threads(1)  # tiny matrices: more threads only wait for each other


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the reason; in CI a missing browser fails instead.

    Where several processes share the work, a file is one's own, for its fixtures, and so are all
    browser tests, for their servers look for free ports.
    """
    for item in items:
        together = "browser" if item.path.parent.name == "browser" else item.path.stem
        item.add_marker(pytest.mark.xdist_group(together))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if item.get_closest_marker("browser") and not find_browser() and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason="no Chromium on PATH"))


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
