"""Tic-tac-toe solved by looking at every position."""

from __future__ import annotations

import pytest

from alphazero.evaluation.exhaustive import perfect_moves, solve_game
from alphazero.evaluation.solved_positions import SolvedPosition
from alphazero.games.game import GameContractError
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


class TakeAway(TicTacToe):
    """From 600 each player in turn takes 1, 2 or 3; a state is what is left, and who takes the last has won."""

    name = "take_away"

    def initial_state(self):  # type: ignore[no-untyped-def]
        return 600

    def legal_actions(self, state):  # type: ignore[no-untyped-def]
        return list(range(min(state, 3)))

    def step(self, state, action):  # type: ignore[no-untyped-def]
        return state - action - 1

    def terminal_value(self, state):  # type: ignore[no-untyped-def]
        return None if state else -1.0


def test_a_game_of_more_moves_than_python_has_calls_is_solved() -> None:
    moves = perfect_moves(TakeAway())
    assert moves is not None
    # A multiple of four is lost, whatever is taken; else what is beyond one is to be taken.
    assert moves == {left: (left % 4 - 1,) if left % 4 else (0, 1, 2) for left in range(1, 601)}


def test_a_game_that_comes_back_to_a_position_is_an_error() -> None:
    class PutsBack(TakeAway):
        def step(self, state, action):  # type: ignore[no-untyped-def]
            return 600 if state == 3 else state - 1

    with pytest.raises(GameContractError, match="'take_away' comes back to a position"):
        solve_game(PutsBack())


class Pile:
    """A state that equals no other, not even one of as many."""

    def __init__(self, left: int) -> None:
        self.left = left


class Piles(TakeAway):
    """`TakeAway` from 6, with states of a class without `__eq__`."""

    start = Pile(6)

    def initial_state(self):  # type: ignore[no-untyped-def]
        return self.start

    def legal_actions(self, state):  # type: ignore[no-untyped-def]
        return super().legal_actions(state.left)

    def step(self, state, action):  # type: ignore[no-untyped-def]
        return Pile(super().step(state.left, action))

    def terminal_value(self, state):  # type: ignore[no-untyped-def]
        return super().terminal_value(state.left)


def test_a_game_whose_positions_are_not_known_again_is_not_solved() -> None:
    assert solve_game(Piles()) is None
    assert perfect_moves(Piles()) is None
