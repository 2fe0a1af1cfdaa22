"""Confidence intervals for shares: how sure a measured error or score is."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z_95 = 1.959963984540054  # standard normal quantile of a two-sided 95 % interval


def wilson_interval(share: float, trials: float, z: float = Z_95) -> tuple[float, float]:
    """Return the 95 % interval of a share in [0, 1] seen in `trials` independent trials.

    `trials` need not be whole: an effective number of trials does. Unlike share +- z * standard error, it
    stays inside [0, 1] and has a width at 0 and 1. Source: E. B. Wilson, 'Probable Inference, the Law of
    Succession, and Statistical Inference' (1927).
    """
    if trials <= 0:
        raise ValueError(f"trials is {trials}; an interval needs more than none")
    shrink = 1.0 / (1.0 + z * z / trials)
    centre = shrink * (share + z * z / (2.0 * trials))
    half_width = shrink * z * math.sqrt(share * (1.0 - share) / trials + z * z / (4.0 * trials * trials))
    low, high = max(0.0, centre - half_width), min(1.0, centre + half_width)
    # Exactly so, where rounding would leave a difference of 1e-16: a bound where there is none.
    return (low if share > 0.0 else 0.0), (high if share < 1.0 else 1.0)


def mean_share_interval(
    shares: Sequence[float], trials: Sequence[int], z: float = Z_95
) -> tuple[float, float, float]:
    """Return (mean, low, high) of the unweighted mean of several shares, each from its own trials.

    The variance of the mean is turned into the number of trials that a single share of that size would
    need for the same variance; the Wilson interval of that number is returned. Where all shares are 0 or
    all are 1 the variance says nothing, and the trials are counted together. Made for sets of like size: one of
    a few trials among large ones, whose share is 0 or 1, adds no variance, and the interval is too narrow then.
    """
    count = len(shares)
    mean = sum(shares) / count
    variance = sum(p * (1.0 - p) / n for p, n in zip(shares, trials, strict=True)) / count**2
    effective_trials = mean * (1.0 - mean) / variance if variance > 0.0 else float(sum(trials))
    return (mean, *wilson_interval(mean, effective_trials, z))
