"""Differences between two configurations, each trained several times, with intervals that count both spreads.

Two configurations differ by more than their agents on the day: trained again with another seed, each gives
another agent, and other positions would have been harder for one of them. Runs (seeds) and positions are
crossed: every run answers every position. The variance of a difference of means then has a part from runs and
a part from positions, and both hold the same residual, which is taken out once (A. B. Owen, 'The pigeonhole
bootstrap', 2007, whose variance this is). With three to ten runs a bootstrap over runs gives intervals that are
too narrow; Student's t with Satterthwaite's degrees of freedom does not (B. L. Welch, 'The generalization of
Student's problem when several different population variances are involved', 1947). A test measures it.

Axis letters: R runs of a configuration, P positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphazero.evaluation.elo import elo_from_score
from alphazero.evaluation.intervals import wilson_interval
from alphazero.student import student_quantile

FloatArray = npt.NDArray[np.float64]

CONFIDENCE = 0.95
_FEWEST_RUNS = 2  # one run says nothing about how much runs differ


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; None where the data put no bound."""

    value: float
    low: float | None
    high: float | None


def difference_of_means(
    candidate: npt.ArrayLike, reference: npt.ArrayLike, sets: Sequence[str], confidence: float = CONFIDENCE
) -> Estimate:
    """Return the mean over the sets of candidate - reference, with its interval.

    Args:
        candidate: [R, P], what each run of the candidate scored on each position, such as 1 for an error.
        reference: [R', P], the same for the reference, on the same positions. Runs are not paired: the same
            seed gives two runs the same first weights and nothing else in common.
        sets: the set of each position; every set counts the same.

    Raises ValueError with fewer than 2 runs of either: how much runs differ would be a guess.
    """
    over, under = np.asarray(candidate, np.float64), np.asarray(reference, np.float64)
    if min(len(over), len(under)) < _FEWEST_RUNS:
        raise ValueError(f"{len(over)} and {len(under)} runs; at least {_FEWEST_RUNS} of each are needed")
    weights = _weights(sets)
    from_runs, residual = [], 0.0
    for scores in (over, under):
        from_runs.append((float(np.var(scores @ weights, ddof=1)) / len(scores), len(scores) - 1))
        residual += _residual(scores, sets) / len(scores)
    by_position = over.mean(axis=0) - under.mean(axis=0)
    from_positions = sum(
        float(np.var(by_position[members], ddof=1)) * float((weights[members] ** 2).sum())
        for members in _members(sets)
        if len(members) > 1
    )
    of_runs = sum(part for part, _ in from_runs)
    variance = max(of_runs + from_positions - residual, of_runs, from_positions)
    return _interval(float(by_position @ weights), variance, from_runs, confidence)


def score_of_matches(points: npt.ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean score of the candidate's runs against the reference's, with its interval.

    points: [R, R'], the share of the points that each run of the candidate won against each run of the
    reference; each cell from openings drawn for itself, so that what an opening is worth is part of its noise.

    Raises ValueError with fewer than 2 runs of either.
    """
    scores = np.asarray(points, np.float64)
    if min(scores.shape) < _FEWEST_RUNS:
        raise ValueError(f"{scores.shape} runs; at least {_FEWEST_RUNS} of each are needed")
    if (
        np.ptp(scores) == 0.0
    ):  # all won, lost or drawn: how far scores spread is not known; a game a cell is counted
        return Estimate(float(scores.flat[0]), *wilson_interval(float(scores.flat[0]), scores.size))
    rows, columns = scores.mean(axis=1), scores.mean(axis=0)
    residuals = scores - rows[:, None] - columns[None, :] + scores.mean()
    residual = float((residuals**2).sum()) / ((len(rows) - 1) * (len(columns) - 1)) / scores.size
    parts = [(float(np.var(each, ddof=1)) / len(each), len(each) - 1) for each in (rows, columns)]
    variance = max(parts[0][0] + parts[1][0] - residual, parts[0][0], parts[1][0])
    value = float(scores.mean())
    # Means of rows and columns may happen to agree: what is left is noise all the same.
    of_the_rest = [(residual, (len(rows) - 1) * (len(columns) - 1))]
    found = _interval(value, variance, parts, confidence), _interval(value, residual, of_the_rest, confidence)
    return max(found, key=_width)


def elo_of_score(score: Estimate, games: int) -> Estimate:
    """Return a score's estimate in Elo; a bound at or beyond all points won or lost is None.

    games: played in all. A score of 0 or 1 is taken for half a point less clear, so that there is a number.
    """
    half_point = 0.5 / games
    value = elo_from_score(min(max(score.value, half_point), 1.0 - half_point))
    assert value is not None
    low = None if score.low is None else elo_from_score(score.low)
    high = None if score.high is None else elo_from_score(score.high)
    return Estimate(value, low, high)


def _width(interval: Estimate) -> float:
    return 0.0 if interval.low is None or interval.high is None else interval.high - interval.low


def _interval(
    value: float, variance: float, from_runs: Sequence[tuple[float, int]], confidence: float
) -> Estimate:
    """Return `value` with Student's interval.

    Args:
        variance: of `value`.
        from_runs: the part of it from each configuration's runs, with its degrees of freedom.
    """
    if variance == 0.0:
        return Estimate(value, value, value)
    spread = sum(part**2 / freedom for part, freedom in from_runs)
    freedom = variance**2 / spread if spread else math.inf
    width = student_quantile(0.5 + confidence / 2, max(1.0, freedom)) * math.sqrt(variance)
    return Estimate(value, value - width, value + width)


def _residual(scores: FloatArray, sets: Sequence[str]) -> float:
    """Return what is left of the variance of one run's weighted mean, without its run and its positions."""
    weights = _weights(sets)
    total = 0.0
    for members in _members(sets):
        if len(members) < 2:
            continue
        part = scores[:, members]
        centred = part - part.mean(axis=0) - part.mean(axis=1, keepdims=True) + part.mean()
        variance = float((centred**2).sum()) / ((len(part) - 1) * (len(members) - 1))
        total += variance * float((weights[members] ** 2).sum())
    return total


def _weights(sets: Sequence[str]) -> FloatArray:
    """Return [P], adding up to 1: each set the same, each position in a set the same."""
    weights = np.zeros(len(sets))
    members = _members(sets)
    for places in members:
        weights[places] = 1.0 / (len(members) * len(places))
    return weights


def _members(sets: Sequence[str]) -> list[npt.NDArray[np.intp]]:
    names = np.asarray(sets)
    return [np.flatnonzero(names == name) for name in dict.fromkeys(sets)]
