"""Tic-tac-toe, the example of a plug-in game: one file of plain Python, and nothing else to write.

Read it beside `docs/add_a_game.md`. Cells, and therefore actions, are numbered row by row from the top;
moves are written as column and row, like squares in chess:

      3   0 1 2
      2   3 4 5
      1   6 7 8
          a b c
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from alphazero.games.game import ByteArray, IllegalMoveError, States, Symmetry

SIZE = 3
_LINES = (
    (0, 1, 2), (3, 4, 5), (6, 7, 8),  # rows
    (0, 3, 6), (1, 4, 7), (2, 5, 8),  # columns
    (0, 4, 8), (2, 4, 6),  # diagonals
)  # fmt: skip


class TicTacToeState(NamedTuple):
    """A position as the player to move sees it: each of the 9 cells holds +1 (own), -1 (opponent) or 0.

    A state is never changed, only replaced: the search keeps thousands of them and goes back to any.
    """

    cells: tuple[int, ...]


class TicTacToe:
    """The `Game` protocol for tic-tac-toe. Observation planes: own stones, the opponent's stones."""

    name = "tic_tac_toe"
    num_actions = SIZE * SIZE
    max_legal_actions = SIZE * SIZE
    max_game_length = SIZE * SIZE
    observation_shape = (2, SIZE, SIZE)
    plane_scale: tuple[float, ...] = (1.0, 1.0)  # both planes hold zeros and ones already
    root_noise_alpha = 2.0  # 10 / 5, about half of the cells being empty on average
    temperature_moves = 4
    winning_lines = _LINES

    def initial_state(self) -> TicTacToeState:
        return TicTacToeState((0,) * (SIZE * SIZE))

    def legal_actions(self, state: TicTacToeState) -> list[int]:
        if self.terminal_value(state) is not None:
            return []  # a finished game has no legal actions, even with empty cells left
        return [action for action, cell in enumerate(state.cells) if cell == 0]

    def step(self, state: TicTacToeState, action: int) -> TicTacToeState:
        cells = list(state.cells)
        cells[action] = +1
        # The turn passes, and with it the point of view: own stones become the opponent's.
        return TicTacToeState(tuple(-cell for cell in cells))

    def terminal_value(self, state: TicTacToeState) -> float | None:
        # Only the player who has just moved can have completed a line. That is the opponent of the player
        # to move, who has therefore lost: -1, never +1.
        if any(all(state.cells[cell] == -1 for cell in line) for line in _LINES):
            return -1.0
        if 0 not in state.cells:
            return 0.0
        return None

    def encode(self, state: TicTacToeState, out: ByteArray) -> None:
        # `out` comes with old contents: every entry is written, not only the ones.
        board = np.array(state.cells).reshape(SIZE, SIZE)
        out[0] = board == +1
        out[1] = board == -1

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Four rotations, each also mirrored."""
        cells = np.arange(SIZE * SIZE, dtype=np.int32).reshape(SIZE, SIZE)
        symmetries = []
        for turns, name in enumerate(["identity", "rotate_90", "rotate_180", "rotate_270"]):
            rotated = np.rot90(cells, turns)
            symmetries.append(_symmetry(name, rotated))
            symmetries.append(_symmetry(name.replace("identity", "rotate_0") + "_mirror", np.fliplr(rotated)))
        return tuple(symmetries)

    def action_to_text(self, state: TicTacToeState, action: int) -> str:
        row, column = divmod(action, SIZE)
        return "abc"[column] + "321"[row]

    def text_to_action(self, state: TicTacToeState, text: str) -> int:
        legal = {self.action_to_text(state, action): action for action in self.legal_actions(state)}
        if text.strip().lower() in legal:
            return legal[text.strip().lower()]
        raise IllegalMoveError(
            f"{text!r} is not a legal move here; legal moves: "
            + (", ".join(legal) or "none, the game is over")
        )

    def render(self, state: TicTacToeState) -> str:
        x_to_move = state.cells.count(+1) == state.cells.count(-1)  # x moved first
        symbols = {0: ".", +1: "x" if x_to_move else "o", -1: "o" if x_to_move else "x"}
        board = [symbols[cell] for cell in state.cells]
        rows = [board[first : first + SIZE] for first in range(0, SIZE * SIZE, SIZE)]
        lines = [f"{label} " + " ".join(row) for label, row in zip("321", rows, strict=True)]
        return "\n".join([*lines, "  a b c"])

    def native_states(self, num_trees: int) -> States | None:
        return None  # no compiled rules: `PythonStates` is used, under any tree backend


def _symmetry(name: str, cells: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> Symmetry:
    """`cells` int32 [3, 3]: which cell of the original each cell of the transformed board shows.

    An action is a cell, so it goes where its cell is shown: the inverse permutation.
    """
    cell_source = cells.ravel()
    return Symmetry(name, cell_source, np.argsort(cell_source).astype(np.int32))
