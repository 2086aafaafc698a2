"""The command `inspect`: instruments on questions, or over pairs."""

import argparse
import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steer_core.cli import edits, options
from steer_core.cli.json_lines import json_line
from steer_core.errors import UserError

if TYPE_CHECKING:
    from steer_core.codi.model import CodiModel
    from steer_core.steering.sites import Site
    from steer_core.steering.uses import Edits

Rows = Iterator[dict[str, Any]]
_log = logging.getLogger(__name__)
OF_QUESTIONS = ("trace", "lens", "early", "attention", "swap", "map", "flip")
OVER_PAIRS = ("probe", "paths")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `inspect`."""
    parser = subparsers.add_parser("inspect", help="look inside the latent thoughts")
    parser.add_argument(
        "what",
        choices=(*OF_QUESTIONS, *OVER_PAIRS),
        metavar="WHAT",
        help="trace: where an edit arrives; lens: what states say; early: answers after fewer "
        "latents; attention; swap: answers on another question's latents; map: each position and "
        "layer edited alone; flip: the alpha that turns the answer; over pairs probe: what can be "
        "read where; paths: latents in principal components",
    )
    options.add_model(parser)
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--question", action="append", help="a question; may be given again")
    asked.add_argument("--questions-file", type=Path, help="as for 'decode'")
    asked.add_argument(
        "--pairs",
        help="a table over pairs, with intervals and a random counterpart (all but trace): bundled "
        "name or pair file; probe and paths take 'test' where none is given",
    )
    edits.add_edits(parser)
    parser.add_argument("--donor", help="swap: the question whose latents are taken")
    parser.add_argument("--amount", type=float, default=1.0, help="swap: 0 own to 1 donor's")
    parser.add_argument(
        "--tuned",
        action="store_true",
        help="lens: with translators of a tuned lens, fitted once on the fit pairs and kept",
    )
    parser.add_argument("--label", help="probe: only this label, such as 'result of step 1'")
    parser.add_argument("--max-new-tokens", type=int, default=256, help="limit (default 256)")
    options.add_seed(parser, "of controls and relabellings")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Print what one instrument shows: an object for each question, or cell over pairs."""
    check(args)
    site = args.site  # of a swap, where nothing is edited besides
    edits.settle(args, remind=args.what not in ("swap", "flip", *OVER_PAIRS))
    tabled = args.pairs is not None and args.what not in OVER_PAIRS
    rows = (
        tables(args)
        if tabled
        else over_pairs(args)
        if args.what in OVER_PAIRS
        else of_questions(args, site)
    )
    for row in list(rows):  # all first: what is refused at a later question prints nothing
        words = readable("table" if tabled else args.what, row)
        print(json_line(row, ensure_ascii=False) if args.json else words)
    return 0


def check(args: argparse.Namespace) -> None:
    """Raise a `UserError` for what an instrument needs and lacks, or does not read."""
    asked = args.question is not None or args.questions_file is not None
    if args.what == "trace" and args.pairs is not None:
        raise UserError("inspect trace follows an edit through questions; give --question")
    if args.what in OF_QUESTIONS and not asked and args.pairs is None:
        raise UserError(f"inspect {args.what} needs --question, --questions-file or --pairs")
    if args.what in OVER_PAIRS and asked:
        raise UserError(f"inspect {args.what} looks at pairs; give --pairs instead of questions")
    if args.tuned and args.what != "lens":
        raise UserError(f"inspect {args.what} has no tuned lens; leave out --tuned")
    if args.what == "swap" and args.donor is None and args.pairs is None:
        raise UserError("inspect swap needs --donor, the question whose latents are taken")


def of_questions(args: argparse.Namespace, site: str | None) -> Rows:
    """What an instrument shows of each question."""
    from steer_core.data.questions import read_questions

    questions = args.question or read_questions(args.questions_file)
    model = options.load(args)
    if args.what == "swap":
        return swaps(args, model, questions, site)
    return INSTRUMENTS[args.what](args, model, questions)


def trace(args: argparse.Namespace, model: "CodiModel", questions: Sequence[str]) -> Rows:
    """The arrival trace."""
    from steer_core.inspect.trace import trace

    made = all_edits(args, model)
    for found in trace(model, questions, made, max_new_tokens=args.max_new_tokens):
        yield plain(found) | {"read": found.read.tolist()}


def lens(args: argparse.Namespace, model: "CodiModel", questions: Sequence[str]) -> Rows:
    """The logit lens."""
    from steer_core.inspect.lens import lens
    from steer_core.inspect.translators import translators_of

    made = edits.edits_of(args, model)
    tuned = translators_of(model) if args.tuned else None
    for found in lens(model, questions, [made] * len(questions), translators=tuned):
        yield {
            "question": found.question,
            "positions": list(model.config.positions),
            "layers": list(range(model.config.layers + 1)),
            "top_ids": found.top_ids.tolist(),
            "top_tokens": found.top_tokens,
            "top_probs": rounded(found.top_probs),
            "entropy": rounded(found.entropy),
        }


def early(args: argparse.Namespace, model: "CodiModel", questions: Sequence[str]) -> Rows:
    """Early answers."""
    from steer_core.inspect.early import early_answers

    made, limit = edits.edits_of(args, model), args.max_new_tokens
    found = early_answers(model, questions, [made] * len(questions), max_new_tokens=limit)
    base = early_answers(model, questions, max_new_tokens=limit) if made else found
    for one, unedited in zip(found, base, strict=True):
        more = {"baseline_answers": unedited.answers} if made else {}
        yield plain(one) | {"settled": one.settled} | more


def attention(args: argparse.Namespace, model: "CodiModel", questions: Sequence[str]) -> Rows:
    """Attention weights."""
    from steer_core.inspect.attention import attention

    made = edits.edits_of(args, model)
    for found in attention(
        model, questions, [made] * len(questions), max_new_tokens=args.max_new_tokens
    ):
        row = plain(found)
        del row["logits"]
        yield row


def swaps(
    args: argparse.Namespace, model: "CodiModel", questions: Sequence[str], site: str | None
) -> Rows:
    """Answers on a donor's latents."""
    from steer_core.inspect.swap import DEFAULT_SITE, swap

    where = DEFAULT_SITE if site is None else site_of(args, model)
    positions = None
    if args.positions is not None:
        positions = options.positions_of(args.positions, model.config.latents)
    for found in swap(
        model,
        questions,
        [args.donor] * len(questions),
        site=where,
        positions=positions,
        amount=args.amount,
        max_new_tokens=args.max_new_tokens,
    ):
        yield plain(found) | {"site": found.site.name, "layer": found.site.layer}


def effect_map(args: argparse.Namespace, model: "CodiModel", questions: Sequence[str]) -> Rows:
    """Each position and layer edited alone."""
    from steer_core.inspect.effects import effect_map
    from steer_core.steering.sites import Site
    from steer_core.steering.spec import resolved

    needs_alpha(args)
    (spec,) = edits.specs_of(args, model)
    layered = spec.site.has_layers
    at = {
        layer: resolved(
            model,
            [dataclasses.replace(spec, site=Site(spec.site.name, layer if layered else None))],
        ).at(args.alpha)[0]
        for layer in (range(1, model.config.layers + 1) if layered else [1])
    }
    for question in questions:
        yield plain(
            effect_map(
                model,
                question,
                lambda layer: at[layer],
                layers=list(at),
                max_new_tokens=args.max_new_tokens,
            )
        )


def flip(args: argparse.Namespace, model: "CodiModel", questions: Sequence[str]) -> Rows:
    """The smallest |α| each way that turns the answer."""
    from steer_core.inspect.effects import flip_distance
    from steer_core.steering.decode import acting

    curve = edits.curve_of(args, model, edits.specs_of(args, model))
    for question in questions:
        found = flip_distance(
            model,
            question,
            lambda alpha: acting(model, curve.at(alpha)),
            max_new_tokens=args.max_new_tokens,
        )
        yield plain(found) | {"distance": found.distance}


INSTRUMENTS: dict[str, Callable[[argparse.Namespace, "CodiModel", Sequence[str]], Rows]] = {
    "trace": trace,
    "lens": lens,
    "early": early,
    "attention": attention,
    "map": effect_map,
    "flip": flip,
}


def tables(args: argparse.Namespace) -> Rows:
    """A table over pairs, cell by cell: what is seen, and its random counterpart."""
    from steer_core.data.pairs import load_pairs
    from steer_core.inspect.over import EDITED, atlas
    from steer_core.steering.spec import EditCurve

    pairs = load_pairs(args.pairs)
    model = options.load(args)
    curve = EditCurve(())
    if args.what in EDITED:
        if args.what == "map":
            needs_alpha(args)
        curve = edits.curve_of(args, model, edits.specs_of(args, model))
    last = None
    for last in atlas(model, pairs, args.what, curve, args.alpha):
        _log.info("%d of %d pairs", last.done, last.total)
    if last is None:
        return
    head = {"what": last.what, "measure": last.measure, "control_is": last.control}
    for cell in last.cells:
        known = {name: value for name, value in plain(cell).items() if value is not None}
        yield head | {name: None if value != value else value for name, value in known.items()}


def over_pairs(args: argparse.Namespace) -> Rows:
    """What an instrument shows over the twins of pairs."""
    from steer_core.data.pairs import load_pairs
    from steer_core.inspect.over_pairs import path_cells, probe_cells

    pairs = load_pairs(args.pairs or "test")
    model = options.load(args)
    if args.what == "probe":
        return probe_cells(model, pairs, only=args.label, seed=args.seed)
    return path_cells(model, pairs, site_of(args, model), seed=args.seed)


def site_of(args: argparse.Namespace, model: "CodiModel") -> "Site":
    """The site and layer of the options."""
    from steer_core.steering.sites import Site

    site = Site(args.site)
    middle = model.config.middle_layer if args.layer is None else args.layer
    found = Site(args.site, middle if site.has_layers else None)
    found.check(model.config)
    return found


def all_edits(args: argparse.Namespace, model: "CodiModel") -> "Edits":
    """The edits of the options, also those that cannot act: a trace says why."""
    return edits.curve_of(args, model, edits.specs_of(args, model)).at(args.alpha)


def needs_alpha(args: argparse.Namespace) -> None:
    """Raise a `UserError` where nothing would be edited, or several edits at once."""
    if args.alpha == 0.0:
        raise UserError("the effect map edits each place alone; give --alpha, such as --alpha 1")
    if args.edits is not None or args.layers_at_once is not None:
        raise UserError("the effect map edits each place alone; leave out --edits and others")


def plain(found: Any) -> dict[str, Any]:
    """A frozen result as what JSON can hold."""
    return {field.name: value_of(getattr(found, field.name)) for field in dataclasses.fields(found)}


def value_of(value: Any) -> Any:
    """One field: arrays as lists, results inside as objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(value)
    return rounded(value) if hasattr(value, "tolist") else value


def rounded(values: Any) -> Any:
    """An array as lists; numbers to seven digits, which float32 has."""
    if values.dtype.kind != "f":
        return values.tolist()
    import numpy as np

    return np.vectorize(lambda x: float(f"{x:.7g}"), otypes=[float])(values).tolist()


def readable(what: str, row: dict[str, Any]) -> str:
    """A row for a reader: what can be said in a line or two."""
    words = {
        "trace": lambda: row["sentence"],
        "lens": lambda: "\n".join(
            f"position {k}: " + "  ".join(tokens[0].strip() or "·" for tokens in layers)
            for k, layers in enumerate(row["top_tokens"])
        ),
        "early": lambda: "  ".join(map(str, row["answers"])) + f"  (settled at {row['settled']})",
        "attention": lambda: json_line({"keys": row["keys"], "queries": row["queries"]}),
        "swap": lambda: f"{row['own_answer']}  ->  {row['answer']}  (donor: {row['donor_answer']})",
        "map": lambda: "\n".join(
            f"position {k}: " + "  ".join(f"{x:+.2f}" for x in margins)
            for k, margins in enumerate(row["margin"])
        ),
        "table": lambda: table_line(row),
        "flip": lambda: f"{row['baseline_answer']}: below {row['below']}, above {row['above']}",
    }
    return words[what]() if what in words else json_line(row)


def table_line(row: dict[str, Any]) -> str:
    """A cell of a table over pairs."""
    names = [f"{name} {row[name]}" for name in ("position", "layer", "step") if name in row]
    return (
        f"{', '.join([row['group'], *names])}: {interval(row, '')}, n = {row['n']}; "
        f"random counterpart {interval(row, 'control')}"
    )


def interval(row: dict[str, Any], of: str) -> str:
    """A value with its interval, of what is seen or of the counterpart."""
    value, low, high = (
        (row["value"], row["low"], row["high"])
        if not of
        else (row["control"], row["control_low"], row["control_high"])
    )
    if value is None:
        return "unknown"
    return (
        f"{value:.3g}" if low is None or high is None else f"{value:.3g} ({low:.3g} to {high:.3g})"
    )
