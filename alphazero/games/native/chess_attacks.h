// Bitboards and where pieces attack: the twin of alphazero/games/chess/attacks.py, with the same names.
//
// Bit 0 = a1, 1 = b1, 8 = a2, 63 = h8. Sliding attacks use the obstruction difference: on a line through
// the square, the squares from the nearest piece below to the nearest piece above are one run of bits, got
// by a single subtraction. Its tables take 6 KB and stay in the first-level cache beside a tree, which
// the 800 KB of magic bitboards would not; and no instruction beyond the baseline of any processor is used.
#pragma once

#include <bit>
#include <cstdint>

namespace alphazero::chess {

using Bitboard = uint64_t;

enum Color : uint8_t { kWhite, kBlack };
enum Kind : uint8_t { kPawn, kKnight, kBishop, kRook, kQueen, kKing, kNumKinds };

constexpr int kNoSquare = 64;

constexpr Bitboard bit_of(int square) { return Bitboard{1} << square; }
constexpr Bitboard rank_of(int rank) { return Bitboard{0xFF} << (8 * rank); }

constexpr Bitboard kLastRanks = rank_of(0) | rank_of(7);
constexpr Bitboard kLightSquares = 0x55AA55AA55AA55AA;

// The lowest square of a bitboard that is not empty.
inline int lowest(Bitboard bitboard) { return std::countr_zero(bitboard); }

// The lowest square, which is removed from the bitboard.
inline int pop_lowest(Bitboard& bitboard) {
  const int square = lowest(bitboard);
  bitboard &= bitboard - 1;
  return square;
}

// A bitboard with its ranks mirrored: the eight bytes in the other order.
constexpr Bitboard mirrored(Bitboard b) {
  b = ((b >> 8) & 0x00FF00FF00FF00FF) | ((b & 0x00FF00FF00FF00FF) << 8);
  b = ((b >> 16) & 0x0000FFFF0000FFFF) | ((b & 0x0000FFFF0000FFFF) << 16);
  return (b >> 32) | (b << 32);
}

constexpr bool more_than_one(Bitboard bitboard) { return (bitboard & (bitboard - 1)) != 0; }

// (files to the right, ranks up), clockwise from north: the order of the action planes.
struct Offset {
  int files;
  int ranks;
};
constexpr Offset kCompass[8] = {{0, 1}, {1, 1}, {1, 0}, {1, -1}, {0, -1}, {-1, -1}, {-1, 0}, {-1, 1}};
constexpr Offset kKnightJumps[8] = {{1, 2}, {2, 1}, {2, -1}, {1, -2}, {-1, -2}, {-2, -1}, {-2, 1}, {-1, 2}};

// The square `offset` away, or kNoSquare off the board.
constexpr int shifted(int square, Offset offset) {
  const int file = square % 8 + offset.files;
  const int rank = square / 8 + offset.ranks;
  return file >= 0 && file < 8 && rank >= 0 && rank < 8 ? rank * 8 + file : kNoSquare;
}

// The squares from `square` (left out) to the edge of the board.
constexpr Bitboard ray(int square, Offset offset) {
  Bitboard squares = 0;
  for (int s = shifted(square, offset); s != kNoSquare; s = shifted(s, offset)) squares |= bit_of(s);
  return squares;
}

// A line through a square: the part below it (lower bits), the part above it, both.
struct Line {
  Bitboard below;
  Bitboard above;
  Bitboard both;
};

// All squares of `squares` shifted; those that would leave the board are gone.
template <int files, int ranks>
constexpr Bitboard all_shifted(Bitboard squares) {
  static_assert(files > -8 && files < 8 && ranks > -8 && ranks < 8);
  constexpr Bitboard kFiles = (files >= 0 ? 0xFF >> files : (0xFF << -files) & 0xFF) * Bitboard{0x0101010101010101};
  constexpr int kBits = 8 * ranks + files;
  if constexpr (kBits >= 0) {
    return (squares & kFiles) << kBits;
  } else {
    return (squares & kFiles) >> -kBits;
  }
}

struct AttackTables {
  Bitboard king[64];
  Bitboard knight[64];
  Bitboard pawn[2][64];  // [colour][square]: where a pawn of that colour captures
  Line rook_lines[64][2];
  Line bishop_lines[64][2];
  // between: the squares strictly between; line: the whole line through both, edge to edge.
  // Both are 0 where no queen could move from one to the other.
  Bitboard between[64][64];
  Bitboard line[64][64];

  AttackTables() : king{}, knight{}, pawn{}, rook_lines{}, bishop_lines{}, between{}, line{} {
    for (int square = 0; square < 64; ++square) {
      for (const Offset offset : kCompass) king[square] |= landing(square, offset);
      for (const Offset offset : kKnightJumps) knight[square] |= landing(square, offset);
      pawn[kWhite][square] = landing(square, {-1, 1}) | landing(square, {1, 1});
      pawn[kBlack][square] = landing(square, {-1, -1}) | landing(square, {1, -1});
      rook_lines[square][0] = line_through(square, {1, 0});
      rook_lines[square][1] = line_through(square, {0, 1});
      bishop_lines[square][0] = line_through(square, {1, 1});
      bishop_lines[square][1] = line_through(square, {-1, 1});
      for (const Offset offset : kCompass) fill_lines(square, offset);
    }
  }

 private:
  static Bitboard landing(int square, Offset offset) {
    const int target = shifted(square, offset);
    return target == kNoSquare ? 0 : bit_of(target);
  }

  // `offset` points towards higher squares.
  static Line line_through(int square, Offset offset) {
    const Bitboard above = ray(square, offset);
    const Bitboard below = ray(square, {-offset.files, -offset.ranks});
    return {below, above, below | above};
  }

  void fill_lines(int square, Offset offset) {
    const Bitboard whole =
        ray(square, offset) | ray(square, {-offset.files, -offset.ranks}) | bit_of(square);
    Bitboard passed = 0;
    for (int s = shifted(square, offset); s != kNoSquare; s = shifted(s, offset)) {
      between[square][s] = passed;
      line[square][s] = whole;
      passed |= bit_of(s);
    }
  }
};

// Built once, when the extension module is loaded; read-only ever after.
inline const AttackTables kAttacks;

inline Bitboard slide(const Line& line, Bitboard occupied) {
  const Bitboard above = line.above & occupied;
  const Bitboard below = (line.below & occupied) | 1;
  const Bitboard nearest_above = above & (0 - above);
  const Bitboard nearest_below = Bitboard{1} << (63 - std::countl_zero(below));
  return line.both & (2 * nearest_above - nearest_below);
}

// The squares a rook attacks, up to and including the first piece on each line.
inline Bitboard rook_attacks(int square, Bitboard occupied) {
  const Line* lines = kAttacks.rook_lines[square];
  return slide(lines[0], occupied) | slide(lines[1], occupied);
}

inline Bitboard bishop_attacks(int square, Bitboard occupied) {
  const Line* lines = kAttacks.bishop_lines[square];
  return slide(lines[0], occupied) | slide(lines[1], occupied);
}

// The squares that `sliders` attack in one direction, all at once. They spread over `empty` squares by 1, 2 and 4
// steps, so by up to 7; one step further is what they attack.
template <int files, int ranks>
constexpr Bitboard all_slides(Bitboard sliders, Bitboard empty) {
  sliders |= empty & all_shifted<files, ranks>(sliders);
  empty &= all_shifted<files, ranks>(empty);
  sliders |= empty & all_shifted<2 * files, 2 * ranks>(sliders);
  empty &= all_shifted<2 * files, 2 * ranks>(empty);
  sliders |= empty & all_shifted<4 * files, 4 * ranks>(sliders);
  return all_shifted<files, ranks>(sliders);
}

}  // namespace alphazero::chess
