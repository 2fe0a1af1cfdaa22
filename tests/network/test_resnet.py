"""The network's shapes, its scale, its start, and what a weights file says about it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from alphazero.config import NetworkConfig
from alphazero.errors import UserError
from alphazero.games.contract import check_attributes
from alphazero.games.registry import get_game
from alphazero.games.tic_tac_toe import TicTacToe
from alphazero.network.resnet import (
    Architecture,
    PolicyValueNetwork,
    build_network,
    network_from_metadata,
    network_metadata,
)

SMALL = NetworkConfig(blocks=1, filters=8)


@pytest.mark.parametrize("name", ["connect_four", "tic_tac_toe"])
def test_answers_have_one_logit_an_action_and_a_value_between_minus_one_and_one(name: str) -> None:
    game = get_game(name)
    torch.manual_seed(0)
    network = build_network(game, SMALL).eval()
    observations = torch.randint(0, 2, (5, *game.observation_shape), dtype=torch.uint8)
    logits, values = network(observations)
    assert logits.shape == (5, game.num_actions)
    assert values.shape == (5,)
    assert bool((values.abs() < 1).all())


def test_untrained_prior_is_near_uniform_and_value_near_zero() -> None:
    game = get_game("connect_four")
    torch.manual_seed(0)
    network = build_network(game, NetworkConfig()).eval()
    with torch.inference_mode():
        logits, values = network(torch.randint(0, 2, (64, *game.observation_shape), dtype=torch.uint8))
    assert float((torch.softmax(logits, dim=1) - 1 / game.num_actions).abs().max()) < 0.1
    assert float(values.abs().max()) < 0.3


def test_planes_are_multiplied_by_their_scale() -> None:
    architecture = Architecture("scaled", (2, 3, 3), 9, (1.0, 0.01), SMALL)
    torch.manual_seed(0)
    network = PolicyValueNetwork(architecture).eval()
    counts = torch.zeros((1, 2, 3, 3), dtype=torch.uint8)
    counts[:, 1] = 50  # 50 * 0.01 = 0.5
    already_scaled = torch.zeros((1, 2, 3, 3))
    already_scaled[:, 1] = 0.5
    network_without_scale = PolicyValueNetwork(
        Architecture("unscaled", (2, 3, 3), 9, (1.0, 1.0), SMALL)
    ).eval()
    network_without_scale.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(counts), network_without_scale(already_scaled))


def test_metadata_rebuilds_the_same_architecture() -> None:
    for position_bias in (False, True):
        config = NetworkConfig(blocks=2, filters=16, position_bias=position_bias)
        network = build_network(get_game("connect_four"), config)
        rebuilt = network_from_metadata(network_metadata(network))
        assert rebuilt.architecture == network.architecture
        assert rebuilt.architecture.config.position_bias is position_bias
        assert list(rebuilt.state_dict()) == list(network.state_dict())


def test_metadata_of_a_game_whose_numbers_are_numpys() -> None:
    class Counted(TicTacToe):
        num_actions = np.int64(9)  # type: ignore[assignment]
        observation_shape = (np.int32(2), np.int64(3), np.uint8(3))  # type: ignore[assignment]
        plane_scale = (np.float32(1.0), np.int64(1))  # type: ignore[assignment]
        winning_lines = tuple(tuple(np.array(line)) for line in TicTacToe.winning_lines)

    check_attributes(Counted())
    config = replace(SMALL, line_planes=True)
    assert network_metadata(build_network(Counted(), config)) == network_metadata(
        build_network(TicTacToe(), config)
    )


def test_metadata_from_before_there_were_position_biases_means_a_network_without() -> None:
    network = build_network(get_game("connect_four"), SMALL)
    architecture = json.loads(network_metadata(network)["architecture"])
    del architecture["config"]["position_bias"]
    assert (
        network_from_metadata({"architecture": json.dumps(architecture)}).architecture == network.architecture
    )


def test_position_biases_are_zeros_of_the_tower_and_leave_the_other_weights_alone() -> None:
    networks = []
    for position_bias in (False, True):
        torch.manual_seed(0)
        config = NetworkConfig(blocks=1, filters=8, position_bias=position_bias)
        networks.append(build_network(get_game("connect_four"), config))
    without, biased = (network.state_dict() for network in networks)
    added = {f"{layer}.position_bias" for layer in ("stem", "blocks.0.first", "blocks.0.second")}
    assert biased.keys() - without.keys() == added
    assert without.keys() < biased.keys()
    assert all(torch.equal(tensor, biased[name]) for name, tensor in without.items())
    assert all(torch.equal(biased[name], torch.zeros(1, 8, 6, 7)) for name in added)


def test_position_biases_tell_the_cells_of_an_empty_board_apart() -> None:
    torch.manual_seed(0)
    network = build_network(
        get_game("connect_four"), NetworkConfig(blocks=1, filters=8, position_bias=True)
    ).eval()
    empty = torch.zeros((1, 2, 6, 7), dtype=torch.uint8)
    bias = network.stem.position_bias
    assert bias is not None
    with torch.inference_mode():
        assert not network.stem(empty.float()).any()
        bias[0, 3, 5, 2] = 1.0
        assert network.stem(empty.float()).nonzero().tolist() == [[0, 3, 5, 2]]


def test_gradients_of_position_biases_are_right() -> None:
    config = NetworkConfig(blocks=1, filters=3, position_bias=True)
    stem = build_network(get_game("connect_four"), config).stem.double()
    observations = torch.randn(4, 2, 6, 7, dtype=torch.float64)

    def biased(position_bias: torch.Tensor) -> torch.Tensor:
        parameters = {"position_bias": position_bias}
        return torch.func.functional_call(stem, parameters, observations).square()

    for layout in (torch.contiguous_format, torch.channels_last):
        position_bias = torch.randn(1, 3, 6, 7, dtype=torch.float64).contiguous(memory_format=layout)
        assert torch.autograd.gradcheck(biased, position_bias.requires_grad_())


def test_under_autocast_position_biases_keep_the_precision_of_the_convolutions() -> None:
    config = NetworkConfig(blocks=1, filters=8, position_bias=True)
    network = build_network(get_game("connect_four"), config)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network.stem(torch.ones(2, 2, 6, 7)).dtype == torch.bfloat16


@pytest.mark.parametrize("text", ["not json", "{}", '{"game": "x", "observation_shape": [1]}', "[]"])
def test_metadata_that_is_not_understood_is_a_user_error(text: str) -> None:
    with pytest.raises(UserError, match="which network"):
        network_from_metadata({"architecture": text})


def test_a_value_that_is_wrong_and_sure_of_itself_learns_in_half_precision_too() -> None:
    """In bfloat16 the tanh of 4 is 1, and its derivative 0."""
    game = get_game("connect_four")
    network = build_network(game, SMALL)
    with torch.no_grad():
        network.value_output.weight.zero_()
        network.value_output.bias.fill_(4.0)
    observations = torch.zeros((2, *game.observation_shape), dtype=torch.uint8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, values = network(observations)
    assert values.dtype == torch.float32
    (values + 1.0).square().mean().backward()
    assert network.value_output.bias.grad is not None
    # 2 (y + 1) (1 - y^2), y = tanh(4)
    assert float(network.value_output.bias.grad) == pytest.approx(0.00535, rel=0.02)
