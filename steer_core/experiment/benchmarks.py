"""The published test sets, and what published CODI models score on them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from steer_core.codi import hub
from steer_core.codi.known import KNOWN
from steer_core.codi.model import CodiModel
from steer_core.data.formats import KINDS as FORMATS
from steer_core.data.pairs import BUNDLED
from steer_core.data.problems import Problem
from steer_core.data.questions import load_problems
from steer_core.errors import UserError

TOLERANCE = 1.5
"""Points (percent) that a reproduction may be off."""
KINDS = (".parquet", ".jsonl", ".json")
"""Kinds of files, the preferred first; a repository may hold a split in several."""


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """A test set on the hub, as the official evaluation reads it.

    `splits` are joined in this order; `fields` name its question and answer; `folder` holds its
    files where the repository has several sets; `size` is the number of problems, None where it is
    not known.
    """

    repository: str
    splits: tuple[str, ...]
    fields: tuple[str, str] = ("question", "answer")
    folder: str | None = None
    size: int | None = None

    def choose(self, names: Collection[str]) -> list[str]:
        """The files of all splits, in their order, of one kind; [] unless there are all."""
        for kind in KINDS:
            parts = [self.files(names, split, kind) for split in self.splits]
            if all(parts):
                return [name for part in parts for name in part]
        return []

    def files(self, names: Collection[str], split: str, kind: str) -> list[str]:
        """The files of one split: `test.json`, `data/test-00000-of-00001.parquet` and the like."""
        folder = re.escape(f"{self.folder}/") if self.folder else "(?:.*/)?"
        pattern = re.compile(rf"{folder}{split}(?:-[^/]*)?{re.escape(kind)}")
        return sorted(name for name in names if pattern.fullmatch(name))


TEST_SETS = {
    "gsm8k": PublishedSet("openai/gsm8k", ("test",), folder="main", size=1319),
    "svamp": PublishedSet(
        "ChilleD/SVAMP", ("train", "test"), ("question_concat", "Answer"), size=1000
    ),
    "gsm-hard": PublishedSet("juyoung-trl/gsm-hard", ("train",), ("instruction", "response")),
    "multiarith": PublishedSet(
        "ChilleD/MultiArith", ("test",), ("question", "final_ans"), size=180
    ),
}
PUBLISHED = {
    # The paper's figure and public reproductions of it, in percent. Batches of the official code
    # attend to their padding, so its figures differ with the batch size.
    ("codi-gpt2", "gsm8k"): (43.7, 43.67, 43.14, 41.9),
    ("codi-gpt2", "svamp"): (42.9,),
    ("codi-gpt2", "gsm-hard"): (9.9,),
    ("codi-gpt2", "multiarith"): (92.8,),
    ("codi-llama-1b", "gsm8k"): (55.6, 55.5, 55.42),
    ("codi-llama-1b", "svamp"): (61.1,),
    ("codi-llama-1b", "gsm-hard"): (12.8,),
    ("codi-llama-1b", "multiarith"): (96.1,),
    ("simcot-llama-1b", "gsm8k"): (56.1, 55.88, 55.6),
    ("simcot-llama-3b", "gsm8k"): (62.3, 62.09),
    ("simcot-llama-8b", "gsm8k"): (64.1,),
}


def load_test_set(name_or_path: str) -> list[Problem]:
    """Problems of a published test set (fetched once), a bundled set, or a file.

    Raises:
        UserError: for an unknown name, or data that cannot be had or read.
    """
    found = TEST_SETS.get(name_or_path)
    if found is None:
        known = (*TEST_SETS, *BUNDLED)
        if name_or_path not in known and not Path(name_or_path).is_file():
            raise UserError(
                f"'{name_or_path}' is no test set and no file; choose {', '.join(known)}, or give "
                f"a {FORMATS} file"
            )
        return load_problems(name_or_path)
    folder, names = fetch_test_set(found)
    files = [load_problems(folder / name, found.fields) for name in names]
    problems = [problem for file in files for problem in file]
    if found.size not in (None, len(problems)):
        raise UserError(
            f"{found.repository} holds {len(problems)} problems where {found.size} are expected; "
            "give a local file of the test set"
        )
    return problems


def fetch_test_set(wanted: PublishedSet) -> tuple[Path, list[str]]:
    """A snapshot with the files of a test set, from the cache or the hub, and their names."""
    folder = hub.cached_snapshot(wanted.repository, None, "dataset")
    names = wanted.choose(hub.files_below(folder)) if folder else []
    if folder is None or not names:
        instead = "or give a local file with --data"
        folder = hub.fetch(wanted.repository, None, wanted.choose, instead, "dataset")
        names = wanted.choose(hub.files_below(folder))
    return folder, names


def published_figures(model: CodiModel, data: str) -> tuple[float, ...]:
    """Published accuracies (percent) of a model on a test set; () where there are none.

    The model is recognised by its name, its repository, or the hash of its weights.
    """
    for name, known in KNOWN.items():
        if model.name in (name, known.repository) or model.weights_sha256 == known.sha256:
            return PUBLISHED.get((name, data), ())
    return ()
