"""The layout of the second tab: one function per panel, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from steer_core.names import COMPARABLE, COVARIANCE, NUISANCE, RANDOM, SHUFFLED
from steer_core.pipeline.funnel import FILTERS
from steer_core.pipeline.prepared import NECESSITY_KINDS
from steer_core.ui.door import MOST_UPLOAD
from steer_core.ui.experiments.settings import OWN
from steer_core.ui.experiments.uploads import ENDINGS
from steer_core.ui.panels import figure, unit_panel
from steer_core.ui.settings import SITES

PAIR_CHOICES = [("Bundled fit + test", "fit,test"), ("Bundled test", "test"), ("My file", OWN)]
QUICK, STANDARD, FINE = "quick", "standard", "fine"


def controls(each: int, most: int) -> dict[str, int]:
    """So many of each comparable kind, and no noise: it does far less than a direction does."""
    return dict.fromkeys(COMPARABLE, each) | {RANDOM: 0, "most_controls": most}


SIZES: Mapping[str, Mapping[str, Any]] = {
    QUICK: {"most": 200, "alphas": "-3,3", **controls(5, 0)},
    STANDARD: {"most": 0, "alphas": "-3:3:1", **controls(20, 99)},
    FINE: {"most": 0, "alphas": "-3:3:0.5", **controls(40, 99)},
}
"""What each size fills in."""
SIZE_INFO = "Quick shows how it works; a verdict needs the 20 controls of each kind of Standard."
DEFAULTS: Mapping[str, Any] = {
    "necessity": "zeros",
    "filter": "none",
    "fractions": "0.4, 0.1, 0.5",
    "balanced": True,
    "seed": 0,
    **SIZES[STANDARD],
}
NECESSITY_INFO = "What replaces the latent thoughts, to see whether an answer needs them."
FILTER_INFO = "A twin needs its latents when it is right with them and wrong without."
FILTER_WORDS = {
    "none": "keep all pairs",
    "clean": "clean twin needs its latents",
    "corrupted": "corrupted twin needs them",
    "either": "either twin needs them",
    "both": "both twins need them",
}
FRACTIONS_INFO = "Directions come from fit, settings from select, results from report."
ALPHAS_INFO = "start:stop:step, or a list such as -2,-1,1,2. α = 0 is always decoded."
CONTROLS = (
    (COVARIANCE, "Covariance controls", "Drawn where states vary."),
    (SHUFFLED, "Shuffled controls", "Right and wrong mixed up."),
    (NUISANCE, "Nuisance controls", "Other labels: length, first letter …"),
    (RANDOM, "Random controls", "Noise of the same size; the weakest."),
    ("most_controls", "At most", "More where the first leave it open."),
)
"""Directions without meaning, decoded beside the real one: what would chance do?"""
NAME_INFO = "The folder its results are kept in. Empty: named after the model."
FILE_LABEL = f"JSON, JSONL, CSV or TSV, one pair a row, at most {MOST_UPLOAD // 2**20} MB"
MOST_INFO = "0: all of them."
INTRO = (
    "**Does a direction really steer the model?** One click runs the whole experiment: it"
    " asks every question with and without latent thoughts, computes a direction at each layer,"
    " decodes held-out problems at every α beside control directions, and says in plain words"
    " whether there is an effect."
)


@dataclass(frozen=True, slots=True)
class Form:
    """Every input of the form; the field names are those of `Experiment`."""

    model: gr.Dropdown
    pairs: gr.Radio
    own: gr.Textbox
    """Stands for a file that was handed in; nobody sees it."""
    most: gr.Number
    size: gr.Radio
    necessity: gr.Radio
    filter: gr.Dropdown
    fractions: gr.Textbox
    balanced: gr.Checkbox
    site: gr.Radio
    layers: gr.CheckboxGroup
    positions: gr.CheckboxGroup
    alphas: gr.Textbox
    unit: gr.Radio
    random: gr.Number
    shuffled: gr.Number
    covariance: gr.Number
    nuisance: gr.Number
    most_controls: gr.Number
    seed: gr.Number
    name: gr.Textbox


@dataclass(frozen=True, slots=True)
class Layout:
    """The built tab: form, buttons, figures, and the clock that asks how far a run is."""

    form: Form
    upload: gr.File
    key: gr.Textbox
    """Takes the key of the browser with an event; nobody sees it."""
    run: gr.Button
    cancel: gr.Button
    plan: gr.HTML
    steps: gr.HTML
    shelf: gr.HTML
    result: gr.HTML
    clock: gr.Timer


def build_layout(models: list[tuple[str, str]], first: Any) -> Layout:
    """Lay out the tab; `models` are (label, name), `first` is the model that is chosen."""
    with gr.Row(elem_id="exp-columns", elem_classes="columns", equal_height=False):
        with gr.Column(scale=0, min_width=320, elem_id="exp-side", elem_classes="side"):
            parts = {**what(models), **prepare_panel(), **sweep_panel(first), **name_panel()}
            upload, key = parts.pop("upload"), gr.Textbox(visible="hidden", elem_id="exp-key")
            form = Form(**parts)
        with gr.Column(scale=1, min_width=320, elem_id="exp-main"):
            gr.Markdown(INTRO, elem_id="exp-intro")
            with gr.Row(elem_id="exp-actions"):
                run = gr.Button("Run", variant="primary", elem_id="exp-run", scale=0)
                cancel = gr.Button("Cancel", elem_id="exp-cancel", interactive=False, scale=0)
                plan = figure("plan")
            steps = figure("steps", ("ended", "look"))
            shelf = figure("shelf", ("open", "resume", "compare"))
            result = figure("result")
    clock = gr.Timer(0.7, active=False)
    return Layout(form, upload, key, run, cancel, plan, steps, shelf, result, clock)


def what(models: list[tuple[str, str]]) -> dict[str, Any]:
    """Choose model and pairs, and how thorough to be."""
    with gr.Group():
        return {
            "model": gr.Dropdown(models, value=models[0][1], label="Model", elem_id="exp-model"),
            "pairs": gr.Radio(
                PAIR_CHOICES,
                value=PAIR_CHOICES[0][1],
                label="Pairs of problems",
                elem_id="exp-pairs",
            ),
            "own": gr.Textbox(visible="hidden", elem_id="exp-own-token"),
            "upload": gr.File(
                label=FILE_LABEL,
                file_types=[*ENDINGS],
                type="filepath",
                height=96,
                visible=False,
                elem_id="exp-own",
            ),
            "size": gr.Radio(
                [("Quick", QUICK), ("Standard", STANDARD), ("Fine", FINE)],
                value=STANDARD,
                label="Size",
                info=SIZE_INFO,
                elem_id="exp-size",
            ),
        }


def prepare_panel() -> dict[str, Any]:
    """How pairs are prepared."""
    with gr.Accordion("How pairs are prepared", open=False, elem_id="exp-prepare"):
        return {
            "most": gr.Number(
                value=DEFAULTS["most"],
                label="Use at most … pairs",
                info=MOST_INFO,
                precision=0,
                elem_id="exp-most",
            ),
            "necessity": gr.Radio(
                [("not tested" if kind == "none" else kind, kind) for kind in NECESSITY_KINDS],
                value=DEFAULTS["necessity"],
                label="Latents replaced by",
                info=NECESSITY_INFO,
                elem_id="exp-necessity",
            ),
            "filter": gr.Dropdown(
                [(FILTER_WORDS.get(name, name), name) for name in FILTERS],
                value=DEFAULTS["filter"],
                label="Filter",
                info=FILTER_INFO,
                elem_id="exp-filter",
            ),
            "fractions": gr.Textbox(
                value=DEFAULTS["fractions"],
                label="Shares of fit, select, report",
                info=FRACTIONS_INFO,
                elem_id="exp-fractions",
            ),
            "balanced": gr.Checkbox(
                value=DEFAULTS["balanced"],
                label="As many right as wrong answers to fit on",
                elem_id="exp-balanced",
            ),
        }


def sweep_panel(first: Any) -> dict[str, Any]:
    """Where, how strongly and against what the model is steered."""
    with gr.Accordion("What is swept", open=False, elem_id="exp-sweep"):
        parts: dict[str, Any] = {
            "site": gr.Radio(list(SITES), value="residual", label="Site", elem_id="exp-site"),
            "layers": gr.CheckboxGroup(
                **layer_choices(first), label="Layers", elem_id="exp-layers"
            ),
            "positions": gr.CheckboxGroup(
                **position_choices(first),
                label="Latent tokens to steer, together",
                elem_id="exp-positions",
            ),
            "alphas": gr.Textbox(
                value=DEFAULTS["alphas"],
                label="Steering strengths α",
                info=ALPHAS_INFO,
                elem_id="exp-alphas",
            ),
            "unit": unit_panel("exp-unit"),
        }
        return parts | control_inputs()


def control_inputs() -> dict[str, Any]:
    """How many controls are decoded beside each direction."""
    with gr.Row(elem_classes="exp-pair"):
        return {
            name: gr.Number(
                value=DEFAULTS[name],
                label=label,
                info=info,
                precision=0,
                minimum=0,
                min_width=100,
                elem_id=f"exp-{name}",
            )
            for name, label, info in CONTROLS
        }


def name_panel() -> dict[str, Any]:
    """Name and seed."""
    with gr.Group():
        return {
            "name": gr.Textbox(
                label="Name",
                info=NAME_INFO,
                placeholder="for example layers-1-4",
                max_lines=1,
                elem_id="exp-name",
            ),
            "seed": gr.Number(
                value=DEFAULTS["seed"], label="Seed", precision=0, minimum=0, elem_id="exp-seed"
            ),
        }


def layer_choices(info: Any) -> dict[str, Any]:
    """All blocks of a model, all chosen."""
    layers = list(range(1, info.layers + 1))
    return {"choices": [(str(layer), layer) for layer in layers], "value": layers}


def position_choices(info: Any) -> dict[str, Any]:
    """All positions of a model, the latent steps chosen."""
    positions = list(range(info.latents + 1))
    return {"choices": [(str(k), k) for k in positions], "value": positions[1:]}
