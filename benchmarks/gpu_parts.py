"""The parts of the acceptance on a GPU, one a process: `python -m benchmarks.gpu_parts NAME`.

Every finding is a line of JSON on stdout as soon as it is there, so that a part that is cut off
keeps what it has. `passed` says whether a finding is what it has to be; findings without it are
only told. `benchmarks.gpu_acceptance` runs them all.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from steer_core.bench.floor import finish, floor_seconds, measured_rates
from steer_core.bench.measure import Ids, engine, work_of
from steer_core.bench.peak import Peak
from steer_core.bench.shapes import SHAPES, Subject, bundled, random_subject
from steer_core.codi import memory, recording
from steer_core.codi.load import load_model, pick_device, pick_dtype
from steer_core.codi.places import bundled_names
from steer_core.experiment.strip import AlphaStrip, alpha_strip
from steer_core.steering.spec import EditCurve

ALPHAS = [x / 2 for x in range(-6, 7)]
GRID_S = {"llama-1b": 1.0, "gpt2": 0.4}
"""The seed experiment's grid must take no longer."""
STRIP_S, FLOOR_SHARE = 0.060, 0.4
PROBLEMS = {"llama-1b": 107, "gpt2": 107}
"""Of the seed's grid; a shape that is not published, for tests of these parts, gets `FEW`."""
FEW, LIMIT = 4, 8
HALF_SAME = 0.95
"""Rows that half precision must leave as they are."""
T4_BYTES = 14.5 * 2**30
PACKAGES = ("transformers", "tokenizers", "safetensors", "numpy", "pytest", "gradio", "plotly")
Finding = dict[str, object]


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and what: a device, a shape, and when a part should have ended (monotonic seconds)."""

    device: torch.device
    shape: str
    ends: float

    @property
    def left(self) -> float:
        """Seconds."""
        return self.ends - time.monotonic()

    def subject(self, shape: str | None = None) -> Subject:
        """Random weights of a shape, in the device's usual precision, without their twin."""
        shape = shape or self.shape
        problems, layers = PROBLEMS.get(shape, FEW), 1 if shape == "gpt2" else 3
        found = random_subject(
            shape, self.device, pick_dtype("auto", self.device), problems, layers
        )
        return replace(found, twin=None, prj=None)


def facts(setting: Setting) -> Iterator[Finding]:
    """Versions, the card, what a small operation takes, and products with and without filling."""
    yield {"python": sys.version.split()[0], "torch": torch.__version__, "packages": versions()}
    device = setting.device
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        yield {"card": card.name, "compute": f"{card.major}.{card.minor}"} | {
            "multiprocessors": card.multi_processor_count,
            "bytes": card.total_memory,
            "cuda": torch.version.cuda,
        }
    x = torch.ones(1, device=device)
    yield {"small_operation_s": seconds_of(lambda: x.add_(1), device, 2000)}
    dtype = pick_dtype("auto", device)
    size = SHAPES[setting.shape].hidden_size if setting.shape in SHAPES else 32
    for columns in (50_259, 50_304) if size > 64 else (127, 128):
        a, b = (torch.ones(n, size, device=device, dtype=dtype) for n in (512, columns))
        taken = seconds_of(lambda a=a, b=b: torch.nn.functional.linear(a, b), device, 5)
        yield {"head_of": columns, "flops": 2 * 512 * size * columns / taken}


def ids(setting: Setting) -> Iterator[Finding]:
    """The box against float32 on a CPU: the same ids, or how many in half precision."""
    for name in bundled_names():
        subject = bundled(name, PROBLEMS.get(setting.shape, FEW))
        subject = replace(subject, twin=None, max_new_tokens=48)
        _, wanted = engine(subject, ALPHAS, None)
        for dtype in ("float32", "bfloat16", "float16"):
            model = load_model(name, device=str(setting.device), dtype=dtype)
            there = replace(subject, model=model)
            for graphs in (False, True):
                with recording.recording_on(graphs):
                    for run in range(3 if graphs else 1):
                        if setting.left < 5:
                            return
                        model.session.forget()
                        model.programs.build_waiting(model.device)
                        seconds, found = engine(there, ALPHAS, None)
                        same = share_same(found, wanted)
                        exact = dtype == "float32"
                        yield {"model": name, "dtype": dtype, "graphs": graphs, "run": run} | {
                            "same_ids": same,
                            "seconds": seconds,
                            "recorded": model.programs.count,
                            "passed": same == 1.0 if exact else same >= HALF_SAME,
                        }


def threads(setting: Setting) -> Iterator[Finding]:
    """Strips of four threads at once, recorded: the texts of one after another."""
    name = bundled_names()[0]
    subject = bundled(name, FEW)
    model = load_model(name, device=str(setting.device), dtype="float32")
    there = replace(subject, model=model, twin=None)
    with recording.recording_on(False):
        wanted = [strip(there, index).texts for index in range(FEW)]
    found: dict[int, tuple[str, ...]] = {}
    errors: list[str] = []

    def work(first: int) -> None:
        for index in range(FEW):
            try:
                at = (first + index) % FEW
                found[at] = strip(there, at).texts
            except Exception as error:  # whatever it is, it is what this part looks for
                errors.append(f"{type(error).__name__}: {error}"[:300])

    for _ in range(2):
        team = [threading.Thread(target=work, args=(first,)) for first in range(4)]
        for each in team:
            each.start()
        for each in team:
            each.join()
    same = sum(found.get(index) == texts for index, texts in enumerate(wanted))
    yield {"same": same, "of": FEW, "errors": errors, "passed": same == FEW and not errors}


def grid(setting: Setting) -> Iterator[Finding]:
    """The seed's grid, questions unread: seconds, plain and recorded, and share of the floor."""
    yield from grid_of(setting, setting.subject())


def gpt2_grid(setting: Setting) -> Iterator[Finding]:
    """The same at GPT-2's size."""
    shape = "gpt2" if setting.shape in PROBLEMS else setting.shape
    yield from grid_of(setting, setting.subject(shape))


def grid_of(setting: Setting, subject: Subject) -> Iterator[Finding]:
    """One subject's grid by rows of a batch, without and with recorded batches."""
    model, first = subject.model, None
    rates = measured_rates(model, 1)
    for cap, graphs in ((None, False), (None, True), (2048, True), (512, True)):
        with recording.recording_on(graphs):
            model.programs.forget()
            for _ in range(2 if graphs else 1):  # warm-up, and what is to be recorded
                if setting.left < 4:
                    return
                model.session.forget()
                _, found = engine(subject, ALPHAS, cap)
                began = time.perf_counter()
                model.programs.build_waiting(model.device)
                recording_s = time.perf_counter() - began
            model.session.forget()
            with Peak(setting.device) as peak:
                cold, found = engine(subject, ALPHAS, cap)
            warm, _ = engine(subject, ALPHAS, cap)
        first = first or found
        floor = floor_seconds(model, work_of(subject, found, cap), rates)
        least = GRID_S.get(subject.shape)
        fast = None if least is None else cold <= least and floor / cold >= FLOOR_SHARE
        yield {"shape": subject.shape, "rows": len(found), "cap": cap, "graphs": graphs} | {
            "seconds": cold,
            "seconds_known": warm,
            "floor_s": floor,
            "floor_share": floor / cold,
            "recorded": model.programs.count,
            "recording_s": recording_s,
            "same_as_first": share_same(found, first),
            "peak_bytes": peak.of_card or peak.bytes,
            **({} if fast is None else {"passed": fast}),
        }


def strips(setting: Setting) -> Iterator[Finding]:
    """One problem at 61 alphas, from request to data."""
    subject = setting.subject()
    for graphs in (False, True):
        with recording.recording_on(graphs):
            times = []
            for run in range(7):
                if setting.left < 2:
                    break
                began = time.perf_counter()
                strip(subject, run % 2)
                finish(setting.device)
                times.append(time.perf_counter() - began)
                subject.model.programs.build_waiting(setting.device)
            if len(times) > 4:  # the first ones load kernels, and are recorded
                middle = statistics.median(times[4:])
                passed = {"passed": middle <= STRIP_S} if subject.shape in PROBLEMS else {}
                yield {"graphs": graphs, "seconds": times, "median": middle} | passed


def profile(setting: Setting) -> Iterator[Finding]:
    """Kernels, waits and the device's busy share of one grid, as torch's profiler sees them."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    cuda = setting.device.type == "cuda"
    subject = setting.subject()
    with recording.recording_on(False):
        engine(subject, ALPHAS, None)
        subject.model.session.forget()
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
        with profiler(activities=kinds) as seen:
            seconds, _ = engine(subject, ALPHAS, None)
    table = seen.key_averages()
    launches = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
    waits = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaMalloc", "cudaFree")
    busy = sum(each.self_device_time_total for each in table) / 1e6
    key = "self_device_time_total" if cuda else "self_cpu_time_total"
    top = sorted(table, key=lambda each: -getattr(each, key))[:25]
    yield {
        "seconds": seconds,
        "device_busy_s": busy,
        "launches": sum(each.count for each in table if each.key in launches),
        "waits": {each.key: each.count for each in table if each.key in waits},
        "most_time": [[each.key[:90], each.count, getattr(each, key) / 1e6] for each in top],
    }


def memory_of_a_t4(setting: Setting) -> Iterator[Finding]:
    """The grid within a 16 GB card, also when the estimate is wrong: batches are halved."""
    if setting.device.type != "cuda":
        yield {"skipped": "needs a GPU, whose allocator can be limited"}
        return
    subject = setting.subject()
    total = torch.cuda.get_device_properties(setting.device).total_memory
    torch.cuda.set_per_process_memory_fraction(T4_BYTES / total, setting.device)
    honest = memory.free_bytes
    for wrong in (False, True):
        subject.model.session.forget()
        subject.model.programs.forget()
        memory.free_bytes = lambda device, wrong=wrong: (
            2**40 if wrong else min(honest(device), int(T4_BYTES) - torch.cuda.memory_allocated())
        )
        with Peak(setting.device) as peak:
            seconds, found = engine(subject, ALPHAS, None)
        yield {"wrong_estimate": wrong, "seconds": seconds, "rows": len(found)} | {
            "peak_bytes": peak.of_card,
            "out_of_memory": torch.cuda.memory_stats(setting.device)["num_ooms"],
            "passed": True,
        }


PARTS: dict[str, Callable[[Setting], Iterator[Finding]]] = {
    "facts": facts,
    "ids": ids,
    "threads": threads,
    "grid": grid,
    "strips": strips,
    "profile": profile,
    "memory": memory_of_a_t4,
    "gpt2_grid": gpt2_grid,
}


def strip(subject: Subject, index: int) -> AlphaStrip:
    """The strip of one problem at a middle layer."""
    layer = subject.layers[len(subject.layers) // 2]
    where = subject.model.config.positions[1:]
    return alpha_strip(
        subject.model,
        subject.problems[index].question,
        curve=EditCurve.along(subject.directions[layer], "residual", layer, where),
        max_new_tokens=min(LIMIT, subject.max_new_tokens),
    )


def share_same(found: Ids, wanted: Ids) -> float:
    """Share of the rows with the same ids."""
    return sum(found.get(row) == answer for row, answer in wanted.items()) / len(wanted)


def seconds_of(call: Callable[[], object], device: torch.device, times: int) -> float:
    """Of one of many calls."""
    call()
    finish(device)
    began = time.perf_counter()
    for _ in range(times):
        call()
    finish(device)
    return (time.perf_counter() - began) / times


def versions() -> dict[str, str | None]:
    """Of packages that matter; None for one that is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one part; 1 where a finding is not what it has to be."""
    parser = argparse.ArgumentParser(description="one part of the acceptance on a GPU")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", default="llama-1b", help="llama-1b or gpt2")
    parser.add_argument("--seconds", type=float, default=60, help="what it may take, about")
    args = parser.parse_args(arguments)
    ends = time.monotonic() + args.seconds
    setting = Setting(pick_device(args.device), args.shape, ends)
    good = True
    for finding in PARTS[args.part](setting):
        good &= bool(finding.get("passed", True))
        print(json.dumps(finding, default=str), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
