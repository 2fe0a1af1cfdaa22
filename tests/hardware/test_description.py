"""Folder names and JSON of a machine."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from alphazero.hardware.description import Cpu, Gpu, Hardware


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
