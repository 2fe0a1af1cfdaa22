"""Writes down one game while it is played."""

from __future__ import annotations

import numpy as np

from alphazero.games.game import ByteArray
from alphazero.mcts.backend import FloatArray, IntArray, PriorArray, RootStatistics, SearchedNodes
from alphazero.records import Episode, SidePositions
from alphazero.selfplay.policy_surprise import NO_PART, draw_copies, policy_surprises, surprise_weights
from alphazero.selfplay.policy_targets import visits_not_refuted
from alphazero.selfplay.side_positions import joined, side_positions


class EpisodeBuilder:
    """Collects the moves of one game; `finish` makes the `Episode`.

    Attributes:
        opening: moves that the game begins with and that are not learned from; set before the first `append`.

    Args:
        surprise_share: of the game's weight, see `SelfPlayConfig.policy_surprise_share`.
    """

    def __init__(self, actor: int, game_index: int, surprise_share: float = 0.0) -> None:
        self.opening: list[int] = []
        self.actor = actor
        self.game_index = game_index
        self._surprise_share = surprise_share
        self._actions: list[int] = []
        self._observations: list[ByteArray] = []
        self._statistics: list[RootStatistics] = []
        self._policy_visits: list[IntArray] = []
        self._versions: list[int] = []
        self._priors: list[PriorArray] = []
        self._foreseen: tuple[int, float] | None = None  # first position called decided, its foreseen outcome
        self.resigned = False
        self._side_observations: list[ByteArray] = []
        self._side_nodes: list[SearchedNodes] = []
        self._side_moves_before: list[int] = []

    def __len__(self) -> int:
        return len(self._actions)

    @property
    def moves(self) -> list[int]:
        """All moves from the start, those of the opening included."""
        return self.opening + self._actions

    def append(
        self,
        observation: ByteArray,
        statistics: RootStatistics,
        policy_visits: IntArray,
        action: int,
        weights_version: int,
        network_priors: PriorArray | None = None,
    ) -> None:
        """Add a move: the observation before it (uint8 [C, H, W], kept), its search, and the choice.

        policy_visits: int32 [E], kept, of the search's actions; see `Episode`.
        network_priors: float32 [E], kept, without root noise; may be None without a `surprise_share`.
        """
        self._actions.append(action)
        self._observations.append(observation)
        self._statistics.append(statistics)
        self._policy_visits.append(policy_visits)
        self._versions.append(weights_version)
        if network_priors is not None:
            self._priors.append(network_priors)

    def append_side_positions(self, observations: ByteArray, found: SearchedNodes) -> None:
        """Add N positions that the newest move's search met: observations uint8 [N, C, H, W] and findings; kept."""
        self._side_observations.append(observations)
        self._side_nodes.append(found)
        self._side_moves_before.append(len(self.opening) + len(self) - 1)

    def foresee(self, outcome: float, resigned: bool) -> None:
        """Note that the newest position is called decided: +1 or -1 for the player to move there.

        resigned: the game ends for it.
        """
        if self._foreseen is None:
            self._foreseen = (len(self) - 1, outcome)
        self.resigned = resigned

    def finish(
        self, terminal_value: float, rng: np.random.Generator, final_observation: ByteArray | None = None
    ) -> Episode:
        """Return the game; `terminal_value` is for the player who would move in the final position.

        final_observation: uint8 [C, H, W] of that position, kept; None: the game was resigned.
        rng: the game's own, which draws how often positions are written if its weight is not shared equally.
        """
        length = len(self._actions)
        # The last mover sees -terminal_value; going back, the sign alternates.
        plies_to_end = length - np.arange(length)
        outcomes = np.where(plies_to_end % 2 == 1, -terminal_value, terminal_value) + 0.0
        counts = [len(statistics.actions) for statistics in self._statistics]
        policy_offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        policy_visits = np.concatenate(self._policy_visits)
        versions = np.array(self._versions, np.int32)
        foreseen_rightly = None
        if self._foreseen is not None and not self.resigned:
            position, outcome = self._foreseen
            foreseen_rightly = bool(outcomes[position] == outcome)
        copies = None
        if self._surprise_share:
            surprises = policy_surprises(policy_visits, np.concatenate(self._priors), policy_offsets)
            copies = self._copies(np.where(versions > 0, surprises, NO_PART), rng)
        return Episode(
            opening=np.array(self.opening, np.int32),
            actions=np.array(self._actions, np.int32),
            observations=np.stack(self._observations),
            policy_offsets=policy_offsets,
            policy_actions=np.concatenate([statistics.actions for statistics in self._statistics]),
            policy_visits=policy_visits,
            root_values=np.array([statistics.value for statistics in self._statistics], np.float32),
            outcomes=outcomes.astype(np.float32),
            weights_versions=versions,
            actor=self.actor,
            game_index=self.game_index,
            final_observation=final_observation,
            side_positions=self._side_positions(rng),
            copies=copies,
            resigned=self.resigned,
            foreseen_rightly=foreseen_rightly,
        )

    def _side_positions(self, rng: np.random.Generator) -> SidePositions | None:
        if not self._side_nodes:
            return None
        found = joined(self._side_nodes)
        policy_visits = visits_not_refuted(found.edge_visit_counts, found.edge_proven, found.edge_offsets)
        copies = None
        if self._surprise_share:
            copies = self._copies(policy_surprises(policy_visits, found.edge_priors, found.edge_offsets), rng)
        searched = [len(nodes) for nodes in self._side_nodes]
        moves_before = np.repeat(np.array(self._side_moves_before, np.int32), searched)
        observations = np.concatenate(self._side_observations)
        return side_positions(observations, found, policy_visits, moves_before, copies)

    def _copies(self, surprises: FloatArray, rng: np.random.Generator) -> IntArray:
        """Return how often each of N positions, which share a weight of N, is written."""
        return draw_copies(surprise_weights(surprises, self._surprise_share), rng)
