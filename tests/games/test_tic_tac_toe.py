"""Tic-tac-toe worked out by hand; the axioms are checked in test_contract.py."""

from __future__ import annotations

import numpy as np
import pytest

from alphazero.games.game import IllegalMoveError
from alphazero.games.tic_tac_toe import TicTacToe, TicTacToeState

GAME = TicTacToe()


def play(*texts: str) -> TicTacToeState:
    state = GAME.initial_state()
    for text in texts:
        state = GAME.step(state, GAME.text_to_action(state, text))
    return state


def test_moves_are_squares_as_drawn() -> None:
    assert GAME.render(play("a1", "b2", "c3")).splitlines() == [
        "3 . . x",
        "2 . o .",
        "1 x . .",
        "  a b c",
    ]


@pytest.mark.parametrize(
    "moves",
    [
        ("a3", "a1", "b3", "b1", "c3"),  # row
        ("b1", "a1", "b2", "a2", "b3"),  # column
        ("a1", "a2", "b2", "a3", "c3"),  # rising diagonal
        ("a3", "a2", "b2", "b3", "c1"),  # falling diagonal
    ],
)
def test_three_in_a_row_loses_for_the_player_to_move(moves: tuple[str, ...]) -> None:
    assert GAME.terminal_value(play(*moves[:-1])) is None
    assert GAME.terminal_value(play(*moves)) == -1.0
    assert GAME.legal_actions(play(*moves)) == []


def test_full_board_is_a_draw() -> None:
    #   x o x
    #   x o o
    #   o x x
    state = play("a3", "b3", "c3", "b2", "a2", "c2", "b1", "a1", "c1")
    assert GAME.terminal_value(state) == 0.0


def test_observation_changes_sides_with_the_turn() -> None:
    observation = np.full(GAME.observation_shape, 9, np.uint8)
    GAME.encode(play("a3", "b2", "c3"), observation)  # o to move
    assert observation.tolist() == [
        [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        [[1, 0, 1], [0, 0, 0], [0, 0, 0]],
    ]


def test_there_are_eight_different_symmetries() -> None:
    symmetries = GAME.symmetries()
    assert len({tuple(symmetry.cell_source.tolist()) for symmetry in symmetries}) == 8


def test_quarter_turn_takes_the_right_edge_to_the_top() -> None:
    """numpy's rot90 turns anticlockwise: the right column, cells 2 5 8, becomes the top row."""
    turn = next(symmetry for symmetry in GAME.symmetries() if symmetry.name == "rotate_90")
    assert turn.cell_source.tolist() == [2, 5, 8, 1, 4, 7, 0, 3, 6]
    assert turn.action_target[[2, 5, 8]].tolist() == [0, 1, 2]


def test_illegal_text_names_the_legal_moves() -> None:
    with pytest.raises(IllegalMoveError, match="'a3' is not a legal move here; legal moves: b3, c3"):
        GAME.text_to_action(play("a3"), "a3")
