"""α and the figures that follow it in a real browser, over an engine that answers at once."""

from __future__ import annotations

import re

import pytest
from page_parts import dataset, drag_alpha, text
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_the_page_opens_at_the_baseline(tab):
    page = tab.open()
    assert dataset(page, "answers")["alpha"] == "0"
    assert text(page, "#answers .outcome") == "α = 0 edits nothing: this is the baseline."
    assert text(page, ".baseline .number") == text(page, ".steered .number")
    assert float(dataset(page, "deltas")["total"]) == 0
    assert page.locator("#strip .cells i").count() == 61
    assert page.locator("#deltas .cell").count() == 7 * 5


def test_dragging_changes_answer_and_figures_without_a_request(tab):
    page = tab.open()
    before = text(page, ".steered .number")
    shade = page.locator("#deltas .cell.edited").first.get_attribute("style")
    tab.requests.clear()
    drag_alpha(page, 0, 2.9)
    expect(page.locator("#answers [data-alpha='2.9']")).to_be_attached()
    assert text(page, ".steered .number") != before
    assert text(page, ".steered .at") == "α = 2.9"
    assert "changes the answer from" in text(page, "#answers .outcome")
    assert page.locator(".steered mark").count() > 0
    assert page.locator("#deltas .cell.edited").first.get_attribute("style") != shade
    assert float(dataset(page, "deltas")["total"]) > 0
    assert dataset(page, "strip")["index"] == "59"
    assert text(page, "#sweep .reading").startswith("α = 2.9 is not in the sweep; beside it ")
    tab.in_address("alpha=2.9")
    assert [url for url in tab.requests if "heartbeat" not in url] == []


def test_keys_move_alpha_too(tab):
    page = tab.open("?alpha=1")
    page.focus("#alpha input[type=range]")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".steered .at")).to_have_text("α = 1.1")
    page.keyboard.press("Home")
    expect(page.locator(".steered .at")).to_have_text("α = −3")
    page.locator("#alpha input[type=number]").fill("-0.4")
    expect(page.locator(".steered .at")).to_have_text("α = −0.4")
    page.locator("#alpha .reset-button").click()
    expect(page.locator(".steered .at")).to_have_text("α = 0")


def test_a_click_on_the_strip_moves_the_slider(tab):
    page = tab.open()
    box = page.locator("#strip .strip").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 50.5 / 61, box["y"] + 10)
    expect(page.locator(".steered .at")).to_have_text("α = 2")
    assert page.locator("#alpha input[type=range]").input_value() == "2"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_strip_label_is_whole_or_not_there(tab, width):
    tab.page.set_viewport_size({"width": width, "height": 900})
    page = tab.open()
    shown = page.locator("#strip .runs span").evaluate_all("""spans => spans.map(span => {
        const [word, box] = [span.querySelector('b'), span.getBoundingClientRect()];
        if (!word || word.getBoundingClientRect().top >= box.bottom) return 'out of sight';
        const place = word.getBoundingClientRect();
        return place.left >= box.left - 1 && place.right <= box.right + 1 ? 'whole' : 'cut';
    })""")
    assert "whole" in shown
    assert "cut" not in shown
    narrow = page.locator("#strip .runs").evaluate("""runs => {
        const span = runs.lastChild;
        span.style.width = '18px';
        const word = span.querySelector('b') ?? span.appendChild(document.createElement('b'));
        word.textContent = '✗ 1140';
        return word.getBoundingClientRect().top >= span.getBoundingClientRect().bottom;
    }""")
    assert narrow, "a mark stands without its number"


def test_strip_cells_lie_under_the_thumb(tab):
    page = tab.open()
    track = page.locator("#alpha input[type=range]").bounding_box()
    for index, alpha in ((0, -3), (30, 0), (60, 3)):
        cell = page.locator("#strip .cells i").nth(index).bounding_box()
        thumb = track["x"] + 8 + (track["width"] - 16) * (alpha + 3) / 6
        assert cell["x"] + cell["width"] / 2 == pytest.approx(thumb, abs=2)


def test_another_mask_restarts_the_sweep(tab):
    page = tab.open()
    first, answers = dataset(page, "sweep"), dataset(page, "answers")
    page.locator("#positions label").filter(has_text="3").click()
    page.locator("#positions label").filter(has_text="4").click()
    page.wait_for_function(
        f"document.querySelector('#sweep [data-run]').dataset.run > {first['run']}"
    )
    tab.finished()
    second = dataset(page, "sweep")
    assert int(second["run"]) > int(first["run"])
    assert second["done"] == first["done"]
    assert int(dataset(page, "answers")["serial"]) > int(answers["serial"])
    assert page.locator("#deltas .cell.edited").count() == 4
    assert tab.address()["mask"] == ["1,2,5,6"]


def test_a_fast_change_of_layers_ends_at_the_last_one(tab):
    page = tab.open()
    page.focus("#layer input[type=range]")
    for key in ("End", "Home", "ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    expect(page.locator("#deltas .cell.edited").first).to_have_attribute("data-place", "1,4")
    tab.finished()
    expect(page.locator("#deltas .cell.edited").first).to_have_attribute("data-place", "1,4")
    assert page.locator("#deltas .name").all_inner_texts()[1] == "block 4 + norm"


def test_figures_keep_their_place(tab):
    page = tab.open()
    panels = ["question", "strip", "answers", "deltas", "sweep"]
    places = "ids => ids.map(id => { const b = document.getElementById(id).getBoundingClientRect();"
    places += " return [b.x, b.y, b.width, b.height] })"
    before = page.evaluate(places, panels)
    drag_alpha(page, 0, -2.7)
    page.locator("#positions label").filter(has_text="1").click()
    page.wait_for_timeout(60)
    assert page.evaluate(places, panels) == before
    tab.finished()
    assert page.evaluate(places, panels) == before


def test_an_edit_that_cannot_act_is_said_so(tab):
    page = tab.open("?site=thought&mask=6&alpha=2")
    assert text(page, "#answers .outcome").startswith("This edit cannot act: position 6")
    assert page.locator("#deltas .foot.dead").inner_text() == "6"
    assert page.locator("#layer input[type=range]").is_disabled()


@pytest.mark.parametrize("width", [1280, 1000, 800, 390])
def test_the_line_that_explains_a_dead_edit_is_not_cut_off(tab, width):
    tab.page.set_viewport_size({"width": width, "height": 720})
    page = tab.open("?site=embedding&mask=0,6&alpha=-1.5&direction=random")
    line = page.locator("#answers .outcome")
    expect(line).to_contain_text("Without effect: position 0 (it is fed the BOT token")
    assert line.evaluate("line => line.scrollHeight <= line.clientHeight")


def test_measures_of_the_map(tab):
    page = tab.open("?alpha=2")
    absolute = text(page, "#deltas .cell >> nth=3")
    page.get_by_role("button", name="relative").click()
    assert dataset(page, "deltas")["mode"] == "relative"
    assert text(page, "#deltas .cell >> nth=3").endswith("%")
    assert text(page, "#deltas .cell >> nth=3") != absolute
    page.locator("#deltas .cell >> nth=3").hover()
    assert text(page, "#deltas .reading").startswith("Position 3, block 4 + norm: ‖Δh‖ is")


def test_a_measure_explains_itself_and_its_sign(tab):
    page = tab.open("?alpha=-2&layer=1")
    caption = page.locator("#deltas .caption")
    expect(caption).to_contain_text("length of steered minus baseline state")
    page.get_by_role("button", name="Δ‖h‖").click()
    expect(caption).to_contain_text("teal, down: shorter")
    bar = page.locator("#deltas .bar").nth(3)
    lower, frame = bar.locator("i.minus").bounding_box(), bar.bounding_box()
    assert lower["y"] >= frame["y"] + frame["height"] / 2 - 1  # it points down
    assert lower["height"] > 1


def test_the_dose_is_told_where_there_is_one(tab):
    page = tab.open()
    line = page.locator("#deltas .reading")
    expect(line).to_have_text("Outlined: where the edit acts. Move α to see how far it carries.")
    page.locator("#alpha input[type=range]").fill("2")
    expect(line).to_have_text(re.compile("is up to 22\\s% of the norm of the state"))
    page = tab.open("?site=thought&mask=6&alpha=2")
    expect(line).to_contain_text("no answer depends on")


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_sideways_scrolling(tab, width, theme):
    tab.page.set_viewport_size({"width": width, "height": 900})
    page = tab.open(f"?__theme={theme}&alpha=2")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    inks = "() => getComputedStyle(document.querySelector('#answers .number')).color"
    light = sum(map(int, page.evaluate(inks)[4:-1].split(","))) > 380
    assert light == (theme == "dark")


def test_figures_speak(tab):
    page = tab.open("?alpha=1.5")
    assert page.locator(".steered[aria-live=polite]").count() == 1
    for panel, words in (
        ("strip .strip", "Answers over α"),
        ("deltas .map", "At α = 1.5"),
        ("sweep .plot", "Accuracy against α. α = 1.5"),
    ):
        assert page.locator(f"#{panel}[role=img]").get_attribute("aria-label").startswith(words)


def test_a_window_made_narrow_does_not_scroll_sideways(tab):
    page = tab.open()
    for width in (800, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_function(f"document.querySelector('#sweep .plot').clientWidth < {width}")
        # Figures follow their place a moment later.
        page.wait_for_function(f"document.documentElement.scrollWidth === {width}")
