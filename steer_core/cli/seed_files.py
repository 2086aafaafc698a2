"""Options of `prepare` for files in which answers are already stored, and what they print."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from steer_core.cli.json_lines import json_line
from steer_core.errors import UserError

if TYPE_CHECKING:
    from steer_core.data.seed.audit import SeedAudit
    from steer_core.pipeline.prepared import Prepared
    from steer_core.pipeline.splits import SplitSettings

FILES = ("necessity_file", "validation_file", "split_file")
SHOWN_IDS = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """The three files that can stand in for a model."""
    parser.add_argument(
        "--necessity-file", type=Path, help="stored latent necessity of every pair; no --model"
    )
    parser.add_argument(
        "--validation-file", type=Path, help="stored answers to both twins; no --model"
    )
    parser.add_argument(
        "--split-file", type=Path, help="stored training and test ids by label; no --model"
    )


def asked(args: argparse.Namespace) -> bool:
    """Whether any of the files is given."""
    return any(getattr(args, name) is not None for name in FILES)


def run(args: argparse.Namespace, settings: "SplitSettings", command: str) -> int:
    """Recount the files, print every disagreement, and write the pairs where --out says so."""
    from steer_core.data.seed.audit import audit_seed_files
    from steer_core.data.seed.files import read_seed_files

    if args.model:
        raise UserError(f"answers come from the files, not from {args.model}; leave out --model")
    paths = [getattr(args, name) for name in FILES]
    files = read_seed_files(args.pairs, *paths)
    audit = audit_seed_files(files)
    prepared = None
    if args.out is not None:
        from steer_core.pipeline.stored import prepared_from_files

        prepared = prepared_from_files(files, audit, settings, command)
        prepared.save(args.out)
    print(text_of(audit, prepared, args))
    return 0


def text_of(audit: "SeedAudit", prepared: "Prepared | None", args: argparse.Namespace) -> str:
    """What was found, and with --out what was made of it."""
    from steer_core.cli import prepare

    if args.json:
        made = {} if prepared is None else {"prepared": prepare.summary(prepared, args.out)}
        out = None if args.out is None else str(args.out)
        return json_line({"out": out, **audit.to_json(), **made}, ensure_ascii=False)
    made = () if prepared is None else prepare.lines(prepared, args.out)
    return "\n".join([*lines(audit), *made])


def lines(audit: "SeedAudit") -> Iterator[str]:
    """Counts and findings for a reader."""
    for file, counts in audit.counts.items():
        yield file
        yield from count_lines(counts, "  ")
    yield f"{len(audit.findings)} findings"
    for one in audit.findings:
        ids = ", ".join(str(pair_id) for pair_id in one.pair_ids[:SHOWN_IDS])
        more = ", ..." if len(one.pair_ids) > SHOWN_IDS else ""
        yield f"  {one.file}: {one.message}" + (f" (pairs {ids}{more})" if ids else "")


def count_lines(counts: dict, indent: str) -> Iterator[str]:
    """Nested counts, one a line."""
    for name, value in counts.items():
        shown = name.replace("_", " ")
        if isinstance(value, dict):
            yield f"{indent}{shown}"
            yield from count_lines(value, f"{indent}  ")
        else:
            yield f"{indent}{shown:28} {value:6}"
