"""The fused operator of training gives what PyTorch's operators give, and its kernels what the arithmetic says."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from alphazero.network import fused_training
from alphazero.network.resnet import ConvolutionNorm

pytestmark = pytest.mark.skipif(
    not fused_training.ON_THIS_PROCESSOR, reason="needs AVX-512 BF16 and compiled code"
)

# Inputs, filters, kernel, board, rows: filters that fill vectors and others, boards of an odd number of rows, and one.
SHAPES = [
    (8, 32, 3, (6, 7), 6),
    (32, 32, 3, (6, 7), 37),
    (48, 48, 3, (6, 7), 5),
    (64, 8, 1, (6, 7), 9),
    (3, 80, 3, (3, 3), 7),
    (19, 112, 3, (8, 8), 1),
    (5, 24, 3, (1, 4), 12),
]


def one_layer(
    inputs: int, filters: int, kernel: int, board: tuple[int, int], biased: bool
) -> ConvolutionNorm:
    torch.manual_seed(filters)
    layer = ConvolutionNorm(inputs, filters, kernel, board if biased else None)
    layer = layer.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    with torch.no_grad():
        layer.norm.weight.uniform_(0.5, 1.5)
        layer.norm.bias.normal_()
        layer.norm.running_mean.normal_()
        if layer.position_bias is not None:
            layer.position_bias.normal_()
    return layer


def gradient_of_out(layer: ConvolutionNorm, features: Tensor, residual: Tensor | None) -> Tensor:
    """Return a random gradient, 0 wherever what goes into the relu is so small that rounding may change its sign."""
    normed = torch.nn.functional.batch_norm(
        layer.convolution(features), None, None, layer.norm.weight, layer.norm.bias, training=True
    )
    for part in (layer.position_bias, residual):
        normed = normed if part is None else normed + part
    gradient = torch.randn(normed.shape) * (normed.detach().abs() > 0.1)
    return gradient.to(torch.bfloat16).float()


def results(
    layer: ConvolutionNorm, features: Tensor, residual: Tensor | None, gradient: Tensor, half: bool
) -> dict[str, Tensor]:
    """Return what a layer gives, the gradients from `gradient` of that, and its statistics."""
    layer = copy.deepcopy(layer)
    features = features.clone().requires_grad_()
    if residual is not None:  # as the layer before gives it
        residual = residual.to(torch.bfloat16 if half else torch.float32, copy=True).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = layer(features, residual)
    out.backward(gradient.to(out.dtype))
    found = {"out": out.detach().float(), "features": features.grad}
    if residual is not None:
        assert residual.grad is not None
        found["residual"] = residual.grad.float()
    found |= {name: parameter.grad for name, parameter in layer.named_parameters()}
    return found | {name: buffer.float() for name, buffer in layer.named_buffers()}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("whole", [False, True], ids=["plain", "with residual and position bias"])
def test_rounds_as_little_as_pytorch(
    shape: tuple[int, int, int, tuple[int, int], int], whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, filters, kernel, board, rows = shape
    layer = one_layer(inputs, filters, kernel, board, biased=whole)
    features = torch.randn(rows, inputs, *board)
    residual = torch.randn(rows, filters, *board).to(torch.bfloat16).float() if whole else None
    gradient = gradient_of_out(layer, features, residual)
    exact = results(layer, features, residual, gradient, half=False)
    with torch.autocast("cpu", torch.bfloat16):
        assert fused_training.is_usable(features)
    fused = results(layer, features, residual, gradient, half=True)
    monkeypatch.setattr(fused_training, "ON_THIS_PROCESSOR", False)
    plain = results(layer, features, residual, gradient, half=True)
    assert fused.keys() == plain.keys() == exact.keys()
    for name, expected in exact.items():
        size = expected.norm() + 1e-3 * expected.numel() ** 0.5
        off, plainly_off = ((found[name] - expected).norm() / size for found in (fused, plain))
        assert off < 1.2 * plainly_off + 0.001, (name, float(off), float(plainly_off))
        if expected.dim() == 4 and name not in ("out", "features", "residual"):
            assert fused[name].stride() == plain[name].stride(), (
                name
            )  # fused optimizers walk both side by side


@pytest.mark.parametrize(
    ("inputs", "filters", "board", "rows"), [(8, 48, (6, 7), 7), (21, 16, (3, 5), 4), (64, 128, (8, 8), 3)]
)
def test_gradients_of_weights_are_exact_for_small_whole_numbers(
    inputs: int, filters: int, board: tuple[int, int], rows: int
) -> None:
    generator = torch.Generator().manual_seed(2)

    def small(*shape: int) -> Tensor:
        numbers = torch.randint(-3, 4, shape, generator=generator).to(torch.bfloat16)
        return numbers.contiguous(memory_format=torch.channels_last)

    features, gradient = small(rows, inputs, *board), small(rows, filters, *board)
    _, found = fused_training._convolution_gradients(
        features, small(filters, inputs, 3, 3), gradient, with_features=False
    )
    expected = torch.nn.grad.conv2d_weight(
        features.double(), (filters, inputs, 3, 3), gradient.double(), padding=1
    )
    assert torch.equal(found.double(), expected)


def test_statistics_far_from_zero_keep_their_variance() -> None:
    layer = one_layer(16, 16, 1, (6, 7), biased=False)
    with torch.no_grad():
        layer.convolution.weight.copy_(torch.eye(16).view(16, 16, 1, 1))
    features = (100.0 + torch.randn(64, 16, 6, 7)).to(torch.bfloat16)
    for _ in range(40):  # the running mean gets there first
        with torch.autocast("cpu", torch.bfloat16):
            layer(features)
    numbers = features.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(
        layer.norm.running_var.double(),
        numbers.var(1) + (0.9**40) * (1 - numbers.var(1)),
        rtol=0.02,
        atol=0.0,
    )


def test_nan_goes_through() -> None:
    layer = one_layer(4, 16, 3, (6, 7), biased=True)
    features = torch.randn(2, 4, 6, 7)
    features[1, 2, 3, 4] = torch.nan
    found = results(layer, features, None, torch.ones(2, 16, 6, 7), half=True)
    assert found["out"].isnan().all()  # by way of the batch's mean
    assert found["convolution.weight"].isnan().any()


@pytest.mark.parametrize("why", ["evaluation", "float32", "not compiled"])
def test_what_else_is_computed_is_left_to_pytorch(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("fused")

    monkeypatch.setattr(fused_training, "convolution_norm", refuse)
    layer = one_layer(4, 16, 3, (6, 7), biased=False)
    features = torch.randn(2, 4, 6, 7)
    if why == "not compiled":
        monkeypatch.setattr(fused_training, "ON_THIS_PROCESSOR", False)
    with torch.autocast("cpu", torch.bfloat16, enabled=why != "float32"):
        if why == "evaluation":
            layer.eval()
        layer(features)
        if why == "evaluation":
            layer.train()
            with pytest.raises(AssertionError, match="fused"):
                layer(features)
