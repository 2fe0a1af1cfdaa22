"""A device that is not there: answers after the time that a real one would take, without computing anything.

It lets batching, transport and actors run at a GPU's pace on a machine without one. Its answers are the
same for every position, so games played with it mean nothing, and what is measured with it is marked
simulated.

    simulated:NAME        latency = fixed + layers * time a layer
                                    + rows * (operations a row / speed + bytes a row / copy speed)
    simulated:FILE.toml   latency read off a curve that was measured: `alphazero measure inference --curve FILE.toml`

A model's four numbers stand in `simulated_devices/NAME.toml` with the assumptions behind them. A curve holds for
the network that it was measured with.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tomli
import tomli_w
from torch import nn

from alphazero.config import SIMULATED_PREFIX
from alphazero.errors import UserError
from alphazero.network.engine_protocol import FloatArray, Observations
from alphazero.network.folding import StateDict
from alphazero.network.resnet import PolicyValueNetwork

_FOLDER = "simulated_devices"
_ENDING = ".toml"
_SPIN_S = 1e-4  # sleeping overshoots by about this much, so the last bit is waited for awake


class SimulatedDevice(Protocol):
    """How long a device takes."""

    @property
    def title(self) -> str: ...

    def latency_s(self, rows: int, layers: int, operations_a_row: float, bytes_a_row: float) -> float:
        """Return the seconds that a batch of `rows` takes."""
        ...


@dataclass(frozen=True)
class ModelledDevice:
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


@dataclass(frozen=True)
class MeasuredDevice:
    """Latencies that were measured, and their title for people; between two of them it is interpolated.

    Attributes:
        rows: batch sizes, ascending, two at least.
        latency_us: of a batch of each size. Smaller batches than the first take as long as that; larger ones
            than the last go on as from the last but one to the last.
    """

    title: str
    rows: tuple[int, ...]
    latency_us: tuple[float, ...]

    def latency_s(self, rows: int, layers: int, operations_a_row: float, bytes_a_row: float) -> float:
        """Return the seconds that a batch of `rows` takes; the network is the one of the curve."""
        if rows <= self.rows[-1]:
            return 1e-6 * float(np.interp(rows, self.rows, self.latency_us))
        (before, last), (earlier, latest) = self.rows[-2:], self.latency_us[-2:]
        return 1e-6 * (latest + (rows - last) * max(0.0, latest - earlier) / (last - before))


class SimulatedEngine:
    """`InferenceEngine` that sleeps instead of computing: all priors equal, every value 0.

    The core is free meanwhile, as it is for another process while a real device computes. Also a
    `PipelinedEngine`: the device takes one batch after the other, at once if the next is there.

    Args:
        name: "simulated:a100" and so on, or "simulated:FILE.toml".
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
    """Return the device "simulated:NAME" or "simulated:FILE.toml".

    UserError, saying what there is and what a file needs, if there is no such device or the file is not one.
    """
    device = name.removeprefix(SIMULATED_PREFIX)
    if device.endswith(_ENDING):
        return _read_curve(Path(device))
    folder = resources.files("alphazero.network") / _FOLDER
    known = sorted(
        file.name.removesuffix(_ENDING) for file in folder.iterdir() if file.name.endswith(_ENDING)
    )
    if device not in known:
        raise UserError(
            f"there is no simulated device {device!r}; "
            f"known: {', '.join(SIMULATED_PREFIX + other for other in known)}, "
            f"and {SIMULATED_PREFIX}FILE.toml from `alphazero measure inference --curve FILE.toml`"
        )
    return ModelledDevice(**tomli.loads((folder / f"{device}{_ENDING}").read_text(encoding="utf-8")))


def write_curve(path: Path, device: MeasuredDevice, comment: str) -> None:
    """Write what `load_simulated_device` reads; `comment`, a line or more, says how it was measured."""
    table: dict[str, Any] = {
        "title": device.title,
        "rows": list(device.rows),
        "latency_us": [round(latency, 1) for latency in device.latency_us],
    }
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + tomli_w.dumps(table), encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another file with --curve") from error


def _read_curve(path: Path) -> MeasuredDevice:
    needs = "it needs title, rows (ascending, two or more) and latency_us (above 0, one for each of rows)"
    try:
        table = tomli.loads(path.read_text(encoding="utf-8"))
        device = MeasuredDevice(
            title=str(table["title"]),
            rows=tuple(int(rows) for rows in table["rows"]),
            latency_us=tuple(float(latency) for latency in table["latency_us"]),
        )
    except OSError as error:
        raise UserError(f"cannot read the simulated device {path}: {error.strerror}; {needs}") from error
    except KeyError as error:
        raise UserError(f"the simulated device {path} has no {error.args[0]}; {needs}") from error
    except (ValueError, TypeError) as error:  # TOML's own error is a ValueError
        raise UserError(f"the simulated device {path} cannot be understood ({error}); {needs}") from error
    ascending = all(low < high for low, high in zip((0, *device.rows), device.rows, strict=False))
    above_zero = all(latency > 0 for latency in device.latency_us)
    if not (ascending and above_zero and len(device.rows) == len(device.latency_us) >= 2):
        raise UserError(f"the simulated device {path} is no curve; {needs}")
    return device


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
