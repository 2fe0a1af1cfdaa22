"""Players choose legal moves, see what is in front of them, and draw from the game's own stream."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from alphazero.config import InferenceConfig, NetworkConfig, SearchConfig
from alphazero.errors import UserError
from alphazero.evaluation.agents import PURE_MCTS, RANDOM, Agent, Setting, make_player, make_policy_player
from alphazero.evaluation.exhaustive import solve_game
from alphazero.evaluation.players import (
    NetworkPlayer,
    PolicyPlayer,
    PositionReader,
    PureMctsPlayer,
    RandomPlayer,
)
from alphazero.evaluation.rollouts import RandomRollouts, next_random, random_below
from alphazero.games.connect_four import ConnectFour
from alphazero.games.game import ByteArray, Game, PythonStates
from alphazero.games.registry import get_game
from alphazero.mcts.search import Evaluator, LogitArray

# The player to move has three in column 3, the opponent three in column 0: column 3 wins at once.
WIN_IN_ONE = (3, 0, 3, 0, 3, 0)
# The opponent threatens column 0; every other move loses at once.
MUST_BLOCK = (3, 0, 3, 0, 6, 0)
SEARCH = replace(SearchConfig(), simulations=100)


def streams(count: int, start: int = 0) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.arange(start, start + count, dtype=np.uint64)


def test_splitmix_gives_its_published_numbers() -> None:
    # First outputs of SplitMix64 from the seed 0.
    state = np.zeros(1, np.uint64)
    assert [int(next_random(state)[0]) for _ in range(2)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_random_below_is_even() -> None:
    drawn = random_below(streams(7000), np.full(7000, 7, np.int32))
    assert set(drawn.tolist()) == set(range(7))
    assert all(850 < count < 1150 for count in Counter(drawn.tolist()).values())


def test_the_random_player_plays_every_legal_move(connect_four: Game) -> None:
    full_column = (3, 3, 3, 3, 3, 3)
    moves = RandomPlayer(connect_four).choose_moves([full_column] * 300, streams(300))
    assert set(moves) == {0, 1, 2, 4, 5, 6}


@pytest.mark.parametrize("position", [WIN_IN_ONE, MUST_BLOCK])
def test_searching_players_win_and_block(
    connect_four: Game, uniform: Evaluator, position: tuple[int, ...]
) -> None:
    expected = 3 if position == WIN_IN_ONE else 0
    network = NetworkPlayer(connect_four, uniform, SEARCH, "uniform")
    assert network.choose_moves([position, position], streams(2)) == [expected, expected]
    assert PureMctsPlayer(connect_four, SEARCH).choose_moves([position], streams(1)) == [expected]


def test_a_choice_does_not_depend_on_the_other_games(connect_four: Game) -> None:
    player = PureMctsPlayer(connect_four, replace(SEARCH, simulations=20))
    positions = [(), (3,), (3, 3), (2, 4, 1)]
    together = player.choose_moves(positions, streams(4))
    alone = [player.choose_moves([p], streams(1, start=i))[0] for i, p in enumerate(positions)]
    assert together == alone


def test_pure_mcts_is_the_same_opponent_however_the_agent_searches(connect_four: Game) -> None:
    positions = [tuple(np.random.default_rng(i).integers(0, 7, 4).tolist()) for i in range(60)]
    exploring = replace(
        SEARCH,
        c_puct_init=0.5,
        c_puct_base=20.0,
        first_play_urgency="parent",
        first_play_value=0.5,
        solver=True,
    )
    moves, moves_exploring = (
        PureMctsPlayer(connect_four, replace(config, simulations=40)).choose_moves(positions, streams(60))
        for config in (SEARCH, exploring)
    )
    assert moves == moves_exploring


def test_the_policy_player_takes_the_best_legal_logit_and_the_lowest_of_equals(connect_four: Game) -> None:
    def evaluate(observations: ByteArray) -> tuple[LogitArray, LogitArray]:
        logits = np.tile(np.array([0, 1, 1, 5, 0, 0, 0], np.float32), (len(observations), 1))
        return logits, np.full(len(observations), 0.25, np.float32)

    player = PolicyPlayer(connect_four, evaluate)
    moves, values = player.choose_and_value([(), (3, 3, 3, 3, 3, 3)])
    assert moves == [3, 1]  # column 3 is full in the second
    assert values == [0.25, 0.25]


def test_the_reader_agrees_with_the_plain_rules_beyond_one_arena(connect_four: Game) -> None:
    positions = [tuple(np.random.default_rng(i).integers(0, 7, 4).tolist()) for i in range(300)]
    reader = PositionReader(connect_four)
    offsets, actions = reader.legal_actions(positions)
    observations = reader.observations(positions)
    expected = np.zeros(connect_four.observation_shape, np.uint8)
    for row, position in enumerate(positions):
        state = connect_four.initial_state()
        for move in position:
            state = connect_four.step(state, move)
        assert actions[offsets[row] : offsets[row + 1]].tolist() == connect_four.legal_actions(state)
        connect_four.encode(state, expected)
        np.testing.assert_array_equal(observations[row], expected)


@pytest.mark.parametrize("kind", [RANDOM, "network", PURE_MCTS])
def test_without_native_rules_nobody_asks_for_them(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(game: Game, num_trees: int) -> None:
        raise UserError("built but cannot be loaded")

    monkeypatch.setattr(ConnectFour, "native_states", fail)
    agent = Agent(kind, kind, "connect_four", network=NetworkConfig(blocks=0, filters=4))
    search = SearchConfig(simulations=8, native_rules=False)
    setting = Setting(search, InferenceConfig(device="cpu"), pure_mcts_simulations=8)
    positions = [(3, 3, 3, 3, 3, 3), ()]
    answers = [make_player(agent, setting).choose_moves(positions, streams(2))]
    if agent.has_network:
        answers.append(make_policy_player(agent, setting).choose_and_value(positions)[0])
    for moves in answers:
        assert moves[0] in {0, 1, 2, 4, 5, 6} and moves[1] in range(7)


def test_rollouts_are_for_the_player_to_move() -> None:
    # With one cell left there is one way to go on, and the value is minus that of the finished game.
    game = get_game("tic_tac_toe")
    solved = solve_game(game)
    assert solved is not None
    last_moves = [each for each in solved if len(each.moves) == 8]
    states = PythonStates(game, len(last_moves))
    for tree, each in enumerate(last_moves):
        states.set_root(tree, each.moves)
    trees = np.arange(len(last_moves), dtype=np.int32)
    rollouts = RandomRollouts(game, states, len(last_moves))
    _, values = rollouts.evaluate(trees, np.zeros_like(trees), streams(len(last_moves)))
    assert values.tolist() == [each.result for each in last_moves]
    assert {0.0, 1.0} == set(values.tolist())


@pytest.mark.parametrize("game_name", ["connect_four", "chess"])
def test_compiled_rollouts_are_those_of_python(game_name: str) -> None:
    game = get_game(game_name)
    native = game.native_states(4)
    if native is None:
        pytest.skip("the native rules are not built")
    python = PythonStates(game, 4)
    for states in (native, python):
        for tree in range(4):
            states.set_root(tree, (game.legal_actions(game.initial_state())[tree],))
    answers = []
    for states in (native, python):
        rollouts, own, values = RandomRollouts(game, states, 4), streams(4), []
        for trees in ([0, 1, 2, 3], [3, 1], [2], []):  # any trees, in any order: each has its own stream
            chosen = np.array(trees, np.int32)
            logits, leaf_values = rollouts.evaluate(chosen, np.zeros_like(chosen), own)
            assert logits.shape == (len(trees), game.num_actions)
            values.append(leaf_values.tolist())
        answers.append((values, own.tolist()))
    assert answers[0] == answers[1]
    assert answers[0][1] != streams(4).tolist()
