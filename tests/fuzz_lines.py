"""Command lines that nobody would write: options from the parsers, nasty values, damaged files."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from command_line import named, write_pairs
from fuzz_files import TEXTS, hurt
from safetensors.torch import save_file
from tiny_checkpoints import HIDDEN, VARIANTS, Tiny, build

from steer_core.cli import build_parser, main

MOST_LINES, MOST_CHARACTERS = 3, 400
PROGRESS = re.compile(r"(\[[#.]{30}\] \d+/\d+ .*|(.*: )?\d+/\d+ (rows|questions))")
"""Lines on stderr that say how far a long command is."""
VERDICTS = {"check", "evaluate"}
"""Commands that say by status 1 that a model failed, as their help says."""
NASTY = [
    *("0", "1", "-1", "-0", "7", "99", "", " ", "--", "-", "+1", "1_0", "0x10", "1e3", "1.5"),
    *("NaN", "nan", "inf", "-inf", "1e308", "-1e308", "1e999", "1e-320", "٣", "²", "1" * 23),
    *("9" * 5000, str(2**31), str(2**32), str(2**63 - 1), str(2**63), str(-(2**63) - 1)),
    *("1,000", "\udcff", ".", "..", "/", "~nosuchuser", "~nosuchuser/x", "a\x1bb", "x" * 5000),
    *("é" * 300, "\n\n\n", "a/../b", "a" * 300 + "/" + "b" * 300, "/dev/full/x", "C:\\x", "%s%n"),
    *("{0}", "@x", "a@b@c", "owner/name", "owner/name@", "/owner/name/x", "owner/na me"),
    *("\u2028", "🙂", "None", "1,1,1", "1,2,3", "1-6", "6-1", "1-", ",", ";", "1;2", "1;;2"),
    *("0-99999999999999", "1,,2", "-3:3:0.0000001", "0:1:0", "1:0:1", "nan:1:1", ":::", "0:1"),
    *("0:1e308:1e307", "1e308,-1e308", "0.4,0.1,0.5", "1,0,0", "0,0,0", "nan,nan,nan", "0.4,0.6"),
    *("1e308,1e308,1", "-1,1,1", "x=1", "random=1", "random=", "random=-1", "random=1,random=2"),
    *(f"shuffled={2**63}", "random=²", "residual", "thought", "embedding", "cpu", "cuda", "auto"),
    *("float32", "bfloat16", "float16", "mean_difference", "random-1", "random-", "random--1"),
    *("random-" + "9" * 30, ":sd", ":dose", ":sd:dose", "mean_difference:sd", ":sd:dose:"),
    *("mean_difference:dose", "seed-replay", "none", "zeros", "mean", "noise", "clean", "both"),
    *("bin", "safetensors", "test", "llama", "gpt2"),
]
"""Values that no option wants, and those of other options."""
SMALL = {
    # Options without which a command would take its time.
    "sweep": {
        **{"--alphas": "0,1", "--max-new-tokens": "2", "--pairs": "@few"},
        "--direction": "@direction",
    },
    "prepare": {"--pairs": "@pairs", "--max-new-tokens": "8"},
    "decode": {"--max-new-tokens": "2", "--question": "Tom has 3 pens."},
    "evaluate": {"--limit": "2", "--max-new-tokens": "2", "--data": "@few"},
    "directions": {"--pairs": "@few"},
    "train": {"--steps": "1", "--batch": "1"},
    "bench": {"--pairs": "1", "--sample": "1", "--repeats": "1", "--alphas": "0", "--layers": "1"},
    "pairs": {"--n": "2"},
}
RIGHT = {
    "--site": ["residual", "thought", "embedding"],
    "--device": ["cpu", "auto"],
    "--dtype": ["float32", "auto", "bfloat16"],
    "--positions": ["1", "1,2", "1-6"],
    "--layers": ["1", "1,2"],
    "--layer": ["1", "2"],
    "--alphas": ["0,1", "-1:1:1"],
    "--latents": ["6", "2"],
    "--controls": ["random=1", "shuffled=1"],
    "--method": ["mean_difference"],
    "--arch": ["llama", "gpt2"],
    "--filter": ["none", "clean"],
    "--fractions": ["0.5,0,0.5"],
    "--necessity": ["none", "zeros", "mean"],
    "--file": ["bin", "safetensors"],
}
"""Values that fit; of options that are not here any value is tried."""
FILES = ("file", "--pairs", "--data", "--against", "--exclude", "--questions-file", "--recipe")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command line ended."""

    line: list[str]
    status: object
    out: str
    err: str

    def faults(self) -> list[str]:
        """What a person at a shell, or a script, would complain about."""
        said = [row for row in self.err.splitlines() if not PROGRESS.fullmatch(row)]
        allowed = (0, 1, 2) if self.line[0] in VERDICTS else (0, 2)
        json_asked = "--json" in self.line and not self.out.startswith("usage:")
        found = {
            f"status {self.status}": self.status not in allowed,
            f"{len(said)} lines on stderr": len(said) > MOST_LINES,
            f"{len(self.err)} characters on stderr": len("\n".join(said)) > MOST_CHARACTERS,
            "a traceback": "Traceback" in self.err + self.out,
            "refused without a word": self.status == 2 and not said,
            "refused, with something on stdout": self.status == 2 and bool(self.out),
            "stdout is no JSON": self.status == 0 and json_asked and not is_json(self.out),
        }
        return [name for name, wrong in found.items() if wrong]


def is_json(text: str) -> bool:
    """One value, or one a line; NaN is none."""
    for parts in ([text], text.splitlines()):
        with contextlib.suppress(ValueError, ZeroDivisionError):
            for part in parts:
                json.loads(part, parse_constant=lambda _: 1 / 0)
            return True
    return False


def ending(line: list[str]) -> Ending:
    """Run a line in this process; what no command may raise goes through (see STEER_DEBUG)."""
    out, err = io.StringIO(), io.StringIO()
    logging.getLogger().handlers.clear()  # the next `main` logs to the stderr of now
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(line)
        except SystemExit as error:  # argparse
            status = error.code or 0
    return Ending(line, status, out.getvalue(), err.getvalue())


def leaves(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple]:
    """Every command as its words and its parser."""
    nested = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not nested:
        yield words, parser
    for action in nested:
        for name, child in action.choices.items():
            yield from leaves(child, (*words, name))


COMMANDS: dict[tuple[str, ...], argparse.ArgumentParser] = dict(leaves(build_parser()))


class Fuzzer:
    """A folder of valid files, damaged copies of them, and lines that use both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count, self.evil = folder, 0, 0.0
        kinds = ("llama-safetensors", "gpt2-bin", "gpt2-shards")
        self.models = [build(folder / kind, VARIANTS[kind]) for kind in kinds]
        first = named(self.models[0])
        self.names = {
            "@pairs": self.answered_pairs(first),
            "@few": write_pairs(folder / "few.json"),
        }
        self.names["@direction"] = str(folder / "direction.safetensors")
        save_file({"direction": torch.ones(HIDDEN)}, self.names["@direction"])
        asked = "Tom has 3 pens. How many?"
        (folder / "questions.txt").write_text(f"{asked}\n")
        (folder / "questions.csv").write_text(f"question,answer\n{asked},3\n")
        (folder / "gsm.jsonl").write_text(json.dumps({"question": asked, "answer": "#### 3"}))
        one = {"n": 2, "seed": 1, "held_out_share": 0, "first_id": 1}
        recipe = {"step_weights": {"1": 1.0}, "sets": {"mine": one}}
        (folder / "recipe.json").write_text(json.dumps(recipe))
        self.files = sorted(path for path in folder.iterdir() if path.is_file())
        self.folders = [folder / "prepared", folder / "store"]
        prepared, store = map(str, self.folders)
        pairs = [*first, "--pairs", self.names["@pairs"], "--max-new-tokens", "8"]
        halves = ["--keep-all-labels", "--fractions", "0.5,0,0.5", "--necessity", "none"]
        self.must(["prepare", *pairs, *halves, "--out", prepared])
        few = ["--pairs", self.names["@few"], "--direction", self.names["@direction"]]
        self.must(["sweep", *first, *few, "--alphas", "0,1", "--out", store])

    def answered_pairs(self, model: list[str]) -> str:
        """Pairs of which the model answers some right: their answers are what it says."""
        path = self.folder / "pairs.json"
        write_pairs(path, 60)
        rows = json.loads(path.read_text())
        asked = [part for row in rows for part in ("--question", row["clean"]["question"])]
        said = self.must(["decode", *model, *asked, "--max-new-tokens", "8", "--json"]).out
        for row, answer in zip(rows, map(json.loads, said.splitlines()), strict=True):
            row["clean"]["answer"] = -1 if answer["answer"] is None else answer["answer"]
        path.write_text(json.dumps(rows))
        return str(path)

    def must(self, line: list[str]) -> Ending:
        found = ending(line)
        assert found.status == 0, found
        return found

    def fresh(self, suffix: str = "") -> Path:
        self.count += 1
        return self.folder / f"fresh-{self.count}{suffix}"

    def clear(self) -> None:
        """Remove what the last line used and wrote."""
        for path in self.folder.glob("*fresh-*"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    # --- lines -----------------------------------------------------------------------------------

    def line(self, words: tuple[str, ...], rng: Random) -> list[str]:
        """One line of a command: sometimes nearly right, sometimes hardly."""
        self.evil = rng.choice([0.01, 0.05, 0.3])
        line, behind = list(words), []
        tiny = rng.choice(self.models)
        for action in sorted(COMMANDS[words]._actions, key=lambda _: rng.random()):
            if not action.option_strings:
                many = 1 if action.nargs is None else rng.choice([1, 1, 2])
                behind += [self.value(action, words[0], rng) for _ in range(many)]
            elif action.option_strings[-1] == "--model" and words[0] != "bench":
                line += self.model(tiny, rng)
            else:
                line += self.option(action, words[0], rng)
        return line + behind

    def option(self, action: argparse.Action, command: str, rng: Random) -> list[str]:
        """An option with its value, or nothing."""
        name, small = action.option_strings[-1], SMALL.get(command, {})
        chance = {"--help": 0.01, "--base": 0.03, "--lora-alpha": 0.03, "--out": 0.95}
        needed = action.required or name in small
        if rng.random() > chance.get(name, 0.97 if needed else 0.12):
            return [name, self.names.get(small[name], small[name])] if name in small else []
        if action.nargs == 0:
            return [name]
        value = self.value(action, command, rng)
        return [f"{name}={value}"] if rng.random() < 0.5 else [name, value]

    def model(self, tiny: Tiny, rng: Random) -> list[str]:
        """A whole model, one that something has happened to, or nothing of the kind."""
        way = rng.random()
        if way < 0.45:
            return named(tiny)
        if way < 0.9:
            base = ["--base", str(tiny.base)] if way > 0.8 else []
            return ["--model", str(self.damaged_model(tiny, rng)), "--lora-alpha", "8", *base]
        return ["--model", "tiny-llama" if way < 0.93 else rng.choice(NASTY)]

    def value(self, action: argparse.Action, command: str, rng: Random) -> str:
        wrong, name = rng.random(), (action.option_strings or [action.dest])[-1]
        small = SMALL.get(command, {}).get(name)
        if wrong < self.evil / 2:
            return rng.choice(NASTY)
        if wrong < self.evil:
            return str(self.damaged(rng))
        if small is not None and rng.random() < 0.7:
            return self.names.get(small, small)
        return self.right(action, name, rng)

    def right(self, action: argparse.Action, name: str, rng: Random) -> str:
        """A value of the kind that is asked for."""
        if action.choices:
            return str(rng.choice(list(action.choices)))
        if name in ("--out", "--hidden-out"):
            return self.out(rng)
        if name in ("folder", "folders", "--split"):
            return str(rng.choice(self.folders))
        if name in RIGHT:
            return rng.choice(RIGHT[name])
        if name in FILES:
            return str(rng.choice(self.files))
        if name == "--direction":
            return rng.choice([self.names["@direction"], "random-1", "mean_difference"])
        if action.type is int or name == "--seed":
            return rng.choice("0123")
        return rng.choice(["0", "1", "0.5", "8"] if action.type is float else NASTY)

    def out(self, rng: Random) -> str:
        """Where something is written: usually a fresh place, at times one that cannot be."""
        if rng.random() < 0.3:
            below = f"{self.files[0]}/x"
            return rng.choice(["", "/dev/full", "/dev/null", "/proc/x/y", str(self.folder), below])
        ends = [".json", ".csv", ".parquet", ".html", ".md", ".safetensors", "", "/a/b"]
        return str(self.fresh(rng.choice(ends)))

    # --- damaged copies --------------------------------------------------------------------------

    def damaged(self, rng: Random) -> Path:
        """A copy of anything with something wrong in it."""
        kind = rng.choice(["model", "file", "folder", "text"])
        if kind == "model":
            return self.damaged_model(rng.choice(self.models), rng)
        if kind == "folder":
            return self.hurt_folder(shutil.copytree(rng.choice(self.folders), self.fresh()), rng)
        source = rng.choice(self.files)
        path = self.fresh(source.suffix)
        shutil.copy(source, path)
        if kind == "text":
            path.write_bytes(rng.choice(TEXTS))
        else:
            hurt(path, rng)
        return path

    def damaged_model(self, tiny: Tiny, rng: Random) -> Path:
        whole = shutil.copytree(tiny.base, self.fresh())
        return self.hurt_folder(shutil.copytree(tiny.path, whole, dirs_exist_ok=True), rng)

    def hurt_folder(self, folder: Path, rng: Random) -> Path:
        for _ in range(rng.choice([1, 1, 2])):
            names = sorted(path for path in folder.iterdir() if path.is_file())
            if names:
                hurt(rng.choice(names), rng)
        return folder
