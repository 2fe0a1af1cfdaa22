"""Folder names and JSON of a machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from alphazero.hardware.description import Cpu, Gpu, Hardware, Memory, difference


@pytest.mark.parametrize(
    ("model", "slug"),
    [
        ("AMD EPYC", "amd-epyc-2c"),
        ("AMD EPYC family 25 model 17", "amd-epyc-family-25-model-17-2c"),
        ("AMD EPYC 7763 64-Core Processor", "amd-epyc-7763-2c"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "intel-xeon-2c"),
        ("Intel(R) Xeon(R) CPU family 6 model 79 @ 2.20GHz", "intel-xeon-family-6-model-79-2c"),
        ("Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", "intel-core-i7-9750h-2c"),
        ("Apple M2 Pro", "apple-m2-pro-2c"),
        ("../..", "unknown-2c"),
    ],
)
def test_machine_without_gpu_is_named_by_processor_and_cores(
    machine: Callable[..., Hardware], model: str, slug: str
) -> None:
    assert machine(cpu=Cpu(model, 2, 2, None, 2)).machine_slug() == slug


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("NVIDIA H200", "nvidia-h200-16c"),
        ("NVIDIA A100-SXM4-80GB", "nvidia-a100-sxm4-80gb-16c"),
        ("NVIDIA GeForce RTX 4060 Laptop GPU", "nvidia-rtx-4060-laptop-16c"),
    ],
)
def test_machine_with_gpu_is_named_by_gpu_and_cores(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware], name: str, slug: str
) -> None:
    assert machine(gpu(name=name), cores=16).machine_slug() == slug


def test_json_has_the_documented_keys(gpu: Callable[..., Gpu], machine: Callable[..., Hardware]) -> None:
    data = json.loads(json.dumps(machine(gpu(), cores=16).to_json()))
    assert list(data) == [
        "machine",
        "selected_gpu",
        "gpus",
        "driver_version",
        "cuda_driver_version",
        "torch_version",
        "torch_cuda_version",
        "gpu_problem",
        "cpu",
        "memory",
        "operating_system",
        "python_version",
        "warnings",
    ]
    assert (data["machine"], data["selected_gpu"]) == ("nvidia-h200-16c", 0)
    assert list(data["gpus"][0]) == [
        "index",
        "cuda_index",
        "name",
        "uuid",
        "memory_total_mib",
        "memory_free_mib",
        "compute_capability",
        "power_limit_w",
        "mig_enabled",
        "mig_instances",
        "problem",
    ]
    assert list(data["cpu"]) == ["model", "logical_cores", "affinity_cores", "cgroup_cores", "usable_cores"]
    assert list(data["memory"]) == ["total_mib", "available_mib", "cgroup_limit_mib", "usable_mib"]


def test_a_machine_is_the_one_described_whatever_of_its_memory_is_free(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    described = machine(gpu(), memory=Memory(131_072, 131_072, None, 131_072))
    later = machine(
        gpu(memory_free_mib=9, memory_total_mib=143_700),
        memory=Memory(131_060, 5_000, None, 131_060),
        warnings=("one",),
    )
    assert difference(described, later) == ""


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"cpu": Cpu("Other", 32, 32, None, 32)}, "its processor is AMD EPYC 7763 64-Core Processor, and here it is "
            "Other"),
        ({"cores": 16}, "its usable cores are 32, and here they are 16"),
        ({"gpus": ()}, "its GPUs are NVIDIA H200 (143771 MiB), and here they are none"),
        ({"memory_mib": 65_536}, "its usable memory is 131072 MiB, and here it is 65536 MiB"),
    ],
)  # fmt: skip
def test_another_machine_is_told_by_what_it_has(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware], now: dict[str, Any], said: str
) -> None:
    described = machine(gpu())
    assert difference(described, machine(*now.pop("gpus", (gpu(),)), **now)) == said


def test_another_amount_of_memory_is_no_other_machine_where_it_does_not_count(
    machine: Callable[..., Hardware],
) -> None:
    assert difference(machine(), machine(memory_mib=65_536), with_memory=False) == ""
