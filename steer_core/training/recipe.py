"""What a bundled model is and how it is trained: every number that decides the outcome."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from transformers import GPT2Config, LlamaConfig, PretrainedConfig

from steer_core.errors import UserError

ARCHITECTURES = ("llama", "gpt2")
LATENTS = 6
Limit = tuple[Callable[[Any], bool], str]
MOST = 10**8
COUNT: Limit = (lambda x: 1 <= x <= MOST, f"from 1 to {MOST}")
WEIGHT: Limit = (lambda x: 0 <= x < math.inf, "a finite number, at least 0")
SHARE: Limit = (lambda x: 0 <= x <= 1, "between 0 and 1")
LIMITS: dict[str, Limit] = {
    "steps": COUNT,
    "batch": (lambda x: x >= 2 and x % 2 == 0, "an even number, at least 2: twins go together"),
    "learning_rate": (lambda x: 0 < x < math.inf, "a finite number above 0"),
    "warmup": (lambda x: x >= 0, "at least 0"),
    "weight_decay": WEIGHT,
    "teacher_only": (lambda x: 0 <= x < 1, "at least 0 and below 1, or the student never trains"),
    "teacher_every": COUNT,
    "teacher_weight": WEIGHT,
    "student_weight": WEIGHT,
    "distill_weight": WEIGHT,
    "lens_weight": WEIGHT,
    "swap_weight": WEIGHT,
    "chain_weight": WEIGHT,
    "easy_first": SHARE,
    "hidden_question": SHARE,
    "varied_words": SHARE,
    "seed": (lambda x: 0 <= x < 2**32, "at least 0 and below 2^32"),
}
"""What fields of a recipe may be, as a test that NaN fails and in words."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run.

    `steps` optimizer steps of `batch` problems each. `teacher_only` is the share of the steps
    before the student joins, `easy_first` that over which problems of more steps join. Once the
    student trains, the teacher, and distillation with it, does so at every `teacher_every`-th
    step; weights are those of CODI's three losses, then of the three by
    interchange (`steer_core.training.interchange`), with which a batch is made of twins.
    `hidden_question` is the share of rows whose answer sees BOT and latents only, `varied_words`
    that of questions with words dropped or swapped. `seed` decides data and weights; with `init`,
    the folder of a finished model, the weights are that model's, whose hash is `init_sha256`.
    """

    arch: str
    steps: int = 3000
    batch: int = 192
    learning_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.02
    teacher_only: float = 0.1
    teacher_every: int = 1
    teacher_weight: float = 1.0
    student_weight: float = 1.0
    distill_weight: float = 2.0
    lens_weight: float = 0.0
    swap_weight: float = 0.0
    chain_weight: float = 0.0
    easy_first: float = 0.6
    hidden_question: float = 0.0
    varied_words: float = 0.2
    seed: int = 0
    init: str | None = None
    init_sha256: str | None = None

    @property
    def interchange(self) -> bool:
        """Whether rows are pairs of twins, whose latents are swapped."""
        return self.swap_weight > 0 or self.chain_weight > 0

    def __post_init__(self) -> None:
        if self.arch not in ARCHITECTURES:
            raise UserError(
                f"unknown architecture '{self.arch}'; choose one of {', '.join(ARCHITECTURES)}"
            )
        usual = {field.name: field.default for field in fields(self)}
        for name, (fits, words) in LIMITS.items():
            value = getattr(self, name)
            if not fits(value):
                raise UserError(f"{name} {value} must be {words}; usual is {usual[name]}")


CAUSAL: dict[str, Any] = {
    "steps": 2000,
    "teacher_every": 2,
    "lens_weight": 1.0,
    "swap_weight": 0.5,
    "chain_weight": 0.5,
    "hidden_question": 0.4,
}
"""What differs in the recipe of a model that is trained by interchange too."""


def base_config(arch: str, vocabulary: int, eos: int) -> PretrainedConfig:
    """The standard transformers config of a bundled model (L 4, D 128)."""
    if arch == "gpt2":
        return GPT2Config(
            n_embd=128,
            n_layer=4,
            n_head=4,
            n_positions=1024,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            vocab_size=vocabulary,
            eos_token_id=eos,
            bos_token_id=eos,
        )
    return LlamaConfig(
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        vocab_size=vocabulary,
        eos_token_id=eos,
        bos_token_id=eos,
    )
