"""Legal moves of single positions: published perft counts, and the corners of the rules one by one."""

from __future__ import annotations

import pytest

from alphazero.games.chess import rules
from alphazero.games.chess.notation import START_FEN, NotationError, format_uci, parse_fen, parse_move

# FEN: published counts of move sequences of length 1, 2, ... (Chess Programming Wiki, 'Perft Results').
PERFT = {
    START_FEN: [20, 400, 8_902, 197_281, 4_865_609, 119_060_324],
    "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1": [
        48, 2_039, 97_862, 4_085_603, 193_690_690,
    ],
    "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1": [14, 191, 2_812, 43_238, 674_624, 11_030_083, 178_633_661],
    "r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1": [6, 264, 9_467, 422_333, 15_833_292],
    "r2q1rk1/pP1p2pp/Q4n2/bbp1p3/Np6/1B3NBn/pPPP1PPP/R3K2R b KQ - 0 1": [6, 264, 9_467, 422_333, 15_833_292],
    "rnbq1k1r/pp1Pbppp/2p5/8/2B5/8/PPP1NnPP/RNBQK2R w KQ - 1 8": [44, 1_486, 62_379, 2_103_487, 89_941_194],
    "r4rk1/1pp1qppp/p1np1n2/2b1p1B1/2B1P1b1/P1NP1N2/1PP1QPPP/R4RK1 w - - 0 10": [
        46, 2_079, 89_890, 3_894_594, 164_075_551,
    ],
}  # fmt: skip
PYTHON_NODES, NATIVE_NODES = 20_000, 16_000_000  # largest count worked out in the ordinary run


def moves_of(fen: str, origin: str = "") -> set[str]:
    moves = rules.legal_moves(parse_fen(fen).position)
    return {format_uci(move) for move in moves if format_uci(move).startswith(origin)}


@pytest.mark.parametrize("fen", PERFT)
def test_python_perft_has_the_published_counts(fen: str) -> None:
    counts = [count for count in PERFT[fen] if count <= PYTHON_NODES]
    position = parse_fen(fen).position
    assert [rules.perft(position, depth) for depth in range(1, len(counts) + 1)] == counts


@pytest.mark.parametrize("fen", PERFT)
def test_native_perft_has_the_published_counts(fen: str) -> None:
    native = pytest.importorskip("alphazero.games.native._chess")
    counts = [count for count in PERFT[fen] if count <= NATIVE_NODES]
    assert [native.perft(fen, depth) for depth in range(1, len(counts) + 1)] == counts


@pytest.mark.slow
@pytest.mark.parametrize("fen", PERFT)
def test_native_perft_has_the_published_counts_to_the_full_depth(fen: str) -> None:
    native = pytest.importorskip("alphazero.games.native._chess")
    assert native.perft(fen, len(PERFT[fen])) == PERFT[fen][-1]


@pytest.mark.slow
def test_python_perft_of_the_start_position_to_depth_four() -> None:
    assert rules.perft(parse_fen(START_FEN).position, 4) == 197_281


def test_perft_of_depth_zero_counts_the_position_itself() -> None:
    native = pytest.importorskip("alphazero.games.native._chess")
    assert native.perft(START_FEN, 0) == 1 == rules.perft(parse_fen(START_FEN).position, 0)


def test_native_perft_refuses_nonsense() -> None:
    native = pytest.importorskip("alphazero.games.native._chess")
    with pytest.raises(ValueError, match="depth"):
        native.perft(START_FEN, -1)
    with pytest.raises(NotationError, match="6 fields"):
        native.perft("not a position", 3)


def test_most_moves_known_in_one_position() -> None:
    assert len(moves_of("R6R/3Q4/1Q4Q1/4Q3/2Q4Q/Q4Q2/pp1Q4/kBNN1KB1 w - - 0 1")) == 218


def test_pinned_pieces_move_only_along_the_pin() -> None:
    # The rook on e4 stands between its king on e1 and the rook on e8; the knight on d2 is pinned by b4.
    fen = "4r2k/8/8/8/1b2R3/8/3N4/4K3 w - - 0 1"
    assert moves_of(fen, "e4") == {"e4e2", "e4e3", "e4e5", "e4e6", "e4e7", "e4e8"}
    assert moves_of(fen, "d2") == set()


def test_in_double_check_only_the_king_moves() -> None:
    # Rook e8 and knight f3 give check; the queen could step in front of the rook. d1, f1 and f2 are free,
    # e2 is on the rook's file, d2 is covered by the knight.
    assert moves_of("4r2k/8/8/8/8/5n2/Q7/4K3 w - - 0 1") == {"e1d1", "e1f1", "e1f2"}


def test_a_check_is_met_by_capture_block_or_flight() -> None:
    # Bishop b4 checks e1: c3 blocks, axb4 captures, or the king leaves the diagonal.
    assert moves_of("7k/8/8/8/1b6/P7/2P5/4K3 w - - 0 1") == {
        "a3b4", "c2c3", "e1d1", "e1e2", "e1f1", "e1f2",
    }  # fmt: skip


def test_king_does_not_hide_behind_itself_from_a_slider() -> None:
    # Rook a4 checks along the rank: from e4 the king may not go to f4 or d4.
    assert not {"e4f4", "e4d4"} & moves_of("7k/8/8/8/r3K3/8/8/8 w - - 0 1")


def test_en_passant_is_possible_for_one_move_only() -> None:
    position = parse_fen("4k3/2p5/8/3P4/8/8/8/4K3 b - - 0 1").position
    position = rules.after_move(position, parse_move(position, "c5"))
    assert parse_move(position, "dxc6") == rules.Move(35, 42)
    assert rules.after_move(position, rules.Move(35, 42)).pieces[0] == 1 << 42  # the pawn on c5 is gone
    for text in ("Kd1", "Kd8"):
        position = rules.after_move(position, parse_move(position, text))
    assert position.en_passant == rules.NO_SQUARE


def test_en_passant_that_opens_the_rank_to_the_king_is_illegal() -> None:
    # After exd3 both pawns have left the fourth rank, between the king on a4 and the rook on h4.
    assert "e4d3" not in moves_of("8/8/8/8/k2Pp2R/8/8/4K3 b - d3 0 1")
    assert "e4d3" in moves_of("8/8/8/8/k2Pp2B/8/8/4K3 b - d3 0 1")


def test_en_passant_may_capture_the_pawn_that_gives_check() -> None:
    assert "e4d3" in moves_of("8/8/8/2k5/3Pp3/8/8/4K3 b - d3 0 1")


def test_castling_needs_empty_squares_and_a_king_that_never_stands_in_check() -> None:
    both = "4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1"
    assert {"e1g1", "e1c1"} <= moves_of(both)
    assert not {"e1g1", "e1c1"} & moves_of(both.replace("4k3/8", "4k3/4r3"))  # in check
    assert {"e1g1", "e1c1"} & moves_of(both.replace("4k3/8", "4k3/5r2")) == {"e1c1"}  # f1 is passed
    assert {"e1g1", "e1c1"} & moves_of(both.replace("4k3/8", "4k3/6r1")) == {"e1c1"}  # g1 is reached
    assert {"e1g1", "e1c1"} <= moves_of(both.replace("4k3/8", "4k3/1r6"))  # only the rook passes b1
    assert {"e1g1", "e1c1"} & moves_of("4k3/8/8/8/8/8/8/RN2K2R w KQ - 0 1") == {"e1g1"}


def test_castling_moves_the_rook_and_uses_up_both_rights() -> None:
    position = parse_fen("4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1").position
    after = rules.after_move(position, rules.Move(4, 2))
    assert after.colors[0] == 1 << 2 | 1 << 3 | 1 << 7
    assert after.castling == 0


def test_a_captured_rook_takes_its_castling_right_with_it() -> None:
    position = parse_fen("r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1").position
    after = rules.after_move(position, parse_move(position, "Rxh8+"))
    assert after.castling == rules.WHITE_QUEENSIDE | rules.BLACK_QUEENSIDE


def test_pawns_promote_to_four_pieces() -> None:
    assert moves_of("1n5k/P7/8/8/8/8/8/4K3 w - - 0 1", "a7") == {
        "a7a8n", "a7a8b", "a7a8r", "a7a8q", "a7b8n", "a7b8b", "a7b8r", "a7b8q",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("board", "insufficient"),
    [
        ("4k3/8/8/8/8/8/8/4K3", True),
        ("4k3/8/8/8/8/8/8/4KN2", True),
        ("4k3/8/8/8/8/8/8/4KB2", True),
        ("4kb2/8/8/8/8/8/8/2B1K3", True),  # f8 and c1 are both dark
        ("2b1k3/8/8/8/8/8/8/2B1K3", False),  # c8 is light, c1 dark: a helpmate exists
        ("4k3/8/8/8/8/8/8/3NKN2", False),  # two knights can mate, if not by force
        ("4kn2/8/8/8/8/8/8/4KN2", False),
        ("4kn2/8/8/8/8/8/8/4KB2", False),
        ("4k3/8/8/8/8/8/4P3/4K3", False),
        ("4k3/8/8/8/8/8/8/4KR2", False),
        ("4k3/8/8/8/8/8/8/4KQ2", False),
    ],
)
def test_insufficient_material(board: str, insufficient: bool) -> None:
    assert rules.insufficient_material(parse_fen(f"{board} w - - 0 1").position) is insufficient
