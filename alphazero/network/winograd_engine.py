"""The CPU engine that computes each position from its stones to its answers within a core's own cache.

What PyTorch's operators do layer by layer for a whole batch, `winograd.h` does position by position in compiled code,
with Winograd's convolutions. Here its weights are prepared. Measured in docs/decisions/0033-a-position-at-a-time.md.

Axis letters: F filters (outputs), C channels (inputs), N = H * W cells, A actions.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from alphazero.errors import UserError
from alphazero.games.game import Line
from alphazero.native_import import compiled_module
from alphazero.network.engine_protocol import FloatArray, Observations, in_pieces
from alphazero.network.folding import Folding, StateDict
from alphazero.network.resnet import PolicyValueNetwork

_native: Any = compiled_module("alphazero.network._winograd")

# G of F(3, 3), with the points 0, 1, -1/2, -2 and infinity, and of F(2, 3): Lavin and Gray, 'Fast algorithms for
# convolutional neural networks' (2015). The other matrices stand in winograd_tower.h.
_DOWN = torch.tensor(
    [[-1, 0, 0], [2 / 9, 2 / 9, 2 / 9], [8 / 9, -4 / 9, 2 / 9], [-1 / 9, 2 / 9, -4 / 9], [0, 0, 1]],
    dtype=torch.float64,
)
_ACROSS = torch.tensor(
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float64
)
_MOST_CELLS = 15  # of a line
_MOST_LINES = 255  # through a cell
AnyArray = npt.NDArray[Any]


def instruction_set(half: bool) -> Any | None:
    """Return the fastest `_winograd.InstructionSet` of this processor, or None if it has none or nothing is compiled.

    Args:
        half: bfloat16 will do.
    """
    if _native is None:
        return None
    here = (known for known in _native.instruction_sets() if half or known.word_channels == 1)
    return next(here, None)


def counts_lines(lines: tuple[Line, ...]) -> bool:
    """Return whether `winograd.h`, which counts in half bytes and bytes, computes the planes of such lines."""
    through_cells = Counter(chain.from_iterable(lines))
    return max(map(len, lines), default=0) <= _MOST_CELLS and all(
        number <= _MOST_LINES for number in through_cells.values()
    )


class WinogradEngine:
    """`InferenceEngine` for one core of an x86-64 processor with AVX2, AVX-512 or AVX-512 BF16.

    Filters are padded to multiples of 8 (AVX2) or 16.

    Args:
        half: multiply in bfloat16, and add in float32, if this CPU has instructions for it.
    """

    def __init__(
        self, network: PolicyValueNetwork, device: torch.device, max_batch: int, half: bool = False
    ) -> None:
        if device.type != "cpu":
            raise UserError("engine 'winograd' runs on a CPU only; on CUDA use 'graphs', 'eager' or 'auto'")
        instructions = instruction_set(half)
        if instructions is None:
            raise UserError(
                "engine 'winograd' needs an x86-64 processor with AVX2 and compiled code (`make build`, with GCC or "
                "Clang); use 'frozen' or 'auto'"
            )
        architecture = network.architecture
        config = architecture.config
        if not counts_lines(architecture.winning_lines):
            raise UserError(
                f"engine 'winograd' computes line_planes for winning lines of up to {_MOST_CELLS} cells, up to "
                f"{_MOST_LINES} of them through a cell; use 'frozen' or 'auto'"
            )
        planes, rows, columns = architecture.observation_shape
        self.max_batch = max_batch
        self.name = "winograd bfloat16" if instructions.word_channels == 2 else "winograd"
        self._word_channels = instructions.word_channels
        self._folding = Folding(network)
        self._cells = rows * columns
        self._actions = architecture.num_actions
        self._lanes = instructions.lanes
        sizes = {
            "rows": rows,
            "columns": columns,
            "planes": planes,
            "filters": _rounded_up(config.filters, self._lanes),
            "blocks": config.blocks,
            "policy_filters": _rounded_up(config.policy_filters, self._word_channels),
            "value_filters": _rounded_up(config.value_filters, self._word_channels),
            "value_hidden": config.value_hidden,
            "actions": self._actions,
        }
        lines = np.array(architecture.winning_lines, np.int32) if config.line_planes else None
        self._evaluator = _native.Evaluator(instructions.name, sizes, lines)
        self.load_weights(network.state_dict())

    def evaluate(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        return in_pieces(self._evaluate_piece, observations, self.max_batch)

    @torch.inference_mode()
    def load_weights(self, state_dict: StateDict) -> None:
        *tower, policy, value = (
            (name, *self._folding.convolution(state_dict, name)) for name in self._folding.layers
        )
        layers = [self._tower_layer(*layer, state_dict) for layer in tower]
        heads = torch.cat([_padded(layer[1], 0, self._word_channels) for layer in (policy, value)]).flatten(1)
        bias = torch.cat([_padded(layer[2], 0, self._word_channels) for layer in (policy, value)])
        layers.append((self._packed(_padded(heads, 1, self._lanes)[None]), self._padded_bias(bias)))
        for name in ("policy_output", "value_hidden"):
            weight = state_dict[f"{name}.weight"].detach().to("cpu", torch.float64)
            # Inputs in the order (cell, filter), in which the heads' features lie.
            weight = _padded(weight.view(len(weight), -1, self._cells), 1, self._word_channels)
            packed = self._packed(weight.transpose(1, 2).flatten(1)[None])
            layers.append((packed, self._padded_bias(state_dict[f"{name}.bias"])))
        layers.append((_floats(state_dict["value_output.weight"]), _floats(state_dict["value_output.bias"])))
        self._evaluator.load(layers)

    def _evaluate_piece(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        logits = np.empty((len(observations), self._actions), np.float32)
        values = np.empty(len(observations), np.float32)
        self._evaluator.evaluate(observations, logits, values)
        return logits, values

    def _tower_layer(
        self, name: str, weight: Tensor, bias: Tensor, state_dict: StateDict
    ) -> tuple[AnyArray, FloatArray]:
        """Return packed weights and the biases [N, F] of a 3x3 convolution, [F, C, 3, 3]."""
        if name == "stem":  # tap by tap, each tap's channels padded to whole words
            taps = _padded(weight.permute(0, 2, 3, 1), -1, self._word_channels)
            packed = self._packed(taps.flatten(1)[None])
        else:
            transformed = _DOWN @ weight @ _ACROSS.T
            packed = self._packed(_padded(transformed.permute(2, 3, 0, 1).flatten(0, 1), -1, self._lanes))
        biases = bias.expand(self._cells, -1)
        position_bias = state_dict.get(f"{name}.position_bias")
        if position_bias is not None:
            biases = biases + position_bias.detach().to("cpu", torch.float64).flatten(2)[0].T
        return packed, _floats(_padded(biases, -1, self._lanes))

    def _packed(self, matrices: Tensor) -> AnyArray:
        """Return matrices [M, F, C] as `winograd.h` reads them, flat: in bfloat16 (as int16) or float32.

        [M, words of C, F, channels of a word], F and C padded.
        """
        matrices = _padded(_padded(matrices, 1, self._lanes), 2, self._word_channels)
        words = matrices.view(*matrices.shape[:2], -1, self._word_channels).transpose(1, 2).flatten()
        if self._word_channels == 1:
            return _floats(words)
        array: AnyArray = words.to(torch.bfloat16).view(torch.int16).numpy()
        return array

    def _padded_bias(self, bias: Tensor) -> FloatArray:
        return _floats(_padded(bias, 0, self._lanes))


def _rounded_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _padded(tensor: Tensor, axis: int, multiple: int) -> Tensor:
    """Return `tensor` with zeros at the end of an axis, as many as make its length a multiple."""
    shape = list(tensor.shape)
    shape[axis] = -shape[axis] % multiple
    return torch.cat([tensor, tensor.new_zeros(shape)], dim=axis)


def _floats(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.detach().to("cpu", torch.float32).contiguous().numpy().copy()
    return array
