"""Chess notation: FEN (Forsyth-Edwards), UCI (e2e4, e7e8q) and SAN (Nf3, exd6, O-O), in and out.

Everything that comes in is checked: a text that does not describe a position or a legal move raises
`NotationError` or `IllegalMoveError`, whatever it holds.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from alphazero.errors import UserError
from alphazero.games.chess.attacks import BLACK, KING, KNIGHT, LAST_RANKS, PAWN, RANKS, ROOK, WHITE
from alphazero.games.chess.rules import (
    CASTLINGS,
    NO_SQUARE,
    Move,
    Position,
    after_move,
    attackers,
    has_legal_move,
    in_check,
    legal_moves,
    with_en_passant,
)
from alphazero.games.game import IllegalMoveError

START_FEN = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"
KIND_LETTERS = "PNBRQK"
_CASTLING_LETTERS = "KQkq"
_MAX_COUNTER = 9999  # largest halfmove clock and fullmove number read from a FEN
# Pieces of one side that no promotion is needed for.
_INITIAL_COUNTS = (8, 2, 2, 2, 1, 1)

_UCI = re.compile(r"([a-h][1-8])([a-h][1-8])([nbrq]?)", re.ASCII)
_SAN = re.compile(r"([KQRBN]?)([a-h]?)([1-8]?)(x?)([a-h][1-8])(?:=?([QRBN]))?", re.ASCII)
_SAN_SUFFIX = re.compile(r"[+#]?(?:[!?]{1,2})?\Z", re.ASCII)


class NotationError(UserError, ValueError):
    """A text that is no FEN of a playable position; the message says which part is wrong."""


class Fen(NamedTuple):
    """What a FEN says. `halfmove_clock`: moves of either side since the last capture or pawn move."""

    position: Position
    halfmove_clock: int
    fullmove_number: int


def square_name(square: int) -> str:
    """Return "a1" .. "h8"."""
    return "abcdefgh"[square % 8] + str(square // 8 + 1)


def parse_square(name: str) -> int:
    """Return the square called "a1" .. "h8"."""
    return "abcdefgh".index(name[0]) + 8 * (int(name[1]) - 1)


def parse_fen(text: str) -> Fen:
    """Read a FEN of 6 fields, or of 4 (then the counters are 0 and 1).

    An en passant square that no pawn can legally capture on is dropped, as in `format_fen`.
    Raises NotationError for anything that a game could not be continued from.
    """
    fields = text.split()
    if len(fields) not in (4, 6):
        raise NotationError(f"a FEN has 6 fields (or the first 4), not {len(fields)}: {text[:100]!r}")
    pieces, colors = _parse_board(fields[0])
    if fields[1] not in ("w", "b"):
        raise NotationError(f"the player to move is 'w' or 'b', not {fields[1]!r}")
    turn = WHITE if fields[1] == "w" else BLACK
    castling = _parse_castling(fields[2], pieces, colors)
    position = Position(pieces, colors, turn, castling, NO_SQUARE)
    if in_check(position._replace(turn=1 - turn)):
        raise NotationError("the player who is not to move stands in check")
    position = _parse_en_passant(fields[3], position)
    if attackers(position, position.king, colors[1 - turn]).bit_count() > 2:
        raise NotationError("more than two pieces give check")
    counters = fields[4:] or ["0", "1"]
    halfmove_clock = _parse_counter("halfmove clock", counters[0], 0)
    fullmove_number = _parse_counter("fullmove number", counters[1], 1)
    return Fen(position, halfmove_clock, fullmove_number)


def _parse_board(text: str) -> tuple[tuple[int, int, int, int, int, int], tuple[int, int]]:
    ranks = text.split("/")
    if len(ranks) != 8:
        raise NotationError(f"the board has 8 ranks between slashes, not {len(ranks)}: {text[:80]!r}")
    pieces, colors = [0] * 6, [0, 0]
    for rank, row in zip(range(7, -1, -1), ranks, strict=True):
        file = 0
        for letter in row:
            if letter in "12345678":
                file += int(letter)
                continue
            kind = KIND_LETTERS.find(letter.upper()) if letter.isascii() else -1
            if kind < 0:
                raise NotationError(f"{letter!r} in rank {rank + 1} is neither a piece nor a number 1 to 8")
            if file < 8:
                bit = 1 << (rank * 8 + file)
                pieces[kind] |= bit
                colors[WHITE if letter.isupper() else BLACK] |= bit
            file += 1
        if file != 8:
            raise NotationError(f"rank {rank + 1} has {file} squares, not 8: {row[:20]!r}")
    _check_material(pieces, colors)
    return (pieces[0], pieces[1], pieces[2], pieces[3], pieces[4], pieces[5]), (colors[0], colors[1])


def _check_material(pieces: list[int], colors: list[int]) -> None:
    if pieces[PAWN] & LAST_RANKS:
        raise NotationError("a pawn stands on the first or last rank")
    for name, color in zip(("White", "Black"), colors, strict=True):
        counts = [(bitboard & color).bit_count() for bitboard in pieces]
        if counts[KING] != 1:
            raise NotationError(f"{name} has {counts[KING]} kings, not 1")
        promoted = sum(max(0, counts[kind] - _INITIAL_COUNTS[kind]) for kind in range(KNIGHT, KING))
        if counts[PAWN] + promoted > 8:
            raise NotationError(
                f"{name} has {counts[PAWN]} pawns and {promoted} promoted pieces; together at most 8"
            )


def _parse_castling(text: str, pieces: tuple[int, ...], colors: tuple[int, int]) -> int:
    if text == "-":
        return 0
    rights = 0
    for letter in text:
        index = _CASTLING_LETTERS.find(letter)
        if index < 0 or rights & CASTLINGS[index].right:
            raise NotationError(f"castling rights are '-' or some of the letters KQkq, not {text[:20]!r}")
        castling, color = CASTLINGS[index], colors[index // 2]
        king, rook = 1 << castling.king_from, 1 << castling.rook_from
        if not (pieces[KING] & color & king and pieces[ROOK] & color & rook):
            raise NotationError(f"castling right {letter!r} without king and rook on their first squares")
        rights |= castling.right
    return rights


def _parse_en_passant(text: str, position: Position) -> Position:
    if text == "-":
        return position
    if not re.fullmatch(r"[a-h][36]", text, re.ASCII):
        raise NotationError(f"the en passant square is '-' or on the 3rd or 6th rank, not {text[:20]!r}")
    target = parse_square(text)
    occupied = position.colors[WHITE] | position.colors[BLACK]
    pawn, origin = 1 << (target ^ 8), (target + 8 if position.turn == WHITE else target - 8)
    enemy_pawns = position.pieces[PAWN] & position.colors[1 - position.turn]
    right_rank = RANKS[5] if position.turn == WHITE else RANKS[2]
    if not (right_rank >> target & 1 and enemy_pawns & pawn) or occupied & (1 << target | 1 << origin):
        raise NotationError(f"no pawn can just have moved two squares over {text}")
    return with_en_passant(position, target)


def _parse_counter(name: str, text: str, lowest: int) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 4 and lowest <= int(text) <= _MAX_COUNTER:
        return int(text)
    raise NotationError(f"the {name} is a whole number from {lowest} to {_MAX_COUNTER}, not {text[:20]!r}")


def format_fen(position: Position, halfmove_clock: int, fullmove_number: int) -> str:
    """Return the FEN; the en passant square is given only where a legal capture there exists."""
    rows = []
    for rank in range(7, -1, -1):
        row = "".join(piece_letter(position, rank * 8 + file) for file in range(8))
        rows.append(re.sub(r"\.+", lambda empty: str(len(empty[0])), row))
    castling = "".join(
        letter
        for letter, castling in zip(_CASTLING_LETTERS, CASTLINGS, strict=True)
        if position.castling & castling.right
    )
    en_passant = "-" if position.en_passant == NO_SQUARE else square_name(position.en_passant)
    turn = "w" if position.turn == WHITE else "b"
    return f"{'/'.join(rows)} {turn} {castling or '-'} {en_passant} {halfmove_clock} {fullmove_number}"


def piece_letter(position: Position, square: int) -> str:
    """Return "P" .. "K" for a white piece, "p" .. "k" for a black one, "." for none."""
    kind = position.kind_at(square)
    if kind is None:
        return "."
    letter = KIND_LETTERS[kind]
    return letter if position.colors[WHITE] >> square & 1 else letter.lower()


def format_uci(move: Move) -> str:
    """Return a move as in the UCI protocol; castling is the king's move (e1g1)."""
    promotion = KIND_LETTERS[move.promotion].lower() if move.promotion else ""
    return square_name(move.origin) + square_name(move.target) + promotion


def format_san(position: Position, move: Move) -> str:
    """Return a legal move in standard algebraic notation (FIDE Laws, appendix C), with + or #."""
    after = after_move(position, move)
    suffix = ""
    if in_check(after):
        suffix = "+" if has_legal_move(after) else "#"
    kind = position.kind_at(move.origin)
    assert kind is not None, "a move starts from a piece"
    if kind == KING and abs(move.target - move.origin) == 2:
        return ("O-O" if move.target > move.origin else "O-O-O") + suffix
    occupied = position.colors[WHITE] | position.colors[BLACK]
    capture = bool(occupied >> move.target & 1) or (kind == PAWN and move.target == position.en_passant)
    if kind == PAWN:
        origin = square_name(move.origin)[0] if capture else ""
        promotion = "=" + KIND_LETTERS[move.promotion] if move.promotion else ""
        return origin + ("x" if capture else "") + square_name(move.target) + promotion + suffix
    origin = _disambiguation(position, move, kind)
    return KIND_LETTERS[kind] + origin + ("x" if capture else "") + square_name(move.target) + suffix


def _disambiguation(position: Position, move: Move, kind: int) -> str:
    """Return what of the origin tells the move from those of like pieces: nothing, file, rank or both."""
    rivals = [
        other.origin
        for other in legal_moves(position)
        if other.target == move.target
        and other.origin != move.origin
        and position.pieces[kind] >> other.origin & 1
    ]
    name = square_name(move.origin)
    if not rivals:
        return ""
    if all(rival % 8 != move.origin % 8 for rival in rivals):
        return name[0]
    if all(rival // 8 != move.origin // 8 for rival in rivals):
        return name[1]
    return name


def parse_move(position: Position, text: str) -> Move:
    """Return the legal move that `text` names in UCI or SAN; IllegalMoveError otherwise.

    SAN is taken with or without the marks for check and mate (not verified), '=' and 'x', with more of
    the origin than needed, and with zeros for castling.
    """
    moves = legal_moves(position)
    matches = _uci_matches(moves, text.strip()) or _san_matches(position, moves, text.strip())
    if len(matches) == 1:
        return matches[0]
    problem = "names no legal move" if not matches else "could be more than one move"
    legal = " ".join(sorted(format_uci(move) for move in moves))
    raise IllegalMoveError(f"{text[:40]!r} {problem} here; legal: {legal or 'none, the game is over'}")


def _uci_matches(moves: list[Move], text: str) -> list[Move]:
    return [move for move in moves if format_uci(move) == text] if _UCI.fullmatch(text) else []


def _san_matches(position: Position, moves: list[Move], text: str) -> list[Move]:
    text = _SAN_SUFFIX.sub("", text)
    if text in ("O-O", "0-0", "O-O-O", "0-0-0"):
        distance = 2 if len(text) == 3 else -2
        king = position.king
        return [move for move in moves if move.origin == king and move.target == king + distance]
    parts = _SAN.fullmatch(text)
    if not parts:
        return []
    letter, file, rank, _, target, promotion = parts.groups()
    kind = KIND_LETTERS.index(letter or "P")
    return [
        move
        for move in moves
        if position.pieces[kind] >> move.origin & 1
        and move.target == parse_square(target)
        and file in ("", square_name(move.origin)[0])
        and rank in ("", square_name(move.origin)[1])
        and move.promotion == (KIND_LETTERS.index(promotion) if promotion else 0)
        and not (kind == KING and abs(move.target - move.origin) == 2)
    ]
