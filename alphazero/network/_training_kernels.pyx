"""The kernels of a training step on a CPU with AVX-512 BF16 (training_kernels.h), as fused_training.py calls them.

Tensors are given by the address of their first element; their sizes and layouts are trusted.
"""

from libc.stdint cimport uintptr_t
from libcpp cimport bool as cpp_bool


cdef extern from "alphazero/network/training_kernels.h" namespace "az::training" nogil:
    ctypedef unsigned short Half

    cppclass Shape:
        size_t boards, cells, filters

    cppclass Norm:
        const float* weight
        const float* bias
        const float* position_bias
        float* running_mean
        float* running_variance
        float momentum
        float epsilon

    int WEIGHT_LANES
    cpp_bool native_here "az::training::here"()
    void native_forward "az::training::norm_forward"(
        const Shape&, const Norm&, const Half*, const Half*, Half*, float*, float*) except +
    void native_backward "az::training::norm_backward"(
        const Shape&, const float*, const Half*, const Half*, const float*, const float*, const Half*, Half*, float*,
        float*, float*, Half*) except +
    void native_weight_gradient "az::training::weight_gradient"(
        size_t, size_t, size_t, size_t, size_t, const Half*, const Half*, float*) except +


WEIGHT_FILTERS_MULTIPLE = WEIGHT_LANES  # of `weight_gradient`


def here() -> bool:
    """Return whether this processor can run the kernels."""
    return native_here()


def norm_forward(
    tuple shape, uintptr_t weight, uintptr_t bias, uintptr_t position_bias, uintptr_t running_mean,
    uintptr_t running_variance, float momentum, float epsilon, uintptr_t features, uintptr_t residual, uintptr_t out,
    uintptr_t statistics
) -> None:
    """Write relu(norm(features) + position bias + residual), [boards, cells, filters]; 0 for what there is not.

    statistics: float32 [2, filters], to be written: the batch's means and 1 / its standard deviations.
    """
    cdef Shape native
    cdef Norm norm
    native.boards, native.cells, native.filters = shape
    norm.weight = <const float*> weight
    norm.bias = <const float*> bias
    norm.position_bias = <const float*> position_bias
    norm.running_mean = <float*> running_mean
    norm.running_variance = <float*> running_variance
    norm.momentum = momentum
    norm.epsilon = epsilon
    with nogil:
        native_forward(native, norm, <const Half*> features, <const Half*> residual, <Half*> out,
                       <float*> statistics, <float*> statistics + native.filters)


def norm_backward(
    tuple shape, uintptr_t weight, uintptr_t features, uintptr_t out, uintptr_t statistics, uintptr_t gradient,
    uintptr_t features_gradient, uintptr_t norm_gradient, uintptr_t position_bias_gradient, uintptr_t residual_gradient
) -> None:
    """Write the gradients of what `norm_forward` took from that of what it wrote; 0 for what there is not.

    norm_gradient: float32 [2, filters], of the norm's weight and bias.
    """
    cdef Shape native
    native.boards, native.cells, native.filters = shape
    with nogil:
        native_backward(
            native, <const float*> weight, <const Half*> features, <const Half*> out, <const float*> statistics,
            <const float*> statistics + native.filters, <const Half*> gradient, <Half*> features_gradient,
            <float*> norm_gradient, <float*> norm_gradient + native.filters, <float*> position_bias_gradient,
            <Half*> residual_gradient)


def weight_gradient(
    size_t boards, size_t rows, size_t columns, size_t channels, size_t filters, uintptr_t features,
    uintptr_t gradient, uintptr_t sums
) -> None:
    """Write the gradient of 3x3 weights, float32 [9, channels, filters]."""
    with nogil:
        native_weight_gradient(boards, rows, columns, channels, filters, <const Half*> features,
                               <const Half*> gradient, <float*> sums)
