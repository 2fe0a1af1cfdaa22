"""An engine that survives running out of device memory and answers that are not finite."""

from __future__ import annotations

import copy
import logging
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch

from alphazero.errors import UserError
from alphazero.network.eager_engine import EagerEngine
from alphazero.network.engine_protocol import (
    FloatArray,
    InferenceEngine,
    Observations,
    as_pipelined,
)
from alphazero.network.folding import StateDict
from alphazero.network.resnet import PolicyValueNetwork

_LOG = logging.getLogger(__name__)

_NO_MEMORY = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",  # cuDNN 8
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",  # cuDNN 9
    # What is left when PyTorch found no memory for any convolution's workspace. A GPU that cuDNN does not know
    # says so, too: there it is said again with a single row, and that error names this one as its cause.
    "unable to find an engine to execute this computation",
)


@dataclass
class _OnItsWay:
    observations: Observations
    in_engine: bool = False  # False: to be evaluated when it is collected


class GuardedEngine:
    """`InferenceEngine` around another one.

    * Running out of device memory halves `max_batch` and tries again; at one row it is a UserError.
    * NaN or infinity in an answer: from then on the network runs in float32 eager, with one warning. If
      that is not finite either, the weights themselves are broken, which is a UserError.

    Also a `PipelinedEngine`; what the inner engine cannot take is evaluated when it is collected.

    Args:
        engine: the engine that works as long as nothing goes wrong.
        network: the network it evaluates with, for the fallback; copied.
        device: where the fallback runs.
    """

    def __init__(self, engine: InferenceEngine, network: PolicyValueNetwork, device: torch.device) -> None:
        self._engine = engine
        self._pipeline = as_pipelined(engine)  # of the engine at work
        self._network = copy.deepcopy(network).to("cpu")
        self._device = device
        self._fell_back = False
        self._on_their_way: deque[_OnItsWay] = deque()

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
        if _finite(logits, values):
            return logits, values
        if not self._fell_back:
            self._fall_back_to_float32()
            logits, values = self._evaluate_within_memory(observations)
            if _finite(logits, values):
                return logits, values
        raise UserError(
            "the network answers NaN or infinity even in float32: training has diverged; "
            "begin a new run with a lower training.learning_rate or training.gradient_clip"
        )

    @property
    def depth(self) -> int:
        """Batches on their way at once at most: as many as the engine at work takes."""
        return 1 if self._pipeline is None else self._pipeline.depth

    def submit(self, observations: Observations) -> None:
        batch = _OnItsWay(observations)
        engine = self._pipeline
        fits = len(observations) <= self._engine.max_batch
        # Behind a batch that the engine did not take, it takes none: `evaluate` needs it for itself.
        if engine is not None and fits and all(before.in_engine for before in self._on_their_way):
            try:
                engine.submit(observations)
                batch.in_engine = True
            except RuntimeError as error:
                if not is_out_of_device_memory(error):
                    raise
        self._on_their_way.append(batch)

    def ready(self) -> bool:
        engine = self._pipeline
        return engine is None or not self._on_their_way[0].in_engine or engine.ready()

    def collect(self) -> tuple[FloatArray, FloatArray]:
        batch = self._on_their_way.popleft()
        engine = self._pipeline
        if engine is not None and batch.in_engine:
            logits, values = engine.collect()
            if _finite(logits, values):
                return logits, values
            for later in self._on_their_way:  # nobody will ask the engine for them any more
                if later.in_engine:
                    engine.collect()
                    later.in_engine = False
            self._fall_back_to_float32()
        return self.evaluate(batch.observations)

    def load_weights(self, state_dict: StateDict) -> None:
        self._network.load_state_dict(state_dict)
        self._engine.load_weights(state_dict)

    def _evaluate_within_memory(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        most = self._engine.max_batch
        while True:
            try:
                if most != self._engine.max_batch:
                    self._engine.max_batch = most  # may allocate buffers anew
                return self._engine.evaluate(observations)
            except RuntimeError as error:
                if not is_out_of_device_memory(error):
                    raise
                if most <= 1:
                    raise no_room_for_a_row("the inference engine", error) from error
            # Outside the handler: the exception's traceback keeps the failed pass's tensors alive.
            tried, most = min(most, len(observations)), most // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            _LOG.warning("out of device memory at %d rows; going on with at most %d", tried, most)

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
        self._pipeline = None


def is_out_of_device_memory(error: BaseException) -> bool:
    """Return whether `error` says that a CUDA device has no memory left.

    PyTorch's own allocator has an exception for that. Libraries that allocate by themselves (cuDNN, cuBLAS, the
    driver when it makes a graph) only say so in words; and when memory ends during the capture of a graph, ending
    the capture may fail in turn, with the first error as its context.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, torch.cuda.OutOfMemoryError):
            return True
        if isinstance(seen, RuntimeError) and any(words in str(seen) for words in _NO_MEMORY):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def no_room_for_a_row(who: str, error: BaseException) -> UserError:
    """Return what a person should be told when not even one row fits, with the first line of what the device said."""
    said = (str(error).splitlines() or ["nothing"])[0]
    return UserError(
        f"{who} is out of device memory with a single row; free memory on the device or use a smaller network "
        f"(network.filters, network.blocks). The device said: {said}"
    )


def _finite(*answers: FloatArray) -> bool:
    return all(bool(np.isfinite(numbers).all()) for numbers in answers)
