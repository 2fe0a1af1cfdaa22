"""The optional CPU engine that runs on OpenVINO (`pip install alphazero-suite[openvino]`).

Measured against the others in docs/decisions/0003-cpu-engine.md. The network is written down once more, as an
OpenVINO graph; compiling it folds batch norm and plane scales into the convolutions and packs the weights, so
new weights mean compiling again: about a tenth of a second, which only pays where weights change rarely.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import torch

from alphazero.errors import UserError
from alphazero.network.engine_protocol import FloatArray, Observations, in_pieces
from alphazero.network.folding import StateDict
from alphazero.network.frozen_engine import computes_in_bfloat16
from alphazero.network.resnet import PolicyValueNetwork


def has_openvino() -> bool:
    """Return whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


class OpenVinoEngine:
    """`InferenceEngine` for a CPU, on as many threads as torch uses in this process.

    Args:
        half: compute in bfloat16 if this CPU has instructions for it.
    """

    def __init__(
        self, network: PolicyValueNetwork, device: torch.device, max_batch: int, half: bool = False
    ) -> None:
        if device.type != "cpu":
            raise UserError("engine 'openvino' runs on a CPU only; on CUDA use 'graphs', 'eager' or 'auto'")
        if not has_openvino():
            raise UserError(
                "engine 'openvino' is not installed; run `pip install openvino`, or use 'frozen' or 'auto'"
            )
        import openvino

        bfloat16 = half and computes_in_bfloat16()
        self.name = "openvino bfloat16" if bfloat16 else "openvino"
        self.max_batch = max_batch
        self._architecture = network.architecture
        self._plane_scale = network.plane_scale.numpy()
        self._line_planes = network.line_planes
        self._norm_eps = network.stem.norm.eps
        self._core: Any = openvino.Core()
        self._settings = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        }
        self.load_weights(network.state_dict())

    def evaluate(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        return in_pieces(self._evaluate_piece, observations, self.max_batch)

    def load_weights(self, state_dict: StateDict) -> None:
        model = self._model({name: tensor.float().cpu().numpy() for name, tensor in state_dict.items()})
        self._request = self._core.compile_model(model, "CPU", self._settings).create_infer_request()

    def _evaluate_piece(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        if len(observations) == 0:
            return np.zeros((0, self._architecture.num_actions), np.float32), np.zeros(0, np.float32)
        answers = self._request.infer({0: observations}, share_inputs=True)
        return answers[0], answers[1]

    def _model(self, weights: dict[str, FloatArray]) -> Any:
        """Return `PolicyValueNetwork.forward` as an OpenVINO model with these weights."""
        from openvino import Model, opset13

        def convolve(name: str, features: Any) -> Any:
            weight = weights[f"{name}.convolution.weight"]
            edge = weight.shape[-1] // 2
            features = opset13.convolution(features, weight, [1, 1], [edge, edge], [edge, edge], [1, 1])
            norm = [
                weights[f"{name}.norm.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
            ]
            features = opset13.batch_norm_inference(features, *norm, self._norm_eps)
            position_bias = weights.get(f"{name}.position_bias")
            return features if position_bias is None else opset13.add(features, position_bias)

        def linear(name: str, features: Any) -> Any:
            product = opset13.matmul(features, weights[f"{name}.weight"], False, True)
            return opset13.add(product, weights[f"{name}.bias"])

        def head(name: str, features: Any) -> Any:
            flat = np.array([0, -1], np.int64)
            return opset13.reshape(opset13.relu(convolve(name, features)), flat, True)

        observations = opset13.parameter([-1, *self._architecture.observation_shape], np.uint8)
        stones = opset13.convert(observations, "f32")
        features = opset13.multiply(stones, self._plane_scale)
        if self._line_planes is not None:
            features = opset13.concat([features, self._planes_of_lines(stones)], axis=1)
        features = opset13.relu(convolve("stem", features))
        for block in range(self._architecture.config.blocks):
            inner = opset13.relu(convolve(f"blocks.{block}.first", features))
            features = opset13.relu(opset13.add(convolve(f"blocks.{block}.second", inner), features))
        hidden = opset13.relu(linear("value_hidden", head("value_convolution", features)))
        values = opset13.tanh(opset13.squeeze(linear("value_output", hidden), np.array([1], np.int64)))
        policy_logits = linear("policy_output", head("policy_convolution", features))
        return Model([policy_logits, values], [observations], "policy_value_network")

    def _planes_of_lines(self, observations: Any) -> Any:
        """Return `LinePlanes.forward` as part of an OpenVINO model."""
        from openvino import opset13

        assert self._line_planes is not None
        _, rows, columns = self._architecture.observation_shape
        cells_in_lines = self._line_planes.cells_in_lines.numpy()
        both = np.array([0, 1], np.int64)
        channels = np.int64(1)
        players = opset13.gather(observations, both, channels)
        stones = opset13.reshape(players, np.array([0, 2, rows * columns], np.int64), True)
        in_lines = opset13.matmul(stones, cells_in_lines, False, False)
        others = opset13.gather(in_lines, both[::-1].copy(), channels)
        length = np.float32(self._line_planes.length)
        alone = opset13.unsqueeze(opset13.subtract(in_lines, opset13.multiply(others, length)), np.int64(1))
        open_lines = opset13.convert(opset13.equal(alone, self._line_planes.stones.numpy()), "f32")
        through_cells = opset13.matmul(open_lines, cells_in_lines, False, True)
        taken = opset13.reduce_sum(stones, channels, True)
        empty = opset13.unsqueeze(opset13.subtract(np.float32(1.0), taken), np.int64(1))
        shape = np.array([0, self._line_planes.count, rows, columns], np.int64)
        return opset13.reshape(opset13.multiply(through_cells, empty), shape, True)
