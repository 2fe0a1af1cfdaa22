"""Counts of move sequences against published and hand-checked numbers."""

from __future__ import annotations

import pytest

from alphazero.games.connect_four import ConnectFour
from alphazero.games.game import PythonStates
from alphazero.games.perft import move_sequence_counts
from alphazero.games.tic_tac_toe import TicTacToe

# Column 0 fills up with move 6, hence 7^7 - 7 at length 7; the first wins fall on move 7.
CONNECT_FOUR = [7, 49, 343, 2_401, 16_807, 117_649, 823_536, 5_673_234]


def test_connect_four_in_python() -> None:
    game = ConnectFour()
    assert move_sequence_counts(game, PythonStates(game, 1), 5) == CONNECT_FOUR[:5]


def test_connect_four_compiled() -> None:
    game = ConnectFour()
    states = game.native_states(1)
    if states is None:
        pytest.skip("native rules are not built")
    assert move_sequence_counts(game, states, 8) == CONNECT_FOUR


def test_counting_starts_at_the_root_and_leaves_it_in_place() -> None:
    """Column 3 is full, so six moves; after one of them six again."""
    game = ConnectFour()
    states = PythonStates(game, 1)
    states.set_root(0, [3] * 6)
    assert move_sequence_counts(game, states, 2) == [6, 36]
    assert move_sequence_counts(game, states, 1) == [6]


def test_tic_tac_toe_loses_the_sequences_that_a_win_cuts_off() -> None:
    """9!/(9-n)! up to length 5; wins at move 5: 8 lines x 3! orders x (6 x 5 replies) = 1,440.

    Length 6 is therefore (15,120 - 1,440) x 4 = 54,720.
    """
    game = TicTacToe()
    counts = move_sequence_counts(game, PythonStates(game, 1), 6)
    assert counts == [9, 72, 504, 3_024, 15_120, 54_720]


def test_finished_game_has_no_sequences() -> None:
    game = ConnectFour()
    states = PythonStates(game, 1)
    states.set_root(0, [0, 1, 0, 1, 0, 1, 0])
    assert move_sequence_counts(game, states, 3) == [0, 0, 0]
