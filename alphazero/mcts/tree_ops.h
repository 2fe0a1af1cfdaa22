// What the compiled driver needs of a compiled tree backend, as plain C function pointers, so that the
// Cython and the C++ backend plug into one driver. Semantics: `alphazero.mcts.backend.Trees`.
#pragma once

#include <cstdint>

struct alphazero_tree_ops {
  void* self;
  // Returns 0, or anything else if there was no memory for one more node.
  int32_t (*select_leaves)(void* self, const int32_t* trees, int32_t count, int32_t* nodes,
                           int32_t* parents, int32_t* actions);
  void (*backup_terminal)(void* self, const int32_t* trees, const int32_t* nodes,
                          const uint8_t* terminal, const double* values, int32_t count);
};
