"""NVIDIA GPUs through NVML (package nvidia-ml-py), which needs the driver but neither CUDA nor torch.

Every query may be refused: by an old driver, in a container, on a GPU without that sensor. A refused query
leaves its field None; a driver that is absent or broken gives no GPUs and a sentence why.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alphazero.hardware.description import Gpu, MigInstance

_MIB = 2**20
_FOR_FEW_PROCESSES = (1, 2, 3)  # nvmlComputeMode_t: exclusive thread, prohibited, exclusive process


@dataclass(frozen=True)
class NvidiaDevices:
    """What NVML told. `problem` says why no GPU can be used; None where there is one."""

    gpus: tuple[Gpu, ...]
    driver_version: str | None
    cuda_driver_version: str | None
    problem: str | None
    warnings: tuple[str, ...] = ()


def number_by_bus(environment: MutableMapping[str, str]) -> None:
    """Have CUDA, which no process has begun to use yet, number GPUs as NVML does, by which they are chosen.

    Not where CUDA_VISIBLE_DEVICES names them: perhaps by the order that CUDA has of itself, the fastest first.
    """
    if "CUDA_VISIBLE_DEVICES" not in environment:
        environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def probe_nvidia(environment: Mapping[str, str]) -> NvidiaDevices:
    """Return the GPUs that CUDA_VISIBLE_DEVICES in `environment` leaves visible, in CUDA's order."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return _nothing("nvidia-ml-py is not installed, so no GPU was looked for")
    try:
        nvml.nvmlInit()
    except Exception as error:  # NVMLError, or OSError from a library that cannot be loaded
        return _nothing(_why_no_driver(nvml, error))
    try:
        return _probe(nvml, environment)
    except Exception as error:  # a driver that breaks in the middle leaves the rest of the machine usable
        return _nothing(f"the NVIDIA driver answered with an error ({error}); `nvidia-smi` may say more")
    finally:
        _ask(nvml, "nvmlShutdown")


def _probe(nvml: Any, environment: Mapping[str, str]) -> NvidiaDevices:
    driver_version = _text(_ask(nvml, "nvmlSystemGetDriverVersion"))
    cuda_version = _cuda_version_text(_ask(nvml, "nvmlSystemGetCudaDriverVersion_v2"))
    found = []
    warnings = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            found.append(_probe_gpu(nvml, index))
        except Exception as error:  # one lost GPU does not hide the others
            warnings.append(f"GPU {index} does not answer ({error}); it is left out")
            continue
        if (
            _ask(nvml, "nvmlDeviceGetComputeMode", nvml.nvmlDeviceGetHandleByIndex(index))
            in _FOR_FEW_PROCESSES
        ):
            warnings.append(
                f"{found[-1].name} (GPU {index}) is in an exclusive or prohibited compute mode, and learner and "
                "inference server are two processes: unless an MPS server shares it among them, run "
                f"`nvidia-smi -i {index} -c DEFAULT` as administrator"
            )
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    gpus = visible_gpus(found, visible)
    if not gpus:
        hidden = f"CUDA_VISIBLE_DEVICES={visible!r} hides all GPUs ({len(found)} found)"
        problem = hidden if found else "the NVIDIA driver found no GPU"
        return NvidiaDevices((), driver_version, cuda_version, problem, tuple(warnings))
    for gpu in gpus:
        if gpu.mig_enabled and not gpu.mig_instances:
            warnings.append(
                f"{gpu.name} (GPU {gpu.index}) is in MIG mode without an instance and cannot be used"
            )
        elif len(gpu.mig_instances) > 1:
            warnings.append(
                f"{gpu.name} (GPU {gpu.index}) is in MIG mode: a process uses one of its "
                f"{len(gpu.mig_instances)} instances, the first unless CUDA_VISIBLE_DEVICES names another"
            )
    by_number = visible is None or visible.replace(",", "").replace(" ", "").isdigit()
    if (
        by_number
        and len({gpu.name for gpu in found}) > 1
        and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
    ):
        warnings.append(
            "the GPUs differ, and CUDA may number them by speed while they are listed by bus; "
            "set CUDA_DEVICE_ORDER=PCI_BUS_ID so that cuda:N is the GPU listed as N"
        )
    usable = [gpu for gpu in gpus if not gpu.mig_enabled or gpu.mig_instances]
    no_instance = "every GPU is in MIG mode without an instance; create one or turn MIG off"
    return NvidiaDevices(
        tuple(gpus), driver_version, cuda_version, None if usable else no_instance, tuple(warnings)
    )


def visible_gpus(gpus: Sequence[Gpu], visible: str | None) -> list[Gpu]:
    """Return the GPUs that the text of CUDA_VISIBLE_DEVICES leaves visible, numbered as CUDA does.

    The text lists numbers, UUIDs of GPUs or MIG instances, or the beginnings of UUIDs; as in CUDA the
    first entry that names nothing ends the list. None: all are visible.
    """
    if visible is None:
        return [replace(gpu, cuda_index=position) for position, gpu in enumerate(gpus)]
    chosen: list[Gpu] = []
    for entry in visible.split(","):
        gpu = _named_gpu(gpus, entry.strip())
        if gpu is None:
            break
        chosen.append(replace(gpu, cuda_index=len(chosen)))
    return chosen


def _named_gpu(gpus: Sequence[Gpu], entry: str) -> Gpu | None:
    if entry.isdigit():
        return next((gpu for gpu in gpus if gpu.index == int(entry)), None)
    for gpu in gpus:
        if entry.startswith("GPU-") and (gpu.uuid or "").startswith(entry):
            return gpu
        for instance in gpu.mig_instances:
            if entry.startswith("MIG-") and instance.uuid.startswith(entry):
                return replace(gpu, mig_instances=(instance,))
    return None


def _probe_gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    total_mib, free_mib = _memory_mib(nvml, handle)
    capability = _ask(nvml, "nvmlDeviceGetCudaComputeCapability", handle)
    power_limit_mw = _ask(nvml, "nvmlDeviceGetEnforcedPowerLimit", handle)
    mig_mode = _ask(nvml, "nvmlDeviceGetMigMode", handle)  # (now, after the next reset)
    mig_enabled = None if mig_mode is None else mig_mode[0] == 1
    return Gpu(
        index=index,
        cuda_index=index,
        name=_text(_ask(nvml, "nvmlDeviceGetName", handle)) or "NVIDIA GPU",
        uuid=_text(_ask(nvml, "nvmlDeviceGetUUID", handle)),
        memory_total_mib=total_mib,
        memory_free_mib=free_mib,
        compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
        power_limit_w=None if power_limit_mw is None else power_limit_mw / 1000,
        mig_enabled=mig_enabled,
        mig_instances=_probe_mig_instances(nvml, handle) if mig_enabled else (),
    )


def _probe_mig_instances(nvml: Any, gpu_handle: Any) -> tuple[MigInstance, ...]:
    instances = []
    for index in range(_ask(nvml, "nvmlDeviceGetMaxMigDeviceCount", gpu_handle) or 0):
        handle = _ask(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", gpu_handle, index)
        if handle is None:  # numbers without an instance are gaps, not the end
            continue
        total_mib, free_mib = _memory_mib(nvml, handle)
        instances.append(
            MigInstance(
                index=index,
                uuid=_text(_ask(nvml, "nvmlDeviceGetUUID", handle)) or "",
                name=_text(_ask(nvml, "nvmlDeviceGetName", handle)) or "MIG instance",
                memory_total_mib=total_mib,
                memory_free_mib=free_mib,
            )
        )
    return tuple(instances)


def _memory_mib(nvml: Any, handle: Any) -> tuple[int | None, int | None]:
    memory = _ask(nvml, "nvmlDeviceGetMemoryInfo", handle)
    return (None, None) if memory is None else (int(memory.total) // _MIB, int(memory.free) // _MIB)


def _why_no_driver(nvml: Any, error: Exception) -> str:
    code = getattr(error, "value", None)
    if code == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return "no NVIDIA driver was found"
    if code == nvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return "the NVIDIA driver is installed but not loaded; see `nvidia-smi`"
    if code == nvml.NVML_ERROR_NO_PERMISSION:
        return "this user may not use the NVIDIA driver; check the permissions of /dev/nvidia*"
    return f"the NVIDIA driver cannot be used ({error}); `nvidia-smi` may say more"


def _ask(nvml: Any, query: str, *arguments: Any) -> Any:
    """Return the answer of the NVML function `query`, or None if this driver or GPU refuses it."""
    try:
        return getattr(nvml, query)(*arguments)
    except Exception:  # NVMLError_NotSupported and its like; AttributeError where pynvml is older
        return None


def _text(value: str | bytes | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def _cuda_version_text(version: int | None) -> str | None:
    """Return "12.8" for NVML's 12080."""
    return None if version is None else f"{version // 1000}.{version % 1000 // 10}"


def _nothing(problem: str) -> NvidiaDevices:
    return NvidiaDevices((), None, None, problem)
