"""How fast a game's rules run by themselves, compiled and in Python, in turns: by perft or in random games.

Perft plays every line of play up to some length, in batches as the search does; the sequences of the last
length are counted from the legal actions without playing them (bulk counting), as in most published numbers.
In random games every position counted is listed, played to and asked whether the game is over, as in a search.
Each kind of rules does as much in a round as its time allows, since one is a hundred times faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from alphazero.benchmark.statistics import median_estimate, ratio_estimate
from alphazero.games.game import Game, PythonStates, States
from alphazero.games.perft import move_sequence_counts
from alphazero.games.random_play import RandomPlay
from alphazero.seeding import generator

METHODS = ("perft", "random")
ROUNDS = 10
_LONGEST = 12  # moves of perft; more would be counted for hours
_RANDOM_GAMES = 64  # at once

# Works for one round and returns the number of positions.
_Round = Callable[[], int]


@dataclass(frozen=True)
class RulesSpeed:
    """One kind of rules. `rules_positions_per_second` is a median over rounds, with a 95 % interval.

    Attributes:
        native_rules: compiled, or in Python.
        depth: moves of the longest sequences counted; None of random games.
        positions: of one round: sequences of that length, or moves made.
    """

    native_rules: bool
    depth: int | None
    positions: int
    rules_positions_per_second: float
    rules_positions_per_second_low: float
    rules_positions_per_second_high: float


@dataclass(frozen=True)
class RulesComparison:
    """The rules of one game. `native` and `speed_up` (compiled / Python, with a 95 % interval) are None where
    the game has no compiled rules, or where they are not built.
    """

    native: RulesSpeed | None
    python: RulesSpeed
    speed_up: float | None
    speed_up_low: float | None
    speed_up_high: float | None


def measure_rules_speed(
    game: Game, seconds: float, method: str = "perft", clock: Callable[[], float] = time.perf_counter
) -> RulesComparison:
    """Return how fast the rules of `game` work from its start position, in about `seconds` in all.

    method: one of METHODS. clock: seconds, ascending.
    """
    trees = 1 if method == "perft" else _RANDOM_GAMES
    native_states = game.native_states(trees)
    arenas = [PythonStates(game, trees), *([native_states] if native_states is not None else [])]
    budget = seconds / ((ROUNDS + 2) * len(arenas))  # of one round; about two go into finding their sizes
    prepare = _perft_rounds if method == "perft" else _random_rounds
    prepared = [prepare(game, states, budget, clock) for states in arenas]
    rates: list[list[float]] = [[] for _ in arenas]
    positions = [0 for _ in arenas]
    for _ in range(ROUNDS):
        for index, (_, work) in enumerate(prepared):
            positions[index], elapsed = _timed(work, clock)
            rates[index].append(positions[index] / elapsed)
    speeds = []
    for index, (depth, _) in enumerate(prepared):
        rate = median_estimate(rates[index])
        speeds.append(RulesSpeed(index == 1, depth, positions[index], rate.value, rate.low, rate.high))
    if native_states is None:
        return RulesComparison(None, speeds[0], None, None, None)
    speed_up = ratio_estimate(rates[1], rates[0])
    return RulesComparison(speeds[1], speeds[0], speed_up.value, speed_up.low, speed_up.high)


def _perft_rounds(
    game: Game, states: States, budget: float, clock: Callable[[], float]
) -> tuple[int | None, _Round]:
    """Return the largest depth, at least 1, whose count should take at most `budget` seconds; and the count."""

    def count(depth: int) -> int:
        return move_sequence_counts(game, states, depth)[-1]

    depth, (positions, elapsed) = 1, _timed(partial(count, 1), clock)
    while depth < _LONGEST:
        longer, longer_elapsed = _timed(partial(count, depth + 1), clock)
        if longer_elapsed > budget or longer == 0:
            break
        depth, growth = depth + 1, longer / positions
        positions, elapsed = longer, longer_elapsed
        if elapsed * growth > budget:
            break
    return depth, partial(count, depth)


def _random_rounds(
    game: Game, states: States, budget: float, clock: Callable[[], float]
) -> tuple[int | None, _Round]:
    """Return as many random moves as should take `budget` seconds at most, at least one a game."""
    play = RandomPlay(game, states, _RANDOM_GAMES, generator(0, "random rules", game.name))
    moves, elapsed = 1, _timed(partial(play.play, 1), clock)[1]
    while 2 * elapsed <= budget:
        moves *= 2
        elapsed = _timed(partial(play.play, moves), clock)[1]
    return None, partial(play.play, moves)


def _timed(work: _Round, clock: Callable[[], float]) -> tuple[int, float]:
    """Return the positions of one round, and the seconds that it took."""
    start = clock()
    positions = work()
    return positions, clock() - start
