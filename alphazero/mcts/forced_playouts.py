"""What forced playouts add to a policy target, and how it is taken out again.

Root noise makes the search look at moves that the network thinks little of; forced playouts make it look at them for
more than a moment (`Trees.set_forced_playouts`, in the tree). Most of these moves are bad, and a policy should not
learn to try them: so what PUCT alone would not have visited is subtracted before the visits become a target. The move
to play is drawn from all visits.

Source: Wu, 'Accelerating Self-Play Learning in Go' (2019), section 3.2, factor k = 2.
"""

from __future__ import annotations

import numpy as np

from alphazero.config import SearchConfig
from alphazero.mcts.backend import IntArray, RootStatistics
from alphazero.mcts.puct import exploration_factor


def pruned_visits(statistics: RootStatistics, config: SearchConfig) -> IntArray:
    """Return the root's visit counts without those that only forcing accounts for, int32 [E].

    The most visited child (the lowest action, if several are) keeps its visits. Each other one loses up to
    sqrt(config.forced_playouts * prior * visits of all children), rounded down, for as long as its PUCT score, at the
    final Q, stays below that child's; if one visit is left of it, that goes too. Moves proven to lose have none, and
    beside one that is proven to win nothing is taken away: what is proven goes before scores.
    """
    visits, proven = statistics.visit_counts, statistics.proven
    if np.count_nonzero(proven > 0):
        return visits
    visits = np.where(proven < 0, 0, visits)
    priors = statistics.priors.astype(np.float64)
    forced = np.floor(np.sqrt(config.forced_playouts * priors * (statistics.visit_count - 1)))
    exploration = exploration_factor(
        np.array(statistics.visit_count, np.float64), config.c_puct_init, config.c_puct_base
    )
    bonuses = exploration * priors
    best = int(visits.argmax())
    best_score = statistics.q_values[best] + bonuses[best] / (1 + visits[best])
    # Q + bonus / (1 + n) < best score, if and only if n >= floor(bonus / shortfall) and the shortfall is positive.
    shortfalls = best_score - statistics.q_values
    short = shortfalls > 0
    fewest = visits.astype(np.float64)
    fewest[short] = np.floor(bonuses[short] / shortfalls[short])
    kept = np.maximum(visits - forced, np.minimum(visits, fewest))
    kept[kept <= 1] = 0
    kept[best] = visits[best]
    return kept.astype(np.int32)
