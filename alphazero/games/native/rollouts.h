// Random play to the end of the game, in any arena: the compiled twin of
// `alphazero.evaluation.rollouts.RandomRollouts`, which says where the nodes behind a leaf come from.
#pragma once

#include <cstdint>

#include "alphazero/games/native/state_arena.h"

namespace alphazero {

// SplitMix64 (Steele, Lea and Flood 2014): the next number of the stream.
inline uint64_t next_random(uint64_t& stream) {
  stream += 0x9E3779B97F4A7C15u;
  uint64_t mixed = stream;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
  return mixed ^ (mixed >> 31);
}

// Return who wins a random game from (tree, leaf), where the game goes on: +1, 0, -1 for the player to
// move there. actions: room for the legal actions of one position. May throw std::bad_alloc.
inline double random_rollout(StateArena& arena, int32_t tree, int32_t leaf, uint64_t& stream,
                             int32_t* actions) {
  double sign = 1.0;  // turns a value for the player to move now into one for the player at the leaf
  for (int32_t node = leaf;;) {
    int32_t offsets[2];
    const uint64_t count = static_cast<uint64_t>(arena.legal_actions(&tree, &node, 1, offsets, actions));
    const int32_t action = actions[((next_random(stream) >> 32) * count) >> 32];
    const int32_t following = node + 1;
    arena.step(&tree, &node, &action, &following, 1);
    node = following;
    sign = -sign;
    uint8_t terminal;
    double value;
    arena.terminal_values(&tree, &node, 1, &terminal, &value);
    if (terminal) return sign * value;
  }
}

}  // namespace alphazero
