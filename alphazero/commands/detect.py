"""`alphazero detect`: what this machine has, and the hardware profile it leads to."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from alphazero.folders import write_text
from alphazero.hardware.choose import choose_profile
from alphazero.hardware.description import Gpu, Hardware
from alphazero.hardware.probe import probe_hardware


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options to `parser`."""
    parser.add_argument("--json", action="store_true", help="print JSON (keys: docs/configuration.md)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the JSON to this file too")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found and return 0, also where there is no GPU."""
    hardware = probe_hardware()
    text = json.dumps(detection(hardware), indent=2) + "\n"
    print(text if arguments.json else "\n".join(table_lines(hardware)) + "\n", end="")
    if arguments.out is not None:
        write_text(arguments.out, text, "choose another --out")
    return 0


def detection(hardware: Hardware) -> dict[str, object]:
    """Return the JSON data of this command: the chosen profile, why, and the hardware."""
    profile, reason = choose_profile(hardware)
    return {"hardware_profile": profile, "profile_reason": reason, **hardware.to_json()}


def table_lines(hardware: Hardware) -> list[str]:
    """Return the same for people, a line each."""
    cpu, memory = hardware.cpu, hardware.memory
    rows = [("machine", hardware.machine_slug())]
    rows += [(f"GPU cuda:{gpu.cuda_index}", _gpu_text(gpu)) for gpu in hardware.gpus]
    if not hardware.gpus:
        rows.append(("GPU", f"none: {hardware.gpu_problem}"))
    if hardware.driver_version is not None:
        rows.append(
            ("driver", f"{hardware.driver_version}, CUDA up to {_known(hardware.cuda_driver_version)}")
        )
    rows += [
        ("torch", f"{_known(hardware.torch_version)}, CUDA {hardware.torch_cuda_version or 'none'}"),
        ("CPU", cpu.model),
        (
            "usable cores",
            f"{cpu.usable_cores} (machine {cpu.logical_cores}, affinity {_known(cpu.affinity_cores)}, "
            f"cgroup quota {'none' if cpu.cgroup_cores is None else cpu.cgroup_cores})",
        ),
        (
            "memory",
            f"{memory.usable_mib:,} MiB usable, {memory.available_mib:,} MiB available "
            f"(cgroup limit {'none' if memory.cgroup_limit_mib is None else memory.cgroup_limit_mib})",
        ),
        ("system", f"{hardware.operating_system}, Python {hardware.python_version}"),
    ]
    width = max(len(label) for label, _ in rows) + 2
    lines = [f"{label:<{width}}{text}" for label, text in rows]
    lines += [f"warning: {sentence}" for sentence in hardware.warnings]
    return [*lines, "", choose_profile(hardware)[1]]


def _gpu_text(gpu: Gpu) -> str:
    parts = [
        gpu.name,
        f"{_known(gpu.memory_total_mib)} MiB, {_known(gpu.memory_free_mib)} MiB free",
        f"compute capability {_known(gpu.compute_capability)}",
        f"power limit {'not known' if gpu.power_limit_w is None else f'{gpu.power_limit_w:g} W'}",
    ]
    if gpu.mig_enabled:
        instances = ", ".join(instance.name for instance in gpu.mig_instances) or "no instance"
        parts.append(f"MIG: {instances}")
    return "; ".join(parts)


def _known(value: object) -> object:
    return "not known" if value is None else value
