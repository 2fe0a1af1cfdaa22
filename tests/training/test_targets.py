"""Visit counts become policy targets over legal actions."""

import dataclasses

import numpy as np
import pytest

from alphazero.games.registry import get_game
from alphazero.training.targets import NO_ACTION, padded_visits, visit_shares
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
