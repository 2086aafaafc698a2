"""Small accidents of wording, by which a model learns not to hang on every word."""

import re
from random import Random

FILLERS: tuple[str, ...] = tuple(
    "the a an of then also now this it there them today soon still".split()
)
"""Words that no answer depends on; no number and no operation is among them."""
_FILLER = re.compile(rf" ({'|'.join(FILLERS)})(?=[ .,?])")


def vary_words(question: str, seed: int, share: float = 0.15) -> str:
    """Drop or swap words without meaning for the answer, the same ones for the same seed.

    Twins of one wording, given one seed, change in the same places.

    Args:
        question: the text.
        seed: any integer.
        share: chance that such a word is changed; half of the changed ones are dropped, the others
            become another word of the kind.
    """
    rng = Random(seed)

    def changed(found: re.Match[str]) -> str:
        chance = rng.random()
        if chance >= share:
            return found[0]
        return "" if chance < share / 2 else f" {FILLERS[int(rng.random() * len(FILLERS))]}"

    return _FILLER.sub(changed, question)
