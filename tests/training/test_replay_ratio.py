"""The gate counts exactly."""

from hypothesis import given
from hypothesis import strategies as st

from alphazero.config import TrainingConfig
from alphazero.training.replay_ratio import ReplayRatioGate, replay_ratio_gate


def test_no_step_before_the_minimum_then_all_that_were_earned() -> None:
    gate = ReplayRatioGate(replay_ratio=4.0, batch_size=100, min_positions=1000)
    assert gate.steps_allowed(999, steps_done=0) == 0
    assert gate.steps_allowed(1000, steps_done=0) == 40  # 1000 * 4 / 100


def test_a_step_is_allowed_with_the_position_that_completes_it() -> None:
    gate = ReplayRatioGate(replay_ratio=0.5, batch_size=10, min_positions=0)
    # One step costs 10 / 0.5 = 20 positions.
    assert [gate.steps_allowed(n, steps_done=0) for n in (0, 19, 20, 39, 40)] == [0, 0, 1, 1, 2]


def test_steps_done_count_against_what_was_earned_and_never_below_zero() -> None:
    gate = ReplayRatioGate(replay_ratio=1.0, batch_size=10, min_positions=0)
    assert [gate.steps_allowed(100, steps_done=done) for done in (0, 7, 10, 12)] == [10, 3, 0, 0]


def test_positions_searched_without_a_network_have_a_ratio_of_their_own() -> None:
    gate = ReplayRatioGate(
        replay_ratio=4.0,
        batch_size=100,
        min_positions=10,
        untrained_positions=1000,
        untrained_replay_ratio=2.0,
    )
    assert gate.steps_of_untrained == 20
    assert gate.steps_earned(999) == 0
    assert gate.steps_earned(1000) == 20  # 1000 * 2 / 100
    assert gate.steps_earned(1500) == 40  # and 500 * 4 / 100


def test_learning_can_begin_with_fewer_than_asked_for() -> None:
    training = TrainingConfig(
        batch_size=100,
        replay_ratio=4.0,
        min_positions=600,
        untrained_positions=1000,
        untrained_replay_ratio=2.0,
    )
    early = replay_ratio_gate(training, untrained_ended_at=400)
    assert [early.steps_earned(n) for n in (399, 400, 500)] == [0, 8, 12]  # 400 * 2 / 100, and 100 * 4 / 100
    assert [replay_ratio_gate(training).steps_earned(n) for n in (999, 1000)] == [0, 20]


@given(
    ratio=st.floats(0.1, 50.0),
    batch_size=st.integers(1, 5000),
    games=st.lists(st.integers(1, 500), max_size=50),
)
def test_realised_ratio_never_exceeds_and_lags_by_less_than_one_batch(
    ratio: float, batch_size: int, games: list[int]
) -> None:
    gate = ReplayRatioGate(ratio, batch_size, min_positions=0)
    positions = steps = 0
    for length in games:
        positions += length
        steps += gate.steps_allowed(positions, steps)
        behind = positions * ratio - steps * batch_size
        assert -1e-6 * positions * ratio <= behind < batch_size * (1 + 1e-9)
