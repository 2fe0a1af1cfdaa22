"""Positions that a search looked at closely, and that the game did not come to.

A search of 800 simulations visits the position after a move that is not played tens or hundreds of times. Such a
node is a small search of its own: its visits say which moves are good there, its mean value how good the position
is. When a move is played, the subtrees beside it are left behind for good, and their well visited nodes become
training positions, which cost no evaluation.

Source: Veness, Silver, Uther and Blair, 'Bootstrapping from game tree search' (2009), whose TreeStrap learns from all
nodes of an alpha-beta search; here those of PUCT with enough visits, for the policy as well.

Axis letters: N nodes, E their edges, C H W planes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alphazero.games.game import ByteArray
from alphazero.mcts.backend import FloatArray, IntArray, SearchedNodes
from alphazero.mcts.search import BatchedSearch
from alphazero.records import SidePositions
from alphazero.selfplay.policy_targets import best_proven


def nodes_left_behind(search: BatchedSearch, tree: int, played: int | None, min_visits: int) -> SearchedNodes:
    """Return the nodes with at least `min_visits` visits that `search.play(tree, played)` would drop.

    Without tree reuse, or if the game ends without a move (None), these are all of them, but for the root: that is the
    game's own position.
    """
    except_action = played if search.config.tree_reuse and played is not None else -1
    return search.trees.searched_nodes(tree, min_visits, except_action)


def node_values(found: SearchedNodes) -> FloatArray:
    """Return the value of each node for the player to move there, float64 [N]: what is proven, else the mean."""
    means = found.value_sums / found.visit_counts
    if not np.count_nonzero(found.edge_proven):
        return means
    best = best_proven(found.edge_proven, found.edge_offsets)
    return np.where(best == 0, means, best)


def joined(searches: Sequence[SearchedNodes]) -> SearchedNodes:
    """Return the nodes of at least one search as if they were one search's, in the order given."""
    edges = [len(nodes.edge_actions) for nodes in searches]
    before = np.cumsum([0, *edges[:-1]]).repeat([len(nodes) for nodes in searches])
    ends = np.concatenate([nodes.edge_offsets[1:] for nodes in searches]) + before
    return SearchedNodes(
        nodes=np.concatenate([nodes.nodes for nodes in searches]),
        visit_counts=np.concatenate([nodes.visit_counts for nodes in searches]),
        value_sums=np.concatenate([nodes.value_sums for nodes in searches]),
        edge_offsets=np.concatenate([[0], ends]).astype(np.int32),
        edge_actions=np.concatenate([nodes.edge_actions for nodes in searches]),
        edge_visit_counts=np.concatenate([nodes.edge_visit_counts for nodes in searches]),
        edge_priors=np.concatenate([nodes.edge_priors for nodes in searches]),
        edge_proven=np.concatenate([nodes.edge_proven for nodes in searches]),
    )


def side_positions(
    observations: ByteArray,
    found: SearchedNodes,
    policy_visits: IntArray,
    moves_before: IntArray,
    copies: IntArray | None,
) -> SidePositions:
    """Return the nodes found as positions to learn from.

    observations: uint8 [N, C, H, W]. policy_visits: int32 [E]. moves_before, copies: see `SidePositions`.
    """
    return SidePositions(
        observations=observations,
        policy_offsets=found.edge_offsets,
        policy_actions=found.edge_actions,
        policy_visits=policy_visits,
        values=node_values(found).astype(np.float32),
        moves_before=moves_before,
        copies=copies,
    )
