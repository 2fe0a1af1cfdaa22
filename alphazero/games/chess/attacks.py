"""Bitboards and where pieces attack. A bitboard is an int of 64 bits, bit 0 = a1, 1 = b1, 8 = a2, 63 = h8.

      56 57 58 59 60 61 62 63   <- rank 8
      ...
       8  9 10 11 12 13 14 15
       0  1  2  3  4  5  6  7   <- rank 1
       a  b  c  d  e  f  g  h

Sliding attacks use the obstruction difference: on a line through the square, the squares from the nearest
piece below to the nearest piece above are one run of bits, got by a single subtraction.
(Chess Programming Wiki, 'Obstruction Difference'.) `native/chess_attacks.h` does the same in C++.
"""

from __future__ import annotations

from collections.abc import Iterator

WHITE, BLACK = 0, 1
PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING = range(6)

ALL_SQUARES = (1 << 64) - 1
RANKS = tuple(0xFF << (8 * rank) for rank in range(8))
LAST_RANKS = RANKS[0] | RANKS[7]
LIGHT_SQUARES = 0x55AA55AA55AA55AA

# (files to the right, ranks up) of the eight compass directions, clockwise from north.
COMPASS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
KNIGHT_JUMPS = ((1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1), (-2, 1), (-1, 2))


def squares_of(bitboard: int) -> Iterator[int]:
    """Yield the squares of a bitboard, ascending."""
    while bitboard:
        lowest = bitboard & -bitboard
        yield lowest.bit_length() - 1
        bitboard ^= lowest


def _offset(square: int, files: int, ranks: int) -> int | None:
    file, rank = square % 8 + files, square // 8 + ranks
    return rank * 8 + file if 0 <= file < 8 and 0 <= rank < 8 else None


def _jumps(square: int, steps: tuple[tuple[int, int], ...]) -> int:
    targets = (_offset(square, files, ranks) for files, ranks in steps)
    return sum(1 << target for target in targets if target is not None)


def _ray(square: int, files: int, ranks: int) -> list[int]:
    """Return the squares from `square` (left out) to the edge of the board, nearest first."""
    ray = []
    target = _offset(square, files, ranks)
    while target is not None:
        ray.append(target)
        target = _offset(target, files, ranks)
    return ray


def _bits(squares: list[int]) -> int:
    return sum(1 << square for square in squares)


KING_ATTACKS = tuple(_jumps(square, COMPASS) for square in range(64))
KNIGHT_ATTACKS = tuple(_jumps(square, KNIGHT_JUMPS) for square in range(64))
# PAWN_ATTACKS[colour][square]: where a pawn of that colour captures.
PAWN_ATTACKS = tuple(tuple(_jumps(square, ((-1, up), (1, up))) for square in range(64)) for up in (1, -1))

# A line through a square: (the part below it, the part above it, both), below meaning lower bits.
_Line = tuple[int, int, int]


def _lines(square: int, directions: tuple[tuple[int, int], ...]) -> tuple[_Line, ...]:
    lines = []
    for files, ranks in directions:  # each towards higher squares
        above, below = _bits(_ray(square, files, ranks)), _bits(_ray(square, -files, -ranks))
        lines.append((below, above, below | above))
    return tuple(lines)


_ROOK_LINES = tuple(_lines(square, ((1, 0), (0, 1))) for square in range(64))
_BISHOP_LINES = tuple(_lines(square, ((1, 1), (-1, 1))) for square in range(64))


def _build_between() -> tuple[list[list[int]], list[list[int]]]:
    between = [[0] * 64 for _ in range(64)]
    line = [[0] * 64 for _ in range(64)]
    for square in range(64):
        for files, ranks in COMPASS:
            ray = _ray(square, files, ranks)
            whole = _bits(ray) | _bits(_ray(square, -files, -ranks)) | 1 << square
            for distance, target in enumerate(ray):
                between[square][target] = _bits(ray[:distance])
                line[square][target] = whole
    return between, line


# BETWEEN[a][b]: the squares strictly between; LINE[a][b]: the whole line through both, edge to edge.
# Both are 0 where no queen could move from a to b.
BETWEEN, LINE = _build_between()


def _slide(lines: tuple[_Line, ...], occupied: int) -> int:
    attacks = 0
    for below, above, both in lines:
        nearest_above = above & occupied
        nearest_above &= -nearest_above
        nearest_below = 1 << (((below & occupied) | 1).bit_length() - 1)
        attacks |= both & (2 * nearest_above - nearest_below)
    return attacks


def rook_attacks(square: int, occupied: int) -> int:
    """Return the squares a rook attacks, up to and including the first piece on each line."""
    return _slide(_ROOK_LINES[square], occupied)


def bishop_attacks(square: int, occupied: int) -> int:
    """Return the squares a bishop attacks, up to and including the first piece on each line."""
    return _slide(_BISHOP_LINES[square], occupied)
