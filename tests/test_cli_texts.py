"""Texts of options and files as values, and what is refused among them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_core import UserError
from steer_core.cli.json_lines import json_line
from steer_core.cli.options import MOST_ALPHAS, alphas_of, integers_of, positions_of

K = 6


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0,1,2.5", [0.0, 1.0, 2.5]),
        (" -1 , 2e-1", [-1.0, 0.2]),
        ("-3:3:0.5", [-3 + i / 2 for i in range(13)]),
        ("-0.3:0.3:0.1", [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]),
        ("-3:3:0.1", [i / 10 for i in range(-30, 31)]),
        ("0:1:0.3", [0.0, 0.3, 0.6, 0.9]),
        ("2:2:1", [2.0]),
        ("1:2:5", [1.0]),
        ("0:10000:1", [float(i) for i in range(10_001)]),
    ],
)
def test_alphas(text: str, wanted: list[float]):
    assert alphas_of(text) == wanted


@pytest.mark.parametrize("text", ["-0", "0,-0.0", "-0:0:1", "-1:0:1", "-1:1:0.1", "-2:-0:0.25"])
def test_zero_is_the_zero_of_the_baseline(text: str):
    """Neither -0.0 nor 5.6e-17."""
    near = [alpha for alpha in alphas_of(text) if abs(alpha) < 1e-6]
    assert near
    assert all(str(alpha) == "0.0" for alpha in near)


@given(
    start=st.integers(-500, 500), count=st.integers(0, 300), step=st.sampled_from([1, 5, 10, 25])
)
def test_a_range_holds_both_ends_and_exact_hundredths(start: int, count: int, step: int):
    stop = start + count * step
    found = alphas_of(f"{start / 100}:{stop / 100}:{step / 100}")
    assert found == [(start + i * step) / 100 for i in range(count + 1)]


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "1,", "1,,2", "x", "1;2", "nan", "1,inf", "1e999"),
        *("1:2", "1:2:3:4", "1:2:0", "1:2:-1", "2:1:1", "1:2:1,3", "0:1:1e-12", "::"),
        *(f"0:{MOST_ALPHAS}:1", "0:1e300:1", "-1e308:1e308:1", "0:1e300:1e-9"),
    ],
)
def test_what_is_no_list_of_alphas(text: str):
    with pytest.raises(UserError, match=";") as caught:
        alphas_of(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, (1, 2, 3, 4, 5, 6)),
        ("1,2,3", (1, 2, 3)),
        ("0-6", (0, 1, 2, 3, 4, 5, 6)),
        (" 5, 1 - 2 ,5", (5, 1, 2)),
        ("3-3", (3,)),
    ],
)
def test_positions(text: str | None, wanted: tuple[int, ...]):
    assert positions_of(text, K) == wanted
    if text is not None:
        assert integers_of(text) == list(wanted)


@pytest.mark.parametrize(
    "text", ["", "x", "1,", "-1", "1.5", "6-1", "1-", "1--3", "0-99999999999999"]
)
def test_what_is_no_list_of_whole_numbers(text: str):
    for parse in (integers_of, lambda text: positions_of(text, K)):
        with pytest.raises(UserError, match="write 1,2,3 or 1-6"):
            parse(text)


def test_json_has_null_for_what_is_no_number():
    row = {"p": math.nan, "all": (1.5, [-math.inf], {"low": np.float64("nan")}), "text": "NaN"}
    found = json.loads(json_line(row), parse_constant=pytest.fail)
    assert found == {"p": None, "all": [1.5, [None], {"low": None}], "text": "NaN"}
