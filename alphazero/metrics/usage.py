"""What a run had used at any moment, read off the rows of its metrics.csv: time, CPU time, energy."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from alphazero.errors import UserError
from alphazero.metrics.rows import number, read_rows


@dataclass(frozen=True)
class Usage:
    """Of a run from its start to a moment; None where it was not measured.

    Attributes:
        run_time_s: how long it had been going.
        cpu_s: CPU time of all its processes.
        device_s: time during which it held its GPU; None without one.
        energy_j: energy that the GPU used.
    """

    run_time_s: float
    cpu_s: float | None
    device_s: float | None
    energy_j: float | None


class UsageRecord:
    """The rows of one metrics.csv. Between two rows everything grows on a straight line; after the last row
    the last rates go on."""

    def __init__(self, path: Path) -> None:
        """Read the file; UserError if it cannot be read or has no rows."""
        try:
            rows = read_rows(path)
        except (OSError, csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read ({error}); give the folder of a training run") from error
        self._rows = [row for row in rows if number(row, "run_time_s") is not None]
        if not self._rows:
            raise UserError(
                f"{path} has no rows; give the folder of a training run that got to its first row"
            )

    def time_of_step(self, step: int) -> float:
        """Return the run time at which `step` training steps were done, s."""
        if step <= 0:
            return 0.0
        before = (0.0, 0.0)
        for row in self._rows:
            steps, seconds = number(row, "training_steps"), number(row, "run_time_s")
            if steps is None or seconds is None:
                continue
            if steps >= step:
                share = (step - before[0]) / (steps - before[0]) if steps > before[0] else 1.0
                return before[1] + share * (seconds - before[1])
            before = (steps, seconds)
        return before[1]

    def until(self, run_time_s: float) -> Usage:
        """Return what was used in the first `run_time_s` seconds."""
        cpu = self._integral("cpu_utilization", run_time_s)
        energy = self._integral("gpu_power_w", run_time_s)
        on_gpu = any(number(row, "gpu_utilization") is not None for row in self._rows)
        return Usage(
            run_time_s=run_time_s,
            cpu_s=None if cpu is None else cpu / 100,
            device_s=run_time_s if on_gpu else None,
            energy_j=energy,
        )

    def _integral(self, name: str, until_s: float) -> float | None:
        """Return a rate's integral over time; each row speaks for the time since the row before.

        A row without a value is taken to have that of the row after it. None if no row has one.
        """
        pairs = [(number(row, "run_time_s"), number(row, name)) for row in self._rows]
        pieces: list[tuple[float, float, float]] = []
        start = 0.0
        for end, rate in pairs:
            assert end is not None
            if rate is not None:
                pieces.append((start, end, rate))
                start = end
        if not pieces:
            return None
        total = sum(max(0.0, min(end, until_s) - begin) * rate for begin, end, rate in pieces)
        return total + max(0.0, until_s - pieces[-1][1]) * pieces[-1][2]
