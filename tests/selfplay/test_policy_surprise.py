"""A game's weight goes to where the search disagreed with the network, and none of it is lost."""

import math

import numpy as np
import pytest

from alphazero.selfplay.policy_surprise import NO_PART, draw_copies, policy_surprises, surprise_weights


def visits(*counts):
    return np.array(counts, np.int32)


def priors(*shares):
    return np.array(shares, np.float32)


def policy_surprise(policy_visits, priors):
    """Of one position."""
    (surprise,) = policy_surprises(policy_visits, priors, np.array([0, len(priors)]))
    return surprise


def test_the_surprise_is_the_divergence_of_the_target_from_the_prior():
    # 3/4 log(3/4 / 1/2) + 1/4 log(1/4 / 1/2) = 3/4 log 3/2 - 1/4 log 2 = 0.304099 - 0.173287
    assert policy_surprise(visits(600, 200), priors(0.5, 0.5)) == pytest.approx(0.130812, abs=1e-6)
    # all visits on a move of prior 1/8, moves without visits count for nothing: log 8
    assert policy_surprise(visits(0, 50, 0), priors(0.5, 0.125, 0.375)) == pytest.approx(math.log(8))


def test_what_the_network_thought_is_no_surprise():
    assert policy_surprise(visits(50, 25, 25), priors(0.5, 0.25, 0.25)) == 0.0
    assert policy_surprise(visits(7), priors(1.0)) == 0.0


def test_a_move_that_the_network_rules_out_is_a_great_but_finite_surprise():
    assert 80 < policy_surprise(visits(0, 9), priors(1.0, 0.0)) < 90


def test_without_visits_there_is_no_surprise_to_speak_of():
    assert math.isnan(policy_surprise(visits(0, 0), priors(0.5, 0.5)))


def test_positions_that_stand_one_after_the_other_surprise_as_by_themselves():
    positions = [
        (visits(600, 200), priors(0.5, 0.5)),
        (visits(0, 0), priors(0.5, 0.5)),
        (visits(9), priors(1.0)),
        (visits(1, 2, 3, 4), priors(0.4, 0.3, 0.2, 0.1)),
    ]
    together = policy_surprises(
        *(np.concatenate(arrays) for arrays in zip(*positions, strict=True)), np.array([0, 2, 4, 5, 9])
    )
    np.testing.assert_array_equal(together, [policy_surprise(*position) for position in positions])


def test_half_of_the_weight_goes_by_surprise():
    # 0.5 + 0.5 * 4 * surprise / 0.8
    weights = surprise_weights(np.array([0.0, 0.1, 0.7, 0.0]), 0.5)
    np.testing.assert_allclose(weights, [0.5, 0.75, 2.25, 0.5])


def test_positions_without_a_target_keep_their_weight_and_the_others_share_theirs():
    # three with a part: 0.75 + 0.25 * 3 * surprise / 1.5
    weights = surprise_weights(np.array([0.3, NO_PART, 1.2, 0.0, NO_PART]), 0.25)
    np.testing.assert_allclose(weights, [0.9, 1, 1.35, 0.75, 1])


@pytest.mark.parametrize("surprises", [[0.0, 0.0], [NO_PART, NO_PART], [NO_PART, 0.4], []])
def test_where_nothing_surprises_more_than_the_rest_all_weights_are_1(surprises):
    assert (surprise_weights(np.array(surprises, np.float64), 0.5) == 1).all()


def test_copies_are_the_whole_numbers_that_the_weights_pass():
    class Fixed:
        def random(self):
            return 0.4

    assert draw_copies(np.array([0.5, 0.75, 2.25, 0.5]), Fixed()).tolist() == [0, 1, 2, 1]


def test_a_game_keeps_its_number_of_rows_and_each_position_its_weight_on_average():
    rng = np.random.default_rng(0)
    weights = surprise_weights(rng.exponential(size=30), 0.5)
    drawn = np.stack([draw_copies(weights, rng) for _ in range(4000)])
    assert (drawn.sum(axis=1) == 30).all()
    assert (drawn >= np.floor(weights)).all() and (drawn <= np.ceil(weights)).all()
    # the last copy is drawn with a probability whose standard error is at most 0.5 / sqrt(4000) = 0.008
    np.testing.assert_allclose(drawn.mean(axis=0), weights, atol=0.04)


def test_rows_are_as_many_as_positions_whatever_the_rounding():
    rng = np.random.default_rng(1)
    for _ in range(2000):
        count = int(rng.integers(1, 400))
        weights = surprise_weights(rng.exponential(size=count) * (rng.random(count) < 0.5), 1.0)
        copies = draw_copies(weights, rng)
        assert copies.min() >= 0 and copies.sum() == count


def test_equal_weights_give_one_copy_each():
    assert (draw_copies(np.ones(40), np.random.default_rng(0)) == 1).all()
    assert len(draw_copies(np.ones(0), np.random.default_rng(0))) == 0
