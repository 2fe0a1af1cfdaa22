"""Cores and memory from made-up /proc and /sys trees."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from alphazero.hardware import host

GIB = 2**30


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_cgroup_2_quota_in_a_nested_group(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/slurm/job_7\n",
            "sys/fs/cgroup/slurm/job_7/cpu.max": "max 100000\n",
            "sys/fs/cgroup/slurm/cpu.max": "250000 100000\n",  # the parent's quota binds the child
        },
    )
    assert host.cgroup_cores(root) == 2.5


def test_cgroup_2_smallest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/a/cpu.max": "800000 100000\n",
        },
    )
    assert host.cgroup_cores(root) == 4.0


def test_cgroup_path_of_the_host_falls_back_to_the_mounted_top(tmp_path: Path) -> None:
    """In a container /proc may name the host's path, of which only the top is mounted."""
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/../../docker/abc\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/memory.max": f"{8 * GIB}\n",
        },
    )
    assert host.cgroup_cores(root) == 1.5
    assert host.cgroup_memory_limit(root) == 8 * GIB


def test_cgroup_1_quota_and_memory(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "300000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": f"{4 * GIB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert host.cgroup_cores(root) == 3.0
    assert host.cgroup_memory_limit(root) == 4 * GIB


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        {
            "proc/self/cgroup": "1:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        {"proc/self/cgroup": "garbage", "sys/fs/cgroup/cpu.max": "more garbage"},
    ],
)
def test_no_quota_is_none(tmp_path: Path, files: dict[str, str]) -> None:
    assert host.cgroup_cores(write(tmp_path, files)) is None


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", ""])
def test_no_memory_limit_is_none(tmp_path: Path, text: str) -> None:
    root = write(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": text})
    assert host.cgroup_memory_limit(root) is None


@pytest.mark.parametrize(
    ("logical", "affinity", "quota", "usable"),
    [
        (64, 64, "max", 64),
        (64, 16, "max", 16),
        (64, 16, "250000", 2),  # 2.5 cores: two actors can run at full speed, not three
        (64, None, "max", 64),  # macOS has no affinity
        (64, 16, "50000", 1),  # half a core is still one
    ],
)
def test_usable_cores_are_the_smallest_limit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logical: int,
    affinity: int | None,
    quota: str,
    usable: int,
) -> None:
    root = write(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{quota} 100000\n"})
    monkeypatch.setattr(os, "cpu_count", lambda: logical)
    monkeypatch.setattr(host, "_affinity_cores", lambda: affinity)
    cpu = host.probe_cpu(root)
    assert (cpu.logical_cores, cpu.affinity_cores, cpu.usable_cores) == (logical, affinity, usable)


def test_memory_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    memory = SimpleNamespace(total=64 * GIB, available=60 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    root = write(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{8 * GIB}\n"})
    found = host.probe_memory(root)
    assert (found.total_mib, found.cgroup_limit_mib) == (64 * 1024, 8 * 1024)
    assert (found.usable_mib, found.available_mib) == (8 * 1024, 8 * 1024)


@pytest.mark.parametrize(
    ("files", "available"),
    [
        (  # version 2: 8 GiB - (7 - 4) GiB
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": f"{8 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{7 * GIB}\n",
                "sys/fs/cgroup/memory.stat": f"anon {2 * GIB}\ninactive_file {4 * GIB}\nactive_file 9\n",
            },
            5 * 1024,
        ),
        (  # version 1: 8 GiB - (3 - 1) GiB
            {
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{8 * GIB}\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{3 * GIB}\n",
                "sys/fs/cgroup/memory/memory.stat": f"inactive_file 0\ntotal_inactive_file {GIB}\n",
            },
            6 * 1024,
        ),
        (  # the larger limit of the group above leaves less, since others are in it
            {
                "proc/self/cgroup": "0::/job\n",
                "sys/fs/cgroup/job/memory.max": f"{8 * GIB}\n",
                "sys/fs/cgroup/job/memory.current": f"{1 * GIB}\n",
                "sys/fs/cgroup/memory.max": f"{16 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{14 * GIB}\n",
            },
            2 * 1024,
        ),
        (  # more in use than allowed, as right after the limit was lowered
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": f"{GIB}\n",
                "sys/fs/cgroup/memory.current": f"{2 * GIB}\n",
            },
            0,
        ),
        (  # the machine itself has less than the limit leaves
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{62 * GIB}\n"},
            60 * 1024,
        ),
    ],
)
def test_memory_in_use_within_a_limit_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], available: int
) -> None:
    import psutil

    memory = SimpleNamespace(total=64 * GIB, available=60 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert host.probe_memory(write(tmp_path, files)).available_mib == available


def test_cpu_model_on_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    text = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC  9654\n"
    assert host.cpu_model(write(tmp_path, {"proc/cpuinfo": text})) == "AMD EPYC 9654"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("AMD EPYC", "AMD EPYC family 25 model 17"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "Intel(R) Xeon(R) CPU family 25 model 17 @ 2.20GHz"),
        ("Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz"),
        ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763 64-Core Processor"),
    ],
)
def test_cpu_model_that_a_virtual_machine_hides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, model: str
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    text = f"processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: {name}\n\nprocessor\t: 1\nmodel\t\t: 1\n"
    assert host.cpu_model(write(tmp_path, {"proc/cpuinfo": text})) == model


def test_cpu_model_of_a_board_without_model_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    text = "processor : 0\nCPU part : 0xd0b\nModel : Raspberry Pi 5\n"
    assert host.cpu_model(write(tmp_path, {"proc/cpuinfo": text})) == "Raspberry Pi 5"


def test_cpu_model_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(host, "_output_of", lambda *command: "Apple M2 Pro\n")
    assert host.cpu_model() == "Apple M2 Pro"


def test_cpu_model_falls_back_to_the_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert host.cpu_model(tmp_path) == "aarch64"
