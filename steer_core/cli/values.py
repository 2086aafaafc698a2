"""What the value of any option must be, whatever else its command asks of it."""

import argparse
from pathlib import Path

LARGEST = 2**31 - 1
"""No count, layer or id of ours is larger."""
LARGEST_SEED = 2**32 - 1


def text_of(text: str) -> str:
    """A value that says something."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"'{text}' is empty, give a value")
    return text


def path_of(text: str) -> Path:
    """A path; an empty one would be the present folder."""
    return Path(text_of(text))


def integer(text: str) -> int:
    """A whole number, of at most `LARGEST`."""
    value = whole(text)
    if value is None or abs(value) > LARGEST:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no whole number from -{LARGEST} to {LARGEST}"
        )
    return value


def seed_of(text: str) -> int:
    """A seed that every generator of random numbers takes."""
    value = whole(text)
    if value is None or not 0 <= value <= LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"'{text}' is no seed, choose 0..{LARGEST_SEED}")
    return value


def whole(text: str) -> int | None:
    """The whole number that a text is; None for any other."""
    try:
        return int(text)
    except ValueError:
        return None
