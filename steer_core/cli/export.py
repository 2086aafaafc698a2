"""The command `export`."""

import argparse
from pathlib import Path

from steer_core.cli import options
from steer_core.cli.json_lines import json_line


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `export`."""
    parser = subparsers.add_parser(
        "export", help="write a model in the official layout, with LoRA factors"
    )
    parser.add_argument(
        "--model", required=True, help="name (see 'models'), hub repository, or folder"
    )
    parser.add_argument("--base", help="folder with config and tokenizer of the base model")
    parser.add_argument("--lora-alpha", type=float, help="LoRA's scale in what is read")
    parser.add_argument(
        "--keep-eos", action="store_true", default=None, help="trained with remove_eos off"
    )
    parser.add_argument("--latents", type=int, help="latent steps K (the model's own, mostly 6)")
    parser.add_argument("--out", type=Path, required=True, help="gets checkpoint/ and base-NAME/")
    parser.add_argument("--rank", type=int, default=4, help="of the factors written (default 4)")
    parser.add_argument(
        "--file", default="bin", help="bin (pytorch_model.bin) or safetensors (default bin)"
    )
    options.add_seed(parser, "of the factors written")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Export, and print the options that load the result."""
    from steer_core.codi.export import Lora, export_checkpoint
    from steer_core.codi.load import load_model, read_config
    from steer_core.codi.places import locate

    lora = Lora(args.rank, seed=args.seed)
    model = load_model(
        args.model,
        base=args.base,
        device="cpu",
        dtype="float32",
        lora_alpha=args.lora_alpha,
        keep_eos=args.keep_eos,
        latents=args.latents,
    )
    config = read_config(locate(args.model, args.base).base)
    written = export_checkpoint(model, config, args.out, lora, args.file)
    found = {
        "model": str(written.checkpoint),
        "base": str(written.base),
        "lora_rank": lora.rank,
        "lora_alpha": lora.alpha,
        "latents": model.config.latents,
        "keep_eos": model.config.keep_eos,
    }
    needed = f"--model {found['model']} --base {found['base']} --lora-alpha {lora.alpha:g}"
    needed += f" --latents {found['latents']}{' --keep-eos' * found['keep_eos']}"
    print(json_line(found) if args.json else needed)
    return 0
