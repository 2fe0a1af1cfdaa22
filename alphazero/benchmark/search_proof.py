"""Proof that a configuration searches as the reference does: the same visit counts, to the last one.

Fixed positions of real games are searched, and searched again after the best move (so that the kept subtree
counts), with an evaluator that is a pure function of the observation. Networks and engines have no part in
it: what a faster network changes in the answers is another question than what a faster search changes in
what is done with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from alphazero.config import SearchConfig
from alphazero.games.game import ByteArray, Game
from alphazero.mcts.search import BatchedSearch, LogitArray, best_action
from alphazero.seeding import generator

POSITIONS = 6

VisitCounts = list[tuple[list[int], list[int]]]  # (actions, visit counts) of every root searched


@dataclass(frozen=True)
class HashedEvaluator:
    """An `Evaluator` that is a pure function of each observation's bytes; needs no network.

    Logits are spread over +-2, values over [-1, 1).
    """

    num_actions: int

    def __call__(self, observations: ByteArray) -> tuple[LogitArray, LogitArray]:
        """Return (policy logits float32 [B, A], values float32 [B] for the player to move)."""
        count = 2 * (self.num_actions + 1)
        digests = b"".join(hashlib.shake_128(row.tobytes()).digest(count) for row in observations)
        numbers = np.frombuffer(digests, "<u2").reshape(len(observations), -1).astype(np.float64)
        spread = numbers / 32768.0 - 1.0
        return (2.0 * spread[:, 1:]).astype(np.float32), spread[:, 0].astype(np.float32)


def visit_counts(game: Game, config: SearchConfig, positions: Sequence[Sequence[int]]) -> VisitCounts:
    """Search each position (moves from the start), and again after its best move; return what was found."""
    search = BatchedSearch(game, len(positions), config)
    evaluate = HashedEvaluator(game.num_actions)
    trees = np.arange(len(positions), dtype=np.int32)
    found: VisitCounts = []
    for tree, moves in enumerate(positions):
        search.set_position(tree, moves)
    search.search(trees, evaluate)
    found += [_root(search, tree) for tree in trees.tolist()]
    for tree in trees.tolist():
        search.play(tree, best_action(search.root_statistics(tree)))
    going_on = np.array([tree for tree in trees if search.terminal_value(int(tree)) is None], np.int32)
    search.search(going_on, evaluate)
    return found + [_root(search, tree) for tree in going_on.tolist()]


class SearchProof:
    """Compares search settings with the reference: the baseline's settings, in Python throughout.

    Results are kept, since many configurations search alike.
    """

    def __init__(self, game: Game, reference: SearchConfig) -> None:
        self._game = game
        self._positions = fixed_positions(game)
        self._reference = replace(reference, mcts_backend="python", native_rules=False)
        self._expected: VisitCounts | None = None
        self._known: dict[SearchConfig, bool] = {}

    def is_unchanged(self, config: SearchConfig) -> bool:
        """Return whether searches under `config` give exactly the reference's visit counts."""
        if config not in self._known:
            if self._expected is None:
                self._expected = visit_counts(self._game, self._reference, self._positions)
            self._known[config] = visit_counts(self._game, config, self._positions) == self._expected
        return self._known[config]


def fixed_positions(game: Game, count: int = POSITIONS) -> list[list[int]]:
    """Return the start and positions of random games at ever later stages, always the same."""
    positions: list[list[int]] = [[]]
    rng = generator(0, "search proof")
    while len(positions) < count:
        moves: list[int] = []
        state = game.initial_state()
        while game.terminal_value(state) is None:
            moves.append(int(rng.choice(game.legal_actions(state))))
            state = game.step(state, moves[-1])
        positions.append(moves[: len(moves) * len(positions) // (count + 1)])
    return positions


def _root(search: BatchedSearch, tree: int) -> tuple[list[int], list[int]]:
    statistics = search.root_statistics(tree)
    return statistics.actions.tolist(), statistics.visit_counts.tolist()
