"""`check_game`: does a game keep the axioms that search and training rely on?

The axioms stand in `alphazero.games.game`. They are tried by random play, position by position; the first
one that is broken is reported with the position and the moves that lead to it. Plain and slow: for tests
and for whoever writes a game, see `docs/add_a_game.md`.
"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from alphazero.errors import UserError
from alphazero.games.game import ByteArray, Game, GameContractError, IllegalMoveError, Symmetry, winning_lines
from alphazero.games.states_contract import check_states

# Texts that are no move in any notation.
_NONSENSE = ("", "?", "no such move", "-1")
_TEXTS_A_POSITION = 10  # moves of one position whose notation is tried; reading one may list all moves


def check_game(game: Game, games: int = 20, seed: int = 0) -> None:
    """Play `games` random games and check every axiom in every position; silent if all hold.

    A compiled arena, where the game has one, is compared with `PythonStates` as well.
    Raises GameContractError at the first axiom that is broken.
    """
    check_attributes(game)
    try:
        symmetries = _checked_symmetries(game)
        generator = random.Random(seed)
        for _ in range(games):
            _check_random_game(game, symmetries[1:], generator)
        native = game.native_states(num_trees=3)
        if native is not None:
            check_states(game, native, rounds=games, seed=seed)
    except UserError:
        raise
    except Exception as error:  # before a first position, or in compiled rules
        raise GameContractError(f"game {game.name!r} raised {type(error).__name__}: {error}") from error


def missing_members(game: object) -> list[str]:
    """Return the members of the `Game` protocol that `game` lacks, in the protocol's order."""
    methods = [name for name, member in vars(Game).items() if callable(member) and name[0] != "_"]
    return [name for name in [*Game.__annotations__, *methods] if not hasattr(game, name)]


def check_attributes(game: Game) -> None:
    """Check that every member is there and that the numbers make sense; GameContractError otherwise."""
    try:
        _check_attributes(game)
    except GameContractError:
        raise
    except Exception as error:  # a property that fails, a type that nothing was expected to have
        raise GameContractError(
            f"{type(game).__name__} is no game: reading its members raised {type(error).__name__}: {error}"
        ) from error


def _check_attributes(game: Game) -> None:
    missing = missing_members(game)
    if missing:
        raise GameContractError(f"{type(game).__name__} is no game: it lacks {', '.join(missing)}")

    def require(holds: bool, name: str, rule: str) -> None:
        if not holds:
            value = getattr(game, name)
            raise GameContractError(f"game {game.name!r}: {name} is {value!r}, but must be {rule}")

    require(isinstance(game.name, str) and game.name != "", "name", "a text that is not empty")
    for name in ("num_actions", "max_legal_actions", "max_game_length"):
        value = getattr(game, name)
        require(_is_integer(value) and value >= 1, name, "an integer of at least 1")
    require(game.max_legal_actions <= game.num_actions, "max_legal_actions", "at most num_actions")
    shape, scale = game.observation_shape, game.plane_scale
    require(
        isinstance(shape, tuple) and len(shape) == 3 and all(_is_integer(n) and n >= 1 for n in shape),
        "observation_shape",
        "a tuple of three positive integers (planes, rows, columns)",
    )
    require(
        isinstance(scale, tuple) and len(scale) == shape[0] and all(map(_is_number, scale)),
        "plane_scale",
        f"a tuple of finite numbers, one for each of the {shape[0]} planes",
    )
    alpha = game.root_noise_alpha
    require(_is_number(alpha) and alpha > 0, "root_noise_alpha", "a positive number")
    require(
        _is_integer(game.temperature_moves) and game.temperature_moves >= 0,
        "temperature_moves",
        "an integer of at least 0",
    )
    lines = winning_lines(game)
    cells = range(shape[1] * shape[2])
    require(
        isinstance(lines, tuple)
        and all(isinstance(line, tuple) and set(line) <= set(cells) for line in lines),
        "winning_lines",
        f"a tuple of tuples of cells, 0 .. {cells[-1]}",
    )
    require(
        all(2 <= len(line) == len(set(line)) == len(lines[0]) for line in lines),
        "winning_lines",
        "lines of the same length, at least 2, with each cell once",
    )
    require(
        not lines or shape[0] >= 2, "observation_shape", "of two planes or more, own and opponent's stones"
    )


def _checked_symmetries(game: Game) -> tuple[Symmetry, ...]:
    """Return the symmetries once each is known to be a permutation and the first to be the identity."""
    _, rows, columns = game.observation_shape
    symmetries = game.symmetries()

    def fail(detail: str) -> NoReturn:
        raise GameContractError(f"game {game.name!r}, symmetries(): {detail}")

    for symmetry in symmetries:
        for name, size in (("cell_source", rows * columns), ("action_target", game.num_actions)):
            permutation = getattr(symmetry, name)
            if permutation.dtype != np.int32 or permutation.shape != (size,):
                fail(
                    f"{name} of {symmetry.name!r} must be int32 [{size}], "
                    f"not {permutation.dtype} {list(permutation.shape)}"
                )
            if not np.array_equal(np.sort(permutation), np.arange(size)):
                fail(f"{name} of {symmetry.name!r} is no permutation of 0 .. {size - 1}")
    first = symmetries[0] if symmetries else None
    if first is None or not all(
        np.array_equal(permutation, np.arange(len(permutation)))
        for permutation in (first.cell_source, first.action_target)
    ):
        fail("the first one must be the identity")
    names = [symmetry.name for symmetry in symmetries]
    if len(set(names)) < len(names):
        fail(f"every one needs a name of its own, not {names}")
    return symmetries


@dataclass(frozen=True)
class _Visit:
    """One position of a random game, with what is needed to report it."""

    game: Game
    state: Any
    actions: list[int]  # from the start position to `state`
    transformed: list[Any]  # the state after the same game under each symmetry but the identity
    old_texts: list[str]  # moves of the position before

    def fail(self, axiom: str, detail: str) -> NoReturn:
        raise GameContractError(
            f"game {self.game.name!r} breaks the axiom {axiom!r}: {detail}\n"
            f"in the position after actions {self.actions}:\n{_rendered(self.game, self.state)}"
        )


def _check_random_game(game: Game, symmetries: tuple[Symmetry, ...], generator: random.Random) -> None:
    state = game.initial_state()
    visit = _Visit(game, state, [], [state] * len(symmetries), [])
    while True:
        try:
            legal = _check_position(visit, symmetries)
            texts = _check_texts(visit, legal, generator)
            if not legal:
                return
            action = generator.choice(legal)
            state = _check_step(visit, legal, action)
            transformed = [
                game.step(other, int(symmetry.action_target[action]))
                for other, symmetry in zip(visit.transformed, symmetries, strict=True)
            ]
        except GameContractError:
            raise
        except Exception as error:
            raise GameContractError(
                f"game {game.name!r} raised {type(error).__name__}: {error}\n"
                f"in the position after actions {visit.actions}:\n{_rendered(game, visit.state)}"
            ) from error
        visit = _Visit(game, state, [*visit.actions, action], transformed, texts)


def _check_position(visit: _Visit, symmetries: tuple[Symmetry, ...]) -> list[int]:
    """Check everything that can be seen without a move; return the legal actions."""
    legal = _check_legal_actions(visit)
    value = _check_terminal_value(visit, legal)
    observation = _check_encode(visit)
    rendered = visit.game.render(visit.state)
    if not isinstance(rendered, str) or not rendered.strip():
        visit.fail("render returns text", f"it returned {rendered!r}")
    planes = observation.reshape(len(observation), -1)
    for symmetry, other in zip(symmetries, visit.transformed, strict=True):
        axiom = f"the game is unchanged under the symmetry {symmetry.name}"
        mapped = sorted(symmetry.action_target[legal].tolist())
        other_legal = visit.game.legal_actions(other)
        if other_legal != mapped:
            visit.fail(axiom, f"legal actions become {mapped}, but are {other_legal} after the same game")
        if visit.game.terminal_value(other) != value:
            visit.fail(axiom, "the terminal value differs after the same game")
        expected = planes[:, symmetry.cell_source].reshape(observation.shape)
        wrong = np.argwhere(_encoded(visit.game, other, 0) != expected)
        if len(wrong):
            visit.fail(axiom, f"encode differs after the same game, first at {_place(wrong)}")
    _check_lines(visit, value, planes)
    return legal


def _check_lines(visit: _Visit, value: float | None, planes: ByteArray) -> None:
    """Check that `winning_lines`, if there are any, say who has won by the stones in planes 0 and 1 [C, H*W]."""
    lines = winning_lines(visit.game)
    if not lines:
        return
    axiom = "who fills one of the winning_lines has won, and nobody else"
    if np.any((planes[:2] > 1) | (planes[0] & planes[1])):
        visit.fail(axiom, "planes 0 and 1 of encode are not own and opponent's stones, 1 where there is one")
    own, opponents = (any(plane[list(line)].all() for line in lines) for plane in planes[:2])
    expected = {(False, False): (None, 0.0), (True, False): (1.0,), (False, True): (-1.0,)}
    if value not in expected.get((own, opponents), ()):
        filled = " and ".join(text for text, full in (("own stones", own), ("opponent's", opponents)) if full)
        visit.fail(axiom, f"terminal_value is {value}, and a line is filled by {filled or 'nobody'}")


def _check_legal_actions(visit: _Visit) -> list[int]:
    legal = visit.game.legal_actions(visit.state)
    if not isinstance(legal, list) or not all(_is_integer(action) for action in legal):
        visit.fail("legal_actions returns a list of integers", f"it returned {legal!r}")
    if any(later <= earlier for earlier, later in itertools.pairwise(legal)):
        visit.fail("legal actions ascend", f"they are {legal}")
    if legal and not 0 <= legal[0] <= legal[-1] < visit.game.num_actions:
        visit.fail(f"actions are 0 .. {visit.game.num_actions - 1}", f"the legal ones are {legal}")
    if len(legal) > visit.game.max_legal_actions:
        visit.fail(f"at most {visit.game.max_legal_actions} actions are legal", f"{len(legal)} are")
    return legal


def _check_terminal_value(visit: _Visit, legal: list[int]) -> float | None:
    value = visit.game.terminal_value(visit.state)
    if value not in (None, -1, 0, 1):
        visit.fail("a terminal value is -1, 0, 1 or None", f"it is {value!r}")
    if (value is None) != bool(legal):
        visit.fail(
            "a position has legal actions unless it has a terminal value",
            f"the terminal value is {value}, the legal actions are {legal}",
        )
    if value is None and len(visit.actions) >= visit.game.max_game_length:
        visit.fail(f"a game ends within {visit.game.max_game_length} moves", "this one goes on")
    return value


def _check_encode(visit: _Visit) -> ByteArray:
    """Encode over two different old contents: whatever was not written shows up as a difference."""
    observation = _encoded(visit.game, visit.state, 0xAA)
    unwritten = np.argwhere(observation != _encoded(visit.game, visit.state, 0x55))
    if len(unwritten):
        visit.fail(
            "encode fills the whole array",
            f"the old content shows through in {len(unwritten)} entries, first at {_place(unwritten)}",
        )
    return observation


def _check_texts(visit: _Visit, legal: list[int], generator: random.Random) -> list[str]:
    """Write some of the legal actions and read them back; return their texts."""
    axiom = "action_to_text and text_to_action are inverse"
    texts = []
    for action in generator.sample(legal, min(len(legal), _TEXTS_A_POSITION)):
        text = visit.game.action_to_text(visit.state, action)
        named = visit.game.text_to_action(visit.state, text)
        if named != action:
            visit.fail(axiom, f"action {action} is written {text!r}, which is read as {named}")
        texts.append(text)
    axiom = "a text that names no legal move raises IllegalMoveError"
    for text in [*_NONSENSE, *visit.old_texts]:
        try:
            named = visit.game.text_to_action(visit.state, text)
        except IllegalMoveError:
            continue
        except Exception as error:
            visit.fail(axiom, f"text_to_action({text!r}) raised {type(error).__name__}: {error}")
        if named not in legal or text in _NONSENSE:
            visit.fail(axiom, f"text_to_action({text!r}) returned {named}")
    return texts


def _check_step(visit: _Visit, legal: list[int], action: int) -> Any:
    """Play `action`, twice: the old state stays as it was, and both new ones are alike."""
    game, state = visit.game, visit.state
    before = _encoded(game, state, 0)
    after = game.step(state, action)
    again = game.step(state, action)
    if game.legal_actions(state) != legal or not np.array_equal(before, _encoded(game, state, 0)):
        visit.fail("step leaves its argument alone", f"the position is another one after action {action}")
    if game.legal_actions(after) != game.legal_actions(again) or not np.array_equal(
        _encoded(game, after, 0), _encoded(game, again, 0)
    ):
        visit.fail("the game is deterministic", f"action {action} played twice gives two positions")
    return after


def _encoded(game: Game, state: Any, old_content: int) -> ByteArray:
    out = np.full(game.observation_shape, old_content, np.uint8)
    game.encode(state, out)
    return out


def _place(indices: np.ndarray[Any, np.dtype[np.int64]]) -> str:
    plane, row, column = indices[0].tolist()
    return f"plane {plane}, row {row}, column {column}"


def _rendered(game: Game, state: Any) -> str:
    try:
        return game.render(state)
    except Exception as error:
        return f"(render raised {type(error).__name__}: {error})"


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_integer(value) or (isinstance(value, (float, np.floating)) and math.isfinite(value))
