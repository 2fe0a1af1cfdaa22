"""AlphaZero's chess: 4,672 actions and 119 observation planes, seen from the player to move.

Silver et al. 2018, 'A general reinforcement learning algorithm that masters chess, shogi, and Go through
self-play', supplement, tables S1 and S2. Where the paper leaves an order open, it is chosen here.

**Orientation.** Actions and planes are turned so that the player to move always moves up the board:
for Black the ranks are mirrored (a8 <-> a1), files stay. A cell is an oriented square, a1 = 0, b1 = 1,
h8 = 63; in a plane of 8 rows and 8 columns, row 0 is the player's own first rank and column 0 the a-file.

**Actions.** action = 64 * plane + (cell the piece leaves), with 73 planes:

    plane  0 .. 55   like a queen: 7 * direction + (distance - 1); directions clockwise from straight ahead:
                     0 N, 1 NE, 2 E, 3 SE, 4 S, 5 SW, 6 W, 7 NW; a castling king goes two squares E or W;
                     a pawn that reaches the last rank this way becomes a queen
    plane 56 .. 63   knight jumps, clockwise from (1 right, 2 up)
    plane 64 .. 72   underpromotion: 64 + 3 * (0 knight, 1 bishop, 2 rook) + (0 to the left, 1 ahead, 2 right)

**Planes.** 8 positions of 14 planes, the present first, each earlier one a move older (all zero before the
start), then 7 planes that are constant over the board:

    14 * t + 0 .. 5    pieces of the player to move now: pawn, knight, bishop, rook, queen, king
    14 * t + 6 .. 11   the opponent's
    14 * t + 12, 13    1 if that position had occurred at least once, at least twice before
    112                1 if Black is to move
    113                full moves completed (fullmove number - 1), at most 255
    114, 115           own right to castle kingside, queenside
    116, 117           the opponent's
    118                halfmove clock: moves of either side without capture or pawn move, at most 255
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alphazero.games.chess.attacks import (
    BLACK,
    COMPASS,
    KNIGHT,
    KNIGHT_JUMPS,
    LAST_RANKS,
    PAWN,
    QUEEN,
)
from alphazero.games.chess.rules import Move, Position
from alphazero.games.game import ByteArray

HISTORY_STEPS = 8
PLANES_PER_STEP = 14
NUM_PLANES = HISTORY_STEPS * PLANES_PER_STEP + 7
NUM_ACTION_PLANES = 73
NUM_ACTIONS = NUM_ACTION_PLANES * 64

_COLOUR_PLANE = HISTORY_STEPS * PLANES_PER_STEP
_FULLMOVE_PLANE = _COLOUR_PLANE + 1
_CASTLING_PLANE = _COLOUR_PLANE + 2
_HALFMOVE_PLANE = _COLOUR_PLANE + 6
# The network multiplies: about 0 to 1 in every plane.
PLANE_SCALE = tuple(
    1 / 256 if plane == _FULLMOVE_PLANE else 1 / 100 if plane == _HALFMOVE_PLANE else 1.0
    for plane in range(NUM_PLANES)
)

_FIRST_KNIGHT_PLANE = 56
_FIRST_UNDERPROMOTION_PLANE = 64
# (files to the right, ranks up) of each queen and knight plane.
_PLANE_OFFSETS = [
    (files * distance, ranks * distance) for files, ranks in COMPASS for distance in range(1, 8)
] + list(KNIGHT_JUMPS)
_OFFSET_PLANES = {offset: plane for plane, offset in enumerate(_PLANE_OFFSETS)}


def orientation(turn: int) -> int:
    """Return what a square is xor-ed with to get its cell: 0 for White, 56 (mirrored ranks) for Black."""
    return 56 if turn == BLACK else 0


def move_to_action(turn: int, move: Move) -> int:
    """Return the action of a move of the player `turn`."""
    origin, target = move.origin ^ orientation(turn), move.target ^ orientation(turn)
    files = target % 8 - origin % 8
    if move.promotion in (0, QUEEN):
        plane = _OFFSET_PLANES[files, target // 8 - origin // 8]
    else:
        plane = _FIRST_UNDERPROMOTION_PLANE + 3 * (move.promotion - KNIGHT) + files + 1
    return 64 * plane + origin


def action_to_move(position: Position, action: int) -> Move:
    """Return the move of an action that is legal in `position` (not checked)."""
    plane, origin = divmod(action, 64)
    if plane >= _FIRST_UNDERPROMOTION_PLANE:
        kind, direction = divmod(plane - _FIRST_UNDERPROMOTION_PLANE, 3)
        target, promotion = origin + 8 + direction - 1, KNIGHT + kind
    else:
        files, ranks = _PLANE_OFFSETS[plane]
        target, promotion = origin + 8 * ranks + files, 0
    mirror = orientation(position.turn)
    origin, target = origin ^ mirror, target ^ mirror
    if plane < _FIRST_KNIGHT_PLANE and LAST_RANKS >> target & 1 and position.pieces[PAWN] >> origin & 1:
        promotion = QUEEN
    return Move(origin, target, promotion)


def encode_planes(
    steps: Sequence[tuple[Position, int]], halfmove_clock: int, fullmove_number: int, out: ByteArray
) -> None:
    """Fill `out` uint8 [119, 8, 8].

    Args:
        steps: (position, how often it had occurred before), the present first, 1 to 8 of them.
        halfmove_clock, fullmove_number: of the present position.
    """
    out.fill(0)
    present = steps[0][0]
    bitboards: list[int] = []
    for step, (position, repetitions) in enumerate(steps):
        own, opponent = position.colors[present.turn], position.colors[1 - present.turn]
        bitboards += [bitboard & own for bitboard in position.pieces]
        bitboards += [bitboard & opponent for bitboard in position.pieces]
        for count in range(min(repetitions, 2)):
            out[PLANES_PER_STEP * step + 12 + count] = 1
    boards = np.array(bitboards, dtype="<u8")
    if present.turn == BLACK:
        boards = boards.byteswap()  # mirrors the ranks: each is one byte
    cells = np.unpackbits(boards.view(np.uint8), bitorder="little").reshape(-1, 12, 8, 8)
    out[:_COLOUR_PLANE].reshape(HISTORY_STEPS, PLANES_PER_STEP, 8, 8)[: len(cells), :12] = cells

    out[_COLOUR_PLANE] = present.turn == BLACK
    out[_FULLMOVE_PLANE] = min(fullmove_number - 1, 255)
    rights = [present.castling >> bit & 1 for bit in range(4)]
    if present.turn == BLACK:
        rights = rights[2:] + rights[:2]
    for plane, right in enumerate(rights, _CASTLING_PLANE):
        out[plane] = right
    out[_HALFMOVE_PLANE] = min(halfmove_clock, 255)
