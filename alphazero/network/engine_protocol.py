"""What an inference engine is: uint8 observations in, policy logits and values out, all numpy arrays.

Axis letters: B batch, A actions, C planes, H rows, W columns.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from alphazero.network.folding import StateDict

Observations = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]


class InferenceEngine(Protocol):
    """Evaluates positions. Owned and used by one thread of one process.

    Attributes:
        max_batch: rows that go through the network at once, 1 or more; may be lowered at any time.
    """

    max_batch: int

    @property
    def name(self) -> str:
        """Which engine is at work."""
        ...

    def evaluate(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        """Return (policy logits float32 [B, A], values float32 [B] for the player to move).

        Args:
            observations: uint8 [B, C, H, W], C-contiguous; any B, in pieces of at most `max_batch`.

        The arrays returned are valid until the next call.
        """
        ...

    def load_weights(self, state_dict: StateDict) -> None:
        """Take over the weights of a `PolicyValueNetwork` of the same architecture."""
        ...


@runtime_checkable
class PipelinedEngine(Protocol):
    """An `InferenceEngine` that takes a batch while another is on its way, so that its device never waits.

    Answers come in the order of submission. `evaluate` is not called while a batch is on its way.

    Attributes:
        depth: batches on their way at once at most; with 1 nothing is gained over `evaluate`.
    """

    @property
    def depth(self) -> int: ...

    def submit(self, observations: Observations) -> None:
        """Start to evaluate `observations`, which must not change until their answer is collected."""
        ...

    def ready(self) -> bool:
        """Return whether the oldest batch on its way is done."""
        ...

    def collect(self) -> tuple[FloatArray, FloatArray]:
        """Wait for the oldest batch and return its answer, as `evaluate` does, valid until the next `submit`."""
        ...


def as_pipelined(engine: object) -> PipelinedEngine | None:
    """Return `engine` if it has what a `PipelinedEngine` has, else None.

    Takes tens of microseconds: to be asked once of an engine, not in each round of a loop.
    """
    return engine if isinstance(engine, PipelinedEngine) else None


def pipelined(engine: object) -> PipelinedEngine | None:
    """Return `engine` if it can have several batches on their way, else None; as slow as `as_pipelined`."""
    found = as_pipelined(engine)
    return found if found is not None and found.depth > 1 else None


class PieceEvaluator(Protocol):
    """Evaluates at most `max_batch` rows."""

    def __call__(self, observations: Observations) -> tuple[FloatArray, FloatArray]: ...


def in_pieces(
    evaluate_piece: PieceEvaluator, observations: Observations, max_batch: int
) -> tuple[FloatArray, FloatArray]:
    """Evaluate `observations` in pieces of at most `max_batch` rows and join the answers.

    Pieces must not share memory between calls. No rows at all are evaluated as one (empty) piece.
    """
    if len(observations) <= max_batch:
        return evaluate_piece(observations)
    answers = [
        evaluate_piece(observations[start : start + max_batch])
        for start in range(0, len(observations), max_batch)
    ]
    return (
        np.concatenate([logits for logits, _ in answers]),
        np.concatenate([values for _, values in answers]),
    )
