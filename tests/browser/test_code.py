"""What the page shows, as code that prints the same answers."""

from __future__ import annotations

import io
import json
import shlex
from contextlib import redirect_stdout

import pytest
from playwright.sync_api import expect
from test_page_words import call

from steer_core import load_model
from steer_core.cli import main
from steer_core.data.pairs import load_pairs
from steer_core.experiment.strip import alpha_strip
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditSpec, resolved

pytestmark = pytest.mark.browser

MODEL, ALPHA = "tiny-llama", 2.5
SCHEDULE = (1.0, 1.0, 0.5, 1.0, -1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def model():
    return load_model(MODEL, device="cpu")


def view_of(specs: list[EditSpec], question: str) -> dict:
    """As much of the page's state as the code is made of."""
    first = specs[0]
    return {
        "model": MODEL,
        "question": question,
        "site": first.site.name,
        "layer": first.site.layer,
        "at": [[spec.site.layer, spec.factor] for spec in specs],
        "positions": list(first.positions),
        "direction": first.direction,
        "operation": first.operation,
        "schedule": first.schedule,
    }


@pytest.mark.parametrize(
    "specs",
    [
        [EditSpec(Site("residual", 2), (1, 2, 3, 4, 5, 6))],
        [EditSpec(Site("thought"), (1, 3), operation="rotate", schedule=SCHEDULE)],
        [EditSpec(Site("residual", layer), (2,)) for layer in (1, 3)],
    ],
    ids=["usual", "schedule", "layers"],
)
def test_script_and_command_print_the_answers_of_the_page(tab, model, specs):
    question = load_pairs("test")[0].clean.question
    shown = alpha_strip(model, question, curve=resolved(model, specs), alphas=(0.0, ALPHA))
    view = view_of(specs, question)
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(call(tab, "code.js", "scriptOf", view, ALPHA), {})
    words = [line.split() for line in printed.getvalue().splitlines()]
    assert words == [["baseline", str(shown.answers[0])], ["steered", str(shown.answers[1])]]
    command = call(tab, "code.js", "commandOf", view, ALPHA)
    arguments = shlex.split(command.replace("\\\n", " "))
    assert arguments[:3] == ["python", "-m", "steer_core"]
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(arguments[3:]) == 0
    row = json.loads(printed.getvalue())
    assert (row["baseline_answer"], row["answer"]) == shown.answers
    assert row["text"] == shown.texts[1]


def test_factors_of_layers_are_in_the_script_alone(tab):
    specs = [EditSpec(Site("residual", 1), (1,)), EditSpec(Site("residual", 2), (1,), factor=0.5)]
    view = view_of(specs, "2 + 2?")
    assert call(tab, "code.js", "hasCommand", view) is False
    assert "1.25" in call(tab, "code.js", "scriptOf", view, ALPHA)


def test_the_button_shows_the_code(tab):
    page = tab.open("?alpha=1.5&layer=3")
    page.get_by_role("button", name="Code").click()
    expect(page.locator("dialog.code .python")).to_contain_text('load_model("tiny-llama")')
    expect(page.locator("dialog.code .command")).to_contain_text("--layer 3")
    page.keyboard.press("Escape")
    expect(page.locator("dialog.code")).not_to_be_attached()
