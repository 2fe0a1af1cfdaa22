"""Batches sampled ahead of the learner, in a thread, and on CUDA copied ahead."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from alphazero.network.guarded_engine import is_out_of_device_memory
from alphazero.training.device_batch import BatchUploader, DeviceBatch, Upload
from alphazero.training.replay_buffer import ReplayBuffer
from alphazero.training.targets import Batch

_STOP_CHECK_S = 0.1


@dataclass(frozen=True)
class _Sampled:
    batch: Batch | Upload
    random_state_after: dict[str, Any]


class BatchPrefetcher:
    """Samples up to `depth` batches ahead, in the order in which the generator yields them.

    Used by one thread, and closed by it; also a context manager. The thread starts with the first `get`,
    so that nothing is sampled before there are positions.

    Args:
        buffer: what is sampled from; positions added meanwhile count from the next sampled batch on.
        batch_size: positions a batch.
        rng: from now on used by the prefetcher alone.
        depth: batches held ready, 1 or more.
        uploader: copies batches to the learner's CUDA device ahead; None: they are handed out as they were sampled.
        newest: of the buffer's positions, so many of the newest are sampled from; 0: all.
    """

    def __init__(
        self,
        buffer: ReplayBuffer,
        batch_size: int,
        rng: np.random.Generator,
        depth: int = 2,
        uploader: BatchUploader | None = None,
        newest: int = 0,
    ) -> None:
        self._buffer = buffer
        self._newest = newest
        self._batch_size = batch_size
        self._rng = rng
        self._uploader = uploader
        self._ready: queue.Queue[_Sampled | BaseException] = queue.Queue(maxsize=depth)
        self._random_state: dict[str, Any] = dict(rng.bit_generator.state)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def random_state(self) -> dict[str, Any]:
        """State of the generator just after the last batch handed out: what a checkpoint must keep.

        The generator itself is ahead by the batches that are still waiting.
        """
        return self._random_state

    def get(self) -> Batch | DeviceBatch:
        """Return the next batch; on CUDA for use in the stream that is current now.

        Raises what sampling raised (ValueError: the buffer is empty).
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="batch-prefetcher", daemon=True)
            self._thread.start()
        sampled = self._ready.get()
        if isinstance(sampled, BaseException):
            self._thread = None  # it has ended; the next call starts another
            raise sampled
        self._random_state = sampled.random_state_after
        return sampled.batch.wait() if isinstance(sampled.batch, Upload) else sampled.batch

    def close(self) -> None:
        """End the thread; batches still waiting are dropped."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> BatchPrefetcher:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                batch = self._buffer.sample(self._batch_size, self._rng, self._newest)
                state = dict(self._rng.bit_generator.state)
                self._put(_Sampled(self._uploaded(batch), state))
        except BaseException as error:  # handed to the thread that waits for a batch
            self._put(error)

    def _uploaded(self, batch: Batch) -> Batch | Upload:
        if self._uploader is None:
            return batch
        try:
            return self._uploader.start(batch)
        except RuntimeError as error:
            if not is_out_of_device_memory(error):
                raise
            return batch  # no room beside a training step: the learner copies it between two

    def _put(self, item: _Sampled | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=_STOP_CHECK_S)
                return
            except queue.Full:
                continue
