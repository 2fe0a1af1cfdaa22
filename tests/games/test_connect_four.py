"""Connect Four's rules against boards worked out by hand, exhaustive geometry and an independent solver."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

import numpy as np
import pytest

from alphazero.games.connect_four import ConnectFour, ConnectFourState, has_four
from alphazero.games.game import IllegalMoveError

GAME = ConnectFour()

# No four anywhere; the last stone, o, falls into column 3.
DRAW = "436014551150160155104632660465204242223333"


def play(moves: str) -> ConnectFourState:
    state = GAME.initial_state()
    for position, move in enumerate(moves):
        action = int(move)
        assert action in GAME.legal_actions(state), f"move {position} of {moves}"
        state = GAME.step(state, action)
    return state


def test_board_is_drawn_top_row_first() -> None:
    assert GAME.render(play("33406")).splitlines() == [
        ". . . . . . .",
        ". . . . . . .",
        ". . . . . . .",
        ". . . . . . .",
        ". . . o . . .",
        "o . . x x . x",
        "0 1 2 3 4 5 6",
    ]


@pytest.mark.parametrize(
    ("direction", "moves"),
    [
        ("horizontal", "0011223"),  # x x x x .   on the bottom row
        ("vertical", "0101010"),  # x four times in column 0
        #   . . . x
        #   . . x o
        #   . x o o
        #   x o x o     columns 0 to 3
        ("rising", "01122323353"),
        #   x . . .
        #   o x . .
        #   o o x .
        #   o x o x     columns 3 to 6
        ("falling", "65544343313"),
    ],
)
def test_four_in_a_row_ends_the_game_and_not_before(direction: str, moves: str) -> None:
    before, after = play(moves[:-1]), play(moves)
    assert GAME.terminal_value(before) is None, direction
    assert GAME.terminal_value(after) == -1.0, direction  # lost for the player to move
    assert GAME.legal_actions(after) == []


def _winning_lines() -> Iterator[frozenset[tuple[int, int]]]:
    """All fours by geometry, as (row above the bottom, column)."""
    for row, column in itertools.product(range(6), range(7)):
        for row_step, column_step in ((0, 1), (1, 0), (1, 1), (-1, 1)):
            line = [(row + i * row_step, column + i * column_step) for i in range(4)]
            if all(0 <= r < 6 and 0 <= c < 7 for r, c in line):
                yield frozenset(line)


def test_four_stones_win_if_and_only_if_they_are_one_of_the_69_lines() -> None:
    """All 111,930 sets of four cells; among them every one that would wrap around into the next column."""
    lines = set(_winning_lines())
    assert len(lines) == 24 + 21 + 12 + 12  # horizontal, vertical, rising, falling
    cells = list(itertools.product(range(6), range(7)))
    for four in itertools.combinations(cells, 4):
        stones = sum(1 << (column * 7 + row) for row, column in four)
        assert has_four(stones) == (frozenset(four) in lines), four


def test_stones_at_the_top_of_a_column_do_not_join_the_bottom_of_the_next() -> None:
    # x: rows 3, 4, 5 of column 0 and row 0 of column 1
    assert not has_four(0b0111000 | 1 << 7)


def test_full_board_without_four_is_a_draw() -> None:
    state = play(DRAW)
    assert GAME.render(state).splitlines() == [
        "o x o o x o x",
        "x o x x x o o",
        "o x o o o x x",
        "x o o x x x o",
        "o x x x o o o",
        "o x o o x x x",
        "0 1 2 3 4 5 6",
    ]
    assert GAME.terminal_value(play(DRAW[:-1])) is None
    assert GAME.legal_actions(play(DRAW[:-1])) == [3]
    assert GAME.terminal_value(state) == 0.0
    assert GAME.legal_actions(state) == []


def test_win_on_the_last_cell_is_a_win() -> None:
    """Among the terminal values, four in a row comes before the full board."""
    full = sum(0b111111 << (column * 7) for column in range(7))
    row = sum(1 << (column * 7 + 5) for column in range(4))
    assert GAME.terminal_value(ConnectFourState(own=full & ~row, opponent=row)) == -1.0


def test_full_column_is_not_legal() -> None:
    assert GAME.legal_actions(play("000000")) == [1, 2, 3, 4, 5, 6]


def test_observation_shows_own_stones_then_the_opponents() -> None:
    observation = np.full(GAME.observation_shape, 9, np.uint8)
    GAME.encode(play("33406"), observation)  # the board drawn above, o to move
    empty_row = [0] * 7
    assert observation[0].tolist() == [*[empty_row] * 4, [0, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]]
    assert observation[1].tolist() == [*[empty_row] * 5, [0, 0, 0, 1, 1, 0, 1]]


def test_mirror_maps_column_0_to_6_and_6_to_0() -> None:
    identity, mirror = GAME.symmetries()
    assert (identity.name, mirror.name) == ("identity", "mirror")
    assert mirror.action_target.tolist() == [6, 5, 4, 3, 2, 1, 0]
    assert mirror.cell_source[:7].tolist() == [6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("text", ["7", "-1", "0", "", "a", "3.0", "²", "1 2"])
def test_illegal_text_names_the_legal_columns(text: str) -> None:
    with pytest.raises(IllegalMoveError, match=r"legal columns.*1, 2, 3, 4, 5, 6$"):
        GAME.text_to_action(play("000000"), text)


def test_text_after_the_end_says_so() -> None:
    with pytest.raises(IllegalMoveError, match="the game is over"):
        GAME.text_to_action(play("0101010"), "3")


class SolvedPosition(NamedTuple):
    moves: str
    move_scores: list[str]


@pytest.fixture(scope="module")
def solved_positions() -> list[SolvedPosition]:
    data = resources.files("alphazero.evaluation") / "data" / "connect4_pons_6000.csv"
    with data.open(encoding="utf-8") as file:
        return [SolvedPosition(row["moves"], row["move_scores"].split()) for row in csv.DictReader(file)]


def test_all_6000_solved_positions_are_legal_and_unfinished(solved_positions: list[SolvedPosition]) -> None:
    assert len(solved_positions) == 6000
    for moves, _ in solved_positions:
        assert GAME.terminal_value(play(moves)) is None, moves


def test_full_columns_are_those_the_solver_marks(solved_positions: list[SolvedPosition]) -> None:
    for moves, move_scores in solved_positions:
        legal = [column for column, score in enumerate(move_scores) if score != "x"]
        assert GAME.legal_actions(play(moves)) == legal, moves


def test_next_move_wins_where_the_solver_says_so(solved_positions: list[SolvedPosition]) -> None:
    """A win scores 22 minus the winner's stones at the end, a loss the same with a minus sign.

    After p moves the player to move has p // 2 stones, the other p - p // 2. So a move scores
    22 - (p // 2 + 1) if it wins at once, and -(22 - (p - p // 2 + 1)) if the reply can. The first never
    happens in these sets.
    """
    losing_moves = 0
    for moves, move_scores in solved_positions:
        stones = len(moves) // 2
        reply_stones = len(moves) - stones
        state = play(moves)
        for column in GAME.legal_actions(state):
            after = GAME.step(state, column)
            reply_wins = any(
                has_four(GAME.step(after, reply).opponent) for reply in GAME.legal_actions(after)
            )
            score = int(move_scores[column])
            assert has_four(after.opponent) == (score == 22 - (stones + 1)), (moves, column)
            assert reply_wins == (score < 0 and score == -(22 - (reply_stones + 1))), (moves, column)
            losing_moves += reply_wins
    assert losing_moves > 1000
