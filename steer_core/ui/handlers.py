"""What happens on each input: plain Python from values to dicts, without layout or browser."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from steer_core.errors import UserError
from steer_core.inspect.asked import LENS, SWAP, LookAsked, SwapAsked
from steer_core.ui import payload, settings
from steer_core.ui.compute import AtlasJob, LookJob, StripJob, SweepJob, needs_direction, test_pairs
from steer_core.ui.engine import Engine
from steer_core.ui.fits import LOOK_SECONDS, Fits
from steer_core.ui.inspect.null import nulls_of
from steer_core.ui.parts import REPORT, SELECT, Ledger, pairs_of
from steer_core.ui.runner import Runner
from steer_core.ui.settings import Setting

LABEL_CHARACTERS = 80
PAIR_FILE = "assets/pairs/test.json"
"""What a sweep is over, beside the twin."""
MOST_VISITORS = 1024
"""Whose newest sweep is remembered; one ends it and is forgotten."""
SETTLE_SECONDS = 0.25
"""A sweep starts this much later, so that a dragged slider starts one and not one for each step."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model the page offers."""

    name: str
    layers: int
    """Blocks, L."""
    latents: int
    """Latent steps, K."""
    parameters: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The question a visitor looks at."""

    source: str = "pairs"
    """`pairs` (from the test set) or `own`."""
    pair_id: str = ""
    variant: str = "clean"
    question: str = ""
    gold: Any = None


class Explorer:
    """The page's handlers over one engine.

    Nothing is kept per visitor but the number of the newest sweep, so that an older one stops at
    its next batch.
    """

    def __init__(
        self, engine: Engine, first_model: str | None = None, settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self._engine = engine
        self._settle_seconds = settle_seconds
        self.runner = Runner(engine)
        self._fits = Fits(self.runner)
        self._newest: dict[str, int] = {}
        self.ledger: Ledger | None = None
        """Where opened settings are noted; None: nowhere, as in a notebook."""
        self._serials = itertools.count(time.time_ns() // 1_000_000)
        self.models = self._models(first_model)

    def serial(self) -> int:
        """Return a number larger than any before, also after a restart of the server."""
        return next(self._serials)

    # What can be chosen

    def info(self, name: Any) -> ModelChoice:
        """Return the model with this name.

        Raises:
            UserError: if no model has it.
        """
        return self.models[settings.choose("model", name, self.models)]

    def setting(self, model: Any, **edit: Any) -> Setting:
        """Check model and edit (site, layer, positions …); see `settings.make_setting`."""
        return settings.make_setting(self.info(model), **edit)

    def problems(self, model: str, variant: str, keep: str = "all") -> list[tuple[str, str]]:
        """Return (label, pair id) of the test pairs, optionally by how the baseline did.

        Raises:
            UserError: if a value is unknown or no problem is left.
        """
        settings.choose("variant", variant, settings.VARIANTS)
        settings.choose("filter", keep, settings.FILTERS)
        pairs = test_pairs(self._engine)
        if keep != "all":
            right = self.outcomes(model, variant)
            pairs = [pair for i, pair in enumerate(pairs) if right[i] is (keep == "right")]
        if not pairs:
            raise UserError(f"{model} answers no {variant} problem {keep}; choose another filter")
        return [(_label(pair, variant), str(pair.pair_id)) for pair in pairs]

    def outcomes(self, model: str, variant: str) -> Mapping[int, bool]:
        """Return for each test pair, by its index, whether the baseline is right; decoded once."""
        info = self.info(model)
        edit = settings.unedited(info.name)
        return self.runner.sweep(SweepJob(edit, (0.0,), variant)).baseline_correct

    def starts(self) -> list[tuple[str, str, str]]:
        """Return (label, question, gold answer) of the shortest, a middle and a long problem."""
        problems = sorted((pair.clean for pair in test_pairs(self._engine)), key=_length)
        chosen = [problems[i] for i in sorted({0, len(problems) // 2, len(problems) - 1})]
        return [
            (f"{_steps(each)}", each.question, str(payload.number_text(each.answer)))
            for each in chosen
        ]

    # One problem

    def question(self, asked: Asked) -> tuple[str, int | float | None]:
        """Return the question that is asked for, with its gold answer; a typed one may have none.

        Raises:
            UserError: if the pair is unknown or the question cannot be used.
        """
        if asked.source == "own":
            return settings.question_text(asked.question), settings.gold_number(asked.gold)
        pairs = {str(pair.pair_id): pair for pair in test_pairs(self._engine)}
        if asked.pair_id not in pairs:
            raise UserError(f"problem {asked.pair_id!r} is no test pair; choose one from the list")
        variant = settings.choose("variant", asked.variant, settings.VARIANTS)
        problem = getattr(pairs[asked.pair_id], variant)
        return problem.question, problem.answer

    def strip(self, asked: Asked, setting: Setting) -> dict[str, Any]:
        """Return one question at all 61 α, as JSON for the page.

        While a direction is computed for it, a `note` says so instead, and one may ask again.
        """
        twin, answer = self.twin(asked)
        if setting.of_twin and twin is None:
            raise UserError("a question of your own has no twin; choose another direction")
        taken = twin if setting.of_twin else None
        job = StripJob(setting, *self.question(asked), settings.STRIP_ALPHAS, taken)
        note = self.news(job)
        if note is not None:
            return {"note": note}
        layers = self.info(setting.model).layers
        strip = payload.strip_payload(job, self.runner.strip(job), layers)
        return {**strip, "twin": payload.number_text(answer)}

    def twin(self, asked: Asked) -> tuple[str | None, int | float | None]:
        """Return the twin of what is asked for, with its gold answer; None for an own question."""
        if asked.source == "own":
            return None, None
        other = next(name for name in settings.VARIANTS if name != asked.variant)
        return self.question(replace(asked, variant=other))

    def decode(
        self,
        setting: Setting,
        question: Any,
        alpha: Any,
        there: Callable[[], bool] = lambda: True,
    ) -> dict[str, Any]:
        """Return baseline and steered text of one question, for scripts."""
        question, alpha = settings.question_text(question), settings.finite_alpha(alpha)
        alphas = tuple(sorted({0.0, alpha}))
        check_curve(setting)
        job = StripJob(setting, question, None, alphas)
        self._wait(job, there)
        strip = self.runner.strip(job)
        return payload.decode_payload(setting, question, strip, alphas.index(alpha))

    def lens(
        self,
        setting: Setting,
        question: Any,
        alpha: Any,
        there: Callable[[], bool] = lambda: True,
    ) -> dict[str, Any]:
        """Return what every state of one question says through the vocabulary, for scripts."""
        question, alpha = settings.question_text(question), settings.finite_alpha(alpha)
        job = LookJob(setting, LookAsked(LENS, question), (alpha,))
        self._wait(job, there)
        return payload.lens_payload(job, self.runner.look(job))

    def swap(self, model: Any, question: Any, donor: Any, positions: Any) -> dict[str, Any]:
        """Return the answers to one question on more and more of another's latents, for scripts."""
        question, donor = settings.question_text(question), settings.question_text(donor)
        setting = self.setting(
            model, site="embedding", layer=1, positions=positions, direction="mean_difference"
        )
        wanted = LookAsked(
            SWAP, question, swap=SwapAsked(donor=donor, positions=setting.first.positions)
        )
        return payload.swap_payload(setting, self.runner.look(LookJob(setting, wanted, (0.0,))))

    # All test pairs

    def sweep(
        self,
        visitor: str,
        setting: Setting,
        there: Callable[[], bool] = lambda: True,
        part: str = SELECT,
        nulls: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Yield the growing sweep until it is finished, the visitor asks for another one or leaves.

        Args:
            visitor: whoever asks; one at a time for each.
            setting: how the pairs are steered.
            there: whether the visitor still waits; asked before each decoding step.
            part: which split of the test pairs; that a setting is opened on `REPORT` is noted.
            nulls: whether directions without meaning follow, once the sweep is finished.
        """
        mine = self._newest[visitor] = self.serial()
        while len(self._newest) > MOST_VISITORS:
            self._newest.pop(next(iter(self._newest)), None)

        def wanted() -> bool:
            return self._newest.get(visitor) == mine and there()

        try:
            last = {}
            for last in self._sweep(mine, setting, part, wanted):
                yield last
            if nulls and last.get("finished"):
                job = SweepJob(setting, settings.SWEEP_ALPHAS, part=part)
                for null in nulls_of(self.runner, job, self.info(setting.model), wanted):
                    yield {**last, "null": null}
        finally:
            if self._newest.get(visitor) == mine:
                del self._newest[visitor]

    def _sweep(
        self, mine: int, setting: Setting, part: str, wanted: Callable[[], bool]
    ) -> Iterator[dict[str, Any]]:
        check_curve(setting)
        job = SweepJob(setting, settings.SWEEP_ALPHAS, part=part)
        if self.runner.finished(job) is None:
            time.sleep(self._settle_seconds)
        origin = {"twin": job.variant, "pairs": PAIR_FILE, "part": part, "mark": ""}
        while wanted() and (note := self.news(job)) is not None:
            yield {"run": mine, "note": note}
            time.sleep(LOOK_SECONDS)
        for state in self.runner.states(job, wanted):
            finished = self.runner.finished(job) is state
            if "sha256" not in origin:
                origin["sha256"] = self.runner.hashes[setting.model]
                origin["mark"] = self._opened(origin["sha256"], job)
            yield {"run": mine, **origin, **payload.sweep_payload(setting, state, finished)}

    def _opened(self, sha256: str, job: SweepJob) -> str:
        """Note that a setting is opened on the report split; what else was opened there."""
        if job.part != REPORT or self.ledger is None:
            return ""
        pairs = pairs_of(test_pairs(self._engine), REPORT)
        return self.ledger.opened(sha256, job.setting, pairs)

    def sweep_rows(
        self, setting: Setting, alphas: Any, there: Callable[[], bool] = lambda: True
    ) -> list[dict[str, Any]]:
        """Return the finished sweep as one dict per α, for scripts; none once nobody is `there`."""
        check_curve(setting)
        chosen = settings.sweep_alphas(alphas, len(test_pairs(self._engine)))
        job = SweepJob(setting, chosen)
        self._wait(job, there)
        state = self.runner.sweep(job, there)
        return [] if state is None else payload.sweep_rows(state, setting)

    def leave(self, visitor: str) -> None:
        """Forget a visitor; a sweep of theirs stops at its next batch."""
        self._newest.pop(visitor, None)

    def news(self, job: StripJob | SweepJob | LookJob | AtlasJob) -> str | None:
        """Say what is computed before a job can run; None when it can."""
        return self._fits.news(job.model) if self._fit_needed(job) else None

    def _wait(self, job: StripJob | SweepJob | LookJob, there: Callable[[], bool]) -> None:
        if self._fit_needed(job):
            self._fits.wait(job.model, there)

    def _fit_needed(self, job: StripJob | SweepJob | LookJob | AtlasJob) -> bool:
        return needs_direction(job.setting, job.alphas) and not job.setting.of_twin

    def _models(self, first: str | None) -> dict[str, ModelChoice]:
        known = self._engine.list_models()
        choices = [
            ModelChoice(info.name, info.layers, info.latents, info.parameters)
            for info in known
            if info.available or info.name == first
        ]
        if first and first not in (choice.name for choice in choices):
            self.runner.ready(first)
            info = self.runner.info(first)
            choices.append(ModelChoice(first, info.layers, info.latents, info.parameters))
        choices.sort(key=lambda choice: choice.name != first)
        return {choice.name: choice for choice in choices}


def _length(problem: Any) -> tuple[int, int]:
    return problem.steps, len(problem.question)


def _steps(problem: Any) -> str:
    words = len(problem.question.split())
    return (
        f"{problem.steps} step{'s' * (problem.steps != 1)}" if problem.steps else f"{words} words"
    )


def check_curve(setting: Setting) -> None:
    """Refuse what is another edit for each problem.

    Raises:
        UserError: for the states of twins.
    """
    if setting.of_twin:
        raise UserError(
            "each problem has another twin, so there is no one direction to draw a curve of; "
            "'inspect swap' counts over pairs how many answers follow it"
        )


def _label(pair: Any, variant: str) -> str:
    question = " ".join(getattr(pair, variant).question.split())
    cut = question[: LABEL_CHARACTERS - 1].rsplit(" ", 1)[0]
    short = question if len(question) <= LABEL_CHARACTERS else f"{cut}…"
    unseen = " · template not trained on" if pair.held_out else ""
    return f"{pair.pair_id} · {short}{unseen}"
