"""What `pytest -m quick` runs touches every package."""

import ast
from pathlib import Path

import pytest
from quick_files import QUICK

TESTS = Path(__file__).parent
ROOT = TESTS.parent / "steer_core"
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def imported(path: Path) -> set[str]:
    """Packages of the library that a file imports."""
    modules = {
        node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    return {module.split(".")[1] for module in modules if module.startswith("steer_core.")}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_quick_file_imports(package: str):
    assert [name for name in QUICK if package in imported(TESTS / f"{name}.py")]


def test_quick_files_exist():
    assert [name for name in QUICK if not (TESTS / f"{name}.py").is_file()] == []
