"""The store with made-up rows: writing, counting, the chart, the report, exports.

`python -m benchmarks.store --rows 1000000 [--distinct] [--folder DIR]`: processor seconds and peak
memory of each step, every step in a process of its own. Rows are those of 4 layers, 12 α, 61
directions; `--distinct` gives each row an answer of its own, of 60 tokens.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from steer_core.pipeline.outcomes import SCORES, Outcome
from steer_core.pipeline.records import CurveKey, Question, RunPlan, Setting, SweepSpec
from steer_core.pipeline.store import FILE, Store, StoredRow

LAYERS, CONTROLS = (1, 2, 3, 4), 20
ALPHAS = tuple(a / 2 for a in range(-6, 7))
KINDS = ("covariance", "shuffled", "nuisance")
MASK = (1, 2, 3, 4, 5, 6)


def plan_of(rows: int) -> RunPlan:
    """A run of about so many rows."""
    labels = [("mean_difference", "real")]
    labels += [(f"{kind}-{i}", kind) for kind in KINDS for i in range(CONTROLS)]
    curves = tuple(
        CurveKey("residual", layer, MASK, label, kind, f"{layer} {label}")
        for layer in LAYERS
        for label, kind in labels
    )
    cells = 1 + len(curves) * (len(ALPHAS) - 1)
    pairs = max(2, rows // cells)
    return RunPlan(
        name="made up",
        setting=Setting("ab" * 32, 6, "float32", "cpu", 60),
        spec=SweepSpec("residual", LAYERS, ALPHAS, (MASK,)),
        curves=curves,
        questions=tuple(Question(f"Question {i}?", 10 + i, 20 + i) for i in range(pairs)),
        pair_ids=tuple(range(pairs)),
        provenance={"model": "none", "n_pairs": pairs, "pairs": "made up"},
    )


def outcome_of(pair: int, cell: int, rng: np.random.Generator, distinct: bool) -> Outcome:
    """What a cell of a pair says; a third of the edited answers differ from the baseline's."""
    right = bool(rng.random() < 0.6)
    answer = 10 + pair if right else int(rng.integers(100))
    number = pair * 4096 + cell if distinct else answer % 97
    return Outcome(
        token_ids=tuple(range(number, number + (60 if distinct else 4))),
        text=f"The answer is: {number}" + " and more" * (20 if distinct else 0),
        answer=answer,
        correct=right,
        flip=0 if cell == 0 or right else 4,
        scores=rng.standard_normal(len(SCORES)).astype(np.float32),
    )


def write(folder: Path, rows: int, distinct: bool) -> dict[str, float]:
    """Write all rows, a question at a time; only what the store does counts."""
    plan, rng, seconds = plan_of(rows), np.random.default_rng(0), 0.0
    with Store(folder / FILE) as store:
        ids = store.begin(plan)
        for pair, question in enumerate(ids.questions):
            batch = [
                StoredRow(question, edit, outcome_of(pair, cell, rng, distinct))
                for cell, edit in enumerate(ids.edits)
            ]
            began = time.process_time()
            store.write(ids, batch)
            seconds += time.process_time() - began
        began = time.process_time()
        store.finish(ids.run)
        finish = time.process_time() - began
    written = len(ids.questions) * len(ids.edits)
    return {"rows": written, "rows/s": written / seconds, "finish s": finish}


def count(folder: Path, *_) -> dict[str, float]:
    """What the page's tick asks."""
    with Store(folder / FILE, create=False) as store:
        return {"done": store.runs()[0].done}


def chart(folder: Path, *_) -> dict[str, float]:
    """The chart of a run."""
    with Store(folder / FILE, create=False) as store:
        return {"cells": len(store.tally(1))}


def report(folder: Path, *_) -> dict[str, float]:
    """The report as a file."""
    from steer_core.report.write import write_report

    write_report([folder], folder / "report.html")
    return {"MB": (folder / "report.html").stat().st_size / 1e6}


def export(folder: Path, suffix: str) -> dict[str, float]:
    """All rows in another form."""
    from steer_core.pipeline.export import export_results

    with Store(folder / FILE, create=False) as store:
        export_results(store, 1, folder / f"export{suffix}")
    return {"MB": (folder / f"export{suffix}").stat().st_size / 1e6}


STEPS: dict[str, tuple[Callable[..., dict[str, float]], tuple]] = {
    "count": (count, ()),
    "chart": (chart, ()),
    "report": (report, ()),
    "export parquet": (export, (".parquet",)),
    "export csv": (export, (".csv",)),
}


def measured(step: Callable[..., dict[str, float]], *arguments) -> dict[str, float]:
    """A step's numbers, with its processor seconds and peak memory in MB; imports are not in it."""
    import steer_core.report.write  # noqa: F401

    began = time.process_time()
    found = step(*arguments)
    found["s"] = time.process_time() - began
    return found | {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}


def alone(step: Callable[..., dict[str, float]], *arguments) -> dict[str, float]:
    """The same in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (step, *arguments))


def main() -> None:
    """Measure every step and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--distinct", action="store_true")
    parser.add_argument("--folder", type=Path, help="kept (default a temporary one)")
    parser.add_argument("--only", nargs="*", default=list(STEPS), help=", ".join(STEPS))
    args = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if not (folder / FILE).is_file():
            show("write", alone(write, folder, args.rows, args.distinct))
        for name in args.only:
            step, more = STEPS[name]
            show(name, alone(step, folder, *more))


def show(name: str, found: dict[str, float]) -> None:
    """One line."""
    numbers = ", ".join(f"{what} {value:,.4g}" for what, value in found.items())
    print(f"{name:<16}{numbers}", flush=True)


if __name__ == "__main__":
    main()
