"""Forced playouts in whole searches, and what is left of them in a policy target."""

from __future__ import annotations

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.mcts.backend import RootStatistics
from alphazero.mcts.forced_playouts import pruned_visits
from alphazero.mcts.search import BatchedSearch
from alphazero.mcts.self_check import same_tree

from .helpers import HashedEvaluator

GAME = get_game("connect_four")


def searched(backend: str, forced_playouts: float | None) -> BatchedSearch:
    """Return eight positions searched with 200 simulations; None: by `BatchedSearch.search`."""
    search = BatchedSearch(GAME, 8, SearchConfig(mcts_backend=backend, forced_playouts=2.0))
    evaluator = HashedEvaluator(GAME.num_actions)
    every = np.arange(8, dtype=np.int32)
    for tree in range(8):
        search.set_position(tree, [tree % 7] * (tree % 3))
        if forced_playouts is not None:
            search.begin(tree, 200, forced_playouts=forced_playouts)
    if forced_playouts is None:
        search.search(every, evaluator, 200)
    while rows := search.collect(every):
        search.apply(*evaluator(search.observations[:rows]))
    return search


@pytest.mark.parametrize(("forced_playouts", "reached"), [(2.0, True), (0.0, False)])
def test_every_visited_child_has_its_forced_playouts(
    forced_playouts: float, reached: bool, backend: str
) -> None:
    """But for the last simulations, which cannot serve all: one visit less."""
    search = searched(backend, forced_playouts)
    owed = []
    for tree in range(8):
        statistics = search.root_statistics(tree)
        assert statistics.visit_counts.sum() == 200
        visited = statistics.visit_counts > 0
        owed += list(np.sqrt(2.0 * 200 * statistics.priors[visited]) - statistics.visit_counts[visited])
    assert len(owed) > 30
    assert bool(max(owed) <= 1.0) is reached


def test_a_search_that_is_not_self_play_forces_nothing(backend: str) -> None:
    plain, by_search = searched(backend, 0.0), searched(backend, None)
    for tree in range(8):
        assert same_tree(plain.trees.snapshot(tree), by_search.trees.snapshot(tree))


def test_pruning_leaves_what_puct_alone_would_have_visited() -> None:
    """Root with 100 visits, exploration 0.2 * sqrt(100) = 2 and k = 2, so that forced = floor(sqrt(198 * P)).

    Action 0 is the most visited one: score 0.5 + 0.8 / 71 = 0.5113.
    Action 1: forced 7, and even without a visit its score would be -0.2 + 0.6: 12 - 7 are left.
    Action 2: forced 3, which leaves 1 of 4: dropped.
    Action 3 is good: with a visit less 0.5 + 0.18 / 2 > 0.5113, so it keeps both.
    Action 4: its only visit is dropped.
    Action 5: forced 5, but of its 10 visits only 3 may go: 0.47 + 0.3 / 8 = 0.5075, with one less 0.5129.
    """
    visit_counts = np.array([70, 12, 4, 2, 1, 10], np.int32)
    statistics = RootStatistics(
        actions=np.arange(6, dtype=np.int32),
        visit_counts=visit_counts,
        value_sums=visit_counts * np.array([0.5, -0.2, -0.5, 0.5, -1.0, 0.47]),
        priors=np.array([0.4, 0.3, 0.05, 0.09, 0.01, 0.15], np.float32),
        visit_count=100,
        value_sum=0.0,
        proven=np.zeros(6, np.int8),
    )
    config = SearchConfig(forced_playouts=2.0, c_puct_init=0.2, c_puct_base=1e18)
    kept = pruned_visits(statistics, config)
    assert kept.tolist() == [70, 5, 0, 2, 0, 7]
    assert kept.dtype == np.int32
    assert statistics.visit_counts.tolist() == [70, 12, 4, 2, 1, 10]  # the move is drawn from these


@pytest.mark.parametrize(
    ("proven", "expected"),
    [
        (
            [-1, 0, 0],
            [0, 30, 8],
        ),  # by the score of action 0, which is void, both would have lost all that was forced
        ([0, 0, 1], [60, 30, 9]),
        ([-1, -1, -1], [0, 0, 0]),
    ],
)
def test_what_is_proven_goes_before_scores(proven: list[int], expected: list[int]) -> None:
    visit_counts = np.array([60, 30, 9], np.int32)
    statistics = RootStatistics(
        actions=np.arange(3, dtype=np.int32),
        visit_counts=visit_counts,
        value_sums=visit_counts * np.array([0.9, 0.1, -0.8]),
        priors=np.array([0.5, 0.48, 0.02], np.float32),
        visit_count=100,
        value_sum=0.0,
        proven=np.array(proven, np.int8),
    )
    config = SearchConfig(forced_playouts=2.0, c_puct_init=0.2, c_puct_base=1e18)
    assert pruned_visits(statistics, config).tolist() == expected


def test_a_root_with_one_visit_keeps_it() -> None:
    statistics = RootStatistics(
        actions=np.arange(2, dtype=np.int32),
        visit_counts=np.array([0, 1], np.int32),
        value_sums=np.zeros(2),
        priors=np.array([0.5, 0.5], np.float32),
        visit_count=2,
        value_sum=0.0,
        proven=np.zeros(2, np.int8),
    )
    assert pruned_visits(statistics, SearchConfig(forced_playouts=2.0)).tolist() == [0, 1]
