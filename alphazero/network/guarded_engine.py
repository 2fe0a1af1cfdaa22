"""An engine that survives running out of device memory and answers that are not finite."""

from __future__ import annotations

import copy
import logging

import numpy as np
import torch

from alphazero.errors import UserError
from alphazero.network.eager_engine import EagerEngine
from alphazero.network.engine_protocol import FloatArray, InferenceEngine, Observations
from alphazero.network.folding import StateDict
from alphazero.network.resnet import PolicyValueNetwork

_LOG = logging.getLogger(__name__)


class GuardedEngine:
    """`InferenceEngine` around another one.

    * `torch.cuda.OutOfMemoryError` halves `max_batch` and tries again; at one row it is a UserError.
    * NaN or infinity in an answer: from then on the network runs in float32 eager, with one warning. If
      that is not finite either, the weights themselves are broken, which is a UserError.

    Args:
        engine: the engine that works as long as nothing goes wrong.
        network: the network it evaluates with, for the fallback; copied.
        device: where the fallback runs.
    """

    def __init__(self, engine: InferenceEngine, network: PolicyValueNetwork, device: torch.device) -> None:
        self._engine = engine
        self._network = copy.deepcopy(network).to("cpu")
        self._device = device
        self._fell_back = False

    @property
    def name(self) -> str:
        """Name of the engine at work; "eager" after the fallback."""
        return self._engine.name

    @property
    def max_batch(self) -> int:
        """Rows that go through the network at once; smaller after running out of memory."""
        return self._engine.max_batch

    @max_batch.setter
    def max_batch(self, max_batch: int) -> None:
        self._engine.max_batch = max_batch

    def evaluate(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        logits, values = self._evaluate_within_memory(observations)
        if _finite(logits) and _finite(values):
            return logits, values
        if not self._fell_back:
            self._fall_back_to_float32()
            logits, values = self._evaluate_within_memory(observations)
            if _finite(logits) and _finite(values):
                return logits, values
        raise UserError(
            "the network answers NaN or infinity even in float32: training has diverged; "
            "go back to an earlier checkpoint and lower training.learning_rate or training.gradient_clip"
        )

    def load_weights(self, state_dict: StateDict) -> None:
        self._network.load_state_dict(state_dict)
        self._engine.load_weights(state_dict)

    def _evaluate_within_memory(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        while True:
            try:
                return self._engine.evaluate(observations)
            except torch.cuda.OutOfMemoryError as error:
                tried = min(self._engine.max_batch, len(observations))
                if tried <= 1:
                    raise UserError(
                        "out of device memory with a single row; free memory on the device "
                        "or use a smaller network (network.filters, network.blocks)"
                    ) from error
            # Outside the handler: the exception's traceback keeps the failed pass's tensors alive.
            self._engine.max_batch = tried // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            _LOG.warning("out of device memory at %d rows; going on with at most %d", tried, tried // 2)

    def _fall_back_to_float32(self) -> None:
        _LOG.warning(
            "engine %r answered NaN or infinity; from here on the network runs in float32 eager mode, "
            "which is slower; set inference.use_amp = false to choose that from the start",
            self._engine.name,
        )
        self._fell_back = True
        self._engine = EagerEngine(
            self._network,
            self._device,
            use_amp=False,
            pinned_memory=False,
            max_batch=self._engine.max_batch,
        )


def _finite(numbers: FloatArray) -> bool:
    # One NaN or infinity makes the sum so; the exact look is only needed when that trips.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(numbers.sum()):
            return True
    return bool(np.isfinite(numbers).all())
