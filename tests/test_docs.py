"""The documents: their links lead somewhere, and what they take from the code is what it says."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    plain = CODE.sub(lambda found: found[0].strip("`"), page.read_text("utf-8"))
    kept = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in HEADING.findall(plain))
    return {re.sub(r"\s", "-", heading) for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path):
    for found in LINK.finditer(CODE.sub("", page.read_text("utf-8"))):
        target, _, anchor = (found[1] or found[2]).partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(path), f"{page.name} links to {target}#{anchor}"


def test_the_search_sees_links_and_anchors():
    text = "[a](b.md#c) ![d](e.png) `[no](link)`"
    found = [each[1] or each[2] for each in LINK.finditer(CODE.sub("", text))]
    assert found == ["b.md#c", "e.png"]
    assert "as-random" in anchors(ROOT / "docs" / "verdicts.md")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


UPDATE = "run: python docs/generate.py reference"


def test_the_commands_are_those_of_the_code(generate: ModuleType):
    assert generate.COMMANDS.read_text("utf-8") == generate.commands(), UPDATE


def test_the_python_names_are_those_of_the_code(generate: ModuleType):
    assert generate.API.read_text("utf-8") == generate.api(), UPDATE


def test_the_first_hour_comes_out_as_it_says(generate: ModuleType, tmp_path, monkeypatch):
    """Every command of the tutorial, one after another, prints what stands under it."""
    monkeypatch.setenv("STEER_DIRECTIONS", str(tmp_path))
    text = generate.FIRST_HOUR.read_text("utf-8")
    blocks = list(generate.run_all(text))
    assert len(blocks) > 4
    for written, now in blocks:
        assert written == now, "run: python docs/generate.py first-hour"


def test_every_setting_is_documented():
    """A variable that the code reads stands in the table of the hosting guide."""
    code = "".join(
        path.read_text("utf-8") for path in [ROOT / "app.py", *(ROOT / "steer_core").rglob("*.py")]
    )
    guide = (ROOT / "docs" / "hosting.md").read_text("utf-8")
    rows = "\n".join(line for line in guide.splitlines() if line.startswith("| `STEER_"))
    read = set(re.findall(r'"(STEER_[A-Z_]+)"', code))
    assert len(read) > 12
    assert {name for name in read if f"`{name}`" not in rows} == set()


def test_every_endpoint_is_documented():
    from steer_core.ui.api import NAMES

    table = (ROOT / "docs" / "programs.md").read_text("utf-8")
    assert all(f"| `/{name}` |" in table for name in NAMES)
