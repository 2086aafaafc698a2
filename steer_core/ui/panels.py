"""The layout: one function per panel, no behaviour."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from steer_core.steering.units import DOSE, RAW, SD
from steer_core.ui import assets
from steer_core.ui.settings import ALPHA_LIMIT, ALPHA_STEP, SITES, VARIANTS

UNIT_CHOICES = [("direction", RAW), ("deviation", SD), ("norm", DOSE)]
UNIT_INFO = "α = 1: the direction, one SD of the fit states along it, or their mean norm"
SITE_INFO = "where: a block's output, h_k, or z_k after it"
TWIN_INFO = "the same question, one number changed"
DIRECTION_INFO = (
    "mean(right) − mean(wrong) over fit pairs, kept apart from these; +α need not mean more right"
)
PICKED = ("model_picked", "problem_picked", "direction_picked", "again")
"""Told by the first figure: Gradio's own lists tell of an input each time they are left; `again`
asks once more for what was not ready."""
DIRECTION = "mean_difference"
"""What is there at first; the others are once the library has been asked."""
MOST_LISTED = 10_000
"""Problems in the drop-down list: all that there are. Left out, Gradio shows the first 100."""
VIEWS = (
    '<button type="button" class="present" aria-pressed="false" title="key V">Present</button>'
    '<button type="button" class="code" title="A script that prints the same answers">Code</button>'
    '<button type="button" class="help" title="key ?">Keys</button>'
)
SKIP = '<a href="#alpha">Skip to the results</a>'
ABOUT = "CODI models reason in vectors: add **α × a direction**, and watch the answer."
READS = (
    "The bundled models read short word problems like those of the test pairs: whole numbers,"
    " one to five steps, one question. Edit one:"
)


@dataclass(frozen=True, slots=True)
class Controls:
    """Every input of the page; the field names are the names in the address line."""

    model: gr.Dropdown
    source: gr.Radio
    variant: gr.Radio
    keep: gr.Radio
    problem: gr.Dropdown
    question: gr.Textbox
    gold: gr.Textbox
    site: gr.Radio
    layer: gr.Slider
    positions: gr.CheckboxGroup
    direction: gr.Dropdown
    operation: gr.Radio
    unit: gr.Radio
    schedule: gr.Textbox
    layers: gr.Textbox
    alpha: gr.Slider


@dataclass(frozen=True, slots=True)
class Layout:
    """The built page: inputs, buttons, groups that are shown in turn, and the two outputs."""

    controls: Controls
    listed: gr.HTML
    """Ids of the test problems that are listed, for the browser, which steps through them."""
    previous: gr.Button
    following: gr.Button
    ask: gr.Button
    starts: dict[gr.Button, tuple[str, str]]
    """Question and gold answer that a button begins an own question with."""
    from_pairs: gr.Column
    own: gr.Column
    view: gr.HTML
    """Takes the answer strip of one problem and hands it to all figures but the sweep."""
    sweep: gr.HTML
    guides: dict[str, gr.Button]


def head() -> None:
    """What stands above both tabs."""
    with gr.Column(elem_id="head"):
        gr.HTML(SKIP, apply_default_css=False, elem_id="skip")
        gr.Markdown("# CODI steering", elem_id="title")
        gr.Markdown(ABOUT, elem_id="about")
        gr.HTML(VIEWS, apply_default_css=False, elem_id="view-buttons")


def build_layout(
    models: list[tuple[str, str]], guides: dict[str, str], starts: list[tuple[str, str, str]]
) -> Layout:
    """Lay out the first tab.

    Args:
        models: (label, name) of each.
        guides: Labels of the guided examples, by name.
        starts: (label, question, gold answer) to begin an own question with.
    """
    shown = guide_panel(guides)
    with gr.Row(elem_id="columns", elem_classes="columns", equal_height=False):
        with gr.Column(scale=0, min_width=280, elem_id="side", elem_classes="side"):
            model = model_panel(models)
            problem = problem_panel(starts)
            edit = edit_panel()
        with gr.Column(scale=1, min_width=320, elem_id="main"):
            view = figure("question", PICKED)
            alpha = alpha_panel()
            figure("answers")
            with gr.Row(elem_id="figures"):
                figure("deltas")
                sweep = figure("sweep", ("report_asked",))
            figure("pins")
    inputs = {name: part for name, part in problem.items() if name in Controls.__slots__}
    parts = {name: part for name, part in problem.items() if name not in inputs}
    controls = Controls(model=model, alpha=alpha, **inputs, **edit)
    return Layout(controls, **parts, view=view, sweep=sweep, guides=shown)


def model_panel(models: list[tuple[str, str]]) -> gr.Dropdown:
    """Choose the model."""
    with gr.Group():
        return gr.Dropdown(models, value=models[0][1], label="Model", elem_id="model")


def problem_panel(starts: list[tuple[str, str, str]]) -> dict[str, Any]:
    """Choose a test problem, or type one."""
    parts: dict[str, Any] = {}
    with gr.Group(elem_id="problem-panel"):
        parts["source"] = gr.Radio(
            [("Test pairs", "pairs"), ("My own", "own")],
            value="pairs",
            label="Problem",
            elem_id="source",
        )
        with gr.Column(elem_id="from-pairs") as parts["from_pairs"]:
            parts.update(pair_inputs())
        with gr.Column(elem_id="own", visible=False) as parts["own"]:
            parts.update(own_inputs(starts))
    return parts


def pair_inputs() -> dict[str, Any]:
    """Pick one twin of a test pair."""
    keep = gr.Radio(
        [("all", "all"), ("✓ right", "right"), ("✗ wrong", "wrong")],
        value="all",
        label="Baseline",
        elem_id="keep",
    )
    variant = gr.Radio(
        list(VARIANTS),
        value="clean",
        label="Twin",
        info=TWIN_INFO,
        elem_id="variant",
    )
    problem = gr.Dropdown(
        [], label="Question", filterable=True, num_choices_shown=MOST_LISTED, elem_id="problem"
    )
    listed = gr.HTML(value=[], html_template="", visible="hidden", elem_id="listed")
    with gr.Row(elem_id="step"):
        previous = gr.Button("← Previous", size="sm", elem_id="previous")
        following = gr.Button("Next →", size="sm", elem_id="following")
    return {
        "keep": keep,
        "variant": variant,
        "problem": problem,
        "listed": listed,
        "previous": previous,
        "following": following,
    }


def guide_panel(guides: dict[str, str]) -> dict[str, gr.Button]:
    """Buttons of the guided examples."""
    with gr.Row(elem_id="guides"):
        gr.HTML("See", apply_default_css=False, elem_id="guides-word")
        return {name: gr.Button(label, size="sm", min_width=0) for name, label in guides.items()}


def own_inputs(starts: list[tuple[str, str, str]]) -> dict[str, Any]:
    """Type a question, with its gold answer where that is known."""
    gr.HTML(READS, apply_default_css=False, elem_id="own-reads")
    with gr.Row(elem_id="starts"):
        buttons = [gr.Button(label, size="sm", min_width=0) for label, *_ in starts]
    question = gr.Textbox(
        label="Question",
        lines=4,
        max_lines=8,
        placeholder="A word problem that asks for one number",
        info="Shift + Enter decodes.",
        elem_id="question-input",
    )
    # No number box: a browser empties one that it cannot read, and empty means that there is none.
    gold = gr.Textbox(label="Gold answer (optional)", max_lines=1, elem_id="gold")
    return {
        "question": question,
        "gold": gold,
        "ask": gr.Button("Decode", variant="primary", size="sm", elem_id="ask"),
        "starts": {button: start[1:] for button, start in zip(buttons, starts, strict=True)},
    }


def edit_panel() -> dict[str, Any]:
    """Choose where the edit acts and along which direction."""
    with gr.Group(elem_id="edit-panel"):
        return {
            "site": gr.Radio(
                list(SITES), value=SITES[0], label="Site", info=SITE_INFO, elem_id="site"
            ),
            # No reset button: what it does is no input to Gradio, and no figure would follow.
            "layer": gr.Slider(
                1, 4, value=2, step=1, label="Layer (block)", buttons=[], elem_id="layer"
            ),
            "positions": gr.CheckboxGroup(
                [],
                label="Positions",
                info="0 ends the question, k: latent step k",
                elem_id="positions",
            ),
            "direction": gr.Dropdown(
                [(spoken(DIRECTION), DIRECTION)],
                value=DIRECTION,
                label="Direction",
                info=DIRECTION_INFO,
                num_choices_shown=MOST_LISTED,
                elem_id="direction",
            ),
            **advanced_inputs(),
        }


def advanced_inputs() -> dict[str, Any]:
    """What a newcomer does not need: folded, and as small as it is there.

    Schedule and layers are text for the server and for the address; their figures are dragged.
    """
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        operation = gr.Radio(
            [("add", "add")],
            value="add",
            label="Operation",
            info="what α does to the state along the direction",
            elem_id="operation",
        )
        unit = unit_panel("unit")
        figure("schedule")
        schedule = gr.Textbox("", show_label=False, elem_id="schedule-text", elem_classes="kept")
        figure("layers")
        layers = gr.Textbox("", show_label=False, elem_id="layers-text", elem_classes="kept")
    return {"operation": operation, "unit": unit, "schedule": schedule, "layers": layers}


def spoken(name: str) -> str:
    """A name as a reader sees it."""
    return name.replace("_", " ")


def unit_panel(elem_id: str) -> gr.Radio:
    """Choose what α counts."""
    return gr.Radio(UNIT_CHOICES, value=RAW, label="α counts", info=UNIT_INFO, elem_id=elem_id)


def alpha_panel() -> gr.Slider:
    """The α slider above the strip of answers, on one scale."""
    with gr.Group(elem_id="alpha-panel"):
        slider = gr.Slider(
            -ALPHA_LIMIT,
            ALPHA_LIMIT,
            value=0,
            step=ALPHA_STEP,
            label="Steering strength α",
            elem_id="alpha",
        )
        figure("strip")
    return slider


def figure(panel: str, events: tuple[str, ...] = ()) -> gr.HTML:
    """A panel drawn in the browser: static markup, and a module of the same name that fills it.

    Its module may trigger the events that are named here.

    Text of models and visitors never enters the template: Gradio evaluates templates as code, so
    the modules put it in with `textContent`.
    """
    return gr.HTML(
        value=None,
        html_template=assets.read(f"{panel}.html"),
        js_on_load=assets.mount_script(panel, events),
        apply_default_css=False,
        elem_id=panel,
        elem_classes="figure",
    )
