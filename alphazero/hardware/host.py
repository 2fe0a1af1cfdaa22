"""The host: its processor, the cores and the memory that this process may really use.

In a container or a batch job the count of cores lies: the scheduler's affinity mask and the quota of the
control group (cgroup, version 1 or 2, at any level above the process) are what counts. `root` is "/"; tests
give a folder with a made-up /proc and /sys.
"""

from __future__ import annotations

import importlib
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alphazero.hardware.description import Cpu, Memory

_MIB = 2**20
_NO_LIMIT_BYTES = 2**60  # cgroup version 1 writes "no limit" as a number of about 2**63


def probe_cpu(root: Path = Path("/")) -> Cpu:
    """Return the processor and the cores this process may use, with every number that limits them."""
    logical = os.cpu_count() or 1
    affinity = _affinity_cores()
    quota = cgroup_cores(root)
    limits = [logical, *([affinity] if affinity else []), *([math.floor(quota)] if quota else [])]
    return Cpu(
        model=cpu_model(root),
        logical_cores=logical,
        affinity_cores=affinity,
        cgroup_cores=quota,
        usable_cores=max(1, min(limits)),
    )


def probe_memory(root: Path = Path("/")) -> Memory:
    """Return the size of the host's memory and how much of it this process may use."""
    import psutil

    memory = psutil.virtual_memory()
    total_mib = int(memory.total) // _MIB
    limit = cgroup_memory_limit(root)
    limit_mib = None if limit is None else limit // _MIB
    usable = total_mib if limit_mib is None else min(total_mib, limit_mib)
    left = [limit - used for limit, used in _cgroup_memory(root)]
    return Memory(
        total_mib=total_mib,
        available_mib=max(0, min([int(memory.available), *left])) // _MIB,
        cgroup_limit_mib=limit_mib,
        usable_mib=usable,
    )


def cpu_model(root: Path = Path("/")) -> str:
    """Return the processor's name as the operating system gives it, or its architecture."""
    name = ""
    if sys.platform == "darwin":
        name = _output_of("sysctl", "-n", "machdep.cpu.brand_string")
    elif sys.platform == "win32":
        name = _windows_registry_cpu_name()
    else:
        name = _cpuinfo_name(_read(root / "proc/cpuinfo"))
    return " ".join(name.split()) or platform.processor() or platform.machine() or "unknown CPU"


def cgroup_cores(root: Path = Path("/")) -> float | None:
    """Return the smallest CPU quota of the control groups this process is in, in cores; None: no quota."""
    quotas = []
    for folder in _cgroup_folders(root, "cpu"):
        words = _read(folder / "cpu.max").split()  # version 2: "200000 100000", or "max 100000"
        if not words:  # version 1: a quota of -1 means none
            words = [_read(folder / f"cpu.cfs_{part}_us").strip() for part in ("quota", "period")]
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]) > 0:
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def cgroup_memory_limit(root: Path = Path("/")) -> int | None:
    """Return the smallest memory limit of the control groups this process is in, in bytes; None: no limit."""
    return min((limit for limit, _ in _cgroup_memory(root)), default=None)


def _cgroup_memory(root: Path) -> Iterator[tuple[int, int]]:
    """Yield (limit, memory in use), in bytes, of each control group of this process that has a limit.

    Files that were read and are kept for the next reader (page cache not used of late) give way: they are not in use.
    """
    versions = (
        ("memory.max", "memory.current", "inactive_file"),  # version 2
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),  # version 1
    )
    for folder in _cgroup_folders(root, "memory"):
        for limit_file, used_file, kept in versions:
            limit = _number(_read(folder / limit_file))
            if limit is not None and limit < _NO_LIMIT_BYTES:
                statistics = dict(
                    line.partition(" ")[::2] for line in _read(folder / "memory.stat").splitlines()
                )
                used = _number(_read(folder / used_file)) or 0
                yield limit, max(0, used - (_number(statistics.get(kept, "")) or 0))


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the process's control groups, from its own up to the top.

    /proc/self/cgroup has a line `id:controllers:path` for each hierarchy; version 2's is `0::path`. In a
    container the path may be the host's, which is not mounted there: then only the top exists.
    """
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            tops = [mount, mount / "unified"]
        elif controller in controllers.split(","):
            tops = [mount / controllers, mount / controller]
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for top in tops:
            for depth in range(len(parts), -1, -1):
                yield top.joinpath(*parts[:depth])


def _affinity_cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    if sys.platform == "win32":
        import psutil

        return len(psutil.Process().cpu_affinity())
    return None  # macOS cannot bind a process to cores


def _cpuinfo_name(cpuinfo: str) -> str:
    """Return the processor's name from Linux's /proc/cpuinfo; '' on ARM, which has only part numbers.

    Virtual machines may hide which of its kind it is ("AMD EPYC", "Intel(R) Xeon(R) CPU @ 2.20GHz"): family and model,
    which they show, are added then, before a clock rate.
    """
    first: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        first.setdefault(key.strip(), value.strip())
    name = first.get("model name") or first.get("Model", "")
    kind, at, clock_rate = name.partition("@")
    if name and "cpu family" in first and "model" in first and not any(sign.isdigit() for sign in kind):
        name = f"{kind.rstrip()} family {first['cpu family']} model {first['model']} {at}{clock_rate}"
    return name


def _windows_registry_cpu_name() -> str:
    winreg: Any = importlib.import_module("winreg")  # a module of Python on Windows alone
    processor = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, processor) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
    except OSError:
        return ""


def _output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
