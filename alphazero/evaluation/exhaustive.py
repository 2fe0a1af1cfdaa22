"""Perfect play by looking at every position: ground truth for games small enough, such as tic-tac-toe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alphazero.evaluation.solved_positions import SolvedPosition
from alphazero.games.game import Game, GameContractError

MOST_POSITIONS = 20_000  # of a game that is small enough


def solve_game(game: Game, most_positions: int = MOST_POSITIONS) -> list[SolvedPosition] | None:
    """Return every position of `game` that is not terminal, solved; None if there are too many.

    One entry a position, not a path: the moves are the first found that lead there. Scores are +1, 0, -1
    for the player to move, by negamax. States have to be hashable, and equal if they are reached twice: without
    that it is None, too. The one set is called "all".
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


def perfect_moves(game: Game, most_positions: int = MOST_POSITIONS) -> dict[Any, tuple[int, ...]] | None:
    """Return by state every move that keeps the best result; None if the game has too many positions."""
    moves_to = _reachable(game, most_positions)
    if moves_to is None:
        return None
    return {
        state: tuple(action for action, score in of_moves.items() if score == max(of_moves.values()))
        for state, of_moves in _scores(game, moves_to).items()
    }


def _scores(game: Game, states: Iterable[Any]) -> dict[Any, dict[int, int]]:
    """Return for each state that is not terminal the score of each legal action, by negamax.

    states: all that can be reached, the start first.
    """
    values: dict[Any, int] = {}
    children: dict[Any, dict[int, Any]] = {}
    for state in states:
        terminal_value = game.terminal_value(state)
        if terminal_value is None:
            children[state] = {action: game.step(state, action) for action in game.legal_actions(state)}
        else:
            values[state] = int(terminal_value)
    # A game from the start, each position waiting for the next one's value. (It may be longer than Python's stack.)
    path = list(children)[:1]
    while path:
        following = children[path[-1]].values()
        unsolved = [child for child in following if child not in values][:1]
        if not unsolved:
            values[path.pop()] = max(-values[child] for child in following)
        elif len(path) == len(children):
            raise GameContractError(
                f"game {game.name!r} comes back to a position it had, and so need not end"
            )
        else:
            path += unsolved
    return {
        state: {action: -values[child] for action, child in by_action.items()}
        for state, by_action in children.items()
    }


def _reachable(game: Game, most_positions: int) -> dict[Any, tuple[int, ...]] | None:
    """Return all positions, each with the moves to it, breadth first; None if they are more or cannot be counted."""
    start = game.initial_state()
    if not _are_known_again(game, start):
        return None
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


def _are_known_again(game: Game, start: Any) -> bool:
    """Return whether a position that is reached a second time is found in a dictionary that has the first."""
    try:
        known = {start, game.initial_state()}
        for action in game.legal_actions(start)[:1]:
            known |= {game.step(start, action) for _ in range(2)}
        return len(known) <= 2  # the start and one child
    except TypeError:  # not hashable
        return False
