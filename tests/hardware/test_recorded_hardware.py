"""A machine that was written down is read back as it was."""

import json

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
