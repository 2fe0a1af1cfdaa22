"""A machine that was written down is read back as it was."""

import json
from typing import Any

import pytest

from alphazero.errors import UserError
from alphazero.hardware.description import Cpu, Gpu, Hardware, Memory, MigInstance

SLICE = MigInstance(index=0, uuid="MIG-1", name="A100 1g.5gb", memory_total_mib=4864, memory_free_mib=4800)
MACHINE = Hardware(
    gpus=(Gpu(0, 0, "NVIDIA A100", "GPU-1", 40960, 40000, "8.0", 400.0, True, (SLICE,)),),
    driver_version="580.1",
    cuda_driver_version="13.0",
    torch_version="2.13.0",
    torch_cuda_version="13.0",
    gpu_problem=None,
    cpu=Cpu("Test CPU", 8, 8, 4.5, 4),
    memory=Memory(65536, 60000, None, 65536),
    operating_system="Linux",
    python_version="3.11",
    warnings=("one warning",),
)


def test_json_gives_the_same_machine_back() -> None:
    assert Hardware.from_json(json.loads(json.dumps(MACHINE.to_json()))) == MACHINE


@pytest.mark.parametrize("damaged", [{}, {**MACHINE.to_json(), "cpu": {"model": "x"}}])
def test_something_else_is_refused(damaged: dict[str, object]) -> None:
    with pytest.raises(UserError, match="not a machine's description"):
        Hardware.from_json(damaged)


def changed(place: str, value: object) -> dict[str, object]:
    """Return MACHINE's JSON with another value at `place`, such as cpu.usable_cores."""
    data: dict[str, Any] = json.loads(json.dumps(MACHINE.to_json()))
    *folders, key = place.split(".")
    inner: Any = data
    for folder in folders:
        inner = inner[int(folder) if folder.isdigit() else folder]
    inner[key] = value
    return data


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("cpu.usable_cores", "x", "machine.cpu.usable_cores is 'x', not int"),
        ("cpu.usable_cores", True, "machine.cpu.usable_cores is True, not int"),
        ("cpu.usable_cores", -3, "machine.cpu.usable_cores is -3, below 1"),
        ("cpu.usable_cores", 0, "machine.cpu.usable_cores is 0, below 1"),
        ("cpu.cgroup_cores", float("nan"), "machine.cpu.cgroup_cores is nan, below 0"),
        ("cpu", 5, "machine.cpu is not an object"),
        ("memory.total_mib", None, "machine.memory.total_mib is None, not int"),
        ("gpus", 5, "machine.gpus is not a list"),
        ("gpus.0.memory_free_mib", -1, "machine.gpus.memory_free_mib is -1, below 0"),
        ("gpus.0.mig_instances.0.name", 1, "machine.gpus.mig_instances.name is 1, not str"),
        ("warnings", [1], "machine.warnings is 1, not str"),
    ],
)
def test_a_wrong_value_is_named(place: str, value: object, said: str) -> None:
    with pytest.raises(UserError, match=rf"^not a machine's description \({said}\); write one with"):
        Hardware.from_json(changed(place, value))


def test_whole_numbers_and_nothing_are_read_where_they_may_stand() -> None:
    machine = Hardware.from_json(changed("cpu.cgroup_cores", 4))
    assert machine.cpu.cgroup_cores == 4.0
    assert Hardware.from_json(changed("gpus.0.memory_free_mib", None)).gpus[0].memory_free_mib is None
