"""What an inference engine is: uint8 observations in, policy logits and values out, all numpy arrays.

Axis letters: B batch, A actions, C planes, H rows, W columns.
"""

from __future__ import annotations

from typing import Protocol

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
