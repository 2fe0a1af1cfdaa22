"""Tic-tac-toe solved by looking at every position."""

from __future__ import annotations

import pytest

from alphazero.evaluation.exhaustive import solve_game
from alphazero.evaluation.solved_positions import SolvedPosition
from alphazero.games.registry import get_game
from alphazero.games.tic_tac_toe import TicTacToe


@pytest.fixture(scope="module")
def positions() -> list[SolvedPosition]:
    solved = solve_game(get_game("tic_tac_toe"))
    assert solved is not None
    return solved


def test_tic_tac_toe_has_4520_positions_that_go_on(positions: list[SolvedPosition]) -> None:
    assert len(positions) == 4520  # 5,478 reachable, 958 of them finished


def test_perfect_tic_tac_toe_is_a_draw_and_a_corner_needs_the_centre(positions: list[SolvedPosition]) -> None:
    by_moves = {position.moves: position for position in positions}
    assert by_moves[()].result == 0
    assert not by_moves[()].is_decisive
    corner = by_moves[(0,)]
    assert [action for action, score in corner.move_scores if score == 0] == [4]


def test_a_large_game_is_given_up() -> None:
    assert solve_game(get_game("connect_four"), most_positions=500) is None


def test_a_game_whose_positions_cannot_be_told_apart_is_not_solved() -> None:
    class Listed(TicTacToe):
        def initial_state(self):  # type: ignore[no-untyped-def]
            return [super().initial_state()]

    assert solve_game(Listed()) is None
