"""The chart of all test problems, in a real browser."""

from __future__ import annotations

import pytest
from page_parts import text
from playwright.sync_api import expect

from steer_core.ui import assets

pytestmark = pytest.mark.browser


def test_a_click_on_the_chart_moves_the_slider(tab):
    page = tab.open()
    page.wait_for_selector("#sweep [data-done]")  # the chart comes after the answers
    page.wait_for_function("document.querySelector('#sweep .plot')?._fullLayout?.xaxis")
    place = page.evaluate("""() => {
        const plot = document.querySelector('#sweep .plot'), box = plot.getBoundingClientRect();
        const {xaxis, yaxis} = plot._fullLayout;
        return [box.x + xaxis._offset + xaxis.l2p(-1.5), box.y + yaxis._offset + yaxis.l2p(0.3)];
    }""")
    page.mouse.click(*place)
    expect(page.locator(".steered .at")).to_have_text("α = −1.5")
    assert page.locator("#alpha input[type=range]").input_value() == "-1.5"


def test_the_numbers_behind_the_chart(tab):
    page = tab.open()
    page.locator("#sweep summary").click()
    assert page.locator("#sweep tbody tr").count() == 13
    assert page.locator("#sweep tbody tr >> nth=0").inner_text().startswith("−3\t")
    assert "%" in text(page, "#sweep tbody tr >> nth=0")
    inside = "() => { const box = document.querySelector('#sweep .numbers'); "
    assert page.evaluate(inside + "return box.scrollWidth <= box.clientWidth; }"), "cut off"
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    lines = download.value.path().read_text("utf-8").splitlines()
    assert lines[0].startswith("# model tiny-llama, site residual, layer 2, positions 1 2 3 4 5 6")
    origin = "clean twins of assets/pairs/test.json, weights sha256 0f1e2d, finished"
    assert lines[0].endswith(origin)
    assert lines[1].split(",")[:3] == ["alpha", "n", "correct"]
    assert len(lines) == 15


def test_the_chart_says_what_it_is_over(tab):
    page = tab.open("?variant=corrupted")
    heading = page.locator("#sweep h2")
    expect(heading).to_have_text("Accuracy over the 60 clean test problems")


FIGURE = """async (sweep) => {
    const base = document.querySelector('script[src*="plotly-files"]').src;
    const figure = await import(base.replace(/plotly-files.*/, 'STATIC/sweep_figure.js'));
    return figure.traces(sweep, figure.colours());
}""".replace("STATIC", assets.routes()[0].path.strip("/"))


def test_the_chart_shows_the_change_on_the_same_pairs_until_it_is_finished(tab):
    page = tab.open()
    page.wait_for_selector("#sweep .main-svg")
    sweep = {
        "alphas": [-1, 0, 1],
        "n": [20, 40, 0],
        "correct": [6, 24, 0],  # 30 % of harder pairs, 60 % of all
        "low": [0.1, 0.5, None],
        "high": [0.5, 0.7, None],
        "wrong_to_right": [1, 0, 0],
        "right_to_wrong": [3, 0, 0],
        "baseline": 0.6,
    }
    *_, points = page.evaluate(FIGURE, {**sweep, "finished": False})
    assert points["y"] == [pytest.approx(0.5), 0.6, None]
    assert points["mode"] == "markers"
    *_, line = page.evaluate(FIGURE, {**sweep, "finished": True})
    assert line["y"] == [0.3, 0.6, None]
    assert line["mode"] == "lines+markers"


def test_the_chart_points_to_nothing_by_the_address_of_the_page(tab):
    page = tab.open("?alpha=1")
    expect(page.locator("#sweep [clip-path]").first).to_be_attached()
    clips = page.eval_on_selector_all(
        "#sweep [clip-path]", "all => all.map((one) => one.getAttribute('clip-path'))"
    )
    assert clips
    assert [clip for clip in clips if "http" in clip] == []
