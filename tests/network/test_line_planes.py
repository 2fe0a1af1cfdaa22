"""Line planes say what each player has in the lines that are still open, in torch and in compiled code alike."""

import json
import random

import numpy as np
import pytest
import torch

from alphazero.config import NetworkConfig
from alphazero.config_loading import resolve_config
from alphazero.errors import UserError
from alphazero.games.game import Game, winning_lines
from alphazero.games.registry import get_game
from alphazero.network import line_planes
from alphazero.network.line_planes import LinePlanes
from alphazero.network.resnet import build_network, network_from_metadata, network_metadata

needs_compiled_code = pytest.mark.skipif(line_planes._native is None, reason="native code is not built")


def planes_of(game: Game) -> LinePlanes:
    return LinePlanes(winning_lines(game), game.observation_shape[1:])


def observation_after(game: Game, moves: list[int]) -> torch.Tensor:
    state = game.initial_state()
    for move in moves:
        state = game.step(state, move)
    observation = np.zeros((1, *game.observation_shape), np.uint8)
    game.encode(state, observation[0])
    return torch.from_numpy(observation)


def random_observations(game: Game, count: int) -> torch.Tensor:
    generator = random.Random(0)
    found = []
    while len(found) < count:
        moves: list[int] = []
        state = game.initial_state()
        while (legal := game.legal_actions(state)) and len(found) < count:
            found.append(observation_after(game, moves))
            moves.append(generator.choice(legal))
            state = game.step(state, moves[-1])
    return torch.cat(found)


def test_three_in_a_row_are_a_win_at_both_ends() -> None:
    # x has 1, 2 and 3 of the bottom row, o the cells above 1 and 2; o is to move
    planes = planes_of(get_game("connect_four"))(
        observation_after(get_game("connect_four"), [1, 1, 2, 2, 3])
    )[0]
    opponents_three, own_three = planes[5], planes[4]
    assert opponents_three.nonzero().tolist() == [[5, 0], [5, 4]]
    assert not own_three.any()
    own_two = planes[2]
    # row 4: 0-3, 1-4; beside both stones 0, 3 and 4 are empty, and 3 is in both lines
    assert own_two[4].tolist() == [1.0, 0.0, 0.0, 2.0, 1.0, 0.0, 0.0]


def test_an_empty_board_and_blocked_lines_give_nothing() -> None:
    game = get_game("tic_tac_toe")
    planes = planes_of(game)
    assert planes.count == 4
    assert not planes(observation_after(game, [])).any()
    # x . .      x (to move) has the left column and the diagonal through the centre taken from it
    # o o .
    # x . .
    own_one, opponents_one, own_two, opponents_two = planes(observation_after(game, [0, 3, 6, 4]))[0]
    assert own_one.flatten().tolist() == [0, 1, 1, 0, 0, 0, 0, 1, 1]
    assert opponents_one.flatten().tolist() == [0, 1, 0, 0, 0, 0, 0, 1, 0]
    assert not own_two.any()
    assert opponents_two.flatten().tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0]


@needs_compiled_code
@pytest.mark.parametrize("name", ["connect_four", "tic_tac_toe"])
def test_compiled_code_and_torch_give_the_same(name: str) -> None:
    game = get_game(name)
    observations = random_observations(game, 500)
    planes = planes_of(game)
    compiled = planes(observations)
    assert compiled.any()
    assert torch.equal(compiled, planes(observations.float()))  # floating observations go through torch
    assert planes(observations[:0]).shape == (0, planes.count, *game.observation_shape[1:])
    beside = planes.beside(observations, torch.bfloat16)
    assert beside.dtype is torch.bfloat16
    assert torch.equal(beside.float(), torch.cat([observations.float(), compiled], dim=1))
    assert torch.equal(beside, planes.beside(observations.float(), torch.bfloat16))


@needs_compiled_code
@pytest.mark.parametrize("length", [2, 3, 5, 6])
def test_lines_of_any_length_and_shape(length: int) -> None:
    generator = np.random.default_rng(length)
    lines = tuple(tuple(generator.choice(30, length, replace=False).tolist()) for _ in range(80))
    planes = LinePlanes(lines, (5, 6))
    holders = generator.choice(3, (200, 5, 6), p=[0.6, 0.2, 0.2])
    observations = torch.from_numpy(
        np.stack([holders == 1, holders == 2, holders == 7], axis=1).astype(np.uint8)
    )
    found = planes.beside(observations, torch.float32)
    assert torch.equal(found, planes.beside(observations.float(), torch.float32))
    assert found.shape[1] == 3 + 2 * (length - 1)


def test_more_lines_than_a_byte_counts_go_through_torch() -> None:
    # 300 lines through the first cell, each with a stone of the player to move in its second and two empty ones
    lines = tuple((0, 1 + line, 301 + line) for line in range(300))
    observations = torch.zeros(1, 2, 1, 601, dtype=torch.uint8)
    observations[0, 0, 0, 1:301] = 1
    assert LinePlanes(lines, (1, 601))(observations)[0, 0, 0, 0] == 300


def test_a_mirrored_board_has_mirrored_planes() -> None:
    game = get_game("connect_four")
    observations = random_observations(game, 100)
    planes = planes_of(game)
    assert torch.equal(planes(observations.flip(3)), planes(observations).flip(3))


def test_a_weights_file_knows_the_lines() -> None:
    network = build_network(get_game("connect_four"), NetworkConfig(blocks=1, filters=4, line_planes=True))
    assert network.stem.convolution.in_channels == 2 + 6
    rebuilt = network_from_metadata(network_metadata(network))
    assert rebuilt.architecture == network.architecture
    rebuilt.load_state_dict(network.state_dict())
    observations = random_observations(get_game("connect_four"), 20)
    for ours, theirs in zip(rebuilt.eval()(observations), network.eval()(observations), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "lines", [[], [[0, 1, 2, 42]], [[0, 1, 2, -1]], [[0, 1, 2, 3], [4, 5]], [["a"]], 7], ids=str
)
def test_lines_that_are_not_on_the_board_are_a_user_error(lines: object) -> None:
    network = build_network(get_game("connect_four"), NetworkConfig(blocks=1, filters=4, line_planes=True))
    architecture = json.loads(network_metadata(network)["architecture"])
    with pytest.raises(UserError, match="which network"):
        network_from_metadata({"architecture": json.dumps({**architecture, "winning_lines": lines})})


what_needs_lines = pytest.mark.parametrize("setting", ["line_planes", "ownership_head"])


@what_needs_lines
def test_connect_four_has_it_unless_told_otherwise(setting: str) -> None:
    assert getattr(resolve_config(profile="none").config.network, setting)
    plain = resolve_config(profile="none", overrides=[f"network.{setting}=false"])
    assert not getattr(plain.config.network, setting)


@what_needs_lines
def test_a_game_without_lines_refuses_it_by_name(setting: str) -> None:
    assert not getattr(resolve_config(game="chess", profile="none").config.network, setting)
    with pytest.raises(UserError, match=rf"final_network\.{setting} is true, but the game 'chess' names no"):
        resolve_config(game="chess", profile="none", overrides=[f"final_network.{setting}=true"])
    with pytest.raises(UserError, match=rf"network\.{setting} is true, but the game 'chess'"):
        build_network(get_game("chess"), NetworkConfig(**{setting: True}))
