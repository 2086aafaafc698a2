"""What the page's modules say about plain data, and what only a loaded page can show of it."""

from __future__ import annotations

import pytest
from page_parts import text
from playwright.sync_api import expect

from steer_core.ui import assets

pytestmark = pytest.mark.browser

SWEEP = {
    "alphas": [-0.5, 0.0, 0.5],
    "n": [20, 20, 20],
    "correct": [9, 12, 15],
    "low": [0.26, 0.39, 0.53],
    "high": [0.66, 0.78, 0.89],
    "wrong_to_right": [0, 0, 3],
    "right_to_wrong": [3, 0, 0],
    "baseline": 0.6,
    "finished": True,
}


def call(tab, module: str, name: str, *arguments):
    """The result of an exported function of one of the page's modules."""
    where = assets.mount_script("x").split("root + '")[1].split("/page.js")[0]
    tab.page.goto(f"{tab.home.rstrip('/')}{where}/page.css")
    code = "([path, name, args]) => import(path).then((module) => module[name](...args))"
    return tab.page.evaluate(code, [f"{where}/{module}", name, list(arguments)])


@pytest.mark.parametrize("alpha", [-0.5, -0.3, 0, 0.1, 0.5])
def test_the_text_under_the_chart_is_about_the_sliders_alpha(tab, alpha):
    words = call(tab, "sweep_words.js", "reading", SWEEP, alpha)
    assert words.startswith(f"α = {alpha:g}".replace("-", "−"))


def test_between_two_points_of_the_sweep_both_are_quoted(tab):
    words = call(tab, "sweep_words.js", "reading", SWEEP, 0.3)
    beside = "60.0\u00a0% at α = 0, 75.0\u00a0% at α = 0.5"
    assert words == f"α = 0.3 is not in the sweep; beside it {beside}"
    growing = {**SWEEP, "finished": False, "n": [20, 20, 0]}
    words = call(tab, "sweep_words.js", "reading", growing, 0.3)
    assert words.endswith("beside it 60.0\u00a0% so far at α = 0, nothing yet at α = 0.5")


def test_without_an_edit_there_is_no_length_of_a_direction(tab):
    page = tab.open("?mask=")
    assert page.locator("#deltas .norm").all_inner_texts() == ["–"] * 7


def test_a_wrong_link_says_what_is_shown_instead_until_it_is_read(tab):
    page = tab.open("?layer=99&alpha=77")
    notice = page.locator(".toast-body").first
    expect(notice).to_contain_text("tiny-llama is '99'; give a whole number from 1 to 4")
    expect(notice).to_contain_text("(the page shows 2)")
    expect(notice).to_contain_text("α is '77'; give a number from -3 to 3 (the page shows 0)")
    page.wait_for_timeout(11_000)
    expect(notice).to_be_visible()
    assert text(page, ".steered .at") == "α = 0"
