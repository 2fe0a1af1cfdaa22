"""FEN, UCI and SAN: round trips, everything that is refused, and texts nobody would write."""

from __future__ import annotations

import chess as python_chess
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphazero.games.chess import rules
from alphazero.games.chess.notation import (
    START_FEN,
    NotationError,
    format_fen,
    format_san,
    format_uci,
    parse_fen,
    parse_move,
)
from alphazero.games.game import IllegalMoveError

KIWIPETE = "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 3 7"
VALID_FENS = [
    START_FEN,
    KIWIPETE,
    "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 12 40",
    "rnbqkbnr/ppp1p1pp/8/3pPp2/8/8/PPPP1PPP/RNBQKBNR w KQkq f6 0 3",
    "4k3/8/8/8/4Pp2/8/8/4K3 b - e3 0 1",
]


@pytest.mark.parametrize("fen", VALID_FENS)
def test_fen_is_written_as_it_was_read(fen: str) -> None:
    assert format_fen(*parse_fen(fen)) == fen


def test_fen_of_four_fields_starts_its_counters() -> None:
    assert parse_fen(START_FEN[:-4]) == parse_fen(START_FEN)


def test_en_passant_square_without_a_legal_capture_is_dropped() -> None:
    fen = "rnbqkbnr/pppppppp/8/8/4P3/8/PPPP1PPP/RNBQKBNR b KQkq e3 0 1"
    assert format_fen(*parse_fen(fen)) == fen.replace("e3", "-")


@pytest.mark.parametrize(
    ("fen", "problem"),
    [
        ("", "6 fields"),
        (START_FEN + " extra", "6 fields"),
        (START_FEN.replace("/8/8/8/8/", "/8/8/8/"), "8 ranks"),
        (START_FEN.replace("/8/8/8/8/", "/8/9/8/8/"), "'9'"),
        (START_FEN.replace("/8/8/8/8/", "/8/44p/8/8/"), "9 squares"),
        (START_FEN.replace("/8/8/8/8/", "/8/7/8/8/"), "7 squares"),
        (START_FEN.replace("rnbq", "rnbx"), "'x'"),
        (START_FEN.replace("rnbq", "rnb♛"), "neither a piece"),
        (START_FEN.replace("RNBQK", "RNBQQ"), "White has 0 kings"),
        (START_FEN.replace("rnbqk", "rnbkk"), "Black has 2 kings"),
        (START_FEN.replace("/8/8/8/8/", "/8/8/8/P7/"), "9 pawns"),
        (START_FEN.replace("/8/8/8/8/", "/8/8/8/Q7/"), "1 promoted"),
        ("P3k3/8/8/8/8/8/8/4K3 w - - 0 1", "first or last rank"),
        ("4k3/8/8/8/8/8/8/4K3 x - - 0 1", "'w' or 'b'"),
        ("4k3/8/8/8/8/8/8/4K3 w K - 0 1", "without king and rook"),
        ("4k3/8/8/8/8/8/8/4K2R w KK - 0 1", "letters KQkq"),
        ("4k3/8/8/8/8/8/8/4K2R w X - 0 1", "letters KQkq"),
        ("4k3/8/8/8/8/8/8/4K3 w - e4 0 1", "3rd or 6th"),
        ("4k3/8/8/8/8/8/8/4K3 w - e6 0 1", "over e6"),
        ("4k3/8/8/4P3/8/8/8/4K3 w - e6 0 1", "over e6"),  # the pawn on e5 is White's own
        ("4k3/8/8/8/4P3/8/8/4K3 w - e3 0 1", "over e3"),  # Black would have to be to move
        ("4k3/4r3/8/4p3/8/8/8/4K3 w - e6 0 1", "over e6"),  # e7, where it came from, is occupied
        ("4k3/8/8/8/8/8/8/4K3 w - - -1 1", "halfmove clock"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 0", "fullmove number"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 99999", "fullmove number"),
        ("4k3/8/8/8/8/8/8/4K3 w - - ٣ 1", "halfmove clock"),
        ("4k3/8/8/8/8/8/8/4K2r b - - 0 1", "not to move stands in check"),
        ("4k3/3Kk3/8/8/8/8/8/8 w - - 0 1", "Black has 2 kings"),
        ("8/8/8/3kK3/8/8/8/8 w - - 0 1", "not to move stands in check"),
        ("4r2k/8/8/1b6/8/3n4/8/4K2r w - - 0 1", "more than two"),
    ],
)
def test_bad_fen_is_refused_with_the_reason(fen: str, problem: str) -> None:
    with pytest.raises(NotationError, match=problem):
        parse_fen(fen)


@pytest.mark.parametrize(
    ("fen", "uci", "san"),
    [
        (START_FEN, "e2e4", "e4"),
        (START_FEN, "g1f3", "Nf3"),
        (KIWIPETE, "e1g1", "O-O"),
        (KIWIPETE, "e1c1", "O-O-O"),
        (KIWIPETE, "e5d7", "Nxd7"),
        (KIWIPETE, "d5e6", "dxe6"),
        ("8/P6k/8/8/8/8/8/4K3 w - - 0 1", "a7a8q", "a8=Q"),
        ("1n6/P6k/8/8/8/8/8/4K3 w - - 0 1", "a7b8n", "axb8=N"),
        ("4k3/8/8/8/4Pp2/8/8/4K3 b - e3 0 1", "f4e3", "fxe3"),
        ("7k/8/6K1/8/8/8/8/R7 w - - 0 1", "a1a8", "Ra8#"),
        ("7k/8/8/8/8/8/8/R3K3 w - - 0 1", "a1a8", "Ra8+"),
        ("6k1/8/8/8/8/8/4K3/R6R w - - 0 1", "a1d1", "Rad1"),
        ("7k/8/8/R7/8/8/4K3/R7 w - - 0 1", "a1a3", "R1a3"),
        ("1k6/8/8/8/Q6Q/8/8/K7 w - - 0 1", "h4d4", "Qhd4"),
        ("1k6/8/8/8/4Q2Q/8/8/K6Q w - - 0 1", "h4e1", "Qh4e1"),  # e4 shares the rank, h1 the file
        ("4r2k/8/8/8/8/2N5/4N3/4K3 w - - 0 1", "c3d5", "Nd5"),  # the knight on e2 is pinned
    ],
)
def test_moves_are_written_and_read_in_both_notations(fen: str, uci: str, san: str) -> None:
    position = parse_fen(fen).position
    move = parse_move(position, uci)
    assert format_uci(move) == uci
    assert format_san(position, move) == san
    assert parse_move(position, san) == move
    assert python_chess.Board(fen).san(python_chess.Move.from_uci(uci)) == san


@pytest.mark.parametrize(
    ("fen", "text", "uci"),
    [
        (START_FEN, " Ng1f3!? ", "g1f3"),
        (START_FEN, "e2e4+", "e2e4"),
        (KIWIPETE, "0-0", "e1g1"),
        (KIWIPETE, "0-0-0", "e1c1"),
        (KIWIPETE, "Nd7", "e5d7"),  # the 'x' may be left out
        ("8/P6k/8/8/8/8/8/4K3 w - - 0 1", "a8Q", "a7a8q"),
        ("7k/8/8/8/8/8/8/R3K3 w - - 0 1", "Ra8", "a1a8"),
    ],
)
def test_san_is_read_in_its_usual_variants(fen: str, text: str, uci: str) -> None:
    assert format_uci(parse_move(parse_fen(fen).position, text)) == uci


@pytest.mark.parametrize(
    ("fen", "text", "problem"),
    [
        (START_FEN, "e2e5", "no legal move"),
        (START_FEN, "Ke2", "no legal move"),
        (START_FEN, "O-O", "no legal move"),
        (START_FEN, "", "no legal move"),
        (START_FEN, "e2e4q", "no legal move"),
        (START_FEN, "e9", "no legal move"),
        (START_FEN, "E4", "no legal move"),
        ("8/P6k/8/8/8/8/8/4K3 w - - 0 1", "a7a8", "no legal move"),
        ("8/P6k/8/8/8/8/8/4K3 w - - 0 1", "a8=K", "no legal move"),
        ("6k1/8/8/8/8/8/4K3/R6R w - - 0 1", "Rd1", "more than one"),
        (KIWIPETE, "Kg1", "no legal move"),  # castling is written as castling
    ],
)
def test_moves_that_are_not_there_are_refused(fen: str, text: str, problem: str) -> None:
    with pytest.raises(IllegalMoveError, match=problem):
        parse_move(parse_fen(fen).position, text)


FEN_LETTERS = "pnbrqkPNBRQKw12345678/ -abcdefgh036"


@st.composite
def damaged_fens(draw: st.DrawFn) -> str:
    """A valid FEN with one to four characters changed, added or removed."""
    text = draw(st.sampled_from(VALID_FENS))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(text)))
        kept = place + draw(st.integers(0, 1))
        text = text[:place] + draw(st.text(FEN_LETTERS, max_size=1)) + text[kept:]
    return text


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.one_of(damaged_fens(), st.text(), st.text(FEN_LETTERS, max_size=90)))
def test_any_text_is_a_playable_position_or_refused(text: str) -> None:
    try:
        fen = parse_fen(text)
    except NotationError:
        return
    written = format_fen(*fen)
    assert parse_fen(written) == fen
    board = python_chess.Board(written)
    assert board.status() & ~python_chess.STATUS_IMPOSSIBLE_CHECK == python_chess.STATUS_VALID
    assert {format_uci(move) for move in rules.legal_moves(fen.position)} == {
        move.uci() for move in board.legal_moves
    }


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.one_of(st.text(), st.text("abcdefgh12345678KQRBNOx=+#-0qrbn!? ", max_size=8)))
def test_any_text_is_a_legal_move_or_refused(text: str) -> None:
    position = parse_fen(KIWIPETE).position
    try:
        move = parse_move(position, text)
    except IllegalMoveError:
        return
    assert move in rules.legal_moves(position)
