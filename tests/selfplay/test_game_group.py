"""Games in lock step: each plays as if it were alone, and what it records is what happened."""

from dataclasses import replace

import numpy as np
import pytest

from alphazero.config import SearchConfig, SelfPlayConfig
from alphazero.games.registry import get_game
from alphazero.mcts import available_backends
from alphazero.mcts.gumbel import SequentialHalving
from alphazero.mcts.search import BatchedSearch
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


def group_of(num_games, selfplay=SelfPlayConfig(), **changes):  # noqa: B008 (frozen)
    arguments = {"seed": 5, "actor": 2, "actor_games": 8} | changes
    return GameGroup(get_game("connect_four"), SEARCH, num_games, selfplay=selfplay, **arguments)


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
        game.encode(state, observation)
        np.testing.assert_array_equal(episode.final_observation, observation)
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
    group = Watched(
        get_game("connect_four"),
        config,
        8,
        seed=1,
        selfplay=SelfPlayConfig(full_search_share=0.25, fast_simulations=5),
    )
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


def test_a_fast_search_has_no_more_simulations_than_a_full_one():
    selfplay = SelfPlayConfig(full_search_share=0.01, fast_simulations=200)
    group = GameGroup(
        get_game("connect_four"), SearchConfig(simulations=20, solver=False), 4, 1, selfplay=selfplay
    )
    play(group, 4)
    counts = group.take_counts()
    assert 20 * counts.positions <= counts.simulations <= 20 * (counts.positions + 4)


def test_policy_targets_are_pruned_of_forced_playouts_and_fast_searches_force_none():
    begun = []

    def watched(group):
        begin = group.search.begin

        def recorded(slot, simulations, root_noise, forced_playouts, early_stop):
            begun.append((simulations, forced_playouts))
            begin(slot, simulations, root_noise, forced_playouts, early_stop=early_stop)

        group.search.begin = recorded
        return group

    def visits_and_lengths(forced_playouts):
        config = SearchConfig(simulations=60, tree_reuse=False, forced_playouts=forced_playouts)
        group = GameGroup(
            get_game("connect_four"),
            config,
            8,
            seed=1,
            selfplay=SelfPlayConfig(full_search_share=0.5, fast_simulations=5),
        )
        episodes = play(watched(group), 16)
        assert sum(len(each) for each in episodes) > 100
        return np.concatenate(
            [np.add.reduceat(each.policy_visits, each.policy_offsets[:-1]) for each in episodes]
        )

    assert set(visits_and_lengths(0.0)) == {0, 60}
    assert set(begun) == {(60, 0.0), (5, 0.0)}
    begun.clear()
    pruned = visits_and_lengths(2.0)
    assert set(begun) == {(60, 2.0), (5, 0.0)}
    assert pruned.max() <= 60 and 0 < np.mean((pruned > 0) & (pruned < 60)) < 1


def test_fast_searches_stop_early_once_moves_are_no_longer_drawn():
    searches = []  # (move, whether in full, root noise, early_stop)

    class Watched(GameGroup):
        def _begin_search(self, slot, simulations=None):
            super()._begin_search(slot, simulations)
            move = len(self._builders[slot].moves)
            searches.append((move, self._searched_in_full[slot], stops.pop()))

    stops: list = []
    set_early_stop = BatchedSearch.begin

    def begin(search, tree, simulations, **others):
        stops.append(others["early_stop"])
        set_early_stop(search, tree, simulations, **others)

    selfplay = SelfPlayConfig(
        full_search_share=0.5, fast_simulations=10, fast_early_stop=True, random_opening_moves=9
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchedSearch, "begin", begin)
        config = replace(SEARCH, temperature_moves=6)
        play(Watched(get_game("connect_four"), config, 8, seed=5, selfplay=selfplay), 16)
    expected = [(move, full, not full and move >= 6) for move, full, _ in searches]
    assert searches == expected
    assert len({each[1:] for each in searches}) == 3


def test_simulations_that_were_spared_do_not_count():
    def counted(fast_early_stop):
        selfplay = SelfPlayConfig(full_search_share=0.1, fast_simulations=40, fast_early_stop=fast_early_stop)
        config = SearchConfig(simulations=40, temperature_moves=0, tree_reuse=False)
        group = GameGroup(get_game("connect_four"), config, 8, seed=5, selfplay=selfplay)
        visits = []
        play_move = group._play_move

        def watched(slot):
            visits.append(int(group.search.root_statistics(slot).visit_counts.sum()))
            play_move(slot)

        group._play_move = watched
        play(group, 16)
        counts = group.take_counts()
        assert sum(visits) <= counts.simulations <= sum(visits) + 8 * 40  # eight searches are under way
        assert counts.positions == len(visits)
        again = group.take_counts()
        assert again.simulations == 0
        return counts.simulations / counts.positions

    assert counted(False) > 38
    assert 20 <= counted(True) < counted(False) - 1


def test_an_early_stop_changes_no_move_of_a_game_without_tree_reuse():
    def games(fast_early_stop):
        selfplay = SelfPlayConfig(full_search_share=0.2, fast_simulations=30, fast_early_stop=fast_early_stop)
        config = SearchConfig(simulations=30, tree_reuse=False, solver=False)
        group = GameGroup(get_game("connect_four"), config, 4, seed=5, selfplay=selfplay)
        return {each.game_index: list(each.actions) for each in play(group, 12)}

    there, here = games(False), games(True)
    both = set(there) & set(here)
    assert len(both) > 6
    assert [there[index] for index in sorted(both)] == [here[index] for index in sorted(both)]


def gumbel_group(num_games=4, seed=5, **changes):
    config = SearchConfig(root_search="gumbel", simulations=20, gumbel_considered=4, temperature_moves=3)
    return GameGroup(get_game("connect_four"), replace(config, **changes), num_games, seed=seed)


def test_gumbel_games_are_the_same_again_and_in_every_backend():
    for solver in (False, True):
        expected, *others = (
            play(gumbel_group(mcts_backend=backend, native_rules=backend != "python", solver=solver), 4)
            for backend in ("python", *available_backends())
        )
        for episodes in others:
            for one, other in zip(expected, episodes, strict=True):
                np.testing.assert_array_equal(one.actions, other.actions)
                np.testing.assert_array_equal(one.policy_visits, other.policy_visits)
                np.testing.assert_array_equal(one.root_values, other.root_values)
    there = play(gumbel_group(seed=6), 4)
    assert [list(one.actions) for one in expected] != [list(other.actions) for other in there]


def test_gumbel_searches_do_not_stop_early():
    expected, there = (
        play(
            GameGroup(
                get_game("connect_four"),
                SearchConfig(root_search="gumbel", simulations=20, temperature_moves=0),
                4,
                seed=5,
                selfplay=SelfPlayConfig(
                    full_search_share=0.5, fast_simulations=10, fast_early_stop=early_stop
                ),
            ),
            4,
        )
        for early_stop in (False, True)
    )
    for one, other in zip(expected, there, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.root_values, other.root_values)


def test_gumbel_searches_have_the_simulations_asked_for_and_leave_shares():
    group = gumbel_group(tree_reuse=False)
    episodes = play(group, 8)
    counts = group.take_counts()
    assert 20 * counts.positions <= counts.simulations <= 20 * (counts.positions + 4)
    for episode in episodes:
        totals = np.add.reduceat(episode.policy_visits, episode.policy_offsets[:-1])
        assert (np.abs(totals - 65_535) <= 4).all()  # seven roundings
        assert episode.policy_visits.max() <= 65_535  # as fine as padded_visits takes it


def test_the_winner_of_the_halving_is_played_after_the_temperature_moves(monkeypatch):
    won = []

    class Watched(SequentialHalving):
        def winner(self, statistics):
            won.append(super().winner(statistics))
            return won[-1]

    monkeypatch.setattr("alphazero.selfplay.game_group.SequentialHalving", Watched)
    [episode] = play(gumbel_group(num_games=1), 1)
    assert list(episode.actions[3:]) == won[: len(episode) - 3]
    assert len(set(won)) > 1


def test_fast_gumbel_searches_draw_no_noise_and_have_no_policy_target(monkeypatch):
    noises = []

    class Watched(SequentialHalving):
        def __init__(self, config, simulations, noise):
            noises.append((simulations, bool(noise.any())))
            super().__init__(config, simulations, noise)

    monkeypatch.setattr("alphazero.selfplay.game_group.SequentialHalving", Watched)
    config = SearchConfig(root_search="gumbel", simulations=20)
    group = GameGroup(
        get_game("connect_four"),
        config,
        4,
        seed=1,
        selfplay=SelfPlayConfig(full_search_share=0.5, fast_simulations=5),
    )
    episodes = play(group, 8)
    assert set(noises) == {(20, True), (5, False)}
    totals = np.concatenate(
        [np.add.reduceat(each.policy_visits, each.policy_offsets[:-1]) for each in episodes]
    )
    assert 0.3 < np.mean(totals == 0) < 0.7


def test_with_tree_reuse_the_simulations_come_on_top_of_the_kept_subtree():
    episode = play(group_of(4), 1)[0]
    totals = np.add.reduceat(episode.policy_visits, episode.policy_offsets[:-1])
    assert totals[0] == 20
    assert (totals >= 20).all() and (totals > 20).any()


def test_side_positions_are_searched_positions_that_the_game_did_not_come_to():
    game = get_game("connect_four")
    # A node that the solver has proven is visited, its children are not (test_policy_targets.py).
    config = SearchConfig(simulations=60, solver=False)
    group = GameGroup(game, config, 4, seed=1, selfplay=SelfPlayConfig(side_position_visits=10))
    found = 0
    for episode in play(group, 6):
        side = episode.side_positions
        assert side is not None
        found += len(side)
        played = {observation.tobytes() for observation in episode.observations}
        stones = side.observations.reshape(len(side), -1).sum(axis=1)
        assert not played & {observation.tobytes() for observation in side.observations}
        assert (stones - side.moves_before).min() == 1  # right beside the game, and deeper
        assert stones.min() >= 1 and len({each.tobytes() for each in side.observations}) > len(side) / 2
        children_visits = np.add.reduceat(side.policy_visits, side.policy_offsets[:-1])
        assert children_visits.min() >= 9  # all visits but the node's own evaluation
        assert np.abs(side.values).max() <= 1
        for i, observation in enumerate(side.observations):
            tops = observation.sum(axis=0)[0]  # the top row: a move is legal where it is empty
            legal = side.policy_actions[slice(*side.policy_offsets[i : i + 2])]
            np.testing.assert_array_equal(legal, np.flatnonzero(tops == 0))
    assert found > 50


def test_without_a_trained_network_there_are_no_side_positions():
    group = group_of(4, SelfPlayConfig(side_position_visits=5))
    assert all(episode.side_positions is None for episode in play(group, 4, version=0))
    assert all(episode.side_positions is None for episode in play(group_of(4), 4))


def test_side_positions_do_not_change_the_games():
    with_them, without = play(group_of(4, SelfPlayConfig(side_position_visits=5)), 4), play(group_of(4), 4)
    for one, other in zip(with_them, without, strict=True):
        np.testing.assert_array_equal(one.policy_visits, other.policy_visits)
        np.testing.assert_array_equal(one.actions, other.actions)


def surprise_of(observation, actions, visits):
    """The divergence of the visits from what `hashed_evaluator` thinks, in nats."""
    logits = hashed_evaluator(observation[None])[0][0][actions].astype(np.float64)
    priors = np.exp(logits) / np.exp(logits).sum()
    targets = visits / visits.sum()
    return sum(t * np.log(t / p) for t, p in zip(targets, priors, strict=True) if t > 0)


def expected_weights(positions, share):
    """The weights of a game's positions, or of those beside it, from what is recorded of them."""
    weights = np.ones(len(positions))
    slices = [slice(*positions.policy_offsets[i : i + 2]) for i in range(len(positions))]
    taught = [i for i, children in enumerate(slices) if positions.policy_visits[children].sum() > 0]
    surprises = [
        surprise_of(
            positions.observations[i], positions.policy_actions[slices[i]], positions.policy_visits[slices[i]]
        )
        for i in taught
    ]
    weights[taught] = 1 - share + share * len(taught) * np.array(surprises) / sum(surprises)
    return weights


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"root_noise_fraction": 0.0},
        {"tree_reuse": False},
        {"forced_playouts": 2.0},
        {"root_search": "gumbel", "gumbel_considered": 4},
        {"mcts_backend": "python", "native_rules": False},
    ],
)
def test_positions_are_copied_by_the_divergence_from_the_prior_without_noise(changes):
    config = replace(SearchConfig(simulations=40), **changes)
    group = GameGroup(
        get_game("connect_four"),
        config,
        4,
        seed=1,
        selfplay=SelfPlayConfig(
            full_search_share=0.7, fast_simulations=10, side_position_visits=8, policy_surprise_share=0.5
        ),
    )
    for episode in play(group, 6):
        for positions in (episode, episode.side_positions):
            weights = expected_weights(positions, 0.5)
            assert len(np.unique(weights.round(6))) > 3
            assert (positions.copies >= np.floor(weights - 1e-4)).all()
            assert (positions.copies <= np.ceil(weights + 1e-4)).all()
            assert positions.copies.sum() == len(positions)


@pytest.mark.parametrize("tree_reuse", [True, False])
def test_the_networks_priors_stay_known_when_noise_is_mixed_in(tree_reuse):
    game = get_game("connect_four")
    search = BatchedSearch(game, 2, SearchConfig(simulations=20, tree_reuse=tree_reuse))
    for action in (3, 2, 3):
        for tree in (0, 1):
            search.begin(tree, root_noise=lambda _, children: np.eye(children)[0])
        while rows := search.collect(np.arange(2, dtype=np.int32)):
            search.apply(*hashed_evaluator(search.observations[:rows]))
        for tree in (0, 1):
            observation = np.empty(game.observation_shape, np.uint8)
            search.encode_root(tree, observation)
            exponentials = np.exp(hashed_evaluator(observation[None])[0][0].astype(np.float64))
            np.testing.assert_allclose(
                search.network_priors(tree, search.root_statistics(tree)),
                exponentials / exponentials.sum(),
                rtol=1e-6,
            )
            assert search.root_statistics(tree).priors[0] > 0.25
            search.play(tree, action)


def test_surprise_weighting_does_not_change_the_games_and_draws_the_same_copies_again():
    def games(share):
        return play(group_of(4, SelfPlayConfig(side_position_visits=5, policy_surprise_share=share)), 12)

    first, again, without = games(0.5), games(0.5), games(0.0)
    for one, same, equal in zip(first, again, without, strict=True):
        np.testing.assert_array_equal(one.actions, equal.actions)
        np.testing.assert_array_equal(one.policy_visits, equal.policy_visits)
        np.testing.assert_array_equal(one.side_positions.policy_visits, equal.side_positions.policy_visits)
        np.testing.assert_array_equal(one.copies, same.copies)
        np.testing.assert_array_equal(one.side_positions.copies, same.side_positions.copies)
        assert equal.copies is None and equal.side_positions.copies is None
    assert any((one.copies != 1).any() for one in first)


def test_without_a_trained_network_nothing_surprises():
    for episode in play(group_of(4, SelfPlayConfig(policy_surprise_share=0.5)), 4, version=0):
        assert (episode.copies == 1).all()


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
    group = group_of(8, SelfPlayConfig(random_opening_moves=10))
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


def test_a_game_ends_when_its_search_is_sure_enough():
    """As the same game without resignation, up to there; the outcome is what that search found."""
    resigned = {
        each.game_index: each
        for each in play(group_of(8, SelfPlayConfig(resign_value=0.2, resign_share=1.0)), 16)
    }
    whole = {
        each.game_index: each
        for each in play(group_of(8, SelfPlayConfig(resign_value=0.2, resign_share=0.0)), 16)
    }
    both = resigned.keys() & whole.keys()
    assert len(both) > 8
    ended_early = 0
    for index in both:
        game, original = resigned[index], whole[index]
        sure = np.flatnonzero(np.abs(original.root_values) >= 0.2)
        np.testing.assert_array_equal(game.actions, original.actions[: len(game)])
        np.testing.assert_array_equal(game.policy_visits, original.policy_visits[: len(game.policy_visits)])
        assert not original.resigned and game.foreseen_rightly is None
        if len(sure) == 0:
            assert not game.resigned and original.foreseen_rightly is None
            np.testing.assert_array_equal(game.outcomes, original.outcomes)
            continue
        first = sure[0]
        assert game.resigned and len(game) == first + 1
        assert game.final_observation is None and original.final_observation is not None
        assert game.outcomes[first] == np.sign(original.root_values[first])
        assert list(game.outcomes[::-1]) == [game.outcomes[-1] * (-1) ** back for back in range(len(game))]
        assert original.foreseen_rightly == (original.outcomes[first] == game.outcomes[first])
        ended_early += len(game) < len(original)
    assert ended_early > 4
    assert {each.foreseen_rightly for each in whole.values()} >= {True, False}  # this network knows nothing


def test_the_search_that_ended_a_game_leaves_all_its_positions_behind():
    group = group_of(4, SelfPlayConfig(resign_value=0.01, resign_share=1.0, side_position_visits=1))
    for episode in play(group, 8):
        if episode.resigned and len(episode) == 1:
            last = slice(*episode.policy_offsets[-2:])
            visited = int((episode.policy_visits[last] > 0).sum())
            assert len(episode.side_positions) >= visited > 1
            return
    pytest.fail("no game was resigned at its first move")


def test_no_game_is_resigned_without_a_trained_network():
    for episode in play(group_of(4, SelfPlayConfig(resign_value=0.01, resign_share=1.0)), 4, version=0):
        assert not episode.resigned and episode.foreseen_rightly is None


def test_even_openings_are_kept_and_uneven_ones_drawn_again():
    def opening_values(evenness, version=3):
        episodes = play(
            group_of(16, SelfPlayConfig(random_opening_moves=10, opening_evenness=evenness)), 120, version
        )
        firsts = np.stack([episode.observations[0] for episode in episodes if len(episode.opening)])
        return np.abs(hashed_evaluator(firsts)[1])

    as_drawn, even = opening_values(0.0), opening_values(0.99)
    # |value| is uniform from 0 to 1, and is kept with the probability 1 - |value|: means of 1/2 and 1/3
    assert as_drawn.mean() == pytest.approx(1 / 2, abs=0.08)
    assert even.mean() == pytest.approx(1 / 3, abs=0.08)
    assert opening_values(0.99, version=0).mean() == pytest.approx(1 / 2, abs=0.08)


def test_simulations_of_rejected_openings_are_not_counted():
    group = group_of(8, SelfPlayConfig(random_opening_moves=10, opening_evenness=0.99))
    done = 0
    for _ in range(200):
        rows = group.collect()
        group.apply(*hashed_evaluator(group.search.observations[:rows]), 3)
        counts = group.take_counts()
        assert counts.simulations >= 0
        done += counts.simulations
    assert 200 * 8 * 0.7 < done < 200 * 8 * 2


def test_openings_longer_than_any_game_are_made_shorter():
    game = get_game("tic_tac_toe")
    group = GameGroup(
        game, SearchConfig(simulations=2), 16, seed=0, selfplay=SelfPlayConfig(random_opening_moves=40)
    )
    assert all(len(builder.opening) < game.max_game_length for builder in group._builders)


def test_without_a_network_priors_are_equal_and_values_nought():
    informed, untrained = group_of(4), group_of(4)
    expected, played = [], []
    while len(expected) < 4:
        rows = informed.collect()
        informed.apply(np.zeros((rows, 7), np.float32), np.zeros(rows, np.float32), 0)
        expected += informed.take_episodes()
    while len(played) < 4:
        untrained.apply_untrained(untrained.collect())
        played += untrained.take_episodes()
    for one, other in zip(expected, played, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.policy_visits, other.policy_visits)
        np.testing.assert_array_equal(one.root_values, other.root_values)
    counts = untrained.take_counts()
    assert counts.leaves == 0
    assert counts.simulations > 0


@pytest.mark.parametrize("root_search", ["puct", "gumbel"])
def test_no_search_is_in_part_without_a_network(root_search):
    """When a network comes, each position's search begins anew, and what is recorded since is the network's."""
    config = replace(SEARCH, root_search=root_search)
    selfplay = SelfPlayConfig(side_position_visits=5, policy_surprise_share=0.5, random_opening_moves=6)
    group = GameGroup(get_game("connect_four"), config, 8, seed=5, selfplay=selfplay)

    def simulations_done():
        return group._simulations_begun - int(group.search.trees.remaining.sum())

    for _ in range(50):
        group.apply_untrained(group.collect())
    rows = group.collect()
    assert group.counts.games == 0 and group.counts.positions > 0
    moves = [builder.moves for builder in group._builders]
    assert all(group.search.root_statistics(slot).visit_count for slot in range(8))
    done = simulations_done()
    group.apply(*hashed_evaluator(group.search.observations[:rows]), 1)
    assert 0 <= simulations_done() - done <= rows  # what was dropped does not count as still to be done
    assert [builder.moves for builder in group._builders] == moves
    assert group.collect() == 8
    assert not group.search.leaf_nodes[:8].any()  # all of them roots
    group.apply(*hashed_evaluator(group.search.observations[:8]), 1)
    # Once: the next weights find the trees as they are.
    rows = group.collect()
    group.apply(*hashed_evaluator(group.search.observations[:rows]), 2)
    assert all(group.search.root_statistics(slot).visit_count for slot in range(8))
    begun = {builder.game_index: builder for builder in group._builders}
    searched = {index: len(moves[index]) - len(builder.opening) for index, builder in begun.items()}
    episode = next(episode for episode in play(group, 8, version=2) if episode.game_index in searched)
    versions = episode.weights_versions.tolist()
    before = searched[episode.game_index]
    assert versions[:before] == [0] * before and all(versions[before:])
