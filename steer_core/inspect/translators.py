"""Tuned lens: a map for each layer, fitted so that its states speak as the last one does."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from steer_core.codi.model import CodiModel
from steer_core.errors import UserError
from steer_core.files import replacing
from steer_core.steering.fit import FitSet, Provenance
from steer_core.steering.library import bundled_fit, kept_folder

STEPS, RATE, BATCH = 250, 1e-2, 256
DECAY = 1e-3
"""Weight decay towards the identity: few states fit a map of D x D numbers easily."""


@dataclass(frozen=True, slots=True, eq=False)
class Translators:
    """For layers 0..L-1 the map x -> x + x A^T + b: `matrices` float32 [L, D, D], `biases` [L, D].

    Source: Belrose et al., "Eliciting Latent Predictions from Transformers with the Tuned Lens",
    2023. `provenance` says which model and problems they were fitted on.
    """

    matrices: Tensor
    biases: Tensor
    provenance: Provenance

    def __call__(self, layer: int, x: Tensor) -> Tensor:
        """States [..., D] of a layer, translated; float32."""
        x = x.float()
        matrix, bias = (part[layer].to(x.device) for part in (self.matrices, self.biases))
        return x + x @ matrix.T + bias


def fit_translators(
    model: CodiModel,
    fit: FitSet,
    *,
    seed: int = 0,
    steps: int = STEPS,
    stop: Callable[[], bool] = lambda: False,
) -> Translators:
    """Fit the maps on the latent positions of a fit set, each to the distribution behind h_k.

    Args:
        model: The model.
        fit: States of its problems.
        seed: Of the order of the states.
        steps: Steps of Adam for each layer.
        stop: Asked before each layer; True ends with the identity for the rest.
    """
    latents = fit.states[:, 1:]
    states = torch.from_numpy(latents.reshape(-1, *latents.shape[2:]))
    layers, hidden = model.config.layers, model.config.hidden
    matrices, biases = torch.zeros(layers, hidden, hidden), torch.zeros(layers, hidden)
    with torch.inference_mode():
        wanted = model.body.head.logits(states[:, -1].to(model.device, model.dtype))
        wanted = wanted.float().log_softmax(-1)
    for layer in range(layers):
        if stop():
            break
        matrices[layer], biases[layer] = fit_one(
            model, states[:, layer].to(model.device), wanted, seed, steps
        )
    return Translators(matrices, biases, fit.provenance)


def fit_one(
    model: CodiModel, states: Tensor, wanted: Tensor, seed: int, steps: int
) -> tuple[Tensor, Tensor]:
    """Matrix [D, D] and bias [D] of one layer, from states [n, D] to log-probabilities [n, V]."""
    generator = torch.Generator().manual_seed(seed)
    size = states.shape[1]
    matrix = torch.zeros(size, size, device=states.device, requires_grad=True)
    bias = torch.zeros(size, device=states.device, requires_grad=True)
    optimizer = torch.optim.AdamW([matrix, bias], RATE / size**0.5, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        some = torch.randint(len(states), (min(BATCH, len(states)),), generator=generator)
        some = some.to(states.device)
        x, target = states[some].float().clone(), wanted[some].clone()
        moved = x + x @ matrix.T + bias
        said = model.body.head.logits(model.body.norm(moved.to(model.dtype))).float()
        gap = target - said.log_softmax(-1)
        loss = (target.exp() * gap).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return matrix.detach().cpu(), bias.detach().cpu()


def save_translators(translators: Translators, path: Path) -> None:
    """Write them with their provenance."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"matrices": translators.matrices, "biases": translators.biases}
    about = {"translators": json.dumps(asdict(translators.provenance), sort_keys=True)}
    with replacing(path) as part:
        save_file(tensors, part, metadata=about)


def load_translators(path: Path, model: CodiModel) -> Translators:
    """Read those of a model.

    Raises:
        UserError: for a file that holds none, or those of another model.
    """
    try:
        with safe_open(path, "pt") as file:
            matrices, biases = file.get_tensor("matrices"), file.get_tensor("biases")
            provenance = Provenance(**json.loads((file.metadata() or {})["translators"]))
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} holds no translators of a tuned lens ({type(error).__name__}); fit them again"
        ) from error
    shape = model.config.layers, model.config.hidden, model.config.hidden
    if provenance.model_sha256 != model.sha256 or tuple(matrices.shape) != shape:
        raise UserError(
            f"{path} was fitted on {provenance.model} ({provenance.model_sha256[:12]}), not on "
            f"{model.name} ({model.sha256[:12]}); fit them again"
        )
    return Translators(matrices, biases, provenance)


def kept_path(model: CodiModel, folder: Path | None = None) -> Path:
    """The file of a model's translators, in a folder or beside its kept directions."""
    home = kept_folder(model).parent if folder is None else folder
    return home / "translators.safetensors"


def translators_of(model: CodiModel) -> Translators:
    """A model's translators: those that are kept, else fitted on the bundled fit set and kept.

    Raises:
        UserError: when all answers to the fit set are right or all are wrong, or for a folder that
            cannot be written.
    """
    path = kept_path(model)
    with suppress(UserError):
        if path.is_file():
            return load_translators(path, model)
    found = fit_translators(model, bundled_fit(model))
    try:
        save_translators(found, path)
    except OSError as error:
        raise UserError(
            f"{path.parent} cannot be written ({error.strerror}); name another folder in "
            "STEER_DIRECTIONS"
        ) from error
    return found


def gap_to_last(
    model: CodiModel, states: np.ndarray, translators: Translators | None
) -> np.ndarray:
    """Mean KL in nats from what is said behind h_k, by layer [L]: how well a lens does.

    Args:
        model: The model.
        states: float32 [n, K+1, L+2, D] of problems that the translators were not fitted on.
        translators: None for the logit lens.
    """
    from steer_core.inspect.lens import log_probabilities
    from steer_core.steering.decode import without_last_block

    gaps = np.zeros(model.config.layers)
    for each in states:  # one by one: V numbers for every state
        logs = log_probabilities(model, without_last_block(each)[1:], translators)
        last = logs[:, -1:]
        gaps += (last.exp() * (last - logs[:, :-1])).sum(-1).mean(0).numpy()
    return gaps / len(states)
