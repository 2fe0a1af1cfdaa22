"""Actions and observation planes against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from alphazero.games.chess import Chess
from alphazero.games.chess.encoding import NUM_ACTIONS, action_to_move, move_to_action
from alphazero.games.chess.rules import legal_moves
from alphazero.games.game import ByteArray


def planes_after(game: Chess, *moves: str) -> ByteArray:
    state = game.initial_state()
    for text in moves:
        state = game.step(state, game.text_to_action(state, text))
    out = np.full(game.observation_shape, 77, np.uint8)
    game.encode(state, out)
    return out


def rows(plane: ByteArray) -> list[str]:
    """Return a plane as it is printed here: the far side of the board first."""
    return ["".join(".x"[cell] for cell in row) for row in plane[::-1]]


def test_shape_is_the_papers() -> None:
    game = Chess()
    assert game.observation_shape == (119, 8, 8)
    assert game.num_actions == NUM_ACTIONS == 4672
    assert len(game.plane_scale) == 119


@pytest.mark.parametrize(
    ("fen", "move", "action"),
    [
        # 64 * plane + cell; plane = 7 * direction + distance - 1; e2 is cell 12.
        (None, "e2e4", 64 * 1 + 12),
        ("rnbqkbnr/pppppppp/8/8/4P3/8/PPPP1PPP/RNBQKBNR b KQkq - 0 1", "e7e5", 64 * 1 + 12),
        # one left, two up: the last of the eight jumps, plane 63; g1 is cell 6.
        (None, "g1f3", 64 * 63 + 6),
        # castling: east (direction 2) by 2: plane 15; west (6) by 2: plane 43; e1 is cell 4.
        ("r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1", "e1g1", 64 * 15 + 4),
        ("r3k2r/8/8/8/8/8/8/R3K2R b KQkq - 0 1", "e8c8", 64 * 43 + 4),
        # a1-h8: north-east (1) by 7: plane 13.
        ("7r/k7/8/8/8/8/8/B3K3 w - - 0 1", "a1h8", 64 * 13 + 0),
        # promotion to a queen is a queen's move ahead; a7 is cell 48, for Black a2.
        ("8/P6k/8/8/8/8/8/4K3 w - - 0 1", "a7a8q", 64 * 0 + 48),
        ("4k3/8/8/8/8/8/p6K/8 b - - 0 1", "a2a1q", 64 * 0 + 48),
        # underpromotion: 64 + 3 * (knight 0, bishop 1, rook 2) + (left 0, ahead 1, right 2).
        ("1n6/P6k/8/8/8/8/8/4K3 w - - 0 1", "a7a8n", 64 * 65 + 48),
        ("1n6/P6k/8/8/8/8/8/4K3 w - - 0 1", "a7b8r", 64 * 72 + 48),
        ("4k3/8/8/8/8/8/1p5K/N7 b - - 0 1", "b2a1b", 64 * 67 + 49),
    ],
)
def test_action_numbers(fen: str | None, move: str, action: int) -> None:
    game = Chess() if fen is None else Chess(fen)
    state = game.initial_state()
    assert game.text_to_action(state, move) == action
    assert game.action_to_uci(state, action) == move


@pytest.mark.parametrize("turn", ["w", "b"])
def test_actions_and_moves_are_inverse(turn: str) -> None:
    position = Chess(f"1r1bk2r/P1P5/8/3Qq3/3Nn3/8/p1p5/1R1BK2R {turn} Kk - 0 1").initial_state().position
    moves = legal_moves(position)
    actions = [move_to_action(position.turn, move) for move in moves]
    assert len(set(actions)) == len(moves)
    assert [action_to_move(position, action) for action in actions] == moves


def test_planes_of_the_start_position() -> None:
    planes = planes_after(Chess())
    empty = ["........"]
    assert rows(planes[0]) == empty * 6 + ["xxxxxxxx"] + empty  # own pawns
    assert rows(planes[3]) == empty * 7 + ["x......x"]  # own rooks
    assert rows(planes[4]) == empty * 7 + ["...x...."]  # own queen
    assert rows(planes[5]) == empty * 7 + ["....x..."]  # own king
    assert rows(planes[6]) == empty + ["xxxxxxxx"] + empty * 6  # the opponent's pawns
    assert rows(planes[7]) == [".x....x."] + empty * 7  # the opponent's knights
    assert not planes[12:112].any()  # no repetition, no past
    assert [int(plane[0, 0]) for plane in planes[112:]] == [0, 0, 1, 1, 1, 1, 0]
    assert planes[:12].sum() == 32


def test_planes_are_seen_from_black_after_one_move() -> None:
    planes = planes_after(Chess(), "e4")
    empty = ["........"]
    # Black's own pawns are near; White's e-pawn has come two rows towards them; files stay as they are.
    assert rows(planes[0]) == empty * 6 + ["xxxxxxxx"] + empty
    assert rows(planes[6]) == empty + ["xxxx.xxx"] + empty + ["....x..."] + empty * 4
    assert rows(planes[4]) == empty * 7 + ["...x...."]
    # One step back is the start position, seen by the same player.
    assert rows(planes[14 + 6]) == empty + ["xxxxxxxx"] + empty * 6
    assert not planes[28:112].any()
    assert [int(plane[0, 0]) for plane in planes[112:]] == [1, 0, 1, 1, 1, 1, 0]


def test_counters_and_castling_rights_of_the_player_to_move_come_first() -> None:
    game = Chess("r3k2r/8/8/8/8/8/8/R3K2R b Kq - 17 31")
    planes = planes_after(game)
    # Black to move, 30 full moves done, Black has queenside only, White kingside only, clock 17.
    assert [int(plane[0, 0]) for plane in planes[112:]] == [1, 30, 0, 1, 1, 0, 17]
    assert all(plane.min() == plane.max() for plane in planes[112:])


def test_history_holds_eight_positions_and_their_repetitions() -> None:
    planes = planes_after(Chess(), *["Nf3", "Nf6", "Ng1", "Ng8"])
    repeated = [int(planes[14 * step + 12].max()) for step in range(8)]
    assert repeated == [1, 0, 0, 0, 0, 0, 0, 0]  # the start position has come back
    assert [int(planes[14 * step + 5].sum()) for step in range(8)] == [1, 1, 1, 1, 1, 0, 0, 0]
    # Own knights (plane 1) at the five positions known, the latest first.
    assert rows(planes[1])[7] == ".x....x."
    assert rows(planes[14 * 1 + 1])[7] == ".x....x."
    assert rows(planes[14 * 2 + 1])[7] == ".x......"
    assert rows(planes[14 * 4 + 1])[7] == ".x....x."


def test_third_occurrence_sets_both_repetition_planes() -> None:
    planes = planes_after(Chess(), *["Nf3", "Nf6", "Ng1", "Ng8"] * 2)
    assert planes[12].all() and planes[13].all()
    assert planes[14 * 4 + 12].all() and not planes[14 * 4 + 13].any()
    # Eight positions back in all: the first position of the game has just left the window.
    assert planes[14 * 7 + 5].any()


def test_counters_stay_within_a_byte() -> None:
    planes = planes_after(Chess("4k3/8/8/8/8/8/8/4K2R w - - 400 900"))
    assert planes[113].max() == 255 and planes[118].max() == 255
