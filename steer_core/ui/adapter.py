"""Between Gradio and the handlers: values of inputs in, updates of components out."""

import html
from collections.abc import Iterator
from typing import Any

import gradio as gr

from steer_core.errors import UserError
from steer_core.names import with_unit
from steer_core.ui import guides, links
from steer_core.ui.handlers import Asked, Explorer, ModelChoice
from steer_core.ui.lines import line_of, short, told
from steer_core.ui.panels import Controls, spoken
from steer_core.ui.parts import REPORT, SELECT
from steer_core.ui.payload import number_text
from steer_core.ui.settings import Setting, directions, has_layers, operations, sites
from steer_core.ui.visitors import still_there

ADVANCED = ("operation", "schedule", "layers")
"""Left out, they are the usual ones."""


GUIDED = (
    *("source", "variant", "keep", "problem", "site", "layer", "layers", "positions"),
    *("schedule", "direction", "operation", "unit", "alpha"),
)
"""Inputs that a guided example sets."""


class Adapter:
    """One method per event. An error becomes one line on the page, which stays usable."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer

    @told
    def restore(self, request: gr.Request) -> list[Any]:
        """Set every control from the address line, and show the inputs that belong to them."""
        values, complaints = links.restore(self._explorer, dict(request.query_params))
        for complaint in complaints:
            toast(
                complaint, None
            )  # until it is closed: loading may take longer than a notice lasts
        info = self._explorer.info(values["model"])
        choices = self._explorer.problems(info.name, values["variant"], values["keep"])
        updates = values | {
            "layer": _layer(info, values["layer"], values["site"]),
            "positions": _positions(info, values["mask"]),
            "problem": gr.update(choices=choices, value=values["problem"]),
            "site": _named(sites(), values["site"]),
            "direction": _named(directions(), values["direction"]),
            "operation": _named(operations(), values["operation"]),
        }
        listed = [pair_id for _, pair_id in choices]
        inputs = [updates[name] for name in Controls.__slots__]
        return [*inputs, *self.show_source(values["source"]), listed]

    @told
    def guide(self, name: str, model: str) -> list[Any]:
        """Set the inputs to a guided example, which is looked for with the chosen model."""
        values = guides.found(self._explorer, model, name)
        choices = self._explorer.problems(model, values["variant"])
        updates = values | {
            "layer": gr.update(value=values["layer"], interactive=has_layers(values["site"])),
            "problem": gr.update(choices=choices, value=values["problem"]),
        }
        shown = [updates[part] for part in GUIDED]
        return [*shown, *self.show_source("pairs"), [pair_id for _, pair_id in choices]]

    @told
    def configure(self, model: str, site: str) -> list[Any]:
        """Fit layer and positions to another model; factors of another are none of its own."""
        info = self._explorer.info(model)
        usual = links.defaults(info)
        layer = _layer(info, usual["layer"], site)
        return [layer, _positions(info, usual["positions"]), "", ""]

    @told
    def layer_matters(self, site: str) -> Any:
        """Layers can be chosen where a site has them."""
        return gr.update(interactive=has_layers(site))

    @told
    def show_source(self, source: str) -> list[Any]:
        """Show the inputs for test pairs, or those for a question of one's own."""
        return [gr.update(visible=source == "pairs"), gr.update(visible=source == "own")]

    @told
    def switch_source(self, source: str, **values: Any) -> list[Any]:
        """Show the inputs for a source; a question of one's own starts as the problem shown so far.

        So there is something to change word by word, and the page never shows one thing and asks
        for another.
        """
        question, gold = gr.skip(), gr.skip()
        if source == "own" and not (values["question"] or "").strip():
            question, answer = self._explorer.question(asked_of({**values, "source": "pairs"}))
            gold = number_text(answer)
        return [*self.show_source(source), question, gold]

    @told
    def pick(self, model: str, variant: str, keep: str, problem: str) -> Any:
        """List the problems that pass the filter; keep the chosen one if it is among them."""
        try:
            choices = self._explorer.problems(model, variant, keep)
        except UserError as error:
            toast(str(error))
            return [gr.skip(), gr.skip()]
        ids = [pair_id for _, pair_id in choices]
        return [gr.update(choices=choices, value=problem if problem in ids else ids[0]), ids]

    def view(self, **values: Any) -> dict[str, Any]:
        """Return the answers of one problem at every α, or the reason why there are none yet."""
        serial = self._explorer.serial()
        try:
            setting, asked = self._setting(values), asked_of(values)
            answer = self._explorer.strip(asked, setting)
            return {"serial": serial, "asked": _chosen(values), **answer}
        except Exception as error:
            return {"serial": serial, "error": line_of(error)}

    def sweep(self, request: gr.Request, **values: Any) -> Iterator[dict[str, Any]]:
        """Yield the growing sweep over the select split of the test pairs."""
        yield from self._sweep(SELECT, request, values)

    def report(self, request: gr.Request, **values: Any) -> Iterator[dict[str, Any]]:
        """Yield the sweep over the report split, which is opened for this setting."""
        yield from self._sweep(REPORT, request, values)

    def _sweep(self, part: str, request: gr.Request, values: Any) -> Iterator[dict[str, Any]]:
        try:
            setting, there = self._setting(values), still_there(request)
            for state in self._explorer.sweep(
                str(request.session_hash), setting, there, part, True
            ):
                yield {"asked": _chosen(values), **state}
        except Exception as error:
            yield {"run": self._explorer.serial(), "error": line_of(error)}

    def leave(self, request: gr.Request) -> None:
        """Stop what a visitor left behind."""
        self._explorer.leave(str(request.session_hash))

    def _setting(self, values: dict[str, Any]) -> Setting:
        return setting_of(self._explorer, values)


def setting_of(explorer: Explorer, values: dict[str, Any]) -> Setting:
    """Check the edit that inputs hold."""
    edit = {name: values[name] for name in ADVANCED if name in values}
    edit |= {name: values[name] for name in ("model", "site", "layer", "positions")}
    direction = with_unit(values["direction"], values["unit"])
    return explorer.setting(**edit, direction=direction)


def _chosen(values: dict[str, Any]) -> dict[str, Any]:
    """What an answer is to, but for what is typed: the browser compares it with what it holds."""
    return {name: value for name, value in values.items() if name not in ("question", "gold")}


def asked_of(values: dict[str, Any]) -> Asked:
    """The question that inputs hold."""
    return Asked(
        source=values["source"],
        pair_id=str(values["problem"]),
        variant=values["variant"],
        question=values["question"],
        gold=values["gold"],
    )


def _layer(info: ModelChoice, layer: int, site: str) -> Any:
    return gr.update(maximum=info.layers, value=layer, interactive=has_layers(site))


def _named(names: tuple[str, ...], value: str) -> Any:
    """The choices of what the library knows by these names."""
    return gr.update(choices=[(spoken(name), name) for name in names], value=value)


def _positions(info: ModelChoice, chosen: list[int]) -> Any:
    choices = [(str(position), position) for position in range(info.latents + 1)]
    return gr.update(choices=choices, value=chosen)


def toast(line: str, seconds: float | None = 10) -> None:
    """Show a line as a notice, for so long; None: until it is closed."""
    gr.Warning(html.escape(short(line)), duration=seconds)
