"""A device that is not there: answers after the time that a real one would take, without computing anything.

It lets batching, transport and actors run at a GPU's pace on a machine without one. Its answers are the
same for every position, so games played with it mean nothing, and what is measured with it is marked
simulated.

    latency = fixed + layers * time a layer + rows * (operations a row / speed + bytes a row / copy speed)

The four numbers stand in `simulated_devices/NAME.toml` with the assumptions behind them.
"""

from __future__ import annotations

import time
import tomllib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from math import prod

import numpy as np
from torch import nn

from alphazero.config import SIMULATED_PREFIX
from alphazero.errors import UserError
from alphazero.network.engine_protocol import FloatArray, Observations
from alphazero.network.folding import StateDict
from alphazero.network.resnet import PolicyValueNetwork

_FOLDER = "simulated_devices"
_SPIN_S = 1e-4  # sleeping overshoots by about this much, so the last bit is waited for awake


@dataclass(frozen=True)
class SimulatedDevice:
    """The four numbers that a device's latency is modelled with, and its name for people."""

    title: str
    fixed_us: float  # of a batch
    us_per_layer: float  # of a convolution or linear layer, whatever the batch
    effective_tflops: float  # 10^12 operations a second, a multiply-add counting as two
    copy_gb_per_s: float  # between host and device, 10^9 bytes a second

    def latency_s(self, rows: int, layers: int, operations_a_row: float, bytes_a_row: float) -> float:
        """Return the seconds that a batch of `rows` takes."""
        compute_s = operations_a_row / (self.effective_tflops * 1e12)
        copy_s = bytes_a_row / (self.copy_gb_per_s * 1e9)
        return 1e-6 * (self.fixed_us + layers * self.us_per_layer) + rows * (compute_s + copy_s)


class SimulatedEngine:
    """`InferenceEngine` that sleeps instead of computing: all priors equal, every value 0.

    The core is free meanwhile, as it is for another process while a real device computes. Also a
    `PipelinedEngine`: the device takes one batch after the other, at once if the next is there.

    Args:
        name: "simulated:a100" and so on.
        network: gives the amount of work and the number of actions; its weights do not matter.
        sleep, clock: seconds.
    """

    depth = 2

    def __init__(
        self,
        name: str,
        network: PolicyValueNetwork,
        max_batch: int,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = name
        self.max_batch = max_batch
        self._device = load_simulated_device(name)
        self._layers, self._operations = _work(network)
        architecture = network.architecture
        self._bytes = prod(architecture.observation_shape) + 4.0 * (architecture.num_actions + 1)
        self._num_actions = architecture.num_actions
        self._logits = np.zeros((max_batch, architecture.num_actions), np.float32)
        self._values = np.zeros(max_batch, np.float32)
        self._sleep = sleep
        self._clock = clock
        self._busy_until = 0.0
        self._on_their_way: deque[tuple[int, float]] = deque()  # rows, time at which their answer is there

    def evaluate(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        self.submit(observations)
        return self.collect()

    def submit(self, observations: Observations) -> None:
        rows = len(observations)
        full, rest = divmod(rows, self.max_batch)
        self._busy_until = max(self._busy_until, self._clock())
        for piece in [self.max_batch] * full + [rest] * (rest > 0 or full == 0):
            self._busy_until += self._device.latency_s(piece, self._layers, self._operations, self._bytes)
        self._on_their_way.append((rows, self._busy_until))

    def ready(self) -> bool:
        return self._clock() >= self._on_their_way[0][1]

    def collect(self) -> tuple[FloatArray, FloatArray]:
        rows, ready_at = self._on_their_way.popleft()
        while (left := ready_at - self._clock()) > 0:
            self._sleep(max(0.0, left - _SPIN_S))
        if rows > len(self._values):
            self._logits, self._values = (
                np.zeros((rows, self._num_actions), np.float32),
                np.zeros(rows, np.float32),
            )
        return self._logits[:rows], self._values[:rows]

    def load_weights(self, state_dict: StateDict) -> None:
        """Do nothing: the answers do not depend on weights."""


def load_simulated_device(name: str) -> SimulatedDevice:
    """Return the device "simulated:NAME"; UserError, naming those there are, if there is none."""
    folder = resources.files("alphazero.network") / _FOLDER
    known = sorted(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )
    device = name.removeprefix(SIMULATED_PREFIX)
    if device not in known:
        raise UserError(
            f"there is no simulated device {device!r}; "
            f"known: {', '.join(SIMULATED_PREFIX + other for other in known)}"
        )
    return SimulatedDevice(**tomllib.loads((folder / f"{device}.toml").read_text(encoding="utf-8")))


def _work(network: PolicyValueNetwork) -> tuple[int, float]:
    """Return (convolution and linear layers, operations a row, a multiply-add counting as two)."""
    _, height, width = network.architecture.observation_shape
    layers, operations = 0, 0.0
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            layers += 1
            operations += 2.0 * module.weight.numel() * height * width
        elif isinstance(module, nn.Linear):
            layers += 1
            operations += 2.0 * module.weight.numel()
    return layers, operations
