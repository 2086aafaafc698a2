"""The trainer of the bundled models: tokenizer, batches, losses, resuming, and what it saves."""

import json
from collections.abc import Iterator
from itertools import chain, islice, pairwise
from math import inf, nan
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from steer_core import UserError, decode, load_model
from steer_core.codi.config import family_of
from steer_core.codi.layout import named_tensors
from steer_core.data.generate import generate_problems
from steer_core.data.pairs import shipped_keys
from steer_core.data.problems import Problem, question_key
from steer_core.training import batch as batching
from steer_core.training import trainer as training
from steer_core.training.batch import Batch, answer_sentence, batches, draw, encode
from steer_core.training.losses import Question, Student, codi_losses, distillation, reason, teach
from steer_core.training.recipe import ARCHITECTURES, LATENTS, Recipe, base_config
from steer_core.training.state import fresh_student, parameters
from steer_core.training.tokenizer import BOT, EOS, EOT, PAD, train_tokenizer
from steer_core.training.trainer import Trainer, learning_rate, optimizer_of

MODELS = Path(__file__).parent.parent / "assets" / "models"
BUNDLED = ("tiny-llama", "tiny-gpt2")
NONE: frozenset[str] = frozenset()
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def texts(count: int) -> list[str]:
    problems = islice(generate_problems(1), count)
    return [f"{p.question} {' '.join(p.chain)} {answer_sentence(p)}" for p in problems]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    """As it is read back from its files."""
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(texts(300)).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


# --- tokenizer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "context",
    [
        "{}",
        "has {} apples",
        "${}.",
        "<<3*4={}>>",
        "The answer is: {}",
        "-{}%",
        "({}",
        "Á{}",
        "1,{}",
    ],
)
def test_every_number_is_the_same_one_token(tokenizer: PreTrainedTokenizerFast, context: str):
    numbers = range(1000)
    ids = tokenizer([context.format(n) for n in numbers])["input_ids"]
    wanted = tokenizer.convert_tokens_to_ids([str(n) for n in numbers])
    assert len(set(wanted)) == 1000
    assert {len(row) for row in ids} == {len(ids[0])}
    for row, token in zip(ids, wanted, strict=True):
        assert row.count(token) >= 1


@quick
@given(text=st.text())
def test_any_text_comes_back(tokenizer: PreTrainedTokenizerFast, text: str):
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert max(ids, default=0) < tokenizer.pad_token_id


@pytest.mark.parametrize(
    "text",
    ["😀 7 apples", "1234567", "007", "a  b\n\tc ", "naïve café 中文", " 5 ", "e\u0301", "\x00"],
)
def test_odd_text_comes_back(tokenizer: PreTrainedTokenizerFast, text: str):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_special_tokens_end_the_vocabulary(tokenizer: PreTrainedTokenizerFast):
    ids = tokenizer.convert_tokens_to_ids([EOS, PAD, BOT, EOT])
    base = len(tokenizer) - 3
    assert ids == [base - 1, base, base + 1, base + 2]
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (base - 1, base)


def test_word_problems_take_few_tokens(tokenizer: PreTrainedTokenizerFast):
    """Merges were learned: fewer than one token for three characters."""
    material = texts(50)
    count = sum(len(ids) for ids in tokenizer(material)["input_ids"])
    assert count * 3 < sum(map(len, material))


def test_blanks_cost_no_tokens_of_their_own(tokenizer: PreTrainedTokenizerFast):
    """The one before a number belongs to the word in front of it."""
    blank = tokenizer.convert_tokens_to_ids("Ġ")
    ids = [token for row in tokenizer(texts(50))["input_ids"] for token in row]
    assert ids.count(blank) < len(ids) / 100


def test_training_a_tokenizer_twice_gives_the_same(tokenizer: PreTrainedTokenizerFast):
    """A resumed run learns its tokenizer again."""
    again = train_tokenizer(texts(300))
    assert (
        again.backend_tokenizer.to_str() == train_tokenizer(texts(300)).backend_tokenizer.to_str()
    )
    assert again.get_vocab() == tokenizer.get_vocab()


# --- batches -------------------------------------------------------------------------------------

PROBLEMS = (
    Problem("Tom has 3 apples and buys 4 more. How many?", 7, ("<<3+4=7>>",)),
    Problem(
        "A box holds 12 eggs. How many are in 7 boxes, if 4 break?",
        80,
        ("<<12*7=84>>", "<<84-4=80>>"),
    ),
    Problem("Five.", 5),
)


def test_a_batch_holds_its_problems(tokenizer: PreTrainedTokenizerFast):
    batch = encode(PROBLEMS, tokenizer)
    for i, problem in enumerate(PROBLEMS):
        question = batch.question[i][batch.question_mask[i]]
        assert tokenizer.decode(question) == problem.question
        assert batch.question_mask[i, -len(question) :].all(), "not padded on the left"
        cot, answer = (
            ids[i][mask[i]]
            for ids, mask in ((batch.cot, batch.cot_mask), (batch.answer, batch.answer_mask))
        )
        sentence = f"The answer is: {problem.answer}{EOS}"
        assert tokenizer.decode(answer) == sentence
        assert tokenizer.decode(cot) == " ".join(problem.chain) + sentence
        assert batch.cot_mask[i, : len(cot)].all(), "not padded on the right"
        number = tokenizer.convert_tokens_to_ids(str(problem.answer))
        assert batch.cot[i, batch.cot_colon[i] + 1] == number
        assert batch.answer[i, batch.answer_colon[i] + 1] == number
        assert tokenizer.decode(batch.answer[i, batch.answer_colon[i]]) == ": "
    for ids, mask in (
        (batch.question, batch.question_mask),
        (batch.cot, batch.cot_mask),
        (batch.answer, batch.answer_mask),
    ):
        assert (ids[~mask] == tokenizer.pad_token_id).all()


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, n), getattr(other, n)) for n in Batch.__slots__)


def stream(tokenizer: PreTrainedTokenizerFast, count: int, seed: int = 0, start: int = 0, **more):
    options = {"forbidden": NONE, **more}
    return list(islice(batches(seed, 3, tokenizer, start=start, **options), count))


@pytest.mark.parametrize("start", [0, 1, 3, 4, 5, 8, 11])
def test_a_stream_goes_on_where_it_was_left(
    tokenizer: PreTrainedTokenizerFast, start: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batching, "POOL", 4)
    whole, tail = stream(tokenizer, 14), stream(tokenizer, 14 - start, start=start)
    assert all(same(one, other) for one, other in zip(whole[start:], tail, strict=True))


def test_another_seed_is_another_stream(tokenizer: PreTrainedTokenizerFast):
    one, other = (stream(tokenizer, 2, seed) for seed in (0, 1))
    assert not any(same(a, b) for a, b in zip(one, other, strict=True))


def questions(found: list[Batch], tokenizer: PreTrainedTokenizerFast) -> list[str]:
    rows = chain.from_iterable(zip(b.question, b.question_mask, strict=True) for b in found)
    return [tokenizer.decode(ids[mask]) for ids, mask in rows]


def test_a_pool_is_drawn_once_and_used_whole(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batching, "POOL", 4)
    drawn = [problem.question for problem in draw(0, 12, NONE)]
    assert sorted(questions(stream(tokenizer, 4), tokenizer)) == sorted(drawn)


def test_forbidden_problems_are_left_out_and_the_others_stay():
    plain = draw(3, 60, NONE)
    forbidden = frozenset(question_key(problem.question) for problem in plain[::2])
    kept = draw(3, 30, forbidden)
    wanted = [p for p in plain if question_key(p.question) not in forbidden]
    assert kept[: len(wanted)] == wanted
    assert not forbidden & {question_key(problem.question) for problem in kept}


def test_no_shipped_problem_is_in_the_stream(tokenizer: PreTrainedTokenizerFast):
    """A twin of every shipped question is generated by the same templates: some would be."""
    keys = shipped_keys()
    found = questions(stream(tokenizer, 160, forbidden=keys), tokenizer)
    assert len(found) == 480
    assert not keys & {question_key(question) for question in found}


# --- losses --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=ARCHITECTURES)
def student(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Student:
    return large(request.param, tokenizer)


def large(arch: str, tokenizer: PreTrainedTokenizerFast) -> Student:
    """Fresh weights, four times as large: tokens attend to one another, errors show."""
    base = base_config(arch, len(tokenizer), tokenizer.eos_token_id)
    student = fresh_student(base, tokenizer, seed=0)
    with torch.no_grad():
        for _, parameter in parameters(student):
            if parameter.dim() > 1:
                parameter.mul_(4)
    return student


@pytest.fixture
def batch(tokenizer: PreTrainedTokenizerFast) -> Batch:
    return encode(PROBLEMS, tokenizer)


class OnePiece:
    """The reference: transformers' model, one row, the whole sequence in one piece, no cache."""

    def __init__(self, student: Student, arch: str, tokenizer: PreTrainedTokenizerFast):
        base = base_config(arch, len(tokenizer), tokenizer.eos_token_id)
        lm = AutoModelForCausalLM.from_config(base, attn_implementation="eager")
        weights = dict(named_tensors(student.body, family_of(base)))
        assert lm.load_state_dict(weights, strict=False).unexpected_keys == []
        lm.tie_weights()
        self.lm, self.student = lm.eval(), student
        blocks = lm.transformer.h if arch == "gpt2" else lm.model.layers
        for block in blocks:
            block.register_forward_hook(self.keep)

    def keep(self, _block, _inputs, output) -> None:
        self.blocks.append(output[0] if output.dim() == 3 else output)

    def embed(self, ids: Tensor) -> Tensor:
        return self.lm.get_input_embeddings()(ids)

    def run(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """x [T, D] to logits [T, V], normed hidden states [T, D], outputs of the blocks [T, D]."""
        self.blocks: list[Tensor] = []
        out = self.lm(inputs_embeds=x[None], output_hidden_states=True, use_cache=False)
        return out.logits[0], out.hidden_states[-1][0], self.blocks

    def row(self, batch: Batch, i: int, name: str) -> Tensor:
        return getattr(batch, name)[i][getattr(batch, f"{name}_mask")[i]]

    @torch.no_grad()
    def teacher(self, batch: Batch, i: int) -> tuple[Tensor, bool, list[Tensor]]:
        """Losses of the tokens behind the chain's first, whether the number is right, states."""
        question, cot = self.row(batch, i, "question"), self.row(batch, i, "cot")
        logits, _, blocks = self.run(self.embed(torch.cat((question, cot))))
        behind = logits[len(question) : -1]
        colon = int(batch.cot_colon[i])
        states = [block[len(question) + colon] for block in blocks]
        right = bool(behind[colon].argmax() == cot[colon + 1])
        return F.cross_entropy(behind, cot[1:], reduction="none"), right, states

    @torch.no_grad()
    def latent(self, batch: Batch, i: int, scale: float) -> tuple[Tensor, bool, list[Tensor]]:
        """The same of the answer behind K latent thoughts, each fed times `scale`."""
        question, answer = self.row(batch, i, "question"), self.row(batch, i, "answer")
        x = self.embed(torch.cat((question, torch.tensor([self.student.bot]))))
        for _ in range(LATENTS):
            thought = self.student.projection(self.run(x)[1][-1:]) * scale
            x = torch.cat((x, thought))
        ids = torch.cat((torch.tensor([self.student.eot]), answer))
        logits, _, blocks = self.run(torch.cat((x, self.embed(ids))))
        behind = logits[len(x) : -1]
        colon = int(batch.answer_colon[i])
        states = [block[len(x) + 1 + colon] for block in blocks]
        right = bool(behind[colon + 1].argmax() == answer[colon + 1])
        return F.cross_entropy(behind, answer, reduction="none"), right, states


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_the_losses_are_those_of_one_piece(
    arch: str, scale: float, tokenizer: PreTrainedTokenizerFast, batch: Batch
):
    """Teacher and student share the question's keys and values here, and nothing there."""
    student = large(arch, tokenizer)
    reference = OnePiece(student, arch, tokenizer)
    rows = range(len(PROBLEMS))
    teacher = [reference.teacher(batch, i) for i in rows]
    latent = [reference.latent(batch, i, scale) for i in rows]
    question = Question(student, batch)
    reason(student, batch, question)  # neither of them leaves anything in the question's cache
    states, loss, right = teach(student, batch, question)
    mine, latent_loss, latent_right = reason(student, batch, question, scale=scale)
    close(loss, torch.cat([losses for losses, _, _ in teacher]).mean())
    close(latent_loss, torch.cat([losses for losses, _, _ in latent]).mean())
    assert right.tolist() == [each for _, each, _ in teacher]
    assert latent_right.tolist() == [each for _, each, _ in latent]
    theirs, targets = (
        [torch.stack(layer) for layer in zip(*(states for _, _, states in found), strict=True)]
        for found in (latent, teacher)
    )
    for found, wanted in zip((*mine, *states), (*theirs, *targets), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    layers = [F.smooth_l1_loss(a, b) / b.std() for a, b in zip(theirs, targets, strict=True)]
    close(distillation(mine, states), torch.stack(layers).mean())


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found.detach(), wanted.detach(), rtol=1e-5, atol=1e-5)


def test_latent_thoughts_reach_the_answer(student: Student, batch: Batch):
    """With them zeroed, or with fewer of them, the answer's loss is another."""
    usual, zeroed, fewer = (
        reason(student, batch, Question(student, batch), *options)[1].item()
        for options in ((LATENTS, 1.0), (LATENTS, 0.0), (LATENTS - 1, 1.0))
    )
    assert abs(usual - zeroed) > 1e-3
    assert abs(usual - fewer) > 1e-3


def test_the_loss_of_a_row_does_not_depend_on_its_padding(
    student: Student, batch: Batch, tokenizer: PreTrainedTokenizerFast
):
    """A batch's losses are the means over its tokens: those of its rows, weighted by tokens."""
    together = codi_losses(student, batch, with_student=True)
    alone = [codi_losses(student, encode([p], tokenizer), with_student=True) for p in PROBLEMS]
    for name, mask in (("teacher", batch.cot_mask[:, 1:]), ("student", batch.answer_mask)):
        weights = mask.sum(1) / mask.sum()
        rows = torch.stack([getattr(each, name) for each in alone])
        close(getattr(together, name), (weights * rows).sum())
    for name in ("teacher_right", "student_right"):
        assert torch.equal(getattr(together, name), torch.cat([getattr(a, name) for a in alone]))


def test_gradients_reach_every_parameter(student: Student, batch: Batch):
    outcome = codi_losses(student, batch, with_student=True)
    (outcome.student + outcome.distill).backward()
    gradients = {name: p.grad for name, p in parameters(student)}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())
    assert [name for name, g in gradients.items() if not g.any()] == []
    # BOT and EOT are tokens of the student alone.
    assert gradients["body.tokens"][[student.bot, student.eot]].any(1).all()
    for _, parameter in parameters(student):
        parameter.grad = None


def test_the_teacher_alone_trains_no_projection(student: Student, batch: Batch):
    outcome = codi_losses(student, batch, with_student=False)
    assert outcome.student is outcome.distill is outcome.student_right is None
    outcome.teacher.backward()
    untrained = {name for name, p in parameters(student) if p.grad is None}
    assert untrained == {name for name, _ in parameters(student) if name.startswith("projection")}
    for _, parameter in parameters(student):
        parameter.grad = None


def test_distillation_moves_the_student_towards_the_teacher_only():
    mine, target = (torch.randn(4, 8, requires_grad=True) for _ in range(2))
    distillation([mine], [target]).backward()
    assert mine.grad.any()
    assert target.grad is None


def test_parameters_are_named_once_and_frequencies_are_none(student: Student):
    names = [name for name, _ in parameters(student)]
    assert len(names) == len(set(names))
    assert len({id(p) for _, p in parameters(student)}) == len(names)
    assert not [name for name in names if "frequencies" in name]
    assert all(p.requires_grad and p.is_leaf for _, p in parameters(student))


def test_fresh_weights_depend_on_the_seed_alone(tokenizer: PreTrainedTokenizerFast):
    base = base_config("llama", len(tokenizer), tokenizer.eos_token_id)
    one, again, other = (dict(parameters(fresh_student(base, tokenizer, s))) for s in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["body.tokens"], other["body.tokens"])
    assert not torch.equal(one["projection.first.weight"], other["projection.first.weight"])


# --- the run -------------------------------------------------------------------------------------

CPU = torch.device("cpu")
SHORT = {"steps": 6, "batch": 3, "warmup": 2, "teacher_only": 0.34}


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """A tokenizer from few texts, and few problems to validate on."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(training, "TOKENIZER_TEXTS", 300)
        monkeypatch.setattr(training, "VALIDATION", 8)
        monkeypatch.setattr(batching, "POOL", 4)
        yield


def train(folder: Path, arch: str, kill_at: int | None = None, save_every: int = 3) -> list[dict]:
    """Train to the end, or until a kill behind the log line of that step; the lines seen."""
    seen: list[dict] = []

    def progress(row: dict) -> None:
        seen.append(row)
        if row["step"] == kill_at:
            raise KeyboardInterrupt

    trainer = Trainer(Recipe(arch, **SHORT), folder, CPU)
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


def log_of(folder: Path) -> list[dict]:
    rows = [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


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


def test_the_log_says_what_was_learned(straight: tuple[str, Path]):
    _, folder = straight
    rows = log_of(folder)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["of"] for row in rows} == {6}
    # The student joins behind the first third.
    joined = [row["student_loss"] is not None for row in rows]
    assert joined == [row["distill_loss"] is not None for row in rows]
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
    asked = Question(student, alone(question))
    hidden = asked.go_on(asked.cache, student.body.embed(torch.tensor([[student.bot]])), one, 0)
    for step in range(LATENTS):
        hidden = asked.go_on(asked.cache, student.projection(hidden), one, 1 + step)
    found: list[int] = []
    token = student.eot
    while len(found) < limit:
        x = student.body.embed(torch.tensor([[token]]))
        hidden = asked.go_on(asked.cache, x, one, 1 + LATENTS + len(found))
        token = int(student.body.logits(hidden)[0, -1, :-1].argmax())
        if token == eos:
            break
        found.append(token)
    return found


def alone(question: Tensor) -> Batch:
    """A batch of one question and nothing else."""
    empty = question[None, :0]
    mask = torch.ones_like(question[None], dtype=torch.bool)
    none = torch.zeros(1, dtype=torch.long)
    return Batch(question[None], mask, empty, mask[:, :0], none, empty, mask[:, :0], none, none)


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


def test_only_matrices_decay(student: Student):
    optimizer = optimizer_of(student, Recipe("llama", weight_decay=0.5))
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    every = [id(p) for g in optimizer.param_groups for p in g["params"]]
    assert decayed == {id(p) for _, p in parameters(student) if p.dim() == 2}
    assert sorted(every) == sorted(id(p) for _, p in parameters(student))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arch": "bert"}, "'bert'; choose one of llama, gpt2"),
        ({"steps": 0}, "steps 0 must be at least 1; usual is 7700"),
        ({"batch": -1}, "batch -1 must be at least 1;"),
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


# --- what is shipped -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
def test_a_shipped_model_is_complete_and_small(name: str):
    files = {path.name: path.stat().st_size for path in (MODELS / name).iterdir()}
    assert {
        "codi.json",
        "config.json",
        "model.safetensors",
        "recipe.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_log.jsonl",
    } <= set(files)
    assert "checkpoint.pt" not in files
    assert sum(files.values()) <= 20_000_000


@pytest.mark.parametrize("name", BUNDLED)
def test_a_shipped_log_reaches_the_end_of_its_recipe(name: str):
    rows = log_of(MODELS / name)
    recipe = Recipe(**json.loads((MODELS / name / "recipe.json").read_text()))
    assert recipe.arch == name.removeprefix("tiny-")
    steps = [row["step"] for row in rows]
    assert steps == sorted(set(steps))
    assert rows[-1]["of"] == recipe.steps  # earlier rows show a schedule that was changed since
    assert recipe.steps - steps[-1] < 100


@pytest.mark.parametrize("name", BUNDLED)
def test_a_shipped_model_is_of_this_projects_kind(name: str):
    model = load_model(name, device="cpu", dtype="float32")
    config, tokenizer = model.config, model.tokenizer
    assert (config.latents, config.keep_eos) == (LATENTS, False)
    ids = tokenizer.convert_tokens_to_ids([EOS, PAD, BOT, EOT])
    assert ids == [config.eos, config.pad, config.bot, config.eot]
    assert ids == [config.vocabulary - 4 + i for i in range(4)]
    rows = tokenizer([f"Tom has {number} apples." for number in range(1000)])["input_ids"]
    assert len({len(row) for row in rows}) == 1
    assert all(tokenizer.convert_tokens_to_ids(str(n)) in row for n, row in enumerate(rows))
