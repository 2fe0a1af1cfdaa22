"""Measuring the search by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alphazero.benchmark.tree_speed import measure_tree_speed
from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.mcts import available_backends


def ticking_clock() -> Iterator[float]:
    """A clock that goes on by one second each time it is looked at."""
    now = 0.0
    while True:
        yield now
        now += 1.0


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("game_name", ["connect_four", "tic_tac_toe"])
def test_speed_is_that_of_a_search_of_whole_games(backend: str, game_name: str) -> None:
    config = SearchConfig(mcts_backend=backend, simulations=10)
    clock = ticking_clock()
    speed = measure_tree_speed(get_game(game_name), config, 4, 1000.0, clock=lambda: next(clock))
    # One look at the clock a round: at most one evaluated leaf a tree and second.
    assert 3.0 < speed.evaluations_per_second <= 4.0
    assert speed.simulations_per_second >= 3.0
    assert speed.simulations_per_second_low <= speed.simulations_per_second
    assert speed.simulations_per_second <= speed.simulations_per_second_high
    assert 1.0 <= speed.mean_depth < 9.0
    shares = (speed.time_tree, speed.time_rules, speed.time_encoding, speed.time_other)
    assert sum(shares) == pytest.approx(1.0)
    assert all(0.0 < share < 1.0 for share in shares)


def test_a_tree_takes_at_most_64_bytes_an_edge_where_memory_is_known() -> None:
    config = SearchConfig(mcts_backend="auto", simulations=200)
    clock = ticking_clock()  # so that it ends at the same moves, however fast the machine is
    speed = measure_tree_speed(get_game("connect_four"), config, 2, 2000.0, clock=lambda: next(clock))
    if speed.bytes_per_edge is None or speed.bytes_per_node is None:
        pytest.skip("this backend does not know its memory")
    assert speed.bytes_per_edge <= 64.0 < speed.bytes_per_node
