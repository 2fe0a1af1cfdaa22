"""Measuring rules by themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alphazero.benchmark.rules_speed import METHODS, measure_rules_speed
from alphazero.games.registry import get_game


def ticking_clock(step: float) -> Iterator[float]:
    """A clock that goes on by `step` seconds each time it is looked at."""
    now = 0.0
    while True:
        yield now
        now += step


def test_the_rate_is_positions_of_the_last_length_over_time() -> None:
    """Every count takes one tick of half a second, and a round may take 3.9 seconds."""
    clock = ticking_clock(0.5)
    game = get_game("tic_tac_toe")
    found = measure_rules_speed(game, 12 * 3.9, clock=lambda: next(clock))
    assert found.native is None and found.speed_up is None
    # 9 and 9 * 8 sequences of one and two moves: eight times as many once more would take 4 s.
    assert (found.python.depth, found.python.positions) == (2, 72)
    assert found.python.rules_positions_per_second == pytest.approx(144.0)
    assert found.python.rules_positions_per_second_low == pytest.approx(144.0)


def test_random_games_are_measured_by_their_moves() -> None:
    """Every round takes one tick of half a second, however many moves: they grow until two would not fit."""
    clock = ticking_clock(0.5)
    found = measure_rules_speed(get_game("tic_tac_toe"), 12 * 0.9, "random", clock=lambda: next(clock))
    assert (found.python.depth, found.python.positions) == (None, 64)
    assert found.python.rules_positions_per_second == pytest.approx(128.0)


@pytest.mark.parametrize("method", METHODS)
def test_compiled_rules_are_compared_with_python_rules(method: str) -> None:
    game = get_game("connect_four")
    if game.native_states(1) is None:
        pytest.skip("native rules are not built")
    found = measure_rules_speed(game, 2.0, method)
    assert found.native is not None and found.speed_up is not None
    assert found.native.native_rules and not found.python.native_rules
    if method == "perft":
        assert found.native.depth is not None and found.python.depth is not None
        assert found.native.depth >= found.python.depth >= 1
        assert found.native.positions >= 7 ** min(found.native.depth, 6)
    assert found.speed_up > 1.0
