// The arithmetic of winograd.h for one kind of processor. Included once for each, inside a namespace of its own that
// has defined:
//
//   AZ_TARGET      attribute of every function here: the instructions it may use
//   Floats         a vector of LANES floats, with load, store, zero, add, subtract, load_bytes, and rectified:
//                  nothing below zero, and NaN stays NaN (of the processor's maximum the second operand counts then)
//   Word           what the multiplications read at once: WORD_CHANNELS inputs
//   broadcast      of a Word or a float: it, in every lane; load_words reads LANES of them
//   multiply_add   of a Floats and of what load_words and broadcast give
//   store_words    LANES floats, rounded to Words
//   ROWS           rows that the accumulators have room for beside two vectors of weights
//
// No include guard: it is meant to be included more than once.

// Inputs of a multiplication: `words` Words in each row.
struct Rows {
    const Word* first;
    std::size_t stride;  // from row to row
    int words;
};

// What the words of a row are multiplied with: for each word `stride` Words, one for each output.
struct Matrix {
    const Word* first;
    std::size_t stride;
};

// What a multiplication has beside: what each row's sums begin with, and how many groups its words are in.
struct Extra {
    const float* beginning;
    std::size_t beginning_stride;  // from row to row
    int groups = 1;  // of `words` each
    std::size_t group_stride = 0;
};

// How a multiplication is compiled: PLAIN has no `Extra`: it begins with zeros, and a row's words lie side by side;
// RECTIFIED ends with relu.
enum class Kind { PLAIN, ANY, RECTIFIED };

// out[row][0 .. OUT*LANES) = beginning + sum over the row's words of word times its weights, for COUNT rows.
template <int COUNT, int OUT, Kind KIND>
AZ_TARGET static void multiply_rows(const Word* first, std::size_t stride, int words, const Word* weights,
                                    std::size_t weights_stride, const Extra* extra, float* out,
                                    std::size_t out_stride) {
    Floats sums[COUNT][OUT];
#pragma GCC unroll 16
    for (int row = 0; row < COUNT; ++row) {
#pragma GCC unroll 2
        for (int part = 0; part < OUT; ++part) {
            sums[row][part] = KIND == Kind::PLAIN
                                  ? zero()
                                  : load(extra->beginning + row * extra->beginning_stride + part * LANES);
        }
    }
    const int groups = KIND == Kind::PLAIN ? 1 : extra->groups;
    for (int group = 0; group < groups; ++group) {
        const Word* inputs = KIND == Kind::PLAIN ? first : first + group * extra->group_stride;
        for (int word = 0; word < words; ++word) {
            decltype(load_words(weights)) factors[OUT];
#pragma GCC unroll 2
            for (int part = 0; part < OUT; ++part) {
                factors[part] = load_words(weights + part * LANES);
            }
            weights += weights_stride;
#pragma GCC unroll 16
            for (int row = 0; row < COUNT; ++row) {
                const auto input = broadcast(inputs[row * stride + word]);
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
            const Floats sum = sums[row][part];
            store(out + row * out_stride + part * LANES, KIND == Kind::RECTIFIED ? rectified(sum) : sum);
        }
    }
}

using MultiplyRows = void (*)(const Word*, std::size_t, int, const Word*, std::size_t, const Extra*, float*,
                              std::size_t);

template <int OUT, Kind KIND, int... COUNTS>
static MultiplyRows multiply_rows_of(int count, std::integer_sequence<int, COUNTS...>) {
    static constexpr MultiplyRows functions[] = {multiply_rows<COUNTS + 1, OUT, KIND>...};
    return functions[count - 1];
}

// The same for any number of rows and for `vectors` (1 or 2) vectors of outputs.
template <Kind KIND>
AZ_TARGET static void multiply(int count, const Rows& rows, const Matrix& matrix, const Extra* extra, int vectors,
                               float* out, std::size_t out_stride) {
    const auto counts = std::make_integer_sequence<int, ROWS>{};
    const int blocks = (count + ROWS - 1) / ROWS;
    for (int block = 0; block < blocks; ++block) {
        const int first = block * count / blocks;
        const int size = (block + 1) * count / blocks - first;
        const auto function = vectors == 2 ? multiply_rows_of<2, KIND>(size, counts)
                                           : multiply_rows_of<1, KIND>(size, counts);
        Extra here{};
        if (KIND != Kind::PLAIN) {
            here = *extra;
            here.beginning += first * here.beginning_stride;
        }
        function(rows.first + first * rows.stride, rows.stride, rows.words, matrix.first, matrix.stride, &here,
                 out + first * out_stride, out_stride);
    }
}

// The same for any number of outputs, a multiple of LANES, of which two vectors are computed at a time.
template <Kind KIND>
AZ_TARGET static void multiply_all(int count, const Rows& rows, const Word* weights, Extra extra, int outputs,
                                   float* out) {
    for (int first = 0; first < outputs; first += 2 * LANES) {
        multiply<KIND>(count, rows, {weights + first, std::size_t(outputs)}, &extra,
                       std::min(2, (outputs - first) / LANES), out + first, outputs);
        extra.beginning += 2 * LANES;
    }
}

// put(place, tile, channel, floats): B^T d B of each tile's 4x4 cells, at each of 16 places; padded: [padded
// cells][channels].
template <class Put>
AZ_TARGET static void transform_inputs(const Tiles& tiles, int channels, const float* padded, const Put& put) {
    const std::size_t line = std::size_t(tiles.padded_columns()) * channels;
    for (int down = 0; down < tiles.down; ++down) {
        for (int channel = 0; channel < channels; channel += LANES) {
            const float* from = padded + 2 * down * line + channel;
            Floats columns[4][4];  // [column][row], transformed along the column
            const auto read_column = [&](Floats* column) AZ_LAMBDA {
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
                const int tile = across * tiles.down + down;
                read_column(columns[2]);
                read_column(columns[3]);
#pragma GCC unroll 4
                for (int row = 0; row < 4; ++row) {
                    put(4 * row, tile, channel, subtract(columns[0][row], columns[2][row]));
                    put(4 * row + 1, tile, channel, add(columns[1][row], columns[2][row]));
                    put(4 * row + 2, tile, channel, subtract(columns[2][row], columns[1][row]));
                    put(4 * row + 3, tile, channel, subtract(columns[1][row], columns[3][row]));
                    columns[0][row] = columns[2][row];
                    columns[1][row] = columns[3][row];
                }
            }
        }
    }
}

// The same into words [16][tiles][channels / WORD_CHANNELS].
AZ_TARGET static void transform_inputs_to_words(const Tiles& tiles, int channels, const float* padded, Word* words) {
    const std::size_t tile_words = channels / WORD_CHANNELS;
    const std::size_t step = tiles.count() * tile_words;
    transform_inputs(tiles, channels, padded, [=](int place, int tile, int channel, Floats floats) AZ_LAMBDA {
        store_words(words + place * step + tile * tile_words + channel / WORD_CHANNELS, floats);
    });
}

// put(row, column, vector, floats): A^T m A, for each cell of the board; products: [16][tiles][vectors * LANES].
template <class Put>
AZ_TARGET static void transform_outputs(const Tiles& tiles, int vectors, const float* products, const Put& put) {
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
                        if (row < tiles.rows && column < tiles.columns) {
                            put(row, column, vector, cells[below]);
                        }
                    }
                }
            }
        }
    }
}

// put(row, column, output, floats): a 3x3 convolution of a position, for each cell and vector of outputs.
// padded: [padded cells][channels]; weights: [16][channels / WORD_CHANNELS][outputs]; words and products: memory.
template <class Put>
AZ_TARGET static void convolution(const Tiles& tiles, int channels, int outputs, const float* padded,
                                  const Word* weights, Word* words, float* products, const Put& put) {
    transform_inputs_to_words(tiles, channels, padded, words);
    const std::size_t tile_words = channels / WORD_CHANNELS;
    // Of a last column of tiles of which the board has one half, the products for the other half are not needed.
    const int halved = tiles.columns % 2 * tiles.down;
    for (int first = 0; first < outputs; first += 2 * LANES) {
        const int vectors = std::min(2, (outputs - first) / LANES);
        const std::size_t width = std::size_t(vectors) * LANES;
        for (int place = 0; place < 16; ++place) {
            const Rows rows{words + place * tiles.count() * tile_words, tile_words, int(tile_words)};
            const Matrix matrix{weights + place * tile_words * outputs + first, std::size_t(outputs)};
            multiply<Kind::PLAIN>(tiles.count() - (place % 4 == 3 ? halved : 0), rows, matrix, nullptr, vectors,
                                  products + place * tiles.count() * width, width);
        }
        transform_outputs(tiles, vectors, products, [=](int row, int column, int vector, Floats floats) AZ_LAMBDA {
            put(row, column, first + vector * LANES, floats);
        });
    }
}

class Evaluator final : public AnyEvaluator {
public:
    explicit Evaluator(const Sizes& sizes)
        : sizes_(sizes),
          tiles_(sizes.rows, sizes.columns),
          cells_(sizes.rows * sizes.columns),
          inputs_(sizes.planes, cells_, sizes.line_length, sizes.lines) {
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
        const std::size_t filters = sizes_.filters;
        for (int row = 0; row < sizes_.rows; ++row) {
            // Three lines of three cells each, but for those outside of the board.
            const int skipped = row == 0;
            const int lines = 3 - skipped - (row == sizes_.rows - 1);
            const Word* corner = board_.data() + tiles_.padded(row + skipped - 1, -1) * words;
            const Rows rows{corner, words, int(3 * words)};
            const float* bias = layer.bias + row * sizes_.columns * filters;
            const Word* weights = static_cast<const Word*>(layer.weights) + skipped * 3 * words * filters;
            multiply_all<Kind::RECTIFIED>(sizes_.columns, rows, weights, {bias, filters, lines, line}, sizes_.filters,
                                          features_.data() + tiles_.padded(row, 0) * filters);
        }
    }

    // to = relu(convolution of `from` + bias (+ to)), both [padded cells][filters].
    template <bool RESIDUAL>
    AZ_TARGET void convolve(const Layer& layer, const float* from, float* to) {
        const Tiles tiles = tiles_;
        const std::size_t filters = sizes_.filters;
        const float* bias = layer.bias;
        const auto put = [=](int row, int column, int filter, Floats sum) AZ_LAMBDA {
            float* place = to + tiles.padded(row, column) * filters + filter;
            sum = add(sum, load(bias + (row * tiles.columns + column) * filters + filter));
            if (RESIDUAL) {
                sum = add(sum, load(place));
            }
            store(place, rectified(sum));
        };
        convolution(tiles, sizes_.filters, sizes_.filters, from, static_cast<const Word*>(layer.weights), words_.data(),
                    products_.data(), put);
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
        multiply_all<Kind::RECTIFIED>(cells_, {words_.data(), std::size_t(words), words},
                                      static_cast<const Word*>(weights.heads.weights), {weights.heads.bias, 0}, heads_,
                                      products_.data());
        for (int feature = 0; feature < cells_ * heads_; feature += LANES) {
            store_words(to + feature / WORD_CHANNELS, load(products_.data() + feature));
        }
    }

    // The linear layers, for `count` positions.
    AZ_TARGET void answers(const Weights& weights, int count, float* logits, float* values) {
        const Word* words = head_words_.data();
        const std::size_t cell_words = heads_ / WORD_CHANNELS;
        const int policy_words = sizes_.policy_filters / WORD_CHANNELS;
        const int value_words = sizes_.value_filters / WORD_CHANNELS;
        multiply_all<Kind::ANY>(count, {words, cells_ * cell_words, policy_words},
                                static_cast<const Word*>(weights.policy_output.weights),
                                {weights.policy_output.bias, 0, cells_, cell_words}, actions_, logits_.data());
        multiply_all<Kind::RECTIFIED>(count, {words + policy_words, cells_ * cell_words, value_words},
                                      static_cast<const Word*>(weights.value_hidden.weights),
                                      {weights.value_hidden.bias, 0, cells_, cell_words}, hidden_units_,
                                      hidden_.data());
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
    int cells_;
    Inputs inputs_;
    int planes_, heads_, actions_, hidden_units_;  // rounded up to whole vectors
    Buffer<std::uint8_t> bytes_;
    Buffer<float> features_, inner_;
    Buffer<Word> board_, words_;
    Buffer<float> products_;
    Buffer<Word> head_words_;
    Buffer<float> hidden_, logits_;
};

static std::unique_ptr<AnyEvaluator> make(const Sizes& sizes) { return std::make_unique<Evaluator>(sizes); }
