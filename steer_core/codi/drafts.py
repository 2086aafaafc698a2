"""Drafts: likely answers, checked in one forward pass instead of token by token.

The candidate answers of a question form a tree of tokens below the tokens that start an answer. One
pass over all nodes, each attending to its ancestors only, gives what greedy decoding would pick
behind every node; a row then follows its own picks through the tree as far as they are in it. The
same pass gives the log-probability of every candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Token ids that answers of one question may have, without EOS.

    `scored` are those whose log-probability is asked for; their numbers begin behind `trunk`
    tokens, which all of them share. `likely` are drafts only.
    """

    scored: tuple[Ids, ...] = ()
    likely: tuple[Ids, ...] = ()
    trunk: int = 0


def evened(each: Sequence[Candidates]) -> list[Candidates]:
    """The same with likely answers cut to what at least half of them have.

    All trees are padded to the largest, so one long answer would cost every row of the batch more
    than it saves its own.
    """
    lengths = sorted(len(answer) for one in each for answer in one.likely)
    most = lengths[len(lengths) // 2] if lengths else 0
    return [replace(one, likely=tuple(answer[:most] for answer in one.likely)) for one in each]


class Tree:
    """The token tree of one question; nodes 0..root are the tokens that start every answer."""

    def __init__(self, start: Ids):
        self.ids = list(start)
        self.parent = [i - 1 for i in range(len(start))]
        self.depth = list(range(len(start)))
        self.root = len(start) - 1

    def add(self, answer: Ids) -> list[int]:
        """Put an answer into the tree; its nodes behind the root."""
        path, at = [], self.root
        for token in answer:
            at = self.child(at, token)
            path.append(at)
        return path

    def child(self, at: int, token: int) -> int:
        """The node of a token behind another, new if there is none."""
        for node in range(self.root + 1, len(self.ids)):
            if self.parent[node] == at and self.ids[node] == token:
                return node
        self.ids.append(token)
        self.parent.append(at)
        self.depth.append(self.depth[at] + 1)
        return len(self.ids) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Drafts:
    """The trees of G questions, padded to T nodes; C scored candidates each.

    `ids`, `parent` (-1 for none), `depth` int [G, T]; `sees` bool [G, T, T], node i attends to node
    j; `path` bool [G, C, T], the nodes of a candidate; `leaf` int [G, C], its last one; `fork` int
    [G], the node that numbers come behind, and `first` int [G], the first candidate's token there.
    `root` is the last node of the start, `deepest` the greatest depth of any node.
    """

    ids: Tensor
    parent: Tensor
    depth: Tensor
    sees: Tensor
    path: Tensor
    leaf: Tensor
    fork: Tensor
    first: Tensor
    root: int
    deepest: int

    @property
    def only_start(self) -> bool:
        """Whether there is nothing to follow."""
        return self.ids.shape[1] == self.root + 1


def plant(
    start: Ids, each: Sequence[Candidates], pad: int, device: torch.device, rounded: int = 1
) -> Drafts:
    """The trees of questions.

    Args:
        start: Tokens that start an answer: EOT, and EOS where the model was trained with it.
        each: Candidates of G questions, the same number of scored ones each.
        pad: Filling id.
        device: Where the batch runs.
        rounded: T is rounded up to a multiple of it.
    """
    trees = [Tree(start) for _ in each]
    paths = [
        [tree.add(answer) for answer in (*one.scored, *one.likely)][: len(one.scored)]
        for tree, one in zip(trees, each, strict=True)
    ]
    width = -(-max(len(tree.ids) for tree in trees) // rounded) * rounded
    parent = filled([tree.parent for tree in trees], -1, width)
    path = torch.zeros(len(trees), len(paths[0]), width, dtype=torch.bool)
    for g, some in enumerate(paths):
        for c, nodes in enumerate(some):
            path[g, c, nodes] = True
    root = len(start) - 1
    fork = [forks(tree, nodes, one) for tree, nodes, one in zip(trees, paths, each, strict=True)]
    tensors = {
        "ids": filled([tree.ids for tree in trees], pad, width),
        "parent": parent,
        "depth": filled([tree.depth for tree in trees], 0, width),
        "sees": seen_from(parent),
        "path": path,
        "leaf": torch.tensor([[nodes[-1] if nodes else root for nodes in some] for some in paths]),
        "fork": torch.tensor([node for node, _ in fork]),
        "first": torch.tensor([token for _, token in fork]),
    }
    deepest = max(max(tree.depth) for tree in trees)
    there = {name: x.to(device) for name, x in tensors.items()}
    return Drafts(**there, root=root, deepest=deepest)


def seen_from(parent: Tensor) -> Tensor:
    """Every node with everything above it, bool [G, T, T] of parents int [G, T] (-1 for none)."""
    trees = torch.arange(len(parent))
    sees = torch.eye(parent.shape[1], dtype=torch.bool).repeat(len(parent), 1, 1)
    for node in range(1, parent.shape[1]):  # parents come in front of their children
        above = parent[:, node]
        sees[:, node] |= sees[trees, above.clamp_min(0)] & (above >= 0)[:, None]
    return sees


def forks(tree: Tree, nodes: Sequence[Sequence[int]], one: Candidates) -> tuple[int, int]:
    """The node that numbers come behind, and the first candidate's token there."""
    if not one.scored:
        return tree.root, 0
    before = tree.root if one.trunk == 0 else nodes[0][one.trunk - 1]
    return before, tree.ids[nodes[0][one.trunk]] if len(nodes[0]) > one.trunk else 0


def filled(lists: Sequence[Sequence[int]], value: int, width: int) -> Tensor:
    """Lists of whole numbers as rows of one tensor [len(lists), width]."""
    return torch.tensor([[*one, *[value] * (width - len(one))] for one in lists])


def follow(drafts: Drafts, picked: Tensor, rows: int) -> Tensor:
    """The nodes that rows reach by their own picks.

    Args:
        drafts: Trees of G questions.
        picked: What greedy decoding picks behind every node, int [N, T], N = G * rows.
        rows: R, rows of each question.

    Returns:
        The node each row reaches at 0, 1, ... steps behind the root, int [N, S]; a row that leaves
        the tree stays where it is.
    """
    parent, ids = (x.repeat_interleave(rows, 0) for x in (drafts.parent, drafts.ids))
    at = torch.full((len(picked), 1), drafts.root, device=picked.device)
    reached = [at]
    for _ in range(drafts.deepest - drafts.root):
        fits = (parent == at) & (ids == picked.gather(1, at))
        at = torch.where(fits.any(1, keepdim=True), fits.int().argmax(1, keepdim=True), at)
        reached.append(at)
    return torch.cat(reached, 1)
