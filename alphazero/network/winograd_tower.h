// The arithmetic of winograd.h for one kind of processor. Included once for each, inside a namespace of its own that
// has defined:
//
//   AZ_TARGET      attribute of every function here: the instructions it may use
//   Floats         a vector of LANES floats, with load, store, zero, add, subtract, maximum, load_bytes
//   Word           what the multiplications read at once: WORD_CHANNELS inputs
//   broadcast      of a Word or a float: it, in every lane; load_words reads LANES of them
//   multiply_add   of a Floats and of what load_words and broadcast give
//   store_words    LANES floats, rounded to Words
//   ROWS           rows that the accumulators have room for beside two vectors of weights
//
// No include guard: it is meant to be included more than once.

// Inputs of a multiplication: `groups` times `words` of them in each row, the groups `stride` apart.
struct Rows {
    const Word* first;
    std::size_t stride;  // from row to row
    int groups, words;
    std::size_t group_stride;

    Rows after(int rows) const { return {first + rows * stride, stride, groups, words, group_stride}; }
};

// out[row][0 .. OUT*LANES) = bias of that row + sum over its words of word times weights, for COUNT rows; with RELU
// rectified. weights: [words of a row][OUT * LANES]; bias null: zeros.
template <int COUNT, int OUT, bool RELU>
AZ_TARGET static void multiply_rows(const Rows& rows, const Word* weights, const float* bias, std::size_t bias_stride,
                                    float* out, std::size_t out_stride) {
    Floats sums[COUNT][OUT];
#pragma GCC unroll 16
    for (int row = 0; row < COUNT; ++row) {
#pragma GCC unroll 2
        for (int part = 0; part < OUT; ++part) {
            sums[row][part] = bias ? load(bias + row * bias_stride + part * LANES) : zero();
        }
    }
    for (int group = 0; group < rows.groups; ++group) {
        const Word* inputs = rows.first + group * rows.group_stride;
        for (int word = 0; word < rows.words; ++word) {
            decltype(load_words(weights)) factors[OUT];
#pragma GCC unroll 2
            for (int part = 0; part < OUT; ++part) {
                factors[part] = load_words(weights + part * LANES);
            }
            weights += OUT * LANES;
#pragma GCC unroll 16
            for (int row = 0; row < COUNT; ++row) {
                const auto input = broadcast(inputs[row * rows.stride + word]);
#pragma GCC unroll 2
                for (int part = 0; part < OUT; ++part) {
                    sums[row][part] = multiply_add(sums[row][part], factors[part], input);
                }
            }
        }
    }
#pragma GCC unroll 16
    for (int row = 0; row < COUNT; ++row) {
#pragma GCC unroll 2
        for (int part = 0; part < OUT; ++part) {
            store(out + row * out_stride + part * LANES, RELU ? maximum(sums[row][part], zero()) : sums[row][part]);
        }
    }
}

using MultiplyRows = void (*)(const Rows&, const Word*, const float*, std::size_t, float*, std::size_t);

template <int OUT, bool RELU, int... COUNTS>
static MultiplyRows multiply_rows_of(int count, std::integer_sequence<int, COUNTS...>) {
    static constexpr MultiplyRows functions[] = {multiply_rows<COUNTS + 1, OUT, RELU>...};
    return functions[count - 1];
}

// The same for any number of rows and for `vectors` (1 or 2) vectors of outputs.
template <bool RELU>
AZ_TARGET static void multiply(int count, const Rows& rows, const Word* weights, const float* bias,
                               std::size_t bias_stride, int vectors, float* out, std::size_t out_stride) {
    const auto counts = std::make_integer_sequence<int, ROWS>{};
    const int blocks = (count + ROWS - 1) / ROWS;
    for (int block = 0; block < blocks; ++block) {
        const int first = block * count / blocks;
        const int size = (block + 1) * count / blocks - first;
        const auto function = vectors == 2 ? multiply_rows_of<2, RELU>(size, counts)
                                           : multiply_rows_of<1, RELU>(size, counts);
        function(rows.after(first), weights, bias ? bias + first * bias_stride : nullptr, bias_stride,
                 out + first * out_stride, out_stride);
    }
}

// The same for a layer with any number of outputs, a multiple of LANES.
template <bool RELU>
AZ_TARGET static void linear(int count, const Rows& rows, const Layer& layer, int outputs, float* out) {
    const Word* matrix = static_cast<const Word*>(layer.weights);
    for (int first = 0; first < outputs; first += 2 * LANES) {
        const int vectors = std::min(2, (outputs - first) / LANES);
        multiply<RELU>(count, rows, matrix, layer.bias + first, 0, vectors, out + first, outputs);
        matrix += std::size_t(rows.groups) * rows.words * vectors * LANES;
    }
}

// words [16][tiles][channels / WORD_CHANNELS] = B^T d B of each tile's 4x4 cells; padded: [padded cells][channels].
AZ_TARGET static void transform_inputs(const Tiles& tiles, int channels, const float* padded, Word* words) {
    const std::size_t tile_words = channels / WORD_CHANNELS;
    const std::size_t step = tiles.count() * tile_words;
    const std::size_t line = std::size_t(tiles.padded_columns()) * channels;
    for (int down = 0; down < tiles.down; ++down) {
        for (int channel = 0; channel < channels; channel += LANES) {
            const float* from = padded + 2 * down * line + channel;
            Word* to = words + down * tile_words + channel / WORD_CHANNELS;
            Floats columns[4][4];  // [column][row], transformed along the column
            const auto read_column = [&](Floats* column) AZ_TARGET {
                const Floats cells[4] = {load(from), load(from + line), load(from + 2 * line), load(from + 3 * line)};
                column[0] = subtract(cells[0], cells[2]);
                column[1] = add(cells[1], cells[2]);
                column[2] = subtract(cells[2], cells[1]);
                column[3] = subtract(cells[1], cells[3]);
                from += channels;
            };
            read_column(columns[0]);
            read_column(columns[1]);
            for (int across = 0; across < tiles.across; ++across) {
                read_column(columns[2]);
                read_column(columns[3]);
#pragma GCC unroll 4
                for (int row = 0; row < 4; ++row) {
                    Word* place = to + 4 * row * step;
                    store_words(place, subtract(columns[0][row], columns[2][row]));
                    store_words(place + step, add(columns[1][row], columns[2][row]));
                    store_words(place + 2 * step, subtract(columns[2][row], columns[1][row]));
                    store_words(place + 3 * step, subtract(columns[1][row], columns[3][row]));
                    columns[0][row] = columns[2][row];
                    columns[1][row] = columns[3][row];
                }
                to += tiles.down * tile_words;
            }
        }
    }
}

// padded [padded cells][channels], `vectors` from channel `first` on: relu(A^T m A + bias (+ what stood there)).
// products: [16][tiles][vectors * LANES]; bias: [cells][channels].
template <bool RESIDUAL>
AZ_TARGET static void transform_outputs(const Tiles& tiles, int channels, int first, int vectors,
                                        const float* products, const float* bias, float* padded) {
    const std::size_t width = std::size_t(vectors) * LANES;
    const std::size_t step = tiles.count() * width;
    for (int across = 0; across < tiles.across; ++across) {
        for (int down = 0; down < tiles.down; ++down) {
            for (int vector = 0; vector < vectors; ++vector) {
                const float* from = products + (across * tiles.down + down) * width + vector * LANES;
                Floats halves[2][4];
#pragma GCC unroll 4
                for (int row = 0; row < 4; ++row) {
                    const Floats middle[2] = {load(from + step), load(from + 2 * step)};
                    halves[0][row] = add(add(load(from), middle[0]), middle[1]);
                    halves[1][row] = subtract(subtract(middle[0], middle[1]), load(from + 3 * step));
                    from += 4 * step;
                }
#pragma GCC unroll 2
                for (int right = 0; right < 2; ++right) {
                    const Floats* half = halves[right];
                    const Floats cells[2] = {add(add(half[0], half[1]), half[2]),
                                             subtract(subtract(half[1], half[2]), half[3])};
                    const int column = 2 * across + right;
#pragma GCC unroll 2
                    for (int below = 0; below < 2; ++below) {
                        const int row = 2 * down + below;
                        if (row >= tiles.rows || column >= tiles.columns) {
                            continue;
                        }
                        const std::size_t offset = first + vector * LANES;
                        float* place = padded + tiles.padded(row, column) * channels + offset;
                        Floats sum = add(cells[below], load(bias + (row * tiles.columns + column) * channels + offset));
                        if (RESIDUAL) {
                            sum = add(sum, load(place));
                        }
                        store(place, maximum(sum, zero()));
                    }
                }
            }
        }
    }
}

class Evaluator final : public AnyEvaluator {
public:
    explicit Evaluator(const Sizes& sizes)
        : sizes_(sizes), tiles_(sizes.rows, sizes.columns), inputs_(sizes.planes, sizes.rows * sizes.columns, sizes.line_length, sizes.lines) {
        cells_ = sizes.rows * sizes.columns;
        planes_ = round_up(inputs_.planes(), std::max(LANES, 16));
        heads_ = round_up(sizes.policy_filters + sizes.value_filters, LANES);
        actions_ = round_up(sizes.actions, LANES);
        hidden_units_ = round_up(sizes.value_hidden, LANES);
        const std::size_t padded = tiles_.padded_cells();
        bytes_ = Buffer<std::uint8_t>(std::size_t(cells_) * planes_);
        board_ = Buffer<Word>(padded * round_up(inputs_.planes(), WORD_CHANNELS) / WORD_CHANNELS + LANES);
        features_ = Buffer<float>(padded * sizes.filters);
        inner_ = Buffer<float>(padded * sizes.filters);
        words_ = Buffer<Word>(std::size_t(std::max(16 * tiles_.count(), cells_)) * sizes.filters / WORD_CHANNELS);
        products_ = Buffer<float>(std::max(std::size_t(16) * tiles_.count() * 2 * LANES, std::size_t(cells_) * heads_));
        head_words_ = Buffer<Word>(std::size_t(ROWS) * cells_ * heads_ / WORD_CHANNELS);
        hidden_ = Buffer<float>(std::size_t(ROWS) * hidden_units_);
        logits_ = Buffer<float>(std::size_t(ROWS) * actions_);
    }

    AZ_TARGET void evaluate(const Weights& weights, std::size_t rows, const std::uint8_t* observations, float* logits,
                            float* values) override {
        for (std::size_t first = 0; first < rows; first += ROWS) {
            const int count = int(std::min<std::size_t>(ROWS, rows - first));
            for (int row = 0; row < count; ++row) {
                tower(weights, observations + (first + row) * sizes_.planes * cells_);
                heads(weights, head_words_.data() + std::size_t(row) * cells_ * heads_ / WORD_CHANNELS);
            }
            answers(weights, count, logits + first * sizes_.actions, values + first);
        }
    }

private:
    AZ_TARGET void tower(const Weights& weights, const std::uint8_t* observation) {
        inputs_.fill(observation, planes_, bytes_.data());
        stem(weights.tower[0]);
        for (int block = 0; block < sizes_.blocks; ++block) {
            const Layer* layers = &weights.tower[1 + 2 * block];
            convolve<false>(layers[0], features_.data(), inner_.data());
            convolve<true>(layers[1], inner_.data(), features_.data());
        }
    }

    // The first convolution, of few channels, tap by tap: features_ = relu(convolution of bytes_ + bias).
    AZ_TARGET void stem(const Layer& layer) {
        const std::uint8_t* bytes = bytes_.data();
        const std::size_t words = round_up(inputs_.planes(), WORD_CHANNELS) / WORD_CHANNELS;  // of a cell
        const std::size_t line = tiles_.padded_columns() * words;
        for (int row = 0; row < sizes_.rows; ++row) {
            for (int column = 0; column < sizes_.columns; ++column) {
                // What is rounded up to whole vectors lies on the next cell, which is written next.
                Word* place = board_.data() + tiles_.padded(row, column) * words;
                for (int plane = 0; plane < planes_; plane += LANES) {
                    store_words(place + plane / WORD_CHANNELS, load_bytes(bytes + plane));
                }
                bytes += planes_;
            }
        }
        const Word* matrix = static_cast<const Word*>(layer.weights);
        for (int first = 0; first < sizes_.filters; first += 2 * LANES) {
            const int vectors = std::min(2, (sizes_.filters - first) / LANES);
            const std::size_t width = std::size_t(vectors) * LANES;
            for (int row = 0; row < sizes_.rows; ++row) {
                // Three lines of three cells each, but for those outside of the board.
                const int skipped = row == 0;
                const int lines = 3 - skipped - (row == sizes_.rows - 1);
                const Word* corner = board_.data() + (tiles_.padded(row + skipped - 1, -1)) * words;
                const Rows rows{corner, words, lines, int(3 * words), line};
                multiply<true>(sizes_.columns, rows, matrix + skipped * 3 * words * width,
                                     layer.bias + std::size_t(row) * sizes_.columns * sizes_.filters + first,
                                     sizes_.filters, vectors,
                                     features_.data() + tiles_.padded(row, 0) * sizes_.filters + first, sizes_.filters);
            }
            matrix += 9 * words * width;
        }
    }

    // to = relu(convolution of `from` + bias (+ to)), both [padded cells][filters].
    template <bool RESIDUAL>
    AZ_TARGET void convolve(const Layer& layer, const float* from, float* to) {
        transform_inputs(tiles_, sizes_.filters, from, words_.data());
        const int words = sizes_.filters / WORD_CHANNELS;
        // Of a last column of tiles of which the board has one half, the products for the other half are not needed.
        const int halved = sizes_.columns % 2 * tiles_.down;
        const Word* matrix = static_cast<const Word*>(layer.weights);
        for (int first = 0; first < sizes_.filters; first += 2 * LANES) {
            const int vectors = std::min(2, (sizes_.filters - first) / LANES);
            const std::size_t width = std::size_t(vectors) * LANES;
            for (int place = 0; place < 16; ++place) {
                const Rows rows{words_.data() + place * tiles_.count() * words, std::size_t(words), 1, words, 0};
                multiply<false>(tiles_.count() - (place % 4 == 3 ? halved : 0), rows, matrix, nullptr, 0, vectors,
                                      products_.data() + place * tiles_.count() * width, width);
                matrix += words * width;
            }
            transform_outputs<RESIDUAL>(tiles_, sizes_.filters, first, vectors, products_.data(), layer.bias, to);
        }
    }

    // The 1x1 convolutions of both heads at once, for one position: [cells][heads_ / WORD_CHANNELS].
    AZ_TARGET void heads(const Weights& weights, Word* to) {
        const int words = sizes_.filters / WORD_CHANNELS;
        Word* word = words_.data();
        for (int row = 0; row < sizes_.rows; ++row) {
            const float* features = features_.data() + tiles_.padded(row, 0) * sizes_.filters;
            for (int filter = 0; filter < sizes_.columns * sizes_.filters; filter += LANES) {
                store_words(word, load(features + filter));
                word += LANES / WORD_CHANNELS;
            }
        }
        const Rows rows{words_.data(), std::size_t(words), 1, words, 0};
        linear<true>(cells_, rows, weights.heads, heads_, products_.data());
        for (int feature = 0; feature < cells_ * heads_; feature += LANES) {
            store_words(to + feature / WORD_CHANNELS, load(products_.data() + feature));
        }
    }

    // The linear layers, for `count` positions.
    AZ_TARGET void answers(const Weights& weights, int count, float* logits, float* values) {
        const Word* words = head_words_.data();
        const std::size_t cell_words = heads_ / WORD_CHANNELS;
        const int policy_words = sizes_.policy_filters / WORD_CHANNELS;
        const Rows policy{words, cells_ * cell_words, cells_, policy_words, cell_words};
        linear<false>(count, policy, weights.policy_output, actions_, logits_.data());
        const Rows value{words + policy_words, cells_ * cell_words, cells_, sizes_.value_filters / WORD_CHANNELS,
                         cell_words};
        linear<true>(count, value, weights.value_hidden, hidden_units_, hidden_.data());
        const float* output = static_cast<const float*>(weights.value_output.weights);
        for (int row = 0; row < count; ++row) {
            std::copy_n(logits_.data() + row * actions_, sizes_.actions, logits + row * sizes_.actions);
            const float* units = hidden_.data() + row * hidden_units_;
            values[row] = std::tanh(std::inner_product(output, output + sizes_.value_hidden, units,
                                                       weights.value_output.bias[0]));
        }
    }

    Sizes sizes_;
    Tiles tiles_;
    Inputs inputs_;
    int cells_;
    int planes_, heads_, actions_, hidden_units_;  // rounded up to whole vectors
    Buffer<std::uint8_t> bytes_;
    Buffer<float> features_, inner_;
    Buffer<Word> board_, words_;
    Buffer<float> products_;
    Buffer<Word> head_words_;
    Buffer<float> hidden_, logits_;
};

static std::unique_ptr<AnyEvaluator> make(const Sizes& sizes) { return std::make_unique<Evaluator>(sizes); }
