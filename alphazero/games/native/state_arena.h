// The C++ side of `alphazero.games.game.States`: an arena of positions addressed by (tree, node).
//
// Free of Python. A native game derives from StateArena; a compiled tree driver calls it in batches
// without the GIL. Semantics, shapes and points of view are those of the Python protocol:
// every array argument has `count` entries unless said otherwise, values are for the player to move.
// Methods that store positions may throw std::bad_alloc.
#pragma once

#include <cstdint>

namespace alphazero {

class StateArena {
 public:
  virtual ~StateArena() = default;

  // Root of each tree := start position, no history.
  virtual void reset(const int32_t* trees, int32_t count) = 0;

  // Root of `tree` := position after `moves` (legal, not checked) from the start.
  virtual void set_root(int32_t tree, const int32_t* moves, int32_t count) = 0;

  // (trees[i], nodes[i]) := position after actions[i] at (trees[i], parents[i]).
  // An entry with parents[i] == -1 is a root that is already there: it is skipped.
  virtual void step(const int32_t* trees, const int32_t* parents, const int32_t* actions,
                    const int32_t* nodes, int32_t count) = 0;

  // terminal[i] := 1 if the game is over at (trees[i], nodes[i]); values[i] := +1, 0, -1 for the player
  // to move there, 0.0 while the game goes on.
  virtual void terminal_values(const int32_t* trees, const int32_t* nodes, int32_t count,
                               uint8_t* terminal, double* values) const = 0;

  // CSR: offsets has count + 1 entries; actions of position i, ascending, at offsets[i] .. offsets[i+1]-1.
  // Returns offsets[count].
  virtual int32_t legal_actions(const int32_t* trees, const int32_t* nodes, int32_t count,
                                int32_t* offsets, int32_t* actions) const = 0;

  // out: uint8 [count, C, H, W], the network's observations.
  virtual void encode(const int32_t* trees, const int32_t* nodes, int32_t count,
                      uint8_t* out) const = 0;

  // Play `action` at the root of `tree`. kept (ascending, new root first): node kept[i] becomes node i.
  // kept_count == 0: the new root was never visited and is computed here. The old root joins the history.
  virtual void advance(int32_t tree, int32_t action, const int32_t* kept, int32_t kept_count) = 0;
};

}  // namespace alphazero
