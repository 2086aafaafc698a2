"""`write_report`: the folders of one or two experiments in, one file out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from steer_core.errors import UserError
from steer_core.files import write_whole
from steer_core.report import (
    figures,
    sections,
    sections_accuracy,
    sections_changes,
    sections_details,
)
from steer_core.report.blocks import Block, Cards, Document, Figure, Heading, Table
from steer_core.report.compare import comparison, titles
from steer_core.report.equal import equal
from steer_core.report.html import to_html
from steer_core.report.markdown import to_markdown
from steer_core.report.source import Source, load_source

WRITERS = {".html": to_html, ".md": to_markdown}
MOST_FOLDERS = 2
SECTIONS = (
    sections.verdicts,
    sections.what_was_run,
    sections.funnel,
    sections_accuracy.accuracy,
    sections_accuracy.transitions,
    sections_changes.changes,
    equal,
    sections_details.heatmap,
    sections_details.outcomes,
    sections_details.directions,
    sections_details.power,
    sections_details.provenance,
)


def write_report(
    folders: Sequence[Path], out: Path, *, run: int | None = None, seed: int = 0
) -> tuple[Source, ...]:
    """Analyse one run of each folder and write the report.

    Args:
        folders: One folder of an experiment, or two to compare.
        out: The file, .html or .md; its folder is made.
        run: Id of the run in every folder; the newest when not given.
        seed: Of permutation test and bootstrap.

    Returns:
        What was reported, a source for each folder.

    Raises:
        UserError: for another number of folders, an unknown suffix, or a folder without results.
    """
    check_out(out)
    sources = load_sources(folders, run, seed)
    text = WRITERS[out.suffix](document(sources))
    write_whole(out, text)
    return sources


def check_out(out: Path) -> None:
    """Raise a `UserError` for a suffix that no report has."""
    if out.suffix not in WRITERS:
        known = " or ".join(WRITERS)
        raise UserError(f"{out} ends in '{out.suffix}', a report ends in {known}; name it so")


def load_sources(
    folders: Sequence[Path], run: int | None = None, seed: int = 0
) -> tuple[Source, ...]:
    """One source for each folder.

    Raises:
        UserError: for another number of folders than one or two, or a folder without results.
    """
    if not 1 <= len(folders) <= MOST_FOLDERS:
        raise UserError(f"{len(folders)} folders; a report is of one, or compares two")
    return tuple(load_source(Path(folder), run, seed) for folder in folders)


def document(sources: Sequence[Source]) -> Document:
    """The report of one source, or of two with their comparison first."""
    if len(sources) == 1:
        (only,) = sources
        return Document(f"Steering {only.model}", subtitle(only), tuple(blocks_of(only)))
    first, second = sources
    names = titles(first, second)
    blocks: list[Block] = comparison(first, second)
    for name, source in zip(names, sources, strict=True):
        blocks += [Heading(name, 1), *blocks_of(source)]
    return Document(
        f"Steering {names[0]} and {names[1]}",
        f"{subtitle(first)} | {subtitle(second)}",
        tuple(blocks),
    )


def subtitle(source: Source) -> str:
    """What the report is of, in one line."""
    record, pairs = source.record, source.fact("pairs")
    when = (record.finished or record.started)[:10]
    state = "" if source.analysis.coverage.finished else ", unfinished"
    return f"{source.analysis.n} pairs of {pairs}, {sections.split_words(source)}, {when}{state}"


def blocks_of(source: Source) -> list[Block]:
    """The sections of one source; what was looked at before is marked in each figure and table."""
    blocks = [block for section in SECTIONS for block in section(source)]
    mark = source.looks.mark
    return [marked(block, mark) for block in blocks] if mark else blocks


def marked(block: Block, mark: str) -> Block:
    """A verdict, figure or table of results that says what else was looked at on its pairs."""
    said = f"{mark[0].upper()}{mark[1:]}."
    if isinstance(block, Cards):
        cards = (replace(card, sentence=f"{card.sentence} {said}") for card in block.cards)
        return Cards(tuple(cards))
    if isinstance(block, Figure):
        figures.mark(block.figure, mark)
        return replace(block, caption=f"{block.caption} {said}")
    if isinstance(block, Table) and block.caption:
        return replace(block, caption=f"{block.caption} · {mark}")
    return block
