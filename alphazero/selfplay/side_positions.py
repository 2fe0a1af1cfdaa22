"""Positions that a search looked at closely, and that the game did not come to.

A search of 800 simulations visits the position after a move that is not played tens or hundreds of times. Such a
node is a small search of its own: its visits say which moves are good there, its mean value how good the position
is. When a move is played, the subtrees beside it are left behind for good, and their well visited nodes become
training positions, which cost no evaluation.

Source: Veness, Silver, Uther and Blair, 'Bootstrapping from game tree search' (2009), whose TreeStrap learns from all
nodes of an alpha-beta search; here those of PUCT with enough visits, for the policy as well.

Axis letters: M nodes of the tree, N nodes chosen.
"""

from __future__ import annotations

import numpy as np

from alphazero.mcts.backend import IntArray, RootStatistics, TreeSnapshot


def nodes_left_behind(tree: TreeSnapshot, played: int, min_visits: int) -> IntArray:
    """Return int32 [N], ascending: the nodes that are not kept when action `played` is played at the root.

    Of these the ones with children and at least `min_visits` visits. The root is the game's own and not among them.
    """
    expanded = np.diff(tree.edge_offsets) > 0
    chosen = np.flatnonzero((tree.visit_count >= min_visits) & expanded)
    left_behind = []
    kept: set[int] = set()
    for node in chosen[chosen > 0].tolist():  # parents before their children, and visited at least as often
        parent = int(tree.parent[node])
        if parent in kept or (parent == 0 and tree.action[node] == played):
            kept.add(node)
        else:
            left_behind.append(node)
    return np.array(left_behind, np.int32)


def node_statistics(tree: TreeSnapshot, node: int) -> RootStatistics:
    """Return what the search found at `node` (expanded), as if it were the root of a tree of its own."""
    edges = slice(int(tree.edge_offsets[node]), int(tree.edge_offsets[node + 1]))
    children = tree.edge_children[edges]
    visited = children >= 0
    children = np.maximum(children, 0)
    return RootStatistics(
        actions=tree.edge_actions[edges],
        visit_counts=np.where(visited, tree.visit_count[children], 0).astype(np.int32),
        value_sums=np.where(visited, -tree.value_sum[children], 0.0),
        priors=tree.edge_priors[edges],
        visit_count=int(tree.visit_count[node]),
        value_sum=float(tree.value_sum[node]),
        proven=np.where(visited, -tree.proven[children], 0).astype(np.int8),
    )
