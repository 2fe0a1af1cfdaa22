"""Made up for tests: machines, as `probe_hardware` would return them, and an evaluator that needs no network."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
import pytest

from alphazero.games.game import ByteArray
from alphazero.hardware.description import Cpu, Gpu, Hardware, Memory
from alphazero.mcts.search import Evaluator, LogitArray


def made_up_gpu(**changes: Any) -> Gpu:
    """Return an H200 with all of its memory free, but for `changes`."""
    values: dict[str, Any] = {
        "index": 0,
        "cuda_index": 0,
        "name": "NVIDIA H200",
        "uuid": "GPU-aaaa",
        "memory_total_mib": 143_771,
        "memory_free_mib": 143_000,
        "compute_capability": "9.0",
        "power_limit_w": 700.0,
        "mig_enabled": False,
    }
    return Gpu(**{**values, **changes})


def made_up_hardware(*gpus: Gpu, cores: int = 32, memory_mib: int = 131_072, **changes: Any) -> Hardware:
    """Return a machine with these GPUs, so many usable cores and so much memory."""
    values: dict[str, Any] = {
        "gpus": gpus,
        "driver_version": "570.1" if gpus else None,
        "cuda_driver_version": "12.8" if gpus else None,
        "torch_version": "2.9.0",
        "torch_cuda_version": "12.8",
        "gpu_problem": None if gpus else "no NVIDIA driver was found",
        "cpu": Cpu("AMD EPYC 7763 64-Core Processor", cores, cores, None, cores),
        "memory": Memory(memory_mib, memory_mib, None, memory_mib),
        "operating_system": "Linux 6",
        "python_version": "3.11.7",
    }
    return Hardware(**{**values, **changes})


@pytest.fixture
def hang_ups_heeded() -> Iterator[None]:
    """Let SIGHUP end what a test starts, also where these tests were started with nohup, which is inherited."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def no_end_of_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep every pipe's far end open here: as on Windows with a process that dies before it takes that end over."""
    kept: list[int] = []
    make_pipe = BaseContext.Pipe

    def pipe(self: BaseContext, duplex: bool = True) -> tuple[Connection, Connection]:
        mine, theirs = make_pipe(self, duplex)
        kept.append(os.dup(theirs.fileno()))
        return mine, theirs

    monkeypatch.setattr(BaseContext, "Pipe", pipe)
    yield
    for descriptor in kept:
        os.close(descriptor)


@pytest.fixture
def gpu() -> Callable[..., Gpu]:
    return made_up_gpu


@pytest.fixture
def machine() -> Callable[..., Hardware]:
    return made_up_hardware


@pytest.fixture
def hashed() -> Evaluator:
    """Logits and values that look random but follow from each observation alone."""

    def evaluate(observations: ByteArray) -> tuple[LogitArray, LogitArray]:
        rows = observations.reshape(len(observations), -1).astype(np.float64)
        weights = np.sin(np.arange(1, rows.shape[1] + 1)[:, None] * np.arange(1, 9)[None, :])
        mixed = np.sin(rows @ weights * 7.0).astype(np.float32)
        return np.ascontiguousarray(mixed[:, :7]), np.ascontiguousarray(mixed[:, 7])

    return evaluate
