// The arithmetic of winograd.h for one kind of processor. Included once for each, inside a namespace of its own that
// has defined:
//
//   AZ_TARGET      attribute of every function here: the instructions it may use
//   Floats         a vector of LANES floats, with load, store, zero, add, subtract, add_times (a + factor * b),
//                  load_bytes, and rectified: nothing below zero, and NaN stays NaN (of the processor's maximum the second
//                  operand counts then)
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
// RECTIFIED ends with relu; APART sums each group apart, so that rounding does not add up along hundreds of words.
enum class Kind { PLAIN, RECTIFIED, APART };

// out[row][0 .. OUT*LANES) = beginning + sum over the row's words of word times its weights, for COUNT rows.
template <int COUNT, int OUT, Kind KIND>
AZ_TARGET static void multiply_rows(const Word* first, std::size_t stride, int words, const Word* weights,
                                    std::size_t weights_stride, const Extra* extra, float* out,
                                    std::size_t out_stride) {
    Floats sums[COUNT][OUT], totals[COUNT][OUT];
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
        if (KIND == Kind::APART) {
#pragma GCC unroll 16
            for (int row = 0; row < COUNT; ++row) {
                totals[row][0] = group == 0 ? sums[row][0] : add(totals[row][0], sums[row][0]);
                sums[row][0] = zero();
            }
        }
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
            const Floats sum = KIND == Kind::APART ? add(totals[row][part], sums[row][part]) : sums[row][part];
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

// The same for any number of outputs, a multiple of LANES, of which two vectors are computed at a time; APART one, for
// lack of accumulators.
template <Kind KIND>
AZ_TARGET static void multiply_all(int count, const Rows& rows, const Word* weights, Extra extra, int outputs,
                                   float* out) {
    constexpr int VECTORS = KIND == Kind::APART ? 1 : 2;
    for (int first = 0; first < outputs; first += VECTORS * LANES) {
        multiply<KIND>(count, rows, {weights + first, std::size_t(outputs)}, &extra,
                       std::min(VECTORS, (outputs - first) / LANES), out + first, outputs);
        extra.beginning += VECTORS * LANES;
    }
}

// What a patch is transformed by, down (B^T) and across (C^T).
AZ_TARGET AZ_INLINE void transform_down(const Floats* from, Floats* to) {
    to[0] = add_times(subtract(from[3], from[0]), 1.5f, subtract(from[2], from[1]));
    to[1] = add_times(add(from[1], from[3]), 2.5f, from[2]);
    to[2] = add_times(add(from[2], from[3]), -2.0f, from[1]);
    to[3] = add_times(from[3], -0.5f, add(from[1], from[2]));
    to[4] = add_times(subtract(from[4], from[1]), 1.5f, subtract(from[3], from[2]));
}

AZ_TARGET AZ_INLINE void transform_across(const Floats* from, Floats* to) {
    to[0] = subtract(from[0], from[2]);
    to[1] = add(from[1], from[2]);
    to[2] = subtract(from[2], from[1]);
    to[3] = subtract(from[1], from[3]);
}

// What products are transformed by, down (A^T) and across (D^T).
AZ_TARGET AZ_INLINE void sum_down(const Floats* from, Floats* to) {
    to[0] = add(add(from[0], from[1]), add(from[2], from[3]));
    to[1] = add_times(add_times(from[1], -0.5f, from[2]), -2.0f, from[3]);
    to[2] = add_times(add_times(add(from[1], from[4]), 0.25f, from[2]), 4.0f, from[3]);
}

AZ_TARGET AZ_INLINE void sum_across(const Floats* from, Floats* to) {
    to[0] = add(add(from[0], from[1]), from[2]);
    to[1] = subtract(subtract(from[1], from[2]), from[3]);
}

// put(place, tile, channel, floats): each tile's transformed patch, at each of its places; padded: [padded
// cells][channels].
template <class Put>
AZ_TARGET static void transform_inputs(const Tiles& tiles, int channels, const float* padded, const Put& put) {
    const std::size_t line = std::size_t(tiles.padded_columns()) * channels;
    for (int down = 0; down < tiles.down; ++down) {
        for (int channel = 0; channel < channels; channel += LANES) {
            const float* from = padded + TILE_ROWS * down * line + channel;
            Floats patch[PATCH_ROWS][PATCH_COLUMNS];  // transformed downwards
            const auto read_column = [&](int column) AZ_LAMBDA {
                Floats cells[PATCH_ROWS], transformed[PATCH_ROWS];
#pragma GCC unroll 5
                for (int row = 0; row < PATCH_ROWS; ++row) {
                    cells[row] = load(from + row * line);
                }
                transform_down(cells, transformed);
#pragma GCC unroll 5
                for (int row = 0; row < PATCH_ROWS; ++row) {
                    patch[row][column] = transformed[row];
                }
                from += channels;
            };
            read_column(0);
            read_column(1);
            for (int across = 0; across < tiles.across; ++across) {
                const int tile = across * tiles.down + down;
                read_column(2);
                read_column(3);
#pragma GCC unroll 5
                for (int row = 0; row < PATCH_ROWS; ++row) {
                    Floats places[PATCH_COLUMNS];
                    transform_across(patch[row], places);
#pragma GCC unroll 4
                    for (int column = 0; column < PATCH_COLUMNS; ++column) {
                        put(PATCH_COLUMNS * row + column, tile, channel, places[column]);
                    }
                    patch[row][0] = patch[row][2];
                    patch[row][1] = patch[row][3];
                }
            }
        }
    }
}

// The same into words [PLACES][tiles][channels / WORD_CHANNELS].
AZ_TARGET static void transform_inputs_to_words(const Tiles& tiles, int channels, const float* padded, Word* words) {
    const std::size_t tile_words = channels / WORD_CHANNELS;
    const std::size_t step = tiles.count() * tile_words;
    transform_inputs(tiles, channels, padded, [=](int place, int tile, int channel, Floats floats) AZ_LAMBDA {
        store_words(words + place * step + tile * tile_words + channel / WORD_CHANNELS, floats);
    });
}

// put(row, column, vector, floats): the sums for each cell of the board; products: [PLACES][tiles][vectors * LANES].
template <class Put>
AZ_TARGET static void transform_outputs(const Tiles& tiles, int vectors, const float* products, const Put& put) {
    const std::size_t width = std::size_t(vectors) * LANES;
    const std::size_t step = tiles.count() * width;
    for (int across = 0; across < tiles.across; ++across) {
        for (int down = 0; down < tiles.down; ++down) {
            for (int vector = 0; vector < vectors; ++vector) {
                const float* from = products + (across * tiles.down + down) * width + vector * LANES;
                Floats columns[TILE_COLUMNS][PATCH_ROWS];  // summed across
#pragma GCC unroll 5
                for (int row = 0; row < PATCH_ROWS; ++row) {
                    Floats places[PATCH_COLUMNS], cells[TILE_COLUMNS];
#pragma GCC unroll 4
                    for (int place = 0; place < PATCH_COLUMNS; ++place) {
                        places[place] = load(from);
                        from += step;
                    }
                    sum_across(places, cells);
#pragma GCC unroll 2
                    for (int right = 0; right < TILE_COLUMNS; ++right) {
                        columns[right][row] = cells[right];
                    }
                }
#pragma GCC unroll 2
                for (int right = 0; right < TILE_COLUMNS; ++right) {
                    const int column = TILE_COLUMNS * across + right;
                    if (column >= tiles.columns) {
                        break;
                    }
                    Floats cells[TILE_ROWS];
                    sum_down(columns[right], cells);
#pragma GCC unroll 3
                    for (int below = 0; below < TILE_ROWS; ++below) {
                        const int row = TILE_ROWS * down + below;
                        if (row < tiles.rows) {
                            put(row, column, vector, cells[below]);
                        }
                    }
                }
            }
        }
    }
}

// put(row, column, output, floats): a 3x3 convolution of a position, for each cell and vector of outputs.
// padded: [padded cells][channels]; weights: [PLACES][channels / WORD_CHANNELS][outputs]; words and products: memory.
template <class Put>
AZ_TARGET static void convolution(const Tiles& tiles, int channels, int outputs, const float* padded,
                                  const Word* weights, Word* words, float* products, const Put& put) {
    transform_inputs_to_words(tiles, channels, padded, words);
    const std::size_t tile_words = channels / WORD_CHANNELS;
    // The last place of a row counts for a tile's last column alone, which the board need not have in the last tiles.
    const int cut = tiles.columns % TILE_COLUMNS == 0 ? 0 : tiles.down;
    for (int first = 0; first < outputs; first += 2 * LANES) {
        const int vectors = std::min(2, (outputs - first) / LANES);
        const std::size_t width = std::size_t(vectors) * LANES;
        for (int place = 0; place < PLACES; ++place) {
            const Rows rows{words + place * tiles.count() * tile_words, tile_words, int(tile_words)};
            const Matrix matrix{weights + place * tile_words * outputs + first, std::size_t(outputs)};
            const bool is_last = place % PATCH_COLUMNS == PATCH_COLUMNS - 1;
            multiply<Kind::PLAIN>(tiles.count() - (is_last ? cut : 0), rows, matrix, nullptr, vectors,
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
        bytes_ = Buffer<std::uint8_t>(inputs_.size(planes_));
        // `stem` writes planes_ for the last cell, too, whatever follows it on so small a board.
        board_ = Buffer<Word>(padded * round_up(inputs_.planes(), WORD_CHANNELS) / WORD_CHANNELS +
                              std::max(LANES, 16));
        features_ = Buffer<float>(padded * sizes.filters);
        inner_ = Buffer<float>(padded * sizes.filters);
        words_ = Buffer<Word>(std::size_t(std::max(PLACES * tiles_.count(), cells_)) * sizes.filters / WORD_CHANNELS);
        const std::size_t products = std::size_t(PLACES) * tiles_.count() * 2 * LANES;
        products_ = Buffer<float>(std::max(products, std::size_t(cells_) * heads_));
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
        multiply_all<Kind::APART>(count, {words, cells_ * cell_words, policy_words},
                                static_cast<const Word*>(weights.policy_output.weights),
                                {weights.policy_output.bias, 0, cells_, cell_words}, actions_, logits_.data());
        multiply_all<Kind::APART>(count, {words + policy_words, cells_ * cell_words, value_words},
                                      static_cast<const Word*>(weights.value_hidden.weights),
                                      {weights.value_hidden.bias, 0, cells_, cell_words}, hidden_units_,
                                      hidden_.data());
        const float* output = static_cast<const float*>(weights.value_output.weights);
        for (int row = 0; row < count; ++row) {
            std::copy_n(logits_.data() + row * actions_, sizes_.actions, logits + row * sizes_.actions);
            float* units = hidden_.data() + row * hidden_units_;
            for (int unit = 0; unit < hidden_units_; unit += LANES) {
                store(units + unit, rectified(load(units + unit)));
            }
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
