"""The rows that CODI adds behind a base vocabulary: pad, BOT and EOT, and models without them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steer_core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NEW_TOKENS = 3
"""Rows that CODI adds behind the base vocabulary: pad, BOT, EOT."""
BOT_TOKEN, EOT_TOKEN = "<|bocot|>", "<|eocot|>"
"""What a tokenizer that knows them calls BOT and EOT."""
ADDED = re.compile(r"[^a-z]*(pad|bot|bocot|eot|eocot)[^a-z]*", re.IGNORECASE)
"""Names that trainers give these rows where they enter them as special tokens."""


@dataclass(frozen=True, slots=True)
class NewRows:
    """Token ids of the rows that CODI adds."""

    pad: int
    bot: int
    eot: int


def first_new_row(vocabulary: int, rows: int) -> int:
    """The id of pad, V0: the base vocabulary, or what is left of it in a config that counts all.

    More rows than needed are fine (one published checkpoint has two more); they are not tokens.
    """
    if rows == vocabulary:
        return rows - NEW_TOKENS
    if rows < vocabulary + NEW_TOKENS:
        raise UserError(
            f"the checkpoint embeds {rows} tokens, the base config has {vocabulary} and CODI adds "
            f"{NEW_TOKENS}; give the base model this checkpoint was trained on"
        )
    return vocabulary


def new_rows(
    vocabulary: int, rows: int, tokenizer: PreTrainedTokenizerBase, is_codi: bool
) -> NewRows:
    """Ids of pad, BOT and EOT behind the base vocabulary, unless the tokenizer has names for them.

    Args:
        vocabulary: `vocab_size` of the base config, which may count them already.
        rows: Of the embedding.
        tokenizer: The tokenizer.
        is_codi: The checkpoint says what it is: it has a projection, or names of the official
            layout.

    Raises:
        UserError: for a model in which these ids are words of its own: it was never made a CODI
            model, and would be read as one.
    """
    first = first_new_row(vocabulary, rows)
    known = tokenizer.get_vocab()
    ids = (first, known.get(BOT_TOKEN, first + 1), known.get(EOT_TOKEN, first + 2))
    if BOT_TOKEN not in known or EOT_TOKEN not in known:
        refuse_words(ids, tokenizer)
        if rows == vocabulary and not is_codi and first > len(known):
            raise UserError(
                f"nothing shows that this is a CODI checkpoint: it has no projection prj, and none "
                f"of its {rows} rows is known to be BOT or EOT; if it is one, give --base with the "
                "model that it was trained from"
            )
    return NewRows(*ids)


def refuse_words(ids: tuple[int, ...], tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise a `UserError` where an id is a word of the tokenizer, not a row that was added."""
    words = {index: piece for piece, index in tokenizer.get_vocab().items()}
    added = tokenizer.get_added_vocab()  # pyright: ignore  (a method, whatever it is told)
    special = {*tokenizer.all_special_tokens, *added}
    taken = [
        words[index]
        for index in ids
        if index in words and not (words[index] in special and ADDED.fullmatch(words[index]))
    ]
    if taken:
        raise UserError(
            f"this is no CODI checkpoint: pad, BOT and EOT would be {', '.join(map(str, ids))}, "
            f"and {taken[0]!r:.40} is a word of its tokenizer; give a checkpoint trained with "
            "CODI, or the base model it was trained on"
        )
