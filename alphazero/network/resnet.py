"""The policy and value network: a residual tower with two heads.

    observation uint8 [B, C, H, W], each plane times its scale, with `line_planes` those of line_planes.py beside them
      -> 3x3 convolution, batch norm, ReLU
      -> `blocks` residual blocks of two 3x3 convolutions each
      -> policy head: 1x1 convolution, batch norm, ReLU, linear          -> policy logits [B, A]
      -> value head:  1x1 convolution, batch norm, ReLU, linear, ReLU, linear, tanh -> values [B]

Source: Silver et al., 'Mastering the game of Go without human knowledge' (2017), Methods, 'Neural network
architecture'. Unlike there, the heads' 1x1 convolutions have a configurable number of filters (paper: 2
for the policy, 1 for the value). With `position_bias`, which the paper does not have, each batch norm of the tower is
followed by a learned bias for each filter and cell: a convolution alone does not know where on the board it is, except
near an edge. With `ownership_head` a linear layer beside the value's output says, in training alone, whose stone each
cell will hold when the game has ended (Wu, 'Accelerating Self-Play Learning in Go', 2019; there it is a convolution).

Axis letters: B batch, A actions, C planes, H rows, W columns, F filters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from alphazero.config import NetworkConfig
from alphazero.errors import UserError
from alphazero.games.game import Game, Line, require_winning_lines
from alphazero.games.registry import asked_name
from alphazero.network import fused_training
from alphazero.network.line_planes import LinePlanes

# Standard deviation of the last layer of each head: the untrained prior is near uniform, the value near 0.
_HEAD_INIT_STD = 0.01
OWNERS = 3  # of a cell: nobody, the player to move, the opponent
_ARCHITECTURE_KEY = "architecture"


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build a network, without the game at hand.

    Attributes:
        game: name of the game.
        observation_shape: (C, H, W).
        num_actions: A.
        plane_scale: [C], factor of each plane.
        config: size of the network, and what it has beside the paper's.
        winning_lines: of the game, if the network has planes of them.
    """

    game: str
    observation_shape: tuple[int, int, int]
    num_actions: int
    plane_scale: tuple[float, ...]
    config: NetworkConfig
    winning_lines: tuple[Line, ...] = ()


class PolicyValueNetwork(nn.Module):
    """The residual network described at the head of this file."""

    plane_scale: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        planes, rows, columns = architecture.observation_shape
        config = architecture.config
        self.architecture = architecture
        # Not persistent: it belongs to the game, and stands in the metadata of a weights file.
        scale = torch.tensor(architecture.plane_scale, dtype=torch.float32).view(1, planes, 1, 1)
        self.register_buffer("plane_scale", scale, persistent=False)
        board = (rows, columns) if config.position_bias else None
        self.line_planes = (
            LinePlanes(architecture.winning_lines, (rows, columns)) if config.line_planes else None
        )
        inputs = planes if self.line_planes is None else planes + self.line_planes.count
        self.stem = ConvolutionNorm(inputs, config.filters, 3, board)
        self.blocks = nn.ModuleList(ResidualBlock(config.filters, board) for _ in range(config.blocks))
        self.policy_convolution = ConvolutionNorm(config.filters, config.policy_filters, kernel=1)
        self.policy_output = nn.Linear(config.policy_filters * rows * columns, architecture.num_actions)
        self.value_convolution = ConvolutionNorm(config.filters, config.value_filters, kernel=1)
        self.value_hidden = nn.Linear(config.value_filters * rows * columns, config.value_hidden)
        self.value_output = nn.Linear(config.value_hidden, 1)
        self.ownership_output = (
            nn.Linear(config.value_hidden, OWNERS * rows * columns) if config.ownership_head else None
        )
        self._initialise()

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return (policy logits [B, A], values [B] in (-1, 1) for the player to move).

        Args:
            observations: uint8 or floating [B, C, H, W], not yet scaled.
        """
        policy_logits, values, _ = self.all_outputs(observations)
        return policy_logits, values

    def all_outputs(self, observations: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return what `forward` does and, with an ownership head, logits [B, H*W, OWNERS] of who will own each cell.

        In the order of `alphazero.training.targets`: nobody, the player to move, the opponent.
        """
        features = observations.to(self.plane_scale.dtype) * self.plane_scale
        if self.line_planes is not None:
            features = torch.cat([features, self.line_planes(observations)], dim=1)
        features = self.stem(features)
        for block in self.blocks:
            features = block(features)
        policy = self.policy_convolution(features).flatten(1)
        value = self.value_convolution(features).flatten(1)
        value = torch.relu(self.value_hidden(value))
        owners = (
            None if self.ownership_output is None else self.ownership_output(value).unflatten(1, (-1, OWNERS))
        )
        values = self.value_output(value).squeeze(1)
        # In half precision a value of more than 0.998 would be 1, and learn nothing more.
        values = torch.tanh(values.to(torch.promote_types(values.dtype, torch.float32)))
        return self.policy_output(policy), values, owners

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for output in (self.policy_output, self.value_output):
            nn.init.normal_(output.weight, std=_HEAD_INIT_STD)
            nn.init.zeros_(output.bias)


class ConvolutionNorm(nn.Module):
    """A convolution that keeps the board's size, then batch norm and ReLU: [B, in, H, W] -> [B, F, H, W].

    Args:
        board: (H, W) if a bias for each filter and cell is to be added, 0 at first; None: no such bias.
    """

    position_bias: nn.Parameter | None

    def __init__(
        self, in_channels: int, filters: int, kernel: int, board: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, filters, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(filters)
        # [1, F, H, W]: with four axes it goes channels last where the features do.
        position_bias = None if board is None else nn.Parameter(torch.zeros(1, filters, *board))
        self.register_parameter("position_bias", position_bias)

    def forward(self, features: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return relu(norm(convolution(features)) + position bias + residual); residual: [B, F, H, W]."""
        if self.training and fused_training.is_usable(features):
            return fused_training.convolution_norm(
                features, self.convolution, self.norm, self.position_bias, residual
            )
        result: Tensor = self.norm(self.convolution(features))
        if self.position_bias is not None:
            # Under autocast a sum of two precisions would be float32, and so would all that follows.
            position_bias = self.position_bias.to(result.dtype)
            if self.training and result.is_cpu:
                result = _AddToEachPosition.apply(result, position_bias)  # type: ignore[no-untyped-call]
            else:
                result = result + position_bias
        return torch.relu(result if residual is None else residual + result)


class _AddToEachPosition(torch.autograd.Function):
    """Features [B, F, H, W] + bias [1, F, H, W], for the CPU.

    The gradient of the bias is a sum over B, which takes a CPU a fifth of the time as a product with ones.
    """

    @staticmethod
    def forward(context: Any, features: Tensor, bias: Tensor) -> Tensor:
        return features + bias

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        cells_first = gradient.permute(0, 2, 3, 1)  # as channels last lie in memory
        sums = gradient.new_ones(1, len(gradient)) @ cells_first.flatten(1)
        return gradient, sums.view(1, *cells_first.shape[1:]).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))), all [B, F, H, W]; `board`: see `ConvolutionNorm`."""

    def __init__(self, filters: int, board: tuple[int, int] | None) -> None:
        super().__init__()
        self.first = ConvolutionNorm(filters, filters, 3, board)
        self.second = ConvolutionNorm(filters, filters, 3, board)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(features), residual=features)
        return result


def build_network(game: Game, config: NetworkConfig) -> PolicyValueNetwork:
    """Return a freshly initialised network for `game`, on the CPU; draws from torch's global generator.

    Raises UserError for `line_planes` or `ownership_head` in a game that names no winning lines.
    """
    if config.ownership_head:
        require_winning_lines(game, "network.ownership_head")
    lines = require_winning_lines(game, "network.line_planes") if config.line_planes else ()
    return PolicyValueNetwork(
        Architecture(
            # A game's numbers may be NumPy's, of which json takes none.
            game=asked_name(game),
            observation_shape=_shape(game.observation_shape),
            num_actions=int(game.num_actions),
            plane_scale=tuple(float(scale) for scale in game.plane_scale),
            config=config,
            winning_lines=_lines(lines),
        )
    )


def network_metadata(network: PolicyValueNetwork) -> dict[str, str]:
    """Return what a weights file says about its network, as text for its header."""
    return {_ARCHITECTURE_KEY: json.dumps(asdict(network.architecture), sort_keys=True)}


def network_from_metadata(metadata: Mapping[str, str]) -> PolicyValueNetwork:
    """Build the network that `network_metadata` described; its weights are still to be loaded.

    Raises UserError if the description is missing or not understood.
    """
    try:
        fields: dict[str, Any] = json.loads(metadata[_ARCHITECTURE_KEY])
        architecture = Architecture(
            game=str(fields["game"]),
            observation_shape=_shape(fields["observation_shape"]),
            num_actions=int(fields["num_actions"]),
            plane_scale=tuple(float(scale) for scale in fields["plane_scale"]),
            config=_network_config(fields["config"]),
            winning_lines=_lines(fields.get("winning_lines", ())),
        )
        return PolicyValueNetwork(architecture)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"the weights do not say which network they belong to ({type(error).__name__}: {error}); "
            "they were not written by this version of alphazero: use a checkpoint that was"
        ) from error


def _network_config(settings: Mapping[str, Any]) -> NetworkConfig:
    """Return the settings in a weights file; one that is younger than the file has its default, the paper's network."""
    types = {name: type(default) for name, default in asdict(NetworkConfig()).items()}
    return NetworkConfig(**{name: types[name](value) for name, value in settings.items()})


def _shape(numbers: Iterable[int]) -> tuple[int, int, int]:
    planes, rows, columns = (int(number) for number in numbers)
    return planes, rows, columns


def _lines(lines: Iterable[Iterable[int]]) -> tuple[Line, ...]:
    return tuple(tuple(map(int, line)) for line in lines)
