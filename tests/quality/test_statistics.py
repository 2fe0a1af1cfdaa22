"""Differences of configurations: the right spread is counted, and the verdict is right on planted cases."""

from __future__ import annotations

import numpy as np
import pytest

from alphazero.quality.comparison import compare
from alphazero.quality.statistics import (
    Estimate,
    FloatArray,
    difference_of_means,
    elo_of_score,
    score_of_matches,
)
from alphazero.quality.verdict import NO_WORSE, NOT_SHOWN, WORSE, Judgement, overall
from alphazero.student import student_probability, student_quantile

SETS = ["easy"] * 60 + ["hard"] * 60
MARGINS = {"policy_error": 0.03, "elo_difference": 120.0}


def made_up_runs(
    rng: np.random.Generator, runs: int, error: float, seed_spread: float, difficulty: FloatArray
) -> FloatArray:
    """Return errors [runs, P]: a run is better or worse than its kind by seed_spread, a position by its own."""
    of_run = rng.normal(error, seed_spread, (runs, 1))
    return (rng.random((runs, len(difficulty))) < np.clip(of_run + difficulty, 0, 1)).astype(np.float64)


@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [  # from printed tables
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.95, 3, 2.353),
        (0.975, 10, 2.228),
        (0.975, 100, 1.984),
        (0.975, float("inf"), 1.960),
        (0.5, 4, 0.0),
    ],
)
def test_quantiles_are_those_of_printed_tables(probability: float, freedom: float, expected: float) -> None:
    assert student_quantile(probability, freedom) == pytest.approx(expected, abs=5e-4)


def test_quantile_and_probability_are_inverse_for_freedom_that_is_not_whole() -> None:
    assert student_probability(student_quantile(0.9, 3.7), 3.7) == pytest.approx(0.9)


def test_a_quantile_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="freedom"):
        student_quantile(0.9, 0.5)


def test_a_difference_worked_out_by_hand() -> None:
    """Two runs each, two positions of one set, no position effect in the difference.

    Run means: candidate 1.0 and 0.0, reference 0.5 and 0.5. Difference 0. Candidate's runs: variance
    ((0.5)^2 + (0.5)^2) / 1 = 0.5, of the mean 0.25, 1 degree of freedom; the reference's 0. Residuals: candidate
    0 (its rows are constant); reference rows are [1, 0] and [0, 1]: residuals +-0.5, four of 0.25, over 1 x 1:
    1.0, times the sum of squared weights 2 x 0.25, is 0.5 for a run and 0.25 for the mean of two. Positions:
    differences 0 and 0, so nothing; less the residual stays nothing. t(0.975, 1) x sqrt(0.25) = 6.353.
    """
    estimate = difference_of_means([[1, 1], [0, 0]], [[1, 0], [0, 1]], ["only", "only"])
    assert estimate.value == 0.0
    assert estimate.high == pytest.approx(12.706 * 0.5, abs=1e-3)
    assert estimate.low == pytest.approx(-12.706 * 0.5, abs=1e-3)


def test_every_set_counts_the_same_however_many_positions_it_has() -> None:
    sets = ["small"] * 2 + ["large"] * 8
    candidate = np.array([[1.0, 1.0] + [0.0] * 8] * 2)
    assert difference_of_means(candidate, np.zeros((2, 10)), sets).value == 0.5


def test_one_run_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        difference_of_means(np.zeros((1, 4)), np.zeros((3, 4)), ["only"] * 4)
    with pytest.raises(ValueError, match="at least 2"):
        score_of_matches(np.full((1, 3), 0.5))


def test_runs_that_agree_in_everything_have_an_interval_without_width() -> None:
    zeros = np.zeros((3, 4))
    assert difference_of_means(zeros, zeros, ["only"] * 4) == Estimate(0.0, 0.0, 0.0)


def test_matches_whose_means_happen_to_agree_are_not_known_for_certain() -> None:
    estimate = score_of_matches([[0.75, 0.25], [0.25, 0.75]])
    assert estimate.value == 0.5
    assert (
        estimate.low is not None and estimate.low < 0.0
    )  # two runs each, and a quarter of the points either way
    agreeing = np.array([[0.7, 0.3, 0.5], [0.3, 0.5, 0.7], [0.5, 0.7, 0.3]])
    wide, narrow = score_of_matches(agreeing), score_of_matches(0.5 + (agreeing - 0.5) / 10)
    assert wide.low is not None and narrow.low is not None
    assert wide.low < narrow.low < 0.5


@pytest.mark.parametrize("runs", [3, 6])
@pytest.mark.parametrize("seed_spread", [0.0, 0.03])
def test_intervals_hold_the_truth_as_often_as_they_say(runs: int, seed_spread: float) -> None:
    """With few runs too, where a bootstrap over three runs holds it in about four of five cases."""
    rng = np.random.default_rng(runs)
    held, trials = 0, 400
    for _ in range(trials):
        difficulty = rng.uniform(-0.15, 0.25, len(SETS))
        one, other = (made_up_runs(rng, runs, 0.2, seed_spread, difficulty) for _ in range(2))
        estimate = difference_of_means(one, other, SETS)
        assert estimate.low is not None and estimate.high is not None
        held += estimate.low <= 0.0 <= estimate.high
    assert 0.93 <= held / trials <= 0.995


def test_positions_alone_would_hide_the_spread_between_seeds() -> None:
    """With many positions and two very different runs, the interval stays as wide as the runs are apart."""
    rng = np.random.default_rng(0)
    sets = ["only"] * 4000
    runs = np.stack([(rng.random(4000) < error).astype(float) for error in (0.1, 0.3)])
    estimate = difference_of_means(runs, runs[::-1], sets)
    assert estimate.high is not None and estimate.high > 0.2


def matches(rng: np.random.Generator, runs: int, elo: float, seed_spread: float, games: int) -> FloatArray:
    """Return points [R, R'] of runs whose strength differs by `elo`, each by its own luck besides."""
    ours, theirs = (rng.normal(centre, seed_spread, runs) for centre in (elo, 0.0))
    expected = 1 / (1 + 10 ** (-(ours[:, None] - theirs[None, :]) / 400))
    return rng.binomial(games, expected) / games


def test_scores_of_matches_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held, trials = 0, 400
    for _ in range(trials):
        estimate = score_of_matches(matches(rng, 4, 0.0, 40.0, 8))
        assert estimate.low is not None and estimate.high is not None
        held += estimate.low <= 0.5 <= estimate.high
    assert 0.93 <= held / trials <= 0.995


def test_elo_of_a_score() -> None:
    assert elo_of_score(Estimate(0.5, 0.36, 0.64), 100).value == 0.0
    assert elo_of_score(Estimate(0.5, 0.36, 0.64), 100).high == pytest.approx(100, abs=1)
    won = elo_of_score(Estimate(1.0, 0.9, 1.1), 10)
    assert won.value == pytest.approx(511.5, abs=1) and won.high is None  # 9.5 of 10 points


@pytest.mark.parametrize(
    ("score", "runs", "verdict"),
    [
        (0.0, 2, WORSE),
        (1.0, 2, NO_WORSE),
        (0.5, 2, NOT_SHOWN),  # four games, all drawn: they say little
        (0.5, 8, NO_WORSE),
    ],
)
def test_matches_that_all_ended_alike_are_judged_as_few_games(score: float, runs: int, verdict: str) -> None:
    elo = elo_of_score(score_of_matches(np.full((runs, runs), score)), games=8 * runs * runs)
    assert Judgement("elo_difference", elo, MARGINS["elo_difference"]).verdict == verdict


# ---- verdicts ----


@pytest.mark.parametrize(
    ("metric", "low", "high", "verdict"),
    [
        ("policy_error", -0.05, 0.02, NO_WORSE),
        ("policy_error", 0.01, 0.02, NO_WORSE),  # worse for certain, and for certain by less than the margin
        ("policy_error", 0.01, 0.05, WORSE),
        ("policy_error", 0.05, 0.09, WORSE),
        ("policy_error", -0.01, 0.05, NOT_SHOWN),
        ("elo_difference", -90.0, 20.0, NO_WORSE),  # higher is better: the margin is below
        ("elo_difference", -150.0, -10.0, WORSE),
        ("elo_difference", -150.0, 10.0, NOT_SHOWN),
        ("elo_difference", None, -10.0, WORSE),
        ("elo_difference", 10.0, None, NO_WORSE),
    ],
)
def test_verdict_of_an_interval(metric: str, low: float | None, high: float | None, verdict: str) -> None:
    assert Judgement(metric, Estimate(0.0, low, high), MARGINS[metric]).verdict == verdict


def test_all_metrics_with_a_margin_must_agree() -> None:
    good = Judgement("policy_error", Estimate(0.0, -0.01, 0.01), 0.03)
    open_ = Judgement("search_error", Estimate(0.0, -0.05, 0.05), 0.03)
    bad = Judgement("value_error", Estimate(0.1, 0.05, 0.15), 0.03)
    reported = Judgement("value_mse", Estimate(0.1, 0.05, 0.15), None)
    assert overall([good, reported]) == NO_WORSE
    assert overall([good, open_]) == NOT_SHOWN
    assert overall([good, open_, bad]) == WORSE
    assert overall([reported]) == NOT_SHOWN


def planted(seed: int, worse_by: float, elo: float, runs: int = 6) -> str:
    """Return the verdict on a configuration whose policy errs by `worse_by` more and that plays at `elo`."""
    rng = np.random.default_rng(seed)
    sets = [name for name in ("a", "b", "c", "d", "e", "f") for _ in range(500)]
    difficulty = rng.uniform(-0.15, 0.25, len(sets))
    kinds = [
        [{"policy_error": run} for run in made_up_runs(rng, runs, error, 0.01, difficulty)]
        for error in (0.2 + worse_by, 0.2)
    ]
    points = matches(rng, runs, elo, 30.0, 8)
    return compare(kinds[0], kinds[1], sets, MARGINS, points, 8 * runs * runs).verdict


def test_two_identical_configurations_are_accepted_and_a_much_worse_one_is_rejected() -> None:
    """With the spread between seeds that the plan's margins are made for."""
    same = [planted(seed, 0.0, 0.0) for seed in range(60)]
    assert same.count(NO_WORSE) >= 45
    assert same.count(WORSE) <= 3
    worse = [planted(seed, 0.06, -150.0) for seed in range(60)]
    assert worse.count(WORSE) >= 57
    assert NO_WORSE not in worse


def test_what_is_worse_by_the_margin_is_hardly_ever_accepted() -> None:
    accepted = [planted(seed, 0.03, 0.0) for seed in range(100)].count(NO_WORSE)
    assert accepted <= 7  # 2.5 % are to be expected


def test_the_comparison_shows_each_set_and_the_mean_over_them() -> None:
    candidate = [
        {"policy_error": np.array([1.0, 0.0, 0.0, 0.0])},
        {"policy_error": np.array([1.0, 1.0, 0.0, 0.0])},
    ]
    reference = [{"policy_error": np.zeros(4)}] * 2
    found = compare(candidate, reference, ["a", "a", "b", "b"], {}).sets
    assert [(each.set, each.candidate, each.difference.value) for each in found] == [
        ("a", 0.75, 0.75),
        ("b", 0.0, 0.0),
        ("mean", 0.375, 0.375),
    ]
