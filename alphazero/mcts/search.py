"""Many searches at once: where trees and positions meet, in arrays, once a batch.

`BatchedSearch` holds G trees and their positions. One round is

    rows = search.collect(trees)                      # a leaf for each tree -> search.observations[:rows]
    policy_logits, values = network(search.observations[:rows])
    search.apply(policy_logits, values)               # expand the leaves, back the values up

and a search is as many rounds as there are simulations. Self-play, evaluation, matches and benchmarks all
search through this class. Each tree has one leaf in flight, so what a tree looks like does not depend on
which other trees share its batches. With `search.leaves_per_tree` L > 1, `search` fills its batches with up
to L leaves of each tree; for analysis of a few positions, since it changes the search.

Axis letters: G trees, K rows (leaves waiting for the network), A actions, C H W planes, L leaves a tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from alphazero.config import SearchConfig
from alphazero.games.game import ByteArray, Game, PythonStates, States
from alphazero.mcts import make_trees
from alphazero.mcts.backend import NO_NODE, IntArray, PriorArray, RootStatistics, TreeOptions
from alphazero.mcts.puct import exploration_table, legal_priors, mix_root_noise
from alphazero.native_import import compiled_module

LogitArray = npt.NDArray[np.float32]
# uint8 [K, C, H, W] -> policy logits float32 [K, A], values float32 [K] for the player to move.
Evaluator = Callable[[ByteArray], tuple[LogitArray, LogitArray]]
# (tree, number of root children E) -> float64 [E] that sums to 1.
RootNoise = Callable[[int, int], npt.NDArray[np.float64]]
# The root as it is -> int32 [E].
RootQuota = Callable[[RootStatistics], IntArray]


class BatchedSearch:
    """G searches in lock step. Belongs to one process, used by one thread at a time.

    Attributes:
        observations: uint8 [G * L, C, H, W]; after `collect` the first K rows wait for the network. May be
            replaced by an array of the same shape (a slot of shared memory) before `collect`.
        leaf_trees: int32 [G * L]; leaf_trees[:K] are the trees that those rows belong to.
        leaf_nodes: int32 [G * L]; leaf_nodes[:K] are their nodes.
    """

    def __init__(self, game: Game, num_trees: int, config: SearchConfig) -> None:
        self.game = game
        self.config = config
        self.num_trees = num_trees
        self._options = tree_options(config)
        self._table_size = 0
        table = self._longer_table(2 * config.simulations + 2)
        self.trees = make_trees(config.mcts_backend, num_trees, table, self._options)
        native = game.native_states(num_trees) if config.native_rules else None
        self.states: States = native if native is not None else PythonStates(game, num_trees)

        most_rows = num_trees * config.leaves_per_tree
        self.observations: ByteArray = np.zeros((most_rows, *game.observation_shape), np.uint8)
        self.leaf_trees = np.zeros(most_rows, np.int32)
        self.leaf_nodes = np.zeros(most_rows, np.int32)
        self._offsets = np.zeros(most_rows + 1, np.int32)
        self._actions = np.zeros(most_rows * game.max_legal_actions, np.int32)
        self._priors = np.zeros(most_rows * game.max_legal_actions, np.float32)
        self._rows = 0
        self._visit_bound = [0] * num_trees  # no node of the tree has been visited more often
        self._noise: list[RootNoise | None] = [None] * num_trees
        self._quota: list[RootQuota | None] = [None] * num_trees
        self._priors_before_noise: list[PriorArray | None] = [None] * num_trees  # of the root
        self._roots_to_prepare = 0  # roots whose noise or quota waits for their evaluation
        self._one_tree = np.zeros(1, np.int32)
        self._root_node = np.zeros(1, np.int32)
        self._collector = _leaf_collector(self.trees, self.states, config.leaves_per_tree)

    # ---- positions ----

    def reset(self, tree: int) -> None:
        """Put the start position at the root of `tree`, without a search tree."""
        self._forget(tree)
        self.states.reset(self._one(tree))

    def set_position(self, tree: int, moves: Sequence[int]) -> None:
        """Put the position after `moves` (legal, from the start) at the root of `tree`."""
        self._forget(tree)
        self.states.set_root(tree, moves)

    def play(self, tree: int, action: int) -> None:
        """Play `action` (legal) at the root; its subtree is kept if the configuration says so."""
        if self.config.tree_reuse:
            kept = self.trees.advance(tree, action)
            self._priors_before_noise[tree] = None
        else:
            self._forget(tree)
            kept = np.zeros(0, np.int32)
        self.states.advance(tree, action, kept)

    def terminal_value(self, tree: int) -> float | None:
        """Return +1, 0 or -1 for the player to move at the root, or None while the game goes on."""
        terminal, value = np.zeros(1, np.uint8), np.zeros(1)
        self.states.terminal_values(self._one(tree), self._root_node, terminal, value)
        return float(value[0]) if terminal[0] else None

    def legal_actions(self, tree: int) -> IntArray:
        """Return the legal actions at the root, int32, ascending."""
        offsets = np.zeros(2, np.int32)
        actions = np.zeros(self.game.max_legal_actions, np.int32)
        return actions[: self.states.legal_actions(self._one(tree), self._root_node, offsets, actions)]

    def encode_root(self, tree: int, out: ByteArray) -> None:
        """Fill `out` uint8 [C, H, W] with the observation of the root."""
        self.states.encode(self._one(tree), self._root_node, out[None])

    # ---- searching ----

    def begin(
        self,
        tree: int,
        simulations: int | None = None,
        root_noise: RootNoise | None = None,
        forced_playouts: float = 0.0,
        root_quota: RootQuota | None = None,
        early_stop: bool = False,
    ) -> None:
        """Start a search of `simulations` new simulations (default: the configuration's) in `tree`.

        The root must not be terminal. `root_noise` is asked once for the root's noise, mixed into its
        priors as soon as they are known, and `root_quota` at the same moment for `Trees.set_root_quota`.
        forced_playouts, early_stop: see `Trees.set_forced_playouts` and `Trees.set_early_stop`.
        """
        simulations = self.config.simulations if simulations is None else simulations
        self.trees.remaining[tree] = simulations
        self.trees.set_forced_playouts(tree, forced_playouts)
        self.trees.set_early_stop(tree, early_stop)
        self._visit_bound[tree] += simulations + 1
        if self._visit_bound[tree] >= self._table_size:
            # What was left behind with other moves has no part in it.
            begun = self.trees.root_statistics(tree).visit_count if self.trees.is_expanded(tree) else 0
            self._visit_bound[tree] = begun + simulations + 1
        if self._visit_bound[tree] >= self._table_size:
            self.trees.set_exploration_table(self._longer_table(2 * self._visit_bound[tree]))
        self._noise[tree] = root_noise
        self._quota[tree] = root_quota
        if root_noise is not None or root_quota is not None:
            if self.trees.is_expanded(tree):
                self._prepare_root(tree)
            else:
                self._roots_to_prepare += 1

    def collect(self, trees: IntArray) -> int:
        """Select one leaf in each of `trees` and return K, how many need the network.

        trees: int32, no tree more than L times. Leaves where the game is over are backed up here and the tree
        selects again, so that only a tree whose search is done has no row. The rows are in
        `observations[:K]`.
        """
        if self._collector is not None:
            self._rows = self._collector.collect(
                trees, self.leaf_trees, self.leaf_nodes, self._offsets, self._actions, self.observations
            )
            return self._rows
        rows = self._collect_leaves(trees)
        leaf_trees, leaf_nodes = self.leaf_trees[:rows], self.leaf_nodes[:rows]
        self.states.legal_actions(leaf_trees, leaf_nodes, self._offsets, self._actions)
        self.states.encode(leaf_trees, leaf_nodes, self.observations)
        self._rows = rows
        return rows

    def apply(self, policy_logits: LogitArray, values: LogitArray) -> None:
        """Give the K leaves their priors and values, and back the values up.

        policy_logits: float32 [K, A]; values: float32 [K], for the player to move at the leaf.
        """
        rows = self._rows
        if rows == 0:
            return
        offsets = self._offsets[: rows + 1]
        legal_priors(policy_logits, offsets, self._actions, self._priors)
        self.trees.expand_and_backup(
            self.leaf_trees[:rows],
            self.leaf_nodes[:rows],
            offsets,
            self._actions,
            self._priors,
            values.astype(np.float64),
        )
        if self._roots_to_prepare:
            for row in np.flatnonzero(self.leaf_nodes[:rows] == 0):
                tree = int(self.leaf_trees[row])
                if self._waits_for_root(tree):
                    self._prepare_root(tree)
                    self._roots_to_prepare -= 1
        self._rows = 0

    def search(self, trees: IntArray, evaluate: Evaluator, simulations: int | None = None) -> None:
        """Search all of `trees` to the end, without root noise; the answers are in `root_statistics`.

        A round takes up to `search.leaves_per_tree` leaves of each tree, tree by tree in turn.
        """
        for tree in trees.tolist():
            self.begin(tree, simulations)
        wanted = np.tile(trees, self.config.leaves_per_tree)
        while rows := self.collect(wanted):
            self.apply(*evaluate(self.observations[:rows]))

    def is_finished(self, tree: int) -> bool:
        """Return whether the search begun in `tree` is done."""
        return bool(self.trees.remaining[tree] == 0) and self.trees.is_expanded(tree)

    def root_statistics(self, tree: int) -> RootStatistics:
        """Return what the search found at the root of `tree`."""
        return self.trees.root_statistics(tree)

    def network_priors(self, tree: int, statistics: RootStatistics) -> PriorArray:
        """Return the priors of the root's edges as the network gave them, without root noise: float32 [E].

        statistics: those of the root now.
        """
        before_noise = self._priors_before_noise[tree]
        return statistics.priors if before_noise is None else before_noise

    def call_parts_from_python(self) -> None:
        """From now on call trees and rules one by one, even if the driver is compiled: to time them apart."""
        self._collector = None

    def take_seconds(self) -> tuple[float, float, float] | None:
        """Return the seconds that `collect` spent in (tree, rules, encoding) since the last call.

        None where trees or rules are not compiled: there they are not timed apart.
        """
        return None if self._collector is None else self._collector.take_seconds()

    # ---- inside ----

    def _collect_leaves(self, wanted: IntArray) -> int:
        """The loop of `collect` in Python, for when trees or rules are not compiled; returns K.

        `_driver.pyx` is its compiled twin: the same rows in the same order (order of discovery).
        """
        rows = 0
        while len(wanted):
            nodes, parents, actions = (np.empty(len(wanted), np.int32) for _ in range(3))
            self.trees.select_leaves(wanted, nodes, parents, actions)
            selected = nodes != NO_NODE
            if not selected.all():
                wanted, nodes, parents, actions = (
                    np.ascontiguousarray(array[selected]) for array in (wanted, nodes, parents, actions)
                )
            self.states.step(wanted, parents, actions, nodes)
            terminal, values = np.zeros(len(wanted), np.uint8), np.zeros(len(wanted))
            self.states.terminal_values(wanted, nodes, terminal, values)
            self.trees.backup_terminal(wanted, nodes, terminal, values)
            leaves = terminal == 0
            found = int(leaves.sum())
            self.leaf_trees[rows : rows + found] = wanted[leaves]
            self.leaf_nodes[rows : rows + found] = nodes[leaves]
            rows += found
            wanted = np.ascontiguousarray(wanted[~leaves])
        return rows

    def _waits_for_root(self, tree: int) -> bool:
        return self._noise[tree] is not None or self._quota[tree] is not None

    def _prepare_root(self, tree: int) -> None:
        noise, quota = self._noise[tree], self._quota[tree]
        self._noise[tree] = self._quota[tree] = None
        if noise is not None:
            priors = self._priors_before_noise[tree]  # of a search that goes on from one with noise
            if priors is None:
                priors = self._priors_before_noise[tree] = self.trees.root_statistics(tree).priors
            mixed = mix_root_noise(priors, noise(tree, len(priors)), self.config.root_noise_fraction)
            self.trees.set_root_priors(tree, mixed)
        if quota is not None:
            self.trees.set_root_quota(tree, quota(self.trees.root_statistics(tree)))

    def _forget(self, tree: int) -> None:
        self.trees.reset(self._one(tree))
        self.trees.remaining[tree] = 0
        self._visit_bound[tree] = 0
        self._priors_before_noise[tree] = None
        if self._waits_for_root(tree):
            self._noise[tree] = self._quota[tree] = None
            self._roots_to_prepare -= 1

    def _longer_table(self, size: int) -> npt.NDArray[np.float64]:
        self._table_size = size
        size += self._options.most_virtual_visits
        return exploration_table(size, self.config.c_puct_init, self.config.c_puct_base)

    def _one(self, tree: int) -> IntArray:
        self._one_tree[0] = tree
        return self._one_tree


def tree_options(config: SearchConfig) -> TreeOptions:
    """Return what of the configuration a tree has to know."""
    return TreeOptions(
        first_play_from_parent=config.first_play_urgency == "parent",
        first_play_value=config.first_play_value,
        leaves_per_tree=config.leaves_per_tree,
        virtual_loss=config.virtual_loss,
        solver=config.solver,
    )


def _leaf_collector(trees: Any, states: Any, leaves_per_tree: int) -> Any:
    """Return the compiled twin of `_collect_leaves`, or None unless both sides are compiled, and the twin itself.

    (`pip install` leaves out an extension that does not build, whichever it is.)
    """
    if not (hasattr(trees, "handle") and hasattr(states, "handle")):
        return None
    driver = compiled_module("alphazero.mcts._driver")
    return driver.LeafCollector(trees, states, leaves_per_tree) if driver else None


def best_action(statistics: RootStatistics) -> int:
    """Return the most visited action; ties go to the lowest.

    What the solver has proven goes before visits: only moves proven to win count if there are any, else only
    those not proven to lose if there are any.
    """
    return int(statistics.actions[int(_visits_that_count(statistics, -1).argmax())])


def sample_action(statistics: RootStatistics, temperature: float, generator: np.random.Generator) -> int:
    """Return an action drawn in proportion to visit_count ** (1 / temperature), temperature > 0.

    Of the moves that count in `best_action`; if none of them was visited, the lowest.
    """
    visits = _visits_that_count(statistics, 0)
    if not np.count_nonzero(visits):
        return best_action(statistics)
    weights = visits / visits.max()
    weights = weights ** (1.0 / temperature)
    cumulative = weights.cumsum()
    drawn = cumulative.searchsorted(generator.random() * cumulative[-1], side="right")
    return int(statistics.actions[drawn])


def _visits_that_count(statistics: RootStatistics, otherwise: int) -> IntArray:
    """Return int32 [E]: the visits of the moves proven to win if any, else of those not proven to lose if any,
    else of all; `otherwise` in place of the others'.

    (`np.count_nonzero` takes a fifth of the time of `any`, which every move of every game would pay for.)
    """
    if not np.count_nonzero(statistics.proven):
        return statistics.visit_counts
    for moves in (statistics.proven > 0, statistics.proven == 0):
        if np.count_nonzero(moves):
            return np.where(moves, statistics.visit_counts, np.int32(otherwise))
    return statistics.visit_counts
