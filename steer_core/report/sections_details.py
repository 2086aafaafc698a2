"""The sections of one run that say why to trust it: outcomes, norms, power, provenance."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from steer_core.analysis.power import GOALS
from steer_core.report import figures, words
from steer_core.report.blocks import Block, Code, Facts, Figure, Heading, Paragraph, Table
from steer_core.report.sections import labels
from steer_core.report.source import DirectionFacts, Source

CHANGES = ("margin", "logprob_gold", "logprob_twin")
SIZES = ("kl", "kl_number", "dose")
FIRST = (
    *("model", "model_sha256", "revision", "pairs", "pairs_sha256", "split", "n_pairs", "fit"),
    *("seed", "device", "dtype", "latents"),
)
"""Provenance in this order; what else there is follows."""
METHOD = (
    "Pairs that share a template, a pair id or a question are one cluster, and clusters are what "
    "is drawn: signs are flipped and pairs resampled by cluster.",
    "Intervals of accuracies are Wilson's, those of changes join Clopper and Pearson's limits of "
    "gains and losses (Newcombe), those of continuous outcomes come from a bootstrap over clusters "
    "(BCa).",
    "Accuracies are compared on the same pairs, by one permutation test over all curves and α that "
    "flips each cluster's sign for all columns at once: against α = 0, and against the mean of "
    "each kind of controls. Exact McNemar tests with Holm's correction stand beside it; no verdict "
    "rests on them.",
    "A direction counts as more than its controls when it is further from their mean, either way, "
    "than each control is from the others, anywhere on the grid and a quarter added: p = (1 + "
    "controls as extreme) / (1 + controls), valid whatever their distribution. An effect needs "
    "both, against every comparable kind.",
    "Power is simulated through that whole verdict on this run's own rows: a control stands in for "
    "the direction, clusters are drawn again, and a gain or a loss is planted at every α of one "
    "sign.",
    "Controls have the norm of the direction at every position, so equal α are equal doses. "
    "Label-shuffled ones are computed as the direction is, from randomly relabelled answers.",
    "What each verdict means, with a simulated example and what would change it, is in "
    "docs/verdicts.md of the program.",
)


def heatmap(source: Source) -> list[Block]:
    """Change in accuracy, curves × α."""
    caption = (
        "Change in accuracy against α = 0 in points; blue up, orange down, white none. "
        "* adjusted p ≤ 0.05."
    )
    return [
        Heading("Change in accuracy over layers and α"),
        Figure(figures.heatmap_figure(source.analysis), caption),
    ]


def outcomes(source: Source) -> list[Block]:
    """Continuous outcomes against α."""
    found = source.analysis
    if found.outcomes.empty:
        return []
    caption = (
        "Margin: logit of the gold answer's first number token minus the best other one. "
        "Log-probabilities are of the whole answer. KL from the unedited distribution. Purple "
        "shade: 95 % interval of the change; grey and between dots: controls."
    )
    text = (
        "Answers flip only when another token overtakes; these numbers move before that. A curve "
        "whose KL stays at 0 has an edit that never arrived; one whose KL moves and whose "
        "accuracy does not is a real null."
    )
    return [
        Heading("Continuous outcomes"),
        Paragraph(text),
        *(Figure(figure, caption) for figure in figures.outcome_figures(found)),
        *(outcome_table(source, i, label) for i, label in enumerate(labels(source))),
    ]


def outcome_table(source: Source, curve: int, label: str) -> Table:
    """The outcomes of one curve: change with interval, or the mean of what is 0 at the baseline."""
    rows = figures.of_curve(source.analysis.outcomes, source.analysis, curve)
    parts = {name: part.set_index("alpha") for name, part in rows.groupby("outcome", sort=False)}
    moved = [name for name in CHANGES if name in parts]
    sizes = [name for name in SIZES if name in parts]
    body = []
    for alpha in source.analysis.alphas:
        cells = [words.alpha(alpha)]
        for name in moved:
            at = parts[name].loc[alpha]
            limits = (words.decimal(at[side], 3, sign=True) for side in ("low", "high"))
            cells.append(f"{words.decimal(at['change'], 3, sign=True)} [{' to '.join(limits)}]")
        cells += [words.decimal(parts[name].loc[alpha, "mean"], 3) for name in sizes]
        body.append(tuple(cells))
    names = [f"change of {words.OUTCOMES[name]}" for name in moved]
    columns = ("α", *names, *(words.OUTCOMES[name] for name in sizes))
    return Table(columns, tuple(body), f"{label}: every number", left=0, folded=True)


def directions(source: Source) -> list[Block]:
    """Norms of the directions by place and position, with their stability where it is known."""
    found = source.directions
    if not found:
        return []
    positions = max(len(each.norms) for each in found)
    head = ("", *(f"position {k}" for k in range(positions)))
    text = (
        "Norm of the direction at each position (0 is the last token of the question, 1 to K the "
        "latent steps); the edit is α times as long."
    )
    rows = tuple(norm_row(each, positions) for each in found)
    blocks = [Heading("Directions"), Paragraph(text), Table((*head, "from"), rows, "Norms")]
    stable = tuple(stability_row(each, positions) for each in found if any(each.stability))
    if stable:
        caption = (
            "Split-half cosine with its 95 % interval: how alike the directions of two halves of "
            "the fit pairs are (0 noise, 1 the same). All pairs give a more stable one."
        )
        blocks.append(Table(head, stable, caption))
    return blocks


def norm_row(direction: DirectionFacts, positions: int) -> tuple[str, ...]:
    """The norms of one direction."""
    origin = direction.provenance
    norms = [words.decimal(norm) for norm in direction.norms]
    norms += [""] * (positions - len(norms))
    counts = f"{origin['correct']} right, {origin['wrong']} wrong" if "correct" in origin else "—"
    return place(direction), *norms, counts


def stability_row(direction: DirectionFacts, positions: int) -> tuple[str, ...]:
    """The split-half cosines of one direction, each over its interval."""
    cells = [cosine(each) if each else "—" for each in direction.stability]
    return place(direction), *cells, *[""] * (positions - len(cells))


def cosine(half: Mapping[str, float]) -> str:
    """A cosine and its interval, on two lines."""
    limits = (words.decimal(half[side]) for side in ("low", "high"))
    return f"{words.decimal(half['cosine'])}\n[{' to '.join(limits)}]"


def place(direction: DirectionFacts) -> str:
    """Where a direction was computed."""
    return direction.site if direction.layer is None else f"layer {direction.layer}"


def power(source: Source) -> list[Block]:
    """What the run could have seen."""
    found = source.analysis
    rows = tuple(
        (
            label,
            str(found.n),
            smallest_words(each.power.gain),
            smallest_words(each.power.loss),
            *(needed_words(each.power.needed[goal]) for goal in GOALS),
            words.change(each.verdict.bound).removeprefix("+"),
        )
        for label, each in zip(labels(source), found.results, strict=True)
    )
    columns = ("", "pairs", "smallest gain", "smallest loss")
    columns += tuple(f"pairs for {100 * goal:g} points" for goal in GOALS)
    caption = (
        "Gains and losses at every α of one sign that would have been called an effect with 80 % "
        "power; a change as large as the bound still fits the answers (95 %)."
    )
    return [
        Heading("What this run could have seen"),
        Paragraph(power_words(source)),
        Table((*columns, "bound"), rows, caption),
    ]


def smallest_words(value: float) -> str:
    """The smallest detectable change."""
    return "none" if math.isnan(value) else words.change(value).removeprefix("+")


def needed_words(pairs: int | None) -> str:
    """How many pairs a change takes."""
    return "no number would do" if pairs is None else words.count(pairs)


def power_words(source: Source) -> str:
    """The paragraph on power, for the curve that sees least."""
    results = source.analysis.results
    if not results[0].curve.comparable:
        return "Without comparable controls nothing could have been called an effect."
    worst = max(results, key=lambda each: np.nan_to_num(each.verdict.smallest, nan=np.inf))
    smallest, needed = worst.verdict.smallest, [each.power.needed[GOALS[0]] for each in results]
    could = (
        "no gain or no loss at all could have been shown along some curve"
        if math.isnan(smallest)
        else f"a gain or a loss of {smallest_words(smallest)} or more would have been shown"
    )
    most = None if None in needed else max(filter(None, needed))
    points = f"{100 * GOALS[0]:g} points"
    more = (
        f"No number of pairs shows {points} along every curve: the controls differ by more."
        if most is None
        else f"To show {points} takes {words.count(most)} pairs."
    )
    return (
        f"With these {source.analysis.n} pairs and controls, {could} with a chance of 80 %, "
        f"through the whole verdict and its corrections. {more}"
    )


def provenance(source: Source) -> list[Block]:
    """Where every number comes from, and the commands that make them again."""
    record, facts = source.record, dict(source.record.provenance)
    versions, command = facts.pop("versions", {}), facts.pop("command", "")
    facts.pop("prepared", None)  # a section of its own
    order = [*(name for name in FIRST if name in facts), *sorted(set(facts) - set(FIRST))]
    rows = [(name.replace("_", " "), plain(facts[name])) for name in order]
    rows += [
        ("run", f"{record.id} '{record.name}', begun {record.started}"),
        ("finished", record.finished or "no"),
        ("decoding took", words.duration(record.seconds)),
        ("versions", ", ".join(f"{name} {value}" for name, value in dict(versions).items())),
        ("sweep", json.dumps(spec_of(source), ensure_ascii=False)),
    ]
    if source.others:
        ids = ", ".join(map(str, source.others))
        rows.append(("other runs here", f"{ids} (report --run ID)"))
    return [
        Heading("Provenance"),
        Facts(tuple((name, text) for name, text in rows if text)),
        Heading("Make it again", 3),
        Code(tuple(commands(source, str(command)))),
        Heading("How the numbers are made", 3),
        *map(Paragraph, METHOD),
    ]


def plain(value: object) -> str:
    """A provenance entry as text; empty for none."""
    if value is None:
        return ""
    if isinstance(value, dict) and ("problems" in value or "norms" in value):
        return origin_words(value)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {plain(each)}" for name, each in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def origin_words(origin: dict) -> str:
    """What a direction was computed from."""
    if "problems" not in origin:
        return "not known"
    return (
        f"{origin['correct']} right and {origin['wrong']} wrong answers of {origin['problems']} "
        f"({str(origin['problems_sha256'])[:12]})"
    )


def spec_of(source: Source) -> dict[str, object]:
    """The sweep's settings, without methods."""
    spec = source.record.spec
    return {name: getattr(spec, name) for name in spec.__slots__}


def commands(source: Source, sweep: str) -> list[str]:
    """The commands of the experiment, in order."""
    prepare = [source.prepared.command] if source.prepared and source.prepared.command else []
    folder = Path(source.folder).as_posix()
    chosen = f"--run {source.record.id} --seed {source.seed}"
    report = f"python -m steer_core report {shlex.quote(folder)} {chosen} --out report.html"
    return [*prepare, *([sweep] if sweep else []), report]
