// What a training step of the network of resnet.py on a CPU does beside the products of its convolutions: batch norm with
// all that follows it, there and back, and the gradients of 3x3 weights. Activations are bfloat16, channels last; sums are
// float32 or float64.
//
// Source of the batch norm and its gradient: Ioffe and Szegedy, 'Batch normalization' (2015).
//
// For x86-64 processors with AVX-512 BF16 as compiled by GCC or Clang; elsewhere `here` is false and nothing may be called.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#define AZ_TRAINING_KERNELS 1
#include <immintrin.h>
#if !defined(__clang__)
// GCC 12 takes its own headers' deliberately undefined vectors for mistakes.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#endif

namespace az::training {

using Half = std::uint16_t;  // the bits of a bfloat16

constexpr int LANES = 16;
constexpr int WEIGHT_LANES = LANES;  // what the filters of `weight_gradient` are a multiple of

// A batch of boards as its activations lie in memory: [boards][cells][filters].
struct Shape {
    std::size_t boards, cells, filters;
    std::size_t rows() const { return boards * cells; }
};

// Parameters of a batch norm, float32 [filters]; a bias for each filter and cell after it, [cells][filters], or null.
struct Norm {
    const float* weight;
    const float* bias;
    const float* position_bias;
    float* running_mean;
    float* running_variance;
    float momentum;  // share of this batch in what is running
    float epsilon;
};

#ifdef AZ_TRAINING_KERNELS

#define AZ_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma")))
#define AZ_INLINE AZ_TARGET __attribute__((always_inline)) static inline

inline bool here() {
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

// The lanes of a vector that are there when so many numbers are left.
AZ_INLINE __mmask16 lanes_of(std::size_t left) { return left >= LANES ? __mmask16(-1) : __mmask16((1u << left) - 1); }

AZ_INLINE __m512 widen(__mmask16 lanes, const Half* from) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, from)), 16));
}

AZ_INLINE void narrow(__mmask16 lanes, Half* to, __m512 from) {
    _mm256_mask_storeu_epi16(to, lanes, (__m256i)_mm512_cvtneps_pbh(from));
}

// sums += a vector's floats, as float64.
AZ_INLINE void add_to(double* sums, __m512 part) {
    const __m256 low = _mm512_castps512_ps256(part), high = _mm512_extractf32x8_ps(part, 1);
    _mm512_storeu_pd(sums, _mm512_add_pd(_mm512_loadu_pd(sums), _mm512_cvtps_pd(low)));
    _mm512_storeu_pd(sums + 8, _mm512_add_pd(_mm512_loadu_pd(sums + 8), _mm512_cvtps_pd(high)));
}

// out = relu(norm(in) + position bias + residual). Writes the batch's mean and 1 / sqrt(variance + epsilon), [filters],
// and moves what is running. `residual`, like `in`, or null.
AZ_TARGET inline void norm_forward(const Shape& shape, const Norm& norm, const Half* in, const Half* residual, Half* out,
                                   float* mean, float* inverse_deviation) {
    const std::size_t filters = shape.filters, rows = shape.rows();
    // Of differences to the running mean: squares of what is far from 0 would round away the variance.
    const std::size_t padded = (filters + LANES - 1) / LANES * LANES;
    std::vector<double> sums(2 * padded);
    for (std::size_t board = 0; board < shape.boards; ++board) {
        const Half* const cells = in + board * shape.cells * filters;
        for (std::size_t filter = 0; filter < filters; filter += LANES) {
            const __mmask16 lanes = lanes_of(filters - filter);
            const __m512 shift = _mm512_maskz_loadu_ps(lanes, norm.running_mean + filter);
            __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
            for (std::size_t cell = 0; cell < shape.cells; ++cell) {
                const __m512 value = _mm512_sub_ps(widen(lanes, cells + cell * filters + filter), shift);
                sum = _mm512_add_ps(sum, value);
                squares = _mm512_fmadd_ps(value, value, squares);
            }
            add_to(&sums[filter], sum);
            add_to(&sums[padded + filter], squares);
        }
    }
    std::vector<float> scale(filters), beginning(shape.cells * filters);
    for (std::size_t filter = 0; filter < filters; ++filter) {
        const double difference = sums[filter] / double(rows);
        double variance = sums[padded + filter] / double(rows) - difference * difference;
        if (variance < 0.0) variance = 0.0;  // by rounding; NaN stays NaN
        mean[filter] = float(norm.running_mean[filter] + difference);
        inverse_deviation[filter] = float(1.0 / std::sqrt(variance + norm.epsilon));
        scale[filter] = norm.weight[filter] * inverse_deviation[filter];
        const double unbiased = rows > 1 ? variance * double(rows) / double(rows - 1) : variance;
        norm.running_mean[filter] += norm.momentum * (mean[filter] - norm.running_mean[filter]);
        norm.running_variance[filter] += norm.momentum * float(unbiased - norm.running_variance[filter]);
    }
    for (std::size_t place = 0; place < shape.cells * filters; ++place) {
        const std::size_t filter = place % filters;
        beginning[place] = norm.bias[filter] - mean[filter] * scale[filter] +
                           (norm.position_bias != nullptr ? norm.position_bias[place] : 0.0f);
    }
    for (std::size_t board = 0; board < shape.boards; ++board) {
        const std::size_t first = board * shape.cells * filters;
        for (std::size_t cell = 0; cell < shape.cells; ++cell) {
            for (std::size_t filter = 0; filter < filters; filter += LANES) {
                const __mmask16 lanes = lanes_of(filters - filter);
                const std::size_t place = cell * filters + filter;
                __m512 value = _mm512_fmadd_ps(widen(lanes, in + first + place),
                                               _mm512_maskz_loadu_ps(lanes, &scale[filter]),
                                               _mm512_maskz_loadu_ps(lanes, &beginning[place]));
                if (residual != nullptr) value = _mm512_add_ps(value, widen(lanes, residual + first + place));
                // Of the processor's maximum the second operand counts if one is NaN.
                narrow(lanes, out + first + place, _mm512_max_ps(_mm512_setzero_ps(), value));
            }
        }
    }
}

// The gradient that gets through the relu: that of `out` where `out` is above 0.
AZ_INLINE __m512 passed(__mmask16 lanes, const Half* gradient, const Half* out) {
    const __mmask16 above = _mm512_cmp_ps_mask(widen(lanes, out), _mm512_setzero_ps(), _CMP_NLE_UQ);
    return _mm512_maskz_mov_ps(above, widen(lanes, gradient));
}

// From the gradient of what `norm_forward` wrote, those of its `in`, weight and bias, and, where they are not null, of
// the position bias and of the residual.
AZ_TARGET inline void norm_backward(const Shape& shape, const float* weight, const Half* in, const Half* out,
                                    const float* mean, const float* inverse_deviation, const Half* gradient,
                                    Half* in_gradient, float* weight_gradient, float* bias_gradient,
                                    float* position_bias_gradient, Half* residual_gradient) {
    const std::size_t filters = shape.filters, rows = shape.rows();
    const std::size_t padded = (filters + LANES - 1) / LANES * LANES;
    std::vector<double> sums(2 * padded);
    if (position_bias_gradient != nullptr) {
        std::memset(position_bias_gradient, 0, shape.cells * filters * sizeof(float));
    }
    for (std::size_t board = 0; board < shape.boards; ++board) {
        const std::size_t first = board * shape.cells * filters;
        for (std::size_t filter = 0; filter < filters; filter += LANES) {
            const __mmask16 lanes = lanes_of(filters - filter);
            const __m512 shift = _mm512_maskz_loadu_ps(lanes, mean + filter);
            __m512 sum = _mm512_setzero_ps(), products = _mm512_setzero_ps();
            for (std::size_t cell = 0; cell < shape.cells; ++cell) {
                const std::size_t cell_place = cell * filters + filter, place = first + cell_place;
                const __m512 here = passed(lanes, gradient + place, out + place);
                sum = _mm512_add_ps(sum, here);
                products = _mm512_fmadd_ps(here, _mm512_sub_ps(widen(lanes, in + place), shift), products);
                if (residual_gradient != nullptr) narrow(lanes, residual_gradient + place, here);
                if (position_bias_gradient != nullptr) {
                    float* const total = position_bias_gradient + cell_place;
                    _mm512_mask_storeu_ps(total, lanes, _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, total), here));
                }
            }
            add_to(&sums[filter], sum);
            add_to(&sums[padded + filter], products);
        }
    }
    // in_gradient = scale * passed + of_in * in + constant
    std::vector<float> scale(filters), of_in(filters), constant(filters);
    for (std::size_t filter = 0; filter < filters; ++filter) {
        const double inverse = inverse_deviation[filter], product = sums[padded + filter] * inverse;
        weight_gradient[filter] = float(product);
        bias_gradient[filter] = float(sums[filter]);
        const double factor = weight[filter] * inverse, slope = -factor * inverse * product / double(rows);
        scale[filter] = float(factor);
        of_in[filter] = float(slope);
        constant[filter] = float(-factor * sums[filter] / double(rows) - slope * mean[filter]);
    }
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t filter = 0; filter < filters; filter += LANES) {
            const __mmask16 lanes = lanes_of(filters - filter);
            const std::size_t place = row * filters + filter;
            const __m512 from_in =
                _mm512_fmadd_ps(widen(lanes, in + place), _mm512_maskz_loadu_ps(lanes, &of_in[filter]),
                                _mm512_maskz_loadu_ps(lanes, &constant[filter]));
            narrow(lanes, in_gradient + place, _mm512_fmadd_ps(passed(lanes, gradient + place, out + place),
                                                               _mm512_maskz_loadu_ps(lanes, &scale[filter]),
                                                               from_in));
        }
    }
}

// Two boards' channels of each cell side by side, [cells][padded]: what a multiplication adds up at once.
AZ_TARGET inline void pair_boards(const Half* first, const Half* second, std::size_t cells, std::size_t channels,
                                  std::size_t padded, std::uint32_t* pairs) {
    for (std::size_t cell = 0; cell < cells; ++cell) {
        for (std::size_t channel = 0; channel < channels; channel += LANES) {
            const __mmask16 mask = lanes_of(channels - channel);
            const std::size_t place = cell * channels + channel;
            const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, first + place));
            const __m512i high = second == nullptr
                                     ? _mm512_setzero_si512()
                                     : _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, second + place));
            _mm512_storeu_si512(pairs + cell * padded + channel, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
        }
    }
}

// Pairs of boards: inputs [pairs][cells][stride] and gradients [pairs][cells][filters].
struct Pairs {
    const std::uint32_t* inputs;
    const std::uint32_t* gradients;
    std::size_t count, rows, columns, channels, stride, filters;
};

// sums[CHANNELS][filters] += over cells and boards, input one `tap` away times gradient; of CHANNELS inputs from
// `channel` on, and VECTORS vectors of filters from `filter` on.
template <int CHANNELS, int VECTORS>
AZ_TARGET static void add_tap(const Pairs& pairs, int down, int across, std::size_t channel, std::size_t filter,
                              float* sums) {
    const std::size_t cells = pairs.rows * pairs.columns;
    const std::ptrdiff_t away = (down * std::ptrdiff_t(pairs.columns) + across) * std::ptrdiff_t(pairs.stride);
    const std::size_t first_row = down < 0, last_row = pairs.rows - (down > 0);
    const std::size_t first_column = across < 0, last_column = pairs.columns - (across > 0);
    __m512 totals[CHANNELS][VECTORS];
#pragma GCC unroll 8
    for (int one = 0; one < CHANNELS; ++one) {
#pragma GCC unroll 4
        for (int part = 0; part < VECTORS; ++part) {
            totals[one][part] = _mm512_loadu_ps(sums + one * pairs.filters + part * LANES);
        }
    }
    for (std::size_t pair = 0; pair < pairs.count; ++pair) {
        const std::uint32_t* const inputs = pairs.inputs + pair * cells * pairs.stride + channel;
        const std::uint32_t* const gradients = pairs.gradients + pair * cells * pairs.filters + filter;
        for (std::size_t row = first_row; row < last_row; ++row) {
            for (std::size_t column = first_column; column < last_column; ++column) {
                const std::size_t cell = row * pairs.columns + column;
                const std::uint32_t* const input = inputs + std::ptrdiff_t(cell * pairs.stride) + away;
                __m512bh gradient[VECTORS];
#pragma GCC unroll 4
                for (int part = 0; part < VECTORS; ++part) {
                    gradient[part] =
                        (__m512bh)_mm512_loadu_si512(gradients + cell * pairs.filters + part * LANES);
                }
#pragma GCC unroll 8
                for (int one = 0; one < CHANNELS; ++one) {
                    const __m512bh factor = (__m512bh)_mm512_set1_epi32(int(input[one]));
#pragma GCC unroll 4
                    for (int part = 0; part < VECTORS; ++part) {
                        totals[one][part] = _mm512_dpbf16_ps(totals[one][part], factor, gradient[part]);
                    }
                }
            }
        }
    }
#pragma GCC unroll 8
    for (int one = 0; one < CHANNELS; ++one) {
#pragma GCC unroll 4
        for (int part = 0; part < VECTORS; ++part) {
            _mm512_storeu_ps(sums + one * pairs.filters + part * LANES, totals[one][part]);
        }
    }
}

template <int CHANNELS, int VECTORS>
AZ_TARGET static std::size_t add_taps(const Pairs& pairs, std::size_t channel, std::size_t filter, float* sums) {
    for (; channel + CHANNELS <= pairs.channels; channel += CHANNELS) {
        for (int tap = 0; tap < 9; ++tap) {
            float* const of_tap = sums + (tap * pairs.channels + channel) * pairs.filters + filter;
            add_tap<CHANNELS, VECTORS>(pairs, tap / 3 - 1, tap % 3 - 1, channel, filter, of_tap);
        }
    }
    return channel;
}

template <int VECTORS>
AZ_TARGET static void add_filters(const Pairs& pairs, std::size_t filter, float* sums) {
    std::size_t channel = add_taps<8, VECTORS>(pairs, 0, filter, sums);
    channel = add_taps<2, VECTORS>(pairs, channel, filter, sums);
    add_taps<1, VECTORS>(pairs, channel, filter, sums);
}

// The gradient of a 3x3 convolution's weights, [9][channels][filters], from its inputs [boards][cells][channels] and the
// gradient of its outputs [boards][cells][filters].
AZ_TARGET inline void weight_gradient(std::size_t boards, std::size_t rows, std::size_t columns, std::size_t channels,
                                      std::size_t filters, const Half* inputs, const Half* gradients, float* sums) {
    constexpr std::size_t AT_ONCE = 2;  // pairs of boards that stay in the core's first cache
    const std::size_t cells = rows * columns, stride = (channels + LANES - 1) / LANES * LANES;
    std::vector<std::uint32_t> memory(AT_ONCE * cells * (stride + filters) + LANES);
    std::uint32_t* aligned = memory.data();
    while (reinterpret_cast<std::uintptr_t>(aligned) % 64 != 0) ++aligned;
    std::uint32_t* const input_pairs = aligned;
    std::uint32_t* const gradient_pairs = aligned + AT_ONCE * cells * stride;
    std::memset(sums, 0, 9 * channels * filters * sizeof(float));
    for (std::size_t board = 0; board < boards; board += 2 * AT_ONCE) {
        Pairs pairs{input_pairs, gradient_pairs, 0, rows, columns, channels, stride, filters};
        for (std::size_t one = board; one < boards && pairs.count < AT_ONCE; one += 2, ++pairs.count) {
            const bool alone = one + 1 == boards;
            const Half *const input = inputs + one * cells * channels, *const gradient = gradients + one * cells * filters;
            pair_boards(input, alone ? nullptr : input + cells * channels, cells, channels, stride,
                        input_pairs + pairs.count * cells * stride);
            pair_boards(gradient, alone ? nullptr : gradient + cells * filters, cells, filters, filters,
                        gradient_pairs + pairs.count * cells * filters);
        }
        std::size_t filter = 0;
        for (; filter + 3 * LANES <= filters; filter += 3 * LANES) add_filters<3>(pairs, filter, sums);
        for (; filter + 2 * LANES <= filters; filter += 2 * LANES) add_filters<2>(pairs, filter, sums);
        for (; filter < filters; filter += LANES) add_filters<1>(pairs, filter, sums);
    }
}

#undef AZ_TARGET
#undef AZ_INLINE

#else

inline bool here() { return false; }
inline void norm_forward(const Shape&, const Norm&, const Half*, const Half*, Half*, float*, float*) {}
inline void norm_backward(const Shape&, const float*, const Half*, const Half*, const float*, const float*, const Half*,
                          Half*, float*, float*, float*, Half*) {}
inline void weight_gradient(std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, const Half*, const Half*,
                            float*) {}

#endif

}  // namespace az::training
