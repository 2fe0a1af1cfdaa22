"""Prefetched batches are the ones that sampling directly would give, in that order."""

import threading

import numpy as np
import pytest

from alphazero.games.registry import get_game
from alphazero.training.prefetch import BatchPrefetcher
from alphazero.training.replay_buffer import ReplayBuffer

GAME = get_game("connect_four")


def test_batches_come_in_the_order_of_the_generator(buffer: ReplayBuffer) -> None:
    rng = np.random.default_rng(7)
    with BatchPrefetcher(buffer, 8, np.random.default_rng(7), depth=3) as prefetcher:
        for _ in range(10):
            direct, prefetched = buffer.sample(8, rng), prefetcher.get()
            np.testing.assert_array_equal(prefetched.observations, direct.observations)
            np.testing.assert_array_equal(prefetched.policy_targets, direct.policy_targets)


def test_random_state_belongs_to_the_batch_handed_out_last(buffer: ReplayBuffer) -> None:
    with BatchPrefetcher(buffer, 8, np.random.default_rng(7), depth=3) as prefetcher:
        for _ in range(4):
            prefetcher.get()
        state = prefetcher.random_state
        expected = prefetcher.get()
    resumed = np.random.default_rng(0)
    resumed.bit_generator.state = state
    with BatchPrefetcher(buffer, 8, resumed) as prefetcher:
        np.testing.assert_array_equal(prefetcher.get().observations, expected.observations)


def test_closing_ends_the_thread_while_it_waits_for_room(buffer: ReplayBuffer) -> None:
    def running() -> int:
        return sum(thread.name == "batch-prefetcher" for thread in threading.enumerate())

    prefetcher = BatchPrefetcher(buffer, 8, np.random.default_rng(7), depth=1)
    prefetcher.get()
    assert running() == 1
    prefetcher.close()
    assert running() == 0


def test_what_goes_wrong_in_the_thread_reaches_the_caller_every_time() -> None:
    with BatchPrefetcher(ReplayBuffer(10, GAME), 8, np.random.default_rng(0)) as prefetcher:
        for _ in range(2):
            with pytest.raises(ValueError, match="empty replay buffer"):
                prefetcher.get()
