"""Every registered game keeps the contract, and the contract catches a game that breaks any axiom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alphazero.games.contract import check_attributes, check_game, missing_members
from alphazero.games.game import ByteArray, GameContractError, IllegalMoveError, Symmetry
from alphazero.games.registry import game_names, get_game
from alphazero.games.tic_tac_toe import TicTacToe, TicTacToeState


@pytest.mark.parametrize("name", [name for name in game_names() if name != "chess"])  # chess: test_chess.py
def test_registered_game_keeps_every_axiom(name: str) -> None:
    check_game(get_game(name), games=30, seed=1)


@pytest.mark.parametrize("name", game_names())
def test_registered_name_is_the_game_s_own_name(name: str) -> None:
    assert get_game(name).name == name


class LegalActionsDescend(TicTacToe):
    def legal_actions(self, state: TicTacToeState) -> list[int]:
        return super().legal_actions(state)[::-1]


class LegalActionsAfterTheEnd(TicTacToe):
    def legal_actions(self, state: TicTacToeState) -> list[int]:
        return [action for action, cell in enumerate(state.cells) if cell == 0]


class LegalActionsAreAnArray(TicTacToe):
    def legal_actions(self, state: TicTacToeState) -> Any:
        return np.flatnonzero(np.array(state.cells) == 0)


class ActionOutOfRange(TicTacToe):
    num_actions = 9

    def legal_actions(self, state: TicTacToeState) -> list[int]:
        return [action + 1 for action in super().legal_actions(state)]


class HalfAPoint(TicTacToe):
    def terminal_value(self, state: TicTacToeState) -> float | None:
        value = super().terminal_value(state)
        return None if value is None else value / 2 + 0.25


class ForgetsALine(TicTacToe):
    winning_lines = TicTacToe.winning_lines[:-1]


class SwapsThePlayers(TicTacToe):
    def encode(self, state: TicTacToeState, out: ByteArray) -> None:
        super().encode(state, out)
        out[:] = out[::-1].copy()


class LongerThanItSays(TicTacToe):
    max_game_length = 4


class MoreMovesThanItSays(TicTacToe):
    max_legal_actions = 8


class EncodesOnlyOnes(TicTacToe):
    def encode(self, state: TicTacToeState, out: ByteArray) -> None:
        for cell, stone in enumerate(state.cells):
            if stone:
                out[0 if stone == 1 else 1, cell // 3, cell % 3] = 1


class MarksACorner(TicTacToe):
    """The same mark on every board: turning the board would move it."""

    def encode(self, state: TicTacToeState, out: ByteArray) -> None:
        super().encode(state, out)
        out[0, 0, 0] = 7


class StepChangesItsArgument(TicTacToe):
    def initial_state(self) -> Any:
        return TicTacToeState([0] * 9)  # type: ignore[arg-type]

    def step(self, state: Any, action: int) -> Any:
        state.cells[action] = 1
        state.cells[:] = [-cell for cell in state.cells]
        return state


class FlipsACoin(TicTacToe):
    def __init__(self) -> None:
        self.heads = False

    def step(self, state: TicTacToeState, action: int) -> TicTacToeState:
        self.heads = not self.heads
        return super().step(state, self.legal_actions(state)[0 if self.heads else -1])


class SilentOnNonsense(TicTacToe):
    def text_to_action(self, state: TicTacToeState, text: str) -> int:
        try:
            return super().text_to_action(state, text)
        except IllegalMoveError:
            return -1


class WrongErrorOnNonsense(TicTacToe):
    def text_to_action(self, state: TicTacToeState, text: str) -> int:
        return {self.action_to_text(state, action): action for action in self.legal_actions(state)}[text]


class ReadsRowsUpsideDown(TicTacToe):
    def action_to_text(self, state: TicTacToeState, action: int) -> str:
        return "abc"[action % 3] + "123"[action // 3]

    def text_to_action(self, state: TicTacToeState, text: str) -> int:
        return TicTacToe().text_to_action(state, text)

    def legal_actions(self, state: TicTacToeState) -> list[int]:
        return TicTacToe().legal_actions(state)


class CrashesLate(TicTacToe):
    def step(self, state: TicTacToeState, action: int) -> TicTacToeState:
        if state.cells.count(0) == 6:
            raise ZeroDivisionError("fourth move")
        return super().step(state, action)


class RendersNothing(TicTacToe):
    def render(self, state: TicTacToeState) -> str:
        return ""


class ActionsTurnTheWrongWay(TicTacToe):
    """The easiest mistake to make: actions mapped with the cells' own permutation, not its inverse."""

    def symmetries(self) -> tuple[Symmetry, ...]:
        return tuple(Symmetry(s.name, s.cell_source, s.cell_source) for s in super().symmetries())


class IdentityIsNotFirst(TicTacToe):
    def symmetries(self) -> tuple[Symmetry, ...]:
        return super().symmetries()[::-1]


class SymmetryIsNoPermutation(TicTacToe):
    def symmetries(self) -> tuple[Symmetry, ...]:
        identity = super().symmetries()[0]
        return (identity, Symmetry("fold", np.zeros(9, np.int32), identity.action_target))


class SymmetryOfTheWrongType(TicTacToe):
    def symmetries(self) -> tuple[Symmetry, ...]:
        cells: Any = np.arange(9, dtype=np.int64)
        return (Symmetry("identity", cells, cells),)


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (LegalActionsDescend, "legal actions ascend"),
        (LegalActionsAfterTheEnd, "unless it has a terminal value"),
        (LegalActionsAreAnArray, "list of integers"),
        (ActionOutOfRange, "actions are 0 .. 8"),
        (HalfAPoint, "-1, 0, 1 or None"),
        (ForgetsALine, "terminal_value is -1.0, and a line is filled by nobody"),
        (SwapsThePlayers, "terminal_value is -1.0, and a line is filled by own stones"),
        (LongerThanItSays, "ends within 4 moves"),
        (MoreMovesThanItSays, "at most 8 actions"),
        (EncodesOnlyOnes, "encode fills the whole array"),
        (MarksACorner, "unchanged under the symmetry"),
        (StepChangesItsArgument, "step leaves its argument alone"),
        (FlipsACoin, "deterministic"),
        (SilentOnNonsense, "raises IllegalMoveError"),
        (WrongErrorOnNonsense, "raised KeyError"),
        (ReadsRowsUpsideDown, "are inverse"),
        (CrashesLate, "raised ZeroDivisionError: fourth move"),
        (RendersNothing, "render returns text"),
        (ActionsTurnTheWrongWay, "unchanged under the symmetry rotate_90"),
        (IdentityIsNotFirst, "first one must be the identity"),
        (SymmetryIsNoPermutation, "'fold' is no permutation"),
        (SymmetryOfTheWrongType, "must be int32"),
    ],
)
def test_broken_axiom_is_named(game: type[TicTacToe], message: str) -> None:
    with pytest.raises(GameContractError, match=message):
        check_game(game())


def test_report_shows_the_moves_and_the_board() -> None:
    with pytest.raises(GameContractError) as report:
        check_game(CrashesLate())
    lines = str(report.value).splitlines()
    assert lines[1].startswith("in the position after actions [")
    assert lines[1].count(",") == 2  # three actions
    assert lines[-1] == "  a b c"


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("num_actions", 0, "num_actions is 0"),
        ("num_actions", 4, "max_legal_actions is 9, but must be at most num_actions"),
        ("max_game_length", 9.0, "max_game_length is 9.0"),
        ("observation_shape", (3, 3), "three positive integers"),
        ("observation_shape", 9, "three positive integers"),
        ("plane_scale", (1.0,), "one for each of the 2 planes"),
        ("plane_scale", (1.0, float("inf")), "finite"),
        ("root_noise_alpha", -1.0, "positive number"),
        ("temperature_moves", -1, "at least 0"),
        ("name", "", "not empty"),
        ("winning_lines", ((0, 1, 9),), r"tuples of cells, 0 \.\. 8"),
        ("winning_lines", [(0, 1, 2)], "a tuple of tuples"),
        ("winning_lines", ((0, 1), (0, 1, 2)), "lines of the same length"),
        ("winning_lines", ((0, 0, 1),), "each cell once"),
    ],
)
def test_impossible_attribute_is_named(attribute: str, value: Any, message: str) -> None:
    game = TicTacToe()
    setattr(game, attribute, value)
    with pytest.raises(GameContractError, match=message):
        check_attributes(game)


def test_missing_members_are_listed_in_the_order_of_the_protocol() -> None:
    class Half:
        name = "half"
        num_actions = 1

        def step(self) -> None: ...

    missing = missing_members(Half())
    assert missing[:2] == ["max_legal_actions", "max_game_length"]
    assert missing[-2:] == ["render", "native_states"]
    assert "step" not in missing
