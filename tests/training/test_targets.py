"""Visit counts become policy targets over legal actions; outcomes and searches become value targets."""

import dataclasses

import numpy as np
import pytest

from alphazero.games.registry import get_game
from alphazero.records import Episode
from alphazero.training.targets import (
    NO_ACTION,
    NOBODY,
    NOT_TAUGHT,
    OPPONENT,
    OWN,
    ownership_targets,
    padded_visits,
    value_targets,
    visit_shares,
)
from tests.training.random_episode import play_episode


def test_policy_target_is_the_share_of_visits_and_nothing_where_there_is_no_action() -> None:
    visit_counts = np.array([[6, 0, 2], [5, 0, 0]], dtype=np.uint16)
    # first row: 6 / 8, 0 / 8, 2 / 8
    assert visit_shares(visit_counts).tolist() == [[0.75, 0.0, 0.25], [1.0, 0.0, 0.0]]


def test_position_without_visits_has_no_policy_target() -> None:
    visit_counts = np.array([[0, 0], [1, 3]], dtype=np.uint16)
    assert visit_shares(visit_counts).tolist() == [[0.0, 0.0], [0.25, 0.75]]


def test_rows_are_padded_to_equal_width() -> None:
    episode = play_episode(get_game("connect_four"), np.random.default_rng(0))
    actions, visit_counts = padded_visits(episode, width=7)
    for ply in range(len(episode)):
        start, end = episode.policy_offsets[ply : ply + 2]
        count = end - start
        assert actions[ply, :count].tolist() == episode.policy_actions[start:end].tolist()
        assert visit_counts[ply, :count].tolist() == episode.policy_visits[start:end].tolist()
        assert (actions[ply, count:] == NO_ACTION).all()
        assert (visit_counts[ply, count:] == 0).all()


@pytest.mark.parametrize(("visits", "kept"), [(65535, 65535), (65536, 32768), (800_000, 50_000)])
def test_counts_too_large_for_16_bits_are_halved_until_they_fit(visits: int, kept: int) -> None:
    # 800,000 / 16 = 50,000
    episode = play_episode(get_game("connect_four"), np.random.default_rng(0), moves=[3])
    episode = dataclasses.replace(episode, policy_visits=np.full(7, visits, dtype=np.int32))
    assert padded_visits(episode, width=7)[1].tolist() == [[kept] * 7]


def three_moves(weights_versions: list[int]) -> Episode:
    """Return a game of three moves that the player who begins has won."""
    episode = play_episode(get_game("connect_four"), np.random.default_rng(0), moves=[3, 3, 3])
    return dataclasses.replace(
        episode,
        outcomes=np.array([1, -1, 1], np.float32),
        root_values=np.array([0.2, -0.4, 0.6], np.float32),
        weights_versions=np.array(weights_versions, np.int32),
    )


@pytest.mark.parametrize(
    ("root_value_share", "td_lambda", "expected"),
    [
        (0.0, 1.0, [1.0, -1.0, 1.0]),
        (0.5, 1.0, [0.6, -0.7, 0.8]),
        (1.0, 0.5, [0.2, -0.4, 0.6]),
        (0.0, 0.0, [0.2, -0.4, 0.6]),
        # 0.5 * 0.6 + 0.5 * 1 = 0.8; 0.5 * -0.4 - 0.5 * 0.8 = -0.6; 0.5 * 0.2 + 0.5 * 0.6 = 0.4
        (0.0, 0.5, [0.4, -0.6, 0.8]),
        (0.5, 0.5, [0.3, -0.5, 0.7]),
    ],
)
def test_value_targets_worked_out_by_hand(
    root_value_share: float, td_lambda: float, expected: list[float]
) -> None:
    targets = value_targets(three_moves([1, 1, 2]), root_value_share, td_lambda)
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, expected, atol=1e-6)


def test_a_search_without_a_trained_network_has_no_say_in_what_came_before() -> None:
    # move 1 hands on what follows: 0.5 * 0.2 + 0.5 * 0.8 = 0.5
    np.testing.assert_allclose(value_targets(three_moves([1, 0, 1]), 0.0, 0.5), [0.5, -0.8, 0.8], atol=1e-6)
    assert value_targets(three_moves([0, 0, 0]), 0.0, 0.5).tolist() == [1.0, -1.0, 1.0]


def test_a_search_without_a_trained_network_says_what_it_has_proven_and_nothing_else() -> None:
    game = three_moves([0, 0, 1])
    assert value_targets(game, 0.5).tolist() == pytest.approx([1.0, -1.0, 0.8])
    proven = dataclasses.replace(game, root_values=np.array([-1.0, -0.4, 0.6], np.float32))
    assert value_targets(proven, 0.5).tolist() == pytest.approx([0.0, -1.0, 0.8])


def test_owners_are_those_of_the_final_position_as_the_player_to_move_sees_it() -> None:
    # 0 1 2     moves 0 4 2 6 1: the first player fills the top row
    # 3 4 5
    # 6 7 8
    episode = play_episode(get_game("tic_tac_toe"), np.random.default_rng(0), moves=[0, 4, 2, 6, 1])
    first = [OWN, OWN, OWN, NOBODY, OPPONENT, NOBODY, OPPONENT, NOBODY, NOBODY]
    second = [OPPONENT, OPPONENT, OPPONENT, NOBODY, OWN, NOBODY, OWN, NOBODY, NOBODY]
    expected = [first, second, first, second, first]
    for ply, taken in enumerate([[], [0], [0, 4], [0, 4, 2], [0, 4, 2, 6]]):
        for cell in taken:
            expected[ply] = [*expected[ply][:cell], NOT_TAUGHT, *expected[ply][cell + 1 :]]
    assert ownership_targets(episode).tolist() == expected


def test_a_game_that_was_given_up_teaches_no_owners() -> None:
    episode = play_episode(get_game("connect_four"), np.random.default_rng(0), moves=[3, 3])
    assert episode.final_observation is None
    assert (ownership_targets(episode) == NOT_TAUGHT).all()
