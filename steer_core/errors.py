"""Errors as a person reads them: "the input was wrong" as opposed to a bug of ours, on one line."""

import re

MOST_SHOWN, MOST_OF_A_PATH, MOST_OF_A_LINE = 80, 160, 360
"""Characters that are shown of a value, of a path, and of a whole message."""
QUOTED = re.compile(rf"'[^']{{{MOST_SHOWN},}}'")
MEMORY_WORDS = re.compile(
    r"out of memory|OutOfMemory|DefaultCPUAllocator|ALLOC(ATION)?_FAILED|cudaErrorMemoryAllocation"
    r"|(CUBLAS|CUDNN|CUSOLVER)_STATUS_NOT_INITIALIZED[^\n]*(Create|handle)",
    re.IGNORECASE,
)
"""How memory that ran out shows in errors that have no type of their own: torch's allocators, the
driver's, and libraries of products and convolutions that find none for their workspace."""


class UserError(ValueError):
    """Input that cannot be used.

    The message is one line that names the value, the limit it broke and the next move. Commands
    print it and exit with status 2; the page shows it as a message.
    """


class Cancelled(Exception):
    """The caller asked for the decoding to stop; nothing of the batch is returned."""


def one_line(message: object) -> str:
    """A message on one line that can be read, whatever the user's own text put into it.

    Long values lose their middle, and what a terminal would obey instead of showing is spelled out.
    """
    text = " ".join(map(readable, str(message).split()))
    text = QUOTED.sub(lambda found: shortened(found[0], most_of(found[0])), text)
    return shortened(text, MOST_OF_A_LINE)


def readable(word: str) -> str:
    """A word with escapes for what cannot be printed, and no longer than a value may be."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in word[: 2 * MOST_OF_A_LINE])
    return shortened(shown + word[2 * MOST_OF_A_LINE :], most_of(word))


def most_of(text: str) -> int:
    """How many characters of a value are shown: a reader wants to find a path again."""
    return MOST_OF_A_PATH if "/" in text else MOST_SHOWN


def shortened(text: str, most: int = MOST_SHOWN) -> str:
    """A text of at most `most` characters: its beginning and its end."""
    if len(text) <= most:
        return text
    tail = (most - 3) // 2
    return f"{text[: most - 3 - tail]}...{text[-tail:]}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch has no type of its own for a CPU's."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    named = bool(kinds & {"OutOfMemoryError", "MemoryError"})
    return named or ("RuntimeError" in kinds and MEMORY_WORDS.search(str(error)) is not None)
