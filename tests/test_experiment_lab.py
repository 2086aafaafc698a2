"""Experiments from the form to the report, on the bundled model, without a browser."""

from __future__ import annotations

import json
import threading
import time

import experiment_forms as forms
import pandas as pd
import pytest

from steer_core.errors import UserError
from steer_core.pipeline.store import FILE, Store
from steer_core.ui.experiments.lab import DONE, FAILED, STOPPED
from steer_core.ui.experiments.settings import load_experiment, read_form
from steer_core.ui.experiments.work import Order, work
from steer_core.ui.gate import Gate
from steer_core.ui.handlers import Asked

SECONDS = 120


def run(desk, **change) -> str:
    name = desk.start(forms.MODEL, {**forms.SMALL, **change})
    state = desk.lab.wait(SECONDS)
    assert state.status == DONE, state.message
    return name


def table(folder) -> pd.DataFrame:
    with Store(folder / FILE, create=False) as store:
        (record,) = store.runs()
        return store.table(record.id)


def until(condition) -> None:
    ends = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A desk with one finished experiment."""
    desk = forms.desk(tmp_path_factory.mktemp("runs"))
    run(desk)
    return desk


def test_one_click_leaves_everything_in_the_folder(finished):
    folder = finished.lab.folder / "small"
    names = ("experiment.json", "prepared.json", "pairs_used.json", "report.html", "report.md")
    assert [name for name in names if not (folder / name).is_file()] == []
    assert (folder / "directions" / "residual-2.safetensors").is_file()
    found = table(folder)
    pairs = found["pair_id"].nunique()
    assert len(found) == pairs * (1 + 3 * 2)
    assert set(found["kind"]) == {"baseline", "real", "random", "shuffled"}


def test_every_stage_ends_done(finished):
    stages = finished.progress()["stages"]
    assert [stage["status"] for stage in stages] == ["done"] * 4
    prepare, _, sweep, _ = stages
    assert prepare["done"] == prepare["total"] == (2 + 2 + 1) * 30
    assert sweep["done"] == sweep["total"]


def test_an_opened_experiment_is_json_with_verdict_funnel_and_chart(finished):
    found = json.loads(json.dumps(finished.opened("small"), allow_nan=False))
    (card,) = found["verdicts"]["cards"]
    assert card["headline"]
    assert card["sentence"]
    assert found["funnel"][0] == {"name": "rows", "count": 30, "of": 30}
    (curve,) = found["chart"]["curves"]
    assert curve["label"] == "Layer 2"
    assert curve["controls"] == 2
    assert set(curve["bands"]) == {"random", "shuffled"}
    assert all(len(band[side]) == 3 for band in curve["bands"].values() for side in ("low", "high"))
    assert found["chart"]["alphas"] == [-2.0, 0.0, 2.0]
    assert found["files"] == [
        *("report.html", "report.md", "rows.csv", "rows.parquet", "experiment.json"),
    ]


def test_the_chart_counts_as_the_table_does(finished):
    rows = table(finished.lab.folder / "small")
    real = rows[(rows["kind"] == "real") & (rows["alpha"] == 2.0)]
    chart = finished.opened("small")["chart"]
    assert chart["curves"][0]["correct"][2] == real["correct"].sum()
    for kind, band in chart["curves"][0]["bands"].items():
        controls = rows[(rows["kind"] == kind) & (rows["alpha"] == 2.0)]
        means = controls.groupby("direction", observed=True)["correct"].mean()
        least, most = means.min() - 1e-4, means.max() + 1e-4  # four digits are kept
        assert least <= band["low"][2] <= band["high"][2] <= most


def test_a_stored_experiment_is_listed_as_finished(finished):
    (entry,) = [e for e in finished.listed()["entries"] if e["name"] == "small"]
    assert (entry["state"], entry["model"], entry["resumable"]) == ("finished", forms.MODEL, False)
    assert entry["done"] == entry["total"] > 0


def test_the_next_plan_knows_the_measured_speed(finished):
    entry = finished.shelf.entries()[0]
    finished.shelf._known = {}
    plan = finished.plan(forms.MODEL, forms.SMALL)
    expected = f"as experiment {entry.name} did" if entry.seconds > 1 else "guess"
    assert expected in plan["source"]


def test_a_name_is_used_once(finished):
    with pytest.raises(UserError, match="'small' exists already"):
        finished.start(forms.MODEL, forms.SMALL)


def test_without_a_name_it_is_named_after_the_model(finished):
    assert run(finished, name="") == "tiny-llama-1"
    found = finished.compared(["small", "tiny-llama-1"])
    path = finished.shelf.file(*found["comparison"].split("/"))
    assert "Side by side" in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("names", "words"),
    [(["small"], "1 experiments"), (["small", "small"], "twice"), (["small", "none"], "'none'")],
)
def test_two_different_ones_are_compared(finished, names, words):
    with pytest.raises(UserError, match=words):
        finished.compared(names)


def test_too_few_pairs_end_with_one_line(tmp_path):
    desk = forms.desk(tmp_path)
    desk.start(forms.MODEL, {**forms.SMALL, "most": 4, "fractions": "0.4,0.1,0.5"})
    state = desk.lab.wait(SECONDS)
    assert state.status == FAILED
    assert "both are needed" in state.message
    assert "\n" not in state.message
    assert desk.listed()["entries"][0]["state"] == "begun"
    assert "resume" in desk.opened("small")["note"]


def test_the_name_of_one_without_results_can_be_used_again(tmp_path):
    desk = forms.desk(tmp_path)
    desk.start(forms.MODEL, {**forms.SMALL, "most": 4, "fractions": "0.4,0.1,0.5"})
    assert desk.lab.wait(SECONDS).status == FAILED
    assert run(desk) == "small"
    assert desk.opened("small")["funnel"][0]["count"] == forms.SMALL["most"]  # not the 4 of before


@pytest.mark.parametrize("text", ["{", "[]", '[{"pair_id": "1"}]'])
def test_a_file_without_pairs_is_one_line_and_leaves_no_folder(tmp_path, text):
    own = tmp_path / "mine.json"
    own.write_text(text)
    desk = forms.desk(tmp_path / "runs")
    handed_in = desk.uploads.take(own).token
    for ask in (desk.plan, desk.start):
        with pytest.raises(UserError, match=r"mine\.json") as error:
            ask(forms.MODEL, {**forms.SMALL, "pairs": "own", "own": handed_in})
        assert "\n" not in str(error.value)
        assert str(tmp_path) not in str(error.value)
    assert desk.listed()["entries"] == []


def test_own_pairs_come_from_a_file(tmp_path, finished):
    desk = forms.desk(tmp_path)
    own = tmp_path / "mine.json"
    own.write_text((finished.lab.folder / "small" / "pairs_used.json").read_text())
    name = run(desk, pairs="own", own=desk.uploads.take(own).token, most=0)
    assert not own.exists()
    assert '"pairs": "mine.json"' in (tmp_path / name / "experiment.json").read_text()
    assert desk.opened(name)["facts"][0] == ["pairs", "mine.json, 30 pairs"]
    pd.testing.assert_frame_equal(
        table(tmp_path / name), table(finished.lab.folder / "small"), check_categorical=False
    )


def test_one_at_a_time_cancel_and_resume(tmp_path, monkeypatch):
    desk = forms.desk(tmp_path)
    desk.start(forms.MODEL, {**forms.SMALL, "random": 20, "shuffled": 20, "alphas": "-3:3:0.5"})
    with pytest.raises(UserError, match="'small' is running"):
        desk.start(forms.MODEL, {**forms.SMALL, "name": "other"})
    assert not (tmp_path / "other").exists()
    (entry,) = desk.listed()["entries"]
    assert entry["state"] == "running"
    until(lambda: desk.lab.state.stage == "sweep" and desk.lab.state.stages["sweep"].done > 0)
    began = time.monotonic()
    desk.lab.cancel()
    state = desk.lab.wait(SECONDS)
    assert time.monotonic() - began < 5  # a decoding step takes milliseconds, a loaded machine more
    assert state.status == STOPPED
    (entry,) = desk.listed()["entries"]
    assert (entry["state"], entry["resumable"]) == ("stopped", True)
    assert 0 < entry["done"] < entry["total"]
    before = entry["done"]

    desk.resume("small")
    until(lambda: "sweep" in desk.lab.state.stages)
    assert desk.lab.state.stages["sweep"].before == before
    assert desk.lab.wait(SECONDS).status == DONE
    assert "prepare" not in desk.lab.state.stages  # what was prepared is not prepared again
    (entry,) = desk.listed()["entries"]
    assert (entry["state"], entry["done"]) == ("finished", entry["total"])


def test_visitors_go_first(tmp_path):
    desk, explorer = forms.desk(tmp_path), forms.explorer()
    desk.start(forms.MODEL, forms.LONG)
    until(lambda: desk.lab.state.stage == "sweep" and desk.lab.state.stages["sweep"].total > 0)
    edit = {"site": "residual", "positions": [1, 2], "direction": "mean_difference"}
    pair_id = explorer.problems(forms.MODEL, "clean")[0][1]
    for layer in (1, 3, 4):
        setting = explorer.setting(forms.MODEL, layer=layer, **edit)
        assert len(explorer.strip(Asked(pair_id=pair_id), setting)["answers"]) == 61
    assert desk.lab.state.active
    desk.lab.cancel()
    assert desk.lab.wait(SECONDS).status == STOPPED


def test_slices_end_with_the_same_rows(tmp_path, finished):
    """What ZeroGPU does: short slices, each in a process that cannot be asked to stop."""
    folder = tmp_path / "small"
    folder.mkdir()
    info = forms.explorer().info(forms.MODEL)
    experiment = read_form(info, forms.SMALL)
    engine, count = forms.explorer().runner.engine, 0
    while not next(work(engine, Order(experiment, folder, seconds=0.6))):
        count += 1
        assert count < 100
    assert count > 0
    pd.testing.assert_frame_equal(table(folder), table(finished.lab.folder / "small"))


def test_a_resumed_experiment_keeps_its_settings(finished):
    found = load_experiment(finished.lab.folder / "small")
    assert found == read_form(forms.explorer().info(forms.MODEL), forms.SMALL)
    with pytest.raises(UserError, match="'nobody' is not among"):
        finished.resume("nobody")


def test_an_unknown_error_is_one_line_and_ends_the_run(tmp_path, caplog):
    desk = forms.desk(tmp_path)

    def broken(folder):
        raise RuntimeError("secret detail")

    desk.lab._finish = broken
    desk.start(forms.MODEL, forms.SMALL)
    state = desk.lab.wait(SECONDS)
    assert state.status == FAILED
    assert "RuntimeError" in state.message
    assert "secret" not in state.message
    assert not state.active


# The gate


def test_a_long_hold_gives_way_to_both_kinds_of_waiting():
    gate, order, stop = Gate(), [], threading.Event()

    def experiment():
        while not stop.is_set():
            hold.give_way()
            time.sleep(0.001)

    def visitor(kind, name):
        with kind():
            order.append(name)

    with gate.background(long=True) as hold:
        # Two threads share the hold, as batches that are decoded beside each other do.
        helpers = [threading.Thread(target=experiment) for _ in range(2)]
        visitors = [
            threading.Thread(target=visitor, args=(kind, name))
            for kind, name in ((gate.foreground, "person"), (gate.background, "sweep"))
        ]
        for thread in (*helpers, *visitors):
            thread.start()
        for thread in visitors:
            thread.join(10)
        assert sorted(order) == ["person", "sweep"]
        stop.set()
        for thread in helpers:
            thread.join(10)
        assert not any(thread.is_alive() for thread in helpers)
    with gate.foreground():
        pass  # it is free again
