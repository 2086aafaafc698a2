"""What every test of a whole run starts from."""

from __future__ import annotations

from collections import Counter

import pytest
from sweep_parts import asked_of, count_decoded, file_in, make_small, spec_of
from tiny_models import tiny_model

from steer_core.codi.model import CodiModel
from steer_core.data.problems import Pair
from steer_core.pipeline.records import SweepSpec


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodiModel:
    return tiny_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def asked(model: CodiModel) -> list[Pair]:
    return asked_of(model)


@pytest.fixture(scope="module")
def file(model: CodiModel, tmp_path_factory: pytest.TempPathFactory) -> str:
    return file_in(tmp_path_factory.mktemp("direction"), model)


@pytest.fixture
def spec(file: str) -> SweepSpec:
    return spec_of(file)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter:
    return count_decoded(monkeypatch)
