"""Which hardware profile suits a machine: by the memory of the device, in one sentence."""

from __future__ import annotations

from alphazero.hardware.description import Gpu, Hardware

# Smallest device memory of each hardware profile in MiB. Cards report a little less than their nominal
# size (an RTX 4070 of 12 GB: 12,282 MiB; a V100 of 32 GB: 32,510 MiB), so the bounds lie below it.
_SMALLEST_MEMORY_MIB = {
    "high": 30 * 1024,  # 32 GB and more: A100, H100, H200, V100 32 GB, RTX 5090
    "mid": 11_500,  # 12 to 24 GB: T4, L4, V100 16 GB, RTX 3060 to 4090
    "low": 3_500,  # 4 to 11 GB: laptop cards, RTX 4060
}


def choose_profile(hardware: Hardware, device: str = "auto") -> tuple[str, str]:
    """Return the name of the hardware profile for `hardware`, and why, as one sentence.

    `device` is the setting inference.device, where the user gave it: auto, cpu, cuda or cuda:N.
    """
    gpu = hardware.gpu_for(device)
    if gpu is None:
        reason = hardware.gpu_problem or f"inference.device is '{device}'"
        return "cpu", f"hardware profile 'cpu', because {reason}"
    name_of_gpu = _describe(gpu, hardware)
    memory = gpu.device_memory_total_mib
    if memory is None:
        return "low", f"hardware profile 'low', because {name_of_gpu} does not say how much memory it has"
    for name, smallest in _SMALLEST_MEMORY_MIB.items():
        if memory >= smallest:
            return name, (
                f"hardware profile '{name}', because {name_of_gpu} has {memory / 1024:.1f} GiB of memory "
                f"('{name}' needs {smallest / 1024:.1f})"
            )
    return "cpu", (
        f"hardware profile 'cpu', because {name_of_gpu} has only {memory / 1024:.1f} GiB of memory "
        f"('low' needs {_SMALLEST_MEMORY_MIB['low'] / 1024:.1f})"
    )


def _describe(gpu: Gpu, hardware: Hardware) -> str:
    if len(hardware.gpus) == 1:
        return gpu.device_name
    most_free = f", the one of {len(hardware.gpus)} GPUs with most free memory"
    return f"{gpu.device_name} (cuda:{gpu.cuda_index}{most_free if gpu == hardware.selected_gpu else ''})"
