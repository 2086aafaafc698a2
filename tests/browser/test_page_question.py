"""Questions of one's own, and what is shown of long ones."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from page_parts import text
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

GOLD = "#gold :is(input, textarea)"
MARKUP = '<img src=x onerror="alert(1)"> ${alert(2)} ${ {{value}} `'


INSIDE = """text => {
    const range = document.createRange(), last = text.lastChild.lastChild;
    range.setStart(last, last.length - 1);
    range.setEnd(last, last.length);
    const [place, box] = [range.getBoundingClientRect(), text.getBoundingClientRect()];
    return place.top >= box.top - 1 && place.bottom <= box.bottom + 1;
}"""


def test_the_number_that_was_read_is_in_sight(tab):
    query = urlencode({"source": "own", "question": "say:" + "Tom has 3 apples. " * 90})
    page = tab.open(f"?{query}&alpha=2")
    for side, number in ((".steered", "2"), (".baseline", "0")):
        words = page.locator(f"{side} .text")
        assert words.inner_text().endswith(number)
        assert words.evaluate(INSIDE), side
        assert words.get_attribute("data-above") == "yes"  # it fades out there
    assert text(page, ".steered .number") == "2"
    page.locator(".steered .text").evaluate("text => text.scrollTo(0, 0)")
    expect(page.locator(".steered .text[data-below=yes]:not([data-above=yes])")).to_be_attached()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_message_covers_whole_lines_of_the_question(tab, width):
    tab.page.set_viewport_size({"width": width, "height": 900})
    page = tab.open(f"?{urlencode({'source': 'own', 'question': 'Tom has 3 apples. ' * 20})}")
    page.locator("#question-input textarea").fill("")
    page.locator("#ask").click()
    expect(page.locator("#question .message")).to_contain_text("the question is empty")
    shown = page.locator("#question .text").evaluate("""text => {
        const hidden = parseFloat(text.style.clipPath.split(' ')[2]);
        const {height, top} = text.getBoundingClientRect();
        const line = parseFloat(getComputedStyle(text).lineHeight);
        const message = document.querySelector('#question .message').getBoundingClientRect();
        return [(height - hidden) / line, top + height - hidden <= message.top + 1];
    }""")
    assert shown == [pytest.approx(round(shown[0]), abs=0.02), True]


def own_question(page):
    """The box for a question of one's own, opened."""
    page.locator("#source label").filter(has_text="My own").click()
    box = page.locator("#question-input textarea")
    expect(box).to_be_visible()
    return box


def test_a_question_of_ones_own_starts_as_the_problem_shown(tab):
    page = tab.open("?problem=t005")
    shown, gold = text(page, "#question .text"), text(page, "#question dd")
    box = own_question(page)
    expect(box).to_have_value(shown)
    expect(page.locator(GOLD)).to_have_value(gold)
    expect(page.locator("#question .message")).to_be_hidden()
    box.fill("What is 1 + 1?")
    page.locator(GOLD).fill("2")
    page.locator(GOLD).press("Enter")
    expect(page.locator("#question .text")).to_have_text("What is 1 + 1?")
    page.locator("#source label").filter(has_text="Test pairs").click()
    expect(page.locator("#question .text")).to_have_text(shown)
    expect(own_question(page)).to_have_value("What is 1 + 1?")


def test_a_typed_question_is_marked_until_it_is_decoded(tab):
    page = tab.open()
    box, gold = own_question(page), page.locator(GOLD)
    tab.finished()
    decoded = box.input_value()
    message, dimmed = page.locator("#question .message"), page.locator("body[data-outdated=yes]")
    box.press_sequentially(" And?")
    expect(message).to_have_text("Not decoded yet: press Decode or Shift + Enter.")
    expect(dimmed).to_be_attached()
    page.wait_for_timeout(600)  # the address is written late
    assert tab.address()["question"] == [decoded]
    box.fill(decoded)
    expect(message).to_be_hidden()
    expect(dimmed).not_to_be_attached()
    gold.fill("7")
    expect(message).to_be_visible()
    box.fill(f"{decoded} And?")
    box.press("Shift+Enter")
    expect(page.locator("#question .text")).to_have_text(f"{decoded} And?")
    expect(message).to_be_hidden()
    page.wait_for_url("**gold=7**")
    query = tab.address()
    assert (query["question"], query["gold"]) == ([f"{decoded} And?"], ["7"])
    gold.fill("$1,200")
    expect(message).to_be_visible()
    gold.press("Enter")
    expect(page.locator("#question dd")).to_have_text("1200")
    expect(message).to_be_hidden()


def test_a_bad_question_is_one_line_and_the_page_goes_on(tab):
    page = tab.open()
    message = page.locator("#question .message")
    own_question(page).fill("")
    page.locator(GOLD).fill("")
    page.locator("#ask").click()
    expect(message).to_contain_text("the question is empty")
    page.locator("#question-input textarea").fill("word " * 10_000)
    page.locator("#ask").click()
    expect(message).to_contain_text("10000 words")
    page.locator("#question-input textarea").fill("What is 1 + 1?")
    page.locator(GOLD).fill("1e400")
    page.locator("#ask").click()
    expect(message).to_contain_text("the gold answer is '1e400', not a number; write")
    page.locator(GOLD).fill("")
    page.locator("#question-input textarea").fill("please explode: 1 + 1?")
    page.locator("#ask").click()
    expect(message).to_contain_text("did not work (RuntimeError)")
    assert "secret" not in page.content()
    page.locator("#question-input textarea").fill("What is 1 + 1?")
    page.locator("#ask").click()
    expect(page.locator("#question .text")).to_have_text("What is 1 + 1?")
    expect(message).to_be_hidden()


def test_a_question_without_a_gold_answer_is_not_judged(tab):
    page = tab.open("?source=own&question=What+is+1+%2B+1%3F&alpha=3")
    expect(page.locator("#question .gold")).to_be_hidden()
    assert text(page, ".steered .sign") == text(page, ".steered .verdict") == ""
    assert not re.search(r"right|wrong|✓|✗", text(page, "#answers .outcome"))
    expect(page.locator("#strip i.unjudged")).to_have_count(61)
    legend = page.locator("#strip .legend")
    expect(legend.get_by_text("without a gold answer")).to_be_visible()
    expect(legend.get_by_text("✓ right")).to_be_hidden()
    own_gold = page.locator(GOLD)
    own_gold.fill("2")
    own_gold.press("Enter")
    expect(page.locator("#question dd")).to_have_text("2")
    expect(legend.get_by_text("✓ right")).to_be_visible()
    assert text(page, ".steered .verdict") in {"right", "wrong"}


def test_text_of_visitor_and_model_is_never_markup(tab):
    query = urlencode({"source": "own", "question": f"say:{MARKUP}", "gold": 7, "alpha": 1})
    page = tab.open(f"?{query}")
    assert text(page, "#question .text") == f"say:{MARKUP}"
    assert text(page, ".steered .text").startswith(MARKUP)
    assert text(page, ".baseline .text").startswith(MARKUP)
    assert page.locator("#main img").count() == 0
