"""The page where the GPU belongs to other processes, over the real engine."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import experiment_forms as forms
import fake_engine
import fake_spaces
import gradio as gr
import pytest
from fake_spaces import Spaces
from tiny_checkpoints import VARIANTS, build

from steer_core import load_model
from steer_core.codi.listing import model_info
from steer_core.errors import UserError
from steer_core.ui import compute, space
from steer_core.ui.adapter import Adapter
from steer_core.ui.compute import StripJob, SweepJob
from steer_core.ui.engine import library
from steer_core.ui.experiments import lab
from steer_core.ui.experiments.desk import Desk
from steer_core.ui.experiments.lab import DONE, FAILED
from steer_core.ui.handlers import Asked, Explorer
from steer_core.ui.options import Options

EDIT = {"site": "residual", "layer": 2, "positions": [1, 2, 3], "direction": "mean_difference"}


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    """Of both models, loaded before anything is in the way."""
    return {name: load_model(name, device="cpu").sha256 for name in ("tiny-llama", "tiny-gpt2")}


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Spaces:
    return fake_spaces.install(monkeypatch)


def explorer(first: str | None = None) -> Explorer:
    return Explorer(library(Options(device="cpu", dtype="float32")), first, settle_seconds=0.0)


def in_a_thread(work) -> list:
    """What a page does: nothing of a visitor's runs in the main thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found


def own_folder(folder: Path) -> str:
    """A checkpoint that the page can load: weights, config and tokenizer in one folder."""
    tiny = build(folder, VARIANTS["gpt2-rank-128"])
    shutil.copytree(tiny.base, tiny.path, dirs_exist_ok=True)
    return str(tiny.path)


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-gpt2"])
def test_a_model_is_moved_inside_the_gpu_alone(hashes: dict[str, str], spaces: Spaces, name: str):
    """The second of them is chosen on a page that opened on the first."""
    page = explorer("tiny-llama")
    setting = page.setting(name, **EDIT)
    pair_id = page.problems(name, "clean")[0][1]
    (strip,) = in_a_thread(lambda: page.strip(Asked(pair_id=pair_id), setting))
    assert len(strip["answers"]) == 61
    (values,) = in_a_thread(lambda: list(page.sweep("ada", setting)))
    assert values[-1]["finished"]
    assert values[-1]["sha256"] == hashes[name]
    (found,) = in_a_thread(lambda: page.decode(setting, strip["question"], 1.0))
    assert found["baseline_text"] == strip["texts"][strip["text"][strip["baseline"]]]
    assert len(spaces.asked) == 3
    assert spaces.asked[0] < spaces.asked[1]


@pytest.mark.parametrize(
    ("parameters", "strip", "rows"),
    [(1_000_000, range(15, 21), range(25, 31)), (1_236_000_000, range(25, 50), range(50, 90))],
    ids=["bundled", "1B"],
)
def test_what_is_asked_for_follows_size_and_warmth(
    spaces: Spaces, parameters: int, strip: range, rows: range
):
    facts = SimpleNamespace(parameters=parameters)
    engine = replace(fake_engine.engine(), model_info=lambda name: facts)
    setting = explorer().setting("tiny-llama", **EDIT)
    one, many = StripJob(setting, "2 + 2?", None, (0.0,)), SweepJob(setting, (0.0, 1.0))
    cold = [compute.seconds(engine, job) for job in (one, many)]
    compute.read(engine, "tiny-llama")
    warm = [compute.seconds(engine, job) for job in (one, many)]
    assert all(a < b for a, b in zip(warm, cold, strict=True))
    assert {warm[0], cold[0]} <= set(strip)
    assert {warm[1], cold[1]} <= set(rows)


def test_what_nobody_has_counted_may_take_longer(spaces: Spaces):
    engine = fake_engine.engine()
    unknown = replace(engine, model_info=lambda name: SimpleNamespace(parameters=None))
    assert compute.start_seconds(unknown, "a") > compute.start_seconds(engine, "tiny-llama")


def test_the_filter_decodes_on_the_gpu(spaces: Spaces):
    (found,) = in_a_thread(lambda: explorer().problems("tiny-llama", "clean", "right"))
    assert 0 < len(found) < 240
    assert len(spaces.asked) == 1


def test_a_page_opens_on_a_folder_without_its_weights(spaces: Spaces, tmp_path: Path):
    name = own_folder(tmp_path)
    choice = explorer(name).models[name]
    assert (choice.layers, choice.latents) == (3, 6)
    assert spaces.asked == []
    with pytest.raises(UserError, match="no-such-model"):
        explorer("no-such-model")


def test_an_experiment_runs_on_the_gpu_alone(spaces: Spaces, tmp_path: Path):
    desk = Desk(explorer(), tmp_path)
    desk.start(forms.MODEL, forms.SMALL)
    state = desk.lab.wait(120)
    assert state.status == DONE, state.message
    assert spaces.asked


@pytest.mark.parametrize(
    ("stores", "seconds"),
    [
        ([True, True, True], [45, 45, 45]),
        ([False, True, True], [45, 240, 240]),  # it needed the time and will need it again
        ([False, False], [45, 240]),
        ([True, False, False], [45, 45, 240]),
    ],
)
def test_slices_go_on_while_they_store_something(
    spaces: Spaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stores: list, seconds: list
):
    asked, rows = [], 0

    def fake_work(engine, order):
        nonlocal rows
        rows += stores[len(asked)]
        asked.append(order.seconds)
        yield len(asked) == 3 and stores[-1]

    monkeypatch.setattr(lab, "work", fake_work)
    monkeypatch.setattr(lab, "stored", lambda folder: rows)
    desk = Desk(explorer(), tmp_path)
    desk.lab._finish = lambda folder: None
    desk.start(forms.MODEL, forms.SMALL)
    state = desk.lab.wait(120)
    assert asked == seconds
    assert state.status == (DONE if stores[-1] else FAILED)
    if not stores[-1]:
        assert "240 seconds on the GPU stored nothing new" in state.message
        assert "; choose fewer pairs" in state.message
        assert "\n" not in state.message


@pytest.mark.parametrize("longest", [0.0, 60.0])
def test_slices_too_short_for_anything_end(
    spaces: Spaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: float
):
    """The real work, of which a slice of no seconds decodes the fit set and stores nothing."""
    monkeypatch.setattr(lab, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(lab, "LONGEST_SECONDS", longest)
    desk = Desk(explorer(), tmp_path)
    desk.start(forms.MODEL, forms.SMALL)
    state = desk.lab.wait(120)
    assert state.status == (DONE if longest else FAILED), state.message
    assert len(spaces.asked) == (3 if longest else 2)  # the first one prepares
    entry = desk.listed()["entries"][0]
    assert entry["resumable"] == (not longest)


def test_wrong_input_comes_back_in_its_own_words(spaces: Spaces, monkeypatch: pytest.MonkeyPatch):
    page = explorer()
    monkeypatch.setattr("steer_core.ui.compute.PROMPT_TOKENS", 3)
    with pytest.raises(UserError, match=r"the question has \d+ tokens, the limit is 3; shorten"):
        page.decode(page.setting("tiny-llama", **EDIT), "How many apples has Tom?", 1.0)


def test_trouble_with_the_gpu_is_one_line(spaces: Spaces, monkeypatch: pytest.MonkeyPatch):
    values = {"source": "own", "problem": "", "variant": "clean", "question": "1 + 1?", "gold": 2}
    adapter = Adapter(explorer())
    monkeypatch.setattr("steer_core.ui.compute.loaded", lambda engine, name: 1 / 0)
    found = adapter.view(model="tiny-llama", **values, **EDIT, unit="raw")
    assert found["error"] == "ZeroGPU worker error: ZeroDivisionError"

    def nothing_left(*args):
        raise gr.Error("No quota left.\n<a href='x'>Log in</a>", title="ZeroGPU quota exceeded")
        yield

    with pytest.raises(UserError) as error:
        list(space.received(nothing_left)())
    assert str(error.value) == "ZeroGPU quota exceeded: No quota left. Log in"


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-gpt2", "folder"])
def test_sizes_are_those_of_the_loaded_model(name: str, tmp_path: Path):
    path = own_folder(tmp_path) if name == "folder" else name
    info, model = model_info(path), load_model(path, device="cpu", check=False)
    found = (info.name, info.source, info.layers, info.hidden, info.latents)
    config = model.config
    assert found == (model.name, model.source, config.layers, config.hidden, config.latents)
    assert (info.parameters is None) == (name == "folder")


def test_an_ordinary_space_forks_nothing(monkeypatch: pytest.MonkeyPatch):
    """It has the package too, which decorates nothing there."""
    monkeypatch.setattr(space, "spaces", Spaces())
    assert not space.FORKS
    assert space.gpu(duration=len)(iter) is iter
