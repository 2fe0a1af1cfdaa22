"""Medians and ratios of repeated measurements, with intervals that hold for few of them, too."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alphazero.student import student_quantile

CONFIDENCE = 0.95
_MEDIAN_LOSS = math.pi / 2  # variance of a median / variance of a mean: at most so much


@dataclass(frozen=True)
class Estimate:
    """A number and the interval around it.

    Attributes:
        value: the median, or the ratio of two medians.
        low, high: bounds of the interval.
        confidence: with which the interval holds the true value, 0 to 1; 0 where one repeat says nothing.
    """

    value: float
    low: float
    high: float
    confidence: float


def median_estimate(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Return the median of `values` with an exact interval: two of the values themselves.

    Of n independent values from any one distribution, the k-th lowest and k-th highest hold the median
    unless fewer than k fall on one side of it: with probability 1 - 2 P(Binomial(n, 1/2) < k). The largest
    k that gives at least `confidence` is used. Fewer than 6 values never give 95 %: then the extremes are
    returned, with what they do give. ValueError if there is no value.
    """
    if not values:
        raise ValueError("no values to take the median of")
    ordered = sorted(values)
    count = len(ordered)
    rank, coverage = 1, _coverage(count, 1)
    while 2 * (rank + 1) <= count and _coverage(count, rank + 1) >= confidence:
        rank += 1
        coverage = _coverage(count, rank)
    return Estimate(statistics.median(ordered), ordered[rank - 1], ordered[count - rank], coverage)


def ratio_estimate(
    numerators: Sequence[float], denominators: Sequence[float], confidence: float = CONFIDENCE
) -> Estimate:
    """Return how many times as large the numerators are, with an interval for log-normal values.

    Equally long sequences are taken as interleaved rounds and compared round by round, so that a drift of
    the machine moves neither the median of their ratios nor its interval; otherwise it is median(numerators) /
    median(denominators), and each has a variance of its own.
    One value on a side says nothing about its variance: no confidence. (Resampling the values, a bootstrap, would: but
    of four values no resample comes to more than the highest, and the interval is far too narrow.)
    ValueError if there is no value, or one that is not positive.

    Source: Welch, 'The generalization of Student's problem when several different population variances are
    involved' (1947), on logarithms; variances are those of medians, pi/2 times those of means at most.
    """
    if not numerators or not denominators:
        raise ValueError("no values to take the ratio of")
    if min(*numerators, *denominators) <= 0:
        raise ValueError("a ratio is of positive numbers")
    over, under = ([math.log(value) for value in side] for side in (numerators, denominators))
    if len(over) == len(under):
        sides = [[above - below for above, below in zip(over, under, strict=True)]]
        ratio = math.exp(statistics.median(sides[0]))
    else:
        sides = [over, under]
        ratio = statistics.median(numerators) / statistics.median(denominators)
    if min(len(over), len(under)) == 1:
        return Estimate(ratio, ratio, ratio, 0.0)
    return _interval(
        ratio, [_mean_variance(side) for side in sides], [len(side) - 1 for side in sides], confidence
    )


def ratio_across_sessions(
    above: Mapping[str, Sequence[float]],
    below: Mapping[str, Sequence[float]] | None,
    baseline: Mapping[str, Sequence[float]],
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return how many times faster `above` is than `below`, each held against the baseline of its own sessions.

    Sessions are days of a machine: it may be twice as fast on another one, which is no speed-up. So logarithms of rates
    count as their difference to the baseline's of the same session, a session by its share of the windows. Where both
    sides were measured in the same sessions alike, the baseline cancels out. Medians' variances are those of
    `ratio_estimate`; a configuration's windows vary alike in all its sessions, about different medians.

    above, below, baseline: positive rates by session; below: None, the baseline itself.
    ValueError if a session of `above` or `below` has no baseline and is not on both sides alike.
    """
    weights = defaultdict(float, _shares(above))
    sides = [(above, dict(weights))]
    if below is not None:
        shares = _shares(below)
        sides.append((below, {session: -share for session, share in shares.items()}))
        for session, share in shares.items():
            weights[session] -= share
    sides.append((baseline, {session: -weight for session, weight in weights.items() if abs(weight) > 1e-9}))

    difference = 0.0
    parts, freedoms = [], []
    for rates, coefficients in sides:
        if not coefficients:
            continue
        if any(not rates.get(session) for session in coefficients):
            raise ValueError("a session without a window of the baseline")
        logs = {session: [math.log(rate) for rate in rates[session]] for session in coefficients}
        freedom = sum(len(values) - 1 for values in logs.values())
        squares = sum(statistics.pvariance(values) * len(values) for values in logs.values())
        difference += sum(
            weight * statistics.median(logs[session]) for session, weight in coefficients.items()
        )
        share = sum(weight**2 / len(logs[session]) for session, weight in coefficients.items())
        parts.append(squares / freedom * share if freedom else math.nan)
        freedoms.append(freedom)
    ratio = math.exp(difference)
    if 0 in freedoms:
        return Estimate(ratio, ratio, ratio, 0.0)
    return _interval(ratio, parts, freedoms, confidence)


def _interval(ratio: float, parts: Sequence[float], freedoms: Sequence[int], confidence: float) -> Estimate:
    """Return the interval of a ratio whose logarithm has a variance of these parts, each with its freedoms (Welch)."""
    variance = sum(parts)
    if variance == 0.0:
        return Estimate(ratio, ratio, ratio, confidence)
    freedom = variance**2 / sum(part**2 / of for part, of in zip(parts, freedoms, strict=True))
    factor = math.exp(student_quantile((1 + confidence) / 2, freedom) * math.sqrt(_MEDIAN_LOSS * variance))
    return Estimate(ratio, ratio / factor, ratio * factor, confidence)


def _shares(of_session: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return each session's share of the values."""
    total = sum(len(values) for values in of_session.values())
    return {session: len(values) / total for session, values in of_session.items() if values}


def _mean_variance(values: Sequence[float]) -> float:
    """Return the variance of the mean of two values or more."""
    return statistics.variance(values) / len(values)


def _coverage(count: int, rank: int) -> float:
    """Return the probability that the values of rank `rank` from below and above hold the median."""
    return 1.0 - 2.0 * sum(math.comb(count, below) for below in range(rank)) / 2.0**count
