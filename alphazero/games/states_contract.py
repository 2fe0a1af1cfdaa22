"""`check_states`: is an arena of positions equal to `PythonStates` in everything?

Grows random trees as a search would (one position a tree at a time, several trees at once), advances their
roots with and without a kept subtree, and compares every position after each change.
"""

from __future__ import annotations

import random
from typing import NoReturn

import numpy as np

from alphazero.games.game import ByteArray, Game, GameContractError, IntArray, PythonStates, States

_STEPS_A_ROUND = 20  # positions added to each tree between two moves of its root
_OLD_CONTENT = 0xA5  # what arrays hold before they are filled


def check_states(game: Game, states: States, rounds: int = 20, seed: int = 0) -> None:
    """Compare `states` with `PythonStates` through `rounds` rounds of growing trees and moving roots.

    Raises GameContractError at the first difference, naming the method, the position and its moves.
    """
    comparison = _Comparison(game, states, random.Random(seed))
    comparison.reset(comparison.trees)
    for round_number in range(rounds):
        for _ in range(_STEPS_A_ROUND):
            comparison.grow()
        comparison.compare()
        for tree in comparison.trees:
            comparison.move_root(tree)
        comparison.compare()
        if round_number % 8 == 7:
            comparison.reset([comparison.generator.choice(comparison.trees)])
            comparison.compare()


class _Tree:
    """What a tree backend knows: of each node its parent and the action that leads to it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.restart([])

    def restart(self, history: list[int]) -> None:
        self.history = history  # actions from the start position to the root
        self.parents = [-1]
        self.actions = [-1]

    def __len__(self) -> int:
        return len(self.parents)

    def children(self, node: int) -> list[int]:
        return [child for child in range(node + 1, len(self)) if self.parents[child] == node]

    def subtree(self, node: int) -> list[int]:
        """Return `node` and everything below it, ascending."""
        kept = {node}
        kept.update(child for child in range(node + 1, len(self)) if self._has_ancestor(child, node))
        return sorted(kept)

    def advance(self, action: int, kept: list[int]) -> None:
        """As `States.advance`: node kept[i] becomes node i; an empty `kept` leaves a root alone."""
        renumbered = {old: new for new, old in enumerate(kept)}
        self.parents = [-1, *(renumbered[self.parents[old]] for old in kept[1:])]
        self.actions = [-1, *(self.actions[old] for old in kept[1:])]
        self.history = [*self.history, action]

    def moves_to(self, node: int) -> list[int]:
        """Return the actions from the start position to `node`."""
        if node == 0:
            return self.history
        return [*self.moves_to(self.parents[node]), self.actions[node]]

    def _has_ancestor(self, node: int, ancestor: int) -> bool:
        while node > ancestor:
            node = self.parents[node]
        return node == ancestor


class _Comparison:
    """The arena in question and the reference, always sent the same calls."""

    def __init__(self, game: Game, states: States, generator: random.Random) -> None:
        self.game = game
        self.states = states
        self.reference = PythonStates(game, states.num_trees)
        self.generator = generator
        self.trees = [_Tree(index) for index in range(states.num_trees)]

    def reset(self, trees: list[_Tree]) -> None:
        for arena in (self.states, self.reference):
            arena.reset(_int32([tree.index for tree in trees]))
        for tree in trees:
            tree.restart([])

    def grow(self) -> None:
        """Add one position to each tree; a tree without room passes a root, which must be skipped."""
        entries = []
        for tree in self.trees:
            # The newest node more often than not, so that trees grow deep as well as wide.
            parent = self.generator.choice([len(tree) - 1, self.generator.randrange(len(tree))])
            unvisited = self.unvisited_actions(tree, parent)
            if unvisited:
                action = self.generator.choice(unvisited)
                entries.append((tree.index, parent, action, len(tree)))
                tree.parents.append(parent)
                tree.actions.append(action)
            else:
                entries.append((tree.index, -1, -1, 0))
        trees, parents, actions, nodes = (_int32(list(column)) for column in zip(*entries, strict=True))
        for arena in (self.states, self.reference):
            arena.step(trees, parents, actions, nodes)

    def move_root(self, tree: _Tree) -> None:
        """Advance to a child, visited or not; where the game is over, put the root elsewhere."""
        unvisited, children = self.unvisited_actions(tree, 0), tree.children(0)
        if not unvisited and not children:
            tree.restart(_random_opening(self.game, self.generator))
            for arena in (self.states, self.reference):
                arena.set_root(tree.index, tree.history)
            return
        if unvisited and (not children or self.generator.random() < 0.2):
            action, kept = self.generator.choice(unvisited), []
        else:
            child = self.generator.choice(children)
            action, kept = tree.actions[child], tree.subtree(child)
        for arena in (self.states, self.reference):
            arena.advance(tree.index, action, _int32(kept))
        tree.advance(action, kept)

    def unvisited_actions(self, tree: _Tree, node: int) -> list[int]:
        visited = {tree.actions[child] for child in tree.children(node)}
        _, _, legal = _read(self.game, self.reference, tree.index, _int32([node]))[0]
        return [action for action in legal if action not in visited]

    def compare(self) -> None:
        for tree in self.trees:
            nodes = np.arange(len(tree), dtype=np.int32)
            ours = _read(self.game, self.states, tree.index, nodes)
            expected = _read(self.game, self.reference, tree.index, nodes)
            for node in range(len(tree)):
                for method, got, want in zip(_METHODS, ours[node], expected[node], strict=True):
                    if got != want:
                        self.fail(tree, node, f"{method} gives {got}, PythonStates gives {want}")
            planes = _encode(self.game, self.states, tree.index, nodes)
            expected_planes = _encode(self.game, self.reference, tree.index, nodes)
            for place in np.argwhere(planes != expected_planes)[:1].tolist():
                node, plane, row, column = place
                self.fail(
                    tree,
                    node,
                    f"encode gives {planes[tuple(place)]} at plane {plane}, row {row}, column {column}, "
                    f"PythonStates gives {expected_planes[tuple(place)]}",
                )

    def fail(self, tree: _Tree, node: int, detail: str) -> NoReturn:
        moves = tree.moves_to(node)
        state = self.game.initial_state()
        for move in moves:
            state = self.game.step(state, move)
        raise GameContractError(
            f"game {self.game.name!r}: {type(self.states).__name__}.{detail}\n"
            f"in the position after actions {moves}, which is node {node} of tree {tree.index}, "
            f"{len(moves) - len(tree.history)} below its root:\n{self.game.render(state)}"
        )


_METHODS = ("terminal_values (terminal)", "terminal_values (values)", "legal_actions")


def _read(game: Game, states: States, tree: int, nodes: IntArray) -> list[tuple[int, float, list[int]]]:
    """Return (terminal, value, legal actions) of each node, one call of each method for all nodes."""
    count = len(nodes)
    trees = np.full(count, tree, dtype=np.int32)
    # One entry more than is filled, as in a buffer that is used for batches of any size.
    terminal = np.full(count + 1, _OLD_CONTENT, np.uint8)
    values = np.full(count + 1, np.nan)
    states.terminal_values(trees, nodes, terminal, values)
    offsets = np.full(count + 2, -1, np.int32)
    actions = np.full(count * game.max_legal_actions, -1, np.int32)
    total = states.legal_actions(trees, nodes, offsets, actions)
    if offsets[0] != 0 or offsets[count] != total or np.any(np.diff(offsets[: count + 1]) < 0):
        raise GameContractError(
            f"game {game.name!r}: {type(states).__name__}.legal_actions returned {total} with offsets "
            f"{offsets[: count + 1].tolist()}, which must ascend from 0 to the number returned"
        )
    if terminal[count] != _OLD_CONTENT or not np.isnan(values[count]) or offsets[count + 1] != -1:
        raise GameContractError(
            f"game {game.name!r}: {type(states).__name__} writes beyond the {count} positions asked for"
        )
    return [
        (int(terminal[i]), float(values[i]), actions[offsets[i] : offsets[i + 1]].tolist())
        for i in range(count)
    ]


def _encode(game: Game, states: States, tree: int, nodes: IntArray) -> ByteArray:
    out = np.full((len(nodes) + 1, *game.observation_shape), _OLD_CONTENT, np.uint8)
    states.encode(np.full(len(nodes), tree, dtype=np.int32), nodes, out)
    if np.any(out[-1] != _OLD_CONTENT):
        raise GameContractError(
            f"game {game.name!r}: {type(states).__name__}.encode writes beyond the {len(nodes)} positions "
            "asked for"
        )
    return out[:-1]


def _random_opening(game: Game, generator: random.Random) -> list[int]:
    """Return the actions of a random game, cut off at a random place."""
    state, actions = game.initial_state(), []
    while legal := game.legal_actions(state):
        actions.append(generator.choice(legal))
        state = game.step(state, actions[-1])
    return actions[: generator.randrange(len(actions) + 1)]


def _int32(numbers: list[int]) -> IntArray:
    return np.array(numbers, dtype=np.int32)
