// Chess as a StateArena: the twin of alphazero/games/chess/game.py, which says when a game is over.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "alphazero/games/native/chess_actions.h"
#include "alphazero/games/native/chess_encoding.h"
#include "alphazero/games/native/chess_moves.h"
#include "alphazero/games/native/chess_position.h"
#include "alphazero/games/native/position_pool.h"
#include "alphazero/games/native/state_arena.h"

namespace alphazero {

namespace chess {

constexpr int kMaxGameLength = 512;
constexpr int kFiftyMoves = 100;

enum Outcome : uint8_t { kOngoing, kLost, kDrawn };  // kLost: by the player to move

// One position in a game tree, with what the rules need of its past.
struct alignas(64) Node {
  PackedPosition position;
  int32_t parent = -1;  // node number; -1 at the root, whose past the arena keeps
  uint16_t halfmove_clock = 0;
  uint16_t fullmove_number = 1;
  uint16_t ply = 0;
  uint8_t repetitions = 0;  // how often the position had occurred before
  uint8_t outcome = kOngoing;
};
static_assert(sizeof(Node) == 64);

// `position` is that of `node`, unpacked.
inline Outcome outcome_of(const Node& node, const Position& position) {
  if (!has_legal_move(position)) return in_check(position) ? kLost : kDrawn;
  const bool drawn = node.repetitions >= 2 || node.halfmove_clock >= kFiftyMoves ||
                     node.ply >= kMaxGameLength || insufficient_material(position);
  return drawn ? kDrawn : kOngoing;
}

}  // namespace chess

class ChessArena final : public StateArena {
 public:
  // Every root starts at `start`: a position with its key, clock and move number, nothing else set.
  ChessArena(int32_t num_trees, const chess::Node& start)
      : start_(start), pool_(num_trees), pasts_(static_cast<size_t>(num_trees)) {
    start_.outcome = chess::outcome_of(start_, chess::unpack(start_.position));
    for (int32_t tree = 0; tree < num_trees; ++tree) restart(tree);
  }

  const chess::Node& node(int32_t tree, int32_t node) const { return pool_.at(tree, node); }

  void reset(const int32_t* trees, int32_t count) override {
    for (int32_t i = 0; i < count; ++i) restart(trees[i]);
  }

  void set_root(int32_t tree, const int32_t* moves, int32_t count) override {
    restart(tree);
    for (int32_t i = 0; i < count; ++i) advance(tree, moves[i], nullptr, 0);
  }

  void step(const int32_t* trees, const int32_t* parents, const int32_t* actions, const int32_t* nodes,
            int32_t count) override {
    for (int32_t i = 0; i < count; ++i) {
      if (parents[i] < 0) continue;
      pool_.store(trees[i], nodes[i], successor(trees[i], parents[i], actions[i]));
    }
  }

  void terminal_values(const int32_t* trees, const int32_t* nodes, int32_t count, uint8_t* terminal,
                       double* values) const override {
    for (int32_t i = 0; i < count; ++i) {
      const uint8_t outcome = pool_.at(trees[i], nodes[i]).outcome;
      terminal[i] = outcome != chess::kOngoing;
      values[i] = outcome == chess::kLost ? -1.0 : 0.0;
    }
  }

  int32_t legal_actions(const int32_t* trees, const int32_t* nodes, int32_t count, int32_t* offsets,
                        int32_t* actions) const override {
    int32_t total = 0;
    offsets[0] = 0;
    for (int32_t i = 0; i < count; ++i) {
      const chess::Node& node = pool_.at(trees[i], nodes[i]);
      if (node.outcome == chess::kOngoing) {
        total += chess::write_legal_actions(node.position, actions + total);
      }
      offsets[i + 1] = total;
    }
    return total;
  }

  void encode(const int32_t* trees, const int32_t* nodes, int32_t count, uint8_t* out) const override {
    for (int32_t i = 0; i < count; ++i) {
      encode_one(trees[i], nodes[i], out);
      out += chess::kObservationSize;
    }
  }

  void advance(int32_t tree, int32_t action, const int32_t* kept, int32_t kept_count) override {
    chess::Node root = kept_count ? pool_.at(tree, kept[0]) : successor(tree, 0, action);
    remember(tree, pool_.at(tree, 0), root.halfmove_clock);
    root.parent = -1;
    if (kept_count == 0) {
      pool_.restart(tree, root);
      return;
    }
    renumbered_.resize(static_cast<size_t>(kept[kept_count - 1]) + 1);
    for (int32_t i = 0; i < kept_count; ++i) renumbered_[static_cast<size_t>(kept[i])] = i;
    pool_.keep(tree, kept, kept_count);
    pool_.store(tree, 0, root);
    for (int32_t i = 1; i < kept_count; ++i) {
      chess::Node node = pool_.at(tree, i);
      node.parent = renumbered_[static_cast<size_t>(node.parent)];
      pool_.store(tree, i, node);
    }
  }

 private:
  // Walks from a node back to the start of the game: up to the root, then through the past.
  class Ancestors {
   public:
    Ancestors(const ChessArena& arena, int32_t tree, int32_t first)
        : pool_(arena.pool_), past_(arena.pasts_[static_cast<size_t>(tree)]), tree_(tree), node_(first),
          past_left_(past_.size()) {}

    // The next earlier position, or nullptr where what is known of the game begins.
    const chess::Node* next() {
      if (node_ >= 0) {
        const chess::Node& node = pool_.at(tree_, node_);
        node_ = node.parent;
        return &node;
      }
      return past_left_ ? &past_[--past_left_] : nullptr;
    }

   private:
    const PositionPool<chess::Node>& pool_;
    const std::vector<chess::Node>& past_;
    int32_t tree_;
    int32_t node_;
    size_t past_left_;
  };

  void restart(int32_t tree) {
    pasts_[static_cast<size_t>(tree)].clear();
    pool_.restart(tree, start_);
  }

  chess::Node successor(int32_t tree, int32_t parent, int32_t action) const {
    const chess::Node& before = pool_.at(tree, parent);
    const chess::Position position = chess::unpack(before.position);
    const chess::Move move = chess::action_to_move(position, action);
    const bool irreversible = (position.occupied() & chess::bit_of(move.target)) ||
                              (position.pieces[chess::kPawn] & chess::bit_of(move.origin));
    const chess::Position position_after = chess::after_move(position, move);
    chess::Node after;
    after.position = chess::pack(position_after);
    after.parent = parent;
    after.halfmove_clock = irreversible ? 0 : static_cast<uint16_t>(before.halfmove_clock + 1);
    after.fullmove_number = static_cast<uint16_t>(before.fullmove_number + (position.turn == chess::kBlack));
    after.ply = static_cast<uint16_t>(before.ply + 1);
    after.repetitions = count_repetitions(tree, after);
    after.outcome = chess::outcome_of(after, position_after);
    return after;
  }

  // Only positions since the last capture or pawn move can recur, with the same player to move, four moves
  // ago at the latest. The latest occurrence has counted those before it.
  uint8_t count_repetitions(int32_t tree, const chess::Node& node) const {
    if (node.halfmove_clock < 4) return 0;
    Ancestors ancestors(*this, tree, node.parent);
    for (int distance = 1; distance <= node.halfmove_clock; ++distance) {
      const chess::Node* earlier = ancestors.next();
      if (!earlier) break;
      if (distance % 2 == 0 && earlier->position == node.position) {
        return static_cast<uint8_t>(earlier->repetitions + 1);
      }
    }
    return 0;
  }

  void encode_one(int32_t tree, int32_t node, uint8_t* out) const {
    const chess::Node& present = pool_.at(tree, node);
    Ancestors steps(*this, tree, node);
    constexpr int kStepSize = chess::kPlanesPerStep * 64;
    for (int step = 0; step < chess::kHistorySteps; ++step) {
      const chess::Node* earlier = steps.next();
      if (!earlier) {
        std::memset(out + step * kStepSize, 0, static_cast<size_t>((chess::kHistorySteps - step) * kStepSize));
        break;
      }
      chess::write_step(earlier->position, earlier->repetitions, present.position.turn, out + step * kStepSize);
    }
    chess::write_constants(present.position, present.halfmove_clock, present.fullmove_number,
                           out + chess::kConstantPlanes * 64);
  }

  // Append `old_root` to the tree's past; keep what the rules and the planes can look back at.
  void remember(int32_t tree, const chess::Node& old_root, int halfmove_clock) {
    std::vector<chess::Node>& past = pasts_[static_cast<size_t>(tree)];
    past.push_back(old_root);
    const size_t wanted = static_cast<size_t>(std::max(halfmove_clock, chess::kHistorySteps - 1));
    if (past.size() > wanted) past.erase(past.begin(), past.end() - static_cast<ptrdiff_t>(wanted));
  }

  chess::Node start_;
  PositionPool<chess::Node> pool_;
  std::vector<std::vector<chess::Node>> pasts_;  // positions before each tree's root, the latest last
  std::vector<int32_t> renumbered_;              // scratch of advance: old node number -> new
};

}  // namespace alphazero
