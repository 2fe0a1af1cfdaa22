"""Evaluators without a network, for searches whose answers do not depend on chance."""

from __future__ import annotations

import numpy as np
import pytest

from alphazero.games.connect_four import ConnectFour
from alphazero.games.game import ByteArray, Game
from alphazero.games.registry import get_game
from alphazero.mcts.search import Evaluator, LogitArray


@pytest.fixture
def connect_four() -> Game:
    return get_game("connect_four")


@pytest.fixture
def uniform() -> Evaluator:
    """Equal logits and value 0 everywhere."""

    def evaluate(observations: ByteArray) -> tuple[LogitArray, LogitArray]:
        batch = len(observations)
        return np.zeros((batch, ConnectFour.num_actions), np.float32), np.zeros(batch, np.float32)

    return evaluate
