"""Writes down one game while it is played."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alphazero.games.game import ByteArray
from alphazero.mcts.backend import IntArray, RootStatistics
from alphazero.records import Episode


class EpisodeBuilder:
    """Collects the moves of one game; `finish` makes the `Episode`."""

    def __init__(self, actor: int, game_index: int, opening: Sequence[int] = ()) -> None:
        self.opening = list(opening)
        self.actor = actor
        self.game_index = game_index
        self._actions: list[int] = []
        self._observations: list[ByteArray] = []
        self._statistics: list[RootStatistics] = []
        self._policy_visits: list[IntArray] = []
        self._versions: list[int] = []

    def __len__(self) -> int:
        return len(self._actions)

    def append(
        self,
        observation: ByteArray,
        statistics: RootStatistics,
        policy_visits: IntArray,
        action: int,
        weights_version: int,
    ) -> None:
        """Add a move: the observation before it (uint8 [C, H, W], kept), its search, and the choice.

        policy_visits: int32 [E], kept, of the search's actions; see `Episode`.
        """
        self._actions.append(action)
        self._observations.append(observation)
        self._statistics.append(statistics)
        self._policy_visits.append(policy_visits)
        self._versions.append(weights_version)

    def finish(self, terminal_value: float) -> Episode:
        """Return the game; `terminal_value` is for the player who would move in the final position."""
        length = len(self._actions)
        # The last mover sees -terminal_value; going back, the sign alternates.
        plies_to_end = length - np.arange(length)
        outcomes = np.where(plies_to_end % 2 == 1, -terminal_value, terminal_value) + 0.0
        counts = [len(statistics.actions) for statistics in self._statistics]
        return Episode(
            opening=np.array(self.opening, np.int32),
            actions=np.array(self._actions, np.int32),
            observations=np.stack(self._observations),
            policy_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            policy_actions=np.concatenate([statistics.actions for statistics in self._statistics]),
            policy_visits=np.concatenate(self._policy_visits),
            root_values=np.array([statistics.value for statistics in self._statistics], np.float32),
            outcomes=outcomes.astype(np.float32),
            weights_versions=np.array(self._versions, np.int32),
            actor=self.actor,
            game_index=self.game_index,
        )
