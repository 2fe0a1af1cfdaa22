"""Chess: `rules` of one position, `notation` (FEN, SAN, UCI), `encoding` (actions, planes), `game`."""

from alphazero.games.chess.game import Chess, ChessState

__all__ = ["Chess", "ChessState"]
