"""Playing strength from results of games: Elo differences with intervals, and rating lists.

    expected score = 1 / (1 + 10 ** (-difference / 400))

Source of the scale: A. E. Elo, 'The Rating of Chessplayers, Past and Present' (1978). A score is wins plus
half the draws, as a share of the games.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphazero.evaluation.intervals import Z_95, wilson_interval

# A measured variance can be 0 (all games drawn); no game is taken to say more than so many coin tosses.
_MOST_TRIALS_PER_GAME = 2.0


@dataclass(frozen=True)
class EloDifference:
    """How much stronger the first player is, in Elo, with a 95 % interval.

    None stands where the results put no bound: with every game won there is a lower bound, but neither
    an estimate nor an upper bound (and the other way round with every game lost).
    """

    difference: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.difference is not None and self.low is not None and self.high is not None:
            return f"{self.difference:+.0f} ({self.low:+.0f} to {self.high:+.0f})"
        if self.low is not None:
            return f"above {self.low:+.0f} (no point lost)"
        if self.high is not None:
            return f"below {self.high:+.0f} (no point won)"
        return "unknown"


@dataclass(frozen=True)
class PairScore:
    """The first player's points in the games of one opening.

    Attributes:
        points: wins plus half the draws.
        games: 2 when the opening was played with both colours, 1 if one of them was a repetition.
    """

    points: float
    games: int


def elo_from_score(score: float) -> float | None:
    """Return the Elo difference at which `score` (share of the points) is expected; None at 0 and 1."""
    if score <= 0.0 or score >= 1.0:
        return None
    return 400.0 * math.log10(score / (1.0 - score))


def elo_difference(pairs: Sequence[PairScore]) -> EloDifference:
    """Return the Elo difference with its interval from games that come in pairs, one pair an opening.

    The two games of an opening are not independent (it may favour one colour), so the variance is
    taken between pairs, as the pentanomial count of fishtest does; it is turned into the number of
    independent games that would have it, and the Wilson interval of the score at that number gives the
    interval. With all points won or lost the variance says nothing: the number of pairs is used.
    """
    if not pairs:
        return EloDifference(None, None, None)
    points = np.array([pair.points for pair in pairs])
    games = np.array([pair.games for pair in pairs], dtype=np.float64)
    score = float(points.sum() / games.sum())
    low, high = wilson_interval(score, _effective_games(points, games, score))
    return EloDifference(elo_from_score(score), elo_from_score(low), elo_from_score(high))


def pentanomial(pairs: Sequence[PairScore]) -> tuple[int, int, int, int, int]:
    """Return how many openings that were played with both colours gave 0, 0.5, 1, 1.5 and 2 points."""
    counts = [0] * 5
    for pair in pairs:
        if pair.games == 2:
            counts[round(2 * pair.points)] += 1
    return (counts[0], counts[1], counts[2], counts[3], counts[4])


def _effective_games(points: npt.NDArray[np.float64], games: npt.NDArray[np.float64], score: float) -> float:
    """Return how many independent won-or-lost games would show the variance seen between pairs."""
    count = len(points)
    if score <= 0.0 or score >= 1.0 or count < 2:
        return float(count)
    # Variance of a ratio of sums over clusters (Cochran, 'Sampling Techniques', 1977, section 6.3).
    residuals = points - score * games
    variance = count / (count - 1) * float((residuals**2).sum()) / float(games.sum()) ** 2
    most = _MOST_TRIALS_PER_GAME * float(games.sum())
    return most if variance == 0.0 else min(most, score * (1.0 - score) / variance)


@dataclass(frozen=True)
class Pairing:
    """All games between two players; wins, draws and losses are the first player's."""

    first: str
    second: str
    wins: int
    draws: int
    losses: int


@dataclass(frozen=True)
class Rating:
    """A player's rating in Elo with a 95 % interval; an anchor's is given, its interval has no width.

    A bound is None where the games put none: where no chain of points leads from an anchor to the player there is no
    upper one, however much stronger it may be, and no lower one the other way round. The rating is None where there is
    neither. `games` counts the games it rests on.
    """

    player: str
    rating: float | None
    low: float | None
    high: float | None
    games: int


def rating_list(
    pairings: Sequence[Pairing], anchors: Mapping[str, float], virtual_draws: float = 1.0
) -> list[Rating]:
    """Return the most likely ratings of all players given their games, the strongest first.

    The Bradley-Terry model with a draw as half a win and half a loss, solved by Newton's method; intervals
    come from the curvature at the solution. Between any two players that met, `virtual_draws` draws are
    added to their games, so that a player who never lost has a finite rating: it is an estimate with a
    prior, pulled towards its opponents, and how far it can be told from above is left open. Sources: Hunter, 'MM
    algorithms for generalized Bradley-Terry models' (2004), when ratings are finite without the draws: L. R. Ford,
    'Solution of a ranking problem from binary comparisons' (1957); virtual draws as in R. Coulom's Bayeselo.

    Args:
        anchors: ratings of the players whose rating is given, at least one.
    """
    if not anchors:
        raise ValueError("no anchors; ratings are differences, so at least one player's has to be given")
    players = sorted(
        {name for pairing in pairings for name in (pairing.first, pairing.second)} | set(anchors)
    )
    took_points = [
        (taker, giver)
        for pairing in pairings
        for taker, giver, wins in (
            (pairing.first, pairing.second, pairing.wins),
            (pairing.second, pairing.first, pairing.losses),
        )
        if wins + pairing.draws > 0
    ]
    gave_points = [(giver, taker) for taker, giver in took_points]
    below, above = _reached(anchors, took_points), _reached(anchors, gave_points)
    connected = _reached(anchors, took_points + gave_points)
    free = [name for name in players if name in connected and name not in anchors]
    games, points = _game_tables(players, pairings, virtual_draws)
    ratings, deviations = _most_likely(players, free, anchors, games, points)

    result = []
    for index, name in enumerate(players):
        played = sum(p.wins + p.draws + p.losses for p in pairings if name in (p.first, p.second))
        rating, width = float(ratings[index]), Z_95 * float(deviations[index])
        low = rating - width if name in above else None
        high = rating + width if name in below else None
        result.append(Rating(name, rating if name in above | below else None, low, high, played))
    return sorted(result, key=lambda entry: math.inf if entry.rating is None else -entry.rating)


def _reached(start: Iterable[str], steps: Sequence[tuple[str, str]]) -> set[str]:
    """Return `start` and all that steps (from, to) lead to from there."""
    reached = set(start)
    while newly := {end for begin, end in steps if begin in reached} - reached:
        reached |= newly
    return reached


def _game_tables(
    players: Sequence[str], pairings: Sequence[Pairing], virtual_draws: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return games[i, j] between two players and points[i, j] that i took from j, virtual draws included."""
    index = {name: i for i, name in enumerate(players)}
    games = np.zeros((len(players), len(players)))
    points = np.zeros_like(games)
    for pairing in pairings:
        first, second = index[pairing.first], index[pairing.second]
        played = pairing.wins + pairing.draws + pairing.losses
        won = pairing.wins + 0.5 * pairing.draws
        games[first, second] += played
        games[second, first] += played
        points[first, second] += won
        points[second, first] += played - won
    met = games > 0
    return games + virtual_draws * met, points + 0.5 * virtual_draws * met


def _most_likely(
    players: Sequence[str],
    free: Sequence[str],
    anchors: Mapping[str, float],
    games: npt.NDArray[np.float64],
    points: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Maximise the likelihood over the free players; return ratings and standard deviations, in Elo."""
    scale = math.log(10.0) / 400.0  # from Elo to the logistic's natural unit
    strength = np.array([anchors.get(name, 0.0) for name in players]) * scale
    deviations = np.zeros(len(players))
    chosen = np.array([players.index(name) for name in free], dtype=np.intp)
    if len(chosen) == 0:
        return strength / scale, deviations
    strength[chosen] = np.mean(list(anchors.values())) * scale
    information = np.zeros((len(players), len(players)))
    for _ in range(200):
        expected = 1.0 / (1.0 + np.exp(strength[None, :] - strength[:, None]))
        weight = games * expected * (1.0 - expected)
        information = np.diag(weight.sum(axis=1)) - weight
        gradient = (points - games * expected).sum(axis=1)
        step = np.linalg.solve(information[np.ix_(chosen, chosen)], gradient[chosen])
        step = np.clip(step, -1.0, 1.0)  # far from the solution a full Newton step overshoots
        strength[chosen] += step
        if float(np.abs(step).max()) < 1e-10:
            break
    covariance = np.linalg.inv(information[np.ix_(chosen, chosen)])
    deviations[chosen] = np.sqrt(np.diag(covariance)) / scale
    return strength / scale, deviations
