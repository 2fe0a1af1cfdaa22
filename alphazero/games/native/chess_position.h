// A chess position and the position after a move: the twin of alphazero/games/chess/rules.py, which says
// what each field means. Moves are trusted to be legal.
#pragma once

#include <cstdint>

#include "alphazero/games/native/chess_attacks.h"

namespace alphazero::chess {

// From `origin` to `target`; castling is the king's move. `promotion`: kKnight to kQueen, 0 for none.
struct Move {
  uint8_t origin;
  uint8_t target;
  uint8_t promotion;
};

struct Castling {
  uint8_t right;
  uint8_t king_from;
  uint8_t king_to;
  uint8_t rook_from;
  uint8_t rook_to;
};
// White kingside, White queenside, Black kingside, Black queenside.
constexpr Castling kCastlings[4] = {{1, 4, 6, 7, 5}, {2, 4, 2, 0, 3}, {4, 60, 62, 63, 61}, {8, 60, 58, 56, 59}};

struct Position {
  Bitboard pieces[kNumKinds] = {};  // both colours
  Bitboard colors[2] = {};
  uint64_t key = 0;  // Zobrist: equal positions have equal keys, different ones hardly ever
  uint8_t turn = kWhite;
  uint8_t castling = 0;            // rights still held, one bit each
  uint8_t en_passant = kNoSquare;  // set only where a legal capture there exists

  Bitboard own() const { return colors[turn]; }
  Bitboard enemy() const { return colors[turn ^ 1]; }
  Bitboard occupied() const { return colors[kWhite] | colors[kBlack]; }
  int king() const { return lowest(pieces[kKing] & own()); }

  int kind_at(int square) const {
    for (int kind = 0; kind < kKing; ++kind) {
      if (pieces[kind] & bit_of(square)) return kind;
    }
    return kKing;
  }
};

// A position as it is stored: half the size, so that a node fits into one line of the cache. The kind of
// piece on a square, counted from 1 for a pawn to 6 for a king, is one bit of each of three bitboards.
struct PackedPosition {
  uint64_t key = 0;  // first, so that comparing two positions mostly ends here
  Bitboard black = 0;
  Bitboard kind_bits[3] = {};
  uint8_t turn = kWhite;
  uint8_t castling = 0;
  uint8_t en_passant = kNoSquare;

  // Whether both count as the same position for repetition. Exact: equal keys alone do not decide.
  bool operator==(const PackedPosition&) const = default;
};
static_assert(sizeof(PackedPosition) == 48);

inline PackedPosition pack(const Position& position) {
  const auto& [pawns, knights, bishops, rooks, queens, kings] = position.pieces;
  PackedPosition packed;
  packed.key = position.key;
  packed.black = position.colors[kBlack];
  packed.kind_bits[0] = pawns | bishops | queens;  // 1, 3, 5
  packed.kind_bits[1] = knights | bishops | kings;  // 2, 3, 6
  packed.kind_bits[2] = rooks | queens | kings;  // 4, 5, 6
  packed.turn = position.turn;
  packed.castling = position.castling;
  packed.en_passant = position.en_passant;
  return packed;
}

inline Position unpack(const PackedPosition& packed) {
  const auto& [ones, twos, fours] = packed.kind_bits;
  Position position;
  position.pieces[kPawn] = ones & ~twos & ~fours;
  position.pieces[kKnight] = twos & ~ones & ~fours;
  position.pieces[kBishop] = ones & twos;
  position.pieces[kRook] = fours & ~ones & ~twos;
  position.pieces[kQueen] = ones & fours;
  position.pieces[kKing] = twos & fours;
  position.colors[kWhite] = (ones | twos | fours) & ~packed.black;
  position.colors[kBlack] = packed.black;
  position.key = packed.key;
  position.turn = packed.turn;
  position.castling = packed.castling;
  position.en_passant = packed.en_passant;
  return position;
}

// What a square is xor-ed with to get its cell: Black's ranks are mirrored.
constexpr int orientation(int turn) { return turn == kBlack ? 56 : 0; }

// The position as the player to move sees it, as White; without its key.
inline PackedPosition seen_by_mover(const PackedPosition& packed) {
  if (packed.turn == kWhite) return packed;
  PackedPosition seen;
  const auto& [ones, twos, fours] = packed.kind_bits;
  seen.black = mirrored((ones | twos | fours) & ~packed.black);
  for (int bit = 0; bit < 3; ++bit) seen.kind_bits[bit] = mirrored(packed.kind_bits[bit]);
  seen.castling = static_cast<uint8_t>(packed.castling >> 2);
  if (packed.en_passant != kNoSquare) seen.en_passant = static_cast<uint8_t>(packed.en_passant ^ orientation(kBlack));
  return seen;
}

struct ZobristTables {
  uint64_t piece[2][kNumKinds][64];
  uint64_t castling[16];
  uint64_t en_passant[65];  // [kNoSquare] is 0
  uint64_t black_to_move;

  ZobristTables() {
    uint64_t seed = 0;
    for (auto& color : piece) {
      for (auto& kind : color) {
        for (uint64_t& key : kind) key = split_mix(seed);
      }
    }
    for (uint64_t& key : castling) key = split_mix(seed);
    for (uint64_t& key : en_passant) key = split_mix(seed);
    en_passant[kNoSquare] = 0;
    black_to_move = split_mix(seed);
  }

 private:
  // SplitMix64 (Steele, Lea, Flood 2014): the same keys in every build.
  static uint64_t split_mix(uint64_t& seed) {
    uint64_t z = (seed += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
};

inline const ZobristTables kZobrist;

inline uint64_t zobrist_key(const Position& position) {
  uint64_t key = kZobrist.castling[position.castling] ^ kZobrist.en_passant[position.en_passant];
  if (position.turn == kBlack) key ^= kZobrist.black_to_move;
  for (int color = 0; color < 2; ++color) {
    for (int kind = 0; kind < kNumKinds; ++kind) {
      Bitboard squares = position.pieces[kind] & position.colors[color];
      while (squares) key ^= kZobrist.piece[color][kind][pop_lowest(squares)];
    }
  }
  return key;
}

// Those pieces of `by` (of the opponent of the player to move) that attack `square`, on a board where
// just `occupied` is occupied.
inline Bitboard attackers(const Position& position, int square, Bitboard by, Bitboard occupied) {
  const Bitboard* pieces = position.pieces;
  return by & ((kAttacks.pawn[position.turn][square] & pieces[kPawn]) |
               (kAttacks.knight[square] & pieces[kKnight]) | (kAttacks.king[square] & pieces[kKing]) |
               (bishop_attacks(square, occupied) & (pieces[kBishop] | pieces[kQueen])) |
               (rook_attacks(square, occupied) & (pieces[kRook] | pieces[kQueen])));
}

// The squares that `color` attacks, on a board where just `occupied` is occupied. All pieces at once and without a
// branch: for more than two squares that is quicker than to ask for each.
inline Bitboard attacked_squares(const Position& position, int color, Bitboard occupied) {
  const Bitboard* pieces = position.pieces;
  const Bitboard by = position.colors[color];
  const Bitboard straight = by & (pieces[kRook] | pieces[kQueen]);
  const Bitboard diagonal = by & (pieces[kBishop] | pieces[kQueen]);
  const Bitboard knights = by & pieces[kKnight];
  const Bitboard pawns = by & pieces[kPawn];
  const Bitboard empty = ~occupied;
  const Bitboard beside = all_shifted<-1, 0>(knights) | all_shifted<1, 0>(knights);
  const Bitboard two_beside = all_shifted<-2, 0>(knights) | all_shifted<2, 0>(knights);
  const Bitboard pawns_ahead = color == kWhite ? pawns << 8 : pawns >> 8;
  return all_slides<0, 1>(straight, empty) | all_slides<1, 0>(straight, empty) |
         all_slides<0, -1>(straight, empty) | all_slides<-1, 0>(straight, empty) |
         all_slides<1, 1>(diagonal, empty) | all_slides<1, -1>(diagonal, empty) |
         all_slides<-1, -1>(diagonal, empty) | all_slides<-1, 1>(diagonal, empty) |
         beside << 16 | beside >> 16 | two_beside << 8 | two_beside >> 8 |
         all_shifted<-1, 0>(pawns_ahead) | all_shifted<1, 0>(pawns_ahead) |
         kAttacks.king[lowest(by & pieces[kKing])];
}

inline bool in_check(const Position& position) {
  return attackers(position, position.king(), position.enemy(), position.occupied()) != 0;
}

// Whether the pawn of the player to move on `origin` may capture en passant on `target`. Tried out on the
// board: two pawns leave the same rank, so that no pin shows the danger.
inline bool en_passant_is_legal(const Position& position, int origin, int target) {
  if (!(kAttacks.pawn[position.turn][origin] & bit_of(target))) return false;
  const Bitboard captured = bit_of(target ^ 8);  // same file, one rank nearer to the capturing player
  const Bitboard occupied = (position.occupied() ^ captured ^ bit_of(origin)) | bit_of(target);
  return attackers(position, position.king(), position.enemy() ^ captured, occupied) == 0;
}

// Set the en passant square if, and only if, a legal capture there exists.
inline void set_en_passant(Position& position, int target) {
  // The pawns that attack `target` stand where an enemy pawn on `target` would attack.
  Bitboard origins = kAttacks.pawn[position.turn ^ 1][target] & position.pieces[kPawn] & position.own();
  while (origins) {
    if (en_passant_is_legal(position, pop_lowest(origins), target)) {
      position.en_passant = static_cast<uint8_t>(target);
      position.key ^= kZobrist.en_passant[target];
      return;
    }
  }
}

// Rights that survive a move from or to a square: moving or capturing a king or rook costs them.
constexpr uint8_t rights_kept(int square) {
  uint8_t kept = 15;
  for (const Castling& castling : kCastlings) {
    if (square == castling.king_from || square == castling.rook_from) kept &= ~castling.right;
  }
  return kept;
}

struct RightsTable {
  uint8_t kept[64];
  constexpr RightsTable() : kept{} {
    for (int square = 0; square < 64; ++square) kept[square] = rights_kept(square);
  }
};
inline constexpr RightsTable kRights;

// Put a piece on an empty square, or take it off.
inline void toggle(Position& position, int color, int kind, int square) {
  position.pieces[kind] ^= bit_of(square);
  position.colors[color] ^= bit_of(square);
  position.key ^= kZobrist.piece[color][kind][square];
}

// The position after a legal move.
inline Position after_move(const Position& before, Move move) {
  Position after = before;
  const int own = before.turn;
  const int enemy = own ^ 1;
  const int origin = move.origin;
  const int target = move.target;
  const int kind = before.kind_at(origin);

  if (before.colors[enemy] & bit_of(target)) toggle(after, enemy, before.kind_at(target), target);
  if (kind == kPawn && target == before.en_passant) toggle(after, enemy, kPawn, target ^ 8);
  toggle(after, own, kind, origin);
  toggle(after, own, move.promotion ? move.promotion : kind, target);
  if (kind == kKing && (target - origin == 2 || origin - target == 2)) {
    const Castling& castling = kCastlings[2 * own + (target < origin)];
    toggle(after, own, kRook, castling.rook_from);
    toggle(after, own, kRook, castling.rook_to);
  }

  after.castling = before.castling & kRights.kept[origin] & kRights.kept[target];
  after.en_passant = kNoSquare;
  after.turn = static_cast<uint8_t>(enemy);
  after.key ^= kZobrist.castling[before.castling] ^ kZobrist.castling[after.castling] ^
               kZobrist.en_passant[before.en_passant] ^ kZobrist.black_to_move;
  if (kind == kPawn && (target - origin == 16 || origin - target == 16)) {
    set_en_passant(after, (origin + target) / 2);
  }
  return after;
}

// Whether neither side could mate by any sequence of moves, by material alone.
inline bool insufficient_material(const Position& position) {
  const Bitboard* pieces = position.pieces;
  if (pieces[kPawn] | pieces[kRook] | pieces[kQueen]) return false;
  const Bitboard bishops = pieces[kBishop];
  if (pieces[kKnight]) return !bishops && !more_than_one(pieces[kKnight]);
  return !((bishops & kLightSquares) && (bishops & ~kLightSquares));
}

}  // namespace alphazero::chess
