"""Sequential halving at the root, and the improved policy that it leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.mcts.backend import RootStatistics
from alphazero.mcts.gumbel import SHARES, SequentialHalving, halving_phases, improved_policy, policy_shares
from alphazero.mcts.search import BatchedSearch

CONFIG = SearchConfig(root_search="gumbel")


def root(
    priors: list[float], visit_counts: list[int], q_values: list[float], own_value: float = 0.0
) -> RootStatistics:
    visits = np.array(visit_counts, np.int32)
    value_sums = visits * np.array(q_values)
    return RootStatistics(
        actions=10 * np.arange(len(priors), dtype=np.int32),
        visit_counts=visits,
        value_sums=value_sums,
        priors=np.array(priors, np.float32),
        visit_count=1 + int(visits.sum()),
        value_sum=own_value + float(value_sums.sum()),
        proven=np.zeros(len(priors), np.int8),
    )


@pytest.mark.parametrize(
    ("considered", "simulations", "phases"),
    [
        # Figure 1 of the paper: 16 actions reach 3 visits, 8 of them 9, 4 of them 21, 2 of them 49.
        (16, 200, [(16, 16 * 3), (8, 8 * 6), (4, 4 * 12), (2, 2 * 28)]),
        (4, 16, [(4, 8), (2, 8)]),
        (8, 24, [(8, 8), (4, 8), (2, 8)]),
        (
            7,
            24,
            [(7, 7), (3, 6), (2, 10), (1, 1)],
        ),  # ceil(log2(7)) = 3 phases; 24 // 9 = 2 visits each in the second
        (8, 13, [(8, 8), (4, 4), (2, 1)]),  # at least one visit each, until none are left
        (8, 10, [(8, 8), (4, 2)]),
        (2, 2, [(2, 2)]),
        (1, 16, [(1, 16)]),
    ],
)
def test_the_schedule_of_the_paper(considered: int, simulations: int, phases: list[tuple[int, int]]) -> None:
    assert halving_phases(considered, simulations) == phases


def test_every_schedule_spends_all_simulations_on_fewer_and_fewer_actions() -> None:
    for considered in range(1, 20):
        for simulations in range(considered, 130):
            phases = halving_phases(considered, simulations)
            assert sum(visits for _, visits in phases) == simulations
            assert all(visits > 0 for _, visits in phases)
            actions = [count for count, _ in phases]
            assert actions[0] == considered and actions == sorted(set(actions), reverse=True)


def test_the_better_half_goes_on_and_the_best_of_the_most_visited_wins() -> None:
    """m = 4, n = 10: 10 // (2 * 4) = 1 visit for each of 4 actions, then 6 are left for 2 of them."""
    noise = np.array([0.0, 0.0, 3.0, 0.0, 0.0])
    priors = [0.3, 0.3, 0.05, 0.05, 0.3]
    halving = SequentialHalving(SearchConfig(gumbel_considered=4), 10, noise)
    assert halving.simulations == 4
    # log(0.05) + 3 is the highest; of the three with 0.3 all are in; 0.05 without noise is out.
    assert halving.next_quota(root(priors, [0] * 5, [0.0] * 5)).tolist() == [1, 1, 1, 0, 1]
    assert halving.simulations == 6
    after = root(priors, [1, 1, 1, 0, 1], [0.1, -0.5, -0.9, 0.0, 0.4])
    assert halving.next_quota(after).tolist() == [3, 0, 0, 0, 3]
    assert halving.simulations == 0
    last = root(priors, [4, 1, 1, 0, 4], [0.3, 0.9, -0.9, 0.0, 0.2])
    assert halving.winner(last) == 0  # action 1 would be better, but is out
    last = root(priors, [4, 1, 1, 0, 4], [0.3, 0.9, -0.9, 0.0, 0.4])
    assert halving.winner(last) == 40


def test_the_last_of_an_odd_number_goes_to_the_better_one_which_then_wins() -> None:
    halving = SequentialHalving(CONFIG, 3, np.zeros(2))
    assert halving.simulations == 2
    assert halving.next_quota(root([0.4, 0.6], [0, 0], [0.0, 0.0])).tolist() == [1, 1]
    assert halving.simulations == 1
    assert halving.next_quota(root([0.4, 0.6], [1, 1], [0.9, -0.9])).tolist() == [
        1,
        0,
    ]  # by what was found so far
    assert halving.winner(root([0.4, 0.6], [2, 1], [-0.9, -0.9])) == 0  # the paper: of the most visited ones


def test_visits_from_before_count_in_values_but_not_in_quotas() -> None:
    halving = SequentialHalving(SearchConfig(gumbel_considered=4), 8, np.zeros(4))
    kept = root([0.25] * 4, [100, 0, 0, 7], [-0.5, 0.0, 0.0, 0.5])
    assert halving.next_quota(kept).tolist() == [1, 1, 1, 1]
    after = root([0.25] * 4, [101, 1, 1, 8], [-0.5, -0.7, 0.4, 0.5])
    assert halving.next_quota(after).tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("proven", "quota", "winner"),
    [
        ([0, 0, 0], [2, 2, 0], 0),
        ([-1, 0, 0], [0, 2, 2], 10),
        ([-1, -1, -1], [2, 2, 0], 0),
        ([0, 0, 1], [2, 2, 0], 20),
    ],
)
def test_what_is_proven_goes_before_values(proven: list[int], quota: list[int], winner: int) -> None:
    found = root([0.5, 0.3, 0.2], [0, 0, 0], [0.0] * 3)
    found.proven[:] = proven
    halving = SequentialHalving(SearchConfig(gumbel_considered=2), 4, np.zeros(3))
    assert halving.next_quota(found).tolist() == quota
    assert halving.winner(found) == winner


def test_if_all_that_are_left_lose_any_other_move_may_win() -> None:
    halving = SequentialHalving(SearchConfig(gumbel_considered=2), 4, np.zeros(3))
    halving.next_quota(root([0.5, 0.3, 0.2], [0, 0, 0], [0.0] * 3))
    found = root([0.5, 0.3, 0.2], [2, 2, 0], [-1.0, -1.0, 0.0])
    found.proven[:2] = -1
    assert halving.winner(found) == 20


def test_the_improved_policy_worked_out_by_hand() -> None:
    """c_visit = 3, one visit at most: values from 0 to 1 count fourfold.

    Actions 0 and 1 have Q 0.5 and -0.5, so 4 * 0.75 = 3 and 4 * 0.25 = 1. Action 2 has the mixed value: the mean Q by
    prior is (0.5 * 0.5 - 0.25 * 0.5) / 0.75 = 1 / 6, and (0 + 2 / 6) / 3 = 1 / 9, so 4 * (10 / 9) / 2 = 20 / 9.
    """
    config = SearchConfig(gumbel_c_visit=3.0)
    found = root([0.5, 0.25, 0.25], [1, 1, 0], [0.5, -0.5, 0.0])
    weights = np.array([0.5 * math.exp(3), 0.25 * math.exp(1), 0.25 * math.exp(20 / 9)])
    policy = improved_policy(found, config)
    assert policy == pytest.approx(weights / weights.sum(), rel=1e-12)
    shares = policy_shares(found, config)
    assert shares.dtype == np.int32
    assert shares.tolist() == [round(SHARES * share) for share in policy]
    assert abs(int(shares.sum()) - SHARES) <= len(shares) / 2


def test_what_is_proven_is_worth_what_it_is_proven_to_be() -> None:
    found = root([0.4, 0.3, 0.3], [2, 2, 0], [-0.5, 0.5, 0.0])
    found.proven[:2] = 1, -1  # found out with the last visits: the means say the opposite
    surely = root([0.4, 0.3, 0.3], [2, 2, 0], [1.0, -1.0, 0.0])
    config = SearchConfig(gumbel_c_visit=3.0)
    policy, expected = improved_policy(found, config), improved_policy(surely, config)
    assert policy[0] / policy[1] == pytest.approx(expected[0] / expected[1])
    assert policy[0] > 0.8 and policy[1] < 0.01


def test_the_own_value_of_the_root_counts_for_what_was_not_visited() -> None:
    low, high = (
        improved_policy(root([0.5, 0.5], [1, 0], [0.0, 0.0], own_value), CONFIG) for own_value in (-0.5, 0.5)
    )
    assert low[1] < 0.5 < high[1]


def test_a_prior_of_nought_is_no_trouble() -> None:
    policy = improved_policy(root([1.0, 0.0], [0, 0], [0.0, 0.0]), CONFIG)
    assert policy.tolist() == pytest.approx([1.0, 0.0], abs=1e-30)


def winner_of_a_search(backend: str, simulations: int, seed: int) -> tuple[int, RootStatistics]:
    """Search tic-tac-toe where action 2 wins at once, of 5 legal ones; the network knows nothing.

    X X .
    O O .     X moves.
    . . .
    """
    search = BatchedSearch(get_game("tic_tac_toe"), 1, SearchConfig(mcts_backend=backend))
    search.set_position(0, [0, 3, 1, 4])
    noise = np.random.default_rng(seed).gumbel(size=5)
    halving = SequentialHalving(CONFIG, simulations, noise)
    while halving.simulations:
        search.begin(0, halving.simulations, root_quota=halving.next_quota)
        while rows := search.collect(np.zeros(1, np.int32)):
            search.apply(np.zeros((rows, 9), np.float32), np.zeros(rows, np.float32))
    statistics = search.root_statistics(0)
    assert statistics.visit_counts.sum() == simulations
    return halving.winner(statistics), statistics


def test_five_simulations_find_a_win_among_five_moves(backend: str) -> None:
    for seed in range(20):
        action, statistics = winner_of_a_search(backend, 5, seed)
        assert action == 2
        assert policy_shares(statistics, CONFIG)[0] > 0.99 * SHARES  # action 2 is the lowest legal one


def test_even_two_simulations_improve_on_the_policy(backend: str) -> None:
    """Two of five moves are drawn: the winning one is among them in 2 of 5 searches, and then it is played.

    The policy itself finds it in 1 of 5. Of 100 searches, 40 +- 5.
    """
    found = [winner_of_a_search(backend, 2, seed)[0] == 2 for seed in range(100)]
    assert 30 <= sum(found) <= 50
