"""A stand-in for the library, for tests of the page alone: instant, and able to misbehave.

Its answers follow from a hash of the question, so every run is the same. A question that holds
"say:" is answered with the text behind it, which lets a test put any text on the page.
"""

import hashlib
import time
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import numpy as np

from steer_core.data.answers import extract_answer
from steer_core.data.problems import Pair, Problem
from steer_core.errors import UserError
from steer_core.inspect.cells import Atlas, Cell
from steer_core.ui.engine import Engine
from steer_core.ui.handlers import Explorer

K = 6
LAYERS = {"tiny-llama": 4, "tiny-gpt2": 6}


@dataclass(frozen=True)
class FakeInfo:
    name: str
    layers: int
    source: str = "bundled"
    hidden: int = 128
    latents: int = K
    parameters: int = 1_900_000
    available: bool = True


@dataclass(frozen=True)
class FakeCurve:
    specs: tuple


@dataclass(frozen=True)
class FakeStrip:
    alphas: np.ndarray
    texts: tuple
    answers: tuple
    correct: np.ndarray | None
    baseline: int
    delta_norm: np.ndarray
    relative: np.ndarray
    norm_change: np.ndarray
    dose: np.ndarray
    norms: np.ndarray
    inert: tuple
    seconds: float
    finite: tuple = ()


@dataclass(frozen=True)
class FakeState:
    alphas: np.ndarray
    layer: int | None
    done: np.ndarray
    correct: np.ndarray
    flips: np.ndarray
    wrong_to_right: np.ndarray
    right_to_wrong: np.ndarray
    low: np.ndarray
    high: np.ndarray
    total: int
    decoded: int
    rows: int
    baseline_accuracy: float | None
    baseline_correct: dict
    nonfinite: np.ndarray


class FakeCancelled(Exception):
    pass


EDIT = {"site": "residual", "layer": 2, "positions": [1, 2, 3], "direction": "mean_difference"}
"""An edit as the page's inputs hold it, but for the unit of α."""


def explorer() -> Explorer:
    """The page's handlers over an engine that never waits."""
    return Explorer(engine(batch_seconds=0.0, pairs=12), settle_seconds=0.0)


def engine(batch_seconds: float = 0.05, pairs: int = 60) -> Engine:
    """Return an engine whose sweep takes 13 batches of `batch_seconds`."""
    return Engine(
        list_models=_models,
        model_info=_info,
        load_model=_load,
        load_pairs=partial(_pairs, pairs),
        curve=_curve_of,
        unedited=_curve,
        has_directions=bool,
        keep_directions=_keep_directions,
        prompt_tokens=_tokens,
        alpha_strip=_strip,
        iter_sweep=partial(_sweep, batch_seconds),
        iter_nulls=_nulls,
        look=_look,
        atlas=_atlas,
        extract_answer=extract_answer,
        cancelled=FakeCancelled,
    )


def _models():
    return [FakeInfo(name, layers) for name, layers in LAYERS.items()] + [
        FakeInfo("zen-E/CODI-gpt2", 12, source="hub", available=False)
    ]


class FakeModel(str):
    """A model that is no more than its name."""

    sha256 = "0f1e2d"


def _info(name):
    if name not in LAYERS:
        raise UserError(f"model {name!r} is unknown; choose one of {', '.join(LAYERS)}")
    return FakeInfo(name, LAYERS[name])


def _load(name):
    return FakeModel(_info(name).name)


def _pairs(count, name):
    assert name in ("test", "fit")
    return [
        Pair(
            pair_id=f"t{i:03d}",
            clean=Problem(
                f"Mia has {i + 3} boxes of pencils. Each box holds 4 pencils. She gives 6 pencils"
                f" to her brother and keeps the rest. How many pencils does Mia keep?",
                4 * (i + 3) - 6,
            ),
            corrupted=Problem(
                f"Mia has {i + 3} boxes of pencils. Each box holds 5 pencils. She gives 6 pencils"
                f" to her brother and keeps the rest. How many pencils does Mia keep?",
                5 * (i + 3) - 6,
            ),
        )
        for i in range(count)
    ]


def _curve_of(model, specs, twin):
    return _curve(model, specs)


def _curve(model, specs):
    assert all((spec.site.layer is not None) == spec.site.has_layers for spec in specs)
    return FakeCurve(specs)


def _keep_directions(model, progress, stop):
    raise AssertionError(f"{model} has its directions")


def _tokens(model, question):
    return len(question.split())


def _seed(*parts):
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _strip(model, question, gold, *, curve, alphas):
    """Answers flip beyond a threshold on either side; states move in proportion to α."""
    if "explode" in question:
        raise RuntimeError("secret detail of the fake")
    spec = curve.specs[0]
    site, layer, positions = spec.site.name, spec.site.layer, spec.positions
    rng = _seed(model, question, site, layer, positions, spec.direction, *_rare(curve))
    right = rng.random() < 0.6
    edges = sorted(rng.uniform(0.4, 2.8, size=2))
    inert = tuple((p, _reason(site, p)) for p in positions if _reason(site, p))
    alive = [p for p in positions if not _reason(site, p)]
    texts = [_text(question, gold or 0, right, a if alive else 0.0, edges) for a in alphas]
    answers = tuple(extract_answer(text) for text in texts)
    layers = LAYERS[model]
    shape = (K + 1, layers + 1)
    gain = rng.uniform(0.5, 2.0, size=shape) * np.linspace(0.6, 2.4, layers + 1)
    first = min(alive, default=K + 1)
    gain[:first] = 0
    if spec.site.has_layers and alive:
        gain[first, :layer] = 0
    moved = np.abs(np.asarray(alphas))[:, None, None] * gain
    base = 8.0 + 4 * np.arange(layers + 1)
    dose = np.zeros((len(alphas), K + 1))
    dose[:, list(positions)] = np.abs(np.asarray(alphas))[:, None] * 0.11
    return FakeStrip(
        alphas=np.asarray(alphas, dtype=float),
        texts=tuple(texts),
        answers=answers,
        correct=None if gold is None else np.array([a == gold for a in answers]),
        baseline=list(alphas).index(0.0),
        delta_norm=moved.astype(np.float32),
        relative=(moved / base).astype(np.float32),
        norm_change=(np.asarray(alphas)[:, None, None] * gain * 0.4).astype(np.float32),
        dose=dose.astype(np.float32),
        norms=np.linspace(1.0, 2.0, K + 1).astype(np.float32),
        inert=inert,
        seconds=0.01,
    )


def _text(question, gold, right, alpha, edges):
    if "say:" in question:
        return f"{question.split('say:', 1)[1]} {alpha:g}"
    start = gold if right else gold + 4
    step = sum(abs(alpha) > edge for edge in edges)
    answer = start if step == 0 else start + (4 if alpha < 0 else -4) * step
    return f"The answer is: {answer}"


def _reason(site, position):
    if site == "thought" and position == K:
        return f"nothing reads h_{K}, words as many as the real ones are, and a few more"
    if site != "residual" and position == 0 and site == "embedding":
        return "it is fed the BOT token; there is no z_0, words as many as the real ones"
    return None


def _rare(curve):
    """What the answers of the usual edits do not follow from."""
    spec = curve.specs[0]
    usual = len(curve.specs) == 1 and spec.operation == "add" and spec.schedule is None
    return () if usual else (repr(curve.specs),)


def _sweep(seconds, model, pairs, *, curve, alphas, stop):
    spec = curve.specs[0]
    site, layer, positions = spec.site.name, spec.site.layer, spec.positions
    alphas = np.asarray(alphas, dtype=float)
    total = len(pairs)
    rng = _seed(model, site, layer, positions, spec.direction, len(alphas), *_rare(curve))
    share = np.clip(0.66 - 0.05 * (alphas - rng.uniform(-0.5, 0.5)) ** 2, 0.05, 0.95)
    if not positions:
        share[:] = 0.66
    outcome = {i: bool(i % 3) for i in range(total)}
    order = np.argsort(np.abs(alphas), kind="stable")
    done = np.zeros(len(alphas), dtype=int)
    for count, index in enumerate(order, start=1):
        time.sleep(seconds)
        if stop():
            raise FakeCancelled
        done[index] = total
        correct = np.round(share * done).astype(int)
        middle = np.divide(correct, done, out=np.full(len(alphas), np.nan), where=done > 0)
        half = 1.96 * np.sqrt(0.25 / total)
        yield FakeState(
            alphas=alphas,
            layer=layer,
            done=done.copy(),
            correct=correct,
            flips=(done * 0.2).astype(int),
            wrong_to_right=(done * 0.05).astype(int),
            right_to_wrong=(done * 0.08).astype(int),
            low=np.clip(middle - half, 0, 1),
            high=np.clip(middle + half, 0, 1),
            total=total,
            decoded=int(count * total),
            rows=int(len(alphas) * total),
            baseline_accuracy=0.66,
            baseline_correct=outcome,
            nonfinite=np.zeros(len(alphas), dtype=int),
        )


def _look(model, wanted, curve, alphas):
    """Enough of an arrival trace, which every view asks for, and of what scripts may ask for."""
    if wanted.what == "lens":
        shape = len(alphas), K + 1, LAYERS[model] + 1
        amounts = np.reshape(np.float32(alphas) / 100, (-1, 1, 1, 1))
        return SimpleNamespace(
            question=wanted.question,
            top_ids=np.zeros((*shape, 2), np.int64),
            top_probs=np.full((*shape, 2), 0.5, np.float32) + amounts,
            tokens={0: "7"},
            entropy=np.ones(shape, np.float32),
        )
    if wanted.what == "swap":
        return SimpleNamespace(
            question=wanted.question,
            donor=wanted.swap.donor,
            positions=wanted.swap.positions,
            amounts=(0.0, 1.0),
            texts=("The answer is: 12", "The answer is: 15"),
            answers=(12, 15),
            own_answer=12,
            donor_answer=15,
        )
    assert wanted.what == "trace"
    return [FakeTrace(alpha) for alpha in alphas]


def _nulls(model, pairs, *, curve, alphas, stop):
    """None: a sweep ends as it did."""
    return iter(())


def _atlas(model, pairs, what, curve, alpha, stop):
    """A table that grows, of one place."""
    for done in range(1, 4):
        if stop():
            return
        cell = Cell("all latents", None, None, None, done, 0.5, 0.2, 0.8, 0.1, 0.0, 0.3)
        yield Atlas(what, "answers", "random", done, 3, (cell,))


class FakeTrace:
    """A trace of nothing, with a sentence."""

    outcome = "arrived"
    kl = margin = 0.0
    delta_norm = norm_change = relative = cosine = np.zeros((K + 1, 5))
    cached = attention = read = np.zeros((K + 1, 4))
    before_norm = thought = np.zeros(K)

    def __init__(self, alpha):
        self.sentence = f"Arrived at {alpha:g}."
