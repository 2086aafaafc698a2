"""Reports of stored runs: their sections, their safety, their files."""

import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import synthetic_runs as runs
from stored_runs import store_run

from steer_core.cli import main
from steer_core.data.problems import problems_hash
from steer_core.errors import UserError
from steer_core.pipeline.prepared import FunnelStep, Necessity, Prepared
from steer_core.report.blocks import Callout, Cards, Code, Document, Facts, Figure, Heading, Table
from steer_core.report.html import to_html
from steer_core.report.markdown import to_markdown
from steer_core.report.source import load_source
from steer_core.report.words import change
from steer_core.report.write import document, write_report

SECTIONS = [
    "What it shows",
    "What was run",
    "Accuracy against α",
    "Every α, by curve",
    "Best suppression and amplification",
    "Where answers go",
    "What answers do",
    "Change in accuracy over layers and α",
    "Continuous outcomes",
    "What this run could have seen",
    "Provenance",
]
EVIL = '</script><img src="https://evil.test/x.png" onerror=alert(1)>|*_`'


def strong(direction: str, layer: int, alpha: float) -> float:
    """The real direction costs every third pair at α = −2."""
    return 0.35 * (direction == "mean_difference" and alpha == -2)


@pytest.fixture(scope="module")
def table():
    return runs.run_table(strong, pairs=60, alphas=(-2, -1, 1, 2))


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory) -> Path:
    """An experiment with a planted effect, prepared pairs and a name that is no HTML."""
    folder = tmp_path_factory.mktemp("experiment")
    nothing = problems_hash([])  # of the pairs below
    store_run(folder, table, model=f"tiny-llama{EVIL}", note=EVIL, pairs_sha256=nothing)
    prepared(EVIL).save(folder)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """Another model, where the edit is dead and a third of the pairs is missing."""
    folder = tmp_path_factory.mktemp("other")
    table = runs.run_table(pairs=30, alphas=(-2, 2), random=1, shuffled=0, layers=[1, 3], dead=True)
    store_run(folder, table, model="tiny-gpt2", keep=20)
    return folder


@pytest.fixture(scope="module")
def shown(folder: Path) -> Document:
    return document([load_source(folder)])


def prepared(name: str) -> Prepared:
    return Prepared(
        model="tiny-llama",
        model_sha256="ab" * 32,
        revision=None,
        latents=6,
        dtype="float32",
        device="cpu",
        pairs_name=name,
        pairs_sha256="cd" * 32,
        seed=0,
        necessity=Necessity("zeros", "embedding", None, (1, 2, 3, 4, 5, 6)),
        filter="none",
        fractions=(0.4, 0.1, 0.5),
        balanced=True,
        pairs=(),
        funnel=(FunnelStep("rows", 120, 120), FunnelStep("report", 60, 120)),
        versions={},
        command="python -m steer_core prepare --model tiny-llama --out x",
    )


class Page(HTMLParser):
    """What a page asks for, its headings, and its text outside of scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.asked, self.headings, self.words, self.handlers = [], [], [], []
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attrs = dict(attrs)
        self.handlers += [name for name in attrs if name.startswith("on")]
        self.asked += [attrs[name] for name in ("src", "srcset", "href", "data") if name in attrs]
        if tag in ("h2", "h3"):
            self.headings.append("")

    def handle_data(self, data):
        inside = self.tags[-1] if self.tags else ""
        if inside in ("h2", "h3"):
            self.headings[-1] += data
            self.tags.append("")
        elif inside not in ("script", "style"):
            self.words.append(data)


def test_sections_come_in_order(shown: Document):
    found = [b.text for b in shown.blocks if isinstance(b, Heading) and b.level == 2]
    assert found == [*SECTIONS[:2], "Where the pairs come from", *SECTIONS[2:]]


def test_verdicts_come_first(shown: Document):
    first = next(block for block in shown.blocks if isinstance(block, Cards))
    assert [card.kind for card in first.cards] == ["effect", "effect"]
    assert [card.label for card in first.cards] == ["Layer 1", "Layer 2"]
    assert first.cards[0].sentence.startswith("At α = −2 accuracy falls by")


def test_a_page_asks_for_nothing(folder: Path, tmp_path: Path):
    out = tmp_path / "deep" / "report.html"
    write_report([folder], out)
    text = out.read_text()
    page = Page(text)
    assert set(SECTIONS) <= set(page.headings)
    assert page.asked
    assert all(each.startswith("#") for each in page.asked)
    assert not {"img", "link", "iframe", "object", "embed"} & set(page.tags)
    assert page.handlers == []
    assert not re.search(r"@import|url\(", text[: text.index("</style>")])
    assert "plot.ly" not in "".join(page.words)
    assert list(out.parent.iterdir()) == [out]  # no half-written file is left


def test_the_library_is_inside_once(shown: Document):
    page = Page(to_html(shown))
    assert to_html(shown).count("plotly.js v") == 1
    figures = sum(isinstance(block, Figure) for block in shown.blocks)
    assert page.tags.count("script") == 3 + figures  # theme, library, and what draws
    assert page.tags.count("figure") == figures
    bare = to_html(Document("a", "b", tuple(b for b in shown.blocks if not isinstance(b, Figure))))
    assert len(bare) < 200_000


def test_figures_do_not_ask_either(shown: Document):
    page = to_html(shown)
    assert "showSendToCloud: false" in page
    assert "displaylogo: false" in page


def test_what_users_wrote_is_escaped(shown: Document):
    text = to_html(shown)
    body = text[text.index("</script>\n</head>") :]
    assert EVIL not in body
    assert "<img" not in body
    assert "&lt;img" in body
    markdown = to_markdown(shown)
    outside = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    assert "<img" not in outside.replace("\\<img", "")
    assert r"\|\*\_\`" in outside


def test_names_in_figures_are_escaped(table, tmp_path: Path):
    renamed = table.replace({"direction": {"mean_difference": "<b>one</b>"}})
    two = renamed[renamed["kind"] == "real"].assign(direction="two")
    import pandas as pd

    store_run(tmp_path, pd.concat([renamed, two], ignore_index=True))
    blocks = document([load_source(tmp_path)]).blocks
    figures = [str(block.figure.to_json()) for block in blocks if isinstance(block, Figure)]
    assert any("&lt;b&gt;one" in figure for figure in figures)
    assert not any("<b>one" in figure for figure in figures)


def test_markdown_holds_the_same_tables(folder: Path, tmp_path: Path, shown: Document):
    out = tmp_path / "report.md"
    write_report([folder], out)
    lines = out.read_text().splitlines()
    assert [line[3:] for line in lines if line.startswith("## ")] == [
        b.text for b in shown.blocks if isinstance(b, Heading) and b.level == 2
    ]
    tables = [block for block in shown.blocks if isinstance(block, Table | Facts)]
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == sum(len(block.rows) + 2 for block in tables)
    assert all(row.replace("\\|", "").count("|") >= 3 for row in rows)
    text = out.read_text()
    assert "points below its controls.** At α = −2 accuracy falls" in text


def test_the_points_table_has_the_numbers_of_the_run(shown: Document, table):
    found = [b for b in shown.blocks if isinstance(b, Table) and b.columns[:2] == ("α", "accuracy")]
    assert len(found) == 2
    rows = {row[0]: row for row in found[0].rows}
    assert list(rows) == ["−2", "−1", "0", "+1", "+2"]
    mine = table[table["layer"].eq(1) & table["kind"].eq("real") & table["alpha"].eq(-2)]
    base = table[table["kind"].eq("baseline")]
    assert rows["−2"][3] == f"{mine['correct'].sum()}/60"
    assert rows["0"][3] == f"{base['correct'].sum()}/60"
    change = 100 * (mine["correct"].mean() - base["correct"].mean())
    assert rows["−2"][4] == f"{change:+.1f} pts".replace("-", "−")
    assert rows["0"][4] == "—"
    assert rows["−2"][-1] == "1/21"
    assert found[0].marked == {0}


def test_the_table_of_what_answers_do_counts_the_run(shown: Document, table):
    found = [b for b in shown.blocks if isinstance(b, Table) and "became the twin's" in b.columns]
    assert [each.caption.partition(", p")[0] for each in found] == [
        f"mean_difference, residual layer {layer}" for layer in (1, 2)
    ]
    own = table[table.kind == "baseline"].set_index("question_index").answer
    steered = table[(table.layer == 2) & (table.alpha == -2)]
    before = own[steered.question_index].to_numpy()
    outcomes = {
        "rose": steered.answer.to_numpy() > before,
        "fell": steered.answer.to_numpy() < before,
        "became the twin's": (steered.answer == steered.twin).to_numpy()
        & (before != steered.twin.to_numpy()),
    }
    (row,) = [dict(enumerate(row)) for row in found[1].rows if row[0] == "−2"]
    assert row[1] == "60"
    for name, holds in outcomes.items():
        shares = pd.Series(100 * holds).groupby(steered.direction.to_numpy()).mean()
        at = found[1].columns.index(name)
        assert row[at] == f"{shares['mean_difference']:.1f} %"
        random = shares[shares.index.str.startswith("random")]
        assert row[at + 2] == f"{random.min():.1f} to {random.max():.1f}"
    assert max(holds.mean() for holds in outcomes.values()) > 0


def test_a_side_that_was_not_swept_is_no_null(table, tmp_path: Path):
    store_run(tmp_path, table[table["alpha"] >= 0])
    blocks = document([load_source(tmp_path)]).blocks
    best = next(b for b in blocks if isinstance(b, Table) and "best suppression" in b.columns)
    assert {row[2] for row in best.rows} == {"not swept"}


def test_choices_on_the_data_shown_are_marked(shown: Document):
    blocks = list(shown.blocks)
    marks = [b for b in blocks if isinstance(b, Callout) and b.tone == "chosen"]
    assert len(marks) == 2
    assert all("report split" in mark.text and "out of 4" in mark.text for mark in marks)
    at = blocks.index(marks[0])
    assert isinstance(blocks[at - 1], Heading)
    assert blocks[at - 1].text == "Best suppression and amplification"
    assert isinstance(blocks[at + 1], Table)


def test_the_fit_split_is_marked_first(table, tmp_path: Path):
    store_run(tmp_path, table, split="fit")
    marks = [b for b in document([load_source(tmp_path)]).blocks if isinstance(b, Callout)]
    assert marks[0].tone == "chosen"
    assert "the fit split, from which directions are computed" in marks[0].text


def test_the_commands_make_it_again(shown: Document):
    (code,) = [block for block in shown.blocks if isinstance(block, Code)]
    assert [line.split()[3] for line in code.lines] == ["prepare", "sweep", "report"]


def test_the_report_command_is_the_one_that_was_given(folder: Path, tmp_path: Path):
    spaced = tmp_path / "my runs"
    spaced.symlink_to(folder)
    source = load_source(spaced, seed=5)
    (code,) = [block for block in document([source]).blocks if isinstance(block, Code)]
    words = shlex.split(code.lines[-1])
    assert words[3:] == [
        *("report", str(spaced), "--run", str(source.record.id), "--seed", "5"),
        *("--out", "report.html"),
    ]


def test_an_unfinished_run_says_so(other: Path):
    shown = document([load_source(other)])
    assert shown.subtitle.endswith("unfinished")
    warning = next(b for b in shown.blocks if isinstance(b, Callout))
    assert "180 of 270 rows" in warning.text
    assert "20 pairs" in warning.text
    cards = next(block for block in shown.blocks if isinstance(block, Cards)).cards
    assert {card.kind for card in cards} == {"edit never arrived"}


def test_missing_controls_are_said(other: Path):
    warnings = [b.text for b in document([load_source(other)]).blocks if isinstance(b, Callout)]
    assert any("nothing here can be called an effect" in text for text in warnings)


def test_two_folders_are_compared(folder: Path, other: Path, tmp_path: Path):
    out = tmp_path / "both.html"
    first, second = write_report([folder, other], out)
    blocks = document([first, second]).blocks
    assert isinstance(blocks[0], Heading)
    assert blocks[0].text == "Side by side"
    run, effects, verdicts = [block for block in blocks if isinstance(block, Table)][:3]
    rows = {row[0]: row[1:] for row in run.rows}
    assert rows["parameters"] == ("not recorded", "1.44 M", "—")
    assert rows["pairs reported on"][2] == "3.00 ×"
    assert rows["baseline accuracy"][2] == f"{(29 / 60) / second.analysis.baseline:.2f} ×"
    assert rows["layers"][1] == "4"
    assert re.match(r"48\.3 % \(29/60\), 95 % 36\.2 to 60\.7", rows["baseline accuracy"][0])
    assert rows["pairs reported on"][1] == "20 (report split)"
    named = {row[0]: row[1:] for row in effects.rows[:3]}
    assert [row[0] for row in effects.rows[3:]][:1] == ["best amplification"]
    assert named["best suppression"][1] == "no change at any α of any curve"
    for kind, name in (("random", "random"), ("shuffled", "label-shuffled")):
        bands = first.analysis.bands
        there = bands[bands.kind.eq(kind) & bands.alpha.eq(-2) & bands.layer.eq(layer_of(named))]
        middle = float(there.middle.iloc[0]) - first.analysis.baseline
        mine = named[f"{name} directions there"]
        assert mine[0].startswith(f"{change(middle)} (95 % of 20: ")
        assert mine[1] == "—"
    assert [row[0] for row in verdicts.rows] == ["Layer 1", "Layer 2", "Layer 3"]
    assert verdicts.rows[1][2] == "—"
    assert "tiny-gpt2" in Page(out.read_text()).headings


def layer_of(named: dict[str, tuple[str, ...]]) -> int:
    return int(re.findall(r"\(Layer (\d)\)", named["best suppression"][0])[0])


def test_one_model_twice_is_told_apart(other: Path, table, tmp_path: Path):
    store_run(tmp_path, table, model="tiny-gpt2")
    shown = document([load_source(other), load_source(tmp_path)])
    parts = [b.text for b in shown.blocks if isinstance(b, Heading) and b.level == 1]
    assert len(set(parts)) == 2


def test_the_newest_run_is_reported_unless_named(table, tmp_path: Path):
    first = store_run(tmp_path, table[table["kind"] != "shuffled"])
    second = store_run(tmp_path, table[table["kind"] != "random"])
    assert load_source(tmp_path).record.id == second
    found = load_source(tmp_path, run=first)
    assert found.analysis.controls == {"random": 20}
    assert found.others == (second,)
    with pytest.raises(UserError, match=f"run 99 is not in .*; choose one of {first}, {second}"):
        load_source(tmp_path, run=99)


def test_folders_and_files_that_cannot_be_used(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="holds no results"):
        write_report([tmp_path], tmp_path / "a.html")
    with pytest.raises(UserError, match=r"'\.pdf', a report ends in \.html or \.md"):
        write_report([folder], tmp_path / "a.pdf")
    with pytest.raises(UserError, match="3 folders"):
        write_report([folder] * 3, tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_and_prints(folder: Path, tmp_path: Path, capsys):
    out = tmp_path / "report.md"
    assert main(["report", str(folder), "--out", str(out), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["layer"] for row in rows] == [1, 2]
    assert [row["kind"] for row in rows] == ["effect", "effect"]
    assert all(row["n"] == 60 and 0 < row["smallest_detectable"] < 1 for row in rows)
    assert rows[0]["sentence"].startswith(
        "Effect on accuracy: 16.7 points below its controls: at α"
    )
    assert rows[0]["headline"] == "effect on accuracy: 16.7 points below its controls"
    assert out.read_text().startswith("# Steering tiny-llama")


def test_the_command_says_what_is_missing(other: Path, tmp_path: Path, capsys):
    assert main(["report", str(other), "--json"]) == 0
    found = capsys.readouterr()
    assert "unfinished: 180 of 270 rows" in found.err
    assert json.loads(found.out.splitlines()[0])["finished"] is False
    assert main(["report", str(other)]) == 2
    assert "--out is missing" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "a.html")]) == 2
    assert "holds no results" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda alpha: 0.4 * (alpha == -2), "α < 0 lowers accuracy"),
        (lambda alpha: 0.4 * (alpha == 2), "α > 0 lowers accuracy instead"),
        (lambda alpha: 0.0, "nothing beyond chance"),
    ],
)
def test_a_loss_is_observed_behind_a_gain_within_chance(harm, said: str, tmp_path: Path):
    """At α = +1 chance gains a little, so that is the best amplification; α = +2 still counts."""
    table = runs.run_table(
        lambda direction, layer, alpha: harm(alpha),
        pairs=120,
        alphas=(-2, -1, 1, 2),
        layers=[1],
        noise=0.04,
        seed=2,
    )
    store_run(tmp_path, table)
    source = load_source(tmp_path)
    assert source.analysis.best.amplification_change[0] > 0
    blocks = document([source]).blocks
    best = next(b for b in blocks if isinstance(b, Table) and "best suppression" in b.columns)
    assert best.rows[0][-1] == said


def test_a_comparison_says_how_many_it_picked_from(folder: Path, other: Path):
    """Two curves of four α, and two of two."""
    blocks = document([load_source(folder), load_source(other)]).blocks
    end = next(i for i, b in enumerate(blocks) if isinstance(b, Heading) and b.level == 1)
    marks = [b.text for b in blocks[:end] if isinstance(b, Callout)]
    assert [re.findall(r"out of (\d+)", text) for text in marks] == [["8"], ["4"]]
    same = document([load_source(folder), load_source(folder)]).blocks
    end = next(i for i, b in enumerate(same) if isinstance(b, Heading) and b.level == 1)
    assert sum(isinstance(b, Callout) for b in same[:end]) == 1
