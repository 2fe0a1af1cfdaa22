"""The replay buffer keeps the newest positions, samples them all, and knows the game's symmetries."""

import inspect
from collections import Counter
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from alphazero.config import Config, NetworkConfig, TrainingConfig
from alphazero.errors import UserError
from alphazero.games.connect_four import ConnectFour
from alphazero.games.registry import get_game
from alphazero.records import Episode, SidePositions
from alphazero.training.replay_buffer import ReplayBuffer, make_replay_buffer
from alphazero.training.targets import NO_ACTION, NOT_TAUGHT, Batch, ownership_targets
from tests.training.random_episode import play_episode

CONNECT_FOUR = get_game("connect_four")
TIC_TAC_TOE = get_game("tic_tac_toe")


def filled(capacity: int, games: int, seed: int = 0) -> ReplayBuffer:
    rng = np.random.default_rng(seed)
    buffer = ReplayBuffer(capacity, CONNECT_FOUR)
    for _ in range(games):
        buffer.add_episode(play_episode(CONNECT_FOUR, rng))
    return buffer


def as_side_positions(beside: Episode, values: npt.NDArray[np.float32]) -> SidePositions:
    """Return the positions of a game as if they had been found beside another one."""
    return SidePositions(
        beside.observations,
        beside.policy_offsets,
        beside.policy_actions,
        beside.policy_visits,
        values,
        beside.moves_before,
    )


def observations_held(buffer: ReplayBuffer) -> set[bytes]:
    return {row.tobytes() for row in buffer.state_dict()["observations"]}


def dense_targets(batch: Batch, num_actions: int) -> npt.NDArray[np.float32]:
    """Return the policy targets with an entry for every action, float32 [B, A]."""
    dense = np.zeros((len(batch), num_actions + 1), np.float32)  # padding (-1) goes to the last column
    np.put_along_axis(dense, batch.actions.astype(np.int64), batch.policy_targets, axis=1)
    return dense[:, :num_actions]


def test_adding_games_counts_positions_and_games() -> None:
    rng = np.random.default_rng(0)
    buffer = ReplayBuffer(1000, CONNECT_FOUR)
    lengths = []
    for _ in range(5):
        episode = play_episode(CONNECT_FOUR, rng)
        assert buffer.add_episode(episode) == len(episode)
        lengths.append(len(episode))
    assert len(buffer) == buffer.total_positions == sum(lengths)
    assert buffer.total_episodes == 5


def test_ring_overwrites_the_oldest_positions_first() -> None:
    rng = np.random.default_rng(0)
    episodes = [play_episode(CONNECT_FOUR, rng) for _ in range(6)]
    buffer = ReplayBuffer(50, CONNECT_FOUR)
    for episode in episodes:
        buffer.add_episode(episode)
    newest = np.concatenate([episode.observations for episode in episodes])[-50:]
    assert len(buffer) == 50
    assert observations_held(buffer) == {row.tobytes() for row in newest}
    assert buffer.total_positions == sum(map(len, episodes)) > 50


def test_game_longer_than_the_ring_leaves_its_last_positions() -> None:
    episode = play_episode(CONNECT_FOUR, np.random.default_rng(0))
    buffer = ReplayBuffer(3, CONNECT_FOUR)
    assert buffer.add_episode(episode) == len(episode)
    assert observations_held(buffer) == {row.tobytes() for row in episode.observations[-3:]}


def test_side_positions_are_kept_and_do_not_count_as_generated() -> None:
    rng = np.random.default_rng(0)
    game, beside = play_episode(CONNECT_FOUR, rng), play_episode(CONNECT_FOUR, rng)
    values = np.linspace(-1, 1, len(beside), dtype=np.float32)
    side = as_side_positions(beside, values)
    buffer = ReplayBuffer(200, CONNECT_FOUR, root_value_share=0.5)
    assert buffer.add_episode(replace(game, side_positions=side)) == len(game) == buffer.total_positions
    assert len(buffer) == len(game) + len(beside)
    state = buffer.state_dict()
    assert observations_held(buffer) == {row.tobytes() for row in (*game.observations, *beside.observations)}
    rows = {row.tobytes(): place for place, row in enumerate(state["observations"])}
    places = [rows[row.tobytes()] for row in beside.observations[3:]]  # the first few are the game's as well
    np.testing.assert_array_equal(state["value_targets"][places], values[3:])
    children = slice(*beside.policy_offsets[3:5])
    width = len(beside.policy_actions[children])
    np.testing.assert_array_equal(state["actions"][places[0]][:width], beside.policy_actions[children])
    np.testing.assert_array_equal(state["visit_counts"][places[0]][:width], beside.policy_visits[children])


def test_positions_are_written_as_often_as_their_copies_say_and_count_once() -> None:
    rng = np.random.default_rng(0)
    game, beside = (play_episode(CONNECT_FOUR, rng, moves=[3, 0, 3, 0]) for _ in range(2))
    values = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    side = replace(as_side_positions(beside, values), copies=np.array([0, 2, 1, 1], np.int32))
    copies = np.array([1, 0, 3, 0], np.int32)
    buffer = ReplayBuffer(200, CONNECT_FOUR)
    assert buffer.add_episode(replace(game, side_positions=side, copies=copies)) == 4
    assert (len(buffer), buffer.total_positions, buffer.total_episodes) == (8, 4, 1)
    state = buffer.state_dict()
    once = ReplayBuffer(200, CONNECT_FOUR)
    once.add_episode(replace(game, side_positions=replace(side, copies=None)))
    rows = [1, 1, 2, 3, 4, 6, 6, 6]  # of four side positions and then four of the game
    for name in ("observations", "actions", "visit_counts", "value_targets"):
        np.testing.assert_array_equal(state[name], once.state_dict()[name][rows])


def test_side_positions_and_untrained_searches_are_drawn_as_often_as_their_weight_says() -> None:
    rng = np.random.default_rng(0)
    game = play_episode(CONNECT_FOUR, rng, moves=[3, 3, 2, 4])
    beside = play_episode(CONNECT_FOUR, rng, moves=[0, 1, 5, 6])
    side = as_side_positions(beside, np.zeros(4, np.float32))
    versions = np.array([0, 1, 2, 2], np.int32)
    buffer = ReplayBuffer(200, CONNECT_FOUR, symmetries=False, side_position_weight=0.25)
    buffer.add_episode(replace(game, side_positions=side, weights_versions=versions))
    assert len(buffer) == 8
    restored = ReplayBuffer(200, CONNECT_FOUR, symmetries=False, side_position_weight=0.25)
    restored.load_state_dict(buffer.state_dict())
    batch = buffer.sample(40_000, np.random.default_rng(1))
    np.testing.assert_array_equal(
        batch.observations, restored.sample(40_000, np.random.default_rng(1)).observations
    )
    drawn = Counter(row.tobytes() for row in batch.observations)
    empty_board, *later = (row.tobytes() for row in game.observations)
    total = 5 * 0.25 + 3  # four side positions and an untrained search, and three that count in full
    shares = {position: count / len(batch) for position, count in drawn.items()}
    assert shares.pop(empty_board) == pytest.approx(2 * 0.25 / total, abs=0.01)  # the first of both
    for position in later:
        assert shares.pop(position) == pytest.approx(1 / total, abs=0.01)
    assert len(shares) == 3
    assert list(shares.values()) == pytest.approx([0.25 / total] * 3, abs=0.01)


def test_late_positions_are_drawn_as_often_as_their_weight_says() -> None:
    # Of at most nine moves the first four are early: in the game those after an opening of three, one of them.
    game = play_episode(TIC_TAC_TOE, np.random.default_rng(0), moves=[0, 4, 1, 2, 6, 3])
    game = replace(game, weights_versions=np.ones(6, np.int32))
    with_opening = replace(game, opening=np.array([8, 7, 5], np.int32))
    side = as_side_positions(game, np.zeros(6, np.float32))
    buffer = ReplayBuffer(
        20, TIC_TAC_TOE, symmetries=False, side_position_weight=0.5, late_position_weight=0.2
    )
    buffer.add_episode(replace(with_opening, side_positions=side))
    expected = np.array([0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 1.0, 0.2, 0.2, 0.2, 0.2, 0.2])
    np.testing.assert_allclose(buffer.state_dict()["draw_chances"], expected, rtol=1e-6)
    drawn = Counter(row.tobytes() for row in buffer.sample(40_000, np.random.default_rng(1)).observations)
    for place, observation in enumerate(game.observations):  # each is there twice
        share = (expected[place] + expected[place + 6]) / expected.sum()
        assert drawn[observation.tobytes()] / 40_000 == pytest.approx(share, abs=0.01)
    late_alone = ReplayBuffer(20, TIC_TAC_TOE, symmetries=False, late_position_weight=0.2)
    late_alone.add_episode(game)  # four early ones of six
    firsts = late_alone.sample(20_000, np.random.default_rng(1)).observations.sum(axis=(1, 2, 3)) < 4
    assert firsts.mean() == pytest.approx(4 / 4.4, abs=0.01)


@pytest.mark.parametrize("capacity", [50, 1000])
@pytest.mark.parametrize("late_position_weight", [1.0, 0.5])
def test_the_newest_positions_can_be_drawn_alone(capacity: int, late_position_weight: float) -> None:
    """From a ring that has come round, and from one that is not full."""
    rng = np.random.default_rng(0)
    buffer = ReplayBuffer(capacity, CONNECT_FOUR, symmetries=False, late_position_weight=late_position_weight)
    episodes = [play_episode(CONNECT_FOUR, rng) for _ in range(6)]
    for episode in episodes:
        buffer.add_episode(episode)
    newest = np.concatenate([episode.observations for episode in episodes])[-20:]
    batch = buffer.sample(2_000, np.random.default_rng(1), newest=20)
    assert {row.tobytes() for row in batch.observations} == {row.tobytes() for row in newest}
    everything = buffer.sample(50, np.random.default_rng(1))
    for more in (0, capacity, 10 * capacity):
        same = buffer.sample(50, np.random.default_rng(1), newest=more)
        np.testing.assert_array_equal(same.observations, everything.observations)


def test_copies_beyond_the_ring_leave_the_last_rows() -> None:
    game = play_episode(CONNECT_FOUR, np.random.default_rng(0), moves=[3, 0, 3])
    buffer = ReplayBuffer(3, CONNECT_FOUR)
    buffer.add_episode(replace(game, copies=np.array([2, 2, 1], np.int32)))
    assert len(buffer) == 3
    np.testing.assert_array_equal(
        buffer.state_dict()["observations"], game.observations[[1, 1, 2]].reshape(3, 2, 42)
    )


def test_values_are_the_outcome_for_the_player_to_move() -> None:
    # The first player wins with four in column 3; the second player answers in column 0.
    episode = play_episode(CONNECT_FOUR, np.random.default_rng(0), moves=[3, 0, 3, 0, 3, 0, 3])
    buffer = ReplayBuffer(10, CONNECT_FOUR)
    buffer.add_episode(episode)
    assert buffer.state_dict()["value_targets"].tolist() == [1, -1, 1, -1, 1, -1, 1]


@pytest.mark.parametrize("symmetries", [True, False])
@pytest.mark.parametrize("newest", [0, 4])
def test_a_sampled_value_is_that_of_its_position(symmetries: bool, newest: int) -> None:
    episode = play_episode(CONNECT_FOUR, np.random.default_rng(0), moves=[3, 0, 3, 0, 3, 0, 3])
    buffer = ReplayBuffer(10, CONNECT_FOUR, symmetries=symmetries)
    buffer.add_episode(episode)
    batch = buffer.sample(500, np.random.default_rng(0), newest)
    stones = batch.observations.sum(axis=(1, 2, 3))
    assert set(stones.tolist()) == set(range(7 - newest if newest else 0, 7))
    np.testing.assert_array_equal(batch.value_targets, np.where(stones % 2 == 0, 1, -1))


@pytest.mark.parametrize("name", ["connect_four", "tic_tac_toe"])
def test_sampled_symmetries_are_what_playing_the_transformed_game_gives(name: str) -> None:
    game = get_game(name)
    episode = play_episode(game, np.random.default_rng(3))
    buffer = ReplayBuffer(100, game)
    buffer.add_episode(episode)
    # observation -> every policy that belongs to it (a symmetric position has one for each symmetry)
    expected: dict[bytes, list[bytes]] = {}
    for symmetry in game.symmetries():
        moves = symmetry.action_target[episode.actions].tolist()
        transformed = play_episode(game, np.random.default_rng(0), moves=moves)
        for ply in range(len(episode)):
            start, end = episode.policy_offsets[ply : ply + 2]
            policy = np.zeros(game.num_actions, dtype=np.float32)
            visits = episode.policy_visits[start:end].astype(np.float32)
            policy[symmetry.action_target[episode.policy_actions[start:end]]] = visits / visits.sum()
            expected.setdefault(transformed.observations[ply].tobytes(), []).append(policy.tobytes())
    batch = buffer.sample(2000, np.random.default_rng(1))
    for observation, policy in zip(batch.observations, dense_targets(batch, game.num_actions), strict=True):
        assert policy.tobytes() in expected[observation.tobytes()]
    assert {row.tobytes() for row in batch.observations} == set(expected)


def test_legal_actions_are_transformed_with_the_policy() -> None:
    # Column 0 is filled by six stones: in the seventh position it is not legal.
    episode = play_episode(CONNECT_FOUR, np.random.default_rng(0), moves=[0, 0, 0, 0, 0, 0, 3])
    buffer = ReplayBuffer(1, CONNECT_FOUR)
    buffer.add_episode(episode)
    batch = buffer.sample(64, np.random.default_rng(0))
    original, mirrored = [1, 2, 3, 4, 5, 6, NO_ACTION], [5, 4, 3, 2, 1, 0, NO_ACTION]
    assert {tuple(row) for row in batch.actions.tolist()} == {tuple(original), tuple(mirrored)}
    left_column_full = batch.observations[:, :, :, 0].sum(axis=(1, 2)) == 6
    assert ((batch.actions[:, 0] == 1) == left_column_full).all()
    assert (batch.policy_targets[batch.actions == NO_ACTION] == 0).all()


def test_without_symmetries_positions_are_as_they_were_played() -> None:
    episode = play_episode(CONNECT_FOUR, np.random.default_rng(0))
    buffer = ReplayBuffer(100, CONNECT_FOUR, symmetries=False)
    buffer.add_episode(episode)
    batch = buffer.sample(200, np.random.default_rng(0))
    played = {row.tobytes() for row in episode.observations}
    assert {row.tobytes() for row in batch.observations} == played


def test_restored_buffer_samples_the_same_batches_and_goes_on_the_same() -> None:
    buffer = filled(60, 5)
    restored = ReplayBuffer(60, CONNECT_FOUR)
    restored.load_state_dict(buffer.state_dict())
    for rng_seed in range(3):
        batches = [b.sample(32, np.random.default_rng(rng_seed)) for b in (buffer, restored)]
        np.testing.assert_array_equal(batches[0].observations, batches[1].observations)
        np.testing.assert_array_equal(batches[0].actions, batches[1].actions)
        np.testing.assert_array_equal(batches[0].policy_targets, batches[1].policy_targets)
        np.testing.assert_array_equal(batches[0].value_targets, batches[1].value_targets)
        for b in (buffer, restored):
            b.add_episode(play_episode(CONNECT_FOUR, np.random.default_rng(rng_seed)))
    assert restored.total_positions == buffer.total_positions
    assert restored.total_episodes == buffer.total_episodes


@pytest.mark.parametrize("capacity", [20, 200])
def test_restoring_into_another_capacity_keeps_the_newest_positions(capacity: int) -> None:
    rng = np.random.default_rng(0)
    episodes = [play_episode(CONNECT_FOUR, rng) for _ in range(5)]
    buffer = ReplayBuffer(60, CONNECT_FOUR)
    for episode in episodes:
        buffer.add_episode(episode)
    restored = ReplayBuffer(capacity, CONNECT_FOUR)
    restored.load_state_dict(buffer.state_dict())
    newest = np.concatenate([episode.observations for episode in episodes])[-min(capacity, 60) :]
    assert observations_held(restored) == {row.tobytes() for row in newest}
    extra = play_episode(CONNECT_FOUR, rng)
    restored.add_episode(extra)
    newest = np.concatenate([newest, extra.observations])[-capacity:]
    assert observations_held(restored) == {row.tobytes() for row in newest}


def test_restoring_another_games_buffer_is_a_user_error() -> None:
    with pytest.raises(UserError, match="belongs to another game"):
        ReplayBuffer(60, get_game("tic_tac_toe")).load_state_dict(filled(60, 1).state_dict())


def test_empty_buffer_cannot_be_sampled() -> None:
    with pytest.raises(ValueError, match="empty"):
        ReplayBuffer(10, CONNECT_FOUR).sample(1, np.random.default_rng(0))


def test_capacity_below_one_is_a_user_error() -> None:
    with pytest.raises(UserError, match="replay_capacity is 0; it must be 1 or more"):
        ReplayBuffer(0, CONNECT_FOUR)


def test_a_position_takes_as_many_bytes_as_documented() -> None:
    # 2 planes of 42 cells, 7 actions and 7 visit counts of two bytes each, two float32
    assert ReplayBuffer(10, CONNECT_FOUR).bytes_per_position == 2 * 42 + 7 * 4 + 8


def test_ownership_targets_are_mirrored_with_their_position_and_side_positions_have_none() -> None:
    rng = np.random.default_rng(0)
    episode, beside = play_episode(CONNECT_FOUR, rng), play_episode(CONNECT_FOUR, rng)
    side = as_side_positions(beside, np.zeros(len(beside), np.float32))
    buffer = ReplayBuffer(200, CONNECT_FOUR, ownership=True)
    buffer.add_episode(replace(episode, side_positions=side))
    assert buffer.bytes_per_position == 2 * 42 + 7 * 4 + 8 + 42
    owners = {}
    for observation, cells in zip(episode.observations, ownership_targets(episode), strict=True):
        owners[observation.tobytes()] = cells
        owners[observation[:, :, ::-1].tobytes()] = cells.reshape(6, 7)[:, ::-1].ravel()
    batch = buffer.sample(500, np.random.default_rng(1))
    taught = [owners.get(observation.tobytes()) for observation in batch.observations]
    assert 0 < sum(cells is not None for cells in taught) < 500
    for observation, cells, got in zip(batch.observations, taught, batch.ownership_targets, strict=True):
        if observation.sum() <= 2:  # both games may have come to it, or it is its own mirror image
            continue
        assert got.tolist() == ([NOT_TAUGHT] * 42 if cells is None else cells.tolist())

    restored = ReplayBuffer(200, CONNECT_FOUR, ownership=True)
    restored.load_state_dict(buffer.state_dict())
    again = restored.sample(500, np.random.default_rng(1))
    np.testing.assert_array_equal(again.ownership_targets, batch.ownership_targets)


def test_an_ownership_head_may_be_asked_for_later_or_no_more() -> None:
    """That of a final network has no part in a run's key, and what was played before has no owners then."""
    episode = play_episode(CONNECT_FOUR, np.random.default_rng(0))
    for before in (False, True):
        buffer = ReplayBuffer(60, CONNECT_FOUR, ownership=before)
        buffer.add_episode(episode)
        restored = ReplayBuffer(60, CONNECT_FOUR, ownership=not before)
        restored.load_state_dict(buffer.state_dict())
        batch, other = (each.sample(8, np.random.default_rng(1)) for each in (buffer, restored))
        np.testing.assert_array_equal(other.value_targets, batch.value_targets)
        assert other.ownership_targets.shape == (8, 0 if before else 42)
        assert (other.ownership_targets == NOT_TAUGHT).all()
        assert (buffer.knows_owners(), restored.knows_owners()) == (before, False)
        restored.add_episode(episode)
        assert restored.knows_owners() == (not before)


def test_without_ownership_nothing_is_kept_of_it_and_planes_may_mean_anything() -> None:
    batch = filled(60, 2).sample(8, np.random.default_rng(0))
    assert batch.ownership_targets.shape == (8, 0)

    class OnePlane(ConnectFour):
        observation_shape = (1, 6, 7)

    episode = play_episode(CONNECT_FOUR, np.random.default_rng(0))
    assert episode.final_observation is not None
    buffer = ReplayBuffer(60, OnePlane())
    buffer.add_episode(
        replace(
            episode, observations=episode.observations[:, :1], final_observation=episode.final_observation[:1]
        )
    )
    assert buffer.sample(8, np.random.default_rng(0)).ownership_targets.shape == (8, 0)


def test_a_runs_replay_buffer_has_every_option_of_its_settings() -> None:
    training = {
        "symmetries": False,
        "root_value_share": 0.25,
        "td_lambda": 0.5,
        "side_position_weight": 0.5,
        "late_position_weight": 0.2,
    }
    options = {**training, "ownership": True}
    parameters = inspect.signature(ReplayBuffer).parameters
    assert options.keys() == parameters.keys() - {"capacity", "game"}  # an option that is new belongs here
    assert all(parameters[name].default != value for name, value in options.items())
    config = Config(
        training=TrainingConfig(replay_capacity=13, **training),
        final_network=NetworkConfig(ownership_head=True),
    )
    made, expected = make_replay_buffer(config, TIC_TAC_TOE), ReplayBuffer(13, TIC_TAC_TOE, **options)
    rng = np.random.default_rng(0)
    for _ in range(3):
        game = play_episode(TIC_TAC_TOE, rng)
        moves = len(game)
        game = replace(
            game,
            weights_versions=np.ones(moves, np.int32),
            root_values=rng.uniform(-1, 1, moves).astype(np.float32),
            side_positions=as_side_positions(game, rng.uniform(-1, 1, moves).astype(np.float32)),
        )
        for buffer in (made, expected):
            buffer.add_episode(game)
    state = expected.state_dict()
    assert made.state_dict().keys() == state.keys()
    for name, array in made.state_dict().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)
    batch, other = (buffer.sample(64, np.random.default_rng(1)) for buffer in (made, expected))
    for name, array in vars(batch).items():
        np.testing.assert_array_equal(array, getattr(other, name), err_msg=name)
