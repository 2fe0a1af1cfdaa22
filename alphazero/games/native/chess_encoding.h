// AlphaZero's chess actions and observation planes: the twin of alphazero/games/chess/encoding.py, whose
// head draws the layout of both.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "alphazero/games/native/chess_attacks.h"
#include "alphazero/games/native/chess_moves.h"
#include "alphazero/games/native/chess_position.h"

namespace alphazero::chess {

constexpr int kHistorySteps = 8;
constexpr int kPlanesPerStep = 14;
constexpr int kConstantPlanes = kHistorySteps * kPlanesPerStep;
constexpr int kNumPlanes = kConstantPlanes + 7;
constexpr int kObservationSize = kNumPlanes * 64;

constexpr int kFirstKnightPlane = 56;
constexpr int kFirstUnderpromotionPlane = 64;
constexpr int kNumActionPlanes = 73;

// What a square is xor-ed with to get its cell: Black's ranks are mirrored.
constexpr int orientation(int turn) { return turn == kBlack ? 56 : 0; }

// A bitboard with its ranks mirrored: the eight bytes in the other order.
constexpr Bitboard mirrored(Bitboard b) {
  b = ((b >> 8) & 0x00FF00FF00FF00FF) | ((b & 0x00FF00FF00FF00FF) << 8);
  b = ((b >> 16) & 0x0000FFFF0000FFFF) | ((b & 0x0000FFFF0000FFFF) << 16);
  return (b >> 32) | (b << 32);
}

struct ActionTables {
  Offset offset[kFirstUnderpromotionPlane];  // of each queen and knight plane
  uint8_t plane[64][64];                     // [cell left][cell reached]

  ActionTables() : offset{}, plane{} {
    for (int direction = 0; direction < 8; ++direction) {
      for (int distance = 1; distance <= 7; ++distance) {
        const Offset step = kCompass[direction];
        offset[7 * direction + distance - 1] = {step.files * distance, step.ranks * distance};
      }
      offset[kFirstKnightPlane + direction] = kKnightJumps[direction];
    }
    for (int cell = 0; cell < 64; ++cell) {
      for (int p = 0; p < kFirstUnderpromotionPlane; ++p) {
        const int target = shifted(cell, offset[p]);
        if (target != kNoSquare) plane[cell][target] = static_cast<uint8_t>(p);
      }
    }
  }
};

inline const ActionTables kActions;

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
    const Offset offset = kActions.offset[plane];
    target = cell + 8 * offset.ranks + offset.files;
    const int origin = cell ^ orientation(position.turn);
    if (target >= 56 && (position.pieces[kPawn] & bit_of(origin))) promotion = kQueen;
  }
  const int mirror = orientation(position.turn);
  return {static_cast<uint8_t>(cell ^ mirror), static_cast<uint8_t>(target ^ mirror),
          static_cast<uint8_t>(promotion)};
}

// Write the legal actions, ascending, and return their number. The moves come piece by piece; collected as
// one bitboard of cells for each action plane, they are read off in order without a sort.
inline int32_t write_legal_actions(const Position& position, int32_t* actions) {
  Bitboard cells[kNumActionPlanes] = {};
  uint64_t used = 0;  // queen and knight planes with an action in them
  Bitboard promoting = 0;
  const int mirror = orientation(position.turn);
  for_each_piece(position, [&](int origin, Bitboard targets, bool is_pawn) {
    const int cell = origin ^ mirror;
    while (targets) {
      const int target = pop_lowest(targets) ^ mirror;
      const int plane = kActions.plane[cell][target];
      cells[plane] |= bit_of(cell);
      used |= uint64_t{1} << plane;
      if (is_pawn && target >= 56) {
        promoting |= bit_of(cell);
        const int direction = target - cell - 7;  // 0 to the left, 1 ahead, 2 right
        for (int kind = 0; kind < 3; ++kind) {
          cells[kFirstUnderpromotionPlane + 3 * kind + direction] |= bit_of(cell);
        }
      }
    }
    return false;
  });
  int32_t count = 0;
  const auto write_plane_actions = [&](int plane) {
    for (Bitboard origins = cells[plane]; origins;) actions[count++] = 64 * plane + pop_lowest(origins);
  };
  while (used) write_plane_actions(pop_lowest(used));
  if (promoting) {
    for (int plane = kFirstUnderpromotionPlane; plane < kNumActionPlanes; ++plane) write_plane_actions(plane);
  }
  return count;
}

// The bits of a byte as eight bytes of 0 and 1, the lowest first.
struct SpreadTable {
  uint64_t bytes[256];

  constexpr SpreadTable() : bytes{} {
    for (int byte = 0; byte < 256; ++byte) {
      uint8_t cells[8];
      for (int bit = 0; bit < 8; ++bit) cells[bit] = static_cast<uint8_t>((byte >> bit) & 1);
      bytes[byte] = std::bit_cast<uint64_t>(cells);  // in memory the lowest comes first, whatever the processor
    }
  }
};

inline constexpr SpreadTable kSpread;

constexpr uint8_t kOpponentsPiece = 8;

// Fill codes uint8 [64] with what stands on each cell, seen from `turn`: 0 for nothing, else the kind of piece from
// 1 for a pawn to 6 for a king, `kOpponentsPiece` added for the opponent's.
inline void write_codes(const PackedPosition& position, int turn, uint8_t* codes) {
  Bitboard ones = position.kind_bits[0];
  Bitboard twos = position.kind_bits[1];
  Bitboard fours = position.kind_bits[2];
  Bitboard opponent = position.black;
  if (turn == kBlack) {
    opponent = mirrored((ones | twos | fours) & ~opponent);
    ones = mirrored(ones);
    twos = mirrored(twos);
    fours = mirrored(fours);
  }
  for (int rank = 0; rank < 8; ++rank) {
    const auto spread = [&](Bitboard bits) { return kSpread.bytes[(bits >> (8 * rank)) & 0xFF]; };
    const uint64_t row = spread(ones) | spread(twos) << 1 | spread(fours) << 2 | spread(opponent) << 3;
    std::memcpy(codes + 8 * rank, &row, 8);
  }
}

// Fill `plane` uint8 [64]: 1 where `codes` has `code`. Neither branch nor bit by bit: the compiler compares
// as many cells at once as the processor can.
inline void write_plane(const uint8_t* __restrict codes, uint8_t code, uint8_t* __restrict plane) {
  for (int cell = 0; cell < 64; ++cell) plane[cell] = codes[cell] == code;
}

// Write the 14 planes of one step of the history, seen from `turn`.
inline void write_step(const PackedPosition& position, int repetitions, int turn, uint8_t* out) {
  uint8_t codes[64];
  write_codes(position, turn, codes);
  for (const int owner : {0, int{kOpponentsPiece}}) {
    for (int kind = 1; kind <= kNumKinds; ++kind, out += 64) {
      write_plane(codes, static_cast<uint8_t>(owner + kind), out);
    }
  }
  std::memset(out, repetitions >= 1, 64);
  std::memset(out + 64, repetitions >= 2, 64);
}

// Write the 7 constant planes.
inline void write_constants(const PackedPosition& position, int halfmove_clock, int fullmove_number,
                            uint8_t* out) {
  const int rights = position.turn == kBlack ? position.castling >> 2 : position.castling;
  const int opponent_rights = position.turn == kBlack ? position.castling : position.castling >> 2;
  const int values[7] = {position.turn == kBlack,
                         fullmove_number - 1 < 255 ? fullmove_number - 1 : 255,
                         rights & 1,
                         (rights >> 1) & 1,
                         opponent_rights & 1,
                         (opponent_rights >> 1) & 1,
                         halfmove_clock < 255 ? halfmove_clock : 255};
  for (const int value : values) {
    std::memset(out, value, 64);
    out += 64;
  }
}

}  // namespace alphazero::chess
