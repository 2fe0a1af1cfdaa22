"""Connect Four on the usual 7 x 6 board: the specification, in plain Python.

A position is two bitboards of 49 bits, one column of 7 bits after the other, the lowest bit the bottom
row; the 7th bit of a column stays empty and keeps rows from running into the next column:

      6 13 20 27 34 41 48     <- always empty
      5 12 19 26 33 40 47     <- top row
      4 11 18 25 32 39 46
      3 10 17 24 31 38 45
      2  9 16 23 30 37 44
      1  8 15 22 29 36 43
      0  7 14 21 28 35 42     <- bottom row
      column 0 1 2 3 4 5 6

Action a drops a stone into column a.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from alphazero.games.game import ByteArray, IllegalMoveError, Line, States, Symmetry
from alphazero.games.native import compiled_class

COLUMNS = 7
ROWS = 6
_COLUMN_BITS = ROWS + 1
_TOP_BITS = [1 << (column * _COLUMN_BITS + ROWS - 1) for column in range(COLUMNS)]
_BOTTOM_BITS = [1 << (column * _COLUMN_BITS) for column in range(COLUMNS)]
_FULL_BOARD = sum(((1 << ROWS) - 1) << (column * _COLUMN_BITS) for column in range(COLUMNS))
# bit of the cell in row r (0 = top, as planes are printed) and column c
_CELL_BITS = [[column * _COLUMN_BITS + (ROWS - 1 - row) for column in range(COLUMNS)] for row in range(ROWS)]


def _lines() -> tuple[Line, ...]:
    """Return the 69 places of four in a row."""
    lines = []
    for row, column in itertools.product(range(ROWS), range(COLUMNS)):
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            if row + 3 * down < ROWS and 0 <= column + 3 * right < COLUMNS:
                lines.append(tuple((row + i * down) * COLUMNS + column + i * right for i in range(4)))
    return tuple(lines)


_LINES = _lines()


class ConnectFourState(NamedTuple):
    """`own`: stones of the player to move; `opponent`: those of the player who moved last."""

    own: int
    opponent: int


def has_four(stones: int) -> bool:
    """Return whether a bitboard holds four in a row: vertical, horizontal or diagonal."""
    for shift in (1, _COLUMN_BITS, _COLUMN_BITS - 1, _COLUMN_BITS + 1):
        pairs = stones & (stones >> shift)
        if pairs & (pairs >> (2 * shift)):
            return True
    return False


class ConnectFour:
    """The `Game` protocol for Connect Four. Observation planes: own stones, the opponent's stones."""

    name = "connect_four"
    num_actions = COLUMNS
    max_legal_actions = COLUMNS
    max_game_length = COLUMNS * ROWS
    observation_shape = (2, ROWS, COLUMNS)
    plane_scale: tuple[float, ...] = (1.0, 1.0)
    root_noise_alpha = 1.4  # 10 / 7 legal actions
    temperature_moves = 12
    config_defaults: Mapping[str, Mapping[str, bool]] = {
        "network": {"line_planes": True, "ownership_head": True}
    }
    winning_lines = _LINES

    def initial_state(self) -> ConnectFourState:
        return ConnectFourState(0, 0)

    def legal_actions(self, state: ConnectFourState) -> list[int]:
        if has_four(state.opponent):
            return []
        occupied = state.own | state.opponent
        return [column for column in range(COLUMNS) if not occupied & _TOP_BITS[column]]

    def step(self, state: ConnectFourState, action: int) -> ConnectFourState:
        occupied = state.own | state.opponent
        # Adding the bottom bit carries up to the lowest empty cell of the column.
        stone = (occupied + _BOTTOM_BITS[action]) & ~occupied
        return ConnectFourState(state.opponent, state.own | stone)

    def terminal_value(self, state: ConnectFourState) -> float | None:
        if has_four(state.opponent):
            return -1.0
        if (state.own | state.opponent) == _FULL_BOARD:
            return 0.0
        return None

    def encode(self, state: ConnectFourState, out: ByteArray) -> None:
        for row in range(ROWS):
            for column in range(COLUMNS):
                bit = _CELL_BITS[row][column]
                out[0, row, column] = (state.own >> bit) & 1
                out[1, row, column] = (state.opponent >> bit) & 1

    def symmetries(self) -> tuple[Symmetry, ...]:
        cells = np.arange(ROWS * COLUMNS, dtype=np.int32).reshape(ROWS, COLUMNS)
        columns = np.arange(COLUMNS, dtype=np.int32)
        return (
            Symmetry("identity", cells.ravel(), columns),
            Symmetry("mirror", np.ascontiguousarray(cells[:, ::-1]).ravel(), columns[::-1].copy()),
        )

    def action_to_text(self, state: ConnectFourState, action: int) -> str:
        return str(action)

    def text_to_action(self, state: ConnectFourState, text: str) -> int:
        legal = self.legal_actions(state)
        if text.strip().isascii() and text.strip().isdigit() and int(text) in legal:
            return int(text)
        raise IllegalMoveError(
            f"{text!r} is not a legal move here; legal columns (0 is leftmost): "
            + (", ".join(map(str, legal)) or "none, the game is over")
        )

    def render(self, state: ConnectFourState) -> str:
        first, second = state.own, state.opponent
        if (state.own | state.opponent).bit_count() % 2:
            first, second = second, first  # x moved first
        lines = []
        for row in range(ROWS):
            cells = []
            for column in range(COLUMNS):
                bit = 1 << _CELL_BITS[row][column]
                cells.append("x" if first & bit else "o" if second & bit else ".")
            lines.append(" ".join(cells))
        return "\n".join([*lines, " ".join(str(column) for column in range(COLUMNS))])

    def native_states(self, num_trees: int) -> States | None:
        states_class = compiled_class("_connect_four", "ConnectFourStates")
        states: States | None = None if states_class is None else states_class(num_trees)
        return states
