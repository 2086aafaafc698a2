"""A run of the trainer: resuming, what it saves, and recipes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import inf, nan
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from training_parts import PROBLEMS, log_of

from steer_core import UserError, decode, load_model
from steer_core.data.pairs import shipped_keys
from steer_core.training import batch as batching
from steer_core.training import trainer as training
from steer_core.training.forward import Forward, Speed, Student
from steer_core.training.recipe import ARCHITECTURES, CAUSAL, LATENTS, Recipe
from steer_core.training.state import parameters
from steer_core.training.trainer import Trainer, learning_rate

CPU = torch.device("cpu")
SHORT = {"steps": 6, "batch": 4, "warmup": 2, "teacher_only": 0.34}
KINDS = {"plain": SHORT, "causal": CAUSAL | SHORT}


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """A tokenizer from few texts, and few problems to validate on."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(training, "TOKENIZER_TEXTS", 300)
        monkeypatch.setattr(training, "VALIDATION", 4)
        monkeypatch.setattr(batching, "POOL", 4)
        yield


def train(
    folder: Path,
    arch: str,
    kill_at: int | None = None,
    save_every: int = 3,
    kind: str = "plain",
) -> list[dict]:
    """Train to the end, or until a kill behind the log line of that step; the lines seen."""
    seen: list[dict] = []

    def progress(row: dict) -> None:
        seen.append(row)
        if row["step"] == kill_at:
            raise KeyboardInterrupt

    trainer = Trainer(Recipe(arch, **KINDS[kind]), folder, CPU)
    try:
        trainer.run(progress, every=1, save_every=save_every)
    except KeyboardInterrupt:
        assert kill_at is not None
    return seen


@pytest.fixture(scope="module", params=ARCHITECTURES)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp(request.param) / "model"
    trainer = Trainer(Recipe(request.param, **SHORT), folder, CPU)
    trainer.run(lambda row: None, every=1, save_every=3)
    return trainer


@pytest.fixture(scope="module")
def straight(finished: Trainer) -> tuple[str, Path]:
    """Its architecture and folder."""
    return finished.recipe.arch, finished.folder


@pytest.mark.parametrize(
    ("kill_at", "save_every"),
    [(4, 3), (2, 3), (5, 2)],
    ids=["behind a checkpoint", "before the first", "on the way"],
)
def test_a_killed_run_ends_as_if_nothing_had_happened(
    straight: tuple[str, Path], tmp_path: Path, kill_at: int, save_every: int
):
    """Weights to the bit, and every step once in the log."""
    arch, folder = straight
    train(tmp_path, arch, kill_at, save_every)
    assert log_of(tmp_path)[-1]["step"] == kill_at
    assert not (tmp_path / "model.safetensors").exists()
    seen = train(tmp_path, arch, save_every=save_every)
    assert seen[0]["step"] == kill_at // save_every * save_every + 1
    names = sorted(path.name for path in folder.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        if name == "training_log.jsonl":
            assert log_of(tmp_path) == log_of(folder)
        else:
            assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_run_by_interchange_gives_the_same_weights_again(tmp_path: Path):
    """Straight, and killed and resumed: pairs, swaps and hidden questions are fixed by the seed."""
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    train(straight, "llama", kind="causal")
    train(killed, "llama", kill_at=4, kind="causal")
    train(killed, "llama", kind="causal")
    weights = [(folder / "model.safetensors").read_bytes() for folder in (straight, killed)]
    assert weights[0] == weights[1]
    rows = log_of(straight)
    assert rows == log_of(killed)
    losses = {name.removesuffix("_loss") for name in rows[-1] if name.endswith("_loss")}
    assert losses == {"student", "lens", "swap", "chain"}, "the teacher rests at odd steps"
    assert {"teacher_loss", "distill_loss"} <= set(rows[-2])
    assert {"swap_accuracy", "chain_accuracy", "lens_accuracy"} <= set(rows[-1])


def test_the_log_says_what_was_learned(straight: tuple[str, Path]):
    _, folder = straight
    rows = log_of(folder)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["of"] for row in rows} == {6}
    # The student joins behind the first third.
    joined = ["student_loss" in row for row in rows]
    assert joined == ["distill_loss" in row for row in rows]
    assert joined == [False] * 3 + [True] * 3
    for row in rows:
        assert row["teacher_loss"] > 0
        shares = [row[f"{name}_accuracy"] for name in ("teacher", "latent", "zeroed")]
        assert all(0 <= share <= 1 for share in shares)


def test_a_finished_folder_holds_the_model_and_no_checkpoint(straight: tuple[str, Path]):
    arch, folder = straight
    assert {path.name for path in folder.iterdir()} == {
        "codi.json",
        "config.json",
        "model.safetensors",
        "recipe.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_log.jsonl",
    } | ({"generation_config.json"} & {path.name for path in folder.iterdir()})
    assert Recipe(**json.loads((folder / "recipe.json").read_text())) == Recipe(arch, **SHORT)


def test_a_finished_folder_is_not_trained_again(straight: tuple[str, Path]):
    arch, folder = straight
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match="holds a finished model; train into another folder"):
        train(folder, arch)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_run_starts_from_a_finished_model(straight: tuple[str, Path], tmp_path: Path):
    arch, folder = straight
    recipe = Recipe(arch, **{**SHORT, "init": str(folder), "seed": 5})
    trainer = Trainer(recipe, tmp_path / "next", CPU)
    wanted = load_file(folder / "model.safetensors")
    tokens = next(tensor for name, tensor in wanted.items() if "wte" in name or "embed" in name)
    assert torch.equal(trainer.student.body.tokens.detach(), tokens)
    assert trainer.student.projection.first is not None
    assert torch.equal(trainer.student.projection.first.weight.detach(), wanted["prj.1.weight"])
    model = load_model(str(folder), device="cpu", dtype="float32")
    assert trainer.recipe == replace(recipe, init_sha256=model.weights_sha256)


def test_a_run_does_not_start_from_another_architecture(straight: tuple[str, Path], tmp_path: Path):
    arch, folder = straight
    other = next(name for name in ARCHITECTURES if name != arch)
    with pytest.raises(UserError, match="another shape"):
        Trainer(Recipe(other, **{**SHORT, "init": str(folder)}), tmp_path / "next", CPU)


@pytest.mark.parametrize("change", [{"seed": 1}, {"arch": "gpt2"}, {"steps": 7}])
def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path, change: dict):
    train(tmp_path, "llama", kill_at=4)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    recipe = Recipe(**({"arch": "llama"} | SHORT | change))
    with pytest.raises(UserError, match=r"another recipe .*; train into another folder"):
        Trainer(recipe, tmp_path, CPU).run(lambda row: None)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert log_of(tmp_path)[-1]["step"] == 4


def test_a_checkpoint_with_weights_in_another_order_is_refused(tmp_path: Path):
    train(tmp_path, "llama", kill_at=4)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["layout"]  # as it was before there was one
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="another version of the trainer"):
        Trainer(Recipe("llama", **SHORT), tmp_path, CPU).run(lambda row: None)


def test_training_leaves_the_shipped_problems_out(tmp_path: Path):
    trainer = Trainer(Recipe("llama", **SHORT), tmp_path, CPU)
    assert trainer.forbidden == shipped_keys()
    assert len(trainer.forbidden) > 1000


@torch.no_grad()
def written(student: Student, question: Tensor, eos: int, limit: int) -> list[int]:
    """Greedy ids behind K latents, with the training-time forward: no engine, no padding."""
    one = torch.ones(1, 1, dtype=torch.bool)
    forward = Forward(student, Speed())
    context = forward.read(question[None], one.expand(1, len(question)))

    def go_on(x: Tensor) -> Tensor:
        return forward.run(context, x, one)[-1]

    def embedded(token: int) -> Tensor:
        return student.body.embed(torch.tensor([[token]]))

    output = go_on(embedded(student.bot))
    for _ in range(LATENTS):
        output = go_on(forward.think(output))
    found: list[int] = []
    token = student.eot
    while len(found) < limit:
        hidden = student.body.norm(go_on(embedded(token)))
        token = int(student.body.head.logits(hidden)[0, -1, :-1].argmax())
        if token == eos:
            break
        found.append(token)
    return found


def test_a_saved_model_decodes_as_it_was_trained(finished: Trainer):
    """Written files, loaded, decoded in one batch by the engine; against the trainer's forward."""
    model = load_model(str(finished.folder), device="cpu", dtype="float32")
    assert (model.config.layers, model.config.hidden, model.config.latents) == (4, 128, LATENTS)
    stored = dict(parameters(model.body, "body"))
    stored |= dict(parameters(model.projection, "projection"))
    for name, parameter in parameters(finished.student):
        assert torch.equal(stored.pop(name), parameter)
    assert stored == {}
    asked = [p.question for p in PROBLEMS]
    rows = decode(model, asked, max_new_tokens=6)
    eos = finished.tokenizer.eos_token_id
    for question, row in zip(asked, rows, strict=True):
        ids = torch.tensor(finished.tokenizer(question)["input_ids"])
        assert row.prompt_tokens == len(ids) + 1
        assert list(row.token_ids) == written(finished.student, ids, eos, 6)


@pytest.mark.gpu
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_training_on_a_gpu(arch: str, tmp_path: Path):
    rows: list[dict] = []
    trainer = Trainer(Recipe(arch, **SHORT), tmp_path, torch.device("cuda"))
    trainer.run(rows.append, every=1)
    assert rows[-1]["distill_loss"] > 0
    load_model(str(tmp_path), device="cuda")


# --- recipe --------------------------------------------------------------------------------------


def test_the_learning_rate_warms_up_and_falls_to_a_fiftieth():
    recipe = Recipe("llama", steps=100, warmup=10, learning_rate=1.0)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == 1.0
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert learning_rate(recipe, 100) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arch": "bert"}, "'bert'; choose one of llama, gpt2"),
        ({"steps": 0}, "steps 0 must be from 1 to 100000000; usual is 3000"),
        ({"batch": 3}, "batch 3 must be an even number, at least 2"),
        ({"teacher_every": 0}, "teacher_every 0 must be from 1 to 100000000;"),
        ({"lens_weight": nan}, "lens_weight nan must"),
        ({"swap_weight": -1.0}, r"swap_weight -1\.0 must"),
        ({"chain_weight": inf}, "chain_weight inf must"),
        ({"hidden_question": 1.1}, r"hidden_question 1\.1 must be between 0 and 1;"),
        ({"varied_words": nan}, "varied_words nan must be between 0 and 1;"),
        ({"learning_rate": nan}, "learning_rate nan must be a finite number above 0;"),
        ({"learning_rate": inf}, "learning_rate inf must"),
        ({"learning_rate": 0.0}, r"learning_rate 0\.0 must"),
        ({"warmup": -1}, "warmup -1 must be at least 0;"),
        ({"weight_decay": -0.1}, r"weight_decay -0\.1 must be a finite number, at least 0;"),
        ({"weight_decay": nan}, "weight_decay nan must"),
        ({"teacher_only": 1.0}, r"teacher_only 1\.0 must be .* below 1, or the student never"),
        ({"teacher_only": -0.1}, r"teacher_only -0\.1 must"),
        ({"teacher_only": nan}, "teacher_only nan must"),
        ({"teacher_weight": nan}, "teacher_weight nan must"),
        ({"student_weight": -1.0}, r"student_weight -1\.0 must"),
        ({"distill_weight": inf}, "distill_weight inf must"),
        ({"seed": -1}, "seed -1 must"),
        ({"seed": 2**32}, r"seed 4294967296 must be at least 0 and below 2\^32;"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused(options: dict, message: str):
    with pytest.raises(UserError, match=message):
        Recipe(**({"arch": "llama"} | options))
