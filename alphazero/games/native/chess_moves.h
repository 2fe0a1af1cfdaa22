// Legal moves and perft: the twin of `piece_targets` in alphazero/games/chess/rules.py.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>

#include "alphazero/games/native/chess_attacks.h"
#include "alphazero/games/native/chess_position.h"

namespace alphazero::chess {

// `checkers`: enemy pieces that give check. `pinned`: own pieces that alone shield the king from a slider.
struct ChecksAndPins {
  Bitboard checkers;
  Bitboard pinned;
};

inline ChecksAndPins checks_and_pins(const Position& position, int king) {
  const Bitboard* pieces = position.pieces;
  const Bitboard own = position.own();
  const Bitboard enemy = position.enemy();
  ChecksAndPins result{
      enemy & ((kAttacks.pawn[position.turn][king] & pieces[kPawn]) | (kAttacks.knight[king] & pieces[kKnight])), 0};
  // Sliders that would attack the king if its own side stood aside.
  Bitboard snipers = enemy & ((rook_attacks(king, enemy) & (pieces[kRook] | pieces[kQueen])) |
                              (bishop_attacks(king, enemy) & (pieces[kBishop] | pieces[kQueen])));
  while (snipers) {
    const int sniper = pop_lowest(snipers);
    const Bitboard shield = kAttacks.between[king][sniper] & own;
    if (!shield) {
      result.checkers |= bit_of(sniper);
    } else if (!more_than_one(shield)) {
      result.pinned |= shield;
    }
  }
  return result;
}

inline Bitboard pawn_targets(int turn, int origin, Bitboard occupied, Bitboard enemy) {
  const Bitboard pawn = bit_of(origin);
  Bitboard targets = kAttacks.pawn[turn][origin] & enemy;
  if (turn == kWhite) {
    const Bitboard one = (pawn << 8) & ~occupied;
    targets |= one | (((one & rank_of(2)) << 8) & ~occupied);
  } else {
    const Bitboard one = (pawn >> 8) & ~occupied;
    targets |= one | (((one & rank_of(5)) >> 8) & ~occupied);
  }
  return targets;
}

inline Bitboard king_targets(const Position& position, int king, Bitboard checkers) {
  const Bitboard occupied = position.occupied();
  // The king does not shield the squares behind it from a slider.
  const Bitboard attacked = attacked_squares(position, position.turn ^ 1, occupied ^ bit_of(king));
  Bitboard targets = kAttacks.king[king] & ~position.own() & ~attacked;
  if (checkers || !position.castling) return targets;
  for (int side = 0; side < 2; ++side) {
    const Castling& castling = kCastlings[2 * position.turn + side];
    // The rook lands on the square that the king passes.
    const bool is_legal = (position.castling & castling.right) &&
                          !(kAttacks.between[king][castling.rook_from] & occupied) &&
                          !(attacked & (bit_of(castling.rook_to) | bit_of(castling.king_to)));
    if (is_legal) targets |= bit_of(castling.king_to);
  }
  return targets;
}

// Call visit(origin, targets, is_pawn) for each piece of the player to move, `targets` being the bitboard of
// its legal targets (maybe none); a pawn's target on the last rank stands for four moves. `visit` returns
// whether to stop. Checks and pins are worked out first, so that no move has to be tried: with one checker,
// a move must capture it or step between; a pinned piece stays on the line through its king.
template <class Visit>
inline void for_each_piece(const Position& position, Visit&& visit) {
  const Bitboard* pieces = position.pieces;
  const Bitboard own = position.own();
  const Bitboard enemy = position.enemy();
  const Bitboard occupied = own | enemy;
  const int king = position.king();
  const auto [checkers, pinned] = checks_and_pins(position, king);

  if (!more_than_one(checkers)) {  // in double check only the king can move
    Bitboard allowed = ~own;
    if (checkers) allowed &= checkers | kAttacks.between[king][lowest(checkers)];
    const auto held = [&, pinned = pinned](int origin, Bitboard targets) {
      return (bit_of(origin) & pinned) ? targets & kAttacks.line[king][origin] : targets;
    };

    for (Bitboard origins = pieces[kPawn] & own; origins;) {
      const int origin = pop_lowest(origins);
      Bitboard targets = held(origin, pawn_targets(position.turn, origin, occupied, enemy) & allowed);
      if (position.en_passant != kNoSquare && en_passant_is_legal(position, origin, position.en_passant)) {
        targets |= bit_of(position.en_passant);
      }
      if (visit(origin, targets, true)) return;
    }
    // A pinned knight can't move at all.
    for (Bitboard origins = pieces[kKnight] & own & ~pinned; origins;) {
      const int origin = pop_lowest(origins);
      if (visit(origin, kAttacks.knight[origin] & allowed, false)) return;
    }
    for (Bitboard origins = (pieces[kBishop] | pieces[kQueen]) & own; origins;) {
      const int origin = pop_lowest(origins);
      if (visit(origin, held(origin, bishop_attacks(origin, occupied) & allowed), false)) return;
    }
    for (Bitboard origins = (pieces[kRook] | pieces[kQueen]) & own; origins;) {
      const int origin = pop_lowest(origins);
      if (visit(origin, held(origin, rook_attacks(origin, occupied) & allowed), false)) return;
    }
  }
  visit(king, king_targets(position, king, checkers), false);
}

// Call visit(Move) for every legal move.
template <class Visit>
inline void for_each_move(const Position& position, Visit&& visit) {
  for_each_piece(position, [&](int origin, Bitboard targets, bool is_pawn) {
    while (targets) {
      const int target = pop_lowest(targets);
      Move move{static_cast<uint8_t>(origin), static_cast<uint8_t>(target), 0};
      if (is_pawn && (bit_of(target) & kLastRanks)) {
        for (const Kind kind : {kKnight, kBishop, kRook, kQueen}) {
          move.promotion = kind;
          visit(move);
        }
      } else {
        visit(move);
      }
    }
    return false;
  });
}

inline bool has_legal_move(const Position& position) {
  bool found = false;
  for_each_piece(position, [&](int, Bitboard targets, bool) { return found = targets != 0; });
  return found;
}

inline uint64_t count_moves(const Position& position) {
  uint64_t count = 0;
  for_each_piece(position, [&](int, Bitboard targets, bool is_pawn) {
    count += static_cast<uint64_t>(std::popcount(targets));
    if (is_pawn) count += 3 * static_cast<uint64_t>(std::popcount(targets & kLastRanks));
    return false;
  });
  return count;
}

// The number of sequences of `depth` legal moves, draws ignored. The last move is counted, not made.
inline uint64_t perft(const Position& position, int depth) {
  if (depth == 0) return 1;
  if (depth == 1) return count_moves(position);
  uint64_t count = 0;
  for_each_move(position, [&](Move move) { count += perft(after_move(position, move), depth - 1); });
  return count;
}

}  // namespace alphazero::chess
