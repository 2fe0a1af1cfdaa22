"""Latency histograms are exact in the mean, close in quantiles, and merge."""

import numpy as np
import pytest

from alphazero.metrics.histogram import LatencyHistogram


def test_mean_is_exact() -> None:
    histogram = LatencyHistogram()
    histogram.add(0.010, count=3)
    histogram.add(0.030)
    assert histogram.count == 4
    assert histogram.mean() == pytest.approx(0.015, rel=1e-9)  # (3 x 10 + 30) / 4 ms


def test_quantiles_are_within_a_bucket_of_the_true_ones() -> None:
    times = np.random.default_rng(7).lognormal(mean=-4.0, sigma=1.0, size=20_000)
    histogram = LatencyHistogram()
    histogram.add(times)
    for share in (0.01, 0.5, 0.9, 0.99):
        assert histogram.quantile(share) == pytest.approx(np.quantile(times, share), rel=0.06)


def test_merging_equals_counting_together() -> None:
    first, second, both = LatencyHistogram(), LatencyHistogram(), LatencyHistogram()
    first.add(np.array([0.001, 0.02]))
    second.add(0.5, count=2)
    both.add(np.array([0.001, 0.02, 0.5, 0.5]))
    first += second
    np.testing.assert_array_equal(first.array, both.array)


def test_times_outside_the_range_count_in_the_outermost_buckets() -> None:
    histogram = LatencyHistogram()
    histogram.add(np.array([0.0, 1e-9, 1e6]))
    assert histogram.count == 3
    assert histogram.array[1] == 2
    assert histogram.array[-1] == 1


def test_an_empty_histogram_has_no_latency() -> None:
    histogram = LatencyHistogram()
    assert histogram.mean() is None
    assert histogram.quantile(0.5) is None
    assert histogram.metrics() == {}


def test_metrics_are_in_milliseconds_under_catalog_names() -> None:
    histogram = LatencyHistogram()
    histogram.add(0.010, count=100)
    metrics = histogram.metrics()
    assert metrics["inference_latency_ms"] == pytest.approx(10.0)
    assert metrics["inference_latency_p50_ms"] == pytest.approx(10.0, rel=0.06)
    assert metrics["inference_latency_p99_ms"] == pytest.approx(10.0, rel=0.06)
