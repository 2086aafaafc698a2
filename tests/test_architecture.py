"""The arrows between packages, read from the import statements themselves."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from absent import Absent

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "steer_core"

# A part may import from its own and from lower ranks; parts of one rank do not know each other.
RANKS = {
    "box": 0,
    "errors": 0,
    "files": 0,
    "process": 0,
    "version": 0,
    "guard": 1,
    "data": 1,
    "names": 1,
    "analysis": 2,
    "codi": 2,
    "steering": 3,
    "training": 4,
    "experiment": 4,
    "inspect": 4,
    "pipeline": 5,
    "bench": 6,
    "report": 6,
    "cli": 7,
    "ui": 7,
}
FACADES = {"__init__", "__main__"}  # steer_core/__init__.py and __main__.py may show everything
DRAWING = {"ui": {"gradio", "plotly"}, "report": {"plotly"}}
EXTRAS = {path.stem for path in (ROOT / ".ci" / "extras").glob("*.txt")}
"""Packages of pyproject's extras, which whoever asks for what they do installs."""
PROVIDED = {"starlette", "spaces"}  # gradio brings the first, a Space the second
PACKAGES = {"sklearn": "scikit-learn"}  # import names that are not those of their package


def modules_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imported(source: str, package: str) -> Iterator[str]:
    """Full dotted names that a module imports anywhere, in functions too.

    `from a.b import c` gives a.b.c, for c may be a module; relative imports are resolved against
    `package`, the dotted name of the folder that the module lies in.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join(
                [*(parts if node.level else []), *([node.module] if node.module else [])]
            )
            yield from (f"{base}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    """First name below steer_core: "codi" for steer_core/codi/model.py, "cli" for cli.py."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path: Path) -> list[str]:
    package = ".".join(path.relative_to(ROOT).parent.parts)
    return list(imported(path.read_text("utf-8"), package))


def wrong_arrows(part: str, names: list[str]) -> list[str]:
    """Names of steer_core that a module of `part` must not import."""
    ours = [name.split(".") for name in names if name.split(".")[0] == "steer_core"]
    return [".".join(name) for name in ours if not allowed(part, name[1:])]


def allowed(part: str, target: list[str]) -> bool:
    if part in FACADES:
        return True
    if not target or target[0] not in RANKS:  # `import steer_core` or a name of its facade
        return False
    return target[0] == part or RANKS[target[0]] < RANKS[part]


MODULES = modules_below(PACKAGE)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path):
    part = part_of(path)
    assert part in FACADES or part in RANKS, f"{part} has no place among {list(RANKS)}"
    assert wrong_arrows(part, imports_of(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_drawing_and_tensors_stay_apart(path: Path):
    roots = {name.split(".")[0] for name in imports_of(path)}
    drawing = DRAWING.get(part_of(path), set())
    assert not roots & ({"gradio", "plotly"} - drawing)
    if drawing:
        assert "torch" not in roots


def test_the_parser_sees_every_kind_of_import():
    source = """
import torch.nn as nn
from steer_core.codi import model
from . import decode
from .decode import run
from ..steering.edits import Edit
if True:
    def later():
        import plotly.graph_objects
"""
    assert list(imported(source, "steer_core.codi")) == [
        "torch.nn",
        "steer_core.codi.model",
        "steer_core.codi.decode",
        "steer_core.codi.decode.run",
        "steer_core.steering.edits.Edit",
        "plotly.graph_objects",
    ]


@pytest.mark.parametrize(
    ("part", "name", "fits"),
    [
        ("steering", "steer_core.codi.model", True),
        ("codi", "steer_core.steering.edits", False),
        ("codi", "steer_core.data.answers.extract_answer", True),
        ("data", "steer_core.codi", False),
        ("experiment", "steer_core.training.recipe", False),
        ("ui", "steer_core.cli", False),
        ("codi", "steer_core.decode", False),
        ("__init__", "steer_core.experiment.sweep", True),
        ("data", "numpy", True),
    ],
)
def test_the_rule_tells_right_from_wrong(part: str, name: str, fits: bool):
    assert (wrong_arrows(part, [name]) == []) is fits


WRITERS = {
    *("write_text", "write_bytes", "save_file", "save_pretrained", "to_csv", "to_parquet"),
    *("write_table", "write_html", "write_image", "to_json", "to_pickle", "savez", "mkstemp"),
}
"""What writes a file, by the last name of the call; `open` to write and `save` beside these."""


def writes(source: str) -> list[int]:
    """Lines that write a file by themselves.

    What `files.replacing` or `replacing_folder` gives to write is called `part`, here and in the
    functions that it is handed to.
    """
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return sorted(call.lineno for call in calls if is_writer(call) and "part" not in names_in(call))


def is_writer(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", None) or getattr(call.func, "id", "")
    if name == "save":
        return (
            isinstance(call.func, ast.Attribute) and names_in(call.func) & {"torch", "np"} != set()
        )
    if name == "open":
        modes = [*call.args, *(each.value for each in call.keywords if each.arg == "mode")]
        texts = {each.value for each in modes if isinstance(each, ast.Constant)}
        return any(
            isinstance(t, str) and set(t) <= set("wxab+t") and set(t) & set("wxa") for t in texts
        )
    return name in WRITERS and bool(call.args)


def names_in(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_is_written_whole(path: Path):
    if part_of(path) not in ("files", "guard"):  # the helper itself; the null device
        assert writes(path.read_text("utf-8")) == []


def test_the_search_for_writers_sees_them():
    source = """
path.write_text("x")
torch.save(state, path)
with path.open("ab") as file: pass
open(path, mode="w")
save_file(tensors, folder / "x")
table.to_csv(path)
with replacing(path) as part:
    torch.save(state, part)
    config.save_pretrained(part / "base")
path.open("rb")
figure.to_json()
run.save(folder)
library.open("warm")
"""
    assert writes(source) == [2, 3, 4, 5, 6, 7]


def test_what_is_imported_is_installed():
    """The app must run on requirements.txt alone, without what only the tests need."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    declared = {re.split(r"[<>=~ ]", line)[0].lower() for line in lines if line[:1].isalpha()}
    sources = [ROOT / "app.py", *MODULES]
    roots = {name.split(".")[0] for path in sources for name in imports_of(path)}
    roots = {PACKAGES.get(root, root) for root in roots}
    assert roots - set(sys.stdlib_module_names) - PROVIDED - EXTRAS - {"steer_core"} <= declared


def test_what_is_optional_is_imported_late(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "steer_core.pipeline.ray_engine", raising=False)
    importlib.import_module("steer_core.pipeline.ray_engine")


def test_a_file_whose_package_is_absent_is_skipped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "hypothesis", Absent("hypothesis"))
    with pytest.raises(pytest.skip.Exception, match="hypothesis is not installed"):
        from hypothesis import given  # noqa: F401


def test_requirements_are_declared_once():
    """pyproject.toml reads the files that the README's commands install."""
    dynamic = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]
    files = [*dynamic["dependencies"]["file"], *dynamic["optional-dependencies"]["tests"]["file"]]
    assert files == ["requirements.txt", "tests/requirements.txt"]
    assert all((ROOT / file).is_file() for file in files)


def test_ci_runs_the_readme_command():
    script = (ROOT / ".ci" / "run").read_text()
    command = next(line for line in script.splitlines() if "-m pytest" in line)
    assert command in (ROOT / "README.md").read_text(), f"README.md lacks: {command}"
    assert command in (ROOT / "CONTRIBUTING.md").read_text()
