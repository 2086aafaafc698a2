"""A loaded CODI model: weights, projection, sizes, tokenizer and where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from steer_core.codi.body import Body
from steer_core.codi.config import CodiConfig
from steer_core.codi.projection import Projection
from steer_core.codi.recording import Programs
from steer_core.codi.session import Session
from steer_core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True, eq=False)
class CodiModel:
    """One CODI model, ready to decode. It holds no per-request state and may be shared by threads.

    `session` remembers what every request would compute alike (questions that were read, plain
    answers), `programs` what is recorded on a GPU; `dataclasses.replace` starts new ones.
    `name` as given to `load_model`; `source` is bundled, hub or local; `sha256` identifies it in
    directions and results, see `steer_core.codi.identity`; `weights_sha256` is that of its weights
    file alone (of all shards, in order); `revision` is the hub's; `lora_alpha` is what LoRA factors
    were merged with, None where there were none.
    """

    name: str
    source: str
    sha256: str
    weights_sha256: str
    config: CodiConfig
    body: Body
    projection: Projection
    tokenizer: PreTrainedTokenizerBase
    revision: str | None = None
    lora_alpha: float | None = None
    session: Session = field(default_factory=Session, init=False, repr=False)
    programs: Programs = field(default_factory=Programs, init=False, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.body.tokens.device

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return self.body.tokens.dtype

    def encode(self, question: str) -> list[int]:
        """The prompt's ids without BOT: stripped, double spaces to one, EOS behind it if kept."""
        return self.encode_all([question])[0]

    def encode_all(self, questions: Sequence[str]) -> list[list[int]]:
        """The ids of many prompts, which takes less time than one by one."""
        texts = [checked(question.strip().replace("  ", " ")) for question in questions]
        each = self.tokenizer(texts)["input_ids"] if texts else []
        limit = self.longest_question
        if limit < 1:
            raise UserError(
                f"{self.name} reads {self.config.max_positions} positions, which leaves none for a "
                f"question beside {self.config.latents} latent steps and an answer; use fewer "
                "--latents, or a base that reads more"
            )
        for ids in each:
            if len(ids) > limit:
                raise UserError(
                    f"the question has {len(ids)} tokens, {self.name} reads at most {limit}; "
                    "shorten it"
                )
        return [[*ids, *[self.config.eos] * self.config.keep_eos] for ids in each]

    @property
    def longest_question(self) -> int:
        """Question tokens that leave room for BOT, the latents, EOT and a short answer."""
        return self.config.max_positions - self.config.latents - 4 - SHORT_ANSWER

    def text(self, ids: list[int]) -> str:
        """Generated ids as text; special tokens are dropped, as the official evaluation does."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))


def checked(text: str) -> str:
    """A question that can be read."""
    if not text:
        raise UserError("the question is empty; type a word problem with at least one word")
    if not is_unicode(text):
        raise UserError(f"the question {text!a} is no Unicode text; give it in UTF-8")
    return text


def is_unicode(text: str) -> bool:
    """Whether a text can be written down; bytes of a command line that are no UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


SHORT_ANSWER = 24
"""Answer tokens that a question must leave room for."""
