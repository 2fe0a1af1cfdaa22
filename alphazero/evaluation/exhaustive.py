"""Perfect play by looking at every position: ground truth for games small enough, such as tic-tac-toe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alphazero.evaluation.solved_positions import SolvedPosition
from alphazero.games.game import Game


def solve_game(game: Game, most_positions: int = 20_000) -> list[SolvedPosition] | None:
    """Return every position of `game` that is not terminal, solved; None if there are too many.

    One entry a position, not a path: the moves are the first found that lead there. Scores are +1, 0, -1
    for the player to move, by negamax. States have to be hashable. The one set is called "all".
    """
    moves_to = _reachable(game, most_positions)
    if moves_to is None:
        return None
    scores = _scores(game, moves_to)
    return [
        SolvedPosition(
            "all",
            moves,
            tuple(scores[state].items()),
            game.num_actions,
        )
        for state, moves in moves_to.items()
        if state in scores
    ]


def perfect_moves(game: Game, most_positions: int = 20_000) -> dict[Any, tuple[int, ...]] | None:
    """Return by state every move that keeps the best result; None if the game has too many positions."""
    moves_to = _reachable(game, most_positions)
    if moves_to is None:
        return None
    return {
        state: tuple(action for action, score in of_moves.items() if score == max(of_moves.values()))
        for state, of_moves in _scores(game, moves_to).items()
    }


def _scores(game: Game, states: Iterable[Any]) -> dict[Any, dict[int, int]]:
    """Return for each state that is not terminal the score of each legal action, by negamax."""
    values: dict[Any, int] = {}

    def solve(state: Any) -> int:
        if state not in values:
            terminal_value = game.terminal_value(state)
            values[state] = (
                max(-solve(game.step(state, action)) for action in game.legal_actions(state))
                if terminal_value is None
                else int(terminal_value)
            )
        return values[state]

    return {
        state: {action: -solve(game.step(state, action)) for action in game.legal_actions(state)}
        for state in states
        if game.terminal_value(state) is None
    }


def _reachable(game: Game, most_positions: int) -> dict[Any, tuple[int, ...]] | None:
    """Return all positions, each with the moves to it; breadth first, given up above `most_positions`."""
    start = game.initial_state()
    try:
        hash(start)
    except TypeError:
        return None  # positions that cannot be told apart cannot be counted
    moves_to: dict[Any, tuple[int, ...]] = {start: ()}
    newest = [start]
    while newest:
        following = []
        for state in newest:
            for action in game.legal_actions(state):
                child = game.step(state, action)
                if child not in moves_to:
                    moves_to[child] = (*moves_to[state], action)
                    following.append(child)
            if len(moves_to) > most_positions:
                return None
        newest = following
    return moves_to
