"""What is measured of a finished run: small numbers by hand, and a real run's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alphazero.config import (
    Config,
    InferenceConfig,
    NetworkConfig,
    RunConfig,
    SearchConfig,
    SelfPlayConfig,
    TrainingConfig,
)
from alphazero.metrics.health import RANGES
from alphazero.metrics.progress import Progress
from alphazero.run.health import (
    calibration_error,
    duplicate_share,
    explained_variance,
    late_means,
    measure_health,
    newest,
)
from alphazero.run.single_process import SingleProcessRun
from alphazero.training.checkpoint import CheckpointStore

TINY = Config(
    network=NetworkConfig(blocks=1, filters=8),
    search=SearchConfig(simulations=12),
    inference=InferenceConfig(device="cpu", use_amp=False),
    selfplay=SelfPlayConfig(games_per_actor=8),
    training=TrainingConfig(batch_size=32, min_positions=64, replay_ratio=2.0, positions=300, warmup_steps=2),
    run=RunConfig(game="connect_four", single_process=True, log_every_seconds=3600.0),  # one row, at the end
)


def test_duplicates_are_all_but_one_of_each() -> None:
    rows = np.array([[1, 2], [1, 2], [1, 2], [3, 4]], np.uint8)
    assert duplicate_share(rows) == 0.5


def test_explained_variance() -> None:
    targets = np.array([-1.0, 1.0, -1.0, 1.0])
    assert explained_variance(targets, targets) == 1.0
    assert explained_variance(np.full(4, 0.3), targets) == 0.0
    assert explained_variance(targets / 2, targets) == 0.75  # a quarter of the variance is left
    assert explained_variance(-targets, targets) == -3.0
    assert explained_variance(targets, np.ones(4)) is None


def test_calibration_error() -> None:
    """Two bins: values 0.5 turn out at 0 on average (off by 0.5), values -0.9 at -0.9: (2 x 0.5 + 2 x 0) / 4."""
    values = np.array([0.5, 0.5, -0.9, -0.9])
    assert calibration_error(values, np.array([1.0, -1.0, -0.8, -1.0])) == pytest.approx(0.25)
    assert calibration_error(np.array([1.0, -1.0]), np.array([1.0, -1.0])) == 0.0


def test_the_newest_rows_of_a_ring_stand_before_its_cursor() -> None:
    ring = {name: np.arange(5) for name in ("observations", "actions", "visit_counts", "value_targets")}
    full = {**ring, "cursor": np.array([2]), "capacity": np.array([5])}
    assert newest(full, 3)["value_targets"].tolist() == [1, 0, 4]
    filling = {**ring, "cursor": np.array([5]), "capacity": np.array([9])}
    assert newest(filling, 2)["value_targets"].tolist() == [4, 3]


def test_means_are_of_the_last_third_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("run_time_s,draw_rate\n10,0.9\n20,0.4\n25,\n30,0.2\n", encoding="utf-8")
    assert late_means(path)["draw_rate"] == pytest.approx(0.3)
    assert late_means(path)["game_length"] is None
    assert late_means(tmp_path / "nothing.csv")["draw_rate"] is None


def test_a_final_networks_time_is_none_of_self_plays(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(
        "run_time_s,positions_per_second,game_length,policy_entropy\n"
        "10,900,3,1.5\n20,30,,0.8\n30,30,20,0.6\n60,,,0.1\n90,,,0.1\n",
        encoding="utf-8",
    )
    late = late_means(path)
    assert (late["game_length"], late["policy_entropy"]) == (20.0, pytest.approx(0.7))


def test_a_run_is_measured_from_its_folder(tmp_path: Path) -> None:
    with Progress("a run") as progress:
        SingleProcessRun(TINY, tmp_path, progress).run()
    health = measure_health(TINY, tmp_path)
    unmeasured = [each.metric for each in RANGES if health.get(each.metric) is None]
    assert unmeasured == ["false_resignation_rate"]  # no game was resigned
    assert health["steps_share"] == 1.0  # in one process nothing is owed at the end
    assert health["duplicate_share"] is not None and 0 <= health["duplicate_share"] < 1
    assert health["policy_divergence"] is not None and health["policy_divergence"] > 0
    # A learner that was to do twice as much has done half.
    twice = replace(TINY, training=replace(TINY.training, replay_ratio=4.0))
    assert measure_health(twice, tmp_path)["steps_share"] == pytest.approx(0.5, abs=0.05)
    # One that its steps ended owes no more of them.
    done = int(CheckpointStore(tmp_path).load().state["counters"]["steps"])
    ended = replace(twice, training=replace(twice.training, max_steps=done))
    assert measure_health(ended, tmp_path)["steps_share"] == 1.0
