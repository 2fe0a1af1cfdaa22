"""A grown network answers like the one it grew out of, and learns with all of its weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from alphazero.config import NetworkConfig
from alphazero.games.registry import get_game
from alphazero.network.growth import grow
from alphazero.network.resnet import PolicyValueNetwork, build_network

GAME = get_game("connect_four")
SMALL = NetworkConfig(blocks=2, filters=8, policy_filters=2, value_filters=3, value_hidden=10)


def trained(config: NetworkConfig) -> PolicyValueNetwork:
    """Return a network none of whose weights and statistics are as they were at first."""
    torch.manual_seed(1)
    network = build_network(GAME, config)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand_like(tensor))
    return network.eval()


def observations() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 2, (32, *GAME.observation_shape), generator=generator).to(torch.uint8)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"blocks": 4},
        {"filters": 12},
        {"position_bias": True},
        {"line_planes": True},
        {"ownership_head": True},
        {"policy_filters": 5, "value_filters": 4, "value_hidden": 16},
        {"blocks": 3, "filters": 12, "policy_filters": 5, "value_hidden": 16, "position_bias": True},
    ],
)
def test_a_grown_network_answers_as_before_and_learns_with_all_weights(changes: dict[str, int]) -> None:
    network = trained(SMALL)
    large = grow(network, replace(SMALL, **changes))
    assert large.architecture.config == replace(SMALL, **changes)
    for ours, theirs in zip(large.eval()(observations()), network(observations()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)

    # After a few steps nothing is 0 that was 0, or still as it was.
    before = {name: tensor.clone() for name, tensor in large.named_parameters()}
    optimizer = torch.optim.SGD(large.parameters(), lr=0.05)
    large.train()
    for _ in range(3):
        logits, values, owners = large.all_outputs(observations())
        loss = logits.square().sum(dim=1).mean() + (values - 0.5).square().mean()
        (loss if owners is None else loss + owners.square().mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, tensor in large.named_parameters():
        moved = (tensor != before[name]).float().mean()
        assert moved > 0.5, name  # relu: some filters are silent everywhere


def test_a_network_with_position_biases_keeps_them() -> None:
    network = trained(replace(SMALL, position_bias=True))
    large = grow(network, replace(SMALL, filters=10, blocks=3, position_bias=True))
    for ours, theirs in zip(large.eval()(observations()), network(observations()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_nothing_of_a_network_gets_smaller() -> None:
    biased = replace(SMALL, position_bias=True)
    asked = replace(SMALL, blocks=1, filters=9, value_hidden=9)
    assert biased.grown_to(asked) == replace(biased, filters=9)
    network = trained(biased)
    for ours, theirs in zip(
        grow(network, asked).eval()(observations()), network(observations()), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
