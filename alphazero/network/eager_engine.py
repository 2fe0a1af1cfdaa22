"""The engine that runs the network as PyTorch does by itself."""

from __future__ import annotations

import copy

import torch

from alphazero.network.engine_protocol import FloatArray, Observations, in_pieces
from alphazero.network.folding import StateDict
from alphazero.network.resnet import PolicyValueNetwork


class EagerEngine:
    """`InferenceEngine` that neither folds nor captures anything; the reference for all others."""

    name = "eager"

    def __init__(
        self,
        network: PolicyValueNetwork,
        device: torch.device,
        use_amp: bool,
        pinned_memory: bool,
        max_batch: int,
    ) -> None:
        self.max_batch = max_batch
        self._network = copy.deepcopy(network).to(device).eval()
        self._device = device
        self._half = half_precision(device) if use_amp and device.type == "cuda" else None
        self._staging: torch.Tensor | None = None
        if pinned_memory and device.type == "cuda":
            shape = (max_batch, *network.architecture.observation_shape)
            self._staging = torch.empty(shape, dtype=torch.uint8, pin_memory=True)

    @torch.inference_mode()
    def evaluate(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        return in_pieces(self._evaluate_piece, observations, self.max_batch)

    def load_weights(self, state_dict: StateDict) -> None:
        self._network.load_state_dict(state_dict)

    def _evaluate_piece(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        inputs = torch.from_numpy(observations)
        if self._staging is not None:
            inputs = self._staging[: len(inputs)].copy_(inputs)
        inputs = inputs.to(self._device, non_blocking=True)
        with torch.autocast(self._device.type, dtype=self._half, enabled=self._half is not None):
            logits, values = self._network(inputs)
        # to the CPU blocks until done, so the staging buffer is free again afterwards
        return logits.float().cpu().numpy(), values.float().cpu().numpy()


def half_precision(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the CUDA device computes with it natively, else float16."""
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
