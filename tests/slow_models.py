"""Shipped models as transformers builds them, and edits in the words of the slow reference."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import torch
from reference import Addition, Reference
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from steer_core import Edit

MODELS = Path(__file__).parent.parent / "assets" / "models"


def edit_of(addition: Addition | None) -> Edit | None:
    """The product's edit that adds the same."""
    if addition is None:
        return None
    return Edit(
        direction=addition.direction,
        alpha=addition.alpha,
        site=addition.site,
        layer=addition.layer,
        positions=addition.positions,
    )


def in_float64(reference: Reference) -> Reference:
    """The same in double precision, for telling noise from drift."""
    model, prj = copy.deepcopy(reference.model).double(), copy.deepcopy(reference.prj).double()
    return replace(reference, model=model, prj=prj)


def bundled_reference(name: str) -> tuple[Reference, PreTrainedTokenizerBase]:
    """A shipped model as transformers builds it from its config; it has no LoRA."""
    folder = MODELS / name
    state = load_file(folder / "model.safetensors")
    lm = AutoModelForCausalLM.from_config(
        AutoConfig.from_pretrained(folder), attn_implementation="eager", dtype=torch.float32
    )
    weights = {k.removeprefix("codi."): v for k, v in state.items() if k.startswith("codi.")}
    missing, unexpected = lm.load_state_dict(weights, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    lm.tie_weights()
    size = lm.config.hidden_size
    prj = nn.Sequential(nn.Identity(), nn.Linear(size, size), nn.GELU(), nn.Linear(size, size))
    prj.add_module("ln", nn.LayerNorm(size))
    prj.load_state_dict({k.removeprefix("prj."): v for k, v in state.items() if "prj." in k})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    eot = lm.get_input_embeddings().weight.shape[0] - 1
    return Reference(lm.eval(), prj, eot - 1, eot, tokenizer.eos_token_id), tokenizer
