"""What a run had used at a moment, from made-up rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from alphazero.errors import UserError
from alphazero.metrics.usage import UsageRecord


def record(folder: Path, *rows: str) -> UsageRecord:
    header = "run_time_s,training_steps,cpu_utilization,gpu_power_w,gpu_utilization"
    (folder / "metrics.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return UsageRecord(folder / "metrics.csv")


def test_cpu_time_and_energy_are_the_integrals_of_the_rows(tmp_path: Path) -> None:
    """10 s at 200 % are 20 s, 5 of the next 10 s at 100 % are 5 s; 10 s at 50 W and 5 s at 70 W are 850 J."""
    usage = record(tmp_path, "10,0,200,50,80", "20,100,100,70,80").until(15)
    assert (usage.cpu_s, usage.energy_j, usage.device_s) == (25.0, 850.0, 15.0)


def test_the_last_rates_go_on_after_the_last_row(tmp_path: Path) -> None:
    assert record(tmp_path, "10,0,200,,").until(12).cpu_s == 24.0


def test_what_was_not_measured_is_none(tmp_path: Path) -> None:
    usage = record(tmp_path, "10,0,,,").until(10)
    assert (usage.cpu_s, usage.device_s, usage.energy_j) == (None, None, None)


def test_a_row_without_a_value_has_that_of_the_next(tmp_path: Path) -> None:
    assert record(tmp_path, "10,0,,,", "20,0,100,,").until(20).cpu_s == 20.0


def test_the_time_of_a_step_lies_between_its_rows(tmp_path: Path) -> None:
    rows = record(tmp_path, "10,0,,,", "20,100,,,", "30,300,,,")
    assert [rows.time_of_step(step) for step in (0, 50, 100, 200, 999)] == [0.0, 15.0, 20.0, 25.0, 30.0]


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        record(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        UsageRecord(tmp_path / "nothing.csv")
