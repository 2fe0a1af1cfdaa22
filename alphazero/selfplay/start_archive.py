"""Positions that searches came upon, to begin games from.

Games that all begin at the start see again and again what their players like to play. What they think of the moves
that they do not play is the search's word; no game has shown it. So a search's well visited alternatives are kept for
a while, and some games begin where one of them leads: near to what the network has to judge in its searches, and with
an outcome. Such games are shorter, too, so that there are more of them.

    game        . . . 3 . 4 . . .
    searched        └─ 2: 90 visits, value 0.1       archive   . . . 2
                    └─ 5: 12 visits                  (too few)
    later       (. . . 2) 4 3 . . .                  a game that begins there

Source: Trudeau and Bowling, 'Targeted search control in AlphaZero for effective policy improvement' (2023): Go-Exploit,
whose archive holds what searches visited. Here it holds moves at the root alone, with a part in the search and an
uncertain value, and the newest take the place of the oldest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from alphazero.mcts.backend import RootStatistics

CAPACITY = 5000  # positions
LEAST_VISIT_SHARE = 0.025  # of the search's visits
LARGEST_VALUE = 0.8  # beyond it, a game has nothing to find out


class StartArchive:
    """The newest positions that searches came upon beside the games. Owned by one thread."""

    def __init__(self) -> None:
        self._positions: deque[tuple[int, ...]] = deque(maxlen=CAPACITY)

    def __len__(self) -> int:
        return len(self._positions)

    def add_alternatives(self, moves: Sequence[int], statistics: RootStatistics, played: int) -> None:
        """Keep where the moves lead that a search took seriously and the game did not play.

        moves: from the start to the root. statistics: what a full search found there. played: the game's action.
        """
        least = LEAST_VISIT_SHARE * statistics.visit_counts.sum()
        uncertain = (np.abs(statistics.q_values) <= LARGEST_VALUE) & (statistics.proven == 0)
        serious = (statistics.visit_counts >= least) & (statistics.actions != played)
        for action in statistics.actions[serious & uncertain].tolist():
            self._positions.append((*moves, action))

    def draw(self, rng: np.random.Generator) -> list[int]:
        """Return the moves from the start to one of the positions, each equally likely; there must be one."""
        return list(self._positions[int(rng.integers(len(self._positions)))])
