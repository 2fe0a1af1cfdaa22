"""A small search that every working tree backend has to get right before it is used.

It needs no game: legal actions, priors, values and ends of games are made up from the node number, which
is the same in every backend that works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np

from alphazero.mcts.backend import NO_NODE, FloatArray, IntArray, TreeOptions, Trees, TreeSnapshot
from alphazero.mcts.puct import exploration_table
from alphazero.mcts.python.trees import PythonTrees

TreesClass = Callable[[int, FloatArray, TreeOptions], Trees]

# Options, and whether playouts are forced in one tree, which stops early, and the other one's root has quotas.
_EVERY_PATH = (
    (TreeOptions(first_play_from_parent=True, first_play_value=0.25), False),
    (TreeOptions(solver=True), False),
    (TreeOptions(leaves_per_tree=3, virtual_loss=2, solver=True), False),
    (TreeOptions(), True),
    (TreeOptions(solver=True), True),
)


def agrees_with_reference(trees_class: TreesClass) -> bool:
    """Return whether small searches with tree reuse give the reference's trees, to the last bit."""
    return all(
        same_tree(ours, reference)
        for options, at_root in _EVERY_PATH
        for ours, reference in zip(
            _small_search(trees_class, options, at_root),
            _small_search(PythonTrees, options, at_root),
            strict=True,
        )
    )


def same_tree(first: TreeSnapshot, second: TreeSnapshot) -> bool:
    """Return whether two trees agree in every number, and in the type of every array."""
    return all(
        np.array_equal(getattr(first, field.name), getattr(second, field.name))
        and getattr(first, field.name).dtype == getattr(second, field.name).dtype
        for field in fields(TreeSnapshot)
    )


def _small_search(trees_class: TreesClass, options: TreeOptions, at_root: bool) -> list[TreeSnapshot]:
    """Search two trees for 48 simulations, advance one of them, search on; return all four trees."""
    both = np.arange(2, dtype=np.int32)
    trees = trees_class(2, exploration_table(128, 1.25, 19652.0), options)
    trees.reset(both)
    trees.set_forced_playouts(0, 2.0 if at_root else 0.0)
    if at_root:
        trees.set_early_stop(0, True)
    snapshots = []
    for action in (1, 4):
        trees.remaining[:] = 48
        if at_root and trees.is_expanded(1):
            trees.set_root_quota(1, np.array([20, 0, 7], np.int32))
        while _one_round(trees, np.tile(both, options.leaves_per_tree)):
            pass
        snapshots += [trees.snapshot(0), trees.snapshot(1)]
        trees.advance(0, action)
    return snapshots


def _one_round(trees: Trees, wanted: IntArray) -> bool:
    """Select, make up and back up a leaf a row of `wanted`; return False once the searches are done."""
    nodes, parents, actions = (np.empty(len(wanted), np.int32) for _ in range(3))
    trees.select_leaves(wanted, nodes, parents, actions)
    found = nodes != NO_NODE
    if not found.any():
        return False
    selected, nodes = wanted[found], nodes[found]
    terminal = np.array((nodes % 5 == 3) & (nodes > 0), np.uint8)
    trees.backup_terminal(selected, nodes, terminal, np.where(nodes % 2, -1.0, 1.0))
    selected, nodes = selected[terminal == 0], nodes[terminal == 0]
    priors = np.tile(np.array([0.5, 0.3, 0.2], np.float32), len(nodes))
    trees.expand_and_backup(
        selected,
        nodes,
        np.arange(0, 3 * len(nodes) + 1, 3, dtype=np.int32),
        np.tile(np.array([1, 4, 6], np.int32), len(nodes)),
        priors,
        (nodes * 37 % 11 - 5) / 7.0,
    )
    return True
