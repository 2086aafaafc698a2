"""Files of directions, and the library of names."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_checkpoints import HIDDEN
from tiny_models import PLACES, noise, problems, tiny_model

from steer_core import UserError, load_model
from steer_core.codi.model import CodiModel
from steer_core.codi.places import bundled_names
from steer_core.data.problems import Problem
from steer_core.steering import library
from steer_core.steering.controls import random_like
from steer_core.steering.directions import (
    SCALES,
    Direction,
    check_direction,
    load_direction,
    mean_differences,
    places,
    save_direction,
)
from steer_core.steering.library import (
    cached_direction,
    direction_path,
    find_direction,
)

K = 6
BUNDLED = bundled_names()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("gpt2"), "gpt2-bin")


@pytest.fixture(scope="module")
def asked(model: CodiModel) -> list[Problem]:
    return problems(model)


@pytest.fixture(scope="module")
def found(model: CodiModel, asked: list[Problem]) -> dict:
    return {(d.site, d.layer): d for d in mean_differences(model, asked, "mine")}


# --- files ---------------------------------------------------------------------------------------


def written(path: Path, tensor: torch.Tensor, **about) -> Path:
    metadata = {"steer_core": json.dumps(about)} if about else None
    save_file({"direction": tensor}, path, metadata=metadata)
    return path


def test_a_direction_that_cannot_be_written_leaves_the_old_one(
    model: CodiModel, found: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, mine = tmp_path / "x.safetensors", found["residual", 2]
    save_direction(mine, path)

    def fail(tensors: dict, path: Path, metadata: dict) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("steer_core.steering.directions.save_file", fail)
    with pytest.raises(OSError, match="no space"):
        save_direction(mine, path)
    assert torch.equal(load_direction(path, model, "residual", 2).vectors, mine.vectors)


def test_a_saved_direction_comes_back_whole(model: CodiModel, found: dict, tmp_path: Path):
    for (site, layer), mine in found.items():
        path = direction_path(tmp_path / "new" / "folder", site, layer)
        save_direction(mine, path)
        loaded = load_direction(path, model, site, layer)
        assert torch.equal(loaded.vectors, mine.vectors)
        assert loaded.scales is not None
        assert mine.scales is not None
        for name in SCALES:
            assert torch.equal(getattr(loaded.scales, name), getattr(mine.scales, name))
        fields = {field.name for field in dataclasses.fields(Direction)} - {"vectors", "scales"}
        assert all(getattr(loaded, name) == getattr(mine, name) for name in fields)
    assert len(list((tmp_path / "new" / "folder").iterdir())) == len(PLACES)


def test_every_shape_is_spread_over_the_positions(model: CodiModel, tmp_path: Path):
    full = noise(model)
    one = load_direction(written(tmp_path / "a.st", full[2]), model, "thought", None)
    assert torch.equal(one.vectors, full[2].expand(K + 1, -1))
    steps = load_direction(written(tmp_path / "b.st", full[1:]), model, "thought", None)
    assert torch.equal(steps.vectors[1:], full[1:])
    assert not steps.vectors[0].any()
    every = load_direction(written(tmp_path / "c.st", full.bfloat16()), model, "residual", 1)
    assert torch.equal(every.vectors, full.bfloat16().float())
    assert (every.method, every.site, every.layer, every.provenance) == ("c", "residual", 1, None)


@pytest.mark.parametrize("shape", [(K + 2, HIDDEN), (K - 1, HIDDEN), (HIDDEN + 1,), (1, 7, HIDDEN)])
def test_another_shape_is_refused(model: CodiModel, tmp_path: Path, shape: tuple):
    path = written(tmp_path / "d.safetensors", torch.ones(shape))
    with pytest.raises(UserError, match=r"\[7, 32\], \[6, 32\] or \[32\]; compute") as caught:
        load_direction(path, model, "residual", 1)
    assert str(list(shape)) in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(model: CodiModel, tmp_path: Path, value: float):
    vectors = noise(model)
    vectors[3, 5] = value
    path = written(tmp_path / "e.safetensors", vectors)
    with pytest.raises(UserError, match="'e' holds values that are not finite; compute it"):
        load_direction(path, model, "residual", 1)


def test_a_direction_of_other_weights_is_refused(found: dict, model: CodiModel, tmp_path: Path):
    mine = found["residual", 1]
    path = tmp_path / "f.safetensors"
    save_direction(mine, path)
    other = dataclasses.replace(model, name="other", sha256="0" * 64)
    with pytest.raises(UserError, match=r"not from other .*; compute it") as caught:
        load_direction(path, other, "residual", 1)
    assert mine.provenance.model_sha256[:12] in str(caught.value)
    with pytest.raises(UserError, match="not from other"):
        check_direction(mine, other)


@pytest.mark.parametrize(
    "about",
    [
        b"no safetensors at all",
        None,  # a folder
        {"provenance": {"model": "only this"}},
        {"provenance": ["a", "list"]},
        ["a list"],
        "{",
    ],
)
def test_a_damaged_file_is_refused(model: CodiModel, tmp_path: Path, about: object):
    path = tmp_path / "g.safetensors"
    if about is None:
        path.mkdir()
    elif isinstance(about, bytes):
        path.write_bytes(about)
    else:
        text = about if isinstance(about, str) else json.dumps(about)
        save_file({"direction": noise(model)}, path, metadata={"steer_core": text})
    with pytest.raises(
        UserError, match=r"g\.safetensors is no direction file.*; it needs"
    ) as found:
        load_direction(path, model, "residual", 1)
    assert "\n" not in str(found.value)


def test_a_file_without_a_direction_is_refused(model: CodiModel, tmp_path: Path):
    path = tmp_path / "h.safetensors"
    save_file({"vector": noise(model)}, path)
    with pytest.raises(UserError, match="tensor 'direction'"):
        load_direction(path, model, "residual", 1)


def test_a_site_that_the_model_lacks_is_refused(model: CodiModel, tmp_path: Path):
    path = written(tmp_path / "i.safetensors", noise(model))
    with pytest.raises(UserError, match=r"layer 9 is out of range; choose 1\.\.3"):
        load_direction(path, model, "residual", 9)


# --- names ---------------------------------------------------------------------------------------


@pytest.fixture
def shelf(
    model: CodiModel, found: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CodiModel:
    """A model called owner/mine, whose directions are cached."""
    monkeypatch.setattr(library, "DIRECTIONS_DIR", tmp_path)
    for mine in found.values():
        save_direction(
            mine, direction_path(tmp_path / "mine" / "mean_difference", mine.site, mine.layer)
        )
    return dataclasses.replace(model, name="owner/mine")


@pytest.mark.parametrize(("site", "layer"), PLACES)
def test_cached_directions_are_found_by_site_and_layer(
    shelf: CodiModel, found: dict, site: str, layer: int | None
):
    mine = found[site, layer]
    assert torch.equal(cached_direction(shelf, site, layer).vectors, mine.vectors)
    control = cached_direction(shelf, site, layer, "random-7")
    assert torch.equal(control.vectors, random_like(mine, 7).vectors)
    bare = find_direction(shelf, site, layer, "random")
    assert torch.equal(bare.vectors, random_like(mine, 0).vectors)


def test_a_path_is_a_direction_too(shelf: CodiModel, tmp_path: Path):
    for name in ("x.safetensors", "x.pt"):
        path = written(tmp_path / name, noise(shelf))
        assert torch.equal(find_direction(shelf, "thought", None, str(path)).vectors, noise(shelf))


def test_a_file_of_another_place_is_refused_unless_it_is_said(
    model: CodiModel, found: dict, tmp_path: Path
):
    """Every place against every other; files of no place fit all."""
    for (site, layer), mine in found.items():
        path = direction_path(tmp_path, site, layer)
        save_direction(mine, path)
        for used in PLACES:
            moved = find_direction(model, *used, f"moved:{path}")
            assert torch.equal(moved.vectors, mine.vectors)
            assert (moved.site, moved.layer) == (site, layer)
            if used == (site, layer):
                assert torch.equal(find_direction(model, *used, str(path)).vectors, mine.vectors)
                continue
            with pytest.raises(UserError, match=r"was computed at .*, not at .*; .*moved:") as said:
                find_direction(model, *used, str(path))
            assert "\n" not in str(said.value)
    path = direction_path(tmp_path, "residual", 3)
    with pytest.raises(UserError, match="computed at residual 3, not at thought; compute one"):
        find_direction(model, "thought", None, str(path))


def test_a_folder_holds_a_direction_for_each_place(model: CodiModel, found: dict, tmp_path: Path):
    for (site, layer), mine in found.items():
        save_direction(mine, direction_path(tmp_path, site, layer))
        one = find_direction(model, site, layer, str(tmp_path))
        assert torch.equal(one.vectors, mine.vectors)
    direction_path(tmp_path, "residual", 2).unlink()
    with pytest.raises(UserError, match=r"residual-2\.safetensors is no direction file"):
        find_direction(model, "residual", 2, str(tmp_path))
    with pytest.raises(UserError, match="layer 9 is out of range"):
        find_direction(model, "residual", 9, str(tmp_path))


def test_a_folder_does_not_hide_a_name(
    shelf: CodiModel, found: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "mean_difference").mkdir()
    monkeypatch.chdir(tmp_path)
    mine = find_direction(shelf, "thought", None, "mean_difference")
    assert torch.equal(mine.vectors, found["thought", None].vectors)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mean", "unknown direction 'mean'; choose mean_difference, .*a control such as cov.*file"),
        ("random-x", "unknown direction 'random-x'"),
        ("random-" + "9" * 30, "unknown direction 'random-999"),
        ("missing.safetensors", r"missing\.safetensors is no direction file"),
    ],
)
def test_an_unknown_name_is_refused(shelf: CodiModel, name: str, message: str):
    with pytest.raises(UserError, match=message):
        find_direction(shelf, "residual", 1, name)


def test_a_model_without_cached_directions_says_how_to_compute_them(shelf: CodiModel):
    other = dataclasses.replace(shelf, name="other")
    for method in ("mean_difference", "random-3"):
        with pytest.raises(UserError, match=r"no cached direction.*'directions --model other'"):
            cached_direction(other, "thought", None, method)


# --- what is shipped -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
def test_the_shipped_directions_belong_to_the_shipped_models(name: str):
    """And each was computed over both twins of the 480 fit pairs."""
    model = load_model(name, device="cpu", dtype="float32")
    for site, layer in places(model):
        mine = cached_direction(model, site, layer)
        assert (mine.site, mine.layer, mine.method) == (site, layer, "mean_difference")
        assert mine.provenance.model_sha256 == model.sha256
        assert mine.provenance.model == name
        assert mine.provenance.problems == "fit"
        assert mine.provenance.correct + mine.provenance.wrong == 960
        assert min(mine.provenance.correct, mine.provenance.wrong) > 0
        assert (mine.norms[site == "embedding" :] > 0).all()


@pytest.mark.parametrize("name", BUNDLED)
def test_the_shipped_directions_hold_vectors_and_their_scales(name: str):
    paths = list((library.DIRECTIONS_DIR / name).rglob("*.safetensors"))
    assert len(paths) == len(places(load_model(name, device="cpu")))
    for path in paths:
        with safe_open(path, "pt") as file:
            assert set(file.keys()) == {"direction", "sd", "dose"}
        assert path.stat().st_size < 100_000
