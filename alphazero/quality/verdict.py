"""No worse, worse, or not shown: what an interval says about a margin that was fixed before.

A configuration is accepted only if every metric with a margin shows it to be no worse; because all must agree,
accepting a configuration that is worse in any of them by its margin is no more likely than one interval's
error, 2.5 % (R. L. Berger, 'Multiparameter hypothesis testing and acceptance sampling', 1982).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alphazero.metrics.catalog import find_metric
from alphazero.quality.statistics import Estimate

# Per position, what the mean over the sets of it is in the catalog.
POSITION_METRICS = ("policy_error", "search_error", "selfplay_search_error", "value_error", "value_mse")
ELO = "elo_difference"
ELO_EQUAL_TIME = "elo_difference_equal_time"
COMPARED_METRICS = (*POSITION_METRICS, ELO, ELO_EQUAL_TIME)

NO_WORSE = "no worse"
WORSE = "worse"
NOT_SHOWN = "not shown"


@dataclass(frozen=True)
class Judgement:
    """One metric of one configuration against the reference.

    Attributes:
        metric: name in the catalog.
        difference: candidate - reference, with its 95 % interval.
        margin: how much worse is still no worse, above 0; None: the metric is only reported.
    """

    metric: str
    difference: Estimate
    margin: float | None

    @property
    def verdict(self) -> str | None:
        """NO_WORSE if the whole interval is within the margin; WORSE if all of it is on the worse side of 0
        and it is not within the margin; otherwise NOT_SHOWN: more runs would tell."""
        if self.margin is None:
            return None
        bounds = (self.difference.low, self.difference.high)
        if find_metric(self.metric).better == "higher":
            bounds = (_negative(bounds[1]), _negative(bounds[0]))
        best, worst = bounds  # of how much worse it may be
        if worst is not None and worst < self.margin:
            return NO_WORSE
        return WORSE if best is not None and best > 0 else NOT_SHOWN


def overall(judgements: Iterable[Judgement]) -> str:
    """Return the verdict over all metrics that have a margin."""
    verdicts = [judgement.verdict for judgement in judgements if judgement.verdict is not None]
    if WORSE in verdicts:
        return WORSE
    return NO_WORSE if verdicts and set(verdicts) == {NO_WORSE} else NOT_SHOWN


def _negative(bound: float | None) -> float | None:
    return None if bound is None else -bound
