"""What a visitor looks at in one question: checked values in, plain dicts out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from steer_core.data.answers import Number, parse_answer
from steer_core.data.expectation import expected_answer
from steer_core.data.problems import Pair, Problem
from steer_core.errors import UserError
from steer_core.inspect.asked import (
    ATTENTION,
    EARLY,
    FLIP,
    LENS,
    LOOKS,
    MAP,
    SWAP,
    TRACE,
    LookAsked,
    SwapAsked,
)
from steer_core.ui import settings
from steer_core.ui.adapter import asked_of, setting_of
from steer_core.ui.compute import LookJob, test_pairs
from steer_core.ui.handlers import Asked, Explorer
from steer_core.ui.inspect.payload import payload_of
from steer_core.ui.lines import line_of
from steer_core.ui.payload import number_text
from steer_core.ui.settings import STRIP_ALPHAS, SWEEP_ALPHAS, Setting

ASKED = ("source", "problem", "variant", "model", "site", "layer", "positions", "direction", "unit")
WHOLE_ALPHAS = tuple(float(a) for a in range(-3, 4))
ALPHAS: Mapping[str, tuple[float, ...]] = {
    TRACE: STRIP_ALPHAS,
    LENS: STRIP_ALPHAS,
    ATTENTION: STRIP_ALPHAS,
    EARLY: WHOLE_ALPHAS,
    MAP: WHOLE_ALPHAS,
    SWAP: (0.0,),
    FLIP: (0.0, 1.0),
}
"""Where each is looked at; a figure shows the nearest. The two that decode an answer for each of
many places are wider apart."""
LARGE = 20_000_000
"""Parameters from which on fewer α are looked at, for every one costs seconds."""
SWAP_SITES = ("embedding", "thought", "residual", "kv")
NOBODY = ("zero", "mean", "noise")


class Looks:
    """Looks inside one question, over an explorer."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer, self._engine = explorer, explorer.runner.engine

    def look(self, what: str, told: Any) -> dict[str, Any]:
        """Return what an instrument shows, or an `error` or a `note`, with the `key` that asked."""
        told = told if isinstance(told, Mapping) else {}
        key = {"what": what, "key": told.get("key") if isinstance(told.get("key"), str) else None}
        try:
            return {**key, **self._look(settings.choose("instrument", what, LOOKS), told)}
        except Exception as error:
            return {**key, "error": line_of(error)}

    def _look(self, what: str, told: Mapping[str, Any]) -> dict[str, Any]:
        values, options = inputs_of(told), options_of(told)
        setting, asked = setting_of(self._explorer, values), asked_of(values)
        if setting.of_twin:
            raise UserError("twins are looked at under 'Swap'; choose another direction")
        info = self._explorer.info(setting.model)
        if what == MAP:  # every place is edited alone, whatever is chosen
            setting = setting.edited_at(tuple(range(info.latents + 1)))
        question, gold = self._explorer.question(asked)
        pair = self.pair(asked)
        job = LookJob(
            setting,
            LookAsked(
                what,
                question,
                values=marks(pair and getattr(pair, asked.variant), gold) if what == LENS else (),
                block=block_of(options, info) if what == ATTENTION else None,
                tuned=bool(options.get("tuned")) and what == LENS,
                swap=self.swap_of(options, info, pair, asked.variant) if what == SWAP else None,
            ),
            self.alphas(what, setting),
        )
        if (note := self._explorer.news(job)) is not None:
            return {"note": note}
        seen = self._explorer.runner.look(job)
        return {**payload_of(job, seen, gold, info), **self.beside(job, pair, asked.variant)}

    def alphas(self, what: str, setting: Setting) -> tuple[float, ...]:
        """The α of an instrument: fewer for a large model, one where nothing is edited."""
        usual = ALPHAS[what]
        if not setting.first.positions:
            return (0.0,)
        large = (self._explorer.info(setting.model).parameters or 0) > LARGE
        return SWEEP_ALPHAS if large and usual == STRIP_ALPHAS else usual

    def pair(self, asked: Asked) -> Pair | None:
        """The test pair that is looked at; None for a question of one's own."""
        return None if asked.source == "own" else self.known(asked.pair_id)

    def known(self, pair_id: Any) -> Pair:
        """The test pair with this id."""
        for pair in test_pairs(self._engine):
            if str(pair.pair_id) == pair_id:
                return pair
        raise UserError(
            f"problem {settings.shown(pair_id)} is no test pair; choose one from the list"
        )

    def swap_of(
        self, options: Mapping[str, Any], info: Any, pair: Pair | None, variant: str
    ) -> SwapAsked:
        """What the latents of the question are replaced by."""
        donor = options.get("donor") or ("twin" if pair else "zero")
        site = settings.choose("site", options.get("site") or "embedding", SWAP_SITES)
        layered = site in ("residual", "kv")
        layer = settings.whole("layer", options.get("layer") or 1, 1, info.layers)
        where = options.get("positions")
        positions = None
        if where is not None:
            chosen = settings.some("positions", where, info.latents + 1)
            positions = tuple(
                sorted({settings.whole("position", k, 0, info.latents) for k in chosen})
            )
        kind, question = "question", None
        if donor in NOBODY:
            kind = str(donor)
        elif donor == "twin":
            if pair is None:
                raise UserError("a question of one's own has no twin; choose another donor")
            question = other_twin(pair, variant).question
        else:
            question = self.known(donor).clean.question
        return SwapAsked(kind, question, site, layer if layered else None, positions)

    def beside(self, job: LookJob, pair: Pair | None, variant: str) -> dict[str, Any]:
        """What else a swap's figure needs: donors to choose from, and what to expect."""
        if job.asked.what != SWAP:
            return {}
        donors = [[str(p.pair_id), short(p.clean.question)] for p in test_pairs(self._engine)]
        donor = job.asked.swap and job.asked.swap.donor
        of_twin = pair is not None and donor == other_twin(pair, variant).question
        return {"donors": donors, "expected": expectations(pair, variant) if of_twin else []}


def inputs_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the page's inputs that the shown answer is to.

    Raises:
        UserError: where some are missing.
    """
    asked = told.get("asked")
    asked = asked if isinstance(asked, Mapping) else {}
    if missing := [name for name in ASKED if name not in asked]:
        raise UserError(f"the request lacks {missing[0]}; reload the page")
    return {**asked, "question": told.get("question"), "gold": told.get("gold")}


def options_of(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a panel's own inputs hold."""
    options = told.get("options")
    return options if isinstance(options, Mapping) else {}


def block_of(options: Mapping[str, Any], info: Any) -> int | None:
    """The block whose heads are shown; None for all blocks."""
    block = options.get("block")
    return None if block in (None, "", 0) else settings.whole("block", block, 1, info.layers)


def marks(problem: Problem | None, gold: Number | None) -> tuple[Number, ...]:
    """The results of the known steps; where none are known, the gold answer."""
    found = results(problem) if problem else ()
    return found or (() if gold is None else (gold,))


def results(problem: Problem) -> tuple[Number, ...]:
    """The result of each step of a solution that is known."""
    found = [parse_answer(step.rpartition("=")[2].rstrip("> ")) for step in problem.chain]
    return tuple(number for number in found if number is not None)


def other_twin(pair: Pair, variant: str) -> Problem:
    """The twin of the shown one."""
    return pair.corrupted if variant == "clean" else pair.clean


def expectations(pair: Pair | None, variant: str) -> list[list[Any]]:
    """For each step the answer, were its result alone the twin's; nothing where it is unknown."""
    if pair is None:
        return []
    if variant != "clean":
        pair = replace(pair, clean=pair.corrupted, corrupted=pair.clean)
    steps = range(1, pair.clean.steps + 1)
    return [[step, number_text(expected_answer(pair, step))] for step in steps]


def short(text: str) -> str:
    """The beginning of a question."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59].rsplit(' ', 1)[0]}…"
