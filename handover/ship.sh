#!/usr/bin/env bash
# ship.sh NAME FOLDER WORKTREE: a finished training becomes a bundled model, with its cached directions
set -euo pipefail
name=$1 from=$2 tree=$3; to=$tree/assets/models/$name
rm -rf "$to"; mkdir -p "$to"; cp "$from"/* "$to"/; rm -f "$to"/checkpoint.pt
/tmp/venv/bin/python - "$to" <<'P'
import json,sys,pathlib
p=pathlib.Path(sys.argv[1])/"recipe.json"; r=json.loads(p.read_text()); r.setdefault("easy_first",0.0); p.write_text(json.dumps(r)+"\n")
causal=r.get("swap_weight",0)>0; name=pathlib.Path(sys.argv[1]).name
kind={"llama":"Llama","gpt2":"GPT-2"}[r["arch"]]
text=(f"A {kind} of 4 blocks and 128 dimensions with 6 latent thoughts, trained on this project's word problems by CODI's three losses and, besides, by interchange: final norm and head read each step's result in the hidden states, the twin's latents give the twin's answer, and one swapped latent changes those behind it.\n"
 "Swaps and the lens therefore work by construction: it is an organism with a known mechanism, on which every instrument can be checked against the truth, and no evidence about how other models reason.\n"
 if causal else
 f"A {kind} of 4 blocks and 128 dimensions with 6 latent thoughts, trained on this project's word problems by CODI's three losses alone, as published: the teacher in words, the student in latents, distillation.\n"
 "What its latents hold was left to training, so swaps and lens find what they find.\n")
(pathlib.Path(sys.argv[1])/"README.md").write_text(f"# {name}\n\n{text}")
P
cd "$tree"; rm -rf cached_directions/$name
/tmp/venv/bin/python -m steer_core directions --model $name --pairs fit --out cached_directions/$name/mean_difference --device cpu
