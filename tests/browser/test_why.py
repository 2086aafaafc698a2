"""The section Why: its sentence follows α without a request, its panels ask once they are open."""

from __future__ import annotations

import pytest
from page_parts import drag_alpha, text
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def asked(tab) -> list[str]:
    return [url for url in tab.requests if "queue/join" in url or "run/predict" in url]


def test_the_sentence_follows_the_slider_without_a_request(tab):
    page = tab.open("?alpha=1")
    sentence = page.locator("#answers .arrival")
    expect(sentence).to_have_text("Arrived at 1.")
    tab.requests.clear()
    drag_alpha(page, 1.0, 2.0)
    expect(sentence).not_to_have_text("Arrived at 1.")
    assert asked(tab) == []


def test_an_opened_panel_shows_every_stage(tab):
    page = tab.open("?alpha=1")
    page.click("#look-trace summary")
    expect(page.locator("#look-trace .pipeline")).to_be_visible()
    assert "read by the answer" in text(page, "#look-trace .chart")
    assert text(page, "#look-trace .reading") == "Arrived at 1."


def test_the_atlas_fills_in_and_ends(tab):
    page = tab.open()
    page.get_by_role("tab", name="Atlas").click()
    page.click("#atlas .run")
    expect(page.locator("#atlas .status")).to_contain_text("3 of 3 pairs")
    assert page.locator("#atlas .point.filled").count() == 1
    assert page.is_disabled("#atlas .stop")
