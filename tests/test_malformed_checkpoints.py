"""Files of a checkpoint that are damaged, lie, or ask for too much: one line, never a traceback."""

from __future__ import annotations

import json
import pickle
import random
import struct
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from command_line import Capture, refused
from tiny_checkpoints import VARIANTS, Tiny, build, read

from steer_core import UserError, load_model

DEEP = "[" * 200_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return build(tmp_path_factory.mktemp("made"), VARIANTS["llama-safetensors"])


def refusal(tiny: Tiny, **options) -> str:
    usual = {"device": "cpu", "dtype": "float32"} | tiny.options
    with pytest.raises(UserError) as caught:
        load_model(tiny.path, **(usual | options))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def loads_or_refuses(tiny: Tiny) -> None:
    """Whatever else is raised fails the test."""
    with suppress(UserError):
        load_model(tiny.path, device="cpu", dtype="float32", **tiny.options, check=False)


# --- config.json ---------------------------------------------------------------------------------

CONFIGS = {
    "deep": DEEP,
    "deep objects": '{"a":' * 100_000,
    "a list": "[]     ",
    "a number": "12345",
    "half": '{"model_type": "lla',
    "no text": "\xff\xfe\x00",
    "a huge number": '{"vocab_size": 1' + "0" * 5000 + "}",
}


@pytest.mark.parametrize("how", CONFIGS)
def test_a_config_that_is_none(how: str, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["llama-safetensors"])
    (tiny.base / "config.json").write_bytes(CONFIGS[how].encode("latin-1"))
    assert "config.json" in refusal(tiny)


VALUES = [
    *(("vocab_size", value) for value in (0, -5, 10**30, "300", None, 2.5, [300], True)),
    *(("num_hidden_layers", value) for value in (0, -1, 10**9, "three", {}, 3.0)),
    *(("hidden_size", value) for value in (0, -32, 10**12, "32")),
    *(("num_attention_heads", value) for value in (0, -4, 10**9, 5, "4")),
    *(("num_key_value_heads", value) for value in (0, 3, -1, 10**9)),
    *(("head_dim", value) for value in (-2, 7, 10**9)),
    *(("intermediate_size", value) for value in (0, -48, 10**15)),
    *(("max_position_embeddings", value) for value in (0, -1, 10**30, "long")),
    *(("rms_norm_eps", value) for value in (-1.0, "small", 1e9)),
    *(("hidden_act", value) for value in ("x" * 5000, 7, ["silu"])),
    *(("model_type", value) for value in ("x" * 5000, 7, None, ["llama"], "bert")),
    *(
        ("rope_parameters", value)
        for value in ("x", [1], {"rope_type": "yarn"}, {"rope_type": ["llama3"]}, {"rope_type": 7})
    ),
]


@pytest.mark.parametrize(("name", "value"), VALUES, ids=[f"{n}={str(v)[:20]}" for n, v in VALUES])
def test_a_config_that_claims_what_cannot_be(name: str, value: object, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["llama-safetensors"])
    path = tiny.base / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    refusal(tiny)


def test_code_beside_a_config_is_never_run_nor_asked_for(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a prompt"))
    tiny = build(tmp_path, VARIANTS["llama-safetensors"])
    code = f"open({str(tmp_path / 'executed')!r}, 'w')\n"
    (tiny.base / "own.py").write_text(code)
    config = tiny.base / "config.json"
    maps = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    about = json.loads(config.read_text())
    config.write_text(json.dumps(about | {"model_type": "own", "auto_map": maps}))
    assert "auto_map" in refusal(tiny)
    config.write_text(json.dumps(about))
    tokenizer = tiny.base / "tokenizer_config.json"
    named = {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["own.T", None]}}
    tokenizer.write_text(json.dumps(json.loads(tokenizer.read_text()) | named))
    assert "auto_map" in refusal(tiny)
    assert not (tmp_path / "executed").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', DEEP, "\xff"])
def test_a_tokenizer_that_is_none(name: str, text: str, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["llama-safetensors"])
    (tiny.base / name).write_bytes(text.encode("latin-1"))
    loads_or_refuses(tiny)


@pytest.mark.parametrize("text", [DEEP, "\xff", "", "nul"])
def test_notes_that_are_none(text: str, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS["llama-safetensors"])
    (tiny.path / "codi.json").write_bytes(text.encode("latin-1"))
    assert "codi.json" in refusal(tiny)


# --- weights -------------------------------------------------------------------------------------


def header(about: object, data: bytes = b"", size: int | None = None) -> bytes:
    text = about.encode() if isinstance(about, str) else json.dumps(about).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def entry(dtype: str = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict:
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


HEADERS = {
    "nothing": b"",
    "a few bytes": b"abc",
    "a header longer than the file": header({}, size=2**60),
    "a header of no length": header({}, size=0),
    "no json": header("{{{{"),
    "deep": header(DEEP),
    "another offset": header(entry(offsets=(0, 800)), bytes(8)),
    "offsets the wrong way": header(entry(offsets=(8, 0)), bytes(8)),
    "offsets below zero": header(entry(offsets=(-8, 0)), bytes(8)),
    "another shape": header(entry(shape=(2**40, 2**40)), bytes(8)),
    "a shape below zero": header(entry(shape=(-2,)), bytes(8)),
    "a shape as text": header(entry(shape="2"), bytes(8)),
    "an unknown type": header(entry("Q99"), bytes(8)),
    "a type that torch lacks": header(entry("F8_E8M0", (8,)), bytes(8)),
    "a type of half bytes": header(entry("F4", (16,)), bytes(8)),
    "a hole": header(entry(offsets=(8, 16)), bytes(16)),
    "bytes behind the end": header(entry(), bytes(100)),
    "metadata that is none": header({"__metadata__": 7, **entry()}, bytes(8)),
    "no tensors": header({}),
}


@pytest.mark.parametrize("how", HEADERS)
def test_a_safetensors_file_that_lies(how: str, made: Tiny, tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(HEADERS[how])
    refusal(Tiny(tmp_path, made.base, made.reference, made.tokenizer, made.options))


class Anything:
    """Pickled as a call."""

    def __init__(self, *call) -> None:
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


PICKLES = {
    "nothing": b"",
    "text": b"hello\n" * 10,
    "a number": pickle.dumps(7),
    "a list": pickle.dumps([1, 2]),
    "numbers for names": pickle.dumps({1: 2}),
    "texts for tensors": pickle.dumps({"a": "b"}),
    "an empty mapping": pickle.dumps({}),
    "a call": pickle.dumps({"a": Anything(eval, "1")}),
    "deep": b"\x80\x04" + b"](" * 100_000,
    "a short opcode": b"\x80\x04X\xff\xff\xff\xff",
    "a memo that is not there": b"\x80\x04h\x07.",
    "an empty stack": b"\x80\x04R.",
    "a huge integer": b"\x80\x04\x8b\xff\xff\xff\x7f.",
    "an old protocol": b"(dp0\nS'a'\np1\nI1\ns.",
    "a broken zip": b"PK\x03\x04" + bytes(200),
    "a zip of nothing": b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("how", PICKLES)
def test_a_bin_file_that_is_none(how: str, made: Tiny, tmp_path: Path):
    (tmp_path / "pytorch_model.bin").write_bytes(PICKLES[how])
    message = refusal(Tiny(tmp_path, made.base, made.reference, made.tokenizer, made.options))
    assert "pytorch_model.bin" in message or "fit" in message


STATES = {
    "a nested one": lambda state: {"state_dict": state},
    "a tuple": lambda state: tuple(state.values()),
    "one tensor": lambda state: next(iter(state.values())),
    "names that are no text": lambda state: dict(enumerate(state.values())),
    "a sparse tensor": lambda state: state | {"prj.1.weight": state["prj.1.weight"].to_sparse()},
    "a tensor of meta": lambda state: state | {"prj.1.weight": torch.empty(32, 32, device="meta")},
}


@pytest.mark.parametrize("how", STATES)
def test_a_state_that_is_no_model(how: str, made: Tiny, tmp_path: Path):
    torch.save(STATES[how](read(made.path)), tmp_path / "pytorch_model.bin")
    refusal(Tiny(tmp_path, made.base, made.reference, made.tokenizer, made.options))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_bytes_that_changed_on_the_way_end_in_a_model_or_a_line(
    name: str, made: Tiny, tmp_path: Path
):
    """Those of the header, where each one has a meaning; numbers may be any."""
    if name.endswith("bin"):
        torch.save(read(made.path), tmp_path / name, _use_new_zipfile_serialization=False)
    else:
        (tmp_path / name).write_bytes((made.path / name).read_bytes())
    whole = (tmp_path / name).read_bytes()
    tiny = Tiny(tmp_path, made.base, made.reference, made.tokenizer, made.options)
    generator = random.Random(0)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            data[generator.randrange(1500)] = generator.randrange(256)
        (tmp_path / name).write_bytes(data)
        loads_or_refuses(tiny)


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--model", "--base"])
@pytest.mark.parametrize("name", ["~nosuchuser", "~nosuchuser/model", "a\x00b", "x" * 5000, ""])
def test_a_name_that_can_be_no_folder(option: str, name: str, made: Tiny, capsys: Capture):
    model = {"--model": str(made.path), "--base": str(made.base)} | {option: name}
    line = refused(
        capsys, "decode", *(x for pair in model.items() for x in pair), "--question", "?"
    )
    assert len(line) < 400
