"""The compiled arena of Connect Four equals the Python rules, position by position."""

from __future__ import annotations

import random

import numpy as np
import pytest

from alphazero.games.connect_four import ConnectFour
from alphazero.games.game import ByteArray, IntArray, PythonStates, States
from alphazero.games.states_contract import check_states

GAME = ConnectFour()


@pytest.fixture(autouse=True)
def _native_build() -> None:
    pytest.importorskip("alphazero.games.native._connect_four", reason="native rules are not built")


def native_states(num_trees: int) -> States:
    states = GAME.native_states(num_trees)
    assert states is not None
    return states


def int32(*numbers: int) -> IntArray:
    return np.array(numbers, dtype=np.int32)


def encoded(states: States, trees: IntArray, nodes: IntArray) -> ByteArray:
    out = np.full((len(trees), 2, 6, 7), 9, np.uint8)
    states.encode(trees, nodes, out)
    return out


def test_thousands_of_random_positions_are_equal() -> None:
    """300 whole games side by side, each position once: about 6,500."""
    generator = random.Random(5)
    games = 300
    native, python = native_states(games), PythonStates(GAME, games)
    playing, positions, wins, draws = np.arange(games, dtype=np.int32), 0, 0, 0
    for node in range(GAME.max_game_length + 1):
        count = len(playing)
        nodes = np.full(count, node, np.int32)
        answers = []
        for states in (native, python):
            terminal, values = np.full(count, 9, np.uint8), np.full(count, 9.0)
            states.terminal_values(playing, nodes, terminal, values)
            offsets, actions = np.full(count + 1, -1, np.int32), np.full(count * 7, -1, np.int32)
            total = states.legal_actions(playing, nodes, offsets, actions)
            answers.append((terminal, values, offsets, actions[:total], encoded(states, playing, nodes)))
        for ours, expected in zip(*answers, strict=True):
            np.testing.assert_array_equal(ours, expected)
        terminal, values, offsets, actions, _ = answers[0]
        positions += count
        wins += int((values == -1.0).sum())
        draws += int((terminal.astype(bool) & (values == 0.0)).sum())
        ongoing = np.flatnonzero(terminal == 0)
        moves = int32(*(generator.choice(actions[offsets[i] : offsets[i + 1]]) for i in ongoing))
        playing = playing[ongoing]
        for states in (native, python):
            states.step(playing, nodes[ongoing], moves, nodes[ongoing] + np.int32(1))
    assert positions > 5000
    assert (wins + draws, len(playing)) == (games, 0)
    assert draws >= 1, "the seed is chosen so that a full board is among the games"


def test_random_trees_with_moving_roots_are_equal() -> None:
    check_states(GAME, native_states(4), rounds=60, seed=2)


def test_kept_nodes_are_renumbered_in_place() -> None:
    """Root, children 0 and 3; below 3 the moves 2 and 5. Advancing by 3 keeps nodes 2, 3, 4 as 0, 1, 2."""
    states = native_states(1)
    trees = int32(0, 0, 0, 0)
    states.step(trees, int32(0, 0, 2, 2), int32(0, 3, 2, 5), int32(1, 2, 3, 4))
    before = encoded(states, int32(0, 0, 0), int32(2, 3, 4))
    states.advance(0, 3, int32(2, 3, 4))
    np.testing.assert_array_equal(encoded(states, int32(0, 0, 0), int32(0, 1, 2)), before)


def test_trees_grow_apart_and_keep_their_positions() -> None:
    """Growing one tree by thousands of nodes moves its memory; nothing in it or beside it changes."""
    states = native_states(2)
    states.set_root(1, [3, 3])
    states.step(int32(0), int32(0), int32(6), int32(1))
    expected = encoded(states, int32(0, 1), int32(1, 0))
    count = 5000
    states.step(
        np.zeros(count, np.int32),
        np.zeros(count, np.int32),
        np.full(count, 2, np.int32),
        np.arange(2, count + 2, dtype=np.int32),
    )
    np.testing.assert_array_equal(encoded(states, int32(0, 1), int32(1, 0)), expected)


def test_empty_batches_are_allowed() -> None:
    states, none = native_states(1), int32()
    states.reset(none)
    states.step(none, none, none, none)
    states.terminal_values(none, none, np.empty(0, np.uint8), np.empty(0))
    assert states.legal_actions(none, none, int32(9), none) == 0
    states.encode(none, none, np.empty((0, 2, 6, 7), np.uint8))


def test_arrays_that_do_not_fit_are_refused_before_memory_is_touched() -> None:
    states = native_states(1)
    with pytest.raises(ValueError, match="nodes has 1 entries; 2 are needed"):
        states.step(int32(0, 0), int32(0, 0), int32(1, 1), int32(1))
    with pytest.raises(ValueError, match="out has 1 entries"):
        states.encode(int32(0, 0), int32(0, 0), np.zeros((1, 2, 6, 7), np.uint8))
    with pytest.raises(ValueError, match="dtype mismatch"):
        states.reset(np.zeros(1, np.int64))


def test_arena_needs_a_tree() -> None:
    with pytest.raises(ValueError, match="at least one tree"):
        GAME.native_states(0)


def test_handle_is_the_capsule_that_compiled_drivers_ask_for() -> None:
    states = native_states(1)
    assert '"alphazero.StateArena"' in repr(states.handle)  # type: ignore[attr-defined]
