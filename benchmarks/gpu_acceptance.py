"""Everything that only a GPU can tell, in six minutes: `python -m benchmarks.gpu_acceptance`.

Run it first whenever a GPU can be had. Parts (`benchmarks.gpu_parts`) run in processes of their
own, each under its own limit, and none ends another; what is not timed runs side by side. The
summary is written anew after every part, into benchmarks/gpu/ unless `--out` says otherwise:
`summary.json`, and a log of each part beside it. It needs neither gradio nor plotly nor hypothesis.

    python -m benchmarks.gpu_acceptance [--only ids,grid] [--device cuda] [--shape llama-1b]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

LIMIT_S = 355.0
"""Of everything."""
LEAST_S = 8.0
"""A part that has less than that left is left out."""
TESTS = ("tests/test_programs.py", "tests/test_decode_exact.py", "tests/test_training.py")


@dataclass(frozen=True, slots=True)
class Part:
    """What runs in one process, for at most so many seconds.

    `command`: of a part that is none of `benchmarks.gpu_parts`. `timed`: runs by itself.
    """

    name: str
    seconds: float
    timed: bool = True
    command: tuple[str, ...] = ()


PYTEST = ("-m", "pytest", "-q", "-m", "gpu", "-o", "addopts=", "-p", "no:cacheprovider", *TESTS)
PARTS = (
    Part("facts", 30),
    Part("tests", 80, timed=False, command=PYTEST),
    Part("ids", 80, timed=False),
    Part("threads", 60, timed=False),
    Part("grid", 75),
    Part("strips", 30),
    Part("gpt2_grid", 35),
    Part("memory", 35),
    Part("profile", 35),
    Part(
        "bench",
        60,
        command=(
            *("-m", "steer_core", "bench", "--shape", "bundled", "--device", "cuda"),
            *("--repeats", "1", "--sample", "6", "--json"),
        ),
    ),
)


class Acceptance:
    """One run of some parts.

    Args:
        parts: Which, in their order.
        folder: Where the summary and the logs go.
        options: Handed to every part of `benchmarks.gpu_parts`.
        limit: Seconds for all of them.
    """

    def __init__(
        self, parts: Sequence[Part], folder: Path, options: Sequence[str], limit: float = LIMIT_S
    ):
        self.parts, self.folder, self.options = parts, folder, options
        self.began, self.limit = time.monotonic(), limit
        self.found: dict[str, dict] = {}

    def run(self) -> bool:
        """Run all parts; whether every one of them passed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        waiting: list[Part] = []
        for part in self.parts:
            if part.timed:
                self.together(waiting)
                waiting = []
                self.together([part])
            else:
                waiting.append(part)
        self.together(waiting)
        return all(each["status"] == "passed" for each in self.found.values())

    def together(self, parts: Sequence[Part]) -> None:
        """Run parts side by side, and write down what came of each."""
        running = []
        for part in parts:
            left = min(part.seconds, self.limit - (time.monotonic() - self.began))
            if left < min(LEAST_S, part.seconds):
                self.note(part, {"status": "left out", "why": "no time left"})
                continue
            running.append((part, left, *self.started(part, left)))
        for part, left, process, began in running:
            self.note(part, self.ended(part, process, began, left))

    def started(self, part: Part, seconds: float) -> tuple[subprocess.Popen, float]:
        """A part's process, in a group of its own, and when it began."""
        own = (
            "-m",
            "benchmarks.gpu_parts",
            part.name,
            *self.options,
            "--seconds",
            f"{seconds - 4}",
        )
        with (self.folder / f"{part.name}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, *(part.command or own)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
                start_new_session=True,
            )
        return process, time.monotonic()

    def ended(self, part: Part, process: subprocess.Popen, began: float, seconds: float) -> dict:
        """Wait for a part, no longer than it may take, and read what it found."""
        try:
            code: int | None = process.wait(max(0.1, began + seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
        lines = (self.folder / f"{part.name}.log").read_text(errors="replace").splitlines()
        findings = [found for line in lines if (found := as_finding(line)) is not None]
        status = {None: "cut off", 0: "passed"}.get(code, "failed")
        told = {"status": status, "seconds": round(time.monotonic() - began, 1)}
        if status != "passed" and (tail := [x for x in lines if as_finding(x) is None][-12:]):
            told["last_lines"] = tail
        return told | {"findings": findings}

    def note(self, part: Part, told: dict) -> None:
        """Write the summary as far as it is known."""
        self.found[part.name] = told
        print(f"{part.name:12}{told['status']:10}{told.get('seconds', 0):8}", flush=True)
        summary = {
            "date": date.today().isoformat(),
            "options": " ".join(self.options),
            "seconds": round(time.monotonic() - self.began, 1),
            "complete": len(self.found) == len(self.parts),
            "parts": self.found,
        }
        new = self.folder / "summary.json.part"
        new.write_text(json.dumps(summary, indent=1) + "\n")
        new.replace(self.folder / "summary.json")


def as_finding(line: str) -> dict | None:
    """A line of a log as a finding, where it is one."""
    if not line.startswith("{"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None


def chosen(names: str | None) -> list[Part]:
    """The parts with some names, or all."""
    known = {part.name: part for part in PARTS}
    wanted = list(known) if names is None else names.split(",")
    if strange := [name for name in wanted if name not in known]:
        raise SystemExit(f"no part '{strange[0]}'; choose of {', '.join(known)}")
    return [part for name, part in known.items() if name in wanted]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print a line a part, and say how it ended: 0 where all passed."""
    parser = argparse.ArgumentParser(description="everything that only a GPU can tell")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/gpu"))
    parser.add_argument("--device", default="cuda", help="default cuda")
    parser.add_argument("--shape", default="llama-1b", help="llama-1b (default) or gpt2")
    parser.add_argument("--only", help="names of parts, comma-separated")
    args = parser.parse_args(arguments)
    options = ("--device", args.device, "--shape", args.shape)
    run = Acceptance(chosen(args.only), args.out, options)
    good = run.run()
    print(f"{args.out / 'summary.json'}: {'passed' if good else 'not passed'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
