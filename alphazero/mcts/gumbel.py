"""The root's search of Gumbel AlphaZero: a few actions drawn without replacement, then halved by what they are worth.

    halving = SequentialHalving(config, simulations, noise)
    while halving.simulations:                                   # of the next phase
        search.begin(tree, halving.simulations, root_quota=halving.next_quota)
        ...                                                      # until it is finished
    action = halving.winner(search.root_statistics(tree))

The trees only count quotas down (`Trees.set_root_quota`); all that is decided, once a phase, is decided here, in
float64. Below the root the search is PUCT as ever: the paper's 'Gumbel AlphaZero', not its 'Full Gumbel AlphaZero'.

Source: Danihelka et al., 'Policy improvement by planning with Gumbel' (ICLR 2022): algorithm 2, equations 8, 10, 11
and 33, appendix F for the rounding. Axis letter: E edges of the root.
"""

from __future__ import annotations

import numpy as np

from alphazero.config import SearchConfig
from alphazero.mcts.backend import FloatArray, IntArray, RootStatistics
from alphazero.mcts.search import best_action

SHARES = 65_535  # what an improved policy adds up to, up to rounding, in an episode


class SequentialHalving:
    """One search of one root. Whoever searches calls `next_quota` once a phase, with the root as it is then.

    Args:
        config: gumbel_considered (m) and the scale of values.
        simulations: n, of all phases together.
        noise: float64 [E], drawn from Gumbel(0); zeros: nothing is left to chance.

    Attributes:
        simulations: of the next phase; 0 when all are done.
    """

    def __init__(self, config: SearchConfig, simulations: int, noise: FloatArray) -> None:
        self._config = config
        self._noise = noise
        self._candidates: IntArray = np.arange(len(noise), dtype=np.int32)
        self._begun = False
        considered = min(config.gumbel_considered, simulations, len(noise))
        self._phases = halving_phases(considered, simulations)[::-1]

    @property
    def simulations(self) -> int:
        return self._phases[-1][1] if self._phases else 0

    def next_quota(self, statistics: RootStatistics) -> IntArray:
        """Go on to the next phase and return its quotas, int32 [E]: equal, what is left over to the best ones.

        The first phase takes the actions with the highest noise + logit, each later one the better half of those
        before by noise + logit + value.
        """
        considered, simulations = self._phases.pop()
        scores = self._noise + logits(statistics)
        if self._begun:
            scores += scaled_values(statistics, self._config)
        self._begun = True
        self._candidates = _in_order(self._open(statistics), scores)[:considered]
        quota = np.zeros(len(self._noise), np.int32)
        quota[self._candidates] = simulations // len(self._candidates)
        quota[self._candidates[: simulations % len(self._candidates)]] += 1
        if not self._phases:  # the winner is one of the most visited
            self._candidates = np.flatnonzero(quota == quota.max()).astype(np.int32)
        return quota

    def winner(self, statistics: RootStatistics) -> int:
        """Return the action to play: of those in the end most often tried, the best by noise + logit + value.

        What the solver has proven goes before, as in `best_action`.
        """
        if np.count_nonzero(statistics.proven > 0):
            return best_action(statistics)
        scores = self._noise + logits(statistics) + scaled_values(statistics, self._config)
        return int(statistics.actions[_in_order(self._open(statistics), scores)[0]])

    def _open(self, statistics: RootStatistics) -> IntArray:
        """Return the candidates that are not proven to lose; if all are, all such edges; if none, the candidates."""
        for edges in (self._candidates, np.arange(len(self._noise), dtype=np.int32)):
            not_lost: IntArray = edges[statistics.proven[edges] >= 0]
            if len(not_lost):
                return not_lost
        return self._candidates


def halving_phases(considered: int, simulations: int) -> list[tuple[int, int]]:
    """Return (actions considered, simulations) of each phase; the simulations add up to `simulations`.

    Of n simulations and m actions at first, a phase with c actions gives each max(1, floor(n / (ceil(log2 m) * c)))
    visits, until none are left; then the better half goes on. The last two actions share what is left; if that is odd,
    the last simulation goes to the better one of them, and decides between them no more.
    """
    phases = []
    left = simulations
    halvings = (considered - 1).bit_length()
    while considered > 2 and left > 0:
        phases.append((considered, min(left, considered * max(1, simulations // (halvings * considered)))))
        left -= phases[-1][1]
        considered = max(2, considered // 2)
    if considered == 2 and left > 1 and left % 2:
        return [*phases, (2, left - 1), (1, 1)]
    return [*phases, (considered, left)] if left else phases


def improved_policy(statistics: RootStatistics, config: SearchConfig) -> FloatArray:
    """Return softmax(logits + values), float64 [E]: what the search found of all actions, visited or not."""
    scores = logits(statistics) + scaled_values(statistics, config)
    weights = np.exp(scores - scores.max())
    policy: FloatArray = weights / weights.sum()
    return policy


def policy_shares(statistics: RootStatistics, config: SearchConfig) -> IntArray:
    """Return the improved policy in `SHARES`ths, int32 [E], for `Episode.policy_visits`.

    As fine as the learner takes visit counts (uint16); an action below half of a share has none.
    """
    return np.rint(SHARES * improved_policy(statistics, config)).astype(np.int32)


def logits(statistics: RootStatistics) -> FloatArray:
    """Return the network's logits of the root's actions up to a constant, float64 [E]; finite."""
    priors = statistics.priors.astype(np.float64)
    found: FloatArray = np.log(np.maximum(priors, np.finfo(np.float32).tiny))
    return found


def scaled_values(statistics: RootStatistics, config: SearchConfig) -> FloatArray:
    """Return (c_visit + most visits of an action) * c_scale * value, float64 [E].

    Values are put from -1..1 to 0..1, for which the paper's constants are meant. Visits kept from an earlier search
    count. An action without a visit has the mixed value: of the network's own and the mean of the others' Q,
    weighted by prior, the more the more visits there are. What the solver has proven of an action is its value.
    """
    visited = statistics.visit_counts > 0
    visits = int(statistics.visit_counts.sum())
    # What did not go to a child: the root's own evaluation (with the solver, perhaps more).
    own_value = (statistics.value_sum - statistics.value_sums.sum()) / (statistics.visit_count - visits)
    priors = np.maximum(statistics.priors.astype(np.float64), np.finfo(np.float32).tiny)
    mixed = own_value
    if visits:
        mean_q = (priors * statistics.q_values)[visited].sum() / priors[visited].sum()
        mixed = (own_value + visits * mean_q) / (1 + visits)
    completed = np.where(visited, statistics.q_values, mixed)
    completed = np.where(statistics.proven != 0, statistics.proven, completed)
    scale = (config.gumbel_c_visit + statistics.visit_counts.max()) * config.gumbel_c_scale
    scaled: FloatArray = scale * (completed + 1.0) / 2.0
    return scaled


def _in_order(edges: IntArray, scores: FloatArray) -> IntArray:
    """Return `edges` by falling score; of equal ones the lowest action first."""
    ordered: IntArray = edges[np.argsort(-scores[edges], kind="stable")]
    return ordered
