"""What a machine is, as plain data: devices, cores and memory. `probe` fills it in, nothing here looks.

Memory is in MiB (2**20 bytes). None means that the machine did not say; no number is ever made up.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alphazero.errors import UserError

_AT_LEAST_ONE = ("machine.cpu.logical_cores", "machine.cpu.usable_cores", "machine.memory.usable_mib")


@dataclass(frozen=True)
class MigInstance:
    """One slice of a GPU in Multi-Instance GPU mode: CUDA sees it as a device of its own."""

    index: int
    uuid: str
    name: str
    memory_total_mib: int | None
    memory_free_mib: int | None


@dataclass(frozen=True)
class Gpu:
    """One GPU that CUDA_VISIBLE_DEVICES leaves visible.

    With MIG on, memory and name of the device a process gets are those of its first visible instance:
    `device_name`, `device_memory_total_mib` and `device_memory_free_mib` say them in both cases.
    """

    index: int  # NVML's number, in the order of the PCI bus
    cuda_index: int  # N in cuda:N, the position among the visible devices
    name: str
    uuid: str | None
    memory_total_mib: int | None
    memory_free_mib: int | None
    compute_capability: str | None  # such as "9.0"
    power_limit_w: float | None
    mig_enabled: bool | None  # None: this GPU has no such mode
    mig_instances: tuple[MigInstance, ...] = ()
    problem: str | None = None  # why the installed torch cannot use it

    @property
    def device_name(self) -> str:
        return self.mig_instances[0].name if self.mig_instances else self.name

    @property
    def device_memory_total_mib(self) -> int | None:
        return self._memory("memory_total_mib")

    @property
    def device_memory_free_mib(self) -> int | None:
        return self._memory("memory_free_mib")

    def _memory(self, field: str) -> int | None:
        if self.mig_enabled and not self.mig_instances:
            return 0  # a GPU in MIG mode without an instance runs nothing
        memory: int | None = getattr(self.mig_instances[0] if self.mig_instances else self, field)
        return memory


@dataclass(frozen=True)
class Cpu:
    """The processor, and every number that limits how many of its cores this process may use."""

    model: str
    logical_cores: int  # what the operating system counts
    affinity_cores: int | None  # cores this process may be scheduled on; None: not known on this system
    cgroup_cores: (
        float | None
    )  # CPU quota of the control group (containers), may be a fraction; None: no quota
    usable_cores: int  # the smallest of the three, rounded down, at least 1


@dataclass(frozen=True)
class Memory:
    """Memory of the host. `usable_mib` is the smaller of the physical size and the cgroup's limit."""

    total_mib: int
    available_mib: int  # free for new processes now, within the cgroup's limit
    cgroup_limit_mib: int | None
    usable_mib: int


@dataclass(frozen=True)
class Hardware:
    """One machine as seen by this process. `warnings` says in sentences what could not be used, and why."""

    gpus: tuple[Gpu, ...]
    driver_version: str | None
    cuda_driver_version: str | None  # newest CUDA the driver serves, such as "12.8"
    torch_version: str | None  # None: torch is not installed
    torch_cuda_version: str | None  # CUDA that torch was built for; None: a build without CUDA
    gpu_problem: str | None  # why no GPU can be used though one may be there
    cpu: Cpu
    memory: Memory
    operating_system: str
    python_version: str
    warnings: tuple[str, ...] = ()

    @property
    def selected_gpu(self) -> Gpu | None:
        """The GPU a run uses: of those torch can use the one with most free memory, the first of equals."""
        usable = [gpu for gpu in self.gpus if gpu.problem is None]
        if self.gpu_problem is not None or not usable:
            return None
        return max(usable, key=lambda gpu: (gpu.device_memory_free_mib or 0, -gpu.cuda_index))

    def gpu_for(self, device: str) -> Gpu | None:
        """Return the GPU that `device` (auto, cpu, cuda or cuda:N) means; None: the CPU, or no such GPU."""
        if device == "cpu" or self.selected_gpu is None:
            return None
        if device == "auto":
            return self.selected_gpu
        gpu = self._numbered(device)
        return None if gpu is None or gpu.problem is not None else gpu

    def problem_of(self, device: str) -> str | None:
        """Return why the GPU that `device` (cuda or cuda:N) means cannot be used; None: it can, or there is none."""
        gpu = self._numbered(device)
        return None if gpu is None else gpu.problem

    def _numbered(self, device: str) -> Gpu | None:
        number = int(device.partition(":")[2] or 0)  # plain cuda is torch's current device, the first
        return next((gpu for gpu in self.gpus if gpu.cuda_index == number), None)

    def machine_slug(self) -> str:
        """Return the name of this machine's folder under `results/`: its device and usable cores.

        Such as `nvidia-h200-16c`, or `amd-epyc-2c` without a usable GPU: lower-case letters, digits, hyphens.
        """
        gpu = self.selected_gpu
        return f"{_slug(gpu.device_name if gpu else self.cpu.model)}-{self.cpu.usable_cores}c"

    def to_json(self) -> dict[str, object]:
        """Return everything as JSON data; the keys are the field names, see docs/configuration.md."""
        gpu = self.selected_gpu
        return {
            "machine": self.machine_slug(),
            "selected_gpu": gpu.cuda_index if gpu else None,
            **dataclasses.asdict(self),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Hardware:
        """Return the machine that `to_json` described; UserError if `data` is something else."""
        try:
            machine: Hardware = _from_json(cls, data, "machine")
        except ValueError as error:
            raise UserError(
                f"not a machine's description ({error}); write one with `alphazero detect --out FILE.json`"
            ) from error
        return machine


def difference(described: Hardware, here: Hardware, with_memory: bool = True) -> str:
    """Return in words the first thing in which a machine differs from its description; "" if it is the one.

    What comes and goes does not count: free memory, warnings, and the few MiB that another kernel or driver keeps.

    with_memory: whether the memory of the host that may be used counts.
    """
    was, now = described.cpu, here.cpu
    if was.model != now.model:
        return f"its processor is {was.model}, and here it is {now.model}"
    if was.usable_cores != now.usable_cores:
        return f"its usable cores are {was.usable_cores}, and here they are {now.usable_cores}"
    if not _same_gpus(described, here):
        return f"its GPUs are {_gpus_in_words(described)}, and here they are {_gpus_in_words(here)}"
    if with_memory and not _about(described.memory.usable_mib, here.memory.usable_mib):
        return f"its usable memory is {described.memory.usable_mib} MiB, and here it is {here.memory.usable_mib} MiB"
    return ""


def _same_gpus(described: Hardware, here: Hardware) -> bool:
    return len(described.gpus) == len(here.gpus) and all(
        was.device_name == now.device_name
        and _about(was.device_memory_total_mib or 0, now.device_memory_total_mib or 0)
        for was, now in zip(described.gpus, here.gpus, strict=True)
    )


def _gpus_in_words(hardware: Hardware) -> str:
    each = [f"{gpu.device_name} ({gpu.device_memory_total_mib or 0} MiB)" for gpu in hardware.gpus]
    return ", ".join(each) or "none"


def _about(one_mib: int, other_mib: int) -> bool:
    return math.isclose(one_mib, other_mib, rel_tol=0.02)


def _from_json(kind: Any, value: Any, name: str) -> Any:
    """Return `value` as the type `kind` of a field called `name`; ValueError, naming it, if it is something else."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} is not an object")
        types = typing.get_type_hints(kind)
        missing = [
            field.name
            for field in dataclasses.fields(kind)
            if field.name not in value and field.default is dataclasses.MISSING
        ]
        if missing:
            raise ValueError(f"{name} has no {', '.join(missing)}")
        return kind(
            **{key: _from_json(types[key], value[key], f"{name}.{key}") for key in types if key in value}
        )
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} is not a list")
        return tuple(_from_json(typing.get_args(kind)[0], item, name) for item in value)
    allowed = typing.get_args(kind) or (kind,)
    if type(value) not in allowed and not (float in allowed and type(value) is int):
        words = " or ".join("null" if each is type(None) else each.__name__ for each in allowed)
        raise ValueError(f"{name} is {value!r}, not {words}")
    least = 1 if name in _AT_LEAST_ONE else 0
    if isinstance(value, int | float) and not value >= least:
        raise ValueError(f"{name} is {value!r}, below {least}")
    return value


def _slug(name: str) -> str:
    """Return a device's name in lower case, without trade marks, clock rates and filler words."""
    words = name.lower()
    words = re.sub(r"\((r|tm|c)\)", " ", words)
    words = re.sub(r"@.*$", " ", words)
    words = re.sub(
        r"\b\d+-core\b|\b(cpu|gpu|processor|with radeon graphics|geforce|graphics device)\b", " ", words
    )
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-") or "unknown"
