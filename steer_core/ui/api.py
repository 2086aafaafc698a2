"""The named endpoints for scripts, and the tools of an MCP server: every argument checked.

Their descriptions are what a script's author, or a language model that may call them, is told.
"""

from typing import Any

import gradio as gr
from gradio.events import api

from steer_core.ui.door import DECODE, SWEEPS
from steer_core.ui.handlers import Explorer
from steer_core.ui.lines import told
from steer_core.ui.links import defaults
from steer_core.ui.settings import Setting
from steer_core.ui.visitors import still_there

NAMES = ("models", "decode", "sweep", "lens", "swap")
"""The endpoints, each a function of `Endpoints`."""


def add(explorer: Explorer) -> None:
    """Add the endpoints to the page that is being built."""
    endpoints = Endpoints(explorer)
    for name in NAMES:
        many = name == "sweep"
        api(
            getattr(endpoints, name),
            api_name=name,
            concurrency_id=SWEEPS if many else DECODE,
            concurrency_limit=2 if many else 4,
        )


class Endpoints:
    """Typed functions over an explorer; Gradio checks no ranges here, so the explorer does."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer

    @told
    def models(self) -> list[dict[str, Any]]:
        """List the models that can be asked: language models that reason in latent thoughts.

        Each answers a word problem after K latent steps, vectors instead of words. `layers` is the
        number of its blocks, `latents` is K: positions 1..K are the latent thoughts, 0 is the end
        of the question.
        """
        return [
            {
                "name": choice.name,
                "layers": choice.layers,
                "latents": choice.latents,
                "parameters": choice.parameters,
            }
            for choice in self._explorer.models.values()
        ]

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
        """Decode one word problem twice: as the model is, and with its latent thoughts steered.

        Use it to see whether pushing the hidden states along a direction changes an answer. The
        result has `text` and `answer` (a number or null) of the steered run and `baseline_text`,
        `baseline_answer` without; `inert` names edited positions that nothing reads, with why.

        Args:
            model: a name that `models` lists.
            question: a word problem that asks for one number, at most 400 words.
            alpha: steering strength, -3 to 3; 0 edits nothing.
            layer: block 1..L after which states are edited; the middle one when left out.
            positions: any of 0..K; the latent thoughts 1..K when left out.
            site: residual (output of a block), thought (before the projection) or embedding (after
                it).
            direction: mean_difference (correct minus wrong answers) or random; with :sd or :dose
                behind it alpha counts standard deviations or mean norms of the fit states.
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
        """Measure accuracy over all bundled test pairs at several strengths of steering.

        Use it for a claim about a direction instead of about one question. One row for each alpha:
        `n`, `correct`, `accuracy` with its Wilson 95 % interval `low`..`high`, and `flips`, answers
        that differ from alpha 0. Compare with direction random before calling anything an effect.

        Args:
            model: a name that `models` lists.
            layer: block 1..L after which states are edited; the middle one when left out.
            positions: any of 0..K; the latent thoughts 1..K when left out.
            site: residual, thought or embedding.
            direction: mean_difference or random; with :sd or :dose behind it alpha counts standard
                deviations or mean norms of the fit states.
            alphas: at most 61 strengths from -3 to 3; -3 to 3 in steps of 0.5 when left out.
            request: who asks, as Gradio says.
        """
        setting = self._setting(model, layer, positions, site, direction)
        return self._explorer.sweep_rows(setting, alphas, still_there(request))

    @told
    def lens(
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
        """Read every hidden state of one question through the model's vocabulary (logit lens).

        Use it to see what the latent thoughts hold, such as results of intermediate steps.
        `top_tokens` and `top_probs` [position][layer] are the five likeliest tokens behind each
        state, `entropy` is in nats; position 0 is the end of the question, layer 0 the input.

        Args:
            model: a name that `models` lists.
            question: a word problem that asks for one number, at most 400 words.
            alpha: steering strength, -3 to 3; 0 reads the model as it is.
            layer: block 1..L after which states are edited; the middle one when left out.
            positions: which of 0..K are edited; 1..K when left out.
            site: residual, thought or embedding.
            direction: mean_difference or random, as for decode.
            request: who asks, as Gradio says.
        """
        setting = self._setting(model, layer, positions, site, direction)
        return self._explorer.lens(setting, question, alpha, still_there(request))

    @told
    def swap(
        self,
        model: str,
        question: str,
        donor: str,
        positions: list[int] | None = None,
    ) -> dict[str, Any]:
        """Answer one question on the latent thoughts of another, the donor.

        Use it as a positive control: where the thoughts carry the reasoning, the answer becomes the
        donor's, and `followed` is true. `own_answer` and `donor_answer` are what the model says to
        both questions by themselves; `answers` are those at `amounts` from 0 (own thoughts) to 1
        (the donor's).

        Args:
            model: a name that `models` lists.
            question: the question that is read.
            donor: the question whose latent thoughts are taken, such as a twin with one number
                changed.
            positions: which of 1..K are taken; all when left out.
        """
        usual = defaults(self._explorer.info(model))
        chosen = usual["positions"] if positions is None else positions
        return self._explorer.swap(model, question, donor, chosen)

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
