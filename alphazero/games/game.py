"""What a game is: the scalar rules (`Game`), and many positions at once (`States`).

A game is written once in plain Python, one position at a time: that is the specification, the fallback
where no compiler was found, and all that a plug-in has to provide. The search never calls it position by
position. It works on `States`, an arena of positions addressed by (tree, node), whose methods take and
fill whole arrays. `PythonStates` builds such an arena from any `Game`; the built-in games also have one
in C++ (`Game.native_states`).

Axioms (checked by `alphazero.games.contract.check_game`):

* Two players alternate, the game is zero-sum, deterministic and of perfect information.
* Values are from the point of view of the player to move in the position they belong to:
  +1 that player has won, 0 draw, -1 that player has lost.
* Every game ends within `max_game_length` moves.
* A position with a terminal value has no legal actions; any other position has at least one.
* Legal actions are listed in ascending order.

Axis letters: B positions in one call, A actions, C planes, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from alphazero.errors import UserError

IntArray = npt.NDArray[np.int32]
ByteArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
Line = tuple[int, ...]  # cells of a board, numbered row by row from the top


class IllegalMoveError(ValueError):
    """A move that is not legal, or a text that names no move; the message names the legal ones."""


class GameContractError(UserError):
    """A game breaks an axiom; the message says which one, in which position, after which actions."""


@dataclass(frozen=True)
class Symmetry:
    """A relabelling of the board under which the game is unchanged.

    Attributes:
        name: such as "identity" or "mirror".
        cell_source: int32 [H*W]; cell i of the transformed plane is cell `cell_source[i]` of the original.
        action_target: int32 [A]; action a of the original is action `action_target[a]` after the transform.
    """

    name: str
    cell_source: IntArray
    action_target: IntArray


@runtime_checkable
class States(Protocol):
    """An arena of positions addressed by (tree, node); node 0 of a tree is its root.

    Belongs to one process and one thread at a time. Every array is C-contiguous; `trees`, `nodes`,
    `parents`, `actions` are int32 [B] with B = len(trees), the number of positions meant. Arrays to be
    filled may be longer, and are left as they are beyond what is stated. Nothing is checked here:
    arguments come from a tree backend. Node numbers within a tree grow by one from 0.
    """

    num_trees: int

    def reset(self, trees: IntArray) -> None:
        """Make the root of each tree in `trees` the start position, with no history."""
        ...

    def set_root(self, tree: int, moves: Sequence[int]) -> None:
        """Make the root of `tree` the position after `moves` from the start, with that history."""
        ...

    def step(self, trees: IntArray, parents: IntArray, actions: IntArray, nodes: IntArray) -> None:
        """Store at (trees[i], nodes[i]) the position after actions[i] at (trees[i], parents[i]).

        An entry with parents[i] = -1 is a root, already there: it is skipped.
        """
        ...

    def terminal_values(
        self, trees: IntArray, nodes: IntArray, terminal: ByteArray, values: FloatArray
    ) -> None:
        """Fill `terminal` uint8 [B] (1 if the game is over) and `values` float64 [B].

        A value is for the player to move at that node, and 0.0 where the game is not over.
        """
        ...

    def legal_actions(self, trees: IntArray, nodes: IntArray, offsets: IntArray, actions: IntArray) -> int:
        """Fill the legal actions in CSR form and return their number.

        Position i has actions[offsets[i]:offsets[i+1]], ascending. `offsets` int32 [B+1];
        `actions` int32 with room for B * game.max_legal_actions.
        """
        ...

    def encode(self, trees: IntArray, nodes: IntArray, out: ByteArray) -> None:
        """Fill `out` uint8 [B, C, H, W] with the observations the network is given."""
        ...

    def advance(self, tree: int, action: int, kept_nodes: IntArray) -> None:
        """Play `action` at the root of `tree`; keep only the nodes of the chosen subtree.

        `kept_nodes` int32 [M] holds old node numbers, ascending, the new root first; node kept_nodes[i]
        becomes node i. M = 0 means that the new root was never visited: it is computed by one step.
        The old root joins the history (games such as chess look back at it).
        """
        ...


class Game(Protocol):
    """The rules of one game, one position at a time, in plain Python.

    Stateless: one instance may be shared by everything in a process. A state is any immutable object.

    Two more attributes are optional: `config_defaults`, settings that suit the game (tables as in a TOML file), and
    `winning_lines`, see the function of that name.
    """

    name: str
    num_actions: int  # A
    max_legal_actions: int  # upper bound of legal actions in one position
    max_game_length: int  # upper bound of moves in one game
    observation_shape: tuple[int, int, int]  # (C, H, W) of the uint8 observation
    plane_scale: tuple[float, ...]  # [C]; the network multiplies plane c by plane_scale[c]
    root_noise_alpha: float  # Dirichlet alpha for root noise (AlphaZero: about 10 / typical legal actions)
    temperature_moves: int  # moves sampled in proportion to visits at the start of a self-play game

    def initial_state(self) -> Any:
        """Return the start position."""
        ...

    def legal_actions(self, state: Any) -> list[int]:
        """Return the legal actions, ascending; empty if and only if the game is over."""
        ...

    def step(self, state: Any, action: int) -> Any:
        """Return the position after `action`, which must be legal."""
        ...

    def terminal_value(self, state: Any) -> float | None:
        """Return +1, 0 or -1 for the player to move, or None while the game goes on."""
        ...

    def encode(self, state: Any, out: ByteArray) -> None:
        """Fill `out` uint8 [C, H, W] with the observation from the point of view of the player to move."""
        ...

    def symmetries(self) -> tuple[Symmetry, ...]:
        """Return every symmetry of the board, the identity first."""
        ...

    def action_to_text(self, state: Any, action: int) -> str:
        """Return `action` in the game's usual notation."""
        ...

    def text_to_action(self, state: Any, text: str) -> int:
        """Return the legal action that `text` names; IllegalMoveError otherwise."""
        ...

    def render(self, state: Any) -> str:
        """Return the position as a few lines of text."""
        ...

    def native_states(self, num_trees: int) -> States | None:
        """Return a compiled arena, or None where there is none (not built, or a plug-in game)."""
        ...


def winning_lines(game: object) -> tuple[Line, ...]:
    """Return `game.winning_lines`: the lines that win for whoever fills one with stones; none without that attribute.

    A game that names them is won by nothing else, all its lines have the same length, and planes 0 and 1 of its
    observations are 1 where the player to move and the opponent have a stone, which stays where it was put.
    """
    lines: tuple[Line, ...] = getattr(game, "winning_lines", ())
    return lines


def require_winning_lines(game: Game, setting: str) -> tuple[Line, ...]:
    """Return `winning_lines(game)`; UserError that blames `setting`, which is true, if there are none."""
    lines = winning_lines(game)
    if not lines:
        raise UserError(
            f"{setting} is true, but the game {game.name!r} names no lines that win (winning_lines); set it to false"
        )
    return lines


class PythonStates:
    """`States` over any `Game`: the adapter for plug-in games and the fallback without a compiler."""

    def __init__(self, game: Game, num_trees: int) -> None:
        self.game = game
        self.num_trees = num_trees
        start = game.initial_state()
        self._start = start
        self._states: list[list[Any]] = [[start] for _ in range(num_trees)]

    def reset(self, trees: IntArray) -> None:
        for tree in trees.tolist():
            self._states[tree] = [self._start]

    def set_root(self, tree: int, moves: Sequence[int]) -> None:
        state = self._start
        for move in moves:
            state = self.game.step(state, int(move))
        self._states[tree] = [state]

    def step(self, trees: IntArray, parents: IntArray, actions: IntArray, nodes: IntArray) -> None:
        for tree, parent, action, node in zip(
            trees.tolist(), parents.tolist(), actions.tolist(), nodes.tolist(), strict=True
        ):
            if parent < 0:
                continue
            arena = self._states[tree]
            state = self.game.step(arena[parent], action)
            if node == len(arena):
                arena.append(state)
            else:
                arena[node] = state

    def terminal_values(
        self, trees: IntArray, nodes: IntArray, terminal: ByteArray, values: FloatArray
    ) -> None:
        for i, (tree, node) in enumerate(zip(trees.tolist(), nodes.tolist(), strict=True)):
            value = self.game.terminal_value(self._states[tree][node])
            terminal[i] = value is not None
            values[i] = 0.0 if value is None else value

    def legal_actions(self, trees: IntArray, nodes: IntArray, offsets: IntArray, actions: IntArray) -> int:
        num_actions, max_legal_actions = self.game.num_actions, self.game.max_legal_actions
        total = 0
        offsets[0] = 0
        for i, (tree, node) in enumerate(zip(trees.tolist(), nodes.tolist(), strict=True)):
            legal = self.game.legal_actions(self._states[tree][node])
            # They index the network's answers, and there is room for so many.
            if legal and not (
                min(legal) >= 0 and max(legal) < num_actions and len(legal) <= max_legal_actions
            ):
                raise GameContractError(
                    f"game {self.game.name!r}: legal actions {legal} are not all from 0 to {num_actions - 1}, "
                    f"or more than {max_legal_actions}; try the game with alphazero.games.contract.check_game"
                )
            actions[total : total + len(legal)] = legal
            total += len(legal)
            offsets[i + 1] = total
        return total

    def encode(self, trees: IntArray, nodes: IntArray, out: ByteArray) -> None:
        for i, (tree, node) in enumerate(zip(trees.tolist(), nodes.tolist(), strict=True)):
            self.game.encode(self._states[tree][node], out[i])

    def advance(self, tree: int, action: int, kept_nodes: IntArray) -> None:
        arena = self._states[tree]
        if len(kept_nodes) == 0:
            self._states[tree] = [self.game.step(arena[0], action)]
        else:
            self._states[tree] = [arena[node] for node in kept_nodes.tolist()]
