"""Games of random moves, many at once: to measure rules as play uses them, and to wear them out.

Unlike perft, this sees whole games: endgames, repetitions, every way in which a game can end.

Axis letter: G games.
"""

from __future__ import annotations

import numpy as np

from alphazero.games.game import Game, States


class RandomPlay:
    """G games played at random in the trees of `states`, one each; a game that is over begins again.

    A game is a line of nodes below the root of its tree, so that all moves are made in batches.

    Args:
        states: positions of `num_games` trees of `game`; they belong to this object from now on.
        rng: draws the moves, uniformly from the legal ones.
    """

    def __init__(self, game: Game, states: States, num_games: int, rng: np.random.Generator) -> None:
        self.finished_games = 0
        self._states = states
        self._rng = rng
        self._trees = np.arange(num_games, dtype=np.int32)
        self._nodes = np.zeros(num_games, np.int32)  # where each game has come to
        self._offsets = np.zeros(num_games + 1, np.int32)
        self._actions = np.zeros(num_games * game.max_legal_actions, np.int32)
        self._terminal = np.zeros(num_games, np.uint8)
        self._values = np.zeros(num_games)
        states.reset(self._trees)

    def play(self, rounds: int) -> int:
        """Play `rounds` moves in every game; return how many moves that were."""
        for _ in range(rounds):
            self._play_one_move_each()
        return rounds * len(self._trees)

    def _play_one_move_each(self) -> None:
        self._states.legal_actions(self._trees, self._nodes, self._offsets, self._actions)
        first, counts = self._offsets[:-1], np.diff(self._offsets)
        chosen = self._actions[first + (self._rng.random(len(counts)) * counts).astype(np.int32)]
        self._states.step(self._trees, self._nodes, chosen, self._nodes + np.int32(1))
        self._nodes += 1
        self._states.terminal_values(self._trees, self._nodes, self._terminal, self._values)
        over = np.flatnonzero(self._terminal).astype(np.int32)
        if len(over):
            self._states.reset(over)
            self._nodes[over] = 0
            self.finished_games += len(over)
