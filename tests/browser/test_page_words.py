"""What the page's modules say about plain data, and what only a loaded page can show of it."""

from __future__ import annotations

from pathlib import Path

import fake_engine
import pytest
from page_parts import STEADY, text
from playwright.sync_api import expect

from steer_core.ui import assets
from steer_core.ui.handlers import Explorer
from steer_core.ui.page import build, launch_options

pytestmark = pytest.mark.browser


@pytest.fixture
def tab_of_240(tab, tmp_path):
    """A page over as many problems as the bundled test pairs are."""
    page = build(Explorer(fake_engine.engine(batch_seconds=0.0, pairs=240)), tmp_path)
    _, tab.home, _ = page.launch(
        prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, **launch_options(tmp_path)
    )
    yield tab
    page.close()


CONTRAST = Path(__file__).with_name("contrast.js")
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


CLICKS = """([selector, count]) => {
  for (let i = 0; i < count; i++) document.querySelector(selector).click();
}"""
QUICK_CHANGES = """async (path) => {
  const { whenAsked, inputsChanged } = await import(path);
  const painted = [];
  const take = whenAsked((value) => painted.push(value.at));
  const choose = (layer) => { window.steerLink = [["layer", "question"], [layer, "typed"]]; };
  choose(3);
  take({ at: "a", asked: { layer: 2 } });  // late: the inputs went on to 3
  take({ at: "b", asked: { layer: 3 } });
  take({ at: "c", asked: { layer: 4 } });  // early: the inputs tell of it a little later
  inputsChanged();
  choose(4);
  inputsChanged();
  inputsChanged();
  take({ at: "error" });
  return painted;
}"""


def page_files(tab) -> str:
    """Open one of the page's own files; the path that the others lie under."""
    where = assets.mount_script("x").split("root + '")[1].split("/page.js")[0]
    tab.page.goto(f"{tab.home.rstrip('/')}{where}/page.css")
    return where


def call(tab, module: str, name: str, *arguments):
    """The result of an exported function of one of the page's modules."""
    code = "([path, name, args]) => import(path).then((module) => module[name](...args))"
    return tab.page.evaluate(code, [f"{page_files(tab)}/{module}", name, list(arguments)])


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
    tab.page.clock.install()
    page = tab.open("?layer=99&alpha=77")
    notice = page.locator(".toast-body").first
    expect(notice).to_contain_text("tiny-llama is 99; give a whole number from 1 to 4")
    expect(notice).to_contain_text("(the page shows 2)")
    expect(notice).to_contain_text("α is 77; give a number from -3 to 3 (the page shows 0)")
    page.clock.fast_forward(60_000)  # notices that leave by themselves do so after ten seconds
    expect(notice).to_be_visible()
    assert text(page, ".steered .at") == "α = 0"


def test_every_click_on_next_and_previous_is_a_step(tab):
    page = tab.open()
    page.evaluate(CLICKS, ["#following", 5])
    expect(page.locator("#question .text")).to_contain_text("Mia has 8 boxes")
    for _ in range(3):
        page.locator("#previous").click()
    expect(page.locator("#question .text")).to_contain_text("Mia has 5 boxes")
    page.evaluate(CLICKS, ["#previous", 3])
    expect(page.locator("#question .text")).to_contain_text("Mia has 62 boxes")  # the last one
    tab.in_address("problem=t059")
    tab.finished()


def test_steps_stay_within_the_filter_and_start_where_the_list_stands(tab):
    ids = ["a", "b", "c"]
    for by, problem, wanted in ((1, "a", "b"), (-1, "a", "c"), (1, "c", "a"), (1, "gone", "a")):
        assert call(tab, "picks.js", "step", by, ids, problem) == wanted
    assert call(tab, "picks.js", "step", 1, [], "a") == "a"


def test_the_list_holds_every_problem(tab_of_240):
    page = tab_of_240.open()
    page.locator("#problem input").click()
    expect(page.get_by_role("option")).to_have_count(240)


def test_of_quick_changes_only_what_the_inputs_hold_is_painted(tab):
    where = page_files(tab)
    assert tab.page.evaluate(QUICK_CHANGES, f"{where}/asked.js") == ["b", "c", "error"]


def test_an_answer_to_what_the_inputs_no_longer_hold_is_superseded(tab):
    now = [["layer", "positions", "question"], [2, [1, 2], "typed since"]]
    for asked, wanted in (
        ({"layer": 2, "positions": [1, 2]}, False),
        ({"layer": 3, "positions": [1, 2]}, True),
        ({"layer": 2, "positions": [1]}, True),
        (None, False),  # an error
    ):
        assert call(tab, "asked.js", "superseded", asked, now) is wanted


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["explore", "experiment"])
def test_every_text_is_read_at_a_contrast_of_four_and_a_half(tab, theme, name):
    page = tab.open(f"?__theme={theme}&alpha=2.9")
    if name == "experiment":
        page.locator("#tab-experiment-button").click()
        expect(page.locator("#tab-experiment [role=status]").first).to_be_attached()
    page.mouse.move(2, 2)
    page.wait_for_function(STEADY)  # colours change slowly
    measured = page.evaluate(CONTRAST.read_text(encoding="utf-8"))
    assert len(measured) > 60
    assert [words for contrast, words in measured if contrast < 4.5] == []


SHIFTS = """window.shifted = 0;
new PerformanceObserver((list) => {
  for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.shifted += shift.value;
}).observe({ type: "layout-shift", buffered: true });"""


FAR_AWAY = {
    "offline": False,
    "latency": 420,
    "downloadThroughput": 1_000_000,
    "uploadThroughput": 1_000_000,
}
"""A network over which parts of the page arrive one after the other: milliseconds, bytes/s."""


@pytest.mark.parametrize("network", [None, FAR_AWAY], ids=["near", "far"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}])
def test_what_is_on_the_page_stays_where_it_is_while_the_rest_loads(tab, size, network):
    tab.page.set_viewport_size(size)
    tab.page.add_init_script(SHIFTS)
    if network:
        tab.page.set_default_timeout(120_000)
        devtools = tab.page.context.new_cdp_session(tab.page)
        devtools.send("Network.emulateNetworkConditions", network)
    page = tab.open()
    page.wait_for_function("window.shifted > 0")
    page.wait_for_function(STEADY)
    assert page.evaluate("window.shifted") <= 0.1


STOPS = ["source", "keep", "variant", "site", "positions", "direction", "unit"]


def test_groups_of_choices_are_one_stop_of_tab_each(tab):
    page = tab.open()
    page.evaluate("document.activeElement.blur()")
    stops = []
    while not stops or stops[-1] != "alpha":
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.closest('[id]:not(input)')?.id"))
        assert len(stops) < 34
    assert [stop for stop in stops if stop in STOPS] == STOPS
    assert len(stops) <= 18


def test_arrows_move_within_groups(tab):
    page = tab.open()
    page.focus("#site input:checked")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#site input[value=thought]")).to_be_focused()
    expect(page.locator("#deltas .edited[data-place='1,4']")).to_be_attached()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # from the last to the first
    expect(page.locator("#site input[value=residual]")).to_be_checked()
    expect(page.locator("#deltas .edited[data-place='1,2']")).to_be_attached()
    page.focus("#positions input[name='0']")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.locator("#positions input[name='1']")).not_to_be_checked()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#positions input[name='6']")).to_be_focused()
    tab.in_address("mask=2")
    tab.finished()


def test_the_first_stop_skips_to_the_slider(tab):
    page = tab.open()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    expect(page.locator("#skip a")).to_be_focused()
    expect(page.locator("#skip a")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".steered .at")).to_have_text("α = 0.1")


def test_the_panel_of_endpoints_opens_without_an_error(tab):
    page = tab.open()
    answers = []
    page.on("response", lambda response: answers.append((response.url, response.status)))
    with page.expect_response("**/mcp/schema*"):
        page.get_by_role("button", name="Use via API").click()
    expect(page.locator(".api-docs")).to_contain_text("/decode")
    assert sum("/mcp/schema" in url for url, _ in answers) == 1
    assert [url for url, status in answers if status >= 400] == []
