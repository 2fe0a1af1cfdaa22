"""Games in lock step: each plays as if it were alone, and what it records is what happened."""

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.selfplay.game_group import GameGroup

SEARCH = SearchConfig(simulations=20)


def hashed_evaluator(observations):
    """A fixed pseudo-random network: the answer for a row depends on that row alone."""
    rows = observations.reshape(len(observations), -1).astype(np.uint64)
    weights = np.arange(1, rows.shape[1] + 1, dtype=np.uint64) * np.uint64(2654435761)
    state = (rows * weights).sum(axis=1) % np.uint64(1_000_003)
    columns = np.arange(1, 8, dtype=np.uint64)
    logits = (state[:, None] * columns % np.uint64(101)).astype(np.float32) / 50.0
    return logits, (state % np.uint64(201)).astype(np.float32) / 100.0 - 1.0


def play(group, episodes_wanted, version=3):
    episodes = []
    while len(episodes) < episodes_wanted:
        rows = group.collect()
        logits, values = hashed_evaluator(group.search.observations[:rows])
        group.apply(logits, values, version)
        episodes += group.take_episodes()
    return episodes


def group_of(num_games, **changes):
    arguments = {"seed": 5, "actor": 2, "actor_games": 8} | changes
    return GameGroup(get_game("connect_four"), SEARCH, num_games, **arguments)


def test_a_game_does_not_depend_on_the_games_beside_it():
    together = {episode.game_index: episode for episode in play(group_of(8), 8)}
    for slot in (0, 5):
        alone = play(group_of(1, first_slot=slot), 1)[0]
        assert alone.game_index == slot
        np.testing.assert_array_equal(alone.actions, together[slot].actions)
        np.testing.assert_array_equal(alone.policy_visits, together[slot].policy_visits)
        np.testing.assert_array_equal(alone.root_values, together[slot].root_values)


@pytest.mark.parametrize("changes", [{"seed": 6}, {"actor": 3}, {"launch": 1}])
def test_other_seeds_actors_and_launches_play_other_games(changes):
    here = play(group_of(4), 4)
    there = play(group_of(4, **changes), 4)
    assert [list(episode.actions) for episode in here] != [list(episode.actions) for episode in there]


def test_an_episode_records_the_game_that_was_played():
    game = get_game("connect_four")
    for episode in play(group_of(4), 6):
        state = game.initial_state()
        observation = np.empty(game.observation_shape, np.uint8)
        for move, action in enumerate(episode.actions):
            game.encode(state, observation)
            np.testing.assert_array_equal(episode.observations[move], observation)
            children = slice(*episode.policy_offsets[move : move + 2])
            assert list(episode.policy_actions[children]) == game.legal_actions(state)
            visits = episode.policy_visits[children]
            assert visits[list(episode.policy_actions[children]).index(action)] > 0
            state = game.step(state, int(action))
        # the outcome of the last move is for the player who made it, and alternates backwards
        final = game.terminal_value(state)
        assert final is not None
        assert episode.outcomes[-1] == -final
        assert list(episode.outcomes[::-1][:2]) == [-final, final]
        assert set(episode.weights_versions) == {3}


def test_without_tree_reuse_every_move_has_exactly_the_simulations_asked_for():
    config = SearchConfig(simulations=20, tree_reuse=False)
    group = GameGroup(get_game("connect_four"), config, 4, seed=1)
    for episode in play(group, 4):
        totals = np.add.reduceat(episode.policy_visits, episode.policy_offsets[:-1])
        assert set(totals) == {20}


def test_fast_searches_have_fewer_simulations_no_noise_and_no_policy_target():
    noise_of = []

    class Watched(GameGroup):
        def _root_noise(self, tree, num_children):
            noise_of.append(tree)
            return super()._root_noise(tree, num_children)

    config = SearchConfig(simulations=20, tree_reuse=False)
    group = Watched(get_game("connect_four"), config, 8, seed=1, full_search_share=0.25, fast_simulations=5)
    episodes = play(group, 40)
    totals = np.concatenate(
        [np.add.reduceat(each.policy_visits, each.policy_offsets[:-1]) for each in episodes]
    )
    assert set(totals) == {0, 20}  # visits of fast searches are not handed on
    assert 0.2 < np.mean(totals == 20) < 0.3
    counts = group.take_counts()
    full = len(noise_of)
    assert counts.positions * 0.2 < full < counts.positions * 0.3
    expected = 20 * full + 5 * (counts.positions - full)
    assert expected - 8 * 20 <= counts.simulations <= expected + 8 * 20  # eight searches are under way


def test_with_tree_reuse_the_simulations_come_on_top_of_the_kept_subtree():
    episode = play(group_of(4), 1)[0]
    totals = np.add.reduceat(episode.policy_visits, episode.policy_offsets[:-1])
    assert totals[0] == 20
    assert (totals >= 20).all() and (totals > 20).any()


def test_counts_include_unfinished_searches():
    group = group_of(8)
    simulations = 0
    for _ in range(50):
        rows = group.collect()
        group.apply(*hashed_evaluator(group.search.observations[:rows]), 0)
        counts = group.take_counts()
        simulations += counts.simulations
        assert counts.leaves == rows
    # 50 rounds: every game has a row in each, its root's evaluation is no simulation,
    # and what ended in a known terminal position comes on top
    assert simulations >= 50 * 8 - 8


def test_after_the_temperature_moves_the_most_visited_move_is_played():
    config = SearchConfig(simulations=20, temperature_moves=2)
    group = GameGroup(get_game("connect_four"), config, 4, seed=1)
    for episode in play(group, 4):
        for move in range(2, len(episode)):
            children = slice(*episode.policy_offsets[move : move + 2])
            best = np.argmax(episode.policy_visits[children])
            assert episode.policy_actions[children][best] == episode.actions[move]


def test_staggered_games_begin_at_all_stages_and_are_no_episodes():
    group = group_of(32, stagger=True)
    skipped = list(group._moves_skipped)
    assert len(set(skipped)) > 8
    assert min(skipped) < 5 and max(skipped) > 15
    episodes = play(group, 8)
    counts = group.take_counts()
    assert counts.games > len(episodes)  # those begun midway count
    for episode in episodes:
        assert episode.observations[0].sum() == 0  # the empty board
    # The staggered stages are no game's own randomness: a slot's next game is the same without them.
    usual = {episode.game_index: episode for episode in play(group_of(32), 40)}
    later = next(episode for episode in episodes if episode.game_index in usual)
    np.testing.assert_array_equal(later.actions, usual[later.game_index].actions)


def test_random_openings_are_recorded_but_not_learned_from():
    game = get_game("connect_four")
    group = group_of(8, opening_moves=10)
    lengths = set()
    for episode in play(group, 30):
        state = game.initial_state()
        for action in episode.opening:
            state = game.step(state, int(action))
        lengths.add(len(episode.opening))
        observation = np.empty(game.observation_shape, np.uint8)
        game.encode(state, observation)
        np.testing.assert_array_equal(episode.observations[0], observation)
        for action in episode.actions:
            assert game.terminal_value(state) is None
            state = game.step(state, int(action))
        assert game.terminal_value(state) == -episode.outcomes[-1]
    assert min(lengths) <= 2 and 8 <= max(lengths) <= 10


def test_openings_longer_than_any_game_are_made_shorter():
    game = get_game("tic_tac_toe")
    group = GameGroup(game, SearchConfig(simulations=2), 16, seed=0, opening_moves=40)
    assert all(len(builder.opening) < game.max_game_length for builder in group._builders)


def test_without_a_network_priors_are_equal_and_values_nought():
    informed, untrained = group_of(4), group_of(4)
    expected, played = [], []
    while len(expected) < 4:
        rows = informed.collect()
        informed.apply(np.zeros((rows, 7), np.float32), np.zeros(rows, np.float32), 0)
        expected += informed.take_episodes()
    while len(played) < 4:
        untrained.advance_untrained()
        played += untrained.take_episodes()
    for one, other in zip(expected, played, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.policy_visits, other.policy_visits)
        np.testing.assert_array_equal(one.root_values, other.root_values)
    counts = untrained.take_counts()
    assert counts.leaves == 0
    assert counts.simulations > 0
