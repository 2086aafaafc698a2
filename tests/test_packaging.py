"""What an installed package holds: as a wheel would, without building one."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from setuptools import Distribution
from setuptools.command.build_py import build_py
from setuptools.config.pyprojecttoml import apply_configuration

from steer_core import box

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def packed() -> dict[str, Path]:
    """Where each file lies in the wheel, and the file of the repository that it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        project = Distribution({"script_name": "setup.py"})
        build = apply_configuration(project, "pyproject.toml").get_command_obj("build_py")
        assert isinstance(build, build_py)
        build.ensure_finalized()
        build.editable_mode = False
        mapping = build.get_output_mapping()
    return {
        Path(target).relative_to(build.build_lib).as_posix(): (ROOT / source).resolve()
        for target, source in mapping.items()
    }


def test_every_file_of_the_package_is_in_the_wheel(packed: dict[str, Path]):
    wanted = {
        path
        for path in (ROOT / "steer_core").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "__pycache__" not in path.parts
    }
    assert wanted - set(packed.values()) == set()


def test_the_box_is_in_the_wheel(packed: dict[str, Path]):
    """Everything that a model, a pair set or a direction is read from, in the same folders."""
    inside = {name.removeprefix("steer_core/box/"): path for name, path in packed.items()}
    needed = [
        *box.MODELS_DIR.glob("*/*.json"),
        *box.MODELS_DIR.glob("*/*.safetensors"),
        *box.PAIRS_DIR.glob("*.json"),
        *box.DIRECTIONS_DIR.rglob("*.safetensors"),
    ]
    assert len(needed) > 10
    assert all(inside[path.relative_to(ROOT).as_posix()] == path for path in needed)


def test_nothing_else_is_in_the_wheel(packed: dict[str, Path]):
    assert {name.split("/")[0] for name in packed} == {"steer_core"}
    assert not [name for name in packed if "/stages/" in name or name.endswith(".png")]
    assert sum(path.stat().st_size for path in packed.values()) < 40_000_000


def test_the_box_of_an_installed_package_is_inside_it(tmp_path: Path, monkeypatch):
    """The same code in a folder that holds a box reads that one."""
    (tmp_path / "box" / "assets").mkdir(parents=True)
    source = Path(box.__file__).read_text("utf-8")
    names: dict[str, object] = {"__file__": str(tmp_path / "box.py")}
    exec(compile(source, "box.py", "exec"), names)
    assert names["MODELS_DIR"] == tmp_path / "box" / "assets" / "models"
    assert names["DIRECTIONS_DIR"] == tmp_path / "box" / "cached_directions"
    assert not Path(str(names["RUNS_DIR"])).is_absolute()


@pytest.mark.parametrize("name", PROJECT["project"]["scripts"])
def test_every_console_script_is_a_function(name: str):
    module, _, function = PROJECT["project"]["scripts"][name].partition(":")
    assert callable(getattr(import_module(module), function))


def test_the_citation_names_this_version():
    from steer_core.version import __version__

    lines = (ROOT / "CITATION.cff").read_text("utf-8").splitlines()
    assert f"version: {__version__}" in lines


def test_the_lock_holds_a_version_of_everything_within_its_range():
    from packaging.requirements import Requirement
    from packaging.version import Version

    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    asked = [*(ROOT / "requirements.txt").read_text().splitlines()]
    asked += (ROOT / "tests" / "requirements.txt").read_text().splitlines()
    texts = [text for line in asked if (text := line.partition("#")[0].strip())]
    assert len(texts) > 15
    for text in texts:
        wanted = Requirement(text)
        assert Version(locked[wanted.name.replace("_", "-").lower()]) in wanted.specifier, text


def test_every_extra_is_a_file_that_lists_packages():
    dynamic = PROJECT["tool"]["setuptools"]["dynamic"]["optional-dependencies"]
    assert {"tests", "ray", "mcp"} <= set(dynamic)
    for name, source in dynamic.items():
        text = "".join((ROOT / file).read_text("utf-8") for file in source["file"])
        assert ">=" in text, name
