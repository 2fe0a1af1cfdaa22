"""What the machine is doing: the GPU through NVML, the run's processes through psutil.

Where there is no GPU, no driver, or a counter that the device lacks (MIG instances have no utilization),
the metric is absent. Nothing here raises for want of hardware, and nothing reports 0 for 'unknown'.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import psutil

from alphazero.hardware.probe import probe_hardware

MIB = 1024 * 1024


def gpu_sampler(device: str) -> GpuSampler | None:
    """Return the sampler, not started, of the GPU that torch calls `device` ("cpu", "cuda:1"); None if there is none.

    By its UUID: torch numbers what CUDA_VISIBLE_DEVICES leaves visible, NVML all that there is. None for an instance of
    a GPU in MIG mode: its counters are those of the whole GPU, of which others use the rest.
    """
    gpu = None if device == "cpu" else probe_hardware().gpu_for(device)
    if gpu is None or gpu.mig_instances:
        return None
    return GpuSampler(gpu.index if gpu.uuid is None else gpu.uuid)


class GpuSampler:
    """A thread that reads one GPU at equal distances. Owned by one process, which starts and closes it."""

    def __init__(self, device: int | str = 0, interval_s: float = 0.5, nvml: Any = None) -> None:
        """Open the device.

        Args:
            device: NVML index, or UUID ("GPU-..."); CUDA_VISIBLE_DEVICES has no effect on NVML's order.
            interval_s: seconds between samples (NVML averages utilization over up to a second).
            nvml: a module with pynvml's functions; None imports pynvml.
        """
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._samples: dict[str, list[float]] = {}
        self._thread: threading.Thread | None = None
        self._nvml, self._handle = _open_device(device, nvml)
        self._first_energy_mj = self._energy_mj()

    @property
    def available(self) -> bool:
        """Whether there is a device to sample."""
        return self._handle is not None

    def start(self) -> Self:
        """Start sampling, if there is a device; return self."""
        if self.available and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gpu-sampler", daemon=True)
            self._thread.start()
        return self

    def sample(self) -> None:
        """Take one sample now (the thread does this by itself)."""
        if not self.available:
            return
        readings: tuple[tuple[str, Callable[[], float]], ...] = (
            ("gpu_utilization", lambda: self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu),
            ("gpu_memory_mib", lambda: self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used / MIB),
            ("gpu_power_w", lambda: self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1e3),
        )
        for name, read in readings:
            try:
                value = float(read())
            except self._nvml.NVMLError:
                continue  # this device does not have the counter
            with self._lock:
                self._samples.setdefault(name, []).append(value)

    def read(self) -> dict[str, float]:
        """Return means since the last call, and the maximum of the memory; empty without a GPU."""
        with self._lock:
            samples, self._samples = self._samples, {}
        return {
            name: max(values) if name == "gpu_memory_mib" else sum(values) / len(values)
            for name, values in samples.items()
        }

    def energy_j(self) -> float | None:
        """Return the energy in J that the device has used since this sampler was made; None if unknown."""
        energy_mj = self._energy_mj()
        if energy_mj is None or self._first_energy_mj is None:
            return None
        return (energy_mj - self._first_energy_mj) / 1e3

    def close(self) -> None:
        """Stop the thread and let go of NVML; a second call does nothing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.available:
            self._handle = None
            self._nvml.nvmlShutdown()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.sample()

    def _energy_mj(self) -> float | None:
        if not self.available:
            return None
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        except self._nvml.NVMLError:
            return None  # older than Volta


def _open_device(device: int | str, nvml: Any) -> tuple[Any, Any]:
    """Return (module, device handle), or (module, None) where there is no GPU that answers."""
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return None, None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return nvml, None  # no driver, or one that is broken
    try:
        if isinstance(device, int):
            return nvml, nvml.nvmlDeviceGetHandleByIndex(device)
        return nvml, nvml.nvmlDeviceGetHandleByUUID(device)
    except nvml.NVMLError:
        nvml.nvmlShutdown()
        return nvml, None


class ProcessSampler:
    """CPU time and resident memory of a set of processes, added up. One thread at a time."""

    def __init__(self, pids: Iterable[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._processes: dict[int, tuple[psutil.Process, float]] = {}  # with CPU seconds at the last read
        self._last_read = clock()
        self.watch(pids)

    def watch(self, pids: Iterable[int], from_their_start: bool = False) -> None:
        """Add processes; those already watched or already gone are skipped.

        from_their_start: what they have used so far counts as used since the last `read`.
        """
        for pid in pids:
            if pid in self._processes:
                continue
            try:
                process = psutil.Process(pid)
                self._processes[pid] = (process, 0.0 if from_their_start else _cpu_seconds(process))
            except psutil.Error:
                continue

    def read(self) -> dict[str, float]:
        """Return cpu_utilization since the last call and memory_mib; empty once every process is gone."""
        now = self._clock()
        elapsed, self._last_read = now - self._last_read, now
        used_s, memory = 0.0, 0
        for pid, (process, before) in list(self._processes.items()):
            try:
                seconds, resident = _cpu_seconds(process), process.memory_info().rss
            except psutil.Error:
                del self._processes[pid]
                continue
            self._processes[pid] = (process, seconds)
            used_s += seconds - before
            memory += resident
        if not self._processes:
            return {}
        metrics = {"memory_mib": memory / MIB}
        if elapsed > 0:
            metrics["cpu_utilization"] = 100 * used_s / elapsed
        return metrics


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
