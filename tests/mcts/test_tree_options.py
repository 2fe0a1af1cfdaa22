"""Several leaves in flight a tree, the solver, forced playouts, early stops and quotas, by hand in every backend.

The exploration table is one of ones, so that score(a) = Q(a) + P(a) / (1 + n(a)).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from alphazero.mcts import make_trees
from alphazero.mcts.backend import RootStatistics, TreeOptions, Trees
from alphazero.mcts.search import best_action, sample_action

NONE = (-1, -1, -1)


def new_trees(backend: str, remaining: int = 100, **options: Any) -> Trees:
    trees = make_trees(backend, 1, np.ones(400), TreeOptions(**options))
    trees.remaining[0] = remaining
    return trees


def select(trees: Trees, count: int = 1) -> list[tuple[int, int, int]]:
    """Return (node, parent, action) of the next `count` leaves, asked for in one call."""
    nodes, parents, actions = (np.full(count, 99, np.int32) for _ in range(3))
    trees.select_leaves(np.zeros(count, np.int32), nodes, parents, actions)
    return list(zip(nodes.tolist(), parents.tolist(), actions.tolist(), strict=True))


def expand(trees: Trees, node: int, value: float, priors: list[float]) -> None:
    trees.expand_and_backup(
        np.zeros(1, np.int32),
        np.array([node], np.int32),
        np.array([0, len(priors)], np.int32),
        np.arange(len(priors), dtype=np.int32),
        np.array(priors, np.float32),
        np.array([value]),
    )


def end(trees: Trees, node: int, value: float) -> None:
    trees.backup_terminal(
        np.zeros(1, np.int32), np.array([node], np.int32), np.ones(1, np.uint8), np.array([value])
    )


# ---- several leaves ----


def test_a_leaf_in_flight_counts_as_lost_visits(backend: str) -> None:
    trees = new_trees(backend, leaves_per_tree=3, virtual_loss=2)
    assert select(trees, 3) == [(0, -1, -1), NONE, NONE]  # nothing below a root that is being evaluated
    expand(trees, 0, 0.0, [0.75, 0.25])
    # First 0.75 against 0.25. Then action 0 has two lost visits: -2 / 2 + 0.75 / 3 = -0.75 against 0.25.
    # Then action 1 has them too: -0.75 against -1 + 0.25 / 3, so action 0 again: its child is on its way.
    assert select(trees, 3) == [(1, 0, 0), (2, 0, 1), NONE]
    snapshot = trees.snapshot(0)
    assert snapshot.visit_count.tolist() == [1, 0, 0]  # virtual visits are not in the tree
    assert snapshot.value_sum.tolist() == [0.0, 0.0, 0.0]
    expand(trees, 1, -0.5, [1.0])
    # action 0: 0.5 + 0.75 / 2; action 1 still has its lost visits: down action 0, to its only child
    assert select(trees) == [(3, 1, 0)]


def test_the_exploration_factor_counts_virtual_visits(backend: str) -> None:
    trees = new_trees(backend, leaves_per_tree=2, virtual_loss=1)
    trees.set_exploration_table(np.array([0.0, 8.0, 0.0] + [0.0] * 200))
    select(trees)
    expand(trees, 0, 0.0, [0.25, 0.75])
    # The first descent sees N = 1, factor 8: action 1. The second sees N = 2, factor 0: 0 against -1.
    assert select(trees, 2) == [(1, 0, 1), (2, 0, 0)]


def test_answers_may_come_in_any_order(backend: str) -> None:
    """A leaf with younger ones behind it gets its edges all the same, terminal or not."""
    trees = new_trees(backend, leaves_per_tree=4)
    select(trees)
    expand(trees, 0, 0.0, [0.25] * 4)
    assert [node for node, _, _ in select(trees, 4)] == [1, 2, 3, 4]
    expand(trees, 3, 0.25, [0.5, 0.5])
    end(trees, 2, -1.0)
    expand(trees, 4, 0.5, [1.0])
    expand(trees, 1, 0.125, [0.25] * 3)
    snapshot = trees.snapshot(0)
    assert snapshot.value_sum.tolist() == [0.125, 0.125, -1.0, 0.25, 0.5]
    assert snapshot.edge_offsets.tolist() == [0, 4, 7, 7, 9, 10]
    assert snapshot.edge_children.tolist() == [1, 2, 3, 4] + [-1] * 6
    assert trees.remaining[0] == 96
    assert trees.advance(0, 2).tolist() == [3]
    assert trees.snapshot(0).edge_priors.tolist() == [0.5, 0.5]


def test_no_more_leaves_are_handed_out_than_simulations_remain(backend: str) -> None:
    trees = new_trees(backend, remaining=2, leaves_per_tree=4)
    select(trees)
    expand(trees, 0, 0.0, [0.25] * 4)
    assert select(trees, 4) == [(1, 0, 0), (2, 0, 1), NONE, NONE]
    expand(trees, 1, 0.0, [1.0])
    expand(trees, 2, 0.0, [1.0])
    assert select(trees) == [NONE]
    assert trees.root_statistics(0).visit_count == 3


def test_no_more_leaves_are_handed_out_than_leaves_per_tree(backend: str) -> None:
    trees = new_trees(backend, leaves_per_tree=2)
    select(trees)
    expand(trees, 0, 0.0, [0.25] * 4)
    assert select(trees, 2) == [(1, 0, 0), (2, 0, 1)]
    assert select(trees) == [NONE]
    with pytest.raises(ValueError, match="in flight"):
        trees.advance(0, 0)
    with pytest.raises(ValueError, match="not the leaf"):
        expand(trees, 3, 0.0, [1.0])
    expand(trees, 2, 0.0, [1.0])
    with pytest.raises(ValueError, match="not the leaf"):
        expand(trees, 2, 0.0, [1.0])
    trees.reset(np.zeros(1, np.int32))
    assert select(trees) == [(0, -1, -1)]


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="leaves_per_tree is 0"):
        TreeOptions(leaves_per_tree=0)
    with pytest.raises(ValueError, match="virtual_loss is 0"):
        TreeOptions(virtual_loss=0)


# ---- the solver ----


def test_a_winning_move_is_proven_and_takes_all_that_remains(backend: str) -> None:
    trees = new_trees(backend, remaining=6, solver=True)
    select(trees)
    expand(trees, 0, 0.0, [0.75, 0.25])
    assert select(trees) == [(1, 0, 0)]
    expand(trees, 1, 0.5, [1.0])
    assert select(trees) == [(2, 0, 1)]  # -0.5 + 0.75 / 2 against 0.25
    end(trees, 2, -1.0)
    assert trees.snapshot(0).proven.tolist() == [1, 0, -1]
    assert select(trees) == [NONE]
    statistics = trees.root_statistics(0)
    assert statistics.proven.tolist() == [0, 1]
    assert statistics.visit_counts.tolist() == [1, 5]
    assert statistics.value_sums.tolist() == [-0.5, 5.0]


def test_a_losing_move_is_left_out_until_all_lose(backend: str) -> None:
    """Root - 1 (action 0) - 3 and root - 2 (action 1) - 4: both moves are answered by a win."""
    trees = new_trees(backend, remaining=7, solver=True)
    select(trees)
    expand(trees, 0, 0.0, [0.75, 0.25])
    assert select(trees) == [(1, 0, 0)]
    expand(trees, 1, -0.5, [1.0])
    assert select(trees) == [(2, 1, 0)]  # 0.5 + 0.75 / 2 against 0.25
    end(trees, 2, -1.0)  # node 1 is won for the player to move there
    assert trees.snapshot(0).proven.tolist() == [0, 1, -1]
    assert trees.root_statistics(0).proven.tolist() == [-1, 0]
    # Action 0: (0.5 - 1) / 2 + 0.75 / 3 = 0 against 0.25; from now on it would not be taken at any score.
    assert select(trees) == [(3, 0, 1)]
    expand(trees, 3, 1.0, [0.5, 0.5])
    assert select(trees) == [(4, 3, 0)]  # although action 1 has -1 + 0.25 / 2
    end(trees, 4, -1.0)
    # All moves lose, so the root is lost, and the three simulations left go by score: action 0 has
    # -0.25 + 0.25 = 0, then -1.5 / 3 + 0.1875 = -0.3125, then -2.5 / 4 + 0.15 = -0.475; action 1 has
    # (-1 - 1) / 2 + 0.25 / 3 = -0.917 all the time.
    assert trees.snapshot(0).proven.tolist() == [-1, 1, -1, 1, -1]
    assert select(trees) == [NONE]
    assert trees.root_statistics(0).visit_counts.tolist() == [5, 2]
    assert trees.root_statistics(0).value_sums.tolist() == [-3.5, -2.0]


def test_a_node_proven_below_the_root_is_not_searched_again(backend: str) -> None:
    trees = new_trees(backend, remaining=4, solver=True)
    select(trees)
    expand(trees, 0, 0.0, [1.0])
    assert select(trees) == [(1, 0, 0)]
    expand(trees, 1, 0.0, [0.5, 0.5])
    assert select(trees) == [(2, 1, 0)]
    end(trees, 2, -1.0)
    assert select(trees) == [NONE]
    snapshot = trees.snapshot(0)
    assert snapshot.proven.tolist() == [-1, 1, -1]
    # Two more visits end in node 1, with +1 for its player; node 2 keeps its one.
    assert snapshot.visit_count.tolist() == [5, 4, 1]
    assert snapshot.value_sum.tolist() == [-3.0, 3.0, -1.0]


def test_a_draw_proves_nothing(backend: str) -> None:
    trees = new_trees(backend, solver=True)
    select(trees)
    expand(trees, 0, 0.0, [1.0])
    select(trees)
    end(trees, 1, 0.0)
    assert trees.snapshot(0).proven.tolist() == [0, 0]


def test_proofs_survive_an_advance(backend: str) -> None:
    trees = new_trees(backend, remaining=3, solver=True)
    select(trees)
    expand(trees, 0, 0.0, [1.0])
    select(trees)
    expand(trees, 1, 0.0, [0.5, 0.5])
    select(trees)
    end(trees, 2, -1.0)
    assert trees.advance(0, 0).tolist() == [1, 2]
    assert trees.snapshot(0).proven.tolist() == [1, -1]
    assert trees.root_statistics(0).proven.tolist() == [1, 0]


def test_without_the_solver_nothing_is_proven(backend: str) -> None:
    trees = new_trees(backend)
    select(trees)
    expand(trees, 0, 0.0, [1.0])
    select(trees)
    end(trees, 1, -1.0)
    assert trees.snapshot(0).proven.tolist() == [0, 0]


# ---- forced playouts ----


def root_actions(trees: Trees, q_values: list[float], simulations: int) -> list[int]:
    """Search and return the root's action in each simulation; all below action a is worth q_values[a]."""
    actions = []
    for _ in range(simulations):
        before = trees.root_statistics(0).visit_counts
        [(node, _, _)] = select(trees)
        depth, above = 1, trees.snapshot(0).parent
        leaf = node
        while above[leaf] != 0:
            depth, leaf = depth + 1, above[leaf]
        action = int(trees.snapshot(0).action[leaf])
        expand(trees, node, q_values[action] * (-1) ** depth, [1.0])
        assert (trees.root_statistics(0).visit_counts - before).tolist().index(1) == action
        actions.append(action)
    return actions


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        # Action 0 is worth -1, action 1 is worth 1.
        (0.0, [0, 1, 1, 1, 1, 1]),
        # n * n < 2 * 0.5 * N: with N = 1 nothing is owed (1 < 1), with 2 a visit to action 0 (1 < 2), with 3 one to
        # action 1 (1 < 3), with 4 nothing (4 < 4, twice), with 5 one to action 0 (4 < 5).
        (2.0, [0, 1, 0, 1, 1, 0]),
    ],
)
def test_a_child_is_forced_while_the_square_of_its_visits_is_too_small(
    factor: float, expected: list[int], backend: str
) -> None:
    trees = new_trees(backend)
    trees.set_forced_playouts(0, factor)
    select(trees)
    expand(trees, 0, 0.0, [0.5, 0.5])
    assert root_actions(trees, [-1.0, 1.0], 6) == expected


def test_a_child_without_a_visit_is_not_forced(backend: str) -> None:
    trees = new_trees(backend)
    trees.set_forced_playouts(0, 100.0)
    select(trees)
    expand(trees, 0, 0.0, [0.75, 0.25])
    assert root_actions(trees, [0.5, 0.5], 20) == [0] * 20  # 0.5 and more against 0.25


def test_nothing_is_forced_below_the_root_but_at_the_next_one(backend: str) -> None:
    """Root - 1, the only child, of whose two children the first is the worse."""
    trees = new_trees(backend)
    trees.set_forced_playouts(0, 2.0)
    select(trees)
    expand(trees, 0, 0.0, [1.0])
    assert select(trees) == [(1, 0, 0)]
    expand(trees, 1, 0.0, [0.5, 0.5])
    assert select(trees) == [(2, 1, 0)]
    expand(trees, 2, 1.0, [1.0])
    assert select(trees) == [(3, 1, 1)]
    expand(trees, 3, -1.0, [1.0])
    assert select(trees) == [(4, 3, 0)]  # by score; at a root with two visits below, node 2 would be forced
    expand(trees, 4, 1.0, [1.0])
    trees.advance(0, 0)
    assert select(trees) == [(4, 1, 0)]  # node 1 was node 2, with 1 visit of 3; it is forced


def test_a_move_proven_to_win_goes_before_forced_ones(backend: str) -> None:
    trees = new_trees(backend, remaining=6, solver=True)
    trees.set_forced_playouts(0, 1.0)
    select(trees)
    expand(trees, 0, 0.0, [0.75, 0.25])
    assert select(trees) == [(1, 0, 0)]
    expand(trees, 1, 0.5, [1.0])
    assert select(trees) == [(2, 0, 1)]  # 1 < 0.75 * 1 does not hold
    end(trees, 2, -1.0)
    assert select(trees) == [NONE]  # 1 < 0.75 * 2 holds
    assert trees.root_statistics(0).visit_counts.tolist() == [1, 5]


def test_a_move_proven_to_lose_is_not_forced_until_all_are(backend: str) -> None:
    trees = new_trees(backend, remaining=7, solver=True)
    trees.set_forced_playouts(0, 50.0)
    select(trees)
    expand(trees, 0, 0.0, [0.75, 0.25])
    assert select(trees) == [(1, 0, 0)]
    expand(trees, 1, 0.5, [1.0])
    assert select(trees) == [(2, 1, 0)]  # forced
    end(trees, 2, -1.0)  # action 0 loses
    assert select(trees) == [(3, 0, 1)]
    expand(trees, 3, 0.0, [1.0])
    assert select(trees) == [(4, 3, 0)]  # forced
    end(trees, 4, -1.0)  # action 1 loses as well; by score it would be the better one
    assert select(trees) == [NONE]
    assert trees.root_statistics(0).visit_counts.tolist() == [5, 2]


def test_playouts_are_not_forced_with_several_leaves_a_tree(backend: str) -> None:
    trees = new_trees(backend, leaves_per_tree=2)
    trees.set_forced_playouts(0, 0.0)
    with pytest.raises(ValueError, match="one leaf a tree only"):
        trees.set_forced_playouts(0, 2.0)


# ---- early stops ----


def test_a_search_ends_when_what_remains_cannot_change_its_most_visited_move(backend: str) -> None:
    trees = new_trees(backend, remaining=8)
    trees.set_early_stop(0, True)
    select(trees)
    expand(trees, 0, 0.0, [0.5, 0.25, 0.25])
    # Visits and what remains: 1 0 0 and 7, 1 1 0 and 6, 1 2 0 and 5, 1 3 0 and 4, 1 4 0 and 3: a lead of three is
    # not enough; 1 5 0 and 2: of four it is.
    assert root_actions(trees, [-1.0, 1.0, 0.0], 6) == [0, 1, 1, 1, 1, 1]
    assert (trees.remaining[0], trees.spared[0]) == (0, 2)
    assert select(trees) == [NONE]


def test_a_search_is_looked_at_when_it_is_told_to_stop_early(backend: str) -> None:
    trees = new_trees(backend)
    trees.set_early_stop(0, True)  # of a root that is not expanded nothing is known
    assert trees.remaining[0] == 100
    select(trees)
    expand(trees, 0, 0.0, [0.75, 0.25])
    assert root_actions(trees, [1.0, 0.0], 3) == [0, 0, 0]
    trees.remaining[0] = 3
    trees.set_early_stop(0, True)
    assert (trees.remaining[0], trees.spared[0]) == (3, 0)
    trees.remaining[0] = 2
    trees.set_early_stop(0, False)
    assert (trees.remaining[0], trees.spared[0]) == (2, 0)
    trees.set_early_stop(0, True)
    assert (trees.remaining[0], trees.spared[0]) == (0, 2)
    trees.remaining[0] = 1  # it holds for the next search
    assert root_actions(trees, [1.0, 0.0], 1) == [0]
    trees.set_early_stop(0, False)
    trees.remaining[0] = 2
    assert root_actions(trees, [1.0, 0.0], 2) == [0, 0]


def test_simulations_that_end_where_the_game_has_ended_are_looked_at(backend: str) -> None:
    """Action 0 wins: from its second visit on, no leaf is handed out."""
    trees = new_trees(backend, remaining=9)
    trees.set_early_stop(0, True)
    select(trees)
    expand(trees, 0, 0.0, [0.75, 0.25])
    assert select(trees) == [(1, 0, 0)]
    end(trees, 1, -1.0)
    assert select(trees) == [NONE]
    assert trees.root_statistics(0).visit_counts.tolist() == [5, 0]
    assert trees.spared[0] == 4


def test_moves_proven_to_lose_are_not_played_and_do_not_count_until_all_are(backend: str) -> None:
    trees = new_trees(backend, solver=True)
    select(trees)
    expand(trees, 0, 0.0, [0.9, 0.1])
    assert root_actions(trees, [1.0, 0.0], 3) == [0, 0, 0]
    assert select(trees) == [(4, 3, 0)]
    end(trees, 4, -1.0)  # action 0 loses, with four visits
    trees.remaining[0] = 3
    trees.set_early_stop(0, True)
    assert (trees.remaining[0], trees.spared[0]) == (3, 0)
    trees.remaining[0] = 5
    assert root_actions(trees, [0.0, 0.0], 1) == [1]
    assert select(trees) == [(6, 5, 0)]
    end(trees, 6, -1.0)  # action 1 loses as well, with two
    assert (trees.remaining[0], trees.spared[0]) == (3, 0)
    trees.remaining[0] = 1
    trees.set_early_stop(0, True)
    assert (trees.remaining[0], trees.spared[0]) == (0, 1)


def test_a_search_does_not_stop_early_with_several_leaves_a_tree(backend: str) -> None:
    trees = new_trees(backend, leaves_per_tree=2)
    trees.set_early_stop(0, False)
    with pytest.raises(ValueError, match="one leaf a tree only"):
        trees.set_early_stop(0, True)


# ---- quotas of the root ----


def quota(*visits: int) -> npt.NDArray[np.int32]:
    return np.array(visits, np.int32)


def test_the_edge_with_most_of_its_quota_left_is_taken_then_puct_goes_on(backend: str) -> None:
    trees = new_trees(backend)
    select(trees)
    expand(trees, 0, 0.0, [0.5, 0.25, 0.25])
    trees.set_root_quota(0, quota(0, 2, 3))
    # Left: 0 2 3, 0 2 2, 0 1 2, 0 1 1, 0 0 1; then 0.5 against 0.25 / 3 and less.
    assert root_actions(trees, [0.0, 0.0, 0.0], 6) == [2, 1, 2, 1, 2, 0]


def test_a_quota_comes_on_top_of_visits_and_replaces_an_earlier_one(backend: str) -> None:
    trees = new_trees(backend)
    select(trees)
    expand(trees, 0, 0.0, [0.5, 0.5])
    trees.set_root_quota(0, quota(0, 9))
    assert root_actions(trees, [1.0, 0.0], 2) == [1, 1]
    trees.set_root_quota(0, quota(0, 1))
    assert root_actions(trees, [1.0, 0.0], 3) == [1, 0, 0]


def test_a_leaf_that_is_asked_for_again_costs_no_quota(backend: str) -> None:
    trees = new_trees(backend)
    select(trees)
    expand(trees, 0, 0.0, [0.5, 0.5])
    trees.set_root_quota(0, quota(1, 1))
    assert select(trees) == select(trees) == [(1, 0, 0)]
    expand(trees, 1, -1.0, [1.0])
    assert select(trees) == [(2, 0, 1)]


@pytest.mark.parametrize("leave", ["advance", "reset"])
def test_a_quota_belongs_to_its_root(leave: str, backend: str) -> None:
    trees = new_trees(backend)
    select(trees)
    expand(trees, 0, 0.0, [0.5, 0.5])
    trees.set_root_quota(0, quota(0, 9))
    assert select(trees) == [(1, 0, 1)]
    expand(trees, 1, 0.0, [0.5, 0.5])
    if leave == "advance":
        trees.advance(0, 1)
    else:
        trees.reset(np.zeros(1, np.int32))
        select(trees)
        expand(trees, 0, 0.0, [0.5, 0.5])
    assert select(trees) == [(1, 0, 0)]


def test_quotas_that_do_not_fit_are_refused(backend: str) -> None:
    trees = new_trees(backend)
    with pytest.raises(ValueError, match="not expanded"):
        trees.set_root_quota(0, quota(1, 1))
    select(trees)
    expand(trees, 0, 0.0, [0.5, 0.5])
    with pytest.raises(ValueError, match="3 quotas for a root with 2 edges"):
        trees.set_root_quota(0, quota(1, 1, 1))
    several = new_trees(backend, leaves_per_tree=2)
    select(several)
    expand(several, 0, 0.0, [0.5, 0.5])
    with pytest.raises(ValueError, match="one leaf a tree only"):
        several.set_root_quota(0, quota(1, 1))


def test_proofs_go_before_quotas(backend: str) -> None:
    """Action 1 loses: its quota is left over. Action 2 wins: it takes all that remains, whatever is left of quotas."""
    trees = new_trees(backend, remaining=7, solver=True)
    select(trees)
    expand(trees, 0, 0.0, [0.25, 0.25, 0.5])
    trees.set_root_quota(0, quota(2, 5, 0))
    assert select(trees) == [(1, 0, 1)]
    expand(trees, 1, 0.0, [1.0])
    assert select(trees) == [(2, 1, 0)]
    end(trees, 2, -1.0)  # won for the player to move at node 1
    assert select(trees) == [(3, 0, 0)]
    expand(trees, 3, 0.0, [1.0])
    assert select(trees) == [(4, 3, 0)]
    expand(trees, 4, 0.0, [1.0])
    trees.set_root_quota(0, quota(5, 5, 0))
    assert select(trees) == [(5, 4, 0)]
    expand(trees, 5, 0.0, [1.0])
    trees.set_root_quota(0, quota(0, 5, 0))
    assert select(trees) == [(6, 0, 2)]  # by score
    end(trees, 6, -1.0)
    trees.set_root_quota(0, quota(5, 5, 0))
    assert select(trees) == [NONE]
    assert trees.root_statistics(0).visit_counts.tolist() == [3, 2, 2]


# ---- the move that is played ----


def statistics(visit_counts: list[int], proven: list[int]) -> RootStatistics:
    count = len(visit_counts)
    return RootStatistics(
        actions=np.arange(count, dtype=np.int32),
        visit_counts=np.array(visit_counts, np.int32),
        value_sums=np.zeros(count),
        priors=np.zeros(count, np.float32),
        visit_count=sum(visit_counts) + 1,
        value_sum=0.0,
        proven=np.array(proven, np.int8),
    )


@pytest.mark.parametrize(
    ("visit_counts", "proven", "action"),
    [
        ([5, 9, 9], [0, 0, 0], 1),
        ([5, 9, 1], [0, 0, 1], 2),  # a proven win before any number of visits
        ([9, 5, 4], [-1, 0, 0], 1),  # a proven loss behind any number of visits
        ([9, 5, 0], [-1, -1, 0], 2),  # even an unvisited move may be better than a lost one
        ([5, 9, 9], [-1, -1, -1], 1),
    ],
)
def test_proofs_go_before_visits(visit_counts: list[int], proven: list[int], action: int) -> None:
    found = statistics(visit_counts, proven)
    assert best_action(found) == action
    drawn = {sample_action(found, 0.1, np.random.default_rng(seed)) for seed in range(50)}
    assert action in drawn
    # None is drawn that is worse by proof.
    best = max(proven)
    assert all(proven[other] == best for other in drawn)
