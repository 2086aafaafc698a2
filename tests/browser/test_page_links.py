"""Addresses that restore the page."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from page_parts import dataset, text
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

MARKUP = "<img src=x onerror=alert(1)>"


def test_a_link_restores_the_page(tab):
    query = (
        "?model=tiny-gpt2&problem=t005&variant=corrupted&layer=5&mask=2,4&alpha=-1.2&site=residual"
    )
    page = tab.open(f"{query}&direction=random")
    assert text(page, "#question .text").startswith("Mia has 8 boxes of pencils. Each box holds 5")
    assert text(page, "#question dd") == "34"
    assert text(page, ".steered .at") == "α = −1.2"
    edited = "[...document.querySelectorAll('#deltas .cell.edited')].map(c => c.dataset.place)"
    assert page.evaluate(edited) == ["2,5", "4,5"]
    assert page.locator("#positions input:checked").count() == 2


def test_the_address_names_every_choice_from_the_start(tab):
    tab.open("?alpha=1.5")
    tab.in_address("model=")
    assert tab.address() == {
        "model": ["tiny-llama"],
        "source": ["pairs"],
        "problem": ["t000"],
        "variant": ["clean"],
        "keep": ["all"],
        "site": ["residual"],
        "layer": ["2"],
        "mask": ["1,2,3,4,5,6"],
        "direction": ["mean_difference"],
        "unit": ["raw"],
        "alpha": ["1.5"],
    }


def test_a_wrong_link_opens_the_page_and_says_what_is_wrong(tab):
    page = tab.open("?layer=9&mask=44&alpha=nan&problem=zz")
    toasts = page.locator(".toast-body").first
    expect(toasts).to_contain_text("layer of tiny-llama is 9; give a whole number from 1 to 4")
    assert dataset(page, "answers")["alpha"] == "0"


def test_a_link_is_never_markup(tab):
    page = tab.open("?" + urlencode({"model": MARKUP}))
    expect(page.locator(".toast-body").first).to_contain_text("onerror")
    assert page.locator(".toast-wrap img, .toast-body img").count() == 0


def test_the_filter_outlives_a_reload(tab):
    page = tab.open()
    page.locator("#keep label").filter(has_text="wrong").click()
    tab.in_address("keep=wrong&")
    tab.finished()
    page.locator("#following").click()
    expect(page.locator("#question .text")).to_contain_text("Mia has 6 boxes")
    tab.in_address("keep=wrong&")
    tab.in_address("problem=t003")
    tab.reload()
    expect(page.locator("#keep input:checked")).to_have_value("wrong")
    expect(page.locator("#question .text")).to_contain_text("Mia has 6 boxes")
    tab.finished()
    page.locator("#following").click()
    expect(page.locator("#question .text")).to_contain_text("Mia has 9 boxes")
