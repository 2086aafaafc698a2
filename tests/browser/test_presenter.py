"""What a talk needs: keys for everything, large letters, and a calm first view."""

from __future__ import annotations

import pytest
from page_parts import text
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

LETTERS = "s => parseFloat(getComputedStyle(document.querySelector(s)).fontSize)"


def test_every_key_of_the_demo(tab):
    page = tab.open()
    page.evaluate("document.activeElement.blur()")
    at = page.locator(".steered .at")
    page.keyboard.press("ArrowRight")
    expect(at).to_have_text("α = 0.1")
    page.keyboard.press("Shift+ArrowLeft")
    expect(at).to_have_text("α = −0.4")
    page.keyboard.down("b")
    expect(at).to_have_text("α = 0")
    page.keyboard.up("b")
    expect(at).to_have_text("α = −0.4")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#deltas .edited[data-place='1,3']")).to_be_attached()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("2")
    expect(page.locator("#deltas .edited[data-place='1,2']")).to_be_attached()
    expect(page.locator("#deltas .edited[data-place='2,2']")).not_to_be_attached()
    page.keyboard.press("n")
    expect(page.locator("#question .text")).to_contain_text("Mia has 4 boxes")
    page.keyboard.press("p")
    expect(page.locator("#question .text")).to_contain_text("Mia has 3 boxes")
    page.keyboard.press("Space")
    expect(page.locator("body[data-running=yes]")).to_be_attached()
    page.wait_for_function(
        "parseFloat(document.querySelector('#answers [data-alpha]').dataset.alpha) > 0.2"
    )
    page.keyboard.press("Space")
    expect(page.locator("body[data-running=yes]")).not_to_be_attached()
    page.keyboard.press("?")
    expect(page.locator("dialog.keys")).to_contain_text("the baseline")
    page.keyboard.press("Escape")
    expect(page.locator("dialog.keys")).not_to_be_attached()
    tab.finished()


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080)])
def test_the_presenter_view_is_large_and_in_one_view(tab, width, height):
    tab.page.set_viewport_size({"width": width, "height": height})
    page = tab.open("?alpha=1.5")
    before = page.evaluate(LETTERS, ".question .text")
    page.get_by_role("button", name="Present").click()
    expect(page.locator("#side")).to_be_hidden()
    assert page.evaluate(LETTERS, ".question .text") >= 1.25 * before
    page.wait_for_timeout(300)
    for part in (".question .text", ".strip .cells", ".answer.steered", ".sweep .plot"):
        box = page.locator(part).bounding_box()
        assert 0 <= box["y"] < box["y"] + box["height"] <= height, part
    page.locator("body").press("f")
    expect(page.locator(".deltas .map")).to_be_visible()
    expect(page.locator(".sweep .plot")).to_be_hidden()
    tab.in_address("view=present")
    page.locator("body").press("Escape")
    expect(page.locator("#side")).to_be_visible()
    tab.in_address("view=present", False)


def test_a_linked_presenter_view_opens_so(tab):
    page = tab.open("?view=present&alpha=1")
    expect(page.locator("#side")).to_be_hidden()


def test_unknown_tabs_and_views_are_said_so(tab):
    page = tab.open("?tab=nowhere&view=upside&alpha=0")
    notices = page.locator(".toast-body")
    expect(
        notices.filter(has_text="tab 'nowhere' is unknown; choose one of explore")
    ).to_be_visible()
    expect(
        notices.filter(has_text="view 'upside' is unknown; choose one of present")
    ).to_be_visible()


def test_bars_of_a_schedule_are_dragged_and_linked(tab):
    page = tab.open("?alpha=1")
    expect(page.locator("#operation")).to_be_hidden()
    page.get_by_role("button", name="Advanced").click()
    bar = page.locator("#schedule .factor").nth(3)
    expect(bar).to_have_attribute("aria-valuenow", "1")
    track = bar.locator(".track").bounding_box()
    page.mouse.move(track["x"] + track["width"] / 2, track["y"] + 2)
    page.mouse.down()
    asked = len([url for url in tab.requests if "queue/join" in url])
    page.mouse.move(track["x"] + track["width"] / 2, track["y"] + 0.75 * track["height"], steps=8)
    expect(bar).to_have_attribute("aria-valuenow", "-0.5")
    assert len([url for url in tab.requests if "queue/join" in url]) == asked
    page.mouse.up()
    tab.in_address("schedule=1%2C1%2C1%2C-0.5")
    tab.finished()
    page.locator("#operation label").filter(has_text="rotate").click()
    tab.in_address("operation=rotate")
    block = page.locator("#layers .factor").nth(2)
    block.focus()
    block.press("End")
    tab.in_address("layers=3")
    expect(page.locator("#deltas .edited[data-place='1,3']")).to_be_attached()
    tab.finished()


def test_whoever_comes_without_a_link_sees_an_answer_that_has_turned(tab):
    page = tab.open("")
    expect(page.locator("#answers .outcome")).to_contain_text("changes the answer")
    assert text(page, ".steered .at") != "α = 0"


def test_a_guided_example_sets_all_inputs(tab):
    page = tab.open("?alpha=0&mask=1")
    page.get_by_role("button", name="An edit that never arrives").click()
    expect(page.locator("#answers .outcome")).to_contain_text("This edit cannot act: position 6")
    expect(page.locator("#site input[value=thought]")).to_be_checked()
    tab.in_address("mask=6")
    tab.finished()


def test_a_setting_is_reported_on_the_other_half(tab):
    page = tab.open("?alpha=1&layer=3")
    expect(page.locator("#sweep .exploring")).to_have_text("exploring")
    page.get_by_role("button", name="Report this setting").click()
    expect(page.locator("#sweep .title")).to_contain_text("30 clean report problems")
    tab.finished()
    page.locator("#layer input[type=range]").fill("4")
    expect(page.locator("#sweep .title")).to_contain_text("select problems")
    tab.finished()
    page.get_by_role("button", name="Report this setting").click()
    expect(page.locator("#sweep .exploring")).to_have_text("report, opened before")
    expect(page.locator("#sweep .caution")).to_contain_text("looked at once more")
    tab.finished()


def test_a_step_while_a_filter_is_applied_is_made_in_the_filtered_list(tab):
    page = tab.open()
    page.evaluate(
        "() => { document.querySelector('#keep input[value=wrong]').click();"
        " document.querySelector('#following').click(); }"
    )
    expect(page.locator("#question .text")).to_contain_text("Mia has 6 boxes")  # the second wrong
    tab.finished()


def test_pinned_settings_stay_beside_the_next_ones(tab):
    page = tab.open("?alpha=1.5&layer=2")
    page.get_by_role("button", name="Pin").click()
    page.locator("#layer input[type=range]").fill("3")
    tab.finished()
    page.get_by_role("button", name="Pin").click()
    cards = page.locator("#pins .pinned")
    expect(cards).to_have_count(2)
    expect(cards.nth(0)).to_contain_text("mean difference at residual 2")
    expect(cards.nth(1)).to_contain_text("residual 3")
    expect(cards.nth(0)).to_contain_text("α = 1.5")
    drawn = "document.querySelector('#sweep .plot')._fullData.map(each => each.line?.dash)"
    assert {"dash", "dot"} <= set(page.evaluate(drawn))
    page.locator("#alpha input[type=range]").fill("-2")
    expect(cards.nth(0)).to_contain_text("α = −2")
    assert "layer=2" in str(cards.nth(0).locator("a").get_attribute("href"))
    page.get_by_role("button", name="remove A").click()
    expect(cards).to_have_count(1)
    tab.finished()


@pytest.mark.parametrize(
    ("kind", "begins"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("json", b"{")]
)
def test_figure_and_table_are_saved(tab, kind, begins):
    page = tab.open("?alpha=1")
    page.locator("#sweep .save summary").click()
    with page.expect_download() as download:
        page.locator(f"#sweep .save .{kind}").click()
    saved = download.value.path().read_bytes()
    assert saved.startswith(begins)
    assert download.value.suggested_filename.endswith(f".{kind}")


def test_a_saved_page_has_the_figure_and_its_numbers(tab):
    page = tab.open("?alpha=1")
    page.locator("#sweep .save summary").click()
    with page.expect_download() as download:
        page.locator("#sweep .save .html").click()
    saved = download.value.path().read_text("utf-8")
    assert "data:image/svg" in saved
    assert "select split, weights sha256 0f1e2d, finished" in saved
    assert saved.count("<tr>") == 14
