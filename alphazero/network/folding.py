"""A network for inference only: batch normalisation and plane scales folded into the convolutions.

In evaluation mode batch norm is a fixed affine map of each filter, so it disappears into the convolution
before it:

    scale   = gamma / sqrt(running_var + eps)
    weight' = weight * scale            bias' = beta - running_mean * scale

The game's plane scales go into the first convolution's weights in the same way (zero padding commutes with
scaling), so that uint8 observations enter it directly. Everything is folded in float64 and rounded once.
Line planes (line_planes.py), if the network has them, are computed first; position biases are added to a convolution's
result in place.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from alphazero.network.resnet import PolicyValueNetwork

StateDict = Mapping[str, Tensor]

# How the activations lie in memory between two convolutions.
CONTIGUOUS = "contiguous"
CHANNELS_LAST = "channels_last"
ONEDNN = "onednn"  # oneDNN's own blocked layout; CPU and float32 only

_LINEAR_LAYERS = ("policy_output", "value_hidden", "value_output")


class Folding:
    """Folds batch norm and plane scales of one architecture's networks into their convolutions.

    Attributes:
        layers: names of the convolutions in order: the first one, two of each block, the policy's and the value's.
    """

    def __init__(self, network: PolicyValueNetwork) -> None:
        blocks = range(network.architecture.config.blocks)
        tower = [f"blocks.{block}.{half}" for block in blocks for half in ("first", "second")]
        self.layers = ["stem", *tower, "policy_convolution", "value_convolution"]
        self._norm_eps = network.stem.norm.eps
        scales = [network.plane_scale.detach().to("cpu", torch.float64)]
        if network.line_planes is not None:
            scales.append(torch.ones(1, network.line_planes.count, 1, 1, dtype=torch.float64))
        self._input_scale = torch.cat(scales, dim=1)

    def convolution(self, state_dict: StateDict, name: str) -> tuple[Tensor, Tensor]:
        """Return weight [F, C, K, K] and bias [F] of a convolution, all folded in, float64 on the CPU."""

        def entry(suffix: str) -> Tensor:
            return state_dict[f"{name}.{suffix}"].detach().to("cpu", torch.float64)

        scale = entry("norm.weight") / torch.sqrt(entry("norm.running_var") + self._norm_eps)
        weight = entry("convolution.weight") * scale.view(-1, 1, 1, 1)
        if name == "stem":
            weight = weight * self._input_scale
        return weight.contiguous(), entry("norm.bias") - entry("norm.running_mean") * scale


class FoldedNetwork:
    """The same function as a `PolicyValueNetwork` in evaluation mode, up to rounding, but faster.

    The convolutions run in `dtype`; the linear layers of the heads, a small part of the work, always in
    float32, so that half precision rounds the answers less. Used by one thread at a time.

    Args:
        network: where sizes and first weights come from; not kept.
        device: where it runs.
        dtype: of the convolutions: float32, or float16 or bfloat16 on CUDA.
        layout: CONTIGUOUS, CHANNELS_LAST or ONEDNN.
    """

    def __init__(
        self,
        network: PolicyValueNetwork,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        layout: str = CONTIGUOUS,
    ) -> None:
        self.layout = layout
        self.dtype = dtype
        self._device = device
        self._blocks = network.architecture.config.blocks
        self._folding = Folding(network)
        self._line_planes = copy.deepcopy(network.line_planes)
        if self._line_planes is not None:
            self._line_planes.to(device)
        # name of a layer -> (weight, bias)
        self._parameters: dict[str, tuple[Tensor, Tensor]] = {}
        self._position_biases: dict[str, Tensor] = {}  # name of a layer that has one -> [1, F, H, W]
        self.load_weights(network.state_dict())

    @torch.inference_mode()
    def load_weights(self, state_dict: StateDict) -> None:
        """Take over the weights of a `PolicyValueNetwork`; parameters keep their addresses (CUDA graphs)."""
        for name in self._folding.layers:
            weight, bias = self._folding.convolution(state_dict, name)
            if self.layout == ONEDNN:
                blocked = weight.to(torch.float32).to_mkldnn(), bias.to(torch.float32).to_mkldnn()
                self._parameters[name] = blocked
            else:
                self._store(name, weight, bias, self.dtype)
            position_bias = state_dict.get(f"{name}.position_bias")
            if position_bias is not None:
                own = self._position_biases.get(name)
                self._position_biases[name] = self._copied(position_bias, own, self.dtype)
        for name in _LINEAR_LAYERS:
            self._store(name, state_dict[f"{name}.weight"], state_dict[f"{name}.bias"], torch.float32)

    def __call__(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return (policy logits float32 [B, A], values float32 [B] for the player to move).

        Args:
            observations: uint8 [B, C, H, W] on the network's device.
        """
        if self._line_planes is None:
            features = observations.to(self.dtype)
        else:
            features = self._line_planes.beside(observations, self.dtype)
        if self.layout == ONEDNN:
            features = features.contiguous().to_mkldnn()
        elif self.layout == CHANNELS_LAST:
            features = features.contiguous(memory_format=torch.channels_last)
        features = self._convolve_relu("stem", features)
        for block in range(self._blocks):
            inner = self._convolve_relu(f"blocks.{block}.first", features)
            features = self._convolve_add_relu(f"blocks.{block}.second", inner, features)
        policy = self._head("policy_convolution", features)
        value = self._linear_relu("value_hidden", self._head("value_convolution", features))
        values = torch.tanh(self._linear("value_output", value)).squeeze(1)
        return self._linear("policy_output", policy), values

    def _store(self, name: str, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        own_weight, own_bias = self._parameters.get(name, (None, None))
        self._parameters[name] = self._copied(weight, own_weight, dtype), self._copied(bias, own_bias, dtype)

    def _copied(self, source: Tensor, own: Tensor | None, dtype: torch.dtype) -> Tensor:
        """Copy `source` to `own`, or the first time to a new tensor on the network's device; return that."""
        if own is None:
            memory_format = torch.contiguous_format
            if source.dim() == 4 and self.layout == CHANNELS_LAST:
                memory_format = torch.channels_last
            own = torch.empty_like(source, dtype=dtype, device=self._device, memory_format=memory_format)
        return own.copy_(source)

    def _convolve_relu(self, name: str, features: Tensor) -> Tensor:
        return self._convolve(name, features).relu_()

    def _convolve_add_relu(self, name: str, features: Tensor, added: Tensor) -> Tensor:
        """Return relu(convolution + added); `added` is not needed any more."""
        return self._convolve(name, features).add_(added).relu_()

    def _convolve(self, name: str, features: Tensor) -> Tensor:
        weight, bias = self._parameters[name]
        features = functional.conv2d(features, weight, bias, padding=weight.shape[-1] // 2)
        position_bias = self._position_biases.get(name)
        if position_bias is None:
            return features
        if self.layout == ONEDNN:  # it adds only what has the same shape, and slowly
            position_bias = position_bias.expand(features.shape).to_mkldnn()
        return features.add_(position_bias)

    def _head(self, name: str, features: Tensor) -> Tensor:
        features = self._convolve_relu(name, features)
        if self.layout == ONEDNN:
            features = features.to_dense()
        # contiguous first: the linear layer's inputs are in the order (filter, row, column)
        return features.to(torch.float32, memory_format=torch.contiguous_format).flatten(1)

    def _linear_relu(self, name: str, features: Tensor) -> Tensor:
        return self._linear(name, features).relu_()

    def _linear(self, name: str, features: Tensor) -> Tensor:
        weight, bias = self._parameters[name]
        return functional.linear(features, weight, bias)
