"""Cards that people have, and the hardware profile each leads to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from alphazero.hardware.choose import choose_profile
from alphazero.hardware.description import Gpu, Hardware, MigInstance


@pytest.mark.parametrize(
    ("name", "memory_mib", "compute_capability", "profile"),
    [
        ("NVIDIA H200", 143_771, "9.0", "high"),
        ("NVIDIA A100-SXM4-40GB", 40_960, "8.0", "high"),
        ("NVIDIA GeForce RTX 5090", 32_607, "12.0", "high"),
        ("Tesla V100-SXM2-32GB", 32_510, "7.0", "high"),
        ("NVIDIA GeForce RTX 4090", 24_564, "8.9", "mid"),
        ("NVIDIA A10", 23_028, "8.6", "mid"),
        ("Tesla V100-SXM2-16GB", 16_160, "7.0", "mid"),
        ("Tesla T4", 15_360, "7.5", "mid"),
        ("NVIDIA GeForce RTX 4070", 12_282, "8.9", "mid"),
        ("NVIDIA GeForce RTX 2080 Ti", 11_264, "7.5", "low"),
        ("NVIDIA GeForce RTX 4060", 8_188, "8.9", "low"),
        ("NVIDIA GeForce GTX 1650", 3_911, "7.5", "low"),
        ("NVIDIA GeForce MX150", 2_048, "6.1", "cpu"),
    ],
)
def test_profile_by_device_memory(
    gpu: Callable[..., Gpu],
    machine: Callable[..., Hardware],
    name: str,
    memory_mib: int,
    compute_capability: str,
    profile: str,
) -> None:
    card = gpu(name=name, memory_total_mib=memory_mib, compute_capability=compute_capability)
    chosen, reason = choose_profile(machine(card))
    assert chosen == profile
    assert reason.startswith(f"hardware profile '{profile}', because {name} has")


def test_no_gpu_leads_to_cpu_with_the_reason(machine: Callable[..., Hardware]) -> None:
    assert choose_profile(machine()) == ("cpu", "hardware profile 'cpu', because no NVIDIA driver was found")


def test_a_gpu_that_torch_cannot_use_leads_to_cpu(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    hardware = machine(gpu(), gpu_problem="torch 2.9.0+cpu was built without CUDA")
    assert choose_profile(hardware)[0] == "cpu"
    assert hardware.selected_gpu is None


def test_of_several_gpus_the_one_with_most_free_memory(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    busy = gpu(memory_free_mib=10_000)
    idle = gpu(index=1, cuda_index=1, name="Tesla T4", memory_total_mib=15_360, memory_free_mib=15_000)
    profile, reason = choose_profile(machine(busy, idle))
    assert profile == "mid"
    assert "Tesla T4 (cuda:1, the one of 2 GPUs with most free memory)" in reason


def test_equal_gpus_choose_the_first(gpu: Callable[..., Gpu], machine: Callable[..., Hardware]) -> None:
    selected = machine(gpu(), gpu(index=1, cuda_index=1)).selected_gpu
    assert selected is not None and selected.cuda_index == 0


def test_a_mig_instance_counts_with_its_own_memory(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    instance = MigInstance(0, "MIG-one", "NVIDIA H200 MIG 1g.18gb", 16_384, 16_000)
    profile, reason = choose_profile(machine(gpu(mig_enabled=True, mig_instances=(instance,))))
    assert profile == "mid"
    assert "NVIDIA H200 MIG 1g.18gb has 16.0 GiB" in reason


@pytest.mark.parametrize(
    ("device", "profile", "words"),
    [
        ("auto", "high", "NVIDIA H200 (cuda:1, the one of 2 GPUs with most free memory)"),
        ("cuda", "mid", "Tesla T4 (cuda:0)"),
        ("cuda:0", "mid", "Tesla T4 (cuda:0)"),
        ("cuda:1", "high", "NVIDIA H200 (cuda:1, "),
        ("cpu", "cpu", "inference.device is 'cpu'"),
    ],
)
def test_a_device_that_was_asked_for_decides(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware], device: str, profile: str, words: str
) -> None:
    small = gpu(name="Tesla T4", memory_total_mib=15_360, memory_free_mib=15_000)
    chosen, reason = choose_profile(machine(small, gpu(index=1, cuda_index=1)), device)
    assert chosen == profile
    assert words in reason


def test_a_gpu_that_hides_its_memory_gets_the_careful_profile(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    assert choose_profile(machine(gpu(memory_total_mib=None, memory_free_mib=None)))[0] == "low"
