"""What tests of the trainer share: problems, a tokenizer, a student, and how to read a log."""

import json
from itertools import islice
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from steer_core.data.generate import generate_problems
from steer_core.data.problems import Problem
from steer_core.training.batch import answer_sentence
from steer_core.training.forward import Student
from steer_core.training.recipe import base_config
from steer_core.training.state import fresh_student, parameters
from steer_core.training.tokenizer import train_tokenizer

PROBLEMS = (
    Problem("Tom has 3 apples and buys 4 more. How many?", 7, ("<<3+4=7>>",)),
    Problem(
        "A box holds 12 eggs. How many are in 7 boxes, if 4 break?",
        80,
        ("<<12*7=84>>", "<<84-4=80>>"),
    ),
    Problem("Five.", 5),
)


def texts(count: int) -> list[str]:
    problems = islice(generate_problems(1), count)
    return [f"{p.question} {' '.join(p.chain)} {answer_sentence(p)}" for p in problems]


def small_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """As it is read back from its files."""
    train_tokenizer(texts(300)).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def large(arch: str, tokenizer: PreTrainedTokenizerFast) -> Student:
    """Fresh weights, four times as large: tokens attend to one another, errors show."""
    base = base_config(arch, len(tokenizer), tokenizer.eos_token_id)
    student = fresh_student(base, tokenizer, seed=0)
    with torch.no_grad():
        for _, parameter in parameters(student):
            if parameter.dim() > 1:
                parameter.mul_(4)
    return student


def log_of(folder: Path) -> list[dict]:
    rows = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
