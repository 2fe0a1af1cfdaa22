"""`check_states` accepts the arenas there are and catches one that differs in any method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from alphazero.games.connect_four import ConnectFour
from alphazero.games.game import ByteArray, FloatArray, Game, GameContractError, IntArray, PythonStates
from alphazero.games.states_contract import check_states
from alphazero.games.tic_tac_toe import TicTacToe


@pytest.mark.parametrize("game", [ConnectFour(), TicTacToe()])
def test_python_states_equal_themselves(game: Game) -> None:
    check_states(game, PythonStates(game, 2), rounds=8)


class SwapsPlanes(PythonStates):
    def encode(self, trees: IntArray, nodes: IntArray, out: ByteArray) -> None:
        super().encode(trees, nodes, out)
        out[: len(trees)] = out[: len(trees), ::-1].copy()


class WinsInsteadOfLosing(PythonStates):
    def terminal_values(
        self, trees: IntArray, nodes: IntArray, terminal: ByteArray, values: FloatArray
    ) -> None:
        super().terminal_values(trees, nodes, terminal, values)
        values[: len(trees)] *= -1


class FillsTheWholeBuffer(PythonStates):
    def terminal_values(
        self, trees: IntArray, nodes: IntArray, terminal: ByteArray, values: FloatArray
    ) -> None:
        values[:] = 0.0
        super().terminal_values(trees, nodes, terminal, values)


class ClearsTheWholeBuffer(PythonStates):
    def encode(self, trees: IntArray, nodes: IntArray, out: ByteArray) -> None:
        out[:] = 0
        super().encode(trees, nodes, out)


class ForgetsTerminalZeros(PythonStates):
    def terminal_values(
        self, trees: IntArray, nodes: IntArray, terminal: ByteArray, values: FloatArray
    ) -> None:
        before = terminal.copy()
        super().terminal_values(trees, nodes, terminal, values)
        terminal[terminal == 0] = before[terminal == 0]


class WrongTotal(PythonStates):
    def legal_actions(self, trees: IntArray, nodes: IntArray, offsets: IntArray, actions: IntArray) -> int:
        return super().legal_actions(trees, nodes, offsets, actions) + 1


class ReversesActions(PythonStates):
    def legal_actions(self, trees: IntArray, nodes: IntArray, offsets: IntArray, actions: IntArray) -> int:
        total = super().legal_actions(trees, nodes, offsets, actions)
        actions[:total] = [8 - action for action in actions[:total]]
        return total


class StepsRootsToo(PythonStates):
    """Treats parent -1 as the last position of the arena, as careless indexing would."""

    def step(self, trees: IntArray, parents: IntArray, actions: IntArray, nodes: IntArray) -> None:
        last = np.array([len(self._states[tree]) - 1 for tree in trees.tolist()], dtype=np.int32)
        super().step(trees, np.where(parents < 0, last, parents), np.maximum(actions, 0), nodes)


class KeepsTheOldRoot(PythonStates):
    def advance(self, tree: int, action: int, kept_nodes: IntArray) -> None:
        if len(kept_nodes):
            super().advance(tree, action, np.arange(len(kept_nodes), dtype=np.int32))
        else:
            super().advance(tree, action, kept_nodes)


class IgnoresAnUnvisitedRoot(PythonStates):
    def advance(self, tree: int, action: int, kept_nodes: IntArray) -> None:
        if len(kept_nodes):
            super().advance(tree, action, kept_nodes)


class SetsRootToStart(PythonStates):
    def set_root(self, tree: int, moves: Sequence[int]) -> None:
        super().set_root(tree, [])


class NeverResets(PythonStates):
    def reset(self, trees: IntArray) -> None:
        pass


@pytest.mark.parametrize(
    ("arena", "message"),
    [
        (SwapsPlanes, "encode gives"),
        (WinsInsteadOfLosing, r"terminal_values \(values\)"),
        (ForgetsTerminalZeros, r"terminal_values \(terminal\)"),
        (FillsTheWholeBuffer, "writes beyond the"),
        (ClearsTheWholeBuffer, "encode writes beyond the"),
        (WrongTotal, "must ascend from 0 to the number returned"),
        (ReversesActions, "legal_actions gives"),
        (StepsRootsToo, "StepsRootsToo"),
        (KeepsTheOldRoot, "KeepsTheOldRoot"),
        (IgnoresAnUnvisitedRoot, "IgnoresAnUnvisitedRoot"),
        (SetsRootToStart, "SetsRootToStart"),
        (NeverResets, "NeverResets"),
    ],
)
def test_arena_that_differs_is_caught(arena: type[PythonStates], message: str) -> None:
    game = TicTacToe()
    with pytest.raises(GameContractError, match=message):
        check_states(game, arena(game, 3), rounds=40)


def test_report_names_the_moves_from_the_start() -> None:
    game = TicTacToe()
    with pytest.raises(GameContractError, match=r"after actions \[.*\], which is node \d+ of tree \d"):
        check_states(game, SwapsPlanes(game, 1))


@pytest.mark.parametrize("actions", [[9], [-1, 3], [0, 500_000_000], [0, -5, 2], [0, 99, 2]])
def test_actions_that_would_be_read_beyond_the_networks_answers_are_refused(actions: list[int]) -> None:
    class Wild(TicTacToe):
        def legal_actions(self, state: Any) -> list[int]:
            return actions

    states = PythonStates(Wild(), 1)
    one, offsets, found = np.zeros(1, np.int32), np.zeros(2, np.int32), np.zeros(9, np.int32)
    with pytest.raises(GameContractError, match="not all from 0 to 8"):
        states.legal_actions(one, one, offsets, found)


def test_more_actions_than_there_is_room_for_are_refused() -> None:
    class Generous(TicTacToe):
        max_legal_actions = 3

    states = PythonStates(Generous(), 1)
    one, offsets, found = np.zeros(1, np.int32), np.zeros(2, np.int32), np.zeros(9, np.int32)
    with pytest.raises(GameContractError, match="or more than 3; try the game"):
        states.legal_actions(one, one, offsets, found)
