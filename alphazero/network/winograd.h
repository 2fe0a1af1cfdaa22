// Evaluates the policy and value network of resnet.py on one core, one position after the other: a position's
// activations stay in the core's own cache from the stones to the heads, and a 3x3 convolution costs 20 multiplications
// for each 3x2 cells instead of 54.
//
// Source: Lavin and Gray, 'Fast algorithms for convolutional neural networks' (2015): F(3, 3) along a column, nested
// with F(2, 3) along a row. Y = A^T ((G g H^T) . (B^T d C)) D, of which G g H^T is computed beforehand
// (winograd_engine.py). The points are 0, 1, -1/2, -2 and infinity, and 0, 1, -1 and infinity. (F(3, 3) both ways
// multiplies less on some boards, and is off by a third to two thirds more in bfloat16.)
//
// For x86-64 as compiled by GCC or Clang; elsewhere `all_instructions` is empty.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#define AZ_WINOGRAD 1
#include <immintrin.h>
#if !defined(__clang__)
// GCC 12 takes its own headers' deliberately undefined vectors for mistakes.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#endif

namespace az::winograd {

struct Sizes {
    int rows, columns;  // of the board
    int planes;         // of an observation
    int filters;        // a multiple of the vector's lanes
    int blocks;
    int policy_filters, value_filters, value_hidden, actions;
    int line_length = 0;                // of the game's winning lines, if the network has planes of them
    std::vector<std::int32_t> lines{};  // their cells, one line after the other
};

// Weights as winograd_engine.py packs them, and biases, in float32.
struct Layer {
    const void* weights = nullptr;
    const float* bias = nullptr;
};

struct Weights {
    std::vector<Layer> tower;  // the first convolution, then two a block; biases [cells][filters]
    Layer heads;               // policy's filters, then the value's
    Layer policy_output, value_hidden, value_output;
};

// Owns the memory that a position is computed in: used by one thread at a time.
class AnyEvaluator {
public:
    virtual ~AnyEvaluator() = default;
    // observations: [rows][planes][cells]; logits: [rows][actions]; values: [rows].
    virtual void evaluate(const Weights& weights, std::size_t rows, const std::uint8_t* observations, float* logits,
                          float* values) = 0;
};

// Instructions that an evaluator is written for.
struct Instructions {
    const char* name;
    int lanes;          // filters and outputs are padded to multiples of it
    int word_channels;  // inputs that are multiplied at once: 2 in bfloat16, 1 in float32
    bool (*here)();     // whether this processor has them
    std::unique_ptr<AnyEvaluator> (*make)(const Sizes&);
};

// Zeros, at an address that a vector begins at. (Aligned by hand: macOS before 10.13 has no aligned `operator new`.)
template <class T>
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(std::size_t size) : memory_(new unsigned char[size * sizeof(T) + ALIGNMENT]()) {
        const auto misplaced = reinterpret_cast<std::uintptr_t>(memory_.get()) % ALIGNMENT;
        data_ = reinterpret_cast<T*>(memory_.get() + (ALIGNMENT - misplaced));
    }
    T* data() { return data_; }

private:
    static constexpr std::size_t ALIGNMENT = 64;
    std::unique_ptr<unsigned char[]> memory_;
    T* data_ = nullptr;
};

constexpr int TILE_ROWS = 3, TILE_COLUMNS = 2;    // cells of a tile
constexpr int PATCH_ROWS = 5, PATCH_COLUMNS = 4;  // cells that a tile is computed from
constexpr int PLACES = PATCH_ROWS * PATCH_COLUMNS;

inline int round_up(int number, int multiple) { return (number + multiple - 1) / multiple * multiple; }

// The board in tiles, with an empty border, and whole tiles at its end. Tiles are numbered column by column.
struct Tiles {
    int rows, columns;  // of the board
    int down, across;   // tiles

    Tiles(int rows, int columns)
        : rows(rows),
          columns(columns),
          down(round_up(rows, TILE_ROWS) / TILE_ROWS),
          across(round_up(columns, TILE_COLUMNS) / TILE_COLUMNS) {}
    int count() const { return down * across; }
    int padded_columns() const { return TILE_COLUMNS * across + 2; }
    int padded_cells() const { return (TILE_ROWS * down + 2) * padded_columns(); }
    std::size_t padded(int row, int column) const { return std::size_t(row + 1) * padded_columns() + column + 1; }
};

// The planes of line_planes.py, beside those of an observation.
class Inputs {
public:
    // lines: of `line_length` cells each, at most 15, one after the other, at most 255 of them through a cell; 0: no
    // such planes.
    Inputs(int planes, int cells, int line_length, const std::vector<std::int32_t>& lines)
        : observed_(planes), cells_(cells), length_(line_length), lines_(lines), stones_(cells) {
        if (length_ == 0) {
            return;
        }
        words_ = round_up(line_planes(), 8) / 8;
        open_.resize(std::size_t((OTHERS + 1) * length_ + 1) * words_);
        for (int stones = 1; stones < length_; ++stones) {
            for (const int others : {0, 1}) {
                const int plane = 2 * (stones - 1) + others;
                const int sum = others ? OTHERS * stones : stones;
                open_[std::size_t(sum) * words_ + plane / 8] = std::uint64_t{1} << (8 * (plane % 8));
            }
        }
        const int lines_in_all = int(lines_.size()) / length_;
        opened_.resize(std::size_t(lines_in_all) * words_);
        for (int cell = 0; cell < cells_; ++cell) {
            for (int line = 0; line < lines_in_all; ++line) {
                const auto first = lines_.begin() + line * length_;
                if (std::find(first, first + length_, cell) != first + length_) {
                    lines_through_.push_back(line);
                }
            }
            ends_.push_back(int(lines_through_.size()));
        }
    }

    int planes() const { return observed_ + line_planes(); }

    // Bytes that `fill` may write, of a board whose cells are `width` bytes apart.
    std::size_t size(int width) const { return std::size_t(cells_) * width + 8 * words_; }

    // bytes [cells][width]: of each cell its planes, then what was there.
    void fill(const std::uint8_t* observation, int width, std::uint8_t* bytes) {
        if (observed_ == 2 && length_ == 4) {
            fill_planes<2, 4>(observation, width, bytes);
        } else {
            fill_planes<0, 0>(observation, width, bytes);
        }
    }

private:
    static constexpr int OTHERS = 16;  // what an opponent's stone counts in a sum, where one's own counts 1

    int line_planes() const { return length_ > 0 ? 2 * (length_ - 1) : 0; }

    // PLANES of the observation, LENGTH of the lines, as compiled code knows them best; 0: any.
    template <int PLANES, int LENGTH>
    void fill_planes(const std::uint8_t* observation, int width, std::uint8_t* bytes) {
        const int planes = LENGTH ? PLANES : observed_;
        const int length = LENGTH ? LENGTH : length_;
        const int words = LENGTH ? (2 * (LENGTH - 1) + 7) / 8 : words_;
        if (length > 0) {
            look_at_lines(observation, length, words);
        }
        const int* line = lines_through_.data();
        for (int cell = 0; cell < cells_; ++cell, bytes += width) {
            for (int plane = 0; plane < planes; ++plane) {
                bytes[plane] = observation[plane * cells_ + cell];
            }
            if (length == 0) {
                continue;
            }
            // Eight planes of a cell are counted at once, a byte each. What is written beyond the last one are zeros.
            const int* end = lines_through_.data() + ends_[cell];
            const std::uint64_t empty = stones_[cell] == 0 ? ~std::uint64_t{0} : 0;
            for (int word = 0; word < words; ++word) {
                std::uint64_t counts = 0;
                for (const int* through = line; through < end; ++through) {
                    counts += opened_[*through * words + word];
                }
                counts &= empty;
                std::memcpy(bytes + planes + 8 * word, &counts, sizeof counts);
            }
            line = end;
        }
    }

    // What each line adds to its cells. (Inlined, so that what is known of its arguments counts here, too.)
    inline void look_at_lines(const std::uint8_t* observation, int length, int words) {
        const std::uint8_t* own = observation;
        const std::uint8_t* others = observation + cells_;
        for (int cell = 0; cell < cells_; ++cell) {
            stones_[cell] = std::uint8_t((own[cell] != 0) + OTHERS * (others[cell] != 0));
        }
        const std::int32_t* cells = lines_.data();
        for (std::size_t line = 0; line < opened_.size(); line += words) {
            int sum = 0;
            for (int place = 0; place < length; ++place) {
                sum += stones_[cells[place]];
            }
            cells += length;
            for (int word = 0; word < words; ++word) {
                opened_[line + word] = open_[std::size_t(sum) * words + word];
            }
        }
    }

    int observed_, cells_, length_;
    int words_ = 0;  // of eight planes each
    std::vector<std::int32_t> lines_;
    std::vector<int> lines_through_, ends_;  // of each cell, one after the other, and where they end
    std::vector<std::uint64_t> open_;        // sum of a line's stones -> what it adds to its cells
    std::vector<std::uint64_t> opened_;      // what each line adds to its cells
    std::vector<std::uint8_t> stones_;
};

#ifdef AZ_WINOGRAD

#define AZ_LAMBDA AZ_TARGET __attribute__((always_inline))
#define AZ_INLINE AZ_LAMBDA inline

// What both kinds of AVX-512 have in common.
namespace avx512_floats {
#define AZ_TARGET __attribute__((target("avx512f,fma")))
using Floats = __m512;
AZ_INLINE Floats load(const float* from) { return _mm512_loadu_ps(from); }
AZ_INLINE Floats load_bytes(const std::uint8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
AZ_INLINE void store(float* to, Floats from) { _mm512_storeu_ps(to, from); }
AZ_INLINE Floats zero() { return _mm512_setzero_ps(); }
AZ_INLINE Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
AZ_INLINE Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
AZ_INLINE Floats add_times(Floats a, float factor, Floats b) { return _mm512_fmadd_ps(_mm512_set1_ps(factor), b, a); }
AZ_INLINE Floats rectified(Floats a) { return _mm512_max_ps(_mm512_setzero_ps(), a); }
#undef AZ_TARGET
}  // namespace avx512_floats

namespace avx512_bf16 {
#define AZ_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")))
using namespace avx512_floats;
using Word = std::uint32_t;  // two bfloat16
constexpr int LANES = 16;
constexpr int WORD_CHANNELS = 2;
constexpr int ROWS = 12;
AZ_INLINE __m512i load_words(const Word* from) { return _mm512_loadu_si512(from); }
AZ_INLINE __m512i broadcast(Word word) { return _mm512_set1_epi32(int(word)); }
AZ_INLINE Floats multiply_add(Floats sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
AZ_INLINE void store_words(Word* to, Floats from) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(from));
}
#include "alphazero/network/winograd_tower.h"
#undef AZ_TARGET
inline bool here() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("fma");
}
}  // namespace avx512_bf16

namespace avx512 {
#define AZ_TARGET __attribute__((target("avx512f,fma")))
using namespace avx512_floats;
using Word = float;
constexpr int LANES = 16;
constexpr int WORD_CHANNELS = 1;
constexpr int ROWS = 12;
AZ_INLINE Floats load_words(const float* from) { return load(from); }
AZ_INLINE Floats broadcast(float word) { return _mm512_set1_ps(word); }
AZ_INLINE Floats multiply_add(Floats sum, Floats a, Floats b) { return _mm512_fmadd_ps(a, b, sum); }
AZ_INLINE void store_words(Word* to, Floats from) { store(to, from); }
#include "alphazero/network/winograd_tower.h"
#undef AZ_TARGET
inline bool here() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma"); }
}  // namespace avx512

namespace avx2 {
#define AZ_TARGET __attribute__((target("avx2,fma")))
using Floats = __m256;
using Word = float;
constexpr int LANES = 8;
constexpr int WORD_CHANNELS = 1;
constexpr int ROWS = 6;
AZ_INLINE Floats load(const float* from) { return _mm256_loadu_ps(from); }
AZ_INLINE Floats load_bytes(const std::uint8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}
AZ_INLINE void store(float* to, Floats from) { _mm256_storeu_ps(to, from); }
AZ_INLINE Floats zero() { return _mm256_setzero_ps(); }
AZ_INLINE Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
AZ_INLINE Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
AZ_INLINE Floats add_times(Floats a, float factor, Floats b) { return _mm256_fmadd_ps(_mm256_set1_ps(factor), b, a); }
AZ_INLINE Floats rectified(Floats a) { return _mm256_max_ps(_mm256_setzero_ps(), a); }
AZ_INLINE Floats load_words(const float* from) { return load(from); }
AZ_INLINE Floats broadcast(float word) { return _mm256_set1_ps(word); }
AZ_INLINE Floats multiply_add(Floats sum, Floats a, Floats b) { return _mm256_fmadd_ps(a, b, sum); }
AZ_INLINE void store_words(Word* to, Floats from) { store(to, from); }
#include "alphazero/network/winograd_tower.h"
#undef AZ_TARGET
inline bool here() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
}  // namespace avx2

#undef AZ_INLINE
#undef AZ_LAMBDA

#endif  // AZ_WINOGRAD

// The fastest first.
inline std::vector<Instructions> all_instructions() {
    return {
#ifdef AZ_WINOGRAD
        {"avx512_bf16", avx512_bf16::LANES, avx512_bf16::WORD_CHANNELS, avx512_bf16::here, avx512_bf16::make},
        {"avx512", avx512::LANES, avx512::WORD_CHANNELS, avx512::here, avx512::make},
        {"avx2", avx2::LANES, avx2::WORD_CHANNELS, avx2::here, avx2::make},
#endif
    };
}

}  // namespace az::winograd
