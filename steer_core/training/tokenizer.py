"""The tokenizer of the bundled models: byte-level BPE in which each number 0..999 is one token.

Any text encodes, because every byte is a token. A blank before a number belongs to the word in
front of it, so a number is the same token wherever it stands and blanks cost no tokens of their
own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

EOS, PAD, BOT, EOT = "<|endoftext|>", "<|pad|>", "<|bot|>", "<|eot|>"
LARGEST_NUMBER = 999
PIECES = r" ?\p{L}+(?: (?=\d))?|\d{1,3}| ?[^\s\p{L}\d]+(?: (?=\d))?|\s+"
"""A word or a run of signs with its blank (and the one before a number), or 1-3 digits."""


def train_tokenizer(texts: Iterable[str], words: int = 2500) -> PreTrainedTokenizerFast:
    """Learn merges from `texts`, add the numbers 0..999, then EOS as the last base token.

    PAD, BOT and EOT come behind the base vocabulary, in that order (ids V0, V0 + 1, V0 + 2).
    """
    tokenizer = empty_tokenizer({}, [])
    trainer = trainers.BpeTrainer(
        vocab_size=256 + words,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((without_digits(text) for text in texts), trainer)
    learned = tokenizer.get_vocab()
    vocabulary = {piece: i for i, piece in enumerate(sorted(learned, key=learned.__getitem__))}
    for number in range(LARGEST_NUMBER + 1):
        vocabulary.setdefault(str(number), len(vocabulary))
    tokenizer = empty_tokenizer(vocabulary, merges_of(tokenizer))
    special = [AddedToken(text, special=True, normalized=False) for text in (EOS, PAD, BOT, EOT)]
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD, clean_up_tokenization_spaces=False
    )


def special_id(tokenizer: PreTrainedTokenizerFast, text: str) -> int:
    """The id of one special token."""
    found = tokenizer.convert_tokens_to_ids(text)
    assert isinstance(found, int), text
    return found


def without_digits(text: str) -> str:
    """Numbers are no material for merges: each is a token of its own."""
    return "".join("0" if c.isdigit() else c for c in text)


def empty_tokenizer(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    """A byte-level BPE of the given vocabulary; a piece that is in it is taken whole."""
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def merges_of(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """The merges a trained tokenizer learned, in order."""
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in merges]
