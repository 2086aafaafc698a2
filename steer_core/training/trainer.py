"""The training loop: resumable, logged, the same result for the same recipe on the same machine."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from steer_core.codi.layout import LAYOUT
from steer_core.codi.tensors import tensors_of
from steer_core.data.pairs import shipped_keys
from steer_core.errors import UserError
from steer_core.files import append, replacing, write_whole
from steer_core.training.batch import batches, draw, encode
from steer_core.training.losses import Outcome, Question, Student, codi_losses, reason
from steer_core.training.recipe import Recipe, base_config
from steer_core.training.state import (
    fresh_student,
    parameters,
    save_model,
    take_weights,
)
from steer_core.training.tokenizer import EOS, special_id, train_tokenizer

CHECKPOINT, LOG, RECIPE = "checkpoint.pt", "training_log.jsonl", "recipe.json"
TOKENIZER_TEXTS, TOKENIZER_SEED, VALIDATION_SEED = 20_000, 9_999_991, 9_999_973
VALIDATION = 256
CLIP = 1.0

log = logging.getLogger(__name__)
Progress = Callable[[dict], None]


class Trainer:
    """One run of one recipe in one folder.

    Args:
        recipe: What to train.
        folder: Where checkpoint, log and the finished model go; an unfinished run in it goes on.
        device: Where to train.

    Raises:
        UserError: when the folder holds a finished model.
    """

    def __init__(self, recipe: Recipe, folder: Path, device: torch.device):
        if (folder / RECIPE).exists():
            raise UserError(f"{folder} holds a finished model; train into another folder")
        self.recipe, self.folder, self.device = recipe, folder, device
        self.forbidden = shipped_keys()
        self.tokenizer = learned_tokenizer(self.forbidden)
        self.base = base_config(recipe.arch, len(self.tokenizer), special_id(self.tokenizer, EOS))
        student = fresh_student(self.base, self.tokenizer, recipe.seed)
        if recipe.init is not None:
            take_weights(student, recipe.init)
        self.student = on_device(student, device)
        self.optimizer = optimizer_of(self.student, recipe)
        self.step, self.seconds = 0, 0.0
        self.validation = encode(draw(VALIDATION_SEED, VALIDATION, self.forbidden), self.tokenizer)
        self.validation = self.validation.to(device)

    def run(self, progress: Progress, every: int = 100, save_every: int = 500) -> None:
        """Train to the end of the recipe, save the model, and leave no checkpoint behind."""
        self.resume()
        stream = batches(
            self.recipe.seed, self.recipe.batch, self.tokenizer, self.forbidden, self.step
        )
        began = time.monotonic() - self.seconds
        for batch in islice(stream, self.recipe.steps - self.step):
            outcome = self.advance(batch.to(self.device))
            self.seconds = time.monotonic() - began
            if self.step % every == 0:
                self.write_log(self.entry(outcome), progress)
            if self.step % save_every == 0:
                self.save_checkpoint()
        save_model(self.folder, self.student, self.base, self.tokenizer)
        write_whole(self.folder / RECIPE, json.dumps(dataclasses.asdict(self.recipe)) + "\n")
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    def advance(self, batch) -> Outcome:
        """One optimizer step."""
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.step)
        outcome = codi_losses(self.student, batch, self.step >= recipe.teacher_only * recipe.steps)
        self.optimizer.zero_grad(set_to_none=True)
        weighted(outcome, recipe).backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in parameters(self.student)], CLIP)
        self.optimizer.step()
        self.step += 1
        return outcome

    def entry(self, outcome: Outcome) -> dict:
        """One line of the log: losses of this batch, accuracies on the validation problems."""
        row = {"step": self.step, "of": self.recipe.steps, "seconds": round(self.seconds, 1)}
        for name in ("teacher", "student", "distill"):
            loss = getattr(outcome, name)
            row[f"{name}_loss"] = None if loss is None else round(loss.item(), 4)
        return row | validate(self.student, self.validation)

    def write_log(self, row: dict, progress: Progress) -> None:
        """Append to the log file and tell whoever watches."""
        self.folder.mkdir(parents=True, exist_ok=True)
        append(json.dumps(row) + "\n", self.folder / LOG)
        progress(row)

    def save_checkpoint(self) -> None:
        """Write the whole state beside the old one, then rename: a kill leaves one of the two."""
        state = {
            "layout": LAYOUT,
            "recipe": dataclasses.asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "weights": {name: p.detach() for name, p in parameters(self.student)},
            "optimizer": self.optimizer.state_dict(),
        }
        with replacing(self.folder / CHECKPOINT) as part:
            torch.save(state, part)

    def resume(self) -> None:
        """Go on from the folder's checkpoint, or from the start where there is none.

        Raises:
            UserError: when the checkpoint is of another recipe or an older trainer.
        """
        path = self.folder / CHECKPOINT
        if path.exists():
            self.restore(path)
        self.trim_log()

    def restore(self, path: Path) -> None:
        """Take over the state of a checkpoint."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["recipe"] != dataclasses.asdict(self.recipe):
            raise UserError(
                f"{path} belongs to another recipe ({state['recipe']}); "
                "train into another folder or repeat that recipe's options"
            )
        if state.get("layout") != LAYOUT:
            raise UserError(
                f"{path} was written by another version of the trainer, which kept weights in "
                "another order; train into another folder"
            )
        with torch.no_grad():
            for name, parameter in parameters(self.student):
                parameter.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def trim_log(self) -> None:
        """Drop log lines behind the present step: those steps are run again."""
        path = self.folder / LOG
        if path.exists():
            rows = path.read_text().splitlines()
            kept = [row for row in rows if json.loads(row)["step"] <= self.step]
            write_whole(path, "".join(f"{row}\n" for row in kept))


def learned_tokenizer(forbidden: frozenset[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of the bundled models, learned from generated problems."""
    problems = draw(TOKENIZER_SEED, TOKENIZER_TEXTS, forbidden)
    texts = [f"{p.question} {' '.join(p.chain)} The answer is: {p.answer}" for p in problems]
    return train_tokenizer(texts)


def on_device(student: Student, device: torch.device) -> Student:
    """Move every tensor in place, those that are not trained too."""
    for _, tensor in tensors_of(student):
        tensor.data = tensor.data.to(device)
    return student


def optimizer_of(student: Student, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; only matrices decay."""
    tensors = [p for _, p in parameters(student)]
    groups = [
        {"params": [p for p in tensors if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in tensors if p.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine to 2 % of the peak."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def weighted(outcome: Outcome, recipe: Recipe) -> Tensor:
    """The loss that is minimised."""
    loss = recipe.teacher_weight * outcome.teacher
    if outcome.student is not None and outcome.distill is not None:
        loss = loss + recipe.student_weight * outcome.student
        loss = loss + recipe.distill_weight * outcome.distill
    return loss


@torch.no_grad()
def validate(student: Student, batch) -> dict[str, float]:
    """Share of right numbers behind "The answer is:" on problems of a seed of their own.

    They are as common in training as any others: what generalises is measured on the test pairs.
    """
    outcome = codi_losses(student, batch, with_student=True)
    question = Question(student, batch)
    _, _, zeroed = reason(student, batch, question, scale=0.0)
    assert outcome.student_right is not None
    return {
        "teacher_accuracy": share(outcome.teacher_right),
        "latent_accuracy": share(outcome.student_right),
        "zeroed_accuracy": share(zeroed),
    }


def share(right: Tensor) -> float:
    """Mean of a bool tensor, rounded for the log."""
    return round(right.float().mean().item(), 4)
