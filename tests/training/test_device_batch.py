"""Batches reach the learner's device whole: copied ahead on CUDA, in a stream of their own, and not at all on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from alphazero.config import NetworkConfig, TrainingConfig
from alphazero.games.registry import get_game
from alphazero.network.resnet import build_network
from alphazero.training.device_batch import BatchUploader, DeviceBatch, batch_uploader
from alphazero.training.learner import Learner, LossRecord
from alphazero.training.prefetch import BatchPrefetcher
from alphazero.training.replay_buffer import ReplayBuffer

GAME = get_game("connect_four")
CPU = torch.device("cpu")


def prefetcher(buffer: ReplayBuffer, uploader: Any) -> BatchPrefetcher:
    return BatchPrefetcher(buffer, 8, np.random.default_rng(7), uploader=uploader)


def test_on_a_cpu_there_is_no_stream_and_nothing_is_copied(
    buffer: ReplayBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a stream on a CPU")

    monkeypatch.setattr(torch.cuda, "Stream", refuse)
    assert batch_uploader(TrainingConfig(pinned_memory=True), CPU) is None
    with prefetcher(buffer, batch_uploader(TrainingConfig(), CPU)) as batches:
        batch = batches.get()
        assert isinstance(batch.observations, np.ndarray)
        learner = Learner(build_network(GAME, NetworkConfig(blocks=1, filters=4)), TrainingConfig(), CPU)
        learner.train_step(batch, 0.0)
        on_device = learner.to_device(batch)
        assert on_device.observations.data_ptr() == batch.observations.ctypes.data


def test_copies_ahead_belong_to_page_locked_batches_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: f"stream of {device}")
    cuda = torch.device("cuda", 0)
    assert isinstance(batch_uploader(TrainingConfig(pinned_memory=True), cuda), BatchUploader)
    assert batch_uploader(TrainingConfig(pinned_memory=False), cuda) is None  # the baseline's copies


class OutOfMemory:
    """An uploader whose device has no room for the first batches."""

    def __init__(self, error: Exception, failures: int) -> None:
        self.error, self.failures = error, failures

    def start(self, batch: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise self.error
        return batch


def test_a_batch_without_room_on_the_device_is_handed_out_as_it_is(buffer: ReplayBuffer) -> None:
    full = OutOfMemory(torch.cuda.OutOfMemoryError("CUDA out of memory."), failures=2)
    rng = np.random.default_rng(7)
    with prefetcher(buffer, full) as batches:
        for _ in range(4):
            expected = buffer.sample(8, rng)
            np.testing.assert_array_equal(batches.get().observations, expected.observations)
    broken = OutOfMemory(RuntimeError("CUDA error: an illegal memory access"), failures=1)
    with prefetcher(buffer, broken) as batches, pytest.raises(RuntimeError, match="illegal"):
        batches.get()


# ---- who waits for whom, with streams that only take notes ----


class Stream:
    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def wait_event(self, event: Event) -> None:
        self.notes.append(f"{self.name} waits for what {event.recorded_in} has done")


class Event:
    recorded_in = "nobody"


def test_the_step_waits_for_the_copy_and_keeps_its_memory(
    buffer: ReplayBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    compute, copying = Stream("compute", notes), Stream("copying", notes)
    current = [compute]

    class RecordedEvent(Event):
        def record(self) -> None:
            self.recorded_in = current[-1].name
            notes.append(f"recorded in {self.recorded_in}")

    @contextmanager
    def stream(entered: Stream) -> Iterator[None]:
        current.append(entered)
        yield
        current.pop()

    def to(self: torch.Tensor, device: torch.device, non_blocking: bool) -> torch.Tensor:
        notes.append(f"copied in {current[-1].name}" + (", without waiting" if non_blocking else ""))
        return self.clone()

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: copying)
    monkeypatch.setattr(torch.cuda, "Event", RecordedEvent)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current[-1])
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.Tensor, "to", to)
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda self, stream: notes.append(f"kept for {stream.name}")
    )
    batch = buffer.sample(8, np.random.default_rng(7))
    upload = BatchUploader(torch.device("cuda", 0)).start(batch)
    assert notes == ["copied in copying, without waiting"] * 5 + ["recorded in copying"]
    notes.clear()
    uploaded = upload.wait()
    assert notes == ["compute waits for what copying has done"] + ["kept for compute"] * 5
    for tensor, array in zip(uploaded, vars(batch).values(), strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)


# ---- on a GPU ----


def trained(buffer: ReplayBuffer, uploader: Any, steps: int) -> list[LossRecord]:
    """Train for so many steps on CUDA; return their records."""
    torch.manual_seed(0)
    network = build_network(GAME, NetworkConfig(blocks=1, filters=8))
    learner = Learner(network, TrainingConfig(use_amp=False), torch.device("cuda", 0))
    rng = np.random.default_rng(7)
    with BatchPrefetcher(buffer, 256, rng, uploader=uploader) as batches:
        records = []
        for _ in range(steps):
            batch = batches.get()
            assert isinstance(batch, DeviceBatch) == (uploader is not None)
            records.append(learner.train_step(batch, 0.0))
    return records


class LateUploader(BatchUploader):
    """Copies so late that who does not wait reads memory which nothing was copied to."""

    def start(self, batch: Any) -> Any:
        with torch.cuda.stream(self._stream):
            torch.cuda._sleep(20_000_000)  # cycles: about 10 ms
        return super().start(batch)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("uploader", [BatchUploader, LateUploader])
def test_training_on_batches_copied_ahead_is_the_same_on_cuda(buffer: ReplayBuffer, uploader: Any) -> None:
    plain = trained(buffer, None, steps=10)
    ahead = trained(buffer, uploader(torch.device("cuda", 0)), steps=10)
    for record, expected in zip(ahead, plain, strict=True):
        assert record.target_entropy == pytest.approx(expected.target_entropy, rel=1e-5)  # of the batch alone
        # not to the last bit: on CUDA sums are added up in any order
        assert record.total_loss == pytest.approx(expected.total_loss, rel=1e-2)
