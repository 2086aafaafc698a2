"""Write what the documents take from the code: the reference, and the outputs of the first hour.

    python docs/generate.py reference        docs/reference/commands.md and api.md
    python docs/generate.py first-hour       runs docs/first-hour.md and writes what came out
    python docs/generate.py first-hour --new a fresh example first, after the models have changed

Tests compare all of it with what the code says now.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

DOCS = Path(__file__).parent
COMMANDS, API = DOCS / "reference" / "commands.md", DOCS / "reference" / "api.md"
FIRST_HOUR = DOCS / "first-hour.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXAMPLE = re.compile(r'--question "([^"]+)"')
DONOR = re.compile(r'--donor "([^"]+)"')
ALPHA = re.compile(r"--layer (\d+) --alpha (\S+)")
WIDTH = 96


def main(arguments: list[str] | None = None) -> None:
    """Write one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("reference", "first-hour"))
    parser.add_argument("--new", action="store_true")
    args = parser.parse_args(arguments)
    if args.what == "reference":
        COMMANDS.write_text(commands(), encoding="utf-8")
        API.write_text(api(), encoding="utf-8")
        return
    text = FIRST_HOUR.read_text(encoding="utf-8")
    FIRST_HOUR.write_text(rerun(with_example(text) if args.new else text), encoding="utf-8")


# Commands


def commands() -> str:
    """Every command with its options, as `--help` says them."""
    from steer_core.cli import build_parser

    parser = build_parser()
    (choices,) = (
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    helps = {
        action.dest: action.help
        for group in parser._actions
        if isinstance(group, argparse._SubParsersAction)
        for action in group._choices_actions
    }
    parts = [
        "# Commands\n\n`steer-core COMMAND`, or `python -m steer_core COMMAND` in a clone."
        " Data goes to stdout, logs to\nstderr; bad input is one line and exit status 2. Written by"
        " `docs/generate.py` from the code.\n"
    ]
    for name, command in choices.items():
        parts.append(f"## {name}\n\n{sentence(helps.get(name))}\n\n{usage(command)}")
        for action in command._actions:
            if isinstance(action, argparse._SubParsersAction):
                parts += [
                    f"### {name} {inner}\n\n{usage(parser)}"
                    for inner, parser in action.choices.items()
                ]
    return "\n".join(parts)


def usage(parser: argparse.ArgumentParser) -> str:
    """Options as a table."""
    rows = [
        f"| `{' '.join([*action.option_strings, *argument(action)]).strip()}` | {cell(action)} |"
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
    ]
    return "\n".join(["| option | meaning |", "| --- | --- |", *rows, ""]) if rows else ""


def argument(action: argparse.Action) -> list[str]:
    """What stands behind an option."""
    if action.nargs == 0:
        return []
    if action.choices:
        return ["{" + ",".join(map(str, action.choices)) + "}"]
    name = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    return [str(name)]


def cell(action: argparse.Action) -> str:
    """What an option means, in a table."""
    text = (action.help or "") % {"default": action.default} if action.help else ""
    return text.replace("|", "\\|") + (" (required)" if action.required else "")


def sentence(text: str | None) -> str:
    """A help text as a sentence."""
    text = (text or "").strip()
    return f"{text[:1].upper()}{text[1:]}." if text else ""


# API


def api() -> str:
    """Every public name of the package, with its signature and its docstring."""
    import steer_core

    parts = [
        "# Python\n\n`from steer_core import …`: the same names and meanings as the commands."
        " Written by\n`docs/generate.py` from the code.\n"
    ]
    for name in steer_core.__all__:
        thing = getattr(steer_core, name)
        if callable(thing):
            parts.append(f"## {name}\n\n{described(name, thing)}")
    return "\n".join(parts)


def described(name: str, thing: Callable[..., object]) -> str:
    """One function or class."""
    doc = inspect.getdoc(thing) or ""
    shown = doc.replace("\nArgs:\n", "\nArguments:\n")
    signature = f"{name}{signature_of(thing)}"
    return f"```python\n{signature}\n```\n\n```text\n{shown}\n```\n"


def signature_of(thing: Callable[..., object]) -> str:
    """Its signature, an argument a line where it is long."""
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return "(message)"
    signature = inspect.signature(thing)
    if dataclasses.is_dataclass(thing):
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    text = re.sub(r"'([^']*)'(?=[,)=\s]|$)", r"\1", str(signature))
    if len(text) <= WIDTH:
        return text
    inner = ",\n    ".join(
        re.sub(r"'([^']*)'$|: '([^']*)'", lambda m: f": {m[2]}" if m[2] else m[0], str(each))
        for each in signature.parameters.values()
    )
    keyword = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    if keyword:
        inner = inner.replace(
            re.sub(r": '([^']*)'", r": \1", str(keyword[0])),
            "*,\n    " + re.sub(r": '([^']*)'", r": \1", str(keyword[0])),
            1,
        )
    return f"(\n    {inner},\n)"


# The first hour


def rerun(text: str) -> str:
    """The tutorial with the outputs that its commands have now, one after another in one folder."""
    outputs = dict(run_all(text))
    return BLOCK.sub(lambda found: f"```console\n{outputs[found[1]]}```", text)


def run_all(text: str) -> Iterator[tuple[str, str]]:
    """Each console block of a document as it stands, and as it comes out now."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for block in BLOCK.findall(text):
                yield block, "".join(f"$ {command}\n{run(command)}" for command in asked(block))
        finally:
            os.chdir(before)


def asked(block: str) -> list[str]:
    """The commands of a console block, each on one line or with a backslash at its end."""
    joined = block.replace("\\\n", "\\\0")
    return [line[2:].replace("\\\0", "\\\n") for line in joined.splitlines() if line[:2] == "$ "]


def run(command: str) -> str:
    """What `steer-core …` prints; what it says meanwhile on stderr is not kept."""
    from steer_core.cli import main as steer_core

    program, *arguments = shlex.split(command.replace("\\\n", " "))
    assert program == "steer-core", f"the tutorial runs steer-core, not {program}"
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = steer_core(arguments)
    assert status == 0, f"{command} ended with status {status}"
    return out.getvalue()


def with_example(text: str) -> str:
    """The tutorial about a test problem that is right, and turns, with the models there are now."""
    from steer_core import decode, load_model, load_pairs
    from steer_core.data.answers import same_number
    from steer_core.names import MEAN_DIFFERENCE
    from steer_core.steering.edits import Edit
    from steer_core.steering.library import cached_direction

    model = load_model(first_model(text))
    layer = model.config.middle_layer
    direction = cached_direction(model, "residual", layer, MEAN_DIFFERENCE)
    positions = tuple(range(1, model.config.latents + 1))
    for pair in load_pairs("test"):
        question, donor = pair.clean.question, pair.corrupted.question
        if '"' in question + donor or "$" in question + donor or len(question) > 160:
            continue  # plain to paste into a shell
        own, twin = decode(model, [question, donor])
        right = same_number(own.answer, pair.clean.answer)
        if not right or not same_number(twin.answer, pair.corrupted.answer):
            continue
        for alpha in (1.0, 2.0, 3.0):
            (row,) = decode(
                model, [question], Edit(direction.vectors, alpha, "residual", layer, positions)
            )
            if row.answer != own.answer:
                text = EXAMPLE.sub(lambda _, q=question: f'--question "{q}"', text)
                text = DONOR.sub(lambda _, q=donor: f'--donor "{q}"', text)
                return ALPHA.sub(f"--layer {layer} --alpha {alpha:g}", text)
    raise SystemExit("no short test problem turns at α 1, 2 or 3; edit the tutorial by hand")


def first_model(text: str) -> str:
    """The model that the tutorial is about."""
    found = re.search(r"--model (\S+)", text)
    assert found is not None
    return found[1]


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS.parent))
    main()
