"""Hardware that is absent leaves metrics absent: never zero, never an error."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from alphazero.hardware.description import Gpu, Hardware, MigInstance
from alphazero.metrics.sampler import GpuSampler, ProcessSampler, gpu_sampler


class FakeNvml:
    """One device; each counter is a list of readings, or missing."""

    class NVMLError(Exception):
        pass

    def __init__(self, **readings: list[float]) -> None:
        self._readings = readings
        self.open = 0

    def _next(self, name: str) -> float:
        if not self._readings.get(name):
            raise self.NVMLError("Not Supported")
        return self._readings[name].pop(0)

    def nvmlInit(self) -> None:
        if "no_driver" in self._readings:
            raise self.NVMLError("Driver Not Loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        if index > 0:
            raise self.NVMLError("Invalid Argument")
        return "device"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return "device"

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        return SimpleNamespace(gpu=self._next("utilization"))

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        return SimpleNamespace(used=self._next("used_bytes"))

    def nvmlDeviceGetPowerUsage(self, handle: str) -> float:
        return self._next("milliwatts")

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> float:
        return self._next("millijoules")


def test_readings_are_averaged_between_two_calls_and_memory_is_the_maximum() -> None:
    mib = 1024 * 1024
    nvml = FakeNvml(
        utilization=[80, 100, 50],
        used_bytes=[100 * mib, 300 * mib, 200 * mib],
        milliwatts=[250_000, 350_000, 100_000],
        millijoules=[5_000_000, 5_600_000],
    )
    sampler = GpuSampler(nvml=nvml)
    sampler.sample()
    sampler.sample()
    assert sampler.read() == {"gpu_utilization": 90.0, "gpu_memory_mib": 300.0, "gpu_power_w": 300.0}
    sampler.sample()
    assert sampler.read() == {"gpu_utilization": 50.0, "gpu_memory_mib": 200.0, "gpu_power_w": 100.0}
    assert sampler.read() == {}
    assert sampler.energy_j() == 600.0
    sampler.close()
    sampler.close()
    assert nvml.open == 0


def test_a_counter_that_the_device_lacks_is_left_out() -> None:
    sampler = GpuSampler(nvml=FakeNvml(used_bytes=[1024 * 1024]))
    sampler.sample()
    assert sampler.read() == {"gpu_memory_mib": 1.0}
    assert sampler.energy_j() is None


@pytest.mark.parametrize("nvml", [FakeNvml(no_driver=[1.0]), None])
def test_without_a_gpu_there_is_nothing_and_no_error(
    nvml: FakeNvml | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if nvml is None:  # not even the module
        monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    with GpuSampler(nvml=nvml) as sampler:
        assert not sampler.available
        sampler.sample()
        assert sampler.read() == {}
        assert sampler.energy_j() is None


def test_a_device_that_does_not_exist_is_no_device() -> None:
    nvml = FakeNvml()
    assert not GpuSampler(device=3, nvml=nvml).available
    assert nvml.open == 0


def test_the_thread_samples_by_itself_and_ends_with_the_sampler() -> None:
    nvml = FakeNvml(utilization=[70.0] * 10_000, millijoules=[])
    with GpuSampler(device="GPU-1", interval_s=0.001, nvml=nvml) as sampler:
        thread = sampler._thread
        assert thread is not None
        while not (metrics := sampler.read()):
            pass
    assert metrics == {"gpu_utilization": 70.0}
    assert not thread.is_alive()


def test_this_process_uses_cpu_and_memory() -> None:
    clock = iter([0.0, 0.5])
    sampler = ProcessSampler([os.getpid()], clock=lambda: next(clock))
    sum(range(3_000_000))  # long enough for the clock ticks of the operating system to notice
    metrics = sampler.read()
    assert metrics["memory_mib"] > 1.0
    assert metrics["cpu_utilization"] > 0.0


def test_what_a_process_used_before_it_was_seen_counts_if_it_is_the_runs_own() -> None:
    clock = iter([0.0, 1.0, 0.0, 1.0])
    own = ProcessSampler([], clock=lambda: next(clock))
    own.watch([os.getpid()], from_their_start=True)
    assert own.read()["cpu_utilization"] > 10.0  # this process has computed for more than a tenth of a second
    other = ProcessSampler([], clock=lambda: next(clock))
    other.watch([os.getpid()])
    assert other.read()["cpu_utilization"] < 10.0


def test_processes_that_are_gone_are_skipped() -> None:
    sampler = ProcessSampler([2**22 + 1, os.getpid()])  # above the largest process id of Linux
    assert "memory_mib" in sampler.read()
    assert ProcessSampler([2**22 + 1]).read() == {}


def test_the_gpu_is_the_one_that_torch_means_however_nvml_numbers_it(
    machine: Callable[..., Hardware], gpu: Callable[..., Gpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    visible = machine(gpu(index=3, cuda_index=0, uuid="GPU-3"), gpu(index=1, cuda_index=1, uuid="GPU-1"))
    monkeypatch.setattr("alphazero.metrics.sampler.probe_hardware", lambda: visible)
    opened: list[object] = []

    def open_device(device: object, nvml: object) -> tuple[None, None]:
        opened.append(device)
        return None, None

    monkeypatch.setattr("alphazero.metrics.sampler._open_device", open_device)
    assert gpu_sampler("cpu") is None
    assert gpu_sampler("cuda:2") is None
    for device in ("cuda", "cuda:0", "cuda:1"):
        assert gpu_sampler(device) is not None
    assert opened == ["GPU-3", "GPU-3", "GPU-1"]


def test_an_instance_of_a_gpu_has_no_counters_of_its_own(
    machine: Callable[..., Hardware], gpu: Callable[..., Gpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory and power would be those of the whole GPU."""
    instance = MigInstance(0, "MIG-1", "NVIDIA H200 MIG 1g.18gb", 18_000, 17_000)
    sliced = machine(gpu(mig_enabled=True, mig_instances=(instance,)))
    monkeypatch.setattr("alphazero.metrics.sampler.probe_hardware", lambda: sliced)
    assert gpu_sampler("cuda:0") is None
