"""Players: whoever chooses moves, in many games at once.

A choice depends on the position and on the game's own random stream alone, never on the other games that
are asked about in the same call. So a match is the same whether it is played at once or in parts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from alphazero.config import SearchConfig
from alphazero.evaluation.best_moves import BestMove, find_best_moves
from alphazero.evaluation.rollouts import RandomRollouts, StreamArray, random_below
from alphazero.games.game import ByteArray, Game, IntArray, PythonStates, States
from alphazero.mcts.backend import RootStatistics
from alphazero.mcts.search import BatchedSearch, Evaluator, LogitArray
from alphazero.network.cached_evaluator import CachedEvaluator

Position = Sequence[int]  # moves from the start position

TREES = 256  # trees searched side by side
# Exploration of pure MCTS. Random games say little about a move, so it has to look around more than a search
# with a network does: at 800 simulations in Connect Four 5.0 scored 65 % of 60 games against 1.25.
PURE_MCTS_C_PUCT = 5.0


class Player(Protocol):
    """Plays one game's moves in many games at once; belongs to one process and one thread."""

    name: str

    def choose_moves(self, positions: Sequence[Position], streams: StreamArray) -> list[int]:
        """Return a legal action for each position, none of them terminal.

        streams: uint64 [number of positions], for players that draw: fixed by the game and the ply, so
        that the same game is played again. A player works on a copy.
        """
        ...


class RandomPlayer:
    """Every legal move with the same probability; `native_rules` as in `SearchConfig`."""

    def __init__(self, game: Game, name: str = "random", native_rules: bool = True) -> None:
        self.name = name
        self._reader = PositionReader(game, native_rules)

    def choose_moves(self, positions: Sequence[Position], streams: StreamArray) -> list[int]:
        offsets, actions = self._reader.legal_actions(positions)
        chosen: list[int] = actions[offsets[:-1] + random_below(streams.copy(), np.diff(offsets))].tolist()
        return chosen


class PerfectPlayer:
    """A random one of the moves that keep the best result, in a game small enough to be solved by trying all."""

    def __init__(self, game: Game, moves: Mapping[Any, tuple[int, ...]], name: str = "perfect") -> None:
        """moves: by state, from `exhaustive.perfect_moves`."""
        self.name = name
        self._game = game
        self._moves = moves

    def choose_moves(self, positions: Sequence[Position], streams: StreamArray) -> list[int]:
        best = [self._moves[self._state(position)] for position in positions]
        places = random_below(streams.copy(), np.array([len(moves) for moves in best], np.int32))
        return [moves[place] for moves, place in zip(best, places, strict=True)]

    def _state(self, position: Position) -> Any:
        state = self._game.initial_state()
        for action in position:
            state = self._game.step(state, action)
        return state


class PolicyPlayer:
    """The bare policy head: the legal move with the largest logit (ties: the lowest), no search.

    native_rules: as in `SearchConfig`.
    """

    def __init__(self, game: Game, evaluate: Evaluator, native_rules: bool = True) -> None:
        self._reader = PositionReader(game, native_rules)
        self._evaluate = evaluate

    def choose_and_value(self, positions: Sequence[Position]) -> tuple[list[int], list[float]]:
        """Return the moves, and the value head's answers for the player to move."""
        moves: list[int] = []
        values: list[float] = []
        for start in range(0, len(positions), TREES):
            part = positions[start : start + TREES]
            offsets, actions = self._reader.legal_actions(part)
            logits, part_values = self._evaluate(self._reader.observations(part))
            for row, (begin, end) in enumerate(itertools.pairwise(offsets)):
                legal = actions[begin:end]
                moves.append(int(legal[int(np.argmax(logits[row, legal]))]))
            values.extend(float(value) for value in part_values)
        return moves, values


class NetworkPlayer:
    """Search with the network: no root noise, temperature 0, one leaf a tree, a fresh tree for each move.

    Evaluations are kept from move to move, which saves what a kept subtree would.

    Args:
        trees: positions searched side by side.
        kept: evaluations kept; None: `default_capacity`.
    """

    def __init__(
        self,
        game: Game,
        evaluate: Evaluator,
        config: SearchConfig,
        name: str,
        trees: int = TREES,
        kept: int | None = None,
    ) -> None:
        self.name = name
        self.simulations = config.simulations
        self._search = BatchedSearch(game, trees, replace(config, leaves_per_tree=1))
        self.evaluate = CachedEvaluator(evaluate, game.num_actions, kept)

    def choose_moves(self, positions: Sequence[Position], streams: StreamArray) -> list[int]:
        return [best.action for best in self.search_positions(positions)]

    def search_positions(
        self,
        positions: Sequence[Position],
        classes: Sequence[npt.NDArray[np.int8]] | None = None,
        on_answer: Callable[[int], None] | None = None,
    ) -> list[BestMove]:
        """Return the best moves; for `classes` and `on_answer` see `find_best_moves`."""

        def evaluate_leaves(rows: int) -> tuple[LogitArray, LogitArray]:
            return self.evaluate(self._search.observations[:rows])

        return find_best_moves(self._search, positions, evaluate_leaves, self.simulations, classes, on_answer)

    def root_statistics(self, position: Position) -> RootStatistics:
        """Return what the whole search of one position, not terminal, finds out about its moves."""
        self._search.set_position(0, position)
        self._search.search(np.zeros(1, np.int32), self.evaluate)
        return self._search.root_statistics(0)


class PureMctsPlayer:
    """Monte Carlo tree search without a network: equal priors, a leaf's value is one random game.

    The tree is the same PUCT tree as everywhere; AlphaZero.jl's benchmark opponent is built like this.
    """

    def __init__(self, game: Game, config: SearchConfig, name: str = "pure_mcts") -> None:
        self.name = name
        self.simulations = config.simulations
        # An anchor of ratings: how an agent searches does not change it.
        anchor = SearchConfig(
            mcts_backend=config.mcts_backend,
            native_rules=config.native_rules,
            simulations=config.simulations,
            c_puct_init=PURE_MCTS_C_PUCT,
        )
        self._search = BatchedSearch(game, TREES, anchor)
        self._rollouts = RandomRollouts(game, self._search.states, TREES)

    def choose_moves(self, positions: Sequence[Position], streams: StreamArray) -> list[int]:
        moves: list[int] = []
        for start in range(0, len(positions), TREES):
            moves.extend(self._choose_side_by_side(positions[start : start + TREES], streams[start:].copy()))
        return moves

    def _choose_side_by_side(self, positions: Sequence[Position], streams: StreamArray) -> list[int]:
        """With no more positions than trees, position i is searched in tree i and draws from streams[i]."""
        search = self._search

        def roll_out(rows: int) -> tuple[LogitArray, LogitArray]:
            return self._rollouts.evaluate(search.leaf_trees[:rows], search.leaf_nodes[:rows], streams)

        return [best.action for best in find_best_moves(search, positions, roll_out, self.simulations)]


class PositionReader:
    """Legal actions and observations of positions given by their moves, a batch at a time.

    native_rules: as in `SearchConfig`.
    """

    def __init__(self, game: Game, native_rules: bool = True) -> None:
        self._game = game
        native = game.native_states(TREES) if native_rules else None
        self._states: States = native if native is not None else PythonStates(game, TREES)

    def legal_actions(self, positions: Sequence[Position]) -> tuple[IntArray, IntArray]:
        """Return the legal actions in CSR form: offsets int32 [B+1], actions int32 [offsets[B]]."""
        all_offsets, all_actions = [np.zeros(1, np.int32)], []
        for trees in self._loaded(positions):
            offsets = np.zeros(len(trees) + 1, np.int32)
            actions = np.zeros(len(trees) * self._game.max_legal_actions, np.int32)
            total = self._states.legal_actions(trees, np.zeros_like(trees), offsets, actions)
            all_offsets.append(offsets[1:] + all_offsets[-1][-1])
            all_actions.append(actions[:total])
        return np.concatenate(all_offsets), np.concatenate([np.zeros(0, np.int32), *all_actions])

    def observations(self, positions: Sequence[Position]) -> ByteArray:
        """Return the observations, uint8 [B, C, H, W]."""
        observations = np.zeros((len(positions), *self._game.observation_shape), np.uint8)
        start = 0
        for trees in self._loaded(positions):
            part = observations[start : start + len(trees)]
            self._states.encode(trees, np.zeros_like(trees), part)
            start += len(trees)
        return observations

    def _loaded(self, positions: Sequence[Position]) -> Iterator[IntArray]:
        """Put the positions at the roots of the arena, as many at a time as it holds; yield their trees."""
        for start in range(0, len(positions), TREES):
            part = positions[start : start + TREES]
            for tree, position in enumerate(part):
                self._states.set_root(tree, position)
            yield np.arange(len(part), dtype=np.int32)
