"""Compares configurations with the reference from what their agents answered and how they played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alphazero.quality.statistics import (
    Estimate,
    FloatArray,
    difference_of_means,
    elo_of_score,
    score_of_matches,
)
from alphazero.quality.verdict import ELO, ELO_EQUAL_TIME, Judgement, overall

MEAN = "mean"


@dataclass(frozen=True)
class SetDifference:
    """Errors on one set of positions, or the mean over the sets: means over the runs, and their difference."""

    metric: str
    set: str
    candidate: float
    reference: float
    difference: Estimate


@dataclass(frozen=True)
class Comparison:
    """A configuration against the reference.

    Attributes:
        judgements: one a metric; its verdict is `verdict`.
        sets: the position metrics set by set, last the mean.
        games: played against the reference's final agents (equal_time_games: at equal time).
    """

    judgements: tuple[Judgement, ...]
    sets: tuple[SetDifference, ...]
    games: int
    equal_time_games: int

    @property
    def verdict(self) -> str:
        return overall(self.judgements)


def compare(
    candidate: Sequence[Mapping[str, FloatArray]],
    reference: Sequence[Mapping[str, FloatArray]],
    sets: Sequence[str],
    margins: Mapping[str, float],
    points: FloatArray | None = None,
    games: int = 0,
    equal_time_points: FloatArray | None = None,
    equal_time_games: int = 0,
) -> Comparison:
    """Return how the candidate's runs compare with the reference's.

    Args:
        candidate, reference: for each run, by metric, float64 [P].
        sets: the set of each position.
        points: [R, R'], share of points of each run of the candidate against each of the reference, out of
            `games` games in all; None: they did not play. `equal_time_points` likewise at equal time.
    """
    differences: list[SetDifference] = []
    judgements: list[Judgement] = []
    for metric in candidate[0]:
        over, under = (np.array([run[metric] for run in runs]) for runs in (candidate, reference))
        for name in dict.fromkeys(sets):
            members = np.flatnonzero(np.asarray(sets) == name)
            differences.append(
                _set_difference(metric, name, over[:, members], under[:, members], [name] * len(members))
            )
        mean = _set_difference(metric, MEAN, over, under, sets)
        differences.append(mean)
        judgements.append(Judgement(metric, mean.difference, margins.get(metric)))
    for name, matrix, played in ((ELO, points, games), (ELO_EQUAL_TIME, equal_time_points, equal_time_games)):
        if matrix is not None:
            elo = elo_of_score(score_of_matches(matrix), played)
            judgements.append(Judgement(name, elo, margins.get(name)))
    return Comparison(tuple(judgements), tuple(differences), games, equal_time_games)


def _set_difference(
    metric: str, name: str, over: FloatArray, under: FloatArray, sets: Sequence[str]
) -> SetDifference:
    means = [mean_over_sets(scores, sets) for scores in (over, under)]
    return SetDifference(metric, name, means[0], means[1], difference_of_means(over, under, sets))


def mean_over_sets(scores: FloatArray, sets: Sequence[str]) -> float:
    """Return the unweighted mean over the sets of `scores`, [R, P]."""
    names = np.asarray(sets)
    return float(np.mean([scores[:, names == name].mean() for name in dict.fromkeys(sets)]))
