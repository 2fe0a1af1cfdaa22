// Storage for a StateArena: positions of one fixed-size type, addressed by (tree, node).
//
// Each tree has its own growable array, so that trees of different sizes cost what they hold, and memory
// that a search needed is kept for the next one. Owned by one arena; one thread at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace alphazero {

template <class Position>
class PositionPool {
 public:
  explicit PositionPool(int32_t num_trees) : trees_(static_cast<size_t>(num_trees)) {}

  const Position& at(int32_t tree, int32_t node) const {
    return trees_[static_cast<size_t>(tree)][static_cast<size_t>(node)];
  }

  void store(int32_t tree, int32_t node, const Position& position) {
    const Position copy = position;  // it may stand in the array that grows here
    std::vector<Position>& positions = trees_[static_cast<size_t>(tree)];
    const size_t index = static_cast<size_t>(node);
    if (index >= positions.size()) {
      // By a quarter more than there was: with a thousand trees, doubling would leave too much unused.
      if (index >= positions.capacity()) {
        positions.reserve(std::max(index + 1, positions.capacity() + positions.capacity() / 4));
      }
      positions.resize(index + 1);
    }
    positions[index] = copy;
  }

  // Empty `tree` but for its root.
  void restart(int32_t tree, const Position& root) {
    const Position copy = root;  // it may stand in the array that is emptied here
    trees_[static_cast<size_t>(tree)].assign(1, copy);
  }

  // Node kept[i] becomes node i, for i < count; the others are dropped. `kept` ascends, so kept[i] >= i
  // and the move can be done in place.
  void keep(int32_t tree, const int32_t* kept, int32_t count) {
    std::vector<Position>& positions = trees_[static_cast<size_t>(tree)];
    for (int32_t i = 0; i < count; ++i) {
      positions[static_cast<size_t>(i)] = positions[static_cast<size_t>(kept[i])];
    }
    positions.resize(static_cast<size_t>(count));
  }

 private:
  std::vector<std::vector<Position>> trees_;
};

}  // namespace alphazero
