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


@pytest.fixture
def hashed() -> Evaluator:
    """Logits and values that look random but follow from each observation alone."""

    def evaluate(observations: ByteArray) -> tuple[LogitArray, LogitArray]:
        rows = observations.reshape(len(observations), -1).astype(np.float64)
        weights = np.sin(np.arange(1, rows.shape[1] + 1)[:, None] * np.arange(1, 9)[None, :])
        mixed = np.sin(rows @ weights * 7.0).astype(np.float32)
        return np.ascontiguousarray(mixed[:, :7]), np.ascontiguousarray(mixed[:, 7])

    return evaluate
