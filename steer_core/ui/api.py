"""The named endpoints for scripts: `decode` and `sweep`, with every argument checked."""

from typing import Any

import gradio as gr
from gradio.events import api

from steer_core.ui.door import DECODE, SWEEPS
from steer_core.ui.handlers import Explorer
from steer_core.ui.lines import told
from steer_core.ui.links import defaults
from steer_core.ui.settings import Setting
from steer_core.ui.visitors import still_there


def add(explorer: Explorer) -> None:
    """Add the endpoints to the page that is being built."""
    endpoints = Endpoints(explorer)
    api(endpoints.decode, api_name="decode", concurrency_id=DECODE, concurrency_limit=4)
    api(endpoints.sweep, api_name="sweep", concurrency_id=SWEEPS, concurrency_limit=2)


class Endpoints:
    """Typed functions over an explorer; Gradio checks no ranges here, so the explorer does."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer

    @told
    def decode(
        self,
        model: str,
        question: str,
        alpha: float = 0.0,
        layer: int | None = None,
        positions: list[int] | None = None,
        site: str = "residual",
        direction: str = "mean_difference",
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Decode one question, steered and plain.

        Args:
            model: a name from the page's model list.
            question: a word problem of at most 400 words.
            alpha: steering strength, -3 to 3.
            layer: block 1..L; the middle one when left out.
            positions: any of 0..K; 1..K when left out.
            site: residual, thought or embedding.
            direction: mean_difference or random; with :sd or :dose behind it alpha counts standard
                deviations or mean norms of the fit states.
            request: who asks, as Gradio says.
        """
        setting = self._setting(model, layer, positions, site, direction)
        return self._explorer.decode(setting, question, alpha, still_there(request))

    @told
    def sweep(
        self,
        model: str,
        layer: int | None = None,
        positions: list[int] | None = None,
        site: str = "residual",
        direction: str = "mean_difference",
        alphas: list[float] | None = None,
        request: gr.Request | None = None,
    ) -> list[dict[str, Any]]:
        """Decode the bundled test pairs at several α and count the right answers.

        Args:
            model: a name from the page's model list.
            layer: block 1..L; the middle one when left out.
            positions: any of 0..K; 1..K when left out.
            site: residual, thought or embedding.
            direction: mean_difference or random; with :sd or :dose behind it alpha counts standard
                deviations or mean norms of the fit states.
            alphas: at most 61 strengths from -3 to 3; -3 to 3 in steps of 0.5 when left out.
            request: who asks, as Gradio says.
        """
        setting = self._setting(model, layer, positions, site, direction)
        return self._explorer.sweep_rows(setting, alphas, still_there(request))

    def _setting(
        self,
        model: str,
        layer: int | None,
        positions: list[int] | None,
        site: str,
        direction: str,
    ) -> Setting:
        usual = defaults(self._explorer.info(model))
        return self._explorer.setting(
            model,
            site=site,
            layer=usual["layer"] if layer is None else layer,
            positions=usual["positions"] if positions is None else positions,
            direction=direction,
        )
