"""Student's t distribution: its quantiles, for any degrees of freedom from 1 (also not whole ones)."""

from __future__ import annotations

import math

_TINY = 1e-300
_PRECISION = 1e-14
_TERMS = 500


def student_quantile(probability: float, freedom: float) -> float:
    """Return t with P(T <= t) = probability, for 0.5 <= probability < 1 and freedom >= 1 (math.inf: normal)."""
    if not 0.5 <= probability < 1.0 or freedom < 1.0:
        raise ValueError(
            f"probability {probability} and freedom {freedom}; needed: 0.5 <= probability < 1, freedom >= 1"
        )
    low, high = 0.0, 1.0
    while student_probability(high, freedom) < probability:
        low, high = high, 2.0 * high
    for _ in range(200):
        middle = 0.5 * (low + high)
        if student_probability(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return high


def student_probability(t: float, freedom: float) -> float:
    """Return P(T <= t) for t >= 0."""
    if freedom > 1e7:  # the normal distribution to more digits than anybody reads
        return 0.5 * (1.0 + math.erf(t / math.sqrt(2.0)))
    return 1.0 - 0.5 * _incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b).

    Source: the continued fraction 26.5.8 of Abramowitz and Stegun, 'Handbook of Mathematical Functions' (1964),
    evaluated by Lentz's method, and the symmetry I_x(a, b) = 1 - I_(1-x)(b, a) where it converges faster.
    """
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    numerator, denominator, fraction = 1.0, 0.0, 1.0
    for term in range(_TERMS):
        m = term // 2
        if term == 0:
            coefficient = 1.0
        elif term % 2 == 0:
            coefficient = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        else:
            coefficient = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        denominator = 1.0 + coefficient * denominator
        denominator = 1.0 / (denominator if abs(denominator) > _TINY else _TINY)
        numerator = 1.0 + coefficient / numerator
        numerator = numerator if abs(numerator) > _TINY else _TINY
        fraction *= numerator * denominator
        if abs(numerator * denominator - 1.0) < _PRECISION:
            break
    return math.exp(log_front) / a * (fraction - 1.0)
