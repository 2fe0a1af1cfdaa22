"""`alphazero detect`, on made-up machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from alphazero.cli import main
from alphazero.commands import detect
from alphazero.hardware.description import Gpu, Hardware, MigInstance


def test_json_names_profile_and_machine(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    gpu: Callable[..., Gpu],
    machine: Callable[..., Hardware],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(detect, "probe_hardware", lambda: machine(gpu(), cores=16))
    out = tmp_path / "new" / "hardware.json"
    assert main(["detect", "--json", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    data = json.loads(printed)
    assert (data["hardware_profile"], data["machine"]) == ("high", "nvidia-h200-16c")
    assert data["gpus"][0]["memory_total_mib"] == 143_771
    assert out.read_text() == printed


def test_table_names_devices_cores_and_the_reason(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    instance = MigInstance(0, "MIG-one", "NVIDIA H200 MIG 1g.18gb", 16_384, 16_000)
    card = gpu(mig_enabled=True, mig_instances=(instance,), power_limit_w=None)
    text = "\n".join(detect.table_lines(machine(card, cores=16, warnings=("look out",))))
    assert "NVIDIA H200; 143771 MiB, 143000 MiB free; compute capability 9.0; power limit not known" in text
    assert "MIG: NVIDIA H200 MIG 1g.18gb" in text
    assert "16 (machine 16, affinity 16, cgroup quota none)" in text
    assert "warning: look out" in text
    assert text.endswith(
        "hardware profile 'mid', because NVIDIA H200 MIG 1g.18gb has 16.0 GiB of memory ('mid' needs 11.2)"
    )


def test_a_machine_without_gpu_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], machine: Callable[..., Hardware]
) -> None:
    monkeypatch.setattr(detect, "probe_hardware", lambda: machine())
    assert main(["detect"]) == 0
    assert "none: no NVIDIA driver was found" in capsys.readouterr().out


def test_a_file_that_cannot_be_written_gives_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("")
    assert main(["detect", "--out", str(blocked / "hardware.json")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "cannot write to" in error and error.count("\n") == 1
