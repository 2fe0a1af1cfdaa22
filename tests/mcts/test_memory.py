"""What compiled trees hold of memory, room to grow included, after many moves with their subtrees kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.mcts import make_trees
from alphazero.mcts.search import BatchedSearch, best_action

STATE_BYTES = 64  # of chess


def search_alone(trees: Any, simulations: int, width: int) -> None:
    """Search tree 0 from its root: `width` moves everywhere, equal priors, all values 0."""
    every, node, parent, action = (np.zeros(1, np.int32) for _ in range(4))
    trees.remaining[0] = simulations
    while True:
        trees.select_leaves(every, node, parent, action)
        if node[0] < 0:
            return
        trees.expand_and_backup(
            every,
            node,
            np.array([0, width], np.int32),
            np.arange(width, dtype=np.int32),
            np.full(width, 1 / width, np.float32),
            np.zeros(1),
        )


def test_memory_of_one_large_search_is_given_back(compiled_backend: str) -> None:
    trees: Any = make_trees(compiled_backend, 1, np.ones(2000))
    every = np.zeros(1, np.int32)
    search_alone(trees, 1000, width=60)
    large = trees.memory_bytes(reserved=True)
    assert trees.memory_bytes() <= large <= 1.25 * trees.memory_bytes()
    trees.reset(every)
    assert trees.memory_bytes(reserved=True) <= large  # the next search will probably be as large
    search_alone(trees, 300, width=20)
    from_empty = trees.memory_bytes()
    trees.advance(0, 0)
    search_alone(trees, 300, width=20)
    in_use = trees.memory_bytes()
    assert in_use > from_empty  # the subtree of the move is kept
    trees.advance(0, 0)
    assert trees.memory_bytes(reserved=True) <= 1.6 * in_use < large / 4
    trees.reset(every)
    search_alone(trees, 300, width=20)
    assert trees.memory_bytes() == from_empty


def test_1024_games_of_chess_with_800_simulations_fit_into_two_gibibytes(compiled_backend: str) -> None:
    """In small: an eighth of the simulations have an eighth of the memory of one game, 2 MiB.

    Priors that are far from equal, the same everywhere, so that most of a tree is kept at a move.
    """
    game = get_game("chess")
    if game.native_states(1) is None:
        pytest.skip("native rules are not built")
    games, simulations = 16, 100
    search = BatchedSearch(game, games, SearchConfig(mcts_backend=compiled_backend, simulations=simulations))
    logits = 2.0 * np.random.default_rng(0).standard_normal((1, game.num_actions)).astype(np.float32)
    every = np.arange(games, dtype=np.int32)
    kept = 0
    for tree in range(games):
        search.reset(tree)
    for _ in range(60):
        search.search(every, lambda rows: (np.repeat(logits, len(rows), 0), np.zeros(len(rows), np.float32)))
        trees: Any = search.trees
        nodes = sum(len(trees.snapshot(tree).parent) for tree in range(games))
        states = 1.25 * STATE_BYTES * nodes
        assert (trees.memory_bytes(reserved=True) + states) / games <= 2 * 2**20 / 8
        kept = max(kept, nodes - games * (simulations + 1))
        for tree in range(games):
            search.play(tree, best_action(search.root_statistics(tree)))
            if search.terminal_value(tree) is not None:
                search.reset(tree)
    assert kept > 0.2 * games * simulations
