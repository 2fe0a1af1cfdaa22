"""The compiled arena by itself; that it equals the Python rules is shown in `test_chess_differential.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alphazero.games.chess import Chess
from alphazero.games.game import ByteArray, PythonStates, States
from alphazero.games.perft import move_sequence_counts

KNIGHTS_OUT_AND_BACK = ["Nf3", "Nf6", "Ng1", "Ng8"]


def native_states(game: Chess, num_trees: int) -> Any:
    states = game.native_states(num_trees)
    if states is None:
        pytest.skip("native rules are not built")
    return states


def actions_of(game: Chess, moves: list[str]) -> list[int]:
    state, actions = game.initial_state(), []
    for text in moves:
        actions.append(game.text_to_action(state, text))
        state = game.step(state, actions[-1])
    return actions


def planes(states: States, tree: int, node: int) -> ByteArray:
    out: ByteArray = np.full((1, 119, 8, 8), 55, np.uint8)
    states.encode(np.array([tree], np.int32), np.array([node], np.int32), out)
    first: ByteArray = out[0]
    return first


def test_arena_keeps_the_protocol() -> None:
    assert isinstance(native_states(Chess(), 1), States)


def test_every_root_starts_at_the_games_start_position() -> None:
    game = Chess("8/P6k/8/8/8/8/8/4K3 w - - 5 9")
    states = native_states(game, 2)
    for tree in range(2):
        assert states.state(tree, 0) == game.initial_state()[:5]


def test_batches_of_positions_have_the_published_counts() -> None:
    """Stepped in the arena, up to 1,024 positions a call; no draw is possible in so few moves."""
    game = Chess()
    assert move_sequence_counts(game, native_states(game, 1), 4) == [20, 400, 8_902, 197_281]


def test_repetition_is_counted_across_the_root() -> None:
    """Five moves lie before the root and three below it; the position before the last move occurs thrice."""
    game = Chess()
    actions = actions_of(game, KNIGHTS_OUT_AND_BACK * 2)
    states = native_states(game, 1)
    states.set_root(0, actions[:5])
    for node, action in enumerate(actions[5:]):
        arguments = [np.array([value], np.int32) for value in (0, node, action, node + 1)]
        states.step(*arguments)
    assert [states.state(0, node)[4] for node in range(4)] == [1, 1, 1, 2]
    terminal, values = np.empty(4, np.uint8), np.empty(4)
    states.terminal_values(np.zeros(4, np.int32), np.arange(4, dtype=np.int32), terminal, values)
    assert terminal.tolist() == [0, 0, 0, 1] and not values.any()


def test_siblings_are_not_each_others_past() -> None:
    """Nodes 1 and 2 are both children of the root: moving back from 2 does not repeat 1's line."""
    game = Chess()
    first, second = (
        game.text_to_action(game.initial_state(), "Nf3"),
        game.text_to_action(game.initial_state(), "Nc3"),
    )
    states, twin = native_states(game, 1), PythonStates(game, 1)
    for arena in (states, twin):
        zeros = np.zeros(2, np.int32)
        arena.step(zeros, zeros, np.array([first, second], np.int32), np.array([1, 2], np.int32))
    assert np.array_equal(planes(states, 0, 2), planes(twin, 0, 2))


def test_kept_subtree_keeps_parents_and_past() -> None:
    """Root 0 has children 1 (e4) and 2 (d4); 3 and 4 are replies to d4. After d4, nodes 2, 3, 4 are kept."""
    game = Chess()
    start = game.initial_state()
    e4, d4 = (game.text_to_action(start, text) for text in ("e4", "d4"))
    after_d4 = game.step(start, d4)
    d5, nf6 = (game.text_to_action(after_d4, text) for text in ("d5", "Nf6"))
    states, twin = native_states(game, 1), PythonStates(game, 1)
    for arena in (states, twin):
        for parent, action, node in ((0, e4, 1), (0, d4, 2), (2, d5, 3), (2, nf6, 4)):
            arena.step(*(np.array([value], np.int32) for value in (0, parent, action, node)))
        arena.advance(0, d4, np.array([2, 3, 4], np.int32))
        c4 = game.text_to_action(game.step(after_d4, nf6), "c4")
        arena.step(*(np.array([value], np.int32) for value in (0, 2, c4, 3)))
    for node in range(4):
        assert np.array_equal(planes(states, 0, node), planes(twin, 0, node))
    assert states.state(0, 3)[3] == 3  # moves played


def test_past_before_the_root_is_dropped_with_the_game() -> None:
    game = Chess()
    states = native_states(game, 1)
    states.set_root(0, actions_of(game, KNIGHTS_OUT_AND_BACK))
    assert planes(states, 0, 0)[14:112].any()
    states.reset(np.array([0], np.int32))
    assert not planes(states, 0, 0)[12:112].any()


def test_arena_of_no_trees_is_refused() -> None:
    native_states(Chess(), 1)
    with pytest.raises(ValueError, match="at least one"):
        Chess().native_states(0)
