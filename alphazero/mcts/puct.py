"""The numbers PUCT needs, computed once here and handed to every backend (so that all agree to the bit).

    score(a) = Q(a) + exploration[N] * P(a) / (1 + n(a))
    exploration[N] = (log((N + c_base + 1) / c_base) + c_init) * sqrt(N)

N is the visit count of the node (its own evaluation included), n(a), Q(a), P(a) those of the edge; Q is
for the player who chooses. Source: Silver et al., 'A general reinforcement learning algorithm that masters
chess, shogi, and Go through self-play' (2018), supplement: c_base = 19652, c_init = 1.25.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alphazero.mcts.backend import IntArray, PriorArray
from alphazero.native_import import compiled_module

_driver = compiled_module("alphazero.mcts._driver")


def exploration_table(size: int, c_init: float, c_base: float) -> npt.NDArray[np.float64]:
    """Return exploration[N] for N = 0 .. size-1, float64 [size]."""
    return exploration_factor(np.arange(size, dtype=np.float64), c_init, c_base)


def exploration_factor(
    visit_count: npt.NDArray[np.float64], c_init: float, c_base: float
) -> npt.NDArray[np.float64]:
    """Return exploration[N] for each N of `visit_count`, float64 of the same shape."""
    return (np.log((visit_count + c_base + 1.0) / c_base) + c_init) * np.sqrt(visit_count)


def legal_priors(
    policy_logits: npt.NDArray[np.float32], offsets: IntArray, actions: IntArray, priors: PriorArray
) -> None:
    """Fill `priors` with the softmax of the logits of the legal actions of each row.

    Args:
        policy_logits: float32 [K, A] IN, any finite values; illegal actions are never read.
        offsets: int32 [K+1] IN; actions: int32 [offsets[K]] IN, legal actions in CSR form.
        priors: float32 [>= offsets[K]] OUT.

    Worked out in float64 and rounded once, so that it does not depend on the other rows of a batch.
    The only softmax over legal actions in the project; compiled where the native code is built.
    """
    if _driver is not None:
        _driver.legal_priors(policy_logits, offsets, actions, priors)
    else:
        legal_priors_in_numpy(policy_logits, offsets, actions, priors)


def legal_priors_in_numpy(
    policy_logits: npt.NDArray[np.float32], offsets: IntArray, actions: IntArray, priors: PriorArray
) -> None:
    """Fill `priors` like `legal_priors`, without compiled code.

    The exponential function of NumPy and that of the C library may differ in the last bit of a float64,
    which a float32 prior shows only where it falls on the edge between two of them.
    """
    rows = len(offsets) - 1
    if rows == 0:
        return
    total = int(offsets[rows])
    counts = np.diff(offsets)
    row_of = np.repeat(np.arange(rows), counts)
    logits = policy_logits[row_of, actions[:total]].astype(np.float64)
    starts = offsets[:rows]
    exponentials = np.exp(logits - np.maximum.reduceat(logits, starts)[row_of])
    sums = np.add.reduceat(exponentials, starts)
    priors[:total] = exponentials / sums[row_of]


def mix_root_noise(priors: PriorArray, noise: npt.NDArray[np.float64], fraction: float) -> PriorArray:
    """Return (1 - fraction) * priors + fraction * noise, float32 [E].

    AlphaZero draws the noise from a Dirichlet distribution and uses a fraction of 0.25.
    """
    mixed = (1.0 - fraction) * priors.astype(np.float64) + fraction * noise
    return mixed.astype(np.float32)
