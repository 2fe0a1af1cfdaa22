"""How often a position is written into the replay buffer, by how much its search disagreed with the network.

Most positions of a game teach the policy nothing: the search found what the network thought. So a share of the game's
weight is taken from all its positions alike and given to them in proportion to the Kullback-Leibler divergence of the
policy target from the prior. The game's weight as a whole stays the same.

    share 0.5      quiet    quiet    surprise   quiet
    divergence      0        0.1      0.7        0        nats, 0.8 in all
    weight          0.5      0.75     2.25       0.5      4 positions, 4 in all

What the solver has decided surprises by its target like anything else. Such a target is sharp, and surprises much: that
so many copies are of decided positions, whose values are exact, is worth a lot (docs/decisions/0039).

A position of weight 2.25 is written twice, and once more with a probability of 0.25. That is no importance sampling:
each row counts fully in the loss.

Source: Wu, 'Other Methods Implemented in KataGo' (docs/KataGoMethods.md of KataGo), 'Policy Surprise Weighting', with a
share of 0.5. KataGo takes the prior with its root noise and draws each position's last copy by itself; here the prior
is the network's, and all last copies of a game are drawn with one number, so that a game keeps its number of rows.

Axis letters: N positions, E their legal actions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from alphazero.mcts.backend import FloatArray, IntArray, PriorArray

NO_PART = math.nan  # for a surprise: the position keeps the weight 1


def policy_surprises(
    policy_visits: IntArray, priors: PriorArray, offsets: npt.NDArray[np.integer[Any]]
) -> FloatArray:
    """Return the divergence of each policy target from the prior, sum target * log(target / prior), in nats.

    float64 [N], NO_PART where there is no policy target. The edges stand one position's after the other's.

    policy_visits: int32 [E], a position's target once normalised. priors: float32 [E], the network's, without root
    noise. offsets: int [N+1]; the edges of position i are offsets[i]:offsets[i+1], at least one.
    """
    starts, counts = offsets[:-1], np.diff(offsets)
    visits = np.add.reduceat(policy_visits, starts)
    targets = policy_visits / np.maximum(visits, 1).repeat(counts)
    tiny = np.finfo(np.float32).tiny  # stands in for 0: of a target, log(0) times 0 is 0
    logs = np.log(np.maximum(targets, tiny) / np.maximum(priors.astype(np.float64), tiny))
    divergences = np.maximum(np.add.reduceat(targets * logs, starts), 0.0)
    return np.where(visits > 0, divergences, NO_PART)


def surprise_weights(surprises: FloatArray, share: float) -> FloatArray:
    """Return the weights of a game's positions, float64 [N]; they add up to N.

    Positions without a surprise (NO_PART) keep the weight 1. Of the others' weight `share` goes to them in proportion
    to their surprise and the rest equally; all of it equally if none of them surprises.

    surprises: float64 [N], nats or NO_PART. share: 0 to 1.
    """
    weights = np.ones(len(surprises))
    with_part = ~np.isnan(surprises)
    known = surprises[with_part]
    total = known.sum()
    if total > 0:
        weights[with_part] = (1.0 - share) + share * len(known) * (known / total)
    return weights


def draw_copies(weights: FloatArray, rng: np.random.Generator) -> IntArray:
    """Return how often each position is written, int32 [N]: its weight rounded down or up, on average its weight.

    One number u from 0 to 1 is drawn for all of them. Weights are added to u one after the other, and each position
    gets as many copies as its weight reaches or passes whole numbers. So weights that add up to N give N copies.

        weights     0.5   0.75   2.25   0.5       u = 0.4
        sums    0.4   0.9   1.65    3.9    4.4
        copies       0     1      2      1

    Source: 'systematic resampling', Kitagawa, 'Monte Carlo filter and smoother' (1996), appendix.
    """
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    sums[-1] = round(sums[-1], 9)  # whole, if it is but for rounding
    copies: IntArray = np.diff(np.floor(np.minimum(sums, sums[-1]) + rng.random())).astype(np.int32)
    return copies
