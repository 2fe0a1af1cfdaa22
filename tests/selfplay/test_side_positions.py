"""Nodes left behind: exactly those that no later root's tree will hold, with what was found there."""

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.mcts.search import BatchedSearch
from alphazero.selfplay.side_positions import node_statistics, nodes_left_behind

TREE = np.array([0], np.int32)


@pytest.fixture(params=["python", "auto"])
def search(request):
    """A search of tic-tac-toe whose network prefers low cells."""
    search = BatchedSearch(
        get_game("tic_tac_toe"), 1, SearchConfig(simulations=300, solver=True, mcts_backend=request.param)
    )
    logits = np.linspace(1.0, 0.0, 9, dtype=np.float32)[None]
    search.search(TREE, lambda rows: (logits.repeat(len(rows), 0), np.zeros(len(rows), np.float32)))
    return search


def moves_to(tree, node):
    moves = []
    while tree.parent[node] >= 0:
        moves.insert(0, int(tree.action[node]))
        node = tree.parent[node]
    return moves


@pytest.mark.parametrize("played", [0, 4])
def test_what_is_left_behind_and_what_is_kept_make_up_the_tree(search, played):
    tree = search.trees.snapshot(0)
    left = nodes_left_behind(tree, played, min_visits=5)
    assert left.dtype == np.int32 and list(left) == sorted(left)
    enough = [
        node
        for node in range(1, len(tree.parent))
        if tree.visit_count[node] >= 5 and tree.edge_offsets[node + 1] > tree.edge_offsets[node]
    ]
    expected = [node for node in enough if moves_to(tree, node)[0] != played]
    assert list(left) == expected
    assert 0 < len(left) < len(enough)


def test_no_node_has_enough_visits(search):
    assert len(nodes_left_behind(search.trees.snapshot(0), 0, min_visits=10_000)) == 0


def test_statistics_equal_the_backends_own_after_the_move_is_played(search):
    tree = search.trees.snapshot(0)
    root = search.root_statistics(0)
    action = int(root.actions[root.visit_counts.argmax()])
    (node,) = (n for n in range(len(tree.parent)) if tree.parent[n] == 0 and tree.action[n] == action)
    found = node_statistics(tree, node)
    search.play(0, action)
    expected = search.root_statistics(0)
    np.testing.assert_array_equal(found.actions, expected.actions)
    np.testing.assert_array_equal(found.visit_counts, expected.visit_counts)
    np.testing.assert_array_equal(found.value_sums, expected.value_sums)
    np.testing.assert_array_equal(found.priors, expected.priors)
    np.testing.assert_array_equal(found.proven, expected.proven)
    assert (found.visit_count, found.value_sum) == (expected.visit_count, expected.value_sum)
    assert found.value == expected.value
