"""Nodes left behind: exactly those that no later root's tree will hold, with what was found there."""

from dataclasses import fields

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.mcts.search import BatchedSearch
from alphazero.selfplay.side_positions import joined, node_values, nodes_left_behind, side_positions

TREE = np.array([0], np.int32)


def searched(backend="auto", moves=(), **options):
    """A search of tic-tac-toe whose network prefers low cells."""
    config = SearchConfig(simulations=300, mcts_backend=backend, **{"solver": True, **options})
    search = BatchedSearch(get_game("tic_tac_toe"), 1, config)
    search.set_position(0, moves)
    logits = np.linspace(1.0, 0.0, 9, dtype=np.float32)[None]
    search.search(TREE, lambda rows: (logits.repeat(len(rows), 0), np.full(len(rows), 0.125, np.float32)))
    return search


@pytest.fixture(params=["python", "cython", "cpp"])
def search(request):
    return searched(request.param)


def moves_to(tree, node):
    moves = []
    while tree.parent[node] >= 0:
        moves.insert(0, int(tree.action[node]))
        node = tree.parent[node]
    return moves


@pytest.mark.parametrize("played", [0, 4])
def test_what_is_left_behind_and_what_is_kept_make_up_the_tree(search, played):
    tree = search.trees.snapshot(0)
    left = nodes_left_behind(search, 0, played, min_visits=5)
    enough = [
        node
        for node in range(1, len(tree.parent))
        if tree.visit_count[node] >= 5 and tree.edge_offsets[node + 1] > tree.edge_offsets[node]
    ]
    expected = [node for node in enough if moves_to(tree, node)[0] != played]
    assert sorted(left.nodes.tolist()) == expected
    assert 0 < len(left) < len(enough)
    depths = [len(moves_to(tree, node)) for node in left.nodes]
    assert depths == sorted(depths) and depths[-1] > 1


def test_without_tree_reuse_everything_is_left_behind(search):
    everything = search.trees.searched_nodes(0, 5)
    searched_alone = searched(search.config.mcts_backend, tree_reuse=False)
    np.testing.assert_array_equal(nodes_left_behind(searched_alone, 0, 0, 5).nodes, everything.nodes)
    assert len(nodes_left_behind(search, 0, 0, 5)) < len(everything)


def test_no_node_has_enough_visits(search):
    found = search.trees.searched_nodes(0, 10_000)
    assert len(found) == len(found.edge_actions) == 0
    assert found.edge_offsets.tolist() == [0]


def test_a_tree_that_was_never_searched_has_none(search):
    search.reset(0)
    assert len(search.trees.searched_nodes(0, 1)) == 0


@pytest.mark.parametrize("solver", [False, True])
@pytest.mark.parametrize("backend", ["cython", "cpp"])
def test_the_compiled_backends_find_what_the_reference_finds(backend, solver):
    for except_action in (-1, 0, 4):
        ours = searched(backend, solver=solver).trees.searched_nodes(0, 2, except_action)
        reference = searched("python", solver=solver).trees.searched_nodes(0, 2, except_action)
        assert len(reference) > 20
        for field in fields(reference):
            one, other = getattr(ours, field.name), getattr(reference, field.name)
            assert one.dtype == other.dtype, field.name
            np.testing.assert_array_equal(one, other, err_msg=field.name)


@pytest.mark.parametrize("moves", [[0], [4, 0]])
def test_statistics_equal_the_backends_own_once_the_node_is_the_root(search, moves):
    tree = search.trees.snapshot(0)
    found = search.trees.searched_nodes(0, 1)
    (index,) = (i for i, node in enumerate(found.nodes) if moves_to(tree, node) == moves)
    edges = slice(*found.edge_offsets[index : index + 2])
    for move in moves:
        search.play(0, move)
    expected = search.root_statistics(0)
    np.testing.assert_array_equal(found.edge_actions[edges], expected.actions)
    np.testing.assert_array_equal(found.edge_visit_counts[edges], expected.visit_counts)
    np.testing.assert_array_equal(found.edge_priors[edges], expected.priors)
    np.testing.assert_array_equal(found.edge_proven[edges], expected.proven)
    assert (found.visit_counts[index], found.value_sums[index]) == (expected.visit_count, expected.value_sum)
    assert node_values(found)[index] == expected.value


@pytest.mark.parametrize("backend", ["python", "cython", "cpp"])
def test_what_is_proven_goes_before_the_mean(backend):
    found = searched(backend, moves=[0, 4, 8]).trees.searched_nodes(0, 1)
    kinds = set()
    for i, value in enumerate(node_values(found)):
        proven = found.edge_proven[slice(*found.edge_offsets[i : i + 2])]
        if (proven > 0).any():
            expected = 1.0
        elif (proven < 0).all():
            expected = -1.0
        else:
            expected = found.value_sums[i] / found.visit_counts[i]
        kinds.add(expected if abs(expected) == 1 else 0)
        assert value == expected
    assert kinds == {-1, 0, 1}


def test_the_nodes_of_several_searches_stand_one_after_the_other(search):
    observations, found = [], []
    for played in (4, 0):
        found.append(nodes_left_behind(search, 0, played, min_visits=5))
        observations.append(np.full((len(found[-1]), 2, 3, 3), played, np.uint8))
        search.play(0, played)
    moves_before = np.repeat(np.array([0, 1], np.int32), [len(nodes) for nodes in found])
    nodes = joined(found)
    side = side_positions(np.concatenate(observations), nodes, nodes.edge_visit_counts, moves_before, None)
    first = len(found[0])
    assert len(side) == first + len(found[1]) == side.observations.shape[0] and side.copies is None
    assert (side.observations[:first] == 4).all() and (side.observations[first:] == 0).all()
    assert side.moves_before is moves_before
    assert side.policy_offsets.dtype == np.int32 and side.values.dtype == np.float32
    last = slice(*side.policy_offsets[-2:])
    edges = slice(*found[1].edge_offsets[-2:])
    np.testing.assert_array_equal(side.policy_actions[last], found[1].edge_actions[edges])
    np.testing.assert_array_equal(side.policy_visits[last], found[1].edge_visit_counts[edges])
    assert side.values[-1] == np.float32(node_values(found[1])[-1])
