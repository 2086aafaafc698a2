"""Trees of drafted answers: what is planted, who sees whom, and how far rows follow."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from steer_core.codi.drafts import Candidates, Tree, evened, follow, plant

CPU = torch.device("cpu")
PAD = 99
answers = st.lists(st.integers(0, 3), max_size=4).map(tuple)
several = st.lists(answers, max_size=5)
starts = st.sampled_from([(9,), (9, 8)])


def grown(start: tuple, some: list) -> tuple[Tree, list[list[int]]]:
    tree = Tree(start)
    return tree, [tree.add(answer) for answer in some]


def ancestors(tree: Tree, node: int) -> list[int]:
    """A node and everything above it."""
    return [node, *(ancestors(tree, tree.parent[node]) if tree.parent[node] >= 0 else [])]


# --- one tree ------------------------------------------------------------------------------------


def test_answers_share_what_they_begin_with():
    tree, paths = grown((9, 8), [(1, 2, 3), (1, 2, 4), (1,), (), (2,), (1, 2, 3)])
    assert tree.ids == [9, 8, 1, 2, 3, 4, 2]
    assert tree.parent == [-1, 0, 1, 2, 3, 3, 1]
    assert tree.depth == [0, 1, 2, 3, 4, 4, 2]
    assert paths == [[2, 3, 4], [2, 3, 5], [2], [], [6], [2, 3, 4]]
    assert ancestors(tree, 5) == [5, 3, 2, 1, 0]


def test_a_token_of_the_start_is_no_child():
    """EOS can start an answer and come again in it."""
    _, paths = grown((9, 8), [(8,), (9,)])
    assert paths == [[2], [3]]


@given(start=starts, some=several)
def test_a_tree_holds_every_beginning_once(start: tuple, some: list):
    tree, paths = grown(start, some)
    beginnings = {answer[:n] for answer in some for n in range(1, len(answer) + 1)}
    assert len(tree.ids) == len(start) + len(beginnings)
    for answer, path in zip(some, paths, strict=True):
        assert tuple(tree.ids[node] for node in path) == answer
        assert [tree.depth[node] for node in path] == [len(start) + i for i in range(len(answer))]
        assert all(tree.parent[b] == a for a, b in zip([tree.root, *path], path, strict=False))


# --- as long as most need ------------------------------------------------------------------------


def test_one_long_answer_is_cut_and_scored_ones_are_not():
    likely = [(1, 2), (1, 2, 3), tuple(range(20)), (1, 2, 3)]
    each = [Candidates(scored=((5,) * 9,), likely=(answer,), trunk=1) for answer in likely]
    cut = evened(each)
    assert [one.likely for one in cut] == [((1, 2),), ((1, 2, 3),), ((0, 1, 2),), ((1, 2, 3),)]
    assert [one.scored for one in cut] == [((5,) * 9,)] * 4
    assert evened([Candidates(likely=(likely[2],))])[0].likely == (likely[2],)
    assert evened([Candidates()] * 2) == [Candidates()] * 2


@given(each=st.lists(several, min_size=1, max_size=5))
def test_at_least_half_of_the_answers_stay_whole_or_reach_the_limit(each: list):
    before = [answer for some in each for answer in some]
    after = [a for one in evened([Candidates(likely=tuple(s)) for s in each]) for a in one.likely]
    assert all(cut == whole[: len(cut)] for cut, whole in zip(after, before, strict=True))
    longest = max(map(len, after), default=0)
    assert 2 * sum(len(answer) >= longest for answer in before) >= len(before)
    assert all(
        len(cut) == min(len(whole), longest) for cut, whole in zip(after, before, strict=True)
    )


# --- planted side by side ------------------------------------------------------------------------


def test_planted_trees_by_example():
    each = [
        Candidates(scored=((1, 2), (1, 3)), likely=((4,),), trunk=1),
        Candidates(scored=((5,), ()), trunk=0),
    ]
    drafts = plant((9,), each, PAD, CPU)
    assert drafts.ids.tolist() == [[9, 1, 2, 3, 4], [9, 5, PAD, PAD, PAD]]
    assert drafts.parent.tolist() == [[-1, 0, 1, 1, 0], [-1, 0, -1, -1, -1]]
    assert drafts.depth.tolist() == [[0, 1, 2, 2, 1], [0, 1, 0, 0, 0]]
    assert drafts.path.int().tolist() == [
        [[0, 1, 1, 0, 0], [0, 1, 0, 1, 0]],
        [[0, 1, 0, 0, 0], [0, 0, 0, 0, 0]],
    ]
    assert drafts.leaf.tolist() == [[2, 3], [1, 0]]
    assert drafts.fork.tolist() == [1, 0]
    assert drafts.first.tolist() == [2, 5]
    assert not drafts.only_start
    assert plant((9, 8), [Candidates()] * 2, PAD, CPU).only_start


@given(start=starts, each=st.lists(several, min_size=1, max_size=3))
def test_a_node_sees_itself_and_what_is_above_it(start: tuple, each: list):
    drafts = plant(start, [Candidates(likely=tuple(some)) for some in each], PAD, CPU)
    for g, some in enumerate(each):
        tree, _ = grown(start, some)
        for node in range(drafts.ids.shape[1]):
            seen = set(drafts.sees[g, node].nonzero()[:, 0].tolist())
            assert seen == (set(ancestors(tree, node)) if node < len(tree.ids) else {node})


@given(start=starts, each=st.lists(st.tuples(answers, answers, several), min_size=1, max_size=3))
def test_candidates_lie_on_their_paths(start: tuple, each: list):
    planted = [Candidates((a, b), tuple(some)) for a, b, some in each]
    drafts = plant(start, planted, PAD, CPU)
    for g, (a, b, _) in enumerate(each):
        for c, answer in enumerate((a, b)):
            nodes = drafts.path[g, c].nonzero()[:, 0]
            assert tuple(drafts.ids[g, nodes].tolist()) == answer
            assert drafts.leaf[g, c] == (nodes[-1] if answer else drafts.root)


# --- following -----------------------------------------------------------------------------------


@given(
    start=starts,
    each=st.lists(several, min_size=1, max_size=3),
    rows=st.integers(1, 3),
    data=st.data(),
)
def test_rows_follow_their_picks_to_the_end_of_the_tree(
    start: tuple, each: list, rows: int, data: st.DataObject
):
    drafts = plant(start, [Candidates(likely=tuple(some)) for some in each], PAD, CPU)
    shape = (len(each) * rows, drafts.ids.shape[1])
    one = st.lists(st.integers(0, 4), min_size=shape[1], max_size=shape[1])
    picked = torch.tensor([data.draw(one) for _ in range(shape[0])])
    reached = follow(drafts, picked, rows)
    steps = int(drafts.depth.max()) - drafts.root
    assert reached.shape == (shape[0], steps + 1)
    for n in range(shape[0]):
        tree, _ = grown(start, each[n // rows])
        children = {(tree.parent[i], tree.ids[i]): i for i in range(tree.root + 1, len(tree.ids))}
        at, wanted = tree.root, [tree.root]
        for _ in range(steps):
            at = children.get((at, int(picked[n, at])), at)
            wanted.append(at)
        assert reached[n].tolist() == wanted


def test_a_row_that_leaves_the_tree_does_not_come_back():
    drafts = plant((9,), [Candidates(likely=((1, 2, 3), (4,)))], PAD, CPU)
    picked = torch.tensor([[1, 7, 3, 7, 7], [1, 2, 3, 7, 7], [4, 2, 3, 7, 4], [7, 2, 3, 7, 7]])
    assert follow(drafts, picked, 4).tolist() == [
        [0, 1, 1, 1],
        [0, 1, 2, 3],
        [0, 4, 4, 4],
        [0, 0, 0, 0],
    ]
