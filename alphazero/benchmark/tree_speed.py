"""How fast the search runs by itself: trees, rules and encoding, with a network that costs nothing.

Games are played on and on, each finished one replaced by a new one, through `BatchedSearch`, the class that
self-play and evaluation search through. The evaluator says that every move is as good as any other. Games
begin at random stages, so that every window of time holds all stages of play.

Axis letters: G games, A actions.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from alphazero.benchmark.statistics import median_estimate
from alphazero.config import SearchConfig
from alphazero.games.game import Game, States
from alphazero.mcts.backend import Trees
from alphazero.mcts.search import BatchedSearch, sample_action
from alphazero.seeding import generator
from alphazero.selfplay.random_stage import set_random_stage

WINDOWS = 10


@dataclass(frozen=True)
class TreeSpeed:
    """What was measured. Rates are medians over windows of equal length; the keys are the metric catalog's.

    Attributes:
        simulations_per_second: with the bounds of its interval, which holds the median with at least 95 %
            confidence whatever the distribution (`median_estimate`).
        evaluations_per_second: leaves that a network would have evaluated.
        mean_depth: edges from the root to the leaf, mean over the visits in the trees at the end.
        time_tree, time_rules, time_encoding, time_other: shares of the time of a second, slower run, in
            which each part is called by itself; in the compiled driver they cannot be timed apart.
        bytes_per_node, bytes_per_edge: memory of the trees at the end, spare room not counted / their nodes,
            edges; None where the backend does not know its memory.
    """

    simulations_per_second: float
    simulations_per_second_low: float
    simulations_per_second_high: float
    evaluations_per_second: float
    mean_depth: float
    time_tree: float
    time_rules: float
    time_encoding: float
    time_other: float
    bytes_per_node: float | None
    bytes_per_edge: float | None


def measure_tree_speed(
    game: Game,
    config: SearchConfig,
    games: int,
    seconds: float,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> TreeSpeed:
    """Return how fast `games` (G) games at once are searched, measured for about `seconds` in all.

    A tenth of the time is for warming up and a fifth for the time split. clock: seconds, ascending.
    """
    play = _EndlessGames(game, config, games, seed)
    play.run_for(0.1 * seconds, clock)
    windows = [play.run_for(0.7 * seconds / WINDOWS, clock) for _ in range(WINDOWS)]
    rate = median_estimate([simulations / elapsed for simulations, _, elapsed in windows])
    depth, bytes_per_node, bytes_per_edge = _look_into_trees(play.search)
    shares = _time_split(_EndlessGames(game, config, games, seed), 0.2 * seconds, clock)
    return TreeSpeed(
        simulations_per_second=rate.value,
        simulations_per_second_low=rate.low,
        simulations_per_second_high=rate.high,
        evaluations_per_second=statistics.median(rows / elapsed for _, rows, elapsed in windows),
        mean_depth=depth,
        time_tree=shares["tree"],
        time_rules=shares["rules"],
        time_encoding=shares["encoding"],
        time_other=shares["other"],
        bytes_per_node=bytes_per_node,
        bytes_per_edge=bytes_per_edge,
    )


class _EndlessGames:
    """G games that are searched and played; a finished game makes room for a new one."""

    def __init__(self, game: Game, config: SearchConfig, games: int, seed: int) -> None:
        self.search = BatchedSearch(game, games, config)
        self._config = config
        self._every_tree = np.arange(games, dtype=np.int32)
        self._logits = np.zeros((games, game.num_actions), np.float32)
        self._values = np.zeros(games, np.float32)
        self._generators = [generator(seed, "measure", tree) for tree in range(games)]
        for tree, rng in enumerate(self._generators):
            set_random_stage(self.search, tree, rng)
            self.search.begin(tree)
        self._simulations_begun = games * config.simulations

    def run_for(self, seconds: float, clock: Callable[[], float]) -> tuple[int, int, float]:
        """Play for so long; return (simulations done, leaves evaluated, seconds it took)."""
        before = self._simulations_done()
        rows_evaluated = 0
        start = clock()
        while (elapsed := clock() - start) < seconds:
            rows_evaluated += self._one_round()
        return self._simulations_done() - before, rows_evaluated, elapsed

    def _one_round(self) -> int:
        rows = self.search.collect(self._every_tree)
        self.search.apply(self._logits[:rows], self._values[:rows])
        if rows < len(self._every_tree):
            for tree in np.flatnonzero(self.search.trees.remaining == 0).tolist():
                self._play(tree)
        return rows

    def _play(self, tree: int) -> None:
        action = sample_action(self.search.root_statistics(tree), 1.0, self._generators[tree])
        self.search.play(tree, action)
        if self.search.terminal_value(tree) is not None:
            self.search.reset(tree)
        self.search.begin(tree)
        self._simulations_begun += self._config.simulations

    def _simulations_done(self) -> int:
        return self._simulations_begun - int(self.search.trees.remaining.sum())


class _TimedCalls:
    """Stands before trees or states and adds up the time spent in their methods, by kind."""

    def __init__(
        self, inner: Any, kinds: dict[str, str], seconds: dict[str, float], clock: Callable[[], float]
    ) -> None:
        self._inner = inner
        self._kinds = kinds
        self._seconds = seconds
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        kind = self._kinds.get(name)
        if kind is None:
            return attribute

        def timed(*arguments: Any) -> Any:
            start = self._clock()
            result = attribute(*arguments)
            self._seconds[kind] += self._clock() - start
            return result

        setattr(self, name, timed)
        return timed


_TREE_CALLS = dict.fromkeys(("select_leaves", "backup_terminal", "expand_and_backup", "advance"), "tree")
_STATE_CALLS = {
    **dict.fromkeys(("step", "terminal_values", "legal_actions", "advance"), "rules"),
    "encode": "encoding",
}


def _time_split(play: _EndlessGames, seconds: float, clock: Callable[[], float]) -> dict[str, float]:
    """Return the shares of tree, rules, encoding and other, each part called from Python by itself."""
    spent = {"tree": 0.0, "rules": 0.0, "encoding": 0.0}
    play.search.call_parts_from_python()
    play.search.trees = cast(Trees, _TimedCalls(play.search.trees, _TREE_CALLS, spent, clock))
    play.search.states = cast(States, _TimedCalls(play.search.states, _STATE_CALLS, spent, clock))
    play.run_for(seconds / 3, clock)
    spent.update(dict.fromkeys(spent, 0.0))
    _, _, elapsed = play.run_for(2 * seconds / 3, clock)
    shares = {kind: part / elapsed for kind, part in spent.items()}
    return {**shares, "other": 1.0 - sum(shares.values())}


def _look_into_trees(search: BatchedSearch) -> tuple[float, float | None, float | None]:
    """Return the mean depth of a simulation and the bytes a node and an edge."""
    snapshots = [search.trees.snapshot(tree) for tree in range(search.num_trees)]
    # A simulation visits every node of its path once, so that the visits below the root add up its depth.
    below_root = sum(int(snapshot.visit_count[1:].sum()) for snapshot in snapshots)
    simulations = sum(max(0, int(snapshot.visit_count[0]) - 1) for snapshot in snapshots)
    depth = below_root / max(1, simulations)
    memory_bytes = getattr(search.trees, "memory_bytes", None)
    if memory_bytes is None:
        return depth, None, None
    nodes = sum(len(snapshot.parent) for snapshot in snapshots)
    edges = sum(len(snapshot.edge_actions) for snapshot in snapshots)
    return depth, memory_bytes() / nodes, memory_bytes() / max(1, edges)
