"""Whole random games under the rules, compiled and in Python."""

from __future__ import annotations

import numpy as np
import pytest

from alphazero.games.game import PythonStates
from alphazero.games.random_play import RandomPlay
from alphazero.games.registry import get_game

GAMES = 32


def test_games_end_and_begin_again() -> None:
    """Every game of tic-tac-toe takes five to nine moves."""
    game = get_game("tic_tac_toe")
    play = RandomPlay(game, PythonStates(game, GAMES), GAMES, np.random.default_rng(0))
    assert play.play(90) == 90 * GAMES
    assert 9 * GAMES <= play.finished_games <= 18 * GAMES


@pytest.mark.parametrize("name", ["connect_four", "chess"])
def test_compiled_rules_play_the_same_games_as_python_rules(name: str) -> None:
    game = get_game(name)
    native = game.native_states(GAMES)
    if native is None:
        pytest.skip("native rules are not built")
    finished = []
    for states in (native, PythonStates(game, GAMES)):
        play = RandomPlay(game, states, GAMES, np.random.default_rng(1))
        play.play(60)
        finished.append(
            (play.finished_games, play._nodes.tolist(), play._actions[: play._offsets[-1]].tolist())
        )
    assert finished[0] == finished[1]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["connect_four", "chess"])
def test_ten_million_random_moves_without_a_fault(name: str) -> None:
    """Also under `scripts/sanitize.sh`, where reading or writing outside an array ends the run."""
    game, games = get_game(name), 1000
    native = game.native_states(games)
    if native is None:
        pytest.skip("native rules are not built")
    play = RandomPlay(game, native, games, np.random.default_rng(2))
    assert play.play(10_000) == 10_000_000
    assert play.finished_games >= 10_000_000 / game.max_game_length - games
