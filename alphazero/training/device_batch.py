"""Training batches on the learner's device, and copies that go on while the learner works on another batch.

    thread that samples    host batch ─► page-locked ─► copy (a stream of its own) ─► event
    the learner's thread                                   its stream waits for the event ─► training step

On a CPU, and without page-locked memory, the learner takes host batches and copies them itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor

from alphazero.config import TrainingConfig
from alphazero.training.targets import Batch


class DeviceBatch(NamedTuple):
    """A `Batch` as tensors on the learner's device."""

    observations: Tensor
    actions: Tensor
    policy_targets: Tensor
    value_targets: Tensor
    ownership_targets: Tensor


@dataclass(frozen=True)
class Upload:
    """A batch on its way to a CUDA device: the tensors to be, and the event that the copy ends with."""

    batch: DeviceBatch
    copied: torch.cuda.Event

    def wait(self) -> DeviceBatch:
        """Return the batch, for work that the calling thread launches from now on in its current stream.

        The device waits for the copy, not the processor.
        """
        stream = torch.cuda.current_stream(self.batch.observations.device)
        stream.wait_event(self.copied)
        for tensor in self.batch:
            # The memory belongs to the copy's stream: without this the next copy could be put there too early.
            tensor.record_stream(stream)
        return self.batch


class BatchUploader:
    """Starts copies to a CUDA device on a stream of its own, beside a training step. Used by one thread."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def start(self, batch: Batch) -> Upload:
        """Start to copy `batch`, and return before it is copied; torch.cuda.OutOfMemoryError if there is no room."""
        with torch.cuda.stream(self._stream):
            uploaded = copy_to_device(batch, self._device, pinned_memory=True)
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record()
        return Upload(uploaded, copied)


def batch_uploader(config: TrainingConfig, device: torch.device) -> BatchUploader | None:
    """Return what copies batches ahead to `device`: None on a CPU, and without `training.pinned_memory`."""
    return BatchUploader(device) if config.pinned_memory and device.type == "cuda" else None


def copy_to_device(batch: Batch, device: torch.device, pinned_memory: bool) -> DeviceBatch:
    """Return `batch` on `device`, copied in the current stream.

    pinned_memory: by way of page-locked memory, which is kept until the copy has ended, and without waiting for it.
    """
    tensors = [torch.from_numpy(getattr(batch, name)) for name in DeviceBatch._fields]
    if pinned_memory:
        tensors = [tensor.pin_memory() for tensor in tensors]
    return DeviceBatch(*(tensor.to(device, non_blocking=pinned_memory) for tensor in tensors))


def page_locked(batch: Batch) -> Batch:
    """Return `batch` in page-locked memory, as it is when its copy to a CUDA device begins."""

    def pin(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        pinned: npt.NDArray[Any] = torch.from_numpy(array).pin_memory().numpy()
        return pinned

    return Batch(**{name: pin(getattr(batch, name)) for name in DeviceBatch._fields})
