"""Medians and ratios of repeated measurements, with intervals that assume no distribution."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 10_000


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
    numerators: Sequence[float],
    denominators: Sequence[float],
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Estimate:
    """Return median(numerators) / median(denominators) with a percentile bootstrap interval.

    Equally long sequences are taken as interleaved rounds and resampled round by round, so that a drift of
    the machine, which moves both, does not widen the interval; otherwise each is resampled by itself.
    ValueError if there is no value, or one that is not positive.

    Source: Efron, 'Bootstrap methods: another look at the jackknife' (1979), percentile interval.
    """
    over, under = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if not len(over) or not len(under):
        raise ValueError("no values to take the ratio of")
    if not (over > 0).all() or not (under > 0).all():
        raise ValueError("a ratio is of positive numbers")
    rng = np.random.default_rng(seed)
    chosen_over = rng.integers(0, len(over), (RESAMPLES, len(over)))
    if len(over) == len(under):
        chosen_under = chosen_over
    else:
        chosen_under = rng.integers(0, len(under), (RESAMPLES, len(under)))
    ratios = np.median(over[chosen_over], axis=1) / np.median(under[chosen_under], axis=1)
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    if min(len(over), len(under)) == 1:
        confidence = 0.0
    return Estimate(float(np.median(over) / np.median(under)), float(low), float(high), confidence)


def _coverage(count: int, rank: int) -> float:
    """Return the probability that the values of rank `rank` from below and above hold the median."""
    return 1.0 - 2.0 * sum(math.comb(count, below) for below in range(rank)) / 2.0**count
