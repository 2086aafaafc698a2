"""The demo is seen without scrolling, at the sizes that rooms and laptops have."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

SIZES = [(1280, 720), (1366, 768), (1920, 1080), (2560, 1440)]
SMALLEST = {1280: 12, 1366: 12, 1920: 15, 2560: 18}
SEEN = [
    ".question .text",
    "#alpha input[type=range]",
    ".strip .cells",
    ".answer.baseline",
    ".answer.steered",
    ".deltas .map",
    ".sweep .plot .main-svg",
    ".sweep .status",
]
BOXES = """selectors => selectors.map(selector => {
  const box = document.querySelector(selector).getBoundingClientRect();
  return { selector, left: box.left, top: box.top, right: box.right, bottom: box.bottom };
})"""
LETTERS = """() => {
  const all = document.querySelector("#columns");
  const walker = document.createTreeWalker(all, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const holder = walker.currentNode.parentElement;
    const size = parseFloat(getComputedStyle(holder).fontSize);
    if (walker.currentNode.data.trim() && holder.checkVisibility() && size > 0) {
      found.push([size, walker.currentNode.data.trim().slice(0, 40)]);
    }
  }
  return found;
}"""


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_all_of_the_demo_is_in_one_view(tab, width, height):
    tab.page.set_viewport_size({"width": width, "height": height})
    page = tab.open("?alpha=1.6")
    page.wait_for_selector(".sweep .plot .main-svg", state="attached")
    page.wait_for_timeout(300)  # figures follow their place a moment later
    for box in page.evaluate(BOXES, SEEN):
        assert box["bottom"] - box["top"] > 8, box
        assert 0 <= box["top"] < box["bottom"] <= height, box
        assert 0 <= box["left"] < box["right"] <= width, box
    figures = page.evaluate(BOXES, [".deltas .map", ".sweep .chart"])
    assert all(box["bottom"] - box["top"] >= 0.2 * height for box in figures)
    assert max(box["bottom"] for box in page.evaluate(BOXES, [".sweep"])) >= 0.96 * height


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_letters_grow_with_the_screen(tab, width, height):
    tab.page.set_viewport_size({"width": width, "height": height})
    page = tab.open("?alpha=1.6")
    found = page.evaluate(LETTERS)
    assert len(found) > 80
    assert [words for size, words in found if size < SMALLEST[width] - 0.01] == []
