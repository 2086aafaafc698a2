"""Files that cannot be a checkpoint: one clear line, and nothing in them is ever run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_checkpoints import BROKEN, VARIANTS, add_key, build, drop_key

from steer_core import UserError, load_model


def load(path: Path, **options):
    return load_model(str(path), device="cpu", dtype="float32", **options)


def cases() -> list:
    kinds = [(how, "gpt2-bin") for how in BROKEN]
    kinds += [(how, "llama-safetensors") for how in BROKEN if how != "pickle that runs code"]
    return [pytest.param(*kind, id=", ".join(kind)) for kind in kinds]


@pytest.mark.parametrize(("how", "variant"), cases())
def test_damage_is_named(how: str, variant: str, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS[variant])
    load(tiny.path, **tiny.options)
    named = BROKEN[how](tiny.path)
    with pytest.raises(UserError) as caught:
        load(tiny.path, **tiny.options)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_all_that_is_missing_or_too_much_is_listed_at_once(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    gone = [
        drop_key(tiny.path, part) for part in ("h.0.ln_1.weight", "h.2.mlp.c_fc.base", "prj.1.b")
    ]
    extra = add_key(tiny.path)
    with pytest.raises(UserError) as caught:
        load(tiny.path, **tiny.options)
    assert [name for name in [*gone, extra] if name not in str(caught.value)] == []


def test_a_missing_shard_is_named(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-shards"])
    shard = sorted(tiny.path.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(UserError, match=shard.name):
        load(tiny.path, **tiny.options)


def test_lora_alpha_is_asked_for_where_the_rank_does_not_tell_it(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    with pytest.raises(UserError, match="lora-alpha"):
        load(tiny.path, base=tiny.options["base"])


def test_the_base_of_another_model_does_not_fit(tmp_path: Path):
    gpt2 = build(tmp_path / "gpt2", VARIANTS["gpt2-bin"])
    llama = build(tmp_path / "llama", VARIANTS["llama-bin"])
    with pytest.raises(UserError):
        load(gpt2.path, **(gpt2.options | {"base": str(llama.base)}))


def test_an_empty_folder_is_no_checkpoint(tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="empty"):
        load(empty, **tiny.options)


@pytest.mark.parametrize(
    "text", ['{"latents": ', '{"latents": "six"}', '{"latents": -3}', "[1]", '{"keep_eos": 1}']
)
def test_notes_beside_the_weights_that_cannot_be_used_are_one_line(tmp_path: Path, text: str):
    tiny = build(tmp_path, VARIANTS["gpt2-bin"])
    (tiny.path / "codi.json").write_text(text)
    with pytest.raises(UserError, match=r"codi\.json") as caught:
        load(tiny.path, **tiny.options)
    assert "\n" not in str(caught.value)
