"""What each command imports before it has anything to say: heavy libraries wait until needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "gradio", "plotly", "statsmodels", "scipy", "sklearn", "pandas")
ASKED = ["decode", "--model", "tiny-gpt2", "--max-new-tokens", "1", "--question", "2 + 2?"]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "steer_core").rglob("*.py")
}


def loaded_by(code: str) -> set[str]:
    """The heavy libraries that a fresh Python has imported after `code`."""
    found = f"import sys\n{code}\nprint(*(n for n in {HEAVY} if n in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", found], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["models"], set()),
        (["pairs", "show", "test"], set()),
        (ASKED, {"torch", "transformers"}),
    ],
    ids=["models", "pairs", "decode"],
)
def test_a_command_imports_what_it_needs(arguments: list[str], allowed: set[str]):
    assert loaded_by(f"from steer_core.cli import main\nmain({arguments})") == allowed


def test_help_imports_nothing():
    code = "from steer_core.cli import build_parser\nbuild_parser().format_help()"
    assert loaded_by(code) == set()


def test_a_bundled_model_needs_no_compiler():
    """Modelling code of transformers, and sizes worked out by torch.cat, would import one."""
    code = f"from steer_core.cli import main\nmain({[*ASKED[:2], 'tiny-llama', *ASKED[3:]]})"
    slow = ("torch._dynamo", "transformers.models.llama.modeling_llama")
    loaded_by(f"{code}\nfound = set({slow}) & set(sys.modules)\nassert not found, found")


def imported_first(path: Path) -> Iterator[str]:
    """Names that a module imports when it is imported itself, not in functions or for types."""
    waiting = list(ast.parse(path.read_text("utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            waiting += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try | ast.With | ast.ClassDef):
            waiting += node.body


def module_of(name: str) -> str | None:
    """The module of ours that a dotted name is in."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


def reached(*roots: str) -> dict[str, str]:
    """Heavy libraries that importing modules imports too, each with a module that does so."""
    seen, waiting, found = set(roots), list(roots), {}
    while waiting:
        module = waiting.pop()
        for name in imported_first(MODULES[module]):
            if name.split(".")[0] in HEAVY:
                found[name.split(".")[0]] = module
            other = module_of(name)
            if other and other not in seen:
                seen.add(other)
                waiting.append(other)
    return found


@pytest.mark.parametrize(
    ("roots", "allowed"),
    [
        (["steer_core.ui.serve", "steer_core.ui.engine"], {"gradio", "pandas"}),
        (["steer_core.report.write"], {"pandas", "plotly", "scipy"}),
        (["steer_core.steering.decode", "steer_core.codi.load"], {"torch", "transformers"}),
        (["steer_core.cli"], set()),
    ],
    ids=["page", "report", "decode", "parser"],
)
def test_modules_are_imported_where_they_are_needed(roots: list[str], allowed: set[str]):
    found = reached(*roots)
    assert {name: by for name, by in found.items() if name not in allowed} == {}


def test_the_search_sees_what_a_module_imports():
    assert {"torch", "transformers"} <= set(reached("steer_core.codi.load"))
    assert reached("steer_core.inspect.probes")["sklearn"] == "steer_core.inspect.probes"
