"""The second tab in a real browser: whole experiments on the bundled model, and stored ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import experiment_forms as forms
import pytest
from playwright.sync_api import Page, expect

from steer_core.ui import page as page_module
from steer_core.ui.experiments.desk import Desk
from steer_core.ui.page import launch_options

pytestmark = pytest.mark.browser

SECONDS = 120
LONG_WAIT = SECONDS * 1000
STORED = ("stored-1", "stored-2")
DIRECTIONS = {"Quick": 16, "Standard": 61}
"""The real one and its controls."""
FITS = """() => {
    const plot = document.querySelector('#sweep .plot');
    return plot._fullLayout && Math.abs(plot._fullLayout.width - plot.clientWidth) <= 1;
}"""
DECODED_MORE_THAN = """done => {
    const text = document.querySelector('#steps li[data-key=sweep] .count').innerText;
    const count = text.match(/^([0-9,]+) of /);
    return count && Number(count[1].replaceAll(',', '')) > done;
}"""
STAGES = ("prepare", "directions", "sweep", "report")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The tab's handlers over a folder in which two experiments are stored."""
    desk = forms.desk(tmp_path_factory.mktemp("runs"))
    for seed, name in enumerate(STORED):
        desk.start(forms.MODEL, {**forms.SMALL, "name": name, "seed": seed})
        state = desk.lab.wait(SECONDS)
        assert state.status == "done", state.message
    return desk


@pytest.fixture(scope="module")
def home(desk: Desk) -> Iterator[str]:
    """Address of a page over that folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "Desk", lambda *_: desk)
        page = page_module.build(forms.explorer(), desk.lab.folder)
    options = launch_options(desk.lab.folder)
    _, url, _ = page.launch(
        prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, **options
    )
    yield url
    page.close()


@pytest.fixture
def page(tab, desk: Desk) -> Iterator[Page]:
    """The second tab, opened; nothing runs before or after a test."""
    tab.page.goto(f"{tab.home}?tab=experiment")
    expect(tab.page.locator("#plan b")).to_contain_text("decodes")
    expect(tab.page.locator("#shelf tbody tr").first).to_be_visible()
    yield tab.page
    desk.lab.cancel()
    assert not desk.lab.wait(SECONDS).active


def choose(page: Page, part: str, label: str) -> None:
    page.locator(f"#exp-{part} label").filter(has_text=label).click()


def box(page: Page, part: str):
    return page.locator(f"#exp-{part} :is(input, textarea)")


def unfold(page: Page) -> None:
    """Show what is swept. Gradio fills inputs once more after it shows them, so what follows at
    once may be lost: begin with inputs that were there before."""
    page.get_by_role("button", name="What is swept").click()
    expect(box(page, "alphas")).to_be_visible()


def run(page: Page, name: str, size: str = "Quick") -> None:
    """Press Run, for one layer and the bundled test pairs."""
    plan = page.locator("#plan .plan")
    unfold(page)
    choose(page, "pairs", "Bundled test")
    choose(page, "size", size)
    box(page, "name").fill(name)
    expect(plan).to_contain_text(f"held-out pairs × 4 layers × {DIRECTIONS[size]} directions")
    for layer in ("1", "3", "4"):
        choose(page, "layers", layer)
    expect(plan).to_contain_text(f"held-out pairs × {DIRECTIONS[size]} directions")
    page.locator("#exp-run").click()
    expect(page.locator("#steps .status")).to_contain_text(f"{name}: running")


def stages(page: Page) -> list[str | None]:
    return [
        page.locator(f"#steps li[data-key={key}]").get_attribute("data-status") for key in STAGES
    ]


def until(page: Page, status: str) -> None:
    expect(page.locator(f"#steps [data-status={status}][data-name]")).to_be_visible(
        timeout=LONG_WAIT
    )


def row(page: Page, name: str):
    return page.locator(f"#shelf tr[data-name='{name}']")


def rows_done(page: Page, name: str) -> tuple[int, int]:
    """Rows that are stored, and rows in all, as the list says."""
    done, total = row(page, name).locator("td.n").inner_text().replace(",", "").split("/")
    return int(done), int(total)


def is_opened(page: Page, name: str) -> None:
    expect(page.locator("#result h2")).to_have_text(name, timeout=LONG_WAIT)
    expect(page.locator("#result .verdict .kind").first).not_to_be_empty()
    expect(page.locator("#result .small-chart .main-svg").first).to_be_visible()


def test_one_click_runs_to_the_verdict(page, desk):
    run(page, "first")
    page.evaluate("scrollTo(0, 0)")
    until(page, "done")
    assert stages(page) == ["done"] * 4
    is_opened(page, "first")  # by itself
    expect(page.locator("#result .verdict")).to_have_count(1)
    expect(page.locator("#result .lead")).to_contain_text("pairs are answered right")
    steps = page.locator("#result .funnel .step .n")
    assert steps.first.inner_text() == "200"
    assert re.fullmatch(r"\d+ of \d+", steps.last.inner_text())
    expect(row(page, "first")).to_have_attribute("data-state", "finished")
    assert page.locator("#exp-run").is_enabled()
    assert page.locator("#exp-cancel").is_disabled()
    assert page.evaluate("scrollY") == 0  # the page does not move by itself


def test_a_cancelled_run_is_resumed_where_it_stopped(page):
    run(page, "halted", "Standard")
    expect(page.locator("#steps .growing .main-svg").first).to_be_visible(timeout=LONG_WAIT)
    page.locator("#exp-cancel").click()
    until(page, "stopped")
    expect(page.locator("#steps .note")).to_contain_text("What is decoded is kept")
    assert stages(page) == ["done", "done", "stopped", "waiting"]
    expect(row(page, "halted")).to_have_attribute("data-state", "stopped")
    done, total = rows_done(page, "halted")
    assert 0 < done < total

    page.get_by_role("button", name="Resume halted").click()
    expect(page.locator("#steps .status")).to_contain_text("halted: running")
    expect(page.locator("#steps li[data-key=prepare] .count")).to_have_text("done before")
    page.wait_for_function(DECODED_MORE_THAN, arg=done, timeout=LONG_WAIT)
    page.locator("#exp-cancel").click()
    until(page, "stopped")
    expect(row(page, "halted")).to_have_attribute("data-state", "stopped")
    assert done < rows_done(page, "halted")[0] < total


def test_a_run_goes_on_while_the_page_is_reloaded_and_explored(page, tab, desk):
    run(page, "going", "Standard")
    tab.reload()
    expect(page.locator("#steps .status")).to_contain_text("going: running")
    expect(page.locator("#exp-cancel")).to_be_enabled()
    expect(row(page, "going")).to_have_attribute("data-state", "running")

    page.get_by_role("tab", name="Explore").click()
    page.wait_for_function(FITS)  # its chart was drawn while the tab was hidden
    question = page.locator("#question .text").inner_text()
    page.locator("#following").click()
    expect(page.locator("#question .text")).not_to_have_text(question)
    page.locator("#alpha input[type=range]").fill("2.5")
    expect(page.locator(".steered .at")).to_have_text("α = 2.5")
    assert desk.lab.state.active  # it has let the visitor go first, and goes on

    page.get_by_role("tab", name="Experiment").click()
    page.locator("#exp-cancel").click()
    until(page, "stopped")


def test_a_second_tab_notices_a_run(page, tab, desk):
    tab.requests.clear()
    desk.start(forms.MODEL, {**forms.SMALL, "name": "elsewhere", "seed": 9})
    expect(row(page, "elsewhere")).to_be_visible()
    until(page, "done")
    expect(row(page, "elsewhere")).to_have_attribute("data-state", "finished")

    page.get_by_role("tab", name="Explore").click()
    page.wait_for_timeout(500)
    tab.requests.clear()
    page.wait_for_timeout(4000)
    assert [url for url in tab.requests if "queue" in url or "run" in url] == []


def test_stored_runs_are_opened_and_compared(page, tab):
    name = STORED[0]
    page.get_by_role("button", name=f"Open {name}").click()
    is_opened(page, name)
    expect(page.locator("#result dl")).to_contain_text("1 random, 1 shuffled")
    report = page.frame_locator("#result iframe")
    expect(report.locator("h1")).to_contain_text("Steering tiny-llama")
    expect(report.get_by_role("heading", name="What it shows")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Rows (CSV)").click()
    lines = download.value.path().read_text("utf-8").splitlines()
    assert len(lines) - 1 == rows_done(page, name)[0]
    address = page.get_by_role("link", name="open in a tab of its own").get_attribute("href")
    whole = page.request.get(tab.home.rstrip("/") + address)
    assert whole.ok
    assert "sandbox" in whole.headers["content-security-policy"]

    compare = page.locator("#shelf .compare")
    for name in STORED:
        expect(compare).to_be_disabled()
        page.get_by_label(f"Compare {name}").check()
    compare.click()
    expect(page.locator("#result h2")).to_have_text(" and ".join(STORED), timeout=LONG_WAIT)
    report = page.frame_locator("#result iframe")
    expect(report.get_by_role("heading", name="Side by side")).to_be_visible()


def test_the_report_has_the_theme_of_the_page(page, tab):
    paper = "() => getComputedStyle(document.body).backgroundColor"
    grid = "() => document.querySelector('.plot')._fullLayout.paper_bgcolor"
    for theme, colour in (("dark", "rgb(24, 24, 27)"), ("light", "rgb(255, 255, 255)")):
        tab.move(f"?__theme={theme}&tab=experiment&run={STORED[0]}")
        is_opened(page, STORED[0])
        page.locator("#result .report").scroll_into_view_if_needed()
        expect(page.locator("#result .report .loading")).to_be_hidden()
        report = page.locator("#result iframe").element_handle().content_frame()
        assert report.evaluate(paper) == colour
        report.wait_for_selector("body[data-drawn]")
        assert report.evaluate(grid) == {"dark": "#18181b", "light": "#ffffff"}[theme]


def test_an_opened_experiment_is_in_the_address(page, tab):
    page.get_by_role("button", name=f"Open {STORED[0]}").click()
    is_opened(page, STORED[0])
    tab.in_address(f"run={STORED[0]}")
    page.get_by_role("tab", name="Explore").click()
    tab.in_address("run=", there=False)
    page.get_by_role("tab", name="Experiment").click()
    tab.in_address(f"run={STORED[0]}")
    tab.reload()
    is_opened(page, STORED[0])

    tab.move(f"?tab=experiment&compare={','.join(STORED)}")
    expect(page.locator("#result h2")).to_have_text(" and ".join(STORED), timeout=LONG_WAIT)
    tab.move("?tab=experiment&run=nobody")
    expect(page.locator("#result .note")).to_contain_text("'nobody' is not among the stored")


def test_wrong_inputs_are_one_line_and_nothing_is_lost(page, desk, tmp_path: Path):
    before = sorted(desk.lab.folder.iterdir())
    plan, toast = page.locator("#plan .plan"), page.locator(".toast-body").last
    unfold(page)
    choose(page, "size", "Fine")
    box(page, "name").fill(STORED[0])
    expect(plan).to_contain_text("121 directions × 12 α")

    page.locator("#exp-run").click()
    expect(toast).to_contain_text(f"'{STORED[0]}' exists already")
    assert box(page, "name").input_value() == STORED[0]
    assert page.locator("#exp-size input:checked").input_value() == "fine"

    box(page, "alphas").fill("-3:x")
    expect(plan).to_have_text("'x' in α is no number; write numbers such as 0.5")
    page.locator("#exp-run").click()
    expect(toast).to_contain_text("'x' in α is no number")
    box(page, "alphas").fill("-1,1")
    expect(plan).to_contain_text("121 directions × 2 α")

    choose(page, "pairs", "My file")
    expect(plan).to_contain_text("no pair file is chosen")
    mine = tmp_path / "mine.json"
    mine.write_text('[{"pair_id": ')
    page.locator("#exp-own input[type=file]").set_input_files(mine)
    expect(plan).to_contain_text("mine.json is not JSON")
    assert plan.inner_text().startswith("mine.json")  # not where the server keeps it
    page.locator("#exp-run").click()
    expect(toast).to_contain_text("mine.json is not JSON")
    choose(page, "pairs", "Bundled test")
    expect(plan).to_contain_text("121 directions × 2 α")

    assert sorted(desk.lab.folder.iterdir()) == before
    assert not desk.lab.state.active


def test_the_tab_fits_a_phone(page):
    page.set_viewport_size({"width": 420, "height": 900})
    page.get_by_role("button", name=f"Open {STORED[1]}").click()
    is_opened(page, STORED[1])
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
