"""Do two complete measurements of the same machine agree?

The 95 % interval of a speed-up says where the true value lies. Whether a *second measurement* falls near the first is
another question: it has errors of its own, and there are dozens of rows, all of which are to agree at once. So each
speed-up gets the interval in which a repeat lies, with 95 % for all rows together:

    log(second / first)  is normal with mean 0 and variance
    pi/2 * (sigma_row^2 (1/n_1 + 1/n_2) + sigma_baseline^2 (1/m_1 + 1/m_2))

n and m windows were measured of the row and of the baseline, pi/2 is what a median loses against a mean, and sigma is
the standard deviation of the logarithm of a configuration's windows: its own, or that of all configurations pooled,
whichever is larger. The 5 % are shared by the rows equally (Bonferroni).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alphazero.benchmark.phases import BASELINE
from alphazero.benchmark.summary import LEAVES, sessions_of
from alphazero.benchmark.window_log import SELFPLAY
from alphazero.errors import UserError

CONFIDENCE = 0.95  # that all rows agree, if nothing has changed
_MEDIAN_LOSS = math.pi / 2

Document = Mapping[str, Any]


@dataclass(frozen=True)
class RowAgreement:
    """One row, in both measurements.

    Attributes:
        name: of the variant, such as "ladder/batching".
        first, second: its speed-ups over the baseline.
        factor: a repeat lies between speed-up / factor and speed-up * factor, whichever of the two it repeats.
    """

    name: str
    first: float
    second: float
    factor: float

    @property
    def agrees(self) -> bool:
        """Whether each speed-up lies in the other's interval for a repeat."""
        return self.first / self.factor <= self.second <= self.first * self.factor


def compare_documents(first: Document, second: Document) -> list[RowAgreement]:
    """Return the rows measured in both; configurations that are the same in effect are one row.

    Raises UserError if the two are not of the same code, machine, game and hardware profile, share no row, or were not
    each measured in one session.
    """
    for what, a, b in _must_be_equal(first, second):
        if a != b:
            raise UserError(
                f"the measurements differ in {what} ({a} and {b}), so that they need not agree; "
                "give two of the same code and settings on the same machine"
            )
    if any(len(sessions_of(document)) > 1 for document in (first, second)):
        raise UserError(
            "a measurement that was made in several sessions has errors of its own in each (a machine is not as fast "
            "on every day); give two that were each made in one go"
        )
    of_first, of_second = _logarithms(first), _logarithms(second)
    names = [name for name in of_first if name in of_second and name != BASELINE]
    if BASELINE not in of_first or BASELINE not in of_second or not names:
        raise UserError(
            "the measurements have no row in common that was measured beside the baseline; measure both anew"
        )
    pooled = _spread([of_row for document in (of_first, of_second) for of_row in document.values()])
    share = (1.0 - CONFIDENCE) / len(names) / 2
    quantile = statistics.NormalDist().inv_cdf(1.0 - share)

    def variance(name: str) -> float:
        pair = (of_first[name], of_second[name])
        return float(max(pooled, _spread(pair)) * sum(1.0 / len(of_row) for of_row in pair))

    def speed_up(logarithms: Mapping[str, Sequence[float]], name: str) -> float:
        return math.exp(statistics.median(logarithms[name]) - statistics.median(logarithms[BASELINE]))

    return [
        RowAgreement(
            name=name,
            first=speed_up(of_first, name),
            second=speed_up(of_second, name),
            factor=math.exp(quantile * math.sqrt(_MEDIAN_LOSS * (variance(name) + variance(BASELINE)))),
        )
        for name in names
    ]


def _must_be_equal(first: Document, second: Document) -> list[tuple[str, Any, Any]]:
    def of(document: Document) -> dict[str, Any]:
        return {
            "machine": document["hardware"]["machine"],
            "source_hash": document["provenance"]["source_hash"],
            **{name: document[name] for name in ("game", "hardware_profile", "simulations")},
        }

    a, b = of(first), of(second)
    return [(name, a[name], b[name]) for name in a]


def _logarithms(document: Document) -> dict[str, list[float]]:
    """Return the logarithms of leaves/s of each variant's windows; of equals only the first variant."""
    found: dict[str, list[float]] = {}
    seen: set[str] = set()
    for variant in document["variants"]:
        key = variant["keys"][SELFPLAY]
        rates = [
            row["metrics"][LEAVES]
            for row in document["windows"]
            if row["key"] == key and not row["error"] and row["metrics"].get(LEAVES, 0.0) > 0
        ]
        if rates and key not in seen:
            seen.add(key)
            found[variant["name"]] = [math.log(rate) for rate in rates]
    return found


def _spread(groups: Sequence[Sequence[float]]) -> float:
    """Return the variance within groups, pooled; 0 if no group has two values."""
    squares = sum(sum((value - statistics.fmean(group)) ** 2 for value in group) for group in groups)
    freedom = sum(len(group) - 1 for group in groups)
    return squares / freedom if freedom else 0.0
