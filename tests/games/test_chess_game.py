"""How games end, and what of the past a state carries."""

from __future__ import annotations

import pickle

import pytest

from alphazero.games.chess import Chess, ChessState
from alphazero.games.chess.notation import NotationError
from alphazero.games.contract import check_game
from alphazero.games.game import IllegalMoveError
from alphazero.games.registry import get_game

KNIGHTS_OUT_AND_BACK = ["Nf3", "Nf6", "Ng1", "Ng8"]


def play(game: Chess, *moves: str) -> ChessState:
    state = game.initial_state()
    for text in moves:
        state = game.step(state, game.text_to_action(state, text))
    return state


def test_chess_keeps_the_contract() -> None:
    check_game(get_game("chess"), games=2, seed=1)


def test_checkmate_loses_for_the_player_to_move() -> None:
    state = play(Chess(), "f3", "e5", "g4", "Qh4#")
    assert Chess().terminal_value(state) == -1.0
    assert Chess().legal_actions(state) == []


@pytest.mark.parametrize(
    "fen",
    [
        "7k/5Q2/6K1/8/8/8/8/8 b - - 0 1",  # stalemate
        "7k/8/6K1/8/8/8/8/5N2 b - - 0 1",  # insufficient material
        "7k/8/6K1/8/8/8/8/5R2 b - - 100 80",  # fifty moves
    ],
)
def test_draws(fen: str) -> None:
    game = Chess(fen)
    assert game.terminal_value(game.initial_state()) == 0.0
    assert game.legal_actions(game.initial_state()) == []


def test_third_occurrence_of_a_position_is_a_draw() -> None:
    game = Chess()
    twice = play(game, *KNIGHTS_OUT_AND_BACK)
    assert (twice.repetitions, game.terminal_value(twice)) == (1, None)
    thrice = play(game, *KNIGHTS_OUT_AND_BACK * 2)
    assert (thrice.repetitions, game.terminal_value(thrice)) == (2, 0.0)


def test_other_castling_rights_make_another_position() -> None:
    game = Chess("r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1")
    rooks_out_and_back = ["Rb1", "Rb8", "Ra1", "Ra8"]
    assert play(game, *rooks_out_and_back).repetitions == 0
    assert play(game, *rooks_out_and_back * 2).repetitions == 1


def test_a_possible_en_passant_capture_makes_another_position() -> None:
    kings_there_and_back = ["Kd8", "Kd1", "Ke8", "Ke1"]
    with_capture = Chess("4k3/8/8/8/4p3/8/3P4/4K3 w - - 0 1")
    assert play(with_capture, "d4", *kings_there_and_back).repetitions == 0
    assert play(with_capture, "d4", *kings_there_and_back * 2).repetitions == 1
    without = Chess("4k3/8/8/8/7p/8/3P4/4K3 w - - 0 1")
    assert play(without, "d4", *kings_there_and_back).repetitions == 1


def test_fifty_moves_draw_unless_the_last_one_mates() -> None:
    game = Chess("7k/8/6K1/8/8/8/8/R7 w - - 99 80")
    assert game.terminal_value(play(game, "Ra7")) == 0.0
    assert game.terminal_value(play(game, "Ra8#")) == -1.0


def test_captures_and_pawn_moves_restart_the_clock() -> None:
    game = Chess("4k3/8/8/8/8/7p/6P1/4K2R w K - 30 20")
    assert play(game, "g3").halfmove_clock == 0
    assert play(game, "Rxh3").halfmove_clock == 0
    assert play(game, "O-O").halfmove_clock == 31


def test_game_is_drawn_after_its_longest_length() -> None:
    game = Chess()
    state = game.initial_state()._replace(ply=game.max_game_length - 1)
    assert game.terminal_value(state) is None
    after = game.step(state, game.text_to_action(state, "e4"))
    assert game.terminal_value(after) == 0.0


def test_length_is_counted_from_the_start_fen() -> None:
    game = Chess("4k3/8/8/8/8/8/8/4K2R w K - 0 400")
    assert game.terminal_value(game.initial_state()) is None


def test_state_keeps_no_more_of_the_past_than_is_looked_at() -> None:
    state = play(Chess(), "Nf3", "Nf6", "Ng1", "Ng8", "Nf3", "Nf6", "e4", "e5", "d4")
    assert len(state.past) == 7  # the last move restarted the clock
    quiet = play(Chess(), "e4", "e5", *["Nf3", "Nf6", "Nc3", "Nc6", "Be2", "Be7", "O-O", "O-O", "Re1"])
    assert (quiet.halfmove_clock, len(quiet.past)) == (9, 9)


def test_states_are_hashable_and_survive_pickling() -> None:
    state = play(Chess(), *KNIGHTS_OUT_AND_BACK)
    assert pickle.loads(pickle.dumps(state)) == state
    assert hash(state) == hash(play(Chess(), *KNIGHTS_OUT_AND_BACK))


def test_no_move_can_be_named_once_the_game_is_over() -> None:
    game = Chess("7k/8/6K1/8/8/8/8/5N2 b - - 0 1")
    with pytest.raises(IllegalMoveError, match="over"):
        game.text_to_action(game.initial_state(), "Kg8")


def test_a_start_position_that_cannot_be_is_refused() -> None:
    with pytest.raises(NotationError, match="kings"):
        Chess("8/8/8/8/8/8/8/8 w - - 0 1")


def test_rendering_shows_board_player_and_fen() -> None:
    game = Chess()
    assert game.render(game.initial_state()).splitlines() == [
        "8 r n b q k b n r",
        "7 p p p p p p p p",
        "6 . . . . . . . .",
        "5 . . . . . . . .",
        "4 . . . . . . . .",
        "3 . . . . . . . .",
        "2 P P P P P P P P",
        "1 R N B Q K B N R",
        "  a b c d e f g h",
        "White to move, rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1",
    ]
