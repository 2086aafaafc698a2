"""Checkpoints by name, from a hub on this machine: fetched once and verified, or explained."""

from __future__ import annotations

import hashlib
import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_hub import COMMIT, Hub, point_at, serving
from huggingface_hub import constants
from tiny_checkpoints import QUESTIONS, VARIANTS, Recipe, Tiny, build

from steer_core import UserError, decode, load_model
from steer_core.codi import digests, hub
from steer_core.codi.known import GPT2, KNOWN, LLAMA_1B, KnownModel
from steer_core.codi.listing import list_models

REPOSITORY = "somebody/tiny-codi"
NAME = "codi-gpt2"
JUNK = ("training_args.bin", "optimizer.pt", "README.md", "events.out")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty hub, an empty cache, and nothing known but what a test adds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with serving() as (found, address):
        point_at(address, tmp_path / "cache", monkeypatch)
        yield found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    built = build(tmp_path_factory.mktemp("tiny"), Recipe(rank=128))
    for name in JUNK:
        (built.path / name).write_bytes(b"not needed")
    return built


def weights_of(tiny: Tiny) -> bytes:
    return (tiny.path / "pytorch_model.bin").read_bytes()


def publish(served: Hub, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, **facts) -> None:
    """Serve a checkpoint and its base, and make them known under `NAME`."""
    served.add(REPOSITORY, tiny.path)
    served.add(GPT2[0], tiny.base)
    known = KnownModel(REPOSITORY, GPT2, 3, 32, 10_000, COMMIT, len(weights_of(tiny)))
    known = replace(known, sha256=hashlib.sha256(weights_of(tiny)).hexdigest())
    monkeypatch.setitem(KNOWN, NAME, replace(known, **facts))


def load(name: str, **options):
    return load_model(name, device="cpu", dtype="float32", **options)


def refusal(name: str, **options) -> str:
    with pytest.raises(UserError) as caught:
        load(name, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_known_name_is_fetched_once(served: Hub, tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    publish(served, tiny, monkeypatch)
    assert not available(NAME)
    model = load(NAME)
    assert (model.source, model.revision) == ("hub", COMMIT)
    assert model.weights_sha256 == KNOWN[NAME].sha256
    local = load(str(tiny.path), base=str(tiny.base))
    by_name, by_path = (decode(m, QUESTIONS, max_new_tokens=4) for m in (model, local))
    assert [row.token_ids for row in by_name] == [row.token_ids for row in by_path]

    served.requests.clear()
    assert available(NAME)
    load(NAME)
    assert served.requests == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    load(NAME)


def available(name: str) -> bool:
    return next(model.available for model in list_models() if model.name == name)


def test_only_what_is_needed_is_fetched(served: Hub, tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    publish(served, tiny, monkeypatch)
    load(NAME)
    assert "pytorch_model.bin" in served.transfers()
    assert not set(JUNK) & set(served.transfers())


def test_a_repository_that_nobody_knows(served: Hub, tiny: Tiny):
    served.add("other/checkpoint", tiny.path)
    served.add("other/base", tiny.base)
    assert "--base" in refusal("other/checkpoint")
    assert "pytorch_model.bin" not in served.transfers()
    model = load("other/checkpoint", base="other/base")
    assert (model.name, model.source, model.revision) == ("other/checkpoint", "hub", COMMIT)
    served.requests.clear()
    load("other/checkpoint", base="other/base")
    load(f"other/checkpoint@{COMMIT}", base=str(tiny.base))
    assert served.requests == []
    assert "--base" in refusal("other/checkpoint")


def test_a_transfer_that_broke_off_goes_on(
    served: Hub, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
):
    publish(served, tiny, monkeypatch)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**16)  # the file is a small one
    served.repositories[REPOSITORY].cut.add("pytorch_model.bin")
    assert load(NAME).weights_sha256 == KNOWN[NAME].sha256
    (begin,) = [where for method, _, where in served.requests if method == "GET" and where]
    assert int(begin.removeprefix("bytes=").removesuffix("-")) >= len(weights_of(tiny)) // 4


@pytest.mark.parametrize("variant", ["gpt2-shards", "gpt2-bin-shards", "gpt2-one-shard"])
def test_shards(variant: str, served: Hub, tmp_path: Path):
    tiny = build(tmp_path, VARIANTS[variant])
    served.add("other/shards", tiny.path)
    fetch = {"base": str(tiny.base), "lora_alpha": tiny.options["lora_alpha"]}
    model = load("other/shards", **fetch)
    local = load(str(tiny.path), **tiny.options)
    assert model.sha256 == local.sha256

    link = next(file for file in hub.weight_paths(tmp_path / "cache" / snapshot("other/shards")))
    link.unlink()
    served.requests.clear()
    assert load("other/shards", **fetch).sha256 == local.sha256
    assert served.requests != []


def snapshot(repository: str) -> str:
    return f"models--{repository.replace('/', '--')}/snapshots/{COMMIT}"


def test_a_file_that_is_not_what_the_hub_says(served: Hub, tiny: Tiny):
    served.add("other/checkpoint", tiny.path, lies=frozenset({"pytorch_model.bin"}))
    message = refusal("other/checkpoint", base=str(tiny.base))
    assert "sha256" in message
    assert "delete it" in message


@pytest.mark.parametrize("fact", [{"sha256": "0" * 64}, {"size": 17}])
def test_a_file_that_is_not_the_published_one(
    fact: dict, served: Hub, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
):
    publish(served, tiny, monkeypatch, **fact)
    assert str(next(iter(fact.values())))[:12] in refusal(NAME)
    assert "delete it" in refusal(NAME)  # nor when it comes from the cache


def test_a_large_file_is_hashed_once(
    served: Hub, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    publish(served, tiny, monkeypatch)
    monkeypatch.setattr(digests, "LARGE", 1000)
    sha256 = load(NAME).weights_sha256
    monkeypatch.setattr(digests, "read_digest", lambda path: pytest.fail(f"hashed {path} again"))
    assert load(NAME).weights_sha256 == sha256

    monkeypatch.undo()
    monkeypatch.setattr(digests, "LARGE", 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")  # a home that cannot be written
    assert digests.digest(tiny.path / "pytorch_model.bin") == sha256


def test_a_gated_base_gives_way_to_its_mirror(
    served: Hub, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    publish(served, tiny, monkeypatch, bases=LLAMA_1B)
    served.add(LLAMA_1B[0], tiny.base, gated=True)
    served.add(LLAMA_1B[1], tiny.base)
    with caplog.at_level(logging.INFO):
        load(NAME)
    assert any(LLAMA_1B[0] in line and "gated" in line for line in caplog.messages)
    assert any(LLAMA_1B[1] in line and "fetching" in line for line in caplog.messages)


def test_a_gated_base_without_a_mirror_says_what_to_do(
    served: Hub, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
):
    publish(served, tiny, monkeypatch, bases=LLAMA_1B)
    served.add(LLAMA_1B[0], tiny.base, gated=True)
    message = refusal(NAME)
    assert [
        word for word in (*LLAMA_1B, "HF_TOKEN", "--base", "folder") if word not in message
    ] == []
    assert "pytorch_model.bin" not in served.transfers()  # asked before the large file
    load(NAME, base=str(tiny.base))


def test_a_gated_checkpoint(served: Hub, tiny: Tiny):
    served.add("other/checkpoint", tiny.path, gated=True)
    message = refusal("other/checkpoint", base=str(tiny.base))
    assert "gated" in message
    assert "HF_TOKEN" in message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nobody/nothing", "knows no repository 'nobody/nothing'"),
        ("nobody/no thing", "neither a folder nor a hub repository"),
        ("codi-gpt3", "codi-llama-1b"),
        ("./codi-gpt2", "unknown model"),
        ("a/b/c", "unknown model"),
        ("/nowhere/model", "unknown model"),
    ],
)
def test_names_that_lead_nowhere(name: str, said: str, served: Hub):
    assert said in refusal(name)


def test_a_repository_without_weights(served: Hub, tiny: Tiny):
    served.add("other/base", tiny.base)
    message = refusal("other/base")
    assert "other/base" in message
    assert "no files of the kind" in message


def test_offline_is_said_at_once(served: Hub, tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    publish(served, tiny, monkeypatch, bases=LLAMA_1B)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = refusal(NAME, base=str(tiny.base))
    assert "HF_HUB_OFFLINE" in message
    assert "--model" in message
    assert served.requests == []


def test_a_refused_connection_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    point_at(address, tmp_path / "cache", monkeypatch)
    start = time.monotonic()
    message = refusal("codi-llama-1b")
    assert time.monotonic() - start < 10  # the hub's own client would try for 23 s
    told = (address, str(tmp_path / "cache"), LLAMA_1B[0], "--base", "folder")
    assert [word for word in told if word not in message] == []


def test_a_hub_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        point_at(address, tmp_path / "cache", monkeypatch)
        start = time.monotonic()
        assert address in refusal("codi-llama-1b")
    assert time.monotonic() - start < 10
