"""The named endpoints as a script calls them, over HTTP."""

from __future__ import annotations

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

QUESTION = "Mia has 3 boxes. Each box holds 4 pencils. How many pencils are there?"


@pytest.fixture(scope="module")
def client(home: str) -> Client:
    return Client(home, verbose=False)


def test_the_endpoints_are_public(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/models", "/decode", "/sweep", "/lens", "/swap"}


def test_models(client):
    names = [row["name"] for row in client.predict(api_name="/models")]
    assert "tiny-llama" in names


def test_lens(client):
    found = client.predict("tiny-llama", QUESTION, 1.0, api_name="/lens")
    assert (len(found["top_tokens"]), len(found["top_tokens"][0])) == (7, 5)
    assert found["edited"] == [1, 2, 3, 4, 5, 6]
    plain = client.predict("tiny-llama", QUESTION, api_name="/lens")
    assert plain["edited"] == []
    assert plain["top_probs"] != found["top_probs"]


def test_swap(client):
    twin = QUESTION.replace("4 pencils", "5 pencils")
    found = client.predict("tiny-llama", QUESTION, twin, api_name="/swap")
    assert (found["amounts"][0], found["amounts"][-1]) == (0, 1)
    assert (found["answers"][0], found["answers"][-1]) == (found["own_answer"], found["answer"])
    assert found["followed"] == (found["answer"] == found["donor_answer"] != found["own_answer"])
    with pytest.raises(AppError, match="the question is empty"):
        client.predict("tiny-llama", QUESTION, " ", api_name="/swap")


def test_decode(client):
    found = client.predict("tiny-llama", QUESTION, 2.0, api_name="/decode")
    assert found["question"] == QUESTION
    assert found["positions"] == [1, 2, 3, 4, 5, 6]
    assert found["layer"] == 2
    assert found["text"].startswith("The answer is:")


def test_sweep(client):
    rows = client.predict("tiny-gpt2", alphas=[-1.0, 1.0], api_name="/sweep")
    assert [row["alpha"] for row in rows] == [-1.0, 0.0, 1.0]
    assert {"layer", "direction", "n", "correct", "accuracy", "low", "high", "flips"} <= set(
        rows[0]
    )


def test_a_wrong_argument_is_one_line_with_the_limit(client):
    with pytest.raises(
        AppError, match=r"layer of tiny-llama is 9; give a whole number from 1 to 4"
    ):
        client.predict("tiny-llama", QUESTION, 2.0, layer=9, api_name="/decode")
