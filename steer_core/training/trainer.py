"""The training loop: resumable, logged, the same result for the same recipe on the same machine."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import re
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from steer_core.codi.layout import LAYOUT
from steer_core.codi.tensors import tensors_of
from steer_core.data.generate import generate_problems
from steer_core.data.pairs import load_pairs, shipped_keys
from steer_core.errors import UserError
from steer_core.files import append, replacing, write_whole
from steer_core.training.batch import Batch, Stream, alone_through, encode
from steer_core.training.forward import Forward, Speed, Student, fastest
from steer_core.training.interchange import chained, lens, swapped, visible
from steer_core.training.losses import answer, distillation, reason, teach
from steer_core.training.recipe import Recipe, base_config
from steer_core.training.state import (
    fresh_student,
    parameters,
    save_model,
    take_weights,
)
from steer_core.training.tokenizer import EOS, special_id, train_tokenizer

CHECKPOINT, LOG, RECIPE = "checkpoint.pt", "training_log.jsonl", "recipe.json"
TOKENIZER_TEXTS, TOKENIZER_SEED = 20_000, 9_999_991
VALIDATION = 120
"""Pairs of the validation set that are asked at every line of the log."""
WORTH_FUSING = 500
"""Steps of a run from which on it pays to fuse, which takes a minute or two at its start."""
CLIP = 1.0
EMBEDDED = re.compile(r"tokens|positions|head")
"""Matrices whose rows are looked up, not multiplied."""

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
            started = take_weights(student, recipe.init)
            self.recipe = dataclasses.replace(recipe, init_sha256=started)
        self.student = on_device(student, device)
        self.optimizers = optimizers_of(self.student, recipe)
        self.speed = fastest(device)
        if recipe.steps < WORTH_FUSING:
            self.speed = dataclasses.replace(self.speed, fused=False)
        self.step, self.seconds = 0, 0.0
        self.validation = validation_batch(self.tokenizer).to(device)

    def run(self, progress: Progress, every: int = 100, save_every: int = 500) -> None:
        """Train to the end of the recipe, save the model, and leave no checkpoint behind."""
        self.resume()
        recipe = self.recipe
        stream = Stream(
            recipe.seed,
            recipe.batch,
            self.tokenizer,
            self.forbidden,
            recipe.interchange,
            recipe.varied_words,
            recipe.hidden_question,
            recipe.easy_first * recipe.steps,
        ).batches(self.step)
        began = time.monotonic() - self.seconds
        for batch in islice(stream, recipe.steps - self.step):
            losses = self.advance(batch.to(self.device))
            self.seconds = time.monotonic() - began
            if self.step % every == 0:
                self.write_log(self.entry(losses), progress)
            if self.step % save_every == 0:
                self.save_checkpoint()
        save_model(self.folder, self.student, self.base, self.tokenizer)
        write_whole(self.folder / RECIPE, json.dumps(dataclasses.asdict(self.recipe)) + "\n")
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    def advance(self, batch: Batch) -> dict[str, Tensor]:
        """One optimizer step; its losses by name."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.recipe, self.step)
            optimizer.zero_grad(set_to_none=True)
        losses = losses_of(Forward(self.student, self.speed), batch, self.recipe, self.step)
        weighted(losses, self.recipe).backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in parameters(self.student)], CLIP)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        return losses

    def entry(self, losses: dict[str, Tensor]) -> dict:
        """One line of the log: losses of this batch, accuracies on the validation problems."""
        row = {"step": self.step, "of": self.recipe.steps, "seconds": round(self.seconds, 1)}
        row |= {f"{name}_loss": round(loss.item(), 4) for name, loss in losses.items()}
        return row | validate(self.student, self.validation, self.recipe.interchange)

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
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
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
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
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
    problems = islice(generate_problems(TOKENIZER_SEED, forbidden=forbidden), TOKENIZER_TEXTS)
    texts = [f"{p.question} {' '.join(p.chain)} The answer is: {p.answer}" for p in problems]
    return train_tokenizer(texts)


def validation_batch(tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Pairs of the shipped validation set, twins side by side."""
    pairs = load_pairs("validation")[:VALIDATION]
    problems = [problem for pair in pairs for problem in (pair.clean, pair.corrupted)]
    return encode(problems, tokenizer, [step for p in pairs for step in [alone_through(p)] * 2])


def on_device(student: Student, device: torch.device) -> Student:
    """Move every tensor in place, those that are not trained too."""
    for _, tensor in tensors_of(student):
        tensor.data = tensor.data.to(device)
    return student


def optimizers_of(student: Student, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices between states, AdamW for embeddings, norms and biases."""
    named = dict(parameters(student))
    between = {name for name, p in named.items() if p.dim() == 2 and not EMBEDDED.search(name)}
    rest = [p for name, p in named.items() if name not in between]
    if not hasattr(torch.optim, "Muon"):
        raise UserError(f"torch {torch.__version__} lacks Muon; train with torch 2.9 or newer")
    muon = torch.optim.Muon(
        [p for name, p in named.items() if name in between],
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    adam = torch.optim.AdamW(
        rest, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    return [muon, adam]


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine to 2 % of the peak."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def losses_of(forward: Forward, batch: Batch, recipe: Recipe, step: int) -> dict[str, Tensor]:
    """The losses of a batch at a step, by name; those of weight 0 are left out."""
    question = forward.read(batch.question, batch.question_mask)
    before = step < recipe.teacher_only * recipe.steps
    taught = None
    losses: dict[str, Tensor] = {}
    if before or step % recipe.teacher_every == 0:
        taught = teach(forward, batch, question)
        losses["teacher"] = taught.loss
    if before:
        return losses
    thoughts = reason(forward, question)
    seen = visible(batch, question, thoughts.contexts[-1])
    said = answer(forward, batch, thoughts.contexts[-1], seen)
    losses["student"] = said.loss
    if taught is not None:
        losses["distill"] = distillation(said.states, taught.states)
    if recipe.lens_weight:
        losses["lens"], _ = lens(forward, thoughts.outputs, batch.results)
    if recipe.swap_weight:
        losses["swap"] = swapped(forward, batch, question, thoughts).loss
    if recipe.chain_weight:
        read, answered = chained(forward, batch, question, thoughts)
        losses["chain"] = read + answered.loss
    return losses


def weighted(losses: dict[str, Tensor], recipe: Recipe) -> Tensor:
    """The loss that is minimised."""
    return torch.stack(
        [getattr(recipe, f"{name}_weight") * loss for name, loss in losses.items()]
    ).sum()


@torch.no_grad()
def validate(student: Student, batch: Batch, interchange: bool) -> dict[str, float]:
    """Shares of right numbers behind "The answer is:" on the validation problems.

    With `interchange` those too that are the twin's behind its latents, all or one of them, and of
    step results that the lens reads.
    """
    forward = Forward(student, Speed())
    question = forward.read(batch.question, batch.question_mask)
    thoughts = reason(forward, question)
    zeroed = reason(forward, question, scale=0.0)
    shares = {
        "teacher": teach(forward, batch, question).right,
        "latent": answer(forward, batch, thoughts.contexts[-1]).right,
        "zeroed": answer(forward, batch, zeroed.contexts[-1]).right,
    }
    if interchange:
        shares["swap"] = swapped(forward, batch, question, thoughts).right
        shares["chain"] = chained(forward, batch, question, thoughts)[1].right[batch.changed > 0]
        shares["lens"] = lens(forward, thoughts.outputs, batch.results)[1]
    return {f"{name}_accuracy": share(right) for name, right in shares.items()}


def share(right: Tensor) -> float:
    """Mean of a bool tensor, rounded for the log."""
    return round(right.float().mean().item(), 4)
