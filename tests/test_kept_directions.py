"""Models that bring no directions: computed once from the bundled fit pairs, found by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import printed, refused
from own_models import changed_model, few_pairs
from tiny_models import problems, tiny_model

from steer_core import load_model
from steer_core.cli import main
from steer_core.codi.engine import Cancelled
from steer_core.errors import UserError
from steer_core.steering import kept, library
from steer_core.steering.directions import Direction, mean_differences, places
from steer_core.steering.library import cached_direction, kept_folder, known_direction
from steer_core.steering.sites import Site
from steer_core.steering.spec import EditSpec, unedited


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what is kept."""
    monkeypatch.setenv("STEER_DIRECTIONS", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    return changed_model(tmp_path_factory.mktemp("own"))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    few_pairs(monkeypatch)


# --- the library ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory):
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def answerable(tiny, monkeypatch: pytest.MonkeyPatch) -> list:
    """A fit set that the random model answers right in part."""
    asked = problems(tiny)
    monkeypatch.setattr(kept, "bundled_fit_problems", lambda: asked)
    return asked


def test_they_are_computed_once_and_found_by_name(tiny, answerable, home: Path, monkeypatch):
    assert not kept.has_directions(tiny)
    told = []
    kept.keep_directions(tiny, lambda done, total: told.append((done, total)))
    assert (told[0], told[-1]) == ((0, len(answerable)), (len(answerable),) * 2)
    expected = {(d.site, d.layer): d for d in mean_differences(tiny, answerable, "fit")}
    for place in places(tiny):
        found = cached_direction(tiny, *place)
        assert torch.equal(found.vectors, expected[place].vectors)
        assert found.provenance.model_sha256 == tiny.sha256
        assert found.provenance.problems == "fit"
        random = cached_direction(tiny, *place, "random-3")
        assert random.norms == pytest.approx(found.norms, rel=1e-5)
    assert {path.suffix for path in home.rglob("*") if path.is_file()} == {".safetensors"}
    monkeypatch.setattr(kept, "fit_set", lambda *_, **__: pytest.fail("computed again"))
    kept.keep_directions(tiny)


@pytest.mark.parametrize("change", ["weights", "latents"])
def test_another_model_has_others(tiny, answerable, change: str):
    kept.keep_directions(tiny)
    config = replace(tiny.config, latents=5)
    other = replace(tiny, sha256="0" * 64) if change == "weights" else replace(tiny, config=config)
    assert kept_folder(other) != kept_folder(tiny)
    assert not kept.has_directions(other)


def test_a_damaged_one_is_computed_again(tiny, answerable):
    kept.keep_directions(tiny)
    before = cached_direction(tiny, "residual", 2).vectors.clone()  # a file is mapped to memory
    path = library.direction_path(kept_folder(tiny), "residual", 2)
    path.write_bytes(b"torn")
    with pytest.raises(UserError, match="no cached direction"):
        cached_direction(tiny, "residual", 2)
    kept.keep_directions(tiny)
    torch.testing.assert_close(cached_direction(tiny, "residual", 2).vectors, before)


def test_a_stopped_computation_leaves_none(tiny, answerable):
    with pytest.raises(Cancelled):
        kept.keep_directions(tiny, stop=lambda: True)
    assert not any(known_direction(tiny, *place) for place in places(tiny))


def test_a_folder_that_cannot_be_written_is_one_line(tiny, answerable, home: Path):
    home.write_text("a file")
    with pytest.raises(UserError, match=r"cannot be written .*; name another folder in STEER_DIR"):
        kept.keep_directions(tiny)


def test_the_directions_in_the_box_need_no_folder(home: Path):
    model = load_model("tiny-llama", device="cpu")
    assert kept.has_directions(model)
    assert not home.exists()


def test_what_edits_nothing_needs_no_direction(tiny):
    specs = [EditSpec(Site(site, layer), ()) for site, layer in places(tiny)]
    for spec, found in unedited(tiny, specs).parts:
        assert isinstance(found, Direction)
        assert found.vectors.shape == (7, spec.site.width(tiny.config))
        assert found.vectors.abs().max() == 0


# --- the commands --------------------------------------------------------------------------------


def test_commands_find_what_directions_computed(own: str, few, capsys, tmp_path: Path):
    ask = ("--model", own, "--question", "Tom has 3 pens and buys 4 more. How many?")
    line = refused(capsys, "decode", *ask, "--alpha", "20")
    assert (
        f"no cached direction for site residual; compute it once with 'directions --model {own}"
        in line
    )
    out = tmp_path / "mine.safetensors"
    assert main(["directions", "--model", own, "--out", str(out)]) == 0
    rows = printed(capsys, "directions", "--model", own)
    assert len(rows) == 6
    by_file = printed(capsys, "decode", *ask, "--alpha", "20", "--direction", str(out))
    assert printed(capsys, "decode", *ask, "--alpha", "20") == by_file
    assert by_file[0]["text"] != by_file[0]["baseline_text"]
    swept = printed(capsys, "sweep", "--model", own, "--alphas", "0,20", "--layers", "2")
    assert {row["direction"] for row in swept} == {"mean_difference"}


@pytest.mark.parametrize("part", [["--layer", "2"], ["--site", "thought"], ["--pairs", "test"]])
def test_a_part_of_them_is_not_kept_under_their_name(own: str, capsys, part: list):
    assert "--out is missing" in refused(capsys, "directions", "--model", own, *part)
