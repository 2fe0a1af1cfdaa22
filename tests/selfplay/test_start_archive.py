"""Games begin from positions that searches came upon, and from nowhere else."""

import numpy as np
import pytest

from alphazero.config import SelfPlayConfig
from alphazero.games.registry import get_game
from alphazero.mcts.backend import RootStatistics
from alphazero.selfplay import start_archive
from alphazero.selfplay.start_archive import StartArchive
from tests.selfplay.test_game_group import group_of, hashed_evaluator, play


def root(visits, values, proven=None):
    """Statistics of a root with one move for each of `visits`; values of the moves for the player to move."""
    visits = np.array(visits, np.int32)
    return RootStatistics(
        actions=np.arange(len(visits), dtype=np.int32),
        visit_counts=visits,
        value_sums=visits * np.array(values, np.float64),
        priors=np.full(len(visits), 1 / len(visits), np.float32),
        visit_count=int(visits.sum()) + 1,
        value_sum=0.0,
        proven=np.array(proven or [0] * len(visits), np.int8),
    )


def positions_of(archive):
    return [list(moves) for moves in archive._positions]


def test_serious_moves_of_uncertain_value_that_were_not_played_are_kept():
    archive = StartArchive()
    #      played  too few  wins for sure  proven to lose  nearly lost  kept
    archive.add_alternatives(
        [3, 3],
        root([500, 19, 60, 60, 61, 100], [0.2, 0.1, 0.81, -0.5, -0.9, -0.79], [0, 0, 0, -1, 0, 0]),
        played=0,
    )
    assert positions_of(archive) == [[3, 3, 5]]


def test_the_newest_positions_take_the_place_of_the_oldest(monkeypatch):
    monkeypatch.setattr(start_archive, "CAPACITY", 3)
    archive = StartArchive()
    for move in range(5):
        archive.add_alternatives([move], root([10, 10], [0.0, 0.0]), played=0)
    assert positions_of(archive) == [[2, 1], [3, 1], [4, 1]]
    rng = np.random.default_rng(0)
    assert {archive.draw(rng)[0] for _ in range(50)} == {2, 3, 4}


@pytest.mark.parametrize(
    "others", [{}, {"random_opening_moves": 6}, {"opening_evenness": 0.9, "random_opening_moves": 6}]
)
def test_games_begin_where_a_game_before_them_did_not_go_on(others):
    group = group_of(8, SelfPlayConfig(archive_start_share=0.7, **others))
    game = get_game("connect_four")
    episodes = play(group, 120)
    played = [[*episode.opening, *episode.actions] for episode in episodes]
    played += [builder.moves for builder in group._builders]
    begun = {tuple(moves[:length]) for moves in played for length in range(len(moves))}
    from_archive = 0
    for episode in episodes:
        opening = episode.opening.tolist()
        from_archive += len(opening) > 0 and tuple(opening[:-1]) in begun
        state = game.initial_state()
        for move in opening:
            assert move in game.legal_actions(state)
            state = game.step(state, move)
        observation = np.zeros(game.observation_shape, np.uint8)
        game.encode(state, observation)
        np.testing.assert_array_equal(observation, episode.observations[0])
    assert from_archive > 0.4 * 120
    if not others:
        assert from_archive == sum(len(episode.opening) > 0 for episode in episodes) < 0.9 * 120


def test_a_move_that_ended_the_game_is_nothing_to_begin_with():
    group = group_of(8, SelfPlayConfig(archive_start_share=1.0))
    group._archive.add_alternatives = lambda *_: None
    group._archive._positions.append((0, 1, 0, 1, 0, 1, 0))
    assert all(len(episode.opening) == 0 for episode in play(group, 16))


def test_games_and_archive_repeat():
    def games():
        return play(group_of(8, SelfPlayConfig(archive_start_share=0.7, random_opening_moves=4)), 60)

    for one, other in zip(games(), games(), strict=True):
        np.testing.assert_array_equal(one.opening, other.opening)
        np.testing.assert_array_equal(one.policy_visits, other.policy_visits)


def test_nothing_is_archived_without_a_trained_network_or_of_fast_searches():
    assert all(
        len(episode.opening) == 0
        for episode in play(group_of(8, SelfPlayConfig(archive_start_share=1.0)), 40, version=0)
    )
    group = group_of(8, SelfPlayConfig(archive_start_share=1.0, full_search_share=0.01, fast_simulations=20))
    play(group, 24)
    assert 0 < len(group._archive) < 100


def test_games_begun_at_a_random_stage_for_measuring_are_not_archived():
    group = group_of(8, SelfPlayConfig(archive_start_share=1.0), stagger=True)
    for _ in range(400):
        rows = group.collect()
        group.apply(*hashed_evaluator(group.search.observations[:rows]), 3)
        if len(group._staggered) == 8:
            assert len(group._archive) == 0
    assert len(group._staggered) < 8 and len(group._archive) > 0
    assert all(len(set(moves)) <= 7 for moves in group._archive._positions)
