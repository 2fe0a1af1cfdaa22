"""The rules of chess for one position: legal moves, the position after a move, perft.

What depends on the past (repetition, the fifty-move rule, the length of the game) is in `game.py`.
`native/chess_position.h` and `native/chess_moves.h` do the same in C++, with the same names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from alphazero.games.chess.attacks import (
    ALL_SQUARES,
    BETWEEN,
    BISHOP,
    BLACK,
    KING,
    KING_ATTACKS,
    KNIGHT,
    KNIGHT_ATTACKS,
    LAST_RANKS,
    LIGHT_SQUARES,
    LINE,
    PAWN,
    PAWN_ATTACKS,
    QUEEN,
    RANKS,
    ROOK,
    WHITE,
    bishop_attacks,
    rook_attacks,
    squares_of,
)

NO_SQUARE = 64

# Castling rights, one bit each.
WHITE_KINGSIDE, WHITE_QUEENSIDE, BLACK_KINGSIDE, BLACK_QUEENSIDE = 1, 2, 4, 8


class Castling(NamedTuple):
    """One of the four castlings: the right it needs and the squares it uses."""

    right: int
    king_from: int
    king_to: int
    rook_from: int
    rook_to: int


CASTLINGS = (
    Castling(WHITE_KINGSIDE, 4, 6, 7, 5),
    Castling(WHITE_QUEENSIDE, 4, 2, 0, 3),
    Castling(BLACK_KINGSIDE, 60, 62, 63, 61),
    Castling(BLACK_QUEENSIDE, 60, 58, 56, 59),
)
_CASTLINGS_OF = (CASTLINGS[:2], CASTLINGS[2:])
# Rights that survive a move from or to a square: moving or capturing a king or rook costs them.
_RIGHTS_KEPT = [15] * 64
for _castling in CASTLINGS:
    _RIGHTS_KEPT[_castling.king_from] &= ~_castling.right
    _RIGHTS_KEPT[_castling.rook_from] &= ~_castling.right


class Position(NamedTuple):
    """Everything that has to recur for a position to be repeated (FIDE Laws 9.2.3), and nothing else.

    Attributes:
        pieces: one bitboard for each kind (PAWN to KING), both colours.
        colors: the bitboards of White's and Black's pieces.
        turn: WHITE or BLACK, the player to move.
        castling: rights still held, a sum of WHITE_KINGSIDE .. BLACK_QUEENSIDE.
        en_passant: the square behind a pawn that just moved two, if a legal capture there exists;
            NO_SQUARE otherwise.
    """

    pieces: tuple[int, int, int, int, int, int]
    colors: tuple[int, int]
    turn: int
    castling: int
    en_passant: int

    def kind_at(self, square: int) -> int | None:
        """Return the kind of piece on `square` (PAWN to KING), or None if it is empty."""
        bit = 1 << square
        for kind, bitboard in enumerate(self.pieces):
            if bitboard & bit:
                return kind
        return None

    @property
    def king(self) -> int:
        """The square of the king of the player to move."""
        return (self.pieces[KING] & self.colors[self.turn]).bit_length() - 1


class Move(NamedTuple):
    """From `origin` to `target`; castling is the king's move. `promotion`: KNIGHT to QUEEN, 0 for none."""

    origin: int
    target: int
    promotion: int = 0


def legal_moves(position: Position) -> list[Move]:
    """Return every legal move, in no particular order, whether or not the game is drawn already."""
    moves = []
    pawns = position.pieces[PAWN]
    for origin, targets in piece_targets(position):
        is_pawn = pawns >> origin & 1
        for target in squares_of(targets):
            if is_pawn and LAST_RANKS >> target & 1:
                moves += [Move(origin, target, kind) for kind in (KNIGHT, BISHOP, ROOK, QUEEN)]
            else:
                moves.append(Move(origin, target))
    return moves


def has_legal_move(position: Position) -> bool:
    """Return whether the player to move can move at all."""
    return any(targets for _, targets in piece_targets(position))


def in_check(position: Position) -> bool:
    """Return whether the king of the player to move is attacked."""
    return attackers(position, position.king, position.colors[1 - position.turn]) != 0


def attackers(position: Position, square: int, by: int, occupied: int | None = None) -> int:
    """Return those pieces of the bitboard `by` (of the opponent of `turn`) that attack `square`.

    `occupied` stands for the occupied squares of the position, so that pieces can be thought away.
    """
    if occupied is None:
        occupied = position.colors[WHITE] | position.colors[BLACK]
    pawns, knights, bishops, rooks, queens, kings = position.pieces
    return by & (
        PAWN_ATTACKS[position.turn][square] & pawns
        | KNIGHT_ATTACKS[square] & knights
        | KING_ATTACKS[square] & kings
        | bishop_attacks(square, occupied) & (bishops | queens)
        | rook_attacks(square, occupied) & (rooks | queens)
    )


def piece_targets(position: Position) -> Iterator[tuple[int, int]]:
    """Yield (origin, bitboard of legal targets) for each piece of the player to move.

    A pawn's target on the last rank stands for four moves. Checks and pins are worked out first, so
    that no move has to be tried: with one checker, a move must capture it or step between; a pinned piece
    stays on the line through its king.
    """
    pawns, knights, bishops, rooks, _, kings = position.pieces
    own, enemy = position.colors[position.turn], position.colors[1 - position.turn]
    occupied = own | enemy
    king = position.king
    checkers, pinned = _checks_and_pins(position, king)

    if not checkers & (checkers - 1):  # in double check only the king can move
        allowed = ~own & ALL_SQUARES
        if checkers:
            allowed &= checkers | BETWEEN[king][checkers.bit_length() - 1]
        for origin in squares_of(own & pawns):
            targets = _pawn_targets(position.turn, origin, occupied, enemy) & allowed
            if pinned >> origin & 1:
                targets &= LINE[king][origin]
            if position.en_passant != NO_SQUARE and en_passant_is_legal(
                position, origin, position.en_passant
            ):
                targets |= 1 << position.en_passant
            yield origin, targets
        for origin in squares_of(own & ~kings & ~pawns):
            bit = 1 << origin
            if bit & knights:
                targets = KNIGHT_ATTACKS[origin]
            elif bit & bishops:
                targets = bishop_attacks(origin, occupied)
            elif bit & rooks:
                targets = rook_attacks(origin, occupied)
            else:
                targets = bishop_attacks(origin, occupied) | rook_attacks(origin, occupied)
            if pinned & bit:
                targets &= LINE[king][origin]
            yield origin, targets & allowed
    yield king, _king_targets(position, checkers)


def _checks_and_pins(position: Position, king: int) -> tuple[int, int]:
    """Return the enemy pieces that give check and the own pieces that alone shield the king from a slider."""
    pawns, knights, bishops, rooks, queens, _ = position.pieces
    own, enemy = position.colors[position.turn], position.colors[1 - position.turn]
    checkers = enemy & (PAWN_ATTACKS[position.turn][king] & pawns | KNIGHT_ATTACKS[king] & knights)
    # Sliders that would attack the king if its own side stood aside.
    snipers = enemy & (
        rook_attacks(king, enemy) & (rooks | queens) | bishop_attacks(king, enemy) & (bishops | queens)
    )
    pinned = 0
    for sniper in squares_of(snipers):
        shield = BETWEEN[king][sniper] & own
        if not shield:
            checkers |= 1 << sniper
        elif shield & (shield - 1) == 0:
            pinned |= shield
    return checkers, pinned


def _king_targets(position: Position, checkers: int) -> int:
    own, enemy = position.colors[position.turn], position.colors[1 - position.turn]
    king = position.king
    # The king does not shield the squares behind it from a slider.
    occupied = (own | enemy) & ~(1 << king)
    targets = 0
    for target in squares_of(KING_ATTACKS[king] & ~own):
        if not attackers(position, target, enemy, occupied):
            targets |= 1 << target
    if checkers or not position.castling:
        return targets
    for castling in _CASTLINGS_OF[position.turn]:
        if not position.castling & castling.right or BETWEEN[king][castling.rook_from] & (own | enemy):
            continue
        passed = castling.rook_to  # the rook lands on the square that the king passes
        if not (attackers(position, passed, enemy) or attackers(position, castling.king_to, enemy)):
            targets |= 1 << castling.king_to
    return targets


def _pawn_targets(turn: int, origin: int, occupied: int, enemy: int) -> int:
    targets = PAWN_ATTACKS[turn][origin] & enemy
    bit = 1 << origin
    if turn == WHITE:
        one = bit << 8 & ~occupied
        two = (one & RANKS[2]) << 8 & ~occupied
    else:
        one = bit >> 8 & ~occupied
        two = (one & RANKS[5]) >> 8 & ~occupied
    return targets | one | two


def en_passant_is_legal(position: Position, origin: int, target: int) -> bool:
    """Return whether the pawn of the player to move on `origin` may capture en passant on `target`.

    Tried out on the board: two pawns leave the same rank, so that no pin shows the danger.
    """
    if not PAWN_ATTACKS[position.turn][origin] >> target & 1:
        return False
    captured = 1 << (target ^ 8)  # same file, one rank nearer to the capturing player
    own, enemy = position.colors[position.turn], position.colors[1 - position.turn]
    occupied = (own | enemy) ^ captured ^ (1 << origin) | 1 << target
    return not attackers(position, position.king, enemy ^ captured, occupied)


def after_move(position: Position, move: Move) -> Position:
    """Return the position after a legal move."""
    origin, target, promotion = move
    turn = position.turn
    pieces = list(position.pieces)
    own, enemy = position.colors[turn], position.colors[1 - turn]
    from_bit, to_bit = 1 << origin, 1 << target
    kind = position.kind_at(origin)
    assert kind is not None, "a move starts from a piece"

    captured = to_bit
    if kind == PAWN and target == position.en_passant:
        captured = 1 << (target ^ 8)
    if captured & enemy:
        enemy ^= captured
        pieces = [bitboard & ~captured for bitboard in pieces]
    own ^= from_bit | to_bit
    pieces[kind] ^= from_bit
    pieces[promotion or kind] |= to_bit
    if kind == KING and abs(target - origin) == 2:
        castling = _CASTLINGS_OF[turn][target < origin]
        rook = 1 << castling.rook_from | 1 << castling.rook_to
        pieces[ROOK] ^= rook
        own ^= rook

    after = Position(
        pieces=(pieces[0], pieces[1], pieces[2], pieces[3], pieces[4], pieces[5]),
        colors=(own, enemy) if turn == WHITE else (enemy, own),
        turn=1 - turn,
        castling=position.castling & _RIGHTS_KEPT[origin] & _RIGHTS_KEPT[target],
        en_passant=NO_SQUARE,
    )
    if kind == PAWN and abs(target - origin) == 16:
        return with_en_passant(after, (origin + target) // 2)
    return after


def with_en_passant(position: Position, target: int) -> Position:
    """Return the position with the en passant square set if, and only if, a legal capture there exists."""
    own_pawns = position.pieces[PAWN] & position.colors[position.turn]
    # The pawns that attack `target` stand where an enemy pawn on `target` would attack.
    for origin in squares_of(PAWN_ATTACKS[1 - position.turn][target] & own_pawns):
        if en_passant_is_legal(position, origin, target):
            return position._replace(en_passant=target)
    return position


def insufficient_material(position: Position) -> bool:
    """Return whether neither side could mate by any sequence of moves, by material alone.

    True for bare kings, one knight and nothing else, or bishops that all stand on squares of one colour.
    """
    pawns, knights, bishops, rooks, queens, _ = position.pieces
    if pawns | rooks | queens:
        return False
    if knights:
        return not bishops and knights & (knights - 1) == 0
    return not (bishops & LIGHT_SQUARES and bishops & ~LIGHT_SQUARES)


def perft(position: Position, depth: int) -> int:
    """Return the number of sequences of `depth` legal moves, draws ignored: the usual generator test."""
    if depth == 0:
        return 1
    moves = legal_moves(position)
    if depth == 1:
        return len(moves)
    return sum(perft(after_move(position, move), depth - 1) for move in moves)
