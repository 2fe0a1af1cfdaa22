"""The folded network for CPUs, in oneDNN's fused operators: rectifying and adding cost no pass of their own.

PyTorch has them for the code that `torch.compile` generates (`torch.ops.mkldnn`); they are not part of its public
interface. So `fused_operators_work` tries them out before they are used.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from alphazero.network.folding import CHANNELS_LAST, FoldedNetwork
from alphazero.network.resnet import PolicyValueNetwork

_ROWS = 128  # weights are packed for batches of so many; others are as right


class FusedNetwork(FoldedNetwork):
    """The same function as `FoldedNetwork`, channels last on a CPU, with packed weights and fused operators.

    The linear layers of the heads take their inputs in the order (row, column, filter), in which they lie in memory.
    """

    def __init__(self, network: PolicyValueNetwork, dtype: torch.dtype) -> None:
        _, *self._board = network.architecture.observation_shape
        super().__init__(network, torch.device("cpu"), dtype, CHANNELS_LAST)

    def _store(self, name: str, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        if weight.dim() == 4:
            self._parameters[name] = _packed(weight.to(dtype), self._board), bias.to(dtype)
            return
        if name in ("policy_output", "value_hidden"):
            cells = self._board[0] * self._board[1]
            weight = weight.view(len(weight), -1, cells).transpose(1, 2).flatten(1)
        self._parameters[name] = _packed_linear(weight.to(dtype)), bias.to(dtype)

    def _convolve_relu(self, name: str, features: Tensor) -> Tensor:
        position_bias = self._position_biases.get(name)
        if position_bias is None:
            return _convolution_relu(features, *self._parameters[name])
        # A copy even for one row, where `contiguous` would return the bias itself: the answer takes its place.
        added = position_bias.expand(len(features), -1, -1, -1).clone(memory_format=torch.channels_last)
        return _convolution_add_relu(features, *self._parameters[name], added)

    def _convolve_add_relu(self, name: str, features: Tensor, added: Tensor) -> Tensor:
        position_bias = self._position_biases.get(name)
        if position_bias is not None:
            added.add_(position_bias)
        return _convolution_add_relu(features, *self._parameters[name], added)

    def _head(self, name: str, features: Tensor) -> Tensor:
        return self._convolve_relu(name, features).permute(0, 2, 3, 1).flatten(1).to(torch.float32)

    def _linear_relu(self, name: str, features: Tensor) -> Tensor:
        return _linear(features, *self._parameters[name], "relu")

    def _linear(self, name: str, features: Tensor) -> Tensor:
        return _linear(features, *self._parameters[name], "none")


@cache
def fused_operators_work(dtype: torch.dtype) -> bool:
    """Return whether this PyTorch has the fused operators and they compute on this CPU what they are to compute."""
    generator = torch.Generator().manual_seed(0)
    features, added = (torch.randn(4, 16, 6, 7, generator=generator).to(dtype) for _ in range(2))
    features, added = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (features, added))
    weight = (torch.randn(16, 16, 3, 3, generator=generator) / 12).to(dtype)
    bias = torch.randn(16, generator=generator).to(dtype)
    rows, matrix, offsets = (torch.randn(shape, generator=generator) for shape in ((4, 40), (16, 40), (16,)))
    expected_rows = functional.linear(rows, matrix, offsets)
    expected = functional.conv2d(features.float(), weight.float(), bias.float(), padding=1)
    try:
        packed, packed_matrix = _packed(weight, [6, 7]), _packed_linear(matrix)
        answers = [
            (_convolution_relu(features, packed, bias), expected.relu()),
            (_convolution_add_relu(features, packed, bias, added.clone()), (expected + added).relu()),
            (_linear(rows, packed_matrix, offsets, "none"), expected_rows),
            (_linear(rows, packed_matrix, offsets, "relu"), expected_rows.relu()),
        ]
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    return all(torch.allclose(answer.float(), wanted, rtol=0.03, atol=0.03) for answer, wanted in answers)


def _packed(weight: Tensor, board: list[int]) -> Tensor:
    """Return the weight of a convolution, [F, C, K, K], in the layout that oneDNN computes with."""
    padding = weight.shape[-1] // 2
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight.contiguous(memory_format=torch.channels_last),
        [padding, padding],
        [1, 1],
        [1, 1],
        1,
        [_ROWS, weight.shape[1], *board],
    )
    return packed


def _convolution_relu(features: Tensor, packed: Tensor, bias: Tensor) -> Tensor:
    padding = packed.shape[-1] // 2
    convolved: Tensor = torch.ops.mkldnn._convolution_pointwise(
        features, packed, bias, [padding, padding], [1, 1], [1, 1], 1, "relu", [], ""
    )
    return convolved


def _convolution_add_relu(features: Tensor, packed: Tensor, bias: Tensor, added: Tensor) -> Tensor:
    """Return relu(convolution + added), which takes the place of `added`."""
    padding = packed.shape[-1] // 2
    torch.ops.mkldnn._convolution_pointwise_.binary(
        added, features, packed, bias, [padding, padding], [1, 1], [1, 1], 1, "add", 1.0, "relu", [], ""
    )
    return added


def _packed_linear(weight: Tensor) -> Tensor:
    """Return the weight of a linear layer, float32 [outputs, inputs], in the layout that oneDNN computes with."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)
    return packed


def _linear(features: Tensor, packed: Tensor, bias: Tensor, then: str) -> Tensor:
    """Return a linear layer's answers, `then` "relu" or "none"."""
    answers: Tensor = torch.ops.mkldnn._linear_pointwise(features, packed, bias, then, [], "")
    return answers
