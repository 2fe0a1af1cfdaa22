"""The whole probe, on this machine and with parts replaced."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from alphazero.hardware import probe
from alphazero.hardware.description import Gpu
from alphazero.hardware.nvidia import NvidiaDevices


def test_probing_this_machine_never_fails_and_does_not_import_torch() -> None:
    code = (
        "import sys\n"
        "from alphazero.hardware.probe import probe_hardware\n"
        "hardware = probe_hardware()\n"
        "assert hardware.cpu.usable_cores >= 1 and hardware.memory.usable_mib > 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_gpu_under_a_torch_without_cuda_gives_a_warning(
    gpu: Callable[..., Gpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = NvidiaDevices((gpu(),), "570.1", "12.8", None)
    monkeypatch.setattr(probe, "probe_nvidia", lambda environment: devices)
    monkeypatch.setattr(probe, "torch_build", lambda: ("2.9.0+cpu", None))
    hardware = probe.probe_hardware()
    assert hardware.selected_gpu is None
    assert hardware.warnings[0] == (
        "NVIDIA H200 was found, but torch 2.9.0+cpu was built without CUDA; "
        "install torch with CUDA to use the GPU"
    )


def test_each_gpu_is_judged_by_itself(gpu: Callable[..., Gpu], monkeypatch: pytest.MonkeyPatch) -> None:
    old = gpu(name="Tesla V100", compute_capability="7.0", memory_free_mib=999_999)
    devices = NvidiaDevices((old, gpu(index=1, cuda_index=1)), "580.1", "13.0", None)
    monkeypatch.setattr(probe, "probe_nvidia", lambda environment: devices)
    monkeypatch.setattr(probe, "torch_build", lambda: ("2.13.0", "13.0"))
    hardware = probe.probe_hardware()
    assert hardware.gpu_problem is None
    assert hardware.selected_gpu is not None and hardware.selected_gpu.cuda_index == 1
    assert hardware.gpu_for("cuda:0") is None
    assert "needs compute capability 7.5" in (hardware.problem_of("cuda:0") or "")
    assert hardware.warnings[0].startswith("Tesla V100 was found, but torch 2.13.0 was built for CUDA 13.0")


def test_a_gpu_of_before_maxwell_is_left_out(
    gpu: Callable[..., Gpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = gpu(name="Tesla K80", compute_capability="3.7", memory_free_mib=999_999)
    monkeypatch.setattr(probe, "torch_build", lambda: ("2.9.0", "12.6"))
    monkeypatch.setattr(
        probe, "probe_nvidia", lambda environment: NvidiaDevices((old,), "550.1", "12.8", None)
    )
    alone = probe.probe_hardware()
    assert alone.selected_gpu is None
    assert alone.warnings[0].startswith("Tesla K80 was found, but the GPU has compute capability 3.7")
    devices = NvidiaDevices((old, gpu(index=1, cuda_index=1)), "550.1", "12.8", None)
    monkeypatch.setattr(probe, "probe_nvidia", lambda environment: devices)
    beside = probe.probe_hardware().selected_gpu
    assert beside is not None and beside.name == "NVIDIA H200"


def test_apple_silicon_is_said_not_to_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    hardware_on_linux = probe.probe_hardware()
    cpu, memory = hardware_on_linux.cpu, hardware_on_linux.memory
    monkeypatch.setattr(probe, "probe_cpu", lambda: cpu)
    monkeypatch.setattr(probe, "probe_memory", lambda: memory)
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert "MPS" in probe.probe_hardware().warnings[-1]
