"""Latencies and fill rates, cheap enough to be kept while a batch is on its way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LOWEST_S = 1e-6  # lower edge of the first bucket
DECADES = 8  # up to 100 s
BUCKETS_PER_DECADE = 40  # a bucket is 5.9 % wide, which bounds the error of a quantile
BUCKETS = DECADES * BUCKETS_PER_DECADE
FILL_BINS = 20  # of a distribution of fill rates, each 5 % wide


class LatencyHistogram:
    """Counts of times in logarithmic buckets, from 1 microsecond to 100 seconds.

    All that it knows is one int64 array, so that histograms of several processes are merged by adding arrays:

        array[0]            sum of all times in nanoseconds (the mean is exact)
        array[1 + i]        times t with  LOWEST_S * 10 ** (i / 40) <= t < LOWEST_S * 10 ** ((i + 1) / 40)

    Times below the first bucket count in the first, times above the last in the last.
    """

    SIZE = 1 + BUCKETS  # length of the array

    def __init__(self, array: npt.NDArray[np.int64] | None = None) -> None:
        """Start empty, or with the counts of `array`, int64 [SIZE]."""
        self.array = np.zeros(self.SIZE, np.int64) if array is None else array

    def add(self, seconds: float | npt.NDArray[np.float64], count: int | npt.NDArray[np.int64] = 1) -> None:
        """Count one time, or every time of an array, `count` times over: all as often, or each as often as is said."""
        times = np.atleast_1d(np.asarray(seconds, np.float64))
        position = np.log10(np.maximum(times, LOWEST_S) / LOWEST_S) * BUCKETS_PER_DECADE
        bucket = np.minimum(position.astype(np.int64), BUCKETS - 1)
        np.add.at(self.array, 1 + bucket, count)
        self.array[0] += int((np.rint(times * 1e9).astype(np.int64) * count).sum())

    def __add__(self, other: LatencyHistogram) -> LatencyHistogram:
        """Return what both have counted."""
        return LatencyHistogram(self.array + other.array)

    @property
    def count(self) -> int:
        """How many times were counted."""
        return int(self.array[1:].sum())

    def mean(self) -> float | None:
        """Return the mean in seconds; None if nothing was counted."""
        count = self.count
        return float(self.array[0]) / 1e9 / count if count else None

    def quantile(self, share: float) -> float | None:
        """Return the time in seconds that `share` (0 to 1) of the times do not exceed, to within 6 %.

        Interpolated geometrically within its bucket. None if nothing was counted.
        """
        counts = self.array[1:]
        total = int(counts.sum())
        if not total:
            return None
        wanted = share * total
        cumulative = np.cumsum(counts)
        bucket = min(int(np.searchsorted(cumulative, max(wanted, 1e-9))), BUCKETS - 1)
        inside = (wanted - (cumulative[bucket] - counts[bucket])) / counts[bucket] if counts[bucket] else 0.0
        return float(LOWEST_S * 10 ** ((bucket + min(max(inside, 0.0), 1.0)) / BUCKETS_PER_DECADE))

    def metrics(self) -> dict[str, float]:
        """Return the three inference latencies of the catalog in ms; empty if nothing was counted."""
        mean, p50, p99 = self.mean(), self.quantile(0.5), self.quantile(0.99)
        if mean is None or p50 is None or p99 is None:
            return {}
        return {
            "inference_latency_ms": 1e3 * mean,
            "inference_latency_p50_ms": 1e3 * p50,
            "inference_latency_p99_ms": 1e3 * p99,
        }


def fill_bin(rows: int, capacity: int) -> int:
    """Return the bin, 0 to FILL_BINS - 1, of a batch of `rows` with room for `capacity`; full: the last."""
    return min(FILL_BINS - 1, rows * FILL_BINS // capacity)


def no_fills() -> npt.NDArray[np.int64]:
    """Return the counts of batches by `fill_bin`, int64 [FILL_BINS], before the first batch."""
    return np.zeros(FILL_BINS, np.int64)
