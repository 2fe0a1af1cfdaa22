"""What travels between actors and the inference server, and the actor's side of it."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

ObservationArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]


class InferenceRequest(NamedTuple):
    """The leaves of one group of games.

    `ticket` comes back with the answer and means something to the actor alone; `submitted_at` is
    `time.perf_counter()` in seconds, whose clock all processes of a machine share (before Python 3.13 that of
    `time.monotonic` ticks every 16 ms on Windows).
    """

    actor: int
    group: int
    ticket: int
    submitted_at: float
    observations: ObservationArray  # uint8 [B, C, H, W]


class InferenceResponse(NamedTuple):
    """The answer to one request; values are for the player to move at each leaf."""

    group: int
    ticket: int
    policy_logits: FloatArray  # float32 [B, A]
    values: FloatArray  # float32 [B]
    weights_version: int


class SelfPlayStopped(Exception):
    """The run is over, or the process at the other end is gone: leave quietly."""


class EvaluationClient(Protocol):
    """An actor's access to the network. One thread; at most one request in flight a group.

    Attributes:
        observations: for each group, uint8 [rows, C, H, W] to write leaves into before `submit`.
    """

    observations: list[ObservationArray]

    def submit(self, group: int, rows: int) -> None:
        """Ask for the evaluation of observations[group][:rows]."""
        ...

    def receive(self, group: int) -> InferenceResponse:
        """Wait for the answer to the group's request; SelfPlayStopped when none can come any more.

        The arrays belong to the client and hold until the group's next `submit`.
        """
        ...


@runtime_checkable
class EvaluatesByItself(Protocol):
    """A client with the engine in the same process, which counts what the engine does."""

    network_s: float
    network_rows: int
    fills: npt.NDArray[np.int64]

    @property
    def engine_name(self) -> str: ...
