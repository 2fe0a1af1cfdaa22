"""What a search's visits teach of the policy, where the solver knows better than they do.

A move proven to lose keeps the visits it had before it was, and a node proven to be won is no longer searched, so that
its winning move may have fewer visits than another. Neither should be learned.

Axis letters: N positions, E their legal actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from alphazero.mcts.backend import IntArray, SignArray


def visits_not_refuted(
    visits: IntArray, proven: SignArray, offsets: npt.NDArray[np.integer[Any]]
) -> IntArray:
    """Return the visits, int32 [E], of moves proven to win where there are any, else of those not proven to lose.

    Others have none. Where all moves lose no move has any: such a position teaches nothing but its value.

    visits: int32 [E]. proven: int8 [E], for the player to move: +1 the move is proven to win, -1 to lose. offsets: int
    [N+1]; the edges of position i are offsets[i]:offsets[i+1], at least one.
    """
    if not np.count_nonzero(proven):
        return visits
    best = best_proven(proven, offsets).repeat(np.diff(offsets))
    kept: IntArray = np.where((proven == best) & (best >= 0), visits, 0)
    return kept


def best_proven(proven: SignArray, offsets: npt.NDArray[np.integer[Any]]) -> SignArray:
    """Return what is proven of each position for the player to move, int8 [N]: won, lost, or 0 where neither is.

    proven, offsets: see `visits_not_refuted`.
    """
    best: SignArray = np.maximum.reduceat(proven, offsets[:-1])
    return best
