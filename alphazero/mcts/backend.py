"""The protocol of a tree backend: many search trees at once, spoken to in arrays.

A backend never sees a game. It hands out leaves as (tree, node, parent, action), the caller computes the
positions and evaluates them, and the backend takes back legal actions, priors and values. All backends
(`python`, `cython`, `cpp`) give identical trees; `docs/mcts_contract.md` states the arithmetic.

Axis letters: K leaves or trees in one call, M nodes of a tree, E edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int32]
ByteArray = npt.NDArray[np.uint8]
SignArray = npt.NDArray[np.int8]
PriorArray = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

NO_NODE = -1


@dataclass(frozen=True)
class TreeOptions:
    """How a tree is searched, beyond the exploration table; `docs/mcts_contract.md` has the arithmetic.

    Attributes:
        first_play_from_parent, first_play_value: an unvisited edge counts as Q = first_play_value, or, from
            the parent, as (mean value of the node for the player to move there) - first_play_value.
        leaves_per_tree: leaves of one tree that may wait for their answers at a time, at least 1.
        virtual_loss: lost visits that each of them counts for on its path, at least 1; without effect while
            leaves_per_tree is 1.
        solver: whether wins and losses that are certain are handed up the tree (MCTS-solver).
    """

    first_play_from_parent: bool = False
    first_play_value: float = 0.0
    leaves_per_tree: int = 1
    virtual_loss: int = 1
    solver: bool = False

    def __post_init__(self) -> None:
        if self.leaves_per_tree < 1:
            raise ValueError(f"leaves_per_tree is {self.leaves_per_tree}; at least 1 is needed")
        if self.virtual_loss < 1:
            raise ValueError(f"virtual_loss is {self.virtual_loss}; at least 1 is needed")

    @property
    def most_virtual_visits(self) -> int:
        """Visits that leaves in flight may add to the count of a node: what the table must reach beyond."""
        return self.virtual_loss * self.leaves_per_tree if self.leaves_per_tree > 1 else 0


@dataclass(frozen=True)
class RootStatistics:
    """The children of one root, in ascending order of action.

    Attributes:
        actions: int32 [E] legal actions.
        visit_counts: int32 [E].
        value_sums: float64 [E], for the player to move at the root; 0.0 where unvisited.
        priors: float32 [E], with root noise if it was mixed in.
        visit_count: visits of the root, its own evaluation included.
        value_sum: float64 sum of the values of those visits, for the player to move at the root.
        proven: int8 [E], for the player to move at the root: +1 the move is proven to win, -1 to lose, 0 it
            is not known (always, without the solver).
    """

    actions: IntArray
    visit_counts: IntArray
    value_sums: FloatArray
    priors: PriorArray
    visit_count: int
    value_sum: float
    proven: SignArray

    @property
    def q_values(self) -> FloatArray:
        """float64 [E] mean values for the player to move at the root; 0.0 where unvisited."""
        return self.value_sums / np.maximum(self.visit_counts, 1)

    @property
    def value(self) -> float:
        """Value of the root for the player to move there: what the solver has proven, else the mean."""
        if np.count_nonzero(self.proven):
            if (self.proven > 0).any():
                return 1.0
            if (self.proven < 0).all():
                return -1.0
        return self.value_sum / max(self.visit_count, 1)


@dataclass(frozen=True)
class SearchedNodes:
    """What a search found at N nodes of one tree, as `RootStatistics` says it of the root; E edges in all.

    Level by level: parents before their children, and those in ascending order of action.

    Attributes:
        nodes: int32 [N], their numbers.
        visit_counts: int32 [N].
        value_sums: float64 [N], for the player to move at the node.
        edge_offsets: int32 [N+1]; the edges of node i are edge_offsets[i]:edge_offsets[i+1], ascending by action.
        edge_actions, edge_visit_counts: int32 [E]. edge_priors: float32 [E].
        edge_proven: int8 [E], for the player to move at the node: +1 the move is proven to win, -1 to lose.
    """

    nodes: IntArray
    visit_counts: IntArray
    value_sums: FloatArray
    edge_offsets: IntArray
    edge_actions: IntArray
    edge_visit_counts: IntArray
    edge_priors: PriorArray
    edge_proven: SignArray

    def __len__(self) -> int:
        return len(self.nodes)


@dataclass(frozen=True)
class TreeSnapshot:
    """Everything in one tree, for parity tests and analysis. Node numbers are in expansion order.

    Attributes:
        parent: int32 [M]; -1 for the root.
        action: int32 [M], the action that leads to the node; -1 for the root.
        visit_count: int32 [M].
        value_sum: float64 [M], for the player to move at the node.
        terminal: uint8 [M].
        proven: int8 [M], +1 won, -1 lost for the player to move at the node, 0 not known; of terminal nodes
            too, but all 0 without the solver.
        edge_offsets: int32 [M+1]; the edges of node i are edge_offsets[i]:edge_offsets[i+1].
        edge_actions: int32 [E]. edge_priors: float32 [E]. edge_children: int32 [E]; -1 where unvisited.
    """

    parent: IntArray
    action: IntArray
    visit_count: IntArray
    value_sum: FloatArray
    terminal: ByteArray
    proven: SignArray
    edge_offsets: IntArray
    edge_actions: IntArray
    edge_priors: PriorArray
    edge_children: IntArray


class Trees(Protocol):
    """`num_trees` independent search trees. Owned by one process, used by one thread at a time.

    Constructed as `Trees(num_trees, exploration_table, options)`: see `alphazero.mcts.puct` for the table,
    float64 [visits that a node may have + options.most_virtual_visits], and `TreeOptions`.

    Attributes:
        remaining: int32 [num_trees], simulations still to do in each tree. The caller sets it before a
            search; the backend counts it down, one for each completed simulation.
        spared: int32 [num_trees], simulations that early stops left out in each tree (`set_early_stop`). The
            backend adds to it; the caller may set it back to 0.
    """

    num_trees: int
    remaining: IntArray
    spared: IntArray

    def reset(self, trees: IntArray) -> None:
        """Empty each tree in `trees`: a root without children that still has to be evaluated."""
        ...

    def select_leaves(self, trees: IntArray, nodes: IntArray, parents: IntArray, actions: IntArray) -> None:
        """Descend once in each tree of `trees`, in order, and fill one leaf for each.

        Args:
            trees: int32 [K] IN, each tree at most options.leaves_per_tree times.
            nodes: int32 [K] OUT, the new node; -1 if the tree has no simulations remaining, or, with several
                leaves a tree, none that it could hand out before it has an answer.
            parents: int32 [K] OUT, its parent; -1 if the leaf is the root itself.
            actions: int32 [K] OUT, the action from the parent; -1 for the root.

        A descent that ends in a node already known to be terminal completes a simulation at once
        (its value is backed up and `remaining` counted down) and the tree descends again. Each leaf
        handed out must be answered by `backup_terminal` or `expand_and_backup`: with one leaf a tree before
        the tree is selected from again. Evaluating the root is not a simulation.
        """
        ...

    def backup_terminal(
        self, trees: IntArray, nodes: IntArray, terminal: ByteArray, values: FloatArray
    ) -> None:
        """Mark leaf i as terminal and back up values[i], for every i with terminal[i]; skip the others.

        values: float64 [K], for the player to move at the leaf.
        """
        ...

    def expand_and_backup(
        self,
        trees: IntArray,
        nodes: IntArray,
        offsets: IntArray,
        actions: IntArray,
        priors: PriorArray,
        values: FloatArray,
    ) -> None:
        """Give each leaf its edges and back up its value.

        Args:
            trees, nodes: int32 [K], leaves that `select_leaves` handed out.
            offsets: int32 [K+1]; actions, priors: int32, float32 [offsets[K]], the legal actions of
                leaf i, ascending, and their priors (already normalised).
            values: float64 [K], for the player to move at the leaf.
        """
        ...

    def set_exploration_table(self, table: FloatArray) -> None:
        """Replace the table, float64; it must be longer than any visit count a node will reach."""
        ...

    def is_expanded(self, tree: int) -> bool:
        """Return whether the root of `tree` has its edges."""
        ...

    def set_root_priors(self, tree: int, priors: PriorArray) -> None:
        """Replace the priors of the root's edges, float32 [E], in ascending order of action."""
        ...

    def set_forced_playouts(self, tree: int, factor: float) -> None:
        """Give each child of the root that was visited at least sqrt(factor * prior * visits of all children).

        From now on, whatever the root; 0, as at first: none is forced. ValueError with several leaves a tree.
        Source: Wu, 'Accelerating Self-Play Learning in Go' (2019), section 3.2, factor k = 2.
        """
        ...

    def set_root_quota(self, tree: int, quota: IntArray) -> None:
        """Reserve the next simulations for the root's edges: int32 [E], visits for each, ascending by action.

        While an edge has some of its quota left, simulations take the one with most of it left (ties: the lowest
        action); then PUCT goes on. Replaces an earlier quota; `reset` and `advance` drop it. ValueError unless the
        root is expanded and has E edges, and with several leaves a tree.
        """
        ...

    def set_early_stop(self, tree: int, early_stop: bool) -> None:
        """End a search as soon as what remains of it cannot change the root's most visited move.

        That is looked at now, if the root is expanded, and after each simulation: what remains goes from
        `remaining` to `spared`. From now on, whatever the root; False, as at first: a search is done in full.
        ValueError with several leaves a tree. Source: Baier and Winands, 'Time management for
        Monte-Carlo tree search in Go' (2012).
        """
        ...

    def root_statistics(self, tree: int) -> RootStatistics:
        """Return the root's children; the root must be expanded."""
        ...

    def searched_nodes(self, tree: int, min_visits: int, except_action: int = -1) -> SearchedNodes:
        """Return the expanded nodes below the root with `min_visits` visits or more (at least 1).

        Not those that the root's move `except_action` leads to: those that `advance` would drop.
        """
        ...

    def advance(self, tree: int, action: int) -> IntArray:
        """Make the child under `action` the root, keeping its subtree; return the kept nodes.

        Returns int32 [M]: old node numbers, ascending, the new root first; node kept[i] becomes node i.
        M = 0, and the tree is reset, if that child was never visited.
        """
        ...

    def snapshot(self, tree: int) -> TreeSnapshot:
        """Return a copy of everything in `tree`."""
        ...
