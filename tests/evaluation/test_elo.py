"""Elo differences and rating lists, with values worked out by hand."""

from __future__ import annotations

import math

import pytest

from alphazero.evaluation.elo import Pairing, PairScore, elo_difference, elo_from_score, rating_list
from alphazero.evaluation.intervals import mean_share_interval, wilson_interval


def test_wilson_interval_of_half_of_ten() -> None:
    # z = 2: (0.5 + 4/20) / 1.4 = 0.5; half width 2 sqrt(0.025 + 0.01) / 1.4 = 0.26726
    low, high = wilson_interval(0.5, 10, z=2.0)
    assert (low, high) == (pytest.approx(0.23274, abs=1e-5), pytest.approx(0.76726, abs=1e-5))


def test_wilson_interval_has_a_width_at_zero_and_one() -> None:
    # z = 2, n = 4: upper end z^2 / (n + z^2) = 4 / 8
    assert wilson_interval(0.0, 4, z=2.0) == (0.0, pytest.approx(0.5))
    assert wilson_interval(1.0, 4, z=2.0) == (pytest.approx(0.5), 1.0)


def test_wilson_interval_ends_exactly_at_zero_and_one() -> None:
    for trials in range(1, 201):
        assert wilson_interval(0.0, trials)[0] == 0.0
        assert wilson_interval(1.0, trials)[1] == 1.0
        assert elo_difference([PairScore(0.0, 2)] * trials).low is None
        assert elo_difference([PairScore(2.0, 2)] * trials).high is None


def test_equal_sets_give_the_interval_of_all_their_trials() -> None:
    mean, low, high = mean_share_interval([0.1, 0.1], [100, 100])
    assert mean == pytest.approx(0.1)
    assert (low, high) == pytest.approx(wilson_interval(0.1, 200))


def test_elo_of_known_scores() -> None:
    assert elo_from_score(0.5) == pytest.approx(0.0)
    assert elo_from_score(10 / 11) == pytest.approx(400.0)  # odds of ten to one
    assert elo_from_score(1 / 11) == pytest.approx(-400.0)
    assert elo_from_score(0.0) is None
    assert elo_from_score(1.0) is None


def test_pairs_that_cancel_out_narrow_the_interval() -> None:
    # Each opening decides both games: 1 point from 2 in every pair is no spread at all between pairs ...
    balanced = elo_difference([PairScore(1.0, 2)] * 50)
    # ... while 2 and 0 points in turn spread as widely as can be.
    swinging = elo_difference([PairScore(2.0, 2), PairScore(0.0, 2)] * 25)
    assert balanced.difference == swinging.difference == pytest.approx(0.0)
    assert balanced.high is not None and swinging.high is not None
    assert 0.0 < balanced.high < swinging.high


def test_interval_of_pairs_worked_out_by_hand() -> None:
    # Points 2, 1, 1, 0 of 2: score 0.5, residuals 1, 0, 0, -1; variance 4/3 * 2 / 64 = 1/24;
    # 0.25 / (1/24) = 6 games; Wilson for 0.5 at 6.
    elo = elo_difference([PairScore(2.0, 2), PairScore(1.0, 2), PairScore(1.0, 2), PairScore(0.0, 2)])
    low, high = wilson_interval(0.5, 6)
    assert (elo.low, elo.high) == (pytest.approx(elo_from_score(low)), pytest.approx(elo_from_score(high)))


def test_all_games_won_has_a_lower_bound_and_no_infinity() -> None:
    elo = elo_difference([PairScore(2.0, 2)] * 100)
    assert elo.difference is None and elo.high is None
    # Wilson at 100 of 100: 100 / (100 + 1.96^2) = 0.963 -> 400 log10(0.963 / 0.037)
    assert elo.low == pytest.approx(400 * math.log10(100 / 1.959964**2), abs=0.1)
    assert str(elo) == "above +566 (no point lost)"
    assert elo_difference([PairScore(0.0, 2)] * 100).high == pytest.approx(-elo.low)


def test_no_games_say_nothing() -> None:
    assert str(elo_difference([])) == "unknown"


def test_ratings_of_two_players_follow_the_score() -> None:
    # 10 of 11 points are 400 Elo; no virtual draws.
    rated = {
        r.player: r for r in rating_list([Pairing("a", "b", 100, 0, 10)], {"b": 1000.0}, virtual_draws=0)
    }
    assert rated["a"].rating == pytest.approx(1400.0)
    assert rated["b"].rating == rated["b"].low == 1000.0
    # Information: games * p * (1 - p) in natural units: 110 * 10/121 -> deviation in Elo
    deviation = 400 / math.log(10) / math.sqrt(110 * 10 / 121)
    assert rated["a"].high == pytest.approx(1400.0 + 1.959964 * deviation, abs=0.01)


def test_ratings_add_up_along_a_chain() -> None:
    chain = [Pairing("a", "b", 100, 0, 10), Pairing("b", "c", 100, 0, 10)]
    rated = rating_list(chain, {"c": 0.0}, virtual_draws=0)
    assert [r.player for r in rated] == ["a", "b", "c"]
    assert [r.rating for r in rated] == pytest.approx([800.0, 400.0, 0.0])


def test_a_player_who_never_lost_has_a_finite_rating_with_a_virtual_draw() -> None:
    # 20 wins and one draw: score 20.5 / 21, odds 41 to 1
    rated = rating_list([Pairing("a", "b", 20, 0, 0)], {"b": 0.0})
    assert rated[0].rating == pytest.approx(400 * math.log10(41.0))
    assert rated[0].games == 20


def test_games_that_were_all_won_put_no_upper_bound() -> None:
    star = [
        Pairing("final", "untrained", 60, 0, 0),
        Pairing("final", "random", 60, 0, 0),
        Pairing("final", "earlier", 38, 9, 13),
    ]
    rated = {r.player: r for r in rating_list(star, {"untrained": 0.0})}
    for name in ("final", "earlier"):  # both above somebody who was beaten, by how much nobody knows
        assert rated[name].rating is not None and rated[name].low is not None and rated[name].high is None
    assert (rated["random"].rating, rated["random"].low, rated["random"].high) == (None, None, None)
    lost = {r.player: r for r in rating_list([Pairing("a", "b", 0, 0, 20)], {"b": 0.0})}["a"]
    assert lost.low is None and lost.high is not None and lost.rating is not None
    chain = [Pairing("a", "b", 3, 0, 1), Pairing("b", "c", 3, 1, 0)]
    assert all(None not in (r.low, r.high) for r in rating_list(chain, {"c": 0.0}))


def test_a_player_without_games_to_an_anchor_has_no_rating() -> None:
    pairings = [Pairing("a", "b", 1, 1, 1), Pairing("c", "d", 1, 1, 1)]
    rated = {r.player: r.rating for r in rating_list(pairings, {"b": 0.0})}
    assert rated["a"] == pytest.approx(0.0, abs=1e-6)
    assert rated["c"] is None and rated["d"] is None


def test_ratings_need_an_anchor() -> None:
    with pytest.raises(ValueError, match="no anchors"):
        rating_list([Pairing("a", "b", 1, 0, 0)], {})
