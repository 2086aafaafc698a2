"""The inputs in a real browser: keyboard, boxes, lists."""

from __future__ import annotations

import pytest
from page_parts import STEADY, dataset, text
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_tabbing_through_the_inputs_changes_nothing(tab):
    page = tab.open("?layer=3&mask=2,4")
    before = {panel: dataset(page, panel) for panel in ("answers", "sweep", "deltas")}
    page.focus("#model input")
    tab.requests.clear()
    rings = []
    while page.evaluate("!document.activeElement.closest('#direction')"):
        before_it = page.evaluate_handle("document.activeElement")
        page.keyboard.press("Tab")
        page.wait_for_function("before => document.activeElement !== before", arg=before_it)
        ring = "e => e.closest('label') && getComputedStyle(e.closest('label')).outlineStyle"
        if page.locator("input[type=radio]:focus").count():
            rings.append(page.locator("input:focus").evaluate(ring))
    page.wait_for_timeout(500)  # what must not come has time to
    assert [url for url in tab.requests if "heartbeat" not in url] == []
    assert {panel: dataset(page, panel) for panel in before} == before
    page.keyboard.press("Tab")
    expect(page.locator("[role=listbox]")).to_have_count(0)  # none stays open
    assert rings == ["solid"] * len(rings) != []


def test_what_is_chosen_is_seen_under_the_mouse_too(tab):
    page = tab.open()
    chosen = page.locator("#source input:checked")
    paint = "input => getComputedStyle(input).backgroundColor"
    before = chosen.evaluate(paint)
    chosen.hover()
    page.wait_for_function(STEADY)
    assert chosen.evaluate(paint) == before


def test_problems_are_picked_by_keyboard_too(tab):
    page = tab.open()
    page.focus("#problem input")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#question .text")).not_to_contain_text("Mia has 3 boxes")
    page.locator("#previous").click()
    page.locator("#problem input").click()
    page.get_by_role("option", name="t005").click()
    expect(page.locator("#question .text")).to_contain_text("Mia has 8 boxes")
    tab.finished()


def test_a_layer_that_the_model_lacks_becomes_one_it_has(tab):
    page = tab.open()
    number = page.locator("#layer input[type=number]")
    for typed, becomes in (("9", "4"), ("0", "1"), ("2.4", "2"), ("", "2"), ("-1", "1")):
        number.click()
        page.keyboard.press("Control+a")
        page.keyboard.press("Delete")
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
        expect(number).to_have_value(becomes)
        expect(page.locator(f"#deltas .edited[data-place='1,{becomes}']")).to_be_attached()
        tab.finished()
        assert page.locator("#layer input[type=range]").input_value() == becomes
        tab.in_address(f"layer={becomes}&")
    assert page.locator("body[data-outdated=yes]").count() == 0
    assert page.locator(".toast-body").count() == 0


def test_an_alpha_between_two_is_rounded_in_the_box_too(tab):
    page = tab.open()
    number = page.locator("#alpha input[type=number]")
    for typed, becomes in (("0.06", "0.1"), ("7", "3"), ("-0.44", "-0.4"), ("", "-0.4")):
        number.fill(typed)
        number.blur()
        expect(number).to_have_value(becomes)
        expect(page.locator(".steered .at")).to_have_text(f"α = {becomes.replace('-', '−')}")


def test_alpha_counts_in_another_unit(tab):
    page = tab.open("?alpha=1.5")
    before = text(page, "#deltas .cell >> nth=3")
    page.locator("#advanced .label-wrap").click()
    page.locator("#unit label").filter(has_text="norm").click()
    tab.in_address("unit=dose")
    expect(page.locator("#deltas .cell >> nth=3")).not_to_have_text(before)
    tab.finished()


def test_a_link_names_the_unit(tab):
    page = tab.open("?alpha=1.5&unit=dose")
    page.locator("#advanced .label-wrap").click()
    expect(page.locator("#unit input[value=dose]")).to_be_checked()


def test_a_request_that_fails_leaves_nothing_dimmed(tab):
    page = tab.open()
    full = {"detail": "Queue is full."}
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json=full))
    page.locator("#direction input").click()
    page.get_by_role("option", name="random").click()
    expect(page.locator("#question .message")).to_contain_text("the server did not answer")
    expect(page.locator("#sweep .status")).to_contain_text("the server did not answer")
    assert page.locator("body[data-waiting=yes], #sweep [data-waiting=yes]").count() == 0
    page.unroute("**/queue/join*")
    page.locator("#direction input").click()
    page.get_by_role("option", name="mean difference").click()
    expect(page.locator("#question .message")).to_be_hidden()
    tab.finished()
    tab.errors.clear()  # the browser notes the status


def test_filter_and_steps_through_the_problems(tab):
    page = tab.open()
    page.locator("#keep label").filter(has_text="wrong").click()
    page.locator("#following").click()
    expect(page.locator("#question .text")).to_contain_text("Mia has 6 boxes")
    page.locator("#previous").click()
    expect(page.locator("#question .text")).to_contain_text("Mia has 3 boxes")
    page.locator("#variant label").filter(has_text="corrupted").click()
    expect(page.locator("#question .text")).to_contain_text("Each box holds 5")


def test_another_model_fits_its_layers(tab):
    page = tab.open("?layer=4")
    page.locator("#model input").click()
    page.get_by_role("option", name="tiny-gpt2").click()
    expect(page.locator("#deltas .cell")).to_have_count(7 * 7)
    tab.finished()
    assert page.locator("#layer input[type=range]").get_attribute("max") == "6"
    assert page.locator("#layer input[type=range]").input_value() == "3"
