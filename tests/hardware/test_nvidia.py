"""NVML's answers and refusals, from a made-up `pynvml`."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from alphazero.hardware.nvidia import number_by_bus, probe_nvidia

MIB = 2**20


class NVMLError(Exception):
    def __init__(self, value: int, text: str = "NVML error") -> None:
        super().__init__(text)
        self.value = value


NOT_SUPPORTED = NVMLError(3, "Not Supported")


class FakeNvml:
    """A `pynvml` with these devices; a handle is the device's dictionary, a missing key a refusal."""

    NVML_ERROR_NO_PERMISSION = 4
    NVML_ERROR_DRIVER_NOT_LOADED = 9
    NVML_ERROR_LIBRARY_NOT_FOUND = 12

    def __init__(self, *devices: dict[str, Any], init_error: Exception | None = None) -> None:
        self.devices = devices
        self.init_error = init_error
        self.shut_down = False

    def nvmlInit(self) -> None:
        if self.init_error is not None:
            raise self.init_error

    def nvmlShutdown(self) -> None:
        self.shut_down = True

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"570.124.06"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 12080

    def nvmlDeviceGetCount(self) -> int:
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        if self.devices[index].get("lost"):
            raise NVMLError(15, "GPU is lost")
        return self.devices[index]

    def _answer(self, handle: dict[str, Any], key: str) -> Any:
        if key not in handle:
            raise NOT_SUPPORTED
        return handle[key]

    def nvmlDeviceGetName(self, handle: dict[str, Any]) -> Any:
        return self._answer(handle, "name")

    def nvmlDeviceGetUUID(self, handle: dict[str, Any]) -> Any:
        return self._answer(handle, "uuid")

    def nvmlDeviceGetMemoryInfo(self, handle: dict[str, Any]) -> Any:
        total, free = self._answer(handle, "memory_mib")
        return SimpleNamespace(total=total * MIB, free=free * MIB)

    def nvmlDeviceGetCudaComputeCapability(self, handle: dict[str, Any]) -> Any:
        return self._answer(handle, "capability")

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: dict[str, Any]) -> Any:
        return self._answer(handle, "power_mw")

    def nvmlDeviceGetComputeMode(self, handle: dict[str, Any]) -> Any:
        return self._answer(handle, "compute_mode")

    def nvmlDeviceGetMigMode(self, handle: dict[str, Any]) -> Any:
        return self._answer(handle, "mig_mode")

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: dict[str, Any]) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: dict[str, Any], index: int) -> Any:
        if index not in handle["instances"]:
            raise NVMLError(6, "Not Found")
        return handle["instances"][index]


H200 = {
    "name": "NVIDIA H200",
    "uuid": "GPU-aaaa-1",
    "memory_mib": (143_771, 143_000),
    "capability": (9, 0),
    "power_mw": 700_000,
    "mig_mode": (0, 0),
}
T4 = {"name": b"Tesla T4", "uuid": b"GPU-bbbb-2", "memory_mib": (15_360, 15_000), "capability": (7, 5)}
SLICES = {
    0: {"name": "NVIDIA H200 MIG 1g.18gb", "uuid": "MIG-one", "memory_mib": (16_384, 16_000)},
    3: {"name": "NVIDIA H200 MIG 2g.35gb", "uuid": "MIG-two", "memory_mib": (33_000, 32_000)},
}
MIG = {**H200, "mig_mode": (1, 1), "instances": SLICES}


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(nvml: FakeNvml) -> FakeNvml:
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        return nvml

    return install


def test_every_field_of_a_gpu_is_read(use: Any) -> None:
    nvml = use(FakeNvml(H200))
    devices = probe_nvidia({})
    assert devices.problem is None
    assert (devices.driver_version, devices.cuda_driver_version) == ("570.124.06", "12.8")
    (gpu,) = devices.gpus
    assert (gpu.index, gpu.cuda_index, gpu.name, gpu.uuid) == (0, 0, "NVIDIA H200", "GPU-aaaa-1")
    assert (gpu.memory_total_mib, gpu.memory_free_mib) == (143_771, 143_000)
    assert (gpu.compute_capability, gpu.power_limit_w, gpu.mig_enabled) == ("9.0", 700.0, False)
    assert nvml.shut_down


def test_a_refused_query_leaves_its_field_empty(use: Any) -> None:
    use(FakeNvml({"name": "NVIDIA GPU of a laptop"}))
    (gpu,) = probe_nvidia({}).gpus
    assert gpu.name == "NVIDIA GPU of a laptop"
    assert gpu.memory_total_mib is gpu.memory_free_mib is gpu.compute_capability is None
    assert gpu.power_limit_w is gpu.mig_enabled is gpu.uuid is None


def test_text_as_bytes_is_decoded_as_old_pynvml_gives_it(use: Any) -> None:
    use(FakeNvml(T4))
    (gpu,) = probe_nvidia({}).gpus
    assert (gpu.name, gpu.uuid) == ("Tesla T4", "GPU-bbbb-2")


@pytest.mark.parametrize(
    ("visible", "names", "indices"),
    [
        ("0,1", ["NVIDIA H200", "Tesla T4"], [0, 1]),
        ("1,0", ["Tesla T4", "NVIDIA H200"], [1, 0]),
        ("1", ["Tesla T4"], [1]),
        (" GPU-bbbb ", ["Tesla T4"], [1]),  # the beginning of a UUID is enough
        ("GPU-bbbb-2,GPU-aaaa-1", ["Tesla T4", "NVIDIA H200"], [1, 0]),
        ("1,7,0", ["Tesla T4"], [1]),  # an entry that names nothing ends the list
    ],
)
def test_cuda_visible_devices_chooses_and_numbers(
    use: Any, visible: str, names: list[str], indices: list[int]
) -> None:
    use(FakeNvml(H200, T4))
    gpus = probe_nvidia({"CUDA_VISIBLE_DEVICES": visible}).gpus
    assert [gpu.name for gpu in gpus] == names
    assert [gpu.index for gpu in gpus] == indices
    assert [gpu.cuda_index for gpu in gpus] == list(range(len(names)))


@pytest.mark.parametrize("visible", ["", "-1", "GPU-none"])
def test_hidden_gpus_are_said_to_be_hidden(use: Any, visible: str) -> None:
    use(FakeNvml(H200))
    devices = probe_nvidia({"CUDA_VISIBLE_DEVICES": visible})
    assert devices.gpus == ()
    assert devices.problem == f"CUDA_VISIBLE_DEVICES={visible!r} hides all GPUs (1 found)"


def test_cuda_numbers_gpus_as_they_are_listed_unless_somebody_numbered_them() -> None:
    for before, order in (
        ({}, "PCI_BUS_ID"),
        ({"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}, "FASTEST_FIRST"),
        ({"CUDA_VISIBLE_DEVICES": "1"}, None),
    ):
        environment = dict(before)
        number_by_bus(environment)
        assert environment.get("CUDA_DEVICE_ORDER") == order


def test_different_gpus_without_a_device_order_give_a_warning(use: Any) -> None:
    use(FakeNvml(H200, T4))
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in probe_nvidia({}).warnings[0]
    assert probe_nvidia({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}).warnings == ()
    # CUDA's number 0 may be either, also where it is the only one left visible; a UUID is of one.
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in probe_nvidia({"CUDA_VISIBLE_DEVICES": "0"}).warnings[0]
    assert probe_nvidia({"CUDA_VISIBLE_DEVICES": "GPU-bbbb"}).warnings == ()


@pytest.mark.parametrize(("mode", "warned"), [(0, False), (2, True), (3, True), (None, False)])
def test_a_compute_mode_for_one_process_gives_a_warning(use: Any, mode: int | None, warned: bool) -> None:
    use(FakeNvml(H200 if mode is None else {**H200, "compute_mode": mode}))
    warnings = probe_nvidia({}).warnings
    assert any("`nvidia-smi -i 0 -c DEFAULT`" in warning for warning in warnings) == warned


def test_mig_instances_are_found_across_gaps_and_the_first_one_counts(use: Any) -> None:
    use(FakeNvml(MIG))
    devices = probe_nvidia({})
    (gpu,) = devices.gpus
    assert [instance.uuid for instance in gpu.mig_instances] == ["MIG-one", "MIG-two"]
    assert gpu.device_name == "NVIDIA H200 MIG 1g.18gb"
    assert (gpu.device_memory_total_mib, gpu.device_memory_free_mib) == (16_384, 16_000)
    assert "uses one of its 2 instances" in devices.warnings[0]


def test_cuda_visible_devices_chooses_a_mig_instance_by_uuid(use: Any) -> None:
    use(FakeNvml(MIG))
    devices = probe_nvidia({"CUDA_VISIBLE_DEVICES": "MIG-two"})
    (gpu,) = devices.gpus
    assert (gpu.device_name, gpu.device_memory_total_mib) == ("NVIDIA H200 MIG 2g.35gb", 33_000)
    assert devices.warnings == ()


def test_mig_mode_without_an_instance_leaves_no_gpu_to_use(use: Any) -> None:
    use(FakeNvml({**MIG, "instances": {}}))
    devices = probe_nvidia({})
    assert devices.problem == "every GPU is in MIG mode without an instance; create one or turn MIG off"
    assert devices.gpus[0].device_memory_total_mib == 0


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NVMLError(12), "no NVIDIA driver was found"),
        (NVMLError(9), "the NVIDIA driver is installed but not loaded"),
        (NVMLError(4), "this user may not use the NVIDIA driver"),
        (
            NVMLError(18, "Driver/library version mismatch"),
            "cannot be used (Driver/library version mismatch)",
        ),
        (OSError("libnvidia-ml.so.1: file too short"), "cannot be used (libnvidia-ml.so.1: file too short)"),
    ],
)
def test_a_driver_that_does_not_start_is_no_gpu_and_a_reason(
    use: Any, error: Exception, sentence: str
) -> None:
    use(FakeNvml(H200, init_error=error))
    devices = probe_nvidia({})
    assert devices.gpus == ()
    assert devices.problem is not None and sentence in devices.problem


def test_no_pynvml_is_no_gpu_and_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # what import does with it: ImportError
    assert probe_nvidia({}).problem == "nvidia-ml-py is not installed, so no GPU was looked for"


def test_a_lost_gpu_does_not_hide_the_others(use: Any) -> None:
    use(FakeNvml({**H200, "lost": True}, T4))
    devices = probe_nvidia({})
    assert [gpu.name for gpu in devices.gpus] == ["Tesla T4"]
    assert devices.warnings == ("GPU 0 does not answer (GPU is lost); it is left out",)


def test_a_driver_without_gpus_is_said_to_have_none(use: Any) -> None:
    use(FakeNvml())
    assert probe_nvidia({}).problem == "the NVIDIA driver found no GPU"


def test_a_driver_that_breaks_in_the_middle_is_a_reason(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = use(FakeNvml(H200))

    def broken() -> int:
        raise NVMLError(999, "Unknown Error")

    monkeypatch.setattr(nvml, "nvmlDeviceGetCount", broken)
    assert "answered with an error (Unknown Error)" in (probe_nvidia({}).problem or "")
