"""Native rules == Python rules == python-chess, move by move over whole games.

python-chess is a dependency of the tests only.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import chess as python_chess
import numpy as np
import pytest

from alphazero.games.chess import Chess, ChessState
from alphazero.games.chess.encoding import move_to_action
from alphazero.games.chess.notation import START_FEN
from alphazero.games.chess.rules import Move

START_FENS = [
    START_FEN,
    "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1",
    "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1",  # pins and en passant along a rank
    "r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1",
    "n1n5/PPPk4/8/8/8/8/4Kppp/5N1N b - - 0 1",  # promotions
    "r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 90 60",  # castling rights, fifty moves
    "4k3/pppppppp/8/8/8/8/PPPPPPPP/4K3 w - - 0 1",  # en passant
    "8/8/4k3/8/2nb4/8/3BK3/8 w - - 60 90",  # little material
]
# Public games, to the end.
REAL_GAMES = {
    "Anderssen - Kieseritzky, London 1851": (
        "e4 e5 f4 exf4 Bc4 Qh4+ Kf1 b5 Bxb5 Nf6 Nf3 Qh6 d3 Nh5 Nh4 Qg5 Nf5 c6 g4 Nf6 Rg1 cxb5 h4 Qg6 h5 Qg5 "
        "Qf3 Ng8 Bxf4 Qf6 Nc3 Bc5 Nd5 Qxb2 Bd6 Bxg1 e5 Qxa1+ Ke2 Na6 Nxg7+ Kd8 Qf6+ Nxf6 Be7#"
    ),
    "Morphy - Duke of Brunswick and Count Isouard, Paris 1858": (
        "e4 e5 Nf3 d6 d4 Bg4 dxe5 Bxf3 Qxf3 dxe5 Bc4 Nf6 Qb3 Qe7 Nc3 c6 Bg5 b5 Nxb5 cxb5 Bxb5+ Nbd7 O-O-O "
        "Rd8 Rxd7 Rxd7 Rd1 Qe6 Bxd7+ Nxd7 Qb8+ Nxb8 Rd8#"
    ),
    "Byrne - Fischer, New York 1956": (
        "Nf3 Nf6 c4 g6 Nc3 Bg7 d4 O-O Bf4 d5 Qb3 dxc4 Qxc4 c6 e4 Nbd7 Rd1 Nb6 Qc5 Bg4 Bg5 Na4 Qa3 Nxc3 bxc3 "
        "Nxe4 Bxe7 Qb6 Bc4 Nxc3 Bc5 Rfe8+ Kf1 Be6 Bxb6 Bxc4+ Kg1 Ne2+ Kf1 Nxd4+ Kg1 Ne2+ Kf1 Nc3+ Kg1 axb6 "
        "Qb4 Ra4 Qxb6 Nxd1 h3 Rxa2 Kh2 Nxf2 Re1 Rxe1 Qd8+ Bf8 Nxe1 Bd5 Nf3 Ne4 Qb8 b5 h4 h5 Ne5 Kg7 Kg1 "
        "Bc5+ Kf1 Ng3+ Ke1 Bb4+ Kd1 Bb3+ Kc1 Ne2+ Kb1 Nc3+ Kc1 Rc2#"
    ),
}


class Comparison:
    """One game in three implementations at once, the native one in two trees.

    Tree 0 grows a path below its root; tree 1 moves its root at every move, so that all of its past lies
    before the root.
    """

    def __init__(self, start_fen: str) -> None:
        self.game = Chess(start_fen)
        self.state: ChessState = self.game.initial_state()
        self.board = python_chess.Board(start_fen)
        self.occurrences: Counter[tuple[str, ...]] = Counter()
        self.native: Any = self.game.native_states(2)
        if self.native is None:
            pytest.skip("native rules are not built")

    def play(self, action: int, move: python_chess.Move) -> None:
        assert self.game.action_to_text(self.state, action) == self.board.san(move)
        assert self.game.text_to_action(self.state, self.board.san(move)) == action
        ply = self.state.ply
        first, node = np.array([0], np.int32), np.array([ply + 1], np.int32)
        self.native.step(first, np.array([ply], np.int32), np.array([action], np.int32), node)
        self.native.advance(1, action, np.empty(0, np.int32))
        self.state = self.game.step(self.state, action)
        self.board.push(move)

    def compare(self) -> dict[int, python_chess.Move]:
        """Compare everything in the present position; return the moves by action, none at the end."""
        fen = self.board.fen()
        assert self.game.format_fen(self.state) == fen
        self.occurrences[tuple(fen.split()[:4])] += 1
        occurrences = self.occurrences[tuple(fen.split()[:4])]
        assert self.state.repetitions == occurrences - 1
        if occurrences == 3:
            assert self.board.is_repetition(3)
        moves = {python_chess_action(self.board, move): move for move in self.board.legal_moves}
        value = self.python_chess_value(bool(moves), occurrences)
        assert self.game.terminal_value(self.state) == value
        if value is not None:
            moves = {}
        assert self.game.legal_actions(self.state) == sorted(moves)
        self.compare_native(sorted(moves), value)
        return moves

    def python_chess_value(self, can_move: bool, occurrences: int) -> float | None:
        if not can_move:
            return -1.0 if self.board.is_check() else 0.0
        drawn = (
            occurrences >= 3
            or self.board.halfmove_clock >= 100
            or self.board.is_insufficient_material()
            or len(self.board.move_stack) >= self.game.max_game_length
        )
        return 0.0 if drawn else None

    def compare_native(self, legal: list[int], value: float | None) -> None:
        trees, nodes = np.array([0, 1], np.int32), np.array([self.state.ply, 0], np.int32)
        for tree, node in zip(trees.tolist(), nodes.tolist(), strict=True):
            assert self.native.state(tree, node) == self.state[:5]
            assert self.native.key_is_current(tree, node)
        offsets, actions = np.empty(3, np.int32), np.empty(2 * 218, np.int32)
        total = self.native.legal_actions(trees, nodes, offsets, actions)
        assert offsets.tolist() == [0, len(legal), 2 * len(legal)]
        assert actions[:total].tolist() == legal * 2
        terminal, values = np.empty(2, np.uint8), np.empty(2)
        self.native.terminal_values(trees, nodes, terminal, values)
        assert terminal.tolist() == [value is not None] * 2
        assert values.tolist() == [value or 0.0] * 2
        expected = np.full((119, 8, 8), 99, np.uint8)
        self.game.encode(self.state, expected)
        planes = np.full((2, 119, 8, 8), 66, np.uint8)
        self.native.encode(trees, nodes, planes)
        assert np.array_equal(planes[0], expected)
        assert np.array_equal(planes[1], expected)


def python_chess_action(board: python_chess.Board, move: python_chess.Move) -> int:
    turn = 0 if board.turn == python_chess.WHITE else 1
    promotion = 0 if move.promotion is None else move.promotion - 1  # python-chess: PAWN is 1
    return move_to_action(turn, Move(move.from_square, move.to_square, promotion))


def compare_random_game(generator: random.Random, start_fen: str, length: int) -> str:
    """Play at most `length` random moves, comparing after each; return how the game ended.

    Half of the games like to take moves back, since random play hardly ever repeats a position.
    """
    comparison = Comparison(start_fen)
    shuffling = generator.random() < 0.5
    for _ in range(length):
        moves = comparison.compare()
        if not moves:
            break
        action = generator.choice(sorted(moves))
        if shuffling and len(comparison.board.move_stack) > 1 and generator.random() < 0.5:
            last = comparison.board.move_stack[-2]
            back = python_chess.Move(last.to_square, last.from_square)
            if back in moves.values():
                action = python_chess_action(comparison.board, back)
        comparison.play(action, moves[action])
    return ending(comparison)


def ending(comparison: Comparison) -> str:
    board, state = comparison.board, comparison.state
    if board.is_checkmate():
        return "checkmate"
    if board.is_stalemate():
        return "stalemate"
    if board.is_insufficient_material():
        return "insufficient material"
    if state.repetitions == 2:
        return "repetition"
    if state.halfmove_clock >= 100:
        return "fifty moves"
    return "512 moves" if state.ply >= 512 else "unfinished"


def compare_random_games(games: int, seed: int) -> Counter[str]:
    generator = random.Random(seed)
    endings: Counter[str] = Counter()
    for game in range(games):
        length = 513 if game % 16 == 0 else 60
        endings[compare_random_game(generator, START_FENS[game % len(START_FENS)], length)] += 1
    return endings


def test_random_games_agree_move_by_move() -> None:
    endings = compare_random_games(games=200, seed=0)
    assert endings.keys() >= {"checkmate", "insufficient material", "repetition", "fifty moves"}


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(1, 11))
def test_ten_thousand_random_games_agree_move_by_move(seed: int) -> None:
    endings = compare_random_games(games=1000, seed=seed)
    assert endings.keys() >= {"checkmate", "stalemate", "insufficient material", "repetition", "fifty moves"}


@pytest.mark.parametrize("name", REAL_GAMES)
def test_real_games_agree_move_by_move(name: str) -> None:
    comparison = Comparison(START_FEN)
    for text in REAL_GAMES[name].split():
        moves = comparison.compare()
        action = comparison.game.text_to_action(comparison.state, text)
        comparison.play(action, moves[action])
    assert comparison.compare() == {}
    assert ending(comparison) == "checkmate"
