// AlphaZero's observation planes of chess: with chess_actions.h the twin of alphazero/games/chess/encoding.py,
// whose head draws their layout.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "alphazero/games/native/chess_attacks.h"
#include "alphazero/games/native/chess_position.h"

namespace alphazero::chess {

constexpr int kHistorySteps = 8;
constexpr int kPlanesPerStep = 14;
constexpr int kConstantPlanes = kHistorySteps * kPlanesPerStep;
constexpr int kNumPlanes = kConstantPlanes + 7;
constexpr int kObservationSize = kNumPlanes * 64;

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
