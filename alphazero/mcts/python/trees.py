"""`PythonTrees`: the reference tree backend. Written to be read; the compiled ones must agree to the bit.

One node holds its edges as four parallel lists, ascending by action:

    node.actions  = [a0, a1, ...]     node.priors   = [p0, p1, ...]
    node.children = [17, -1, ...]     (number of the child, NO_NODE while the edge is unvisited)

Values belong to the player to move at the node that holds them, so a child's value counts negatively for
its parent. The arithmetic and its order are stated in `docs/mcts_contract.md`.

Axis letters: K leaves or trees in one call, M nodes of a tree, E edges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from alphazero.mcts.backend import (
    NO_NODE,
    ByteArray,
    FloatArray,
    IntArray,
    PriorArray,
    RootStatistics,
    SearchedNodes,
    TreeOptions,
    TreeSnapshot,
)


@dataclass(slots=True)
class _Node:
    """One evaluated position, or a leaf in flight (visit_count 0).

    `value_sum`, `terminal_value` and `proven` (+1 won, -1 lost, 0 not known) are for the player to move here;
    `parent` and `action` are -1 at the root. A node without actions is a leaf that waits for its evaluation,
    or a terminal position. `in_flight` counts the leaves, here and below, that bear a virtual loss.
    """

    parent: int
    action: int
    visit_count: int = 0
    value_sum: float = 0.0
    terminal_value: float | None = None
    proven: int = 0
    in_flight: int = 0
    actions: list[int] = field(default_factory=list)
    priors: list[float] = field(default_factory=list)
    children: list[int] = field(default_factory=list)


class PythonTrees:
    """`alphazero.mcts.backend.Trees` in plain Python.

    Args:
        num_trees: number of independent trees, at least 1.
        exploration_table: float64, see `alphazero.mcts.puct.exploration_table`.
        options: see `TreeOptions`.
    """

    def __init__(self, num_trees: int, exploration_table: FloatArray, options: TreeOptions) -> None:
        if num_trees < 1:
            raise ValueError(f"num_trees is {num_trees}; at least 1 is needed")
        self.num_trees = num_trees
        self.remaining: IntArray = np.zeros(num_trees, dtype=np.int32)
        self.spared: IntArray = np.zeros(num_trees, dtype=np.int32)
        self._options = options
        self._several_leaves = options.leaves_per_tree > 1
        self._trees = [[_new_root()] for _ in range(num_trees)]
        self._forced_playouts = [0.0] * num_trees
        self._early_stop = [False] * num_trees
        # For the answer to its newest leaf. Several leaves count as in flight instead.
        self._waits = [False] * num_trees
        # Visits that each edge of the root is to reach by its quota; empty without one.
        self._visits_due: list[list[int]] = [[] for _ in range(num_trees)]
        self.set_exploration_table(exploration_table)

    def set_exploration_table(self, table: FloatArray) -> None:
        if len(table) == 0:
            raise ValueError("the exploration table is empty")
        self._exploration: list[float] = table.tolist()

    def reset(self, trees: IntArray) -> None:
        for tree in trees.tolist():
            self._trees[tree] = [_new_root()]
            self._visits_due[tree] = []
            self._waits[tree] = False

    def select_leaves(self, trees: IntArray, nodes: IntArray, parents: IntArray, actions: IntArray) -> None:
        for i, tree in enumerate(trees.tolist()):
            nodes[i], parents[i], actions[i] = self._select_leaf(tree)

    def backup_terminal(
        self, trees: IntArray, nodes: IntArray, terminal: ByteArray, values: FloatArray
    ) -> None:
        for tree, node, ended, value in _rows(trees, nodes, terminal, values):
            if ended:
                self._leaf_in_flight(tree, node).terminal_value = value
                self._complete_simulation(tree, node, value)
                if self._options.solver and value != 0.0:
                    _prove(self._trees[tree], node, 1 if value > 0.0 else -1)

    def expand_and_backup(
        self,
        trees: IntArray,
        nodes: IntArray,
        offsets: IntArray,
        actions: IntArray,
        priors: PriorArray,
        values: FloatArray,
    ) -> None:
        for tree, node, start, end, value in _rows(trees, nodes, offsets[:-1], offsets[1:], values):
            if end <= start:
                raise ValueError(f"leaf {node} of tree {tree} has no legal action: it should be terminal")
            leaf = self._leaf_in_flight(tree, node)
            leaf.actions = actions[start:end].tolist()
            leaf.priors = priors[start:end].tolist()
            leaf.children = [NO_NODE] * (end - start)
            self._complete_simulation(tree, node, value)

    def is_expanded(self, tree: int) -> bool:
        return bool(self._trees[tree][0].actions)

    def set_root_priors(self, tree: int, priors: PriorArray) -> None:
        root = self._expanded_root(tree)
        if len(priors) != len(root.actions):
            raise ValueError(f"{len(priors)} priors for a root with {len(root.actions)} edges")
        root.priors = priors.tolist()

    def set_forced_playouts(self, tree: int, factor: float) -> None:
        if factor > 0.0 and self._several_leaves:
            raise ValueError("playouts are forced with one leaf a tree only")
        self._forced_playouts[tree] = factor

    def set_root_quota(self, tree: int, quota: IntArray) -> None:
        root = self._expanded_root(tree)
        if self._several_leaves:
            raise ValueError("a root has quotas with one leaf a tree only")
        if len(quota) != len(root.actions):
            raise ValueError(f"{len(quota)} quotas for a root with {len(root.actions)} edges")
        visits = self.root_statistics(tree).visit_counts
        self._visits_due[tree] = (visits + quota).tolist()

    def set_early_stop(self, tree: int, early_stop: bool) -> None:
        if early_stop and self._several_leaves:
            raise ValueError("a search stops early with one leaf a tree only")
        self._early_stop[tree] = early_stop
        self._stop_if_decided(tree)

    def root_statistics(self, tree: int) -> RootStatistics:
        root = self._expanded_root(tree)
        children = [self._trees[tree][child] if child != NO_NODE else None for child in root.children]
        return RootStatistics(
            actions=np.array(root.actions, dtype=np.int32),
            visit_counts=np.array([c.visit_count if c else 0 for c in children], dtype=np.int32),
            value_sums=np.array([0.0 - c.value_sum if c else 0.0 for c in children], dtype=np.float64),
            priors=np.array(root.priors, dtype=np.float32),
            visit_count=root.visit_count,
            value_sum=root.value_sum,
            proven=np.array([-c.proven if c else 0 for c in children], dtype=np.int8),
        )

    def searched_nodes(self, tree: int, min_visits: int, except_action: int = -1) -> SearchedNodes:
        nodes = self._trees[tree]
        found = [0]  # grows while it is walked
        for number in found:
            node = nodes[number]
            for action, child in zip(node.actions, node.children, strict=True):
                if child == NO_NODE or (number == 0 and action == except_action):
                    continue
                if nodes[child].actions and nodes[child].visit_count >= min_visits:
                    found.append(child)
        numbers = found[1:]
        searched = [nodes[number] for number in numbers]
        children = [nodes[c] if c != NO_NODE else None for node in searched for c in node.children]
        return SearchedNodes(
            nodes=np.array(numbers, dtype=np.int32),
            visit_counts=np.array([node.visit_count for node in searched], dtype=np.int32),
            value_sums=np.array([node.value_sum for node in searched], dtype=np.float64),
            edge_offsets=np.cumsum([0, *(len(node.actions) for node in searched)], dtype=np.int32),
            edge_actions=np.array([a for node in searched for a in node.actions], dtype=np.int32),
            edge_visit_counts=np.array([c.visit_count if c else 0 for c in children], dtype=np.int32),
            edge_priors=np.array([p for node in searched for p in node.priors], dtype=np.float32),
            edge_proven=np.array([-c.proven if c else 0 for c in children], dtype=np.int8),
        )

    def advance(self, tree: int, action: int) -> IntArray:
        nodes = self._trees[tree]
        if nodes[0].in_flight:
            raise ValueError(f"tree {tree} has leaves in flight: answer them before it is advanced")
        new_root = self._child_of_root(tree, action)
        self._visits_due[tree] = []
        self._waits[tree] = False
        if new_root == NO_NODE:
            self._trees[tree] = [_new_root()]
            return np.empty(0, dtype=np.int32)
        # A child's number is larger than its parent's, so that one ascending pass finds the subtree.
        new_number = {new_root: 0}
        for number in range(new_root + 1, len(nodes)):
            if nodes[number].parent in new_number:
                new_number[number] = len(new_number)
        kept = [nodes[number] for number in new_number]
        for node in kept:
            node.parent = new_number.get(node.parent, NO_NODE)
            node.children = [NO_NODE if c == NO_NODE else new_number[c] for c in node.children]
        kept[0].action = -1
        self._trees[tree] = kept
        return np.array(list(new_number), dtype=np.int32)

    def snapshot(self, tree: int) -> TreeSnapshot:
        nodes = self._trees[tree]
        return TreeSnapshot(
            parent=np.array([node.parent for node in nodes], dtype=np.int32),
            action=np.array([node.action for node in nodes], dtype=np.int32),
            visit_count=np.array([node.visit_count for node in nodes], dtype=np.int32),
            value_sum=np.array([node.value_sum for node in nodes], dtype=np.float64),
            terminal=np.array([node.terminal_value is not None for node in nodes], dtype=np.uint8),
            proven=np.array([node.proven for node in nodes], dtype=np.int8),
            edge_offsets=np.cumsum([0, *(len(node.actions) for node in nodes)], dtype=np.int32),
            edge_actions=np.array([a for node in nodes for a in node.actions], dtype=np.int32),
            edge_priors=np.array([p for node in nodes for p in node.priors], dtype=np.float32),
            edge_children=np.array([c for node in nodes for c in node.children], dtype=np.int32),
        )

    def _select_leaf(self, tree: int) -> tuple[int, int, int]:
        """Return (node, parent, action) of the next leaf of `tree`; node is -1 if there is none."""
        nodes = self._trees[tree]
        root = nodes[0]
        special = bool(self._visits_due[tree]) or self._forced_playouts[tree] > 0.0
        while self.remaining[tree] > root.in_flight and root.in_flight < self._options.leaves_per_tree:
            number = 0
            node = root
            while node.actions and (number == 0 or not node.proven):
                asked = special and number == 0
                edge = self._root_edge(tree) if asked else self._best_edge(nodes, node)
                if node.children[edge] == NO_NODE:
                    node.children[edge] = len(nodes)
                    nodes.append(_Node(parent=number, action=node.actions[edge]))
                number = node.children[edge]
                node = nodes[number]
            if node.terminal_value is not None or node.actions:
                value = float(node.proven) if node.terminal_value is None else node.terminal_value
                self.remaining[tree] -= 1
                _backup(nodes, number, value)
                self._stop_if_decided(tree)
                continue
            if self._several_leaves:
                if node.in_flight:
                    break
                _count_in_flight(nodes, number, 1)
            self._waits[tree] = True
            return number, node.parent, node.action
        return NO_NODE, NO_NODE, -1

    def _root_edge(self, tree: int) -> int:
        """Return the edge that quotas or forced playouts ask for at the root, or else the best one."""
        nodes = self._trees[tree]
        if self._visits_due[tree]:
            edge = _edge_with_quota(nodes, self._visits_due[tree])
        else:
            edge = _forced_edge(nodes, self._forced_playouts[tree])
        return self._best_edge(nodes, nodes[0]) if edge < 0 else edge

    def _best_edge(self, nodes: list[_Node], node: _Node) -> int:
        """Return the edge of `node` with the highest PUCT score; the lowest action if several have it.

        An edge proven to win is taken at once; edges proven to lose are left out, unless all are.
        """
        virtual_loss = self._options.virtual_loss
        exploration = self._exploration[node.visit_count + virtual_loss * node.in_flight]
        unvisited_q_value = self._options.first_play_value
        if self._options.first_play_from_parent:
            unvisited_q_value = node.value_sum / node.visit_count - self._options.first_play_value
        all_lose = node.proven < 0
        best_edge = -1
        best_score = 0.0
        for edge, (prior, child_number) in enumerate(zip(node.priors, node.children, strict=True)):
            visit_count = 0
            q_value = unvisited_q_value
            if child_number != NO_NODE:
                child = nodes[child_number]
                if child.proven < 0:
                    return edge
                if child.proven > 0 and not all_lose:
                    continue
                virtual_visits = virtual_loss * child.in_flight
                visit_count = child.visit_count + virtual_visits
                if visit_count > 0:
                    q_value = (-child.value_sum - virtual_visits) / visit_count
            score = q_value + exploration * prior / (1 + visit_count)
            if best_edge < 0 or score > best_score:
                best_edge, best_score = edge, score
        return best_edge

    def _complete_simulation(self, tree: int, leaf: int, value: float) -> None:
        """Back up the value of a leaf just evaluated. The root's own evaluation is not a simulation."""
        if leaf != 0:
            self.remaining[tree] -= 1
        self._waits[tree] = False
        if self._several_leaves:
            _count_in_flight(self._trees[tree], leaf, -1)
        _backup(self._trees[tree], leaf, value)
        self._stop_if_decided(tree)

    def _stop_if_decided(self, tree: int) -> None:
        """End a search that may stop early if what remains of it cannot change the root's most visited move."""
        if not self._early_stop[tree]:
            return
        root = self._trees[tree][0]
        children = [self._trees[tree][child] for child in root.children if child != NO_NODE]
        counting = [child.visit_count for child in children if child.proven <= 0 or root.proven < 0]
        most, second = sorted([0, 0, *counting])[:-3:-1]
        if most - second > self.remaining[tree]:
            self.spared[tree] += self.remaining[tree]
            self.remaining[tree] = 0

    def _leaf_in_flight(self, tree: int, number: int) -> _Node:
        """Return the leaf `number` of `tree`, which waits for its evaluation; ValueError if it does not."""
        nodes = self._trees[tree]
        is_leaf = 0 <= number < len(nodes) and not nodes[number].actions
        waits = is_leaf and nodes[number].terminal_value is None
        newest = self._waits[tree] and number == len(nodes) - 1
        if waits and (nodes[number].in_flight if self._several_leaves else newest):
            return nodes[number]
        raise ValueError(f"node {number} of tree {tree} is not the leaf that select_leaves handed out")

    def _expanded_root(self, tree: int) -> _Node:
        root = self._trees[tree][0]
        if not root.actions:
            raise ValueError(f"the root of tree {tree} is not expanded: evaluate it first")
        return root

    def _child_of_root(self, tree: int, action: int) -> int:
        """Return the number of the root's child under `action`; NO_NODE if it was never visited."""
        root = self._trees[tree][0]
        if not root.actions and root.terminal_value is None:
            return NO_NODE
        if action not in root.actions:
            raise ValueError(f"action {action} is not legal at the root of tree {tree}: {root.actions}")
        return root.children[root.actions.index(action)]


def _new_root() -> _Node:
    return _Node(parent=NO_NODE, action=-1)


def _edge_with_quota(nodes: list[_Node], visits_due: list[int]) -> int:
    """Return the root's edge with most of its quota left, the lowest if several have it; -1 if none has any.

    What the solver knows goes before: no quota counts if a move is proven to win, none of a move that is proven to
    lose unless all are.
    """
    root = nodes[0]
    if root.proven > 0:
        return -1
    best_edge = -1
    most_left = 0
    for edge, (due, child_number) in enumerate(zip(visits_due, root.children, strict=True)):
        left = due
        if child_number != NO_NODE:
            child = nodes[child_number]
            if child.proven > 0 and not root.proven:
                continue
            left -= child.visit_count
        if left > most_left:
            best_edge, most_left = edge, left
    return best_edge


def _forced_edge(nodes: list[_Node], factor: float) -> int:
    """Return the root's first edge that was visited, but lacks forced playouts; -1 if there is none.

    What the solver knows goes before: none is forced if a move is proven to win, none that is proven to lose
    unless all are.
    """
    root = nodes[0]
    if root.proven > 0:
        return -1
    for edge, (prior, child_number) in enumerate(zip(root.priors, root.children, strict=True)):
        if child_number == NO_NODE or (nodes[child_number].proven > 0 and not root.proven):
            continue
        visit_count = nodes[child_number].visit_count
        # visit_count < sqrt(factor * prior * visits of all children), without the root
        if visit_count > 0 and visit_count * visit_count < factor * prior * (root.visit_count - 1):
            return edge
    return -1


def _backup(nodes: list[_Node], leaf: int, value: float) -> None:
    """Add `value`, for the player to move at `leaf`, to the leaf and with alternating sign up to the root."""
    number = leaf
    while number != NO_NODE:
        node = nodes[number]
        node.visit_count += 1
        node.value_sum += value
        value = -value
        number = node.parent


def _count_in_flight(nodes: list[_Node], leaf: int, change: int) -> None:
    """Add `change` to the leaves in flight of `leaf` and of every node above it."""
    number = leaf
    while number != NO_NODE:
        nodes[number].in_flight += change
        number = nodes[number].parent


def _prove(nodes: list[_Node], leaf: int, proven: int) -> None:
    """Mark `leaf` as won (+1) or lost (-1) for the player to move there, and what follows from it above.

    A node is won if a child is lost; it is lost if all of its children are won. Source: Winands, Björnsson
    and Saito, 'Monte-Carlo Tree Search Solver' (2008).
    """
    nodes[leaf].proven = proven
    number = nodes[leaf].parent
    while number != NO_NODE and not nodes[number].proven:
        children = nodes[number].children
        if proven > 0 and not all(c != NO_NODE and nodes[c].proven > 0 for c in children):
            return
        proven = -proven
        nodes[number].proven = proven
        number = nodes[number].parent


def _rows(*columns: IntArray | ByteArray | FloatArray) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of several arrays of length K as Python numbers, which are faster than NumPy's."""
    return zip(*(column.tolist() for column in columns), strict=True)
