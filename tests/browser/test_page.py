"""The page in a real browser, over an engine that answers at once."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from steer_core.ui import assets

pytestmark = pytest.mark.browser

GOLD = "#gold :is(input, textarea)"
MARKUP = '<img src=x onerror="alert(1)"> ${alert(2)} ${ {{value}} `'


def dataset(page, panel: str) -> dict[str, str]:
    return page.evaluate(
        "panel => ({...document.querySelector(`#${panel} .html-container > div`).dataset})", panel
    )


def text(page, selector: str) -> str:
    return page.locator(selector).inner_text()


def drag_alpha(page, start: float, end: float, steps: int = 30) -> None:
    """Move the slider's thumb with the mouse from one α to another."""
    box = page.locator("#alpha input[type=range]").bounding_box()

    def at(alpha: float) -> float:
        return box["x"] + 8 + (box["width"] - 16) * (alpha + 3) / 6

    middle = box["y"] + box["height"] / 2
    page.mouse.move(at(start), middle)
    page.mouse.down()
    page.mouse.move(at(end), middle, steps=steps)
    page.mouse.up()


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
    assert "nearest to 2.9" in text(page, "#sweep .reading")
    page.wait_for_timeout(600)  # the address is written late
    assert [url for url in tab.requests if "heartbeat" not in url] == []
    assert tab.address()["alpha"] == ["2.9"]


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


def test_tabbing_through_the_inputs_changes_nothing(tab):
    page = tab.open("?layer=3&mask=2,4")
    before = {panel: dataset(page, panel) for panel in ("answers", "sweep", "deltas")}
    page.focus("#model input")
    tab.requests.clear()
    rings = []
    while page.evaluate("!document.activeElement.closest('#direction')"):
        page.keyboard.press("Tab")
        page.wait_for_timeout(100)
        ring = "e => e.closest('label') && getComputedStyle(e.closest('label')).outlineStyle"
        if page.locator("input[type=radio]:focus").count():
            rings.append(page.locator("input:focus").evaluate(ring))
    page.wait_for_timeout(500)
    assert [url for url in tab.requests if "heartbeat" not in url] == []
    assert {panel: dataset(page, panel) for panel in before} == before
    assert page.locator("[role=listbox]").count() == 0  # none stays open
    assert rings == ["solid"] * len(rings) != []


def test_what_is_chosen_is_seen_under_the_mouse_too(tab):
    page = tab.open()
    chosen = page.locator("#source input:checked")
    paint = "input => getComputedStyle(input).backgroundColor"
    before = chosen.evaluate(paint)
    chosen.hover()
    page.wait_for_timeout(300)
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
        page.wait_for_timeout(600)  # the address is written late
        assert tab.address()["layer"] == [becomes]
    assert page.locator("body[data-outdated=yes]").count() == 0
    assert page.locator(".toast-body").count() == 0


def test_a_request_that_fails_leaves_nothing_dimmed(tab):
    page = tab.open()
    full = {"detail": "Queue is full."}
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json=full))
    page.locator("#direction label").filter(has_text="random").click()
    expect(page.locator("#question .message")).to_contain_text("the server did not answer")
    expect(page.locator("#sweep .status")).to_contain_text("the server did not answer")
    assert page.locator("body[data-waiting=yes], #sweep [data-waiting=yes]").count() == 0
    page.unroute("**/queue/join*")
    page.locator("#direction label").filter(has_text="mean").click()
    expect(page.locator("#question .message")).to_be_hidden()
    tab.finished()
    tab.errors.clear()  # the browser notes the status


def test_an_alpha_between_two_is_rounded_in_the_box_too(tab):
    page = tab.open()
    number = page.locator("#alpha input[type=number]")
    for typed, becomes in (("0.06", "0.1"), ("7", "3"), ("-0.44", "-0.4"), ("", "-0.4")):
        number.fill(typed)
        number.blur()
        expect(number).to_have_value(becomes)
        expect(page.locator(".steered .at")).to_have_text(f"α = {becomes.replace('-', '−')}")


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
    tab.page.wait_for_timeout(300)
    tab.finished()
    rows = page.locator("#deltas .name").all_inner_texts()
    assert page.evaluate("document.querySelector('#deltas .cell.edited').dataset.place") == "1,4"
    assert rows[1] == "block 4 + norm"


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


def test_text_of_visitor_and_model_is_never_markup(tab):
    query = urlencode({"source": "own", "question": f"say:{MARKUP}", "gold": 7, "alpha": 1})
    page = tab.open(f"?{query}")
    assert text(page, "#question .text") == f"say:{MARKUP}"
    assert text(page, ".steered .text").startswith(MARKUP)
    assert text(page, ".baseline .text").startswith(MARKUP)
    assert page.locator("#main img").count() == 0


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
    page.wait_for_timeout(600)
    query = tab.address()
    assert (query["question"], query["gold"]) == ([f"{decoded} And?"], ["7"])


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
    expect(message).to_contain_text("the gold answer is 1e400; give a finite number")
    page.locator(GOLD).fill("")
    page.locator("#question-input textarea").fill("please explode: 1 + 1?")
    page.locator("#ask").click()
    expect(message).to_contain_text("could not run this (RuntimeError)")
    assert "secret" not in page.content()
    page.locator("#question-input textarea").fill("What is 1 + 1?")
    page.locator("#ask").click()
    expect(message).to_be_hidden()
    assert text(page, "#question .text") == "What is 1 + 1?"


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


def test_filter_and_steps_through_the_problems(tab):
    page = tab.open()
    page.locator("#keep label").filter(has_text="wrong").click()
    page.locator("#following").click()
    expect(page.locator("#question .text")).to_contain_text("Mia has 6 boxes")
    page.locator("#previous").click()
    expect(page.locator("#question .text")).to_contain_text("Mia has 3 boxes")
    page.locator("#variant label").filter(has_text="corrupted").click()
    expect(page.locator("#question .text")).to_contain_text("Each box holds 5")


def test_the_filter_outlives_a_reload(tab):
    page = tab.open()
    page.locator("#keep label").filter(has_text="wrong").click()
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


def test_another_model_fits_its_layers(tab):
    page = tab.open("?layer=4")
    page.locator("#model input").click()
    page.get_by_role("option", name="tiny-gpt2").click()
    expect(page.locator("#deltas .cell")).to_have_count(7 * 7)
    tab.finished()
    assert page.locator("#layer input[type=range]").get_attribute("max") == "6"
    assert page.locator("#layer input[type=range]").input_value() == "3"


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
        page.wait_for_timeout(300)  # figures follow their place a moment later
        assert page.evaluate("document.documentElement.scrollWidth") == width
