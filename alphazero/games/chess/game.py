"""The `Game` protocol for chess: what depends on the past is added to the rules of one position.

A game ends by checkmate (the player to move has lost) or is drawn by stalemate, insufficient material, the
third occurrence of a position, 100 moves of both sides without capture or pawn move (unless the last one
mates), or after `max_game_length` moves. As in AlphaZero, the draws that a player would have to claim
(threefold repetition, fifty moves) come by themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from alphazero.games.chess import encoding, notation, rules
from alphazero.games.chess.attacks import BLACK, PAWN, WHITE
from alphazero.games.chess.rules import Position
from alphazero.games.game import ByteArray, IllegalMoveError, States, Symmetry
from alphazero.games.native import compiled_class

MAX_GAME_LENGTH = 512  # moves of either side, then a draw (AlphaZero's training games: 512)
FIFTY_MOVES = 100  # halfmove clock at which the game is drawn


class ChessState(NamedTuple):
    """A position with the part of its past that the rules and the planes look back at.

    Attributes:
        position: the present position.
        halfmove_clock: moves of either side since the last capture or pawn move.
        fullmove_number: as in a FEN: 1 at the start, one more after each move of Black.
        ply: moves of either side since the start of the game.
        repetitions: how often the present position had occurred before.
        past: (position, repetitions) of earlier positions, the latest last: those since the last capture
            or pawn move, and at least 7 where there were as many.
    """

    position: Position
    halfmove_clock: int
    fullmove_number: int
    ply: int
    repetitions: int
    past: tuple[tuple[Position, int], ...]


class Chess:
    """Chess with AlphaZero's 119 planes and 4,672 actions; see `encoding` for their layout.

    `start_fen` is the position games start from; its counters are kept, its past is unknown. Raises
    `notation.NotationError` (a ValueError) if it is no position to play from.
    """

    name = "chess"
    num_actions = encoding.NUM_ACTIONS
    max_legal_actions = 218  # the known maximum: R6R/3Q4/1Q4Q1/4Q3/2Q4Q/Q4Q2/pp1Q4/kBNN1KB1 w
    max_game_length = MAX_GAME_LENGTH
    observation_shape = (encoding.NUM_PLANES, 8, 8)
    plane_scale = encoding.PLANE_SCALE
    root_noise_alpha = 0.3  # the paper's
    temperature_moves = 30

    def __init__(self, start_fen: str = notation.START_FEN) -> None:
        self._start = self.parse_fen(start_fen)

    def initial_state(self) -> ChessState:
        return self._start

    def legal_actions(self, state: ChessState) -> list[int]:
        if self.terminal_value(state) is not None:
            return []
        turn = state.position.turn
        return sorted(encoding.move_to_action(turn, move) for move in rules.legal_moves(state.position))

    def step(self, state: ChessState, action: int) -> ChessState:
        position = state.position
        move = encoding.action_to_move(position, action)
        after = rules.after_move(position, move)
        enemy = position.colors[1 - position.turn]
        irreversible = (enemy >> move.target | position.pieces[PAWN] >> move.origin) & 1
        halfmove_clock = 0 if irreversible else state.halfmove_clock + 1
        past = (*state.past, (position, state.repetitions))
        return ChessState(
            position=after,
            halfmove_clock=halfmove_clock,
            fullmove_number=state.fullmove_number + (position.turn == BLACK),
            ply=state.ply + 1,
            repetitions=_count_repetitions(after, halfmove_clock, past),
            past=past[-max(halfmove_clock, encoding.HISTORY_STEPS - 1) :],
        )

    def terminal_value(self, state: ChessState) -> float | None:
        position = state.position
        if not rules.has_legal_move(position):
            return -1.0 if rules.in_check(position) else 0.0
        drawn = (
            state.repetitions >= 2
            or state.halfmove_clock >= FIFTY_MOVES
            or state.ply >= MAX_GAME_LENGTH
            or rules.insufficient_material(position)
        )
        return 0.0 if drawn else None

    def encode(self, state: ChessState, out: ByteArray) -> None:
        latest = state.past[: -encoding.HISTORY_STEPS : -1]  # 7 at most, the latest first
        steps = ((state.position, state.repetitions), *latest)
        encoding.encode_planes(steps, state.halfmove_clock, state.fullmove_number, out)

    def symmetries(self) -> tuple[Symmetry, ...]:
        # Castling and the pawns' direction leave only the identity (as in AlphaZero).
        cells = np.arange(64, dtype=np.int32)
        return (Symmetry("identity", cells, np.arange(self.num_actions, dtype=np.int32)),)

    def action_to_text(self, state: ChessState, action: int) -> str:
        """Return `action` in standard algebraic notation, such as "Nf3"."""
        return notation.format_san(state.position, encoding.action_to_move(state.position, action))

    def text_to_action(self, state: ChessState, text: str) -> int:
        """Return the legal action that `text` names in UCI ("g1f3") or SAN ("Nf3")."""
        if self.terminal_value(state) is not None:
            raise IllegalMoveError(f"{text[:40]!r} is not a legal move here: the game is over")
        return encoding.move_to_action(state.position.turn, notation.parse_move(state.position, text))

    def action_to_uci(self, state: ChessState, action: int) -> str:
        """Return `action` as the UCI protocol has it, such as "g1f3"."""
        return notation.format_uci(encoding.action_to_move(state.position, action))

    def parse_fen(self, fen: str) -> ChessState:
        """Return the state of a FEN, as the first of its game: ply 0, no past."""
        position, halfmove_clock, fullmove_number = notation.parse_fen(fen)
        return ChessState(position, halfmove_clock, fullmove_number, 0, 0, ())

    def format_fen(self, state: ChessState) -> str:
        """Return the FEN of a state."""
        return notation.format_fen(state.position, state.halfmove_clock, state.fullmove_number)

    def render(self, state: ChessState) -> str:
        rows = []
        for rank in range(7, -1, -1):
            letters = (notation.piece_letter(state.position, rank * 8 + file) for file in range(8))
            rows.append(f"{rank + 1} {' '.join(letters)}")
        turn = "White" if state.position.turn == WHITE else "Black"
        return "\n".join([*rows, "  a b c d e f g h", f"{turn} to move, {self.format_fen(state)}"])

    def native_states(self, num_trees: int) -> States | None:
        states_class = compiled_class("_chess", "ChessStates")
        states: States | None = None if states_class is None else states_class(num_trees, self._start)
        return states


def _count_repetitions(
    position: Position, halfmove_clock: int, past: tuple[tuple[Position, int], ...]
) -> int:
    """Return how often `position` occurs in `past`. The latest occurrence has counted those before it.

    Only positions since the last capture or pawn move can recur, and only with the same player to move.
    """
    reversible = past[-halfmove_clock:] if halfmove_clock else ()
    for earlier, repetitions in reversed(reversible):
        if earlier == position:
            return repetitions + 1
    return 0
