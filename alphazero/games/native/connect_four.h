// Connect Four in C++: the twin of alphazero/games/connect_four.py, which says what each bit means.
//
// Bitboards of 49 bits, column by column, 7 bits a column, lowest bit at the bottom; the 7th bit of a
// column stays empty:
//
//      6 13 20 27 34 41 48     <- always empty
//      5 12 19 26 33 40 47     <- top row
//      ...
//      0  7 14 21 28 35 42     <- bottom row
#pragma once

#include <cstdint>

#include "alphazero/games/native/position_pool.h"
#include "alphazero/games/native/state_arena.h"

namespace alphazero {

namespace connect_four {

constexpr int kColumns = 7;
constexpr int kRows = 6;
constexpr int kColumnBits = kRows + 1;
constexpr int kCells = kColumns * kRows;

// A bit in every column, `row` rows above the bottom.
constexpr uint64_t row_mask(int row) {
  uint64_t mask = 0;
  for (int column = 0; column < kColumns; ++column) mask |= uint64_t{1} << (column * kColumnBits + row);
  return mask;
}

constexpr uint64_t kBottomRow = row_mask(0);
constexpr uint64_t kFullBoard = kBottomRow * ((uint64_t{1} << kRows) - 1);

// `own`: stones of the player to move; `opponent`: those of the player who moved last.
struct Position {
  uint64_t own = 0;
  uint64_t opponent = 0;
};
static_assert(sizeof(Position) == 16);

// Four along one direction: pairs of neighbours, then pairs of pairs. No branches.
constexpr uint64_t fours(uint64_t stones, int shift) {
  const uint64_t pairs = stones & (stones >> shift);
  return pairs & (pairs >> (2 * shift));
}

constexpr bool has_four(uint64_t stones) {
  return (fours(stones, 1) | fours(stones, kColumnBits) | fours(stones, kColumnBits - 1) |
          fours(stones, kColumnBits + 1)) != 0;
}

// Adding the bottom bit of a column carries up to its lowest empty cell.
constexpr Position after(Position position, int32_t column) {
  const uint64_t occupied = position.own | position.opponent;
  const uint64_t stone = (occupied + (uint64_t{1} << (column * kColumnBits))) & ~occupied;
  return {position.opponent, position.own | stone};
}

// Fill `plane` uint8 [6, 7], top row first.
inline void fill_plane(uint64_t stones, uint8_t* plane) {
  for (int row = 0; row < kRows; ++row) {
    for (int column = 0; column < kColumns; ++column) {
      const int bit = column * kColumnBits + (kRows - 1 - row);
      plane[row * kColumns + column] = static_cast<uint8_t>((stones >> bit) & 1);
    }
  }
}

}  // namespace connect_four

class ConnectFourArena final : public StateArena {
 public:
  explicit ConnectFourArena(int32_t num_trees) : pool_(num_trees) {
    for (int32_t tree = 0; tree < num_trees; ++tree) pool_.restart(tree, {});
  }

  void reset(const int32_t* trees, int32_t count) override {
    for (int32_t i = 0; i < count; ++i) pool_.restart(trees[i], {});
  }

  void set_root(int32_t tree, const int32_t* moves, int32_t count) override {
    connect_four::Position position;
    for (int32_t i = 0; i < count; ++i) position = connect_four::after(position, moves[i]);
    pool_.restart(tree, position);
  }

  void step(const int32_t* trees, const int32_t* parents, const int32_t* actions, const int32_t* nodes,
            int32_t count) override {
    for (int32_t i = 0; i < count; ++i) {
      if (parents[i] < 0) continue;
      pool_.store(trees[i], nodes[i], connect_four::after(pool_.at(trees[i], parents[i]), actions[i]));
    }
  }

  void terminal_values(const int32_t* trees, const int32_t* nodes, int32_t count, uint8_t* terminal,
                       double* values) const override {
    for (int32_t i = 0; i < count; ++i) {
      const connect_four::Position& position = pool_.at(trees[i], nodes[i]);
      const bool lost = connect_four::has_four(position.opponent);
      const bool full = (position.own | position.opponent) == connect_four::kFullBoard;
      terminal[i] = lost | full;
      values[i] = lost ? -1.0 : 0.0;
    }
  }

  int32_t legal_actions(const int32_t* trees, const int32_t* nodes, int32_t count, int32_t* offsets,
                        int32_t* actions) const override {
    int32_t total = 0;
    offsets[0] = 0;
    for (int32_t i = 0; i < count; ++i) {
      const connect_four::Position& position = pool_.at(trees[i], nodes[i]);
      if (!connect_four::has_four(position.opponent)) {
        const uint64_t empty = ~(position.own | position.opponent) >> (connect_four::kRows - 1);
        for (int column = 0; column < connect_four::kColumns; ++column) {
          actions[total] = column;  // overwritten by the next column unless this one has room
          total += static_cast<int32_t>((empty >> (column * connect_four::kColumnBits)) & 1);
        }
      }
      offsets[i + 1] = total;
    }
    return total;
  }

  void encode(const int32_t* trees, const int32_t* nodes, int32_t count, uint8_t* out) const override {
    for (int32_t i = 0; i < count; ++i) {
      const connect_four::Position& position = pool_.at(trees[i], nodes[i]);
      connect_four::fill_plane(position.own, out);
      connect_four::fill_plane(position.opponent, out + connect_four::kCells);
      out += 2 * connect_four::kCells;
    }
  }

  void advance(int32_t tree, int32_t action, const int32_t* kept, int32_t kept_count) override {
    if (kept_count == 0) {
      pool_.restart(tree, connect_four::after(pool_.at(tree, 0), action));
    } else {
      pool_.keep(tree, kept, kept_count);
    }
  }

 private:
  PositionPool<connect_four::Position> pool_;
};

}  // namespace alphazero
