"""The CPU engine: folded batch norm, in the layout and precision that suit the CPU.

Measured in docs/decisions/0003-cpu-engine.md.
"""

from __future__ import annotations

import torch

from alphazero.errors import UserError
from alphazero.network.engine_protocol import FloatArray, Observations, in_pieces
from alphazero.network.folding import CHANNELS_LAST, CONTIGUOUS, ONEDNN, FoldedNetwork, StateDict
from alphazero.network.fused_network import FusedNetwork, fused_operators_work
from alphazero.network.resnet import PolicyValueNetwork


class FrozenEngine:
    """`InferenceEngine` for a CPU: folded batch norm, activations kept in oneDNN's blocked layout.

    A network with position biases runs channels last: oneDNN's layout cannot add them without copying them to every
    row first. Where torch was built without oneDNN (some ARM builds), the folded network runs in the plain layout.

    Args:
        half: compute convolutions in bfloat16 if this CPU has instructions for it, channels last and, where PyTorch has
            them, in oneDNN's fused operators.
    """

    def __init__(
        self, network: PolicyValueNetwork, device: torch.device, max_batch: int, half: bool = False
    ) -> None:
        if device.type != "cpu":
            raise UserError("engine 'frozen' runs on a CPU only; on CUDA use 'graphs', 'eager' or 'auto'")
        self.max_batch = max_batch
        has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        if half and has_onednn and computes_in_bfloat16():
            self.name = "frozen bfloat16"
            if fused_operators_work(torch.bfloat16):
                self._network: FoldedNetwork = FusedNetwork(network, torch.bfloat16)
            else:
                self._network = FoldedNetwork(network, device, torch.bfloat16, CHANNELS_LAST)
        else:
            self.name = "frozen"
            fastest = CHANNELS_LAST if network.architecture.config.position_bias else ONEDNN
            layout = fastest if has_onednn else CONTIGUOUS
            self._network = FoldedNetwork(network, device, layout=layout)

    @torch.inference_mode()
    def evaluate(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        return in_pieces(self._evaluate_piece, observations, self.max_batch)

    def load_weights(self, state_dict: StateDict) -> None:
        self._network.load_weights(state_dict)

    def _evaluate_piece(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        logits, values = self._network(torch.from_numpy(observations))
        return logits.numpy(), values.numpy()


def computes_in_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 by itself (AVX-512 BF16, AMX), not by emulation."""
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name)() for name in asked if hasattr(torch.cpu, name))
