"""Looks at the machine: GPUs, CPU, memory. Takes a fraction of a second and never imports torch."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import replace

from alphazero.hardware.description import Hardware
from alphazero.hardware.host import probe_cpu, probe_memory
from alphazero.hardware.nvidia import probe_nvidia
from alphazero.hardware.torch_build import gpu_problem_of_build, torch_build


def probe_hardware() -> Hardware:
    """Return what this process may use of this machine. Never fails: what is missing is said in words."""
    nvidia = probe_nvidia(os.environ)
    torch_version, torch_cuda_version = torch_build()
    warnings = list(nvidia.warnings)
    gpus = tuple(
        replace(
            gpu,
            problem=gpu_problem_of_build(
                torch_version, torch_cuda_version, nvidia.cuda_driver_version, gpu.compute_capability
            ),
        )
        for gpu in nvidia.gpus
    )
    gpu_problem = nvidia.problem
    if gpu_problem is None:
        warnings += [f"{gpu.name} was found, but {gpu.problem}" for gpu in gpus if gpu.problem is not None]
        if all(gpu.problem is not None for gpu in gpus):
            gpu_problem = gpus[0].problem
    if sys.platform == "darwin" and platform.machine() == "arm64":
        warnings.append("the GPU of Apple silicon (MPS) is not used: networks run on the CPU")
    return Hardware(
        gpus=gpus,
        driver_version=nvidia.driver_version,
        cuda_driver_version=nvidia.cuda_driver_version,
        torch_version=torch_version,
        torch_cuda_version=torch_cuda_version,
        gpu_problem=gpu_problem,
        cpu=probe_cpu(),
        memory=probe_memory(),
        operating_system=f"{platform.system()} {platform.release()}",
        python_version=platform.python_version(),
        warnings=tuple(warnings),
    )
