"""Random play to the end of the game: the evaluator of a search that knows nothing but the rules.

Every random number comes from a stream of its own for each tree (a 64-bit state), so what one game draws
does not depend on which other games are played beside it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alphazero.games.game import Game, IntArray, States
from alphazero.mcts.search import LogitArray

StreamArray = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def next_random(streams: StreamArray) -> StreamArray:
    """Advance every stream (uint64 [B], changed in place) and return a random uint64 [B].

    SplitMix64. Source: Steele, Lea and Flood, 'Fast Splittable Pseudorandom Number Generators' (2014).
    """
    streams += _GOLDEN
    mixed = streams.copy()
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def random_below(streams: StreamArray, bounds: IntArray) -> IntArray:
    """Return a random number in 0 .. bounds[i]-1 for each stream, int32 [B]; the streams advance."""
    # The high 32 bits times the bound: for bounds this small the bias is below one in ten million.
    high = next_random(streams) >> np.uint64(32)
    return ((high * bounds.astype(np.uint64)) >> np.uint64(32)).astype(np.int32)


class RandomRollouts:
    """Values of leaves by one random game each, played in the search's own arena.

    The nodes behind a leaf hold the game's positions. That is safe because a leaf that waits for its
    evaluation is the newest node of its tree: the search overwrites what stands behind it.
    """

    def __init__(self, game: Game, states: States, num_trees: int) -> None:
        self._states = states
        self._compiled = getattr(states, "random_rollouts", None)  # an arena in C++ has it
        self._actions = np.zeros(num_trees * game.max_legal_actions, np.int32)
        self._equal_logits = np.zeros((num_trees, game.num_actions), np.float32)

    def evaluate(
        self, trees: IntArray, leaves: IntArray, streams: StreamArray
    ) -> tuple[LogitArray, LogitArray]:
        """Return equal policy logits float32 [K, A] and values float32 [K] for the player to move.

        Args:
            trees, leaves: int32 [K], nodes where the game goes on, each tree at most once.
            streams: uint64 [number of trees], indexed by tree; those of `trees` advance.
        """
        own = streams[trees]
        if self._compiled is None:
            results = self._play_out(trees, leaves, own)
        else:
            results = np.zeros(len(trees), np.float32)
            self._compiled(trees, leaves, own, self._actions, results)
        streams[trees] = own
        return self._equal_logits[: len(trees)], results

    def _play_out(self, trees: IntArray, nodes: IntArray, streams: StreamArray) -> LogitArray:
        """Return the values, float32 [K]; `streams` [K] advance. All games make a move at a time.

        `random_rollout` in alphazero/games/native/rollouts.h is the same, a game after the other.
        """
        results = np.zeros(len(trees), np.float32)
        rows, own = np.arange(len(trees)), streams.copy()
        sign = 1.0  # turns a value for the player to move now into one for the player at the leaf
        while len(rows):
            nodes, sign = self._random_moves(trees, nodes, own), -sign
            terminal, values = np.zeros(len(rows), np.uint8), np.zeros(len(rows))
            self._states.terminal_values(trees, nodes, terminal, values)
            ended = terminal != 0
            if ended.any():
                results[rows[ended]] = sign * values[ended]
                streams[rows[ended]] = own[ended]
                rows, trees, nodes, own = (array[~ended] for array in (rows, trees, nodes, own))
        return results

    def _random_moves(self, trees: IntArray, nodes: IntArray, streams: StreamArray) -> IntArray:
        """Play one random legal move in each position; return the nodes that hold the new positions."""
        offsets = np.zeros(len(trees) + 1, np.int32)
        self._states.legal_actions(trees, nodes, offsets, self._actions)
        chosen = self._actions[offsets[:-1] + random_below(streams, np.diff(offsets))]
        following = nodes + np.int32(1)
        self._states.step(trees, nodes, chosen, following)
        return following
