"""A convolution with all that follows it in the tower, as one operator of training on a CPU with AVX-512 BF16.

    relu(norm(convolution(features)) + position bias + residual)

The convolution and the gradient of its inputs are PyTorch's. Batch norm and what follows it go through memory twice
each way instead of once for each operator, and the gradient of 3x3 weights takes half of PyTorch's time
(`training_kernels.h`). Measured in docs/decisions/0037-a-faster-training-step.md.

Axis letters: B batch, C channels (inputs), F filters (outputs), H rows, W columns.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from alphazero.native_import import compiled_module

_native: Any = compiled_module("alphazero.network._training_kernels")
ON_THIS_PROCESSOR = _native is not None and _native.here()
_CHANNELS_LAST = torch.channels_last


def is_usable(features: Tensor) -> bool:
    """Return whether `convolution_norm` can be called: on this processor, with autocast to bfloat16."""
    return (
        ON_THIS_PROCESSOR
        and features.is_cpu
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") is torch.bfloat16
        and not torch.compiler.is_compiling()
    )


def convolution_norm(
    features: Tensor,
    convolution: nn.Conv2d,
    norm: nn.BatchNorm2d,
    position_bias: Tensor | None,
    residual: Tensor | None,
) -> Tensor:
    """Return the operator's bfloat16 [B, F, H, W], channels last, and move what `norm` keeps of its batches.

    Args:
        features: [B, C, H, W].
        convolution: keeps the board's size, without a bias.
        norm: in training, with running statistics.
        position_bias: [1, F, H, W] or None.
        residual: [B, F, H, W] or None.
    """
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    result: Tensor = _ConvolutionNorm.apply(  # type: ignore[no-untyped-call]
        features, residual, convolution.weight, norm.weight, norm.bias, position_bias, norm
    )
    return result


class _ConvolutionNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        features: Tensor,
        residual: Tensor | None,
        weight: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        position_bias: Tensor | None,
        norm: nn.BatchNorm2d,
    ) -> Tensor:
        features, half_weight = _half(features), _half(weight)
        residual = None if residual is None else _half(residual)
        convolved = _half(torch.conv2d(features, half_weight, padding=_padding(weight)))
        out = torch.empty_like(convolved)
        statistics = norm_weight.new_empty(2, len(norm_weight))  # mean, 1 / standard deviation
        # As float32 [H, W, F], whatever its layout.
        by_cell = None if position_bias is None else position_bias.permute(0, 2, 3, 1).contiguous()
        _native.norm_forward(
            _shape(convolved),
            norm_weight.data_ptr(),
            norm_bias.data_ptr(),
            _address(by_cell),
            _address(norm.running_mean),
            _address(norm.running_var),
            norm.momentum,
            norm.eps,
            convolved.data_ptr(),
            _address(residual),
            out.data_ptr(),
            statistics.data_ptr(),
        )
        context.save_for_backward(features, half_weight, convolved, out, norm_weight, statistics)
        context.has_position_bias = position_bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, half_weight, convolved, out, norm_weight, statistics = context.saved_tensors
        gradient = _half(gradient)
        _, filters, rows, columns = out.shape
        of_convolved = torch.empty_like(convolved)
        of_norm = torch.empty_like(statistics)  # weight, bias
        of_position_bias = (
            statistics.new_empty(1, rows, columns, filters) if context.has_position_bias else None
        )
        of_residual = torch.empty_like(out) if context.needs_input_grad[1] else None
        _native.norm_backward(
            _shape(convolved),
            norm_weight.data_ptr(),
            convolved.data_ptr(),
            out.data_ptr(),
            statistics.data_ptr(),
            gradient.data_ptr(),
            of_convolved.data_ptr(),
            of_norm.data_ptr(),
            _address(of_position_bias),
            _address(of_residual),
        )
        of_features, of_weight = _convolution_gradients(
            features, half_weight, of_convolved, context.needs_input_grad[0]
        )
        by_filter = None if of_position_bias is None else of_position_bias.permute(0, 3, 1, 2)
        return of_features, of_residual, of_weight, of_norm[0], of_norm[1], by_filter, None


def _convolution_gradients(
    features: Tensor, weight: Tensor, gradient: Tensor, with_features: bool
) -> tuple[Tensor | None, Tensor]:
    """Return the gradients of a convolution's features, if asked for, and of its weights, float32."""
    filters, channels, size, _ = weight.shape
    fused = size == 3 and filters % _native.WEIGHT_FILTERS_MULTIPLE == 0
    of_features, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient,
        features,
        weight,
        bias_sizes=None,
        stride=[1, 1],
        padding=[_padding(weight)] * 2,
        dilation=[1, 1],
        transposed=False,
        output_padding=[0, 0],
        groups=1,
        output_mask=[with_features, not fused, False],
    )
    if not fused:
        return of_features, of_weight.float()
    boards, _, rows, columns = features.shape
    sums = torch.empty(9 * channels, filters)
    _native.weight_gradient(
        boards, rows, columns, channels, filters, features.data_ptr(), gradient.data_ptr(), sums.data_ptr()
    )
    return of_features, sums.T.contiguous().view(filters, 3, 3, channels).permute(0, 3, 1, 2)


def _padding(weight: Tensor) -> int:
    return weight.shape[-1] // 2


def _half(tensor: Tensor) -> Tensor:
    return tensor.to(torch.bfloat16).contiguous(memory_format=_CHANNELS_LAST)


def _shape(features: Tensor) -> tuple[int, int, int]:
    """Return (boards, cells, filters) of features [B, F, H, W]."""
    boards, filters, rows, columns = features.shape
    return boards, rows * columns, filters


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
