"""Perft: how many different move sequences of each length a game has from one position.

The usual proof of a set of rules, since the numbers of many games are published, and a fair measure of
their speed: only the rules are at work, in batches as in a search.
"""

from __future__ import annotations

import numpy as np

from alphazero.games.game import Game, IntArray, States

# Positions stepped from together: enough to spread the cost of a call, few enough to stay in cache.
_CHUNK = 1024


def move_sequence_counts(game: Game, states: States, depth: int) -> list[int]:
    """Return the number of legal move sequences of length 1, 2, ..., `depth` from the root of tree 0.

    The last length is counted from the legal actions, without playing them: sum(counts[:-1]) positions
    are computed. Tree 0 of `states` keeps its root and loses its other nodes.
    """
    counts = [0] * depth
    _count(game, states, np.zeros(1, np.int32), 1, counts, 0)
    return counts


def _count(
    game: Game, states: States, nodes: IntArray, first_free: int, counts: list[int], length: int
) -> None:
    """Add to counts[length:] what lies below `nodes`, which have been reached by `length` moves.

    Nodes from `first_free` on may be overwritten: depth-first over chunks, so that memory holds one chunk
    and its children a move, not the whole tree.
    """
    for start in range(0, len(nodes), _CHUNK):
        parents = nodes[start : start + _CHUNK]
        trees = np.zeros(len(parents), np.int32)
        offsets = np.empty(len(parents) + 1, np.int32)
        actions = np.empty(len(parents) * game.max_legal_actions, np.int32)
        total = states.legal_actions(trees, parents, offsets, actions)
        counts[length] += total
        if total == 0 or length + 1 == len(counts):
            continue
        children = np.arange(first_free, first_free + total, dtype=np.int32)
        parent_of_child = np.repeat(parents, np.diff(offsets))
        states.step(np.zeros(total, np.int32), parent_of_child, actions[:total], children)
        _count(game, states, children, first_free + total, counts, length + 1)
