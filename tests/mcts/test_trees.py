"""The arithmetic of one step, one backup and one advance, worked out by hand, in every backend.

Every search here uses an exploration table of ones (unless it says otherwise), so that
score(a) = Q(a) + P(a) / (1 + n(a)).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alphazero.mcts import make_trees
from alphazero.mcts.backend import TreeOptions, Trees

ALL = np.array([0], np.int32)


def new_trees(backend: str, remaining: int = 100, **options: Any) -> Trees:
    trees = make_trees(backend, 1, np.ones(200), TreeOptions(**options))
    trees.remaining[0] = remaining
    return trees


def select(trees: Trees) -> tuple[int, int, int]:
    """Return (node, parent, action) of the next leaf."""
    node, parent, action = (np.full(1, 99, np.int32) for _ in range(3))
    trees.select_leaves(ALL, node, parent, action)
    return int(node[0]), int(parent[0]), int(action[0])


def expand(
    trees: Trees, node: int, value: float, priors: list[float], actions: list[int] | None = None
) -> None:
    trees.expand_and_backup(
        ALL,
        np.array([node], np.int32),
        np.array([0, len(priors)], np.int32),
        np.array(actions if actions is not None else range(len(priors)), np.int32),
        np.array(priors, np.float32),
        np.array([value]),
    )


def end(trees: Trees, node: int, value: float) -> None:
    trees.backup_terminal(ALL, np.array([node], np.int32), np.ones(1, np.uint8), np.array([value]))


def test_the_first_leaf_is_the_root_and_its_evaluation_is_not_a_simulation(backend: str) -> None:
    trees = new_trees(backend, remaining=2)
    assert not trees.is_expanded(0)
    assert select(trees) == (0, -1, -1)
    expand(trees, 0, 0.5, [0.5, 0.5])
    assert trees.is_expanded(0)
    assert trees.remaining[0] == 2
    statistics = trees.root_statistics(0)
    assert (statistics.visit_count, statistics.value_sum) == (1, 0.5)
    assert statistics.visit_counts.tolist() == [0, 0]


def test_one_puct_step_takes_the_edge_with_the_highest_score(backend: str) -> None:
    trees = new_trees(backend)
    select(trees)
    expand(trees, 0, 0.0, [0.25, 0.5, 0.25], actions=[2, 5, 7])
    assert select(trees) == (1, 0, 5)  # 0.25, 0.5, 0.25
    expand(trees, 1, 0.125, [1.0])  # Q(5) = -0.125: good for the child's player is bad for the root's
    # now 0.25, -0.125 + 0.5 / 2 = 0.125, 0.25: the first of the two best
    assert select(trees) == (2, 0, 2)
    expand(trees, 2, -1.0, [1.0])  # Q(2) = 1
    # 1 + 0.25 / 2 = 1.125, 0.125, 0.25: down action 2 again, to its only child
    assert select(trees) == (3, 2, 0)


def test_the_exploration_factor_is_that_of_the_visit_count_of_the_node(backend: str) -> None:
    trees = new_trees(backend)
    trees.set_exploration_table(np.array([100.0, 0.0, 8.0] + [0.0] * 200))
    select(trees)
    expand(trees, 0, 0.0, [0.25, 0.75])
    assert select(trees) == (1, 0, 0)  # root visited once: factor 0, both scores 0, lowest action
    expand(trees, 1, 0.5, [1.0])
    # twice: -0.5 + 8 * 0.25 / 2 = 0.5 against 0 + 8 * 0.75 = 6
    assert select(trees) == (2, 0, 1)


def test_equal_scores_choose_lowest_action(backend: str) -> None:
    trees = new_trees(backend)
    select(trees)
    expand(trees, 0, 0.0, [0.25] * 4, actions=[1, 3, 6, 8])
    chosen = []
    for _ in range(8):
        # With Q = 0 everywhere, each visited edge falls behind the unvisited ones, then all tie again.
        node, parent, action = select(trees)
        if parent == 0:
            chosen.append(action)
        expand(trees, node, 0.0, [1.0])
    assert chosen == [1, 3, 6, 8]
    assert trees.root_statistics(0).visit_counts.tolist() == [2, 2, 2, 2]


def test_backup_alternates_the_sign_at_every_ply(backend: str) -> None:
    trees = new_trees(backend, remaining=2)
    select(trees)
    expand(trees, 0, 0.125, [1.0])
    assert select(trees) == (1, 0, 0)
    expand(trees, 1, 0.5, [1.0])
    assert select(trees) == (2, 1, 0)
    expand(trees, 2, 0.25, [1.0])
    snapshot = trees.snapshot(0)
    # leaf: 0.25; its parent: 0.5 - 0.25; the root: 0.125 - 0.5 + 0.25
    assert snapshot.value_sum.tolist() == [-0.125, 0.25, 0.25]
    assert snapshot.visit_count.tolist() == [3, 2, 1]
    assert snapshot.parent.tolist() == [-1, 0, 1]
    assert snapshot.edge_children.tolist() == [1, 2, -1]
    assert snapshot.edge_offsets.tolist() == [0, 1, 2, 3]
    statistics = trees.root_statistics(0)
    assert statistics.value_sums.tolist() == [-0.25]  # for the player to move at the root
    assert statistics.q_values.tolist() == [-0.125]
    assert trees.remaining[0] == 0
    assert select(trees) == (-1, -1, -1)


def test_a_terminal_leaf_completes_a_simulation_and_is_revisited_without_being_handed_out(
    backend: str,
) -> None:
    trees = new_trees(backend, remaining=5)
    select(trees)
    expand(trees, 0, 0.0, [0.5, 0.5])
    assert select(trees) == (1, 0, 0)
    end(trees, 1, -1.0)  # the root's player wins with action 0
    assert trees.remaining[0] == 4
    # From now on every descent takes action 0 (Q = 1), and the other four simulations are done at once.
    assert select(trees) == (-1, -1, -1)
    assert trees.remaining[0] == 0
    statistics = trees.root_statistics(0)
    assert statistics.visit_counts.tolist() == [5, 0]
    assert statistics.value_sums.tolist() == [5.0, 0.0]
    assert trees.snapshot(0).terminal.tolist() == [0, 1]


def test_rows_that_are_not_terminal_are_left_alone_by_backup_terminal(backend: str) -> None:
    trees = new_trees(backend)
    select(trees)
    trees.backup_terminal(ALL, np.zeros(1, np.int32), np.zeros(1, np.uint8), np.ones(1))
    assert trees.snapshot(0).visit_count.tolist() == [0]
    expand(trees, 0, 0.0, [1.0])
    assert trees.snapshot(0).visit_count.tolist() == [1]


def test_a_terminal_root_uses_up_its_simulations(backend: str) -> None:
    trees = new_trees(backend, remaining=3)
    select(trees)
    end(trees, 0, -1.0)
    assert trees.remaining[0] == 3
    assert select(trees) == (-1, -1, -1)
    snapshot = trees.snapshot(0)
    assert (snapshot.visit_count.tolist(), snapshot.value_sum.tolist()) == ([4], [-4.0])
    assert not trees.is_expanded(0)


def test_an_unvisited_edge_counts_as_the_constant(backend: str) -> None:
    trees = new_trees(backend, first_play_value=-2.0)
    select(trees)
    expand(trees, 0, 0.0, [0.5, 0.5])
    assert select(trees) == (1, 0, 0)
    expand(trees, 1, 1.0, [1.0])
    # -1 + 0.5 / 2 = -0.75 against -2 + 0.5 = -1.5: stays with the first action
    assert select(trees) == (2, 1, 0)


def test_an_unvisited_edge_counts_as_the_mean_of_its_node_less_the_reduction(backend: str) -> None:
    trees = new_trees(backend, first_play_from_parent=True, first_play_value=0.25)
    select(trees)
    expand(trees, 0, 0.0, [0.75, 0.25])
    assert select(trees) == (1, 0, 0)
    expand(trees, 1, 0.5, [1.0])
    # root: mean -0.25. Edge 0: -0.5 + 0.75 / 2 = -0.125; edge 1: -0.25 - 0.25 + 0.25 = -0.25
    assert select(trees) == (2, 1, 0)
    expand(trees, 2, -1.0, [1.0])
    # root: mean (0 - 0.5 - 1) / 3 = -0.5. Edge 0: -1.5 / 2 + 0.75 / 3 = -0.5; edge 1: -0.75 + 0.25 = -0.5
    assert select(trees) == (3, 2, 0)  # a tie: the lowest action
    expand(trees, 3, 1.0, [1.0])
    # root: mean -2.5 / 4 = -0.625. Edge 0: -2.5 / 3 + 0.75 / 4 = -0.646; edge 1: -0.875 + 0.25 = -0.625
    assert select(trees) == (4, 0, 1)


def test_selecting_again_before_the_answer_hands_out_the_same_leaf(backend: str) -> None:
    trees = new_trees(backend)
    assert select(trees) == select(trees) == (0, -1, -1)
    expand(trees, 0, 0.0, [0.5, 0.5])
    assert select(trees) == select(trees) == (1, 0, 0)


def test_root_priors_can_be_replaced(backend: str) -> None:
    trees = new_trees(backend)
    select(trees)
    expand(trees, 0, 0.0, [0.75, 0.25])
    trees.set_root_priors(0, np.array([0.25, 0.75], np.float32))
    assert trees.root_statistics(0).priors.tolist() == [0.25, 0.75]
    assert select(trees) == (1, 0, 1)


def two_ply_tree(backend: str) -> Trees:
    """Root 0 with children 1 (action 4) and 2 (action 6); node 3 under 2, node 4 under 1, node 5 under 2.

    Built by steering with the root's and the leaves' priors and values; node 5 is terminal.
    """
    trees = new_trees(backend)
    select(trees)
    expand(trees, 0, 0.0, [0.5, 0.5], actions=[4, 6])
    for wanted, parent, value, priors in [
        (1, 0, 0.0, [1.0]),
        (2, 0, 0.0, [0.5, 0.5]),
    ]:
        node, found_parent, _ = select(trees)
        assert (node, found_parent) == (wanted, parent)
        expand(trees, node, value, priors)
    trees.set_root_priors(0, np.array([0.0, 1.0], np.float32))
    assert select(trees) == (3, 2, 0)
    expand(trees, 3, 0.0, [1.0])
    trees.set_root_priors(0, np.array([1.0, 0.0], np.float32))
    assert select(trees) == (4, 1, 0)
    expand(trees, 4, 0.5, [1.0])
    trees.set_root_priors(0, np.array([0.0, 1.0], np.float32))
    # edge 4: 0.5 / 2 + 0 = 0.25; edge 6: 0 + 1 / 3
    assert select(trees) == (5, 2, 1)
    end(trees, 5, -1.0)
    return trees


def test_advance_keeps_the_subtree_and_renumbers_it_in_order(backend: str) -> None:
    trees = two_ply_tree(backend)
    before = trees.snapshot(0)
    assert before.parent.tolist() == [-1, 0, 0, 2, 1, 2]
    kept = trees.advance(0, 6)
    assert kept.tolist() == [2, 3, 5]
    assert kept.dtype == np.int32
    after = trees.snapshot(0)
    assert after.parent.tolist() == [-1, 0, 0]
    assert after.action.tolist() == [-1, 0, 1]
    assert after.visit_count.tolist() == before.visit_count[kept].tolist() == [3, 1, 1]
    # node 2: 0 - 0 + 1 (node 5 is lost for its player)
    assert after.value_sum.tolist() == before.value_sum[kept].tolist() == [1.0, 0.0, -1.0]
    assert after.terminal.tolist() == [0, 0, 1]
    assert after.edge_children.tolist() == [1, 2, -1]
    assert trees.is_expanded(0)
    # The search goes on where it was: the terminal child 2 has Q = 1 and is taken until all is done.
    trees.remaining[0] = 2
    assert select(trees) == (-1, -1, -1)
    assert trees.root_statistics(0).visit_counts.tolist() == [1, 3]


def test_advance_to_a_child_that_was_never_visited_empties_the_tree(backend: str) -> None:
    trees = new_trees(backend)
    assert trees.advance(0, 3).tolist() == []  # not even the root is known: any action will do
    select(trees)
    expand(trees, 0, 0.0, [0.75, 0.25])
    select(trees)
    expand(trees, 1, 0.0, [1.0])
    assert trees.advance(0, 1).tolist() == []
    assert not trees.is_expanded(0)
    assert select(trees) == (0, -1, -1)


def test_advance_to_a_terminal_child_keeps_it(backend: str) -> None:
    trees = two_ply_tree(backend)
    trees.advance(0, 6)
    assert trees.advance(0, 1).tolist() == [2]
    assert trees.snapshot(0).terminal.tolist() == [1]
    assert select(trees) == (-1, -1, -1)


def test_reset_empties_only_the_trees_named(backend: str) -> None:
    trees = make_trees(backend, 3, np.ones(10))
    trees.remaining[:] = 5
    every = np.arange(3, dtype=np.int32)
    nodes, parents, actions = (np.empty(3, np.int32) for _ in range(3))
    trees.select_leaves(every, nodes, parents, actions)
    trees.expand_and_backup(
        every,
        nodes,
        np.array([0, 1, 2, 3], np.int32),
        np.zeros(3, np.int32),
        np.ones(3, np.float32),
        np.array([0.25, 0.5, 0.75]),
    )
    trees.reset(np.array([2, 0], np.int32))
    assert [trees.is_expanded(tree) for tree in range(3)] == [False, True, False]
    assert trees.root_statistics(1).value_sum == 0.5


def test_a_wide_root_and_a_long_line_fit(backend: str) -> None:
    """More edges than the first memory holds, and a path longer than the first path."""
    trees = make_trees(backend, 1, np.ones(400))
    trees.remaining[0] = 300
    select(trees)
    width = 5000
    priors = np.zeros(width, np.float32)
    priors[4321] = 1.0
    expand(trees, 0, 0.0, priors.tolist())
    assert select(trees) == (1, 0, 4321)
    expand(trees, 1, -1.0, [1.0])
    for depth in range(2, 300):
        assert select(trees) == (depth, depth - 1, 0)
        expand(trees, depth, 1.0 if depth % 2 == 0 else -1.0, [1.0])  # good for the root's player
    snapshot = trees.snapshot(0)
    assert snapshot.visit_count[:3].tolist() == [300, 299, 298]
    assert snapshot.value_sum[:3].tolist() == [299.0, -299.0, 298.0]


def test_wrong_calls_say_what_was_wrong(backend: str) -> None:
    trees = new_trees(backend)
    with pytest.raises(ValueError, match="not expanded"):
        trees.root_statistics(0)
    with pytest.raises(ValueError, match="not the leaf"):
        expand(trees, 0, 0.0, [1.0])  # nobody asked for it
    select(trees)
    trees.reset(np.zeros(1, np.int32))
    with pytest.raises(ValueError, match="not the leaf"):
        expand(trees, 0, 0.0, [1.0])  # of the tree before
    select(trees)
    with pytest.raises(ValueError, match="no legal action"):
        expand(trees, 0, 0.0, [])
    with pytest.raises(ValueError, match="not the leaf"):
        expand(trees, 1, 0.0, [1.0])
    expand(trees, 0, 0.0, [1.0], actions=[7])
    with pytest.raises(ValueError, match="not the leaf"):
        expand(trees, 0, 0.0, [1.0])
    with pytest.raises(ValueError, match="action 8 is not legal"):
        trees.advance(0, 8)
    with pytest.raises(ValueError, match="2 priors"):
        trees.set_root_priors(0, np.ones(2, np.float32))
    with pytest.raises(IndexError):
        trees.is_expanded(1)
    with pytest.raises(ValueError, match="at least 1"):
        make_trees(backend, 0, np.ones(2))
    with pytest.raises(ValueError, match="empty"):
        trees.set_exploration_table(np.zeros(0))


def test_a_search_that_outgrows_the_exploration_table_is_refused(backend: str) -> None:
    trees = make_trees(backend, 1, np.ones(3))
    trees.remaining[0] = 10
    with pytest.raises(IndexError):
        for node in range(5):
            select(trees)
            expand(trees, node, 0.0, [1.0])
