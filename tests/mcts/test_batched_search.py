"""What `BatchedSearch` keeps from one search of a game to the next."""

from __future__ import annotations

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.mcts.search import BatchedSearch, Evaluator, RootNoise


def search_root(search: BatchedSearch, evaluate: Evaluator, noise: RootNoise | None = None) -> None:
    search.begin(0, root_noise=noise)
    while rows := search.collect(np.zeros(1, np.int32)):
        search.apply(*evaluate(search.observations[:rows]))


@pytest.mark.parametrize("tree_reuse", [True, False])
def test_the_exploration_table_is_as_long_as_a_root_has_visits_however_long_the_game(
    tree_reuse: bool, hashed: Evaluator
) -> None:
    search = BatchedSearch(get_game("connect_four"), 1, SearchConfig(simulations=50, tree_reuse=tree_reuse))
    most = 0
    for action in (0, 1, 0, 1, 1, 0, 2, 3, 2, 3, 3, 2):
        search_root(search, hashed)
        most = max(most, search.root_statistics(0).visit_count)
        search.play(0, action)
    assert search._table_size <= 2 * (most + 51)  # not of all searches together, 2 * 12 * 51


def test_noise_for_a_search_that_goes_on_takes_the_place_of_the_noise_before(hashed: Evaluator) -> None:
    search = BatchedSearch(get_game("connect_four"), 1, SearchConfig(simulations=20, root_noise_fraction=0.5))
    search_root(search, hashed, lambda _, children: np.eye(children)[0])  # all of it on one move
    search_root(search, hashed, lambda _, children: np.eye(children)[6])
    statistics = search.root_statistics(0)
    clean = search.network_priors(0, statistics)
    np.testing.assert_allclose(statistics.priors, 0.5 * clean + 0.5 * np.eye(7)[6], rtol=1e-6)
