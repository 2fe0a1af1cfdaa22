"""Intervals of medians and ratios."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alphazero.benchmark.statistics import median_estimate, ratio_across_sessions, ratio_estimate


def test_of_ten_values_the_second_lowest_and_second_highest_hold_the_median() -> None:
    estimate = median_estimate([3.0, 1.0, 2.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0])
    assert (estimate.value, estimate.low, estimate.high) == (5.5, 2.0, 9.0)
    # One value or none on one side: 2 * (1 + 10) / 2**10.
    assert estimate.confidence == pytest.approx(1 - 22 / 1024)


def test_five_values_give_their_extremes_and_say_what_that_is_worth() -> None:
    estimate = median_estimate([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (estimate.value, estimate.low, estimate.high) == (3.0, 1.0, 5.0)
    assert estimate.confidence == pytest.approx(1 - 2 / 32)


def test_one_value_is_its_own_interval_without_confidence() -> None:
    estimate = median_estimate([7.0])
    assert (estimate.value, estimate.low, estimate.high, estimate.confidence) == (7.0, 7.0, 7.0, 0.0)


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    estimates = [median_estimate(rng.exponential(size=10).tolist()) for _ in range(2000)]
    held = sum(estimate.low <= np.log(2.0) <= estimate.high for estimate in estimates) / 2000
    assert held == pytest.approx(1 - 22 / 1024, abs=0.012)


def test_a_drift_of_the_machine_cancels_out_of_interleaved_rounds() -> None:
    drift = np.linspace(1.0, 3.0, 9)
    estimate = ratio_estimate((2.0 * drift).tolist(), drift.tolist())
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((2.0, 2.0, 2.0))
    unpaired = ratio_estimate((2.0 * drift).tolist(), [*drift.tolist(), 2.0])
    assert unpaired.low < 1.8 < 2.2 < unpaired.high


def test_the_same_values_give_the_same_interval() -> None:
    over, under = [3.0, 4.0, 5.0, 6.0], [1.0, 2.0, 2.0, 3.0]
    assert ratio_estimate(over, under) == ratio_estimate(over, under)
    estimate = ratio_estimate(over, under)
    assert estimate.value == pytest.approx(np.sqrt(2.0 * 2.5))  # of 2, 2, 2.5 and 3
    assert estimate.low <= estimate.value <= estimate.high


@pytest.mark.parametrize(("over", "under"), [(2, 2), (4, 4), (4, 16), (3, 8), (8, 8)])
def test_the_interval_of_few_windows_holds_the_ratio_as_often_as_it_says(over: int, under: int) -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(2000):
        estimate = ratio_estimate(
            (3.0 * np.exp(0.1 * rng.standard_normal(over))).tolist(),
            np.exp(0.05 * rng.standard_normal(under)).tolist(),
        )
        assert estimate.confidence == 0.95
        held += estimate.low <= 3.0 <= estimate.high
    assert held / 2000 >= 0.94


def test_an_interval_of_four_rounds_worked_out_by_hand() -> None:
    """An interval that is too wide holds the ratio as well: how wide it is has to be as said.

    Logarithms of the rounds' ratios 0, 0.1, 0.2, 0.3: median 0.15, squared deviations 0.0225, 0.0025, 0.0025 and
    0.0225, over 3 degrees of freedom a variance of 0.05 / 3; of the mean a quarter of it, of the median at most pi / 2
    times that. t(0.975, 3) = 3.182.
    """
    under = [1.0, 3.0, 2.0, 4.0]
    over = [rate * math.exp(log) for rate, log in zip(under, (0.2, 0.0, 0.3, 0.1), strict=True)]
    estimate = ratio_estimate(over, under)
    factor = math.exp(3.182 * math.sqrt(math.pi / 2 * 0.05 / 3 / 4))
    assert estimate.value == pytest.approx(math.exp(0.15))
    assert estimate.high / estimate.value == pytest.approx(factor, rel=1e-4)
    assert estimate.value / estimate.low == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize("rounds", [4, 6, 10])
def test_the_interval_holds_the_ratio_on_a_drifting_machine_too(rounds: int) -> None:
    """The ratio of two medians is no better than one round's there: 84 % of 95 with ten rounds."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(2000):
        drift = np.exp(0.3 * rng.standard_normal(rounds))
        over, under = (drift * np.exp(0.05 * rng.standard_normal(rounds)) for _ in range(2))
        estimate = ratio_estimate((3.0 * over).tolist(), under.tolist())
        held += estimate.low <= 3.0 <= estimate.high
    assert held / 2000 >= 0.94


def test_one_value_on_a_side_gives_no_interval() -> None:
    estimate = ratio_estimate([2.0], [1.0, 1.1])
    assert estimate.confidence == 0.0
    assert estimate.low == estimate.value == estimate.high == 2.0 / 1.05


@pytest.mark.parametrize("values", [[], [0.0], [-1.0]])
def test_a_ratio_is_of_positive_numbers(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"positive|no values"):
        ratio_estimate([1.0], values)
    if not values:
        with pytest.raises(ValueError, match="no values"):
            median_estimate(values)


@pytest.mark.parametrize("against", ["baseline", "a row of the first day", "a row of both days"])
def test_rows_of_two_days_are_held_against_the_baseline_of_their_own(against: str) -> None:
    """The machine is three times as fast on the first day; the row is measured on the second, beside four baselines."""
    rng = np.random.default_rng(3)

    def windows(rate: float, noise: float, count: int) -> list[float]:
        return (rate * np.exp(noise * rng.standard_normal(count))).tolist()

    held = 0
    for _ in range(2000):
        baseline = {"first": windows(3.0, 0.08, 16), "second": windows(1.0, 0.08, 4)}
        above = {"second": windows(6.0, 0.04, 4)}
        below = {
            "baseline": None,
            "a row of the first day": {"first": windows(3.0 * 2.0, 0.04, 4)},
            "a row of both days": {"first": windows(3.0 * 2.0, 0.04, 2), "second": windows(2.0, 0.04, 2)},
        }[against]
        true = 6.0 if below is None else 3.0
        estimate = ratio_across_sessions(above, below, baseline)
        assert estimate.confidence == 0.95
        held += estimate.low <= true <= estimate.high
    assert held / 2000 >= 0.94


def test_where_both_sides_have_the_same_sessions_the_baseline_cancels_out() -> None:
    above = {"first": [6.0, 6.6], "second": [2.0, 2.2]}
    below = {"first": [3.0, 3.3], "second": [1.0, 1.1]}
    estimate = ratio_across_sessions(above, below, {})
    assert estimate.value == pytest.approx(2.0)
    assert estimate == ratio_across_sessions(above, below, {"first": [1.0, 9.0], "second": [5.0, 0.1]})


def test_across_sessions_one_window_of_a_configuration_says_nothing_of_its_variance() -> None:
    estimate = ratio_across_sessions({"second": [6.0]}, None, {"second": [1.0, 1.1], "first": [3.0, 3.0]})
    assert estimate.confidence == 0.0
    with pytest.raises(ValueError, match="without a window of the baseline"):
        ratio_across_sessions({"second": [6.0]}, None, {"first": [1.0, 1.1]})
