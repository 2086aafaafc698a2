"""Directions that a model lacks: the page says that they are computed, and stays usable."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import fake_engine
import fake_spaces
import gradio as gr
import pytest
from fake_engine import EDIT
from own_models import changed_model, few_pairs

from steer_core import load_model
from steer_core.steering import kept
from steer_core.steering.library import cached_direction
from steer_core.ui import fits as fits_module
from steer_core.ui.adapter import Adapter
from steer_core.ui.api import Endpoints
from steer_core.ui.engine import library as real_engine
from steer_core.ui.handlers import Asked, Explorer
from steer_core.ui.options import Options
from steer_core.ui.space import Unavailable

SECONDS = 60


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what is kept."""
    monkeypatch.setenv("STEER_DIRECTIONS", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    return changed_model(tmp_path_factory.mktemp("own"))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    few_pairs(monkeypatch)


def page(first: str) -> Explorer:
    return Explorer(real_engine(Options(device="cpu", dtype="float32")), first, settle_seconds=0.0)


def until_ready(explorer: Explorer, asked: Asked, setting) -> tuple[list[str], dict]:
    """What the page says until the answers are there, and the answers."""
    notes, ends = [], time.monotonic() + SECONDS
    while "note" in (value := explorer.strip(asked, setting)):
        notes.append(value["note"])
        assert time.monotonic() < ends
        time.sleep(0.05)
    return notes, value


def test_without_an_edit_no_direction_is_needed(own: str, monkeypatch):
    monkeypatch.setattr(kept, "fit_set", lambda *_, **__: pytest.fail("nothing to compute it for"))
    explorer = page(own)
    right = explorer.problems(own, "clean", "right")
    assert 0 < len(right) < 240
    bare = explorer.setting(own, **{**EDIT, "positions": []})
    value = explorer.strip(Asked(pair_id=right[0][1]), bare)
    assert len(set(value["answers"])) == 1
    assert value["correct"] == [True] * 61
    assert list(explorer.sweep("ada", bare))[-1]["finished"]
    decoded = Endpoints(explorer).decode(own, "Tom has 3 pens and buys 4 more. How many?")
    assert decoded["text"] == decoded["baseline_text"]


def test_the_page_computes_a_direction_and_says_so(own: str, few):
    explorer = page(own)
    asked = Asked(pair_id=explorer.problems(own, "clean")[0][1])
    setting = explorer.setting(own, **EDIT)
    notes, value = until_ready(explorer, asked, setting)
    said = f"{own}: computing the direction from 480 fit pairs, once per model"
    assert notes
    assert all(note.startswith(said) and "\n" not in note for note in notes)
    assert max(value["dose"][-1]) > 0
    model = load_model(own, device="cpu", dtype="float32")
    assert value["norms"][2] == pytest.approx(cached_direction(model, "residual", 2).norms[2], 1e-3)
    random = explorer.setting(own, **{**EDIT, "direction": "random"})
    assert "note" not in explorer.strip(asked, random)
    assert "note" not in page(own).strip(asked, setting)  # the next start finds it


def test_a_sweep_waits_for_the_direction(own: str, few):
    explorer = page(own)
    values = list(explorer.sweep("ada", explorer.setting(own, **EDIT)))
    noted = ["note" in value for value in values]
    assert noted[0]
    assert noted == sorted(noted, reverse=True)
    assert values[-1]["finished"]
    json.dumps(values, allow_nan=False)


def test_endpoints_wait_for_the_direction(own: str, few):
    found = Endpoints(page(own)).decode(own, "Tom has 3 pens and buys 4 more. How many?", alpha=3)
    assert found["alpha"] == 3.0
    rows = Endpoints(page(own)).sweep(own, layer=3, alphas=[3])
    assert [row["direction"] for row in rows] == ["mean_difference"] * 2


def test_a_model_without_wrong_answers_is_one_line_and_not_asked_again(own: str, monkeypatch):
    calls = []

    def all_wrong():
        calls.append(1)
        return [replace(each, answer=-1) for each in whole[:8]]

    whole = kept.bundled_fit_problems()
    monkeypatch.setattr(kept, "bundled_fit_problems", all_wrong)
    explorer = page(own)
    endpoints = Endpoints(explorer)
    for _ in range(2):
        with pytest.raises(gr.Error, match="0 of 8 answers are right"):
            endpoints.decode(own, "Tom has 3 pens. How many?", alpha=3)
    assert len(calls) == 1
    assert endpoints.decode(own, "Tom has 3 pens. How many?")["text"]  # the rest goes on


def test_on_a_shared_gpu_it_is_computed_there(own: str, few, monkeypatch: pytest.MonkeyPatch):
    spaces = fake_spaces.install(monkeypatch)
    explorer = page(own)
    found = Endpoints(explorer).decode(own, "Tom has 3 pens. How many?", alpha=3)
    assert found["text"]
    assert len(spaces.asked) == 2
    assert spaces.asked[0] > spaces.asked[1]
    Endpoints(explorer).decode(own, "Tom has 5 pens. How many?", alpha=3)
    assert len(spaces.asked) == 3  # it is known here that the model has one


# --- beside the page, over a fake engine ---------------------------------------------------------


class SlowFit:
    """A computation of directions that takes until it is let go."""

    def __init__(self) -> None:
        self.go, self.begun, self.stopped, self.known = threading.Event(), 0, 0, False

    def keep(self, model, progress, stop) -> None:
        self.begun += 1
        while not self.go.is_set():
            progress(3, 12)
            if stop():
                self.stopped += 1
                raise fake_engine.FakeCancelled
            time.sleep(0.01)
        self.known = True

    def explorer(self) -> Explorer:
        engine = replace(
            fake_engine.engine(batch_seconds=0.0, pairs=6),
            has_directions=lambda model: self.known or model == "tiny-gpt2",
            keep_directions=self.keep,
        )
        return Explorer(engine, settle_seconds=0.0)


def test_other_models_and_visitors_go_on_meanwhile():
    slow = SlowFit()
    explorer = slow.explorer()
    here, there = (explorer.setting(name, **EDIT) for name in ("tiny-llama", "tiny-gpt2"))
    for _ in range(3):
        assert "note" in explorer.strip(Asked(pair_id="t001"), here)
    until(lambda: "(3 of 12 problems)" in explorer.strip(Asked(pair_id="t001"), here)["note"])
    assert len(explorer.strip(Asked(pair_id="t001"), there)["answers"]) == 61
    assert list(explorer.sweep("bob", there))[-1]["finished"]
    slow.go.set()
    _, value = until_ready(explorer, Asked(pair_id="t001"), here)
    assert len(value["answers"]) == 61
    assert slow.begun == 1


def test_it_ends_when_nobody_asks_and_begins_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fits_module, "FORGOTTEN_SECONDS", 0.2)
    slow = SlowFit()
    explorer = slow.explorer()
    setting = explorer.setting("tiny-llama", **EDIT)
    explorer.strip(Asked(pair_id="t001"), setting)
    until(lambda: slow.stopped == 1)
    slow.go.set()
    until_ready(explorer, Asked(pair_id="t001"), setting)
    assert slow.begun == 2


def test_a_visitor_who_chooses_another_model_waits_no_longer():
    slow = SlowFit()
    explorer = slow.explorer()
    older = explorer.sweep("ada", explorer.setting("tiny-llama", **EDIT))
    assert "note" in next(older)
    newer = explorer.sweep("ada", explorer.setting("tiny-gpt2", **EDIT))
    assert "note" not in next(newer)
    assert list(older) == []
    slow.go.set()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            RuntimeError("secret"),
            "this did not work (RuntimeError); try another input",
        ),
        (Unavailable("ZeroGPU quota exceeded: wait"), "ZeroGPU quota exceeded: wait"),
    ],
)
def test_what_may_go_well_another_time_is_tried_again(error: Exception, line: str, caplog):
    """The quota of one visitor is not that of all."""
    engine = replace(
        fake_engine.engine(),
        has_directions=lambda model: False,
        keep_directions=partial(fails, error),
    )
    adapter = Adapter(Explorer(engine))
    asked = {"source": "pairs", "problem": "t001", "variant": "clean", "question": "", "gold": ""}
    found = []

    def told() -> bool:
        found.append(adapter.view(model="tiny-llama", **asked, **EDIT, unit="raw"))
        return "error" in found[-1]

    until(told)
    assert found[-1]["error"] == line
    assert ("secret" in caplog.text) == isinstance(error, RuntimeError)
    assert "note" in adapter.view(model="tiny-llama", **asked, **EDIT, unit="raw")


def fails(error: Exception, model, progress, stop) -> None:
    raise error


def until(condition) -> None:
    ends = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.01)
