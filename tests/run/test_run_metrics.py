"""Rows of a run's metrics: what the learner's process did with its time."""

from __future__ import annotations

import pytest
import torch

from alphazero.metrics.catalog import check_names
from alphazero.run.run_metrics import RunMetrics
from alphazero.selfplay.reports import SelfPlayStatistics


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_learners_time_is_split_and_counted_afresh_for_each_row() -> None:
    clock = Clock()
    metrics = RunMetrics(torch.device("cpu"), clock)
    for name, seconds in [("time_positions", 1.0), ("time_batches", 0.5), ("time_training", 4.0)] * 2:
        with metrics.learner_time(name):
            clock.now += seconds
    clock.now += 9.0  # saving a checkpoint, for example
    row = metrics.row(SelfPlayStatistics(), [])
    check_names(row)
    split = {name: row[name] for name in ("time_training", "time_batches", "time_positions", "time_upkeep")}
    assert split == pytest.approx(
        {"time_training": 0.4, "time_batches": 0.05, "time_positions": 0.1, "time_upkeep": 0.45}
    )
    clock.now += 10.0
    assert "time_training" not in metrics.row(SelfPlayStatistics(), [])  # nothing was timed since
