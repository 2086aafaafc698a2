"""What the trainer minimises: losses against a plain reference, and which weights they move."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from training_parts import PROBLEMS, large, small_tokenizer
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from steer_core.codi.config import family_of
from steer_core.codi.layout import named_tensors
from steer_core.training.batch import Batch, encode
from steer_core.training.context import Context
from steer_core.training.forward import Forward, Speed, Student
from steer_core.training.losses import Answered, answer, distillation, reason, teach
from steer_core.training.recipe import ARCHITECTURES, LATENTS, Recipe, base_config
from steer_core.training.state import fresh_student, parameters
from steer_core.training.trainer import losses_of, optimizers_of


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module", params=ARCHITECTURES)
def student(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> Student:
    return large(request.param, tokenizer)


@pytest.fixture
def batch(tokenizer: PreTrainedTokenizerFast) -> Batch:
    return encode(PROBLEMS, tokenizer)


def begun(student: Student, batch: Batch) -> tuple[Forward, Context]:
    """A pass that has read the questions."""
    forward = Forward(student, Speed())
    return forward, forward.read(batch.question, batch.question_mask)


def said(student: Student, batch: Batch, latents: int = LATENTS, scale: float = 1.0) -> Answered:
    """The answer behind latent thoughts."""
    forward, question = begun(student, batch)
    return answer(forward, batch, reason(forward, question, latents, scale).contexts[-1])


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
    forward, question = begun(student, batch)
    reason(forward, question)  # neither of them leaves anything in the question's context
    taught = teach(forward, batch, question)
    thoughts = reason(forward, question, scale=scale)
    found = answer(forward, batch, thoughts.contexts[-1])
    states, mine = taught.states, found.states
    close(taught.loss, torch.cat([losses for losses, _, _ in teacher]).mean())
    close(found.loss, torch.cat([losses for losses, _, _ in latent]).mean())
    assert taught.right.tolist() == [each for _, each, _ in teacher]
    assert found.right.tolist() == [each for _, each, _ in latent]
    theirs, targets = (
        [torch.stack(layer) for layer in zip(*(states for _, _, states in found), strict=True)]
        for found in (latent, teacher)
    )
    for got, wanted in zip((*mine, *states), (*theirs, *targets), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    layers = [F.smooth_l1_loss(a, b) / b.std() for a, b in zip(theirs, targets, strict=True)]
    close(distillation(mine, states), torch.stack(layers).mean())


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found.detach(), wanted.detach(), rtol=1e-5, atol=1e-5)


def test_latent_thoughts_reach_the_answer(student: Student, batch: Batch):
    """With them zeroed, or with fewer of them, the answer's loss is another."""
    usual, zeroed, fewer = (
        said(student, batch, *options).loss.item()
        for options in ((LATENTS, 1.0), (LATENTS, 0.0), (LATENTS - 1, 1.0))
    )
    assert abs(usual - zeroed) > 1e-3
    assert abs(usual - fewer) > 1e-3


def test_the_loss_of_a_row_does_not_depend_on_its_padding(
    student: Student, batch: Batch, tokenizer: PreTrainedTokenizerFast
):
    """A batch's losses are the means over its tokens: those of its rows, weighted by tokens."""
    singles = [encode([problem], tokenizer) for problem in PROBLEMS]
    for run, mask in ((taught, batch.cot_mask[:, 1:]), (said, batch.answer_mask)):
        together, alone = run(student, batch), [run(student, single) for single in singles]
        weights = mask.sum(1) / mask.sum()
        close(together.loss, (weights * torch.stack([each.loss for each in alone])).sum())
        assert torch.equal(together.right, torch.cat([each.right for each in alone]))


def taught(student: Student, batch: Batch) -> Answered:
    forward, question = begun(student, batch)
    return teach(forward, batch, question)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_bfloat16_changes_the_losses_by_rounding_only(
    arch: str, tokenizer: PreTrainedTokenizerFast, batch: Batch
):
    recipe = Recipe(arch, teacher_only=0)
    student = fresh_student(base_config(arch, len(tokenizer), 0), tokenizer, seed=0)
    exact, rounded = (
        losses_of(Forward(student, Speed(dtype)), batch, recipe, 1)
        for dtype in (torch.float32, torch.bfloat16)
    )
    for name in ("teacher", "student"):
        torch.testing.assert_close(rounded[name], exact[name], rtol=0.01, atol=0.01)
        assert rounded[name].item() != exact[name].item()


def test_gradients_reach_every_parameter(student: Student, batch: Batch):
    losses = losses_of(Forward(student, Speed()), batch, Recipe("llama", teacher_only=0), 0)
    (losses["student"] + losses["distill"]).backward()
    gradients = {name: p.grad for name, p in parameters(student)}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())
    assert [name for name, g in gradients.items() if not g.any()] == []
    # BOT and EOT are tokens of the student alone.
    assert gradients["body.tokens"][[student.bot, student.eot]].any(1).all()
    for _, parameter in parameters(student):
        parameter.grad = None


def test_the_teacher_alone_trains_no_projection(student: Student, batch: Batch):
    losses = losses_of(Forward(student, Speed()), batch, Recipe("llama", teacher_only=0.5), 0)
    assert list(losses) == ["teacher"]
    losses["teacher"].backward()
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


def test_muon_has_the_matrices_between_states_and_adam_the_rest(student: Student):
    muon, adam = optimizers_of(student, Recipe("llama", weight_decay=0.5))
    named = {id(p): (name, p.dim()) for name, p in parameters(student)}
    between, rest = (
        [named.pop(id(p)) for group in optimizer.param_groups for p in group["params"]]
        for optimizer in (muon, adam)
    )
    assert named == {}
    assert all(dim == 2 and ("blocks" in name or "projection" in name) for name, dim in between)
    embedded = {name for name, dim in rest if dim == 2}
    assert embedded - {"body.positions"} == {"body.tokens"}
    assert {group["weight_decay"] for group in muon.param_groups} == {0.5}
    assert {group["weight_decay"] for group in adam.param_groups} == {0.0}


def test_numbers_start_alike_where_their_digits_are(tokenizer: PreTrainedTokenizerFast):
    """37 is nearer to 38 and 47 than to 62, and no larger than other tokens."""
    base = base_config("llama", len(tokenizer), tokenizer.eos_token_id)
    tokens = fresh_student(base, tokenizer, seed=0).body.tokens.detach()
    ids = tokenizer.convert_tokens_to_ids([str(n) for n in range(1000)])
    numbers = F.normalize(tokens[ids], dim=-1)
    alike = numbers @ numbers.T
    assert min(alike[37, 38], alike[37, 47], alike[37, 137]) > alike[37, 62] + 0.1
    assert alike.fill_diagonal_(0).max() < 0.99
    assert tokens[ids].std().item() == pytest.approx(tokens.std().item(), rel=0.1)
