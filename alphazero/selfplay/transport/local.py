"""No transport: the actor evaluates its own leaves, one thread each, with weights read off the board."""

from __future__ import annotations

import queue
import time

import numpy as np
import torch

from alphazero.metrics.histogram import fill_bin, no_fills
from alphazero.network.engine_protocol import InferenceEngine
from alphazero.selfplay.transport.messages import InferenceResponse, ObservationArray
from alphazero.selfplay.transport.weight_board import WeightBoardReader


class LocalClient:
    """An `EvaluationClient` around an inference engine in the same process.

    Attributes:
        network_s: seconds spent in the engine since this was last set to zero.
        network_rows: rows that the engine evaluated since this was last set to zero.
        fills: forward passes by how full they were (`fill_bin`) since this was last set to zero.
    """

    def __init__(
        self,
        engine: InferenceEngine,
        weights: WeightBoardReader | None,
        groups: int,
        rows: int,
        observation_shape: tuple[int, int, int],
    ) -> None:
        self.observations: list[ObservationArray] = [
            np.zeros((rows, *observation_shape), np.uint8) for _ in range(groups)
        ]
        self.network_s = 0.0
        self.network_rows = 0
        self.fills = no_fills()
        self._capacity = rows
        self._engine = engine
        self._weights = weights
        self._rows = [0] * groups
        self._version = 0

    @property
    def engine_name(self) -> str:
        """Name of the engine at work."""
        return self._engine.name

    def submit(self, group: int, rows: int) -> None:
        self._rows[group] = rows

    def receive(self, group: int) -> InferenceResponse:
        started = time.perf_counter()
        self._take_new_weights()
        observations = self.observations[group][: self._rows[group]]
        policy_logits, values = self._engine.evaluate(observations)
        self.network_rows += len(observations)
        self.fills[fill_bin(len(observations), self._capacity)] += 1
        self.network_s += time.perf_counter() - started
        return InferenceResponse(group, 0, policy_logits, values, self._version)

    def _take_new_weights(self) -> None:
        if self._weights is None:
            return
        try:
            self._version, weights = self._weights.get_nowait()
        except queue.Empty:
            return
        self._engine.load_weights({name: torch.from_numpy(array) for name, array in weights.items()})
