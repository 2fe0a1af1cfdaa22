"""What the tests of this folder share."""

import numpy as np
import pytest

from alphazero.games.registry import get_game
from alphazero.training.replay_buffer import ReplayBuffer
from tests.training.random_episode import play_episode


@pytest.fixture
def buffer() -> ReplayBuffer:
    """Four random games of Connect Four."""
    game = get_game("connect_four")
    filled = ReplayBuffer(200, game)
    for seed in range(4):
        filled.add_episode(play_episode(game, np.random.default_rng(seed)))
    return filled
