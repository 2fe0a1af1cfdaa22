"""Input planes for games that are won by completing a line: what each player has in the lines that are still open.

For a game whose lines have K cells, 2 (K - 1) planes: for k = 1 .. K-1, first of the player to move, then of the
opponent, each empty cell holds the number of lines through it in which that player has k stones and the other none.
With k = K-1 that is where a stone wins at once.

A convolution finds them too, given enough layers and positions; told, a small network learns the rest from fewer of
both. What it gains is measured in docs/decisions/0020-line-planes.md. Features of a game beside its board are not in
AlphaZero; Wu, 'Accelerating Self-Play Learning in Go' (2019), has them for Go (liberties, ladders). Lines that one
player can still complete are what Connect Four's theory is about (Allis, 'A knowledge-based approach of Connect-Four',
1988).

Axis letters: B batch, C planes, H rows, W columns, N = H * W cells, L lines, K cells of a line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alphazero.games.game import Line
from alphazero.native_import import compiled_module

_native: Any = compiled_module("alphazero.network._line_planes")
_MOST_IN_A_BYTE = 255


class LinePlanes(nn.Module):
    """Computes the planes from observations; has no weights.

    Args:
        lines: the game's winning lines, all of the same length K; cells row by row.
        board: (H, W).

    Raises ValueError for lines that are not on such a board.

    Attributes:
        count: number of planes, 2 (K - 1).
        length: K.
    """

    cells_in_lines: Tensor
    stones: Tensor

    def __init__(self, lines: tuple[Line, ...], board: tuple[int, int]) -> None:
        super().__init__()
        cells = board[0] * board[1]
        self._lines = np.array(lines, np.int32)  # [L, K]
        # Compiled code trusts them.
        if self._lines.ndim != 2 or self._lines.min() < 0 or self._lines.max() >= cells:
            raise ValueError(f"winning lines are to be of one length, with cells from 0 to {cells - 1}")
        self.length = self._lines.shape[1]
        self.count = 2 * (self.length - 1)
        most = int(
            np.bincount(self._lines.ravel()).max()
        )  # lines through one cell; compiled code counts in bytes
        self._compiled = _native is not None and most <= _MOST_IN_A_BYTE
        cells_in_lines = torch.zeros(cells, len(lines))
        for number, line in enumerate(lines):
            cells_in_lines[list(line), number] = 1.0
        # Not persistent: they belong to the game, and stand in the metadata of a weights file.
        self.register_buffer("cells_in_lines", cells_in_lines, persistent=False)  # [N, L]
        stones = torch.arange(1.0, self.length).view(-1, 1, 1)
        self.register_buffer("stones", stones, persistent=False)  # k [K-1, 1, 1]

    def forward(self, observations: Tensor) -> Tensor:
        """Return the planes, [B, 2 (K - 1), H, W], in the precision of this module's buffers.

        Args:
            observations: uint8 or floating [B, C, H, W], not scaled; planes 0 and 1 are 1 where the player to move and
                the opponent have a stone, and 0 elsewhere.
        """
        if self._fills(observations):
            return self._filled(observations)[:, -self.count :].to(self.cells_in_lines.dtype)
        return self._computed(observations.flatten(2)).view(-1, self.count, *observations.shape[2:])

    def beside(self, observations: Tensor, dtype: torch.dtype) -> Tensor:
        """Return observations, as for `forward`, and then their planes: `dtype` [B, C + 2 (K - 1), H, W].

        Channels last where compiled code computes them.
        """
        if self._fills(observations):
            return self._filled(observations).to(dtype)
        return torch.cat([observations.to(dtype), self(observations).to(dtype)], dim=1)

    def _fills(self, observations: Tensor) -> bool:
        """Return whether compiled code is here and takes these."""
        on_cpu = observations.device.type == "cpu" and observations.dtype is torch.uint8
        return self._compiled and on_cpu and not torch.compiler.is_compiling()

    def _computed(self, observations: Tensor) -> Tensor:
        """Return the planes of observations [B, C, N], [B, 2 (K - 1), N], by two matrix products."""
        stones = observations[:, :2].to(self.cells_in_lines.dtype)
        in_lines = stones @ self.cells_in_lines  # [B, 2, L]
        # k where a player has k stones and the other none, 0 or less elsewhere
        alone = in_lines - self.length * in_lines.flip(1)
        open_lines = (alone.unsqueeze(1) == self.stones).to(stones.dtype)  # [B, K-1, 2, L]
        through_cells: Tensor = (open_lines @ self.cells_in_lines.T).flatten(1, 2)
        empty = 1.0 - stones.sum(1, keepdim=True)
        return through_cells * empty

    def _filled(self, observations: Tensor) -> Tensor:
        """Return observations and then their planes, uint8 [B, C + 2 (K - 1), H, W], channels last."""
        batch, planes, *board = observations.shape
        flat = observations.flatten(2)
        features = torch.empty(batch, flat.shape[2], planes + self.count, dtype=torch.uint8)
        _native.fill(flat.contiguous().numpy(), self._lines, features.numpy())
        return features.view(batch, *board, planes + self.count).permute(0, 3, 1, 2)
