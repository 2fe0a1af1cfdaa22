// AlphaZero's chess actions: with chess_encoding.h the twin of alphazero/games/chess/encoding.py, whose head
// draws their layout.
#pragma once

#include <cstdint>
#include <utility>

#include "alphazero/games/native/chess_attacks.h"
#include "alphazero/games/native/chess_moves.h"
#include "alphazero/games/native/chess_position.h"

namespace alphazero::chess {

constexpr int kDistances = 7;  // planes of each direction of the compass
constexpr int kFirstKnightPlane = 8 * kDistances;
constexpr int kFirstUnderpromotionPlane = kFirstKnightPlane + 8;
constexpr int kNumActionPlanes = kFirstUnderpromotionPlane + 9;

enum Direction { kNorth, kNorthEast, kEast, kSouthEast, kSouth, kSouthWest, kWest, kNorthWest };  // of kCompass

// Where a piece goes by each queen and knight plane.
struct ActionOffsets {
  Offset of[kFirstUnderpromotionPlane];

  constexpr ActionOffsets() : of{} {
    for (int direction = 0; direction < 8; ++direction) {
      const Offset step = kCompass[direction];
      for (int distance = 1; distance <= kDistances; ++distance) {
        of[kDistances * direction + distance - 1] = {step.files * distance, step.ranks * distance};
      }
      of[kFirstKnightPlane + direction] = kKnightJumps[direction];
    }
  }
};

inline constexpr ActionOffsets kActionOffsets;

// The move of an action that is legal in `position`.
inline Move action_to_move(const Position& position, int32_t action) {
  const int plane = action / 64;
  const int cell = action % 64;
  int target;
  int promotion = 0;
  if (plane >= kFirstUnderpromotionPlane) {
    const int index = plane - kFirstUnderpromotionPlane;
    target = cell + 8 + index % 3 - 1;
    promotion = kKnight + index / 3;
  } else {
    const Offset offset = kActionOffsets.of[plane];
    target = cell + 8 * offset.ranks + offset.files;
    const int origin = cell ^ orientation(position.turn);
    if (target >= 56 && (position.pieces[kPawn] & bit_of(origin))) promotion = kQueen;
  }
  const int mirror = orientation(position.turn);
  return {static_cast<uint8_t>(cell ^ mirror), static_cast<uint8_t>(target ^ mirror),
          static_cast<uint8_t>(promotion)};
}

// The legal actions of a position: for each plane the cells that a piece may leave so. All pieces that move alike are
// worked out at once: the allowed targets, shifted back by the plane's move, meet the pieces that make it. Checks and
// pins are worked out first, as in `for_each_piece`, which goes piece by piece.
class ActionPlanes {
 public:
  // `position` is seen by the player to move: as White.
  explicit ActionPlanes(const Position& position) {
    const Bitboard* pieces = position.pieces;
    const Bitboard own = position.own();
    const Bitboard enemy = position.enemy();
    const Bitboard empty = ~(own | enemy);
    const int king = position.king();
    const auto [checkers, pinned] = checks_and_pins(position, king);
    // Where other pieces than the king may go: with one checker, onto it or between; with two, nowhere.
    Bitboard allowed = ~own;
    if (more_than_one(checkers)) {
      allowed = 0;
    } else if (checkers) {
      allowed &= checkers | kAttacks.between[king][lowest(checkers)];
    }
    // A pinned piece stays on the line through its king. Free to move N or S, NE or SW, E or W, SE or NW are:
    const Bitboard free[4] = {
        ~pinned | kAttacks.rook_lines[king][1].both, ~pinned | kAttacks.bishop_lines[king][0].both,
        ~pinned | kAttacks.rook_lines[king][0].both, ~pinned | kAttacks.bishop_lines[king][1].both};

    const Bitboard straight = own & (pieces[kRook] | pieces[kQueen]);
    const Bitboard diagonal = own & (pieces[kBishop] | pieces[kQueen]);
    set_slides<kNorth>(straight & free[0], allowed, empty);
    set_slides<kNorthEast>(diagonal & free[1], allowed, empty);
    set_slides<kEast>(straight & free[2], allowed, empty);
    set_slides<kSouthEast>(diagonal & free[3], allowed, empty);
    set_slides<kSouth>(straight & free[0], allowed, empty);
    set_slides<kSouthWest>(diagonal & free[1], allowed, empty);
    set_slides<kWest>(straight & free[2], allowed, empty);
    set_slides<kNorthWest>(diagonal & free[3], allowed, empty);
    set_jumps(own & pieces[kKnight] & ~pinned, allowed, kEight);
    add_king(bit_of(king), king_targets(position, king, checkers), kEight);

    const Bitboard pawns = own & pieces[kPawn];
    // `allowed` is asked of the target alone: a pawn may pass over a square that does not answer a check.
    const Bitboard unblocked = pawns & free[0] & all_shifted<0, -1>(empty);
    const Bitboard two_steps = unblocked & rank_of(1) & all_shifted<0, -2>(empty & allowed);
    Bitboard right = pawns & free[1] & all_shifted<-1, -1>(enemy & allowed);
    Bitboard left = pawns & free[3] & all_shifted<1, -1>(enemy & allowed);
    if (position.en_passant != kNoSquare) {
      const int target = position.en_passant;
      for (Bitboard origins = pawns & kAttacks.pawn[kBlack][target]; origins;) {
        const int origin = pop_lowest(origins);
        if (en_passant_is_legal(position, origin, target)) (origin < target - 8 ? right : left) |= bit_of(origin);
      }
    }
    add_pawns(left, unblocked & all_shifted<0, -1>(allowed), right, two_steps);
  }

  // Write the actions, ascending, and return their number.
  int32_t write(int32_t* actions) const {
    int32_t count = 0;
    const auto write_plane = [&](int plane) {
      for (Bitboard cells = cells_[plane]; cells;) actions[count++] = 64 * plane + pop_lowest(cells);
    };
    for (uint64_t used = used_; used;) write_plane(pop_lowest(used));
    if (promotes_) {
      for (int plane = kFirstUnderpromotionPlane; plane < kNumActionPlanes; ++plane) write_plane(plane);
    }
    return count;
  }

 private:
  static constexpr std::make_integer_sequence<int, 8> kEight{};

  static constexpr int plane_of(int direction, int distance) { return kDistances * direction + distance - 1; }

  void set(int plane, Bitboard cells) {
    cells_[plane] = cells;
    used_ |= uint64_t{cells != 0} << plane;
  }

  void add(int plane, Bitboard cells) {
    cells_[plane] |= cells;
    used_ |= uint64_t{cells != 0} << plane;
  }

  template <int direction>
  void set_slides(Bitboard sliders, Bitboard allowed, Bitboard empty) {
    set_distances<direction>(sliders, allowed, empty, std::make_integer_sequence<int, kDistances>{});
  }

  // `sliders` shrinks to those whose way is empty so far. `passed` squares lie between a slider and its target.
  template <int direction, int... passed>
  void set_distances(Bitboard sliders, Bitboard allowed, Bitboard empty, std::integer_sequence<int, passed...>) {
    constexpr Offset kBack = {-kCompass[direction].files, -kCompass[direction].ranks};
    ((set(plane_of(direction, passed + 1),
          sliders & all_shifted<kBack.files * (passed + 1), kBack.ranks * (passed + 1)>(allowed)),
      sliders &= all_shifted<kBack.files * (passed + 1), kBack.ranks * (passed + 1)>(empty)),
     ...);
  }

  template <int... jump>
  void set_jumps(Bitboard knights, Bitboard allowed, std::integer_sequence<int, jump...>) {
    (set(kFirstKnightPlane + jump,
         knights & all_shifted<-kKnightJumps[jump].files, -kKnightJumps[jump].ranks>(allowed)),
     ...);
  }

  template <int... direction>
  void add_king(Bitboard king, Bitboard targets, std::integer_sequence<int, direction...>) {
    (add(plane_of(direction, 1),
         king & all_shifted<-kCompass[direction].files, -kCompass[direction].ranks>(targets)),
     ...);
    add(plane_of(kEast, 2), king & all_shifted<-2, 0>(targets));
    add(plane_of(kWest, 2), king & all_shifted<2, 0>(targets));
  }

  // Each argument: the cells of the pawns that may move so.
  void add_pawns(Bitboard left, Bitboard ahead, Bitboard right, Bitboard two_steps) {
    add(plane_of(kNorthWest, 1), left);
    add(plane_of(kNorth, 1), ahead);
    add(plane_of(kNorthEast, 1), right);
    add(plane_of(kNorth, 2), two_steps);
    promotes_ = ((left | ahead | right) & rank_of(6)) != 0;
    if (!promotes_) return;
    for (int plane = kFirstUnderpromotionPlane; plane < kNumActionPlanes; plane += 3) {
      cells_[plane] = left & rank_of(6);
      cells_[plane + 1] = ahead & rank_of(6);
      cells_[plane + 2] = right & rank_of(6);
    }
  }

  Bitboard cells_[kNumActionPlanes];  // of underpromotions only if promotes_
  uint64_t used_ = 0;                 // queen and knight planes with a cell, one bit each
  bool promotes_;
};

// Write the legal actions, ascending, and return their number.
inline int32_t write_legal_actions(const PackedPosition& position, int32_t* actions) {
  return ActionPlanes(unpack(seen_by_mover(position))).write(actions);
}

}  // namespace alphazero::chess
