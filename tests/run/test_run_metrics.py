"""Rows of a run's metrics: what the learner's process did with its time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from alphazero.metrics.catalog import check_names
from alphazero.records import Episode
from alphazero.run.run_metrics import RunMetrics, inference_metrics
from alphazero.selfplay.reports import ActorStatistics, SelfPlayStatistics
from alphazero.training.learner import LossRecord


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


def test_the_share_that_a_cache_answered_is_one_of_the_rows_asked_of_it() -> None:
    statistics = SelfPlayStatistics(
        looked_up_rows=80, cached_rows=20, batches=3, batch_rows=55, batch_slots=96
    )
    assert inference_metrics(statistics)["cache_hit_rate"] == 0.25  # the server reports at other moments


def test_no_hits_are_a_measured_nought_and_no_cache_is_not_measured() -> None:
    assert inference_metrics(SelfPlayStatistics(looked_up_rows=80))["cache_hit_rate"] == 0.0
    without = inference_metrics(SelfPlayStatistics(batches=3, batch_rows=55, batch_slots=96, actor_s=10.0))
    assert not {"cache_hit_rate", "time_cache"} & without.keys()


def test_the_cache_has_a_share_of_the_actors_time() -> None:
    statistics = SelfPlayStatistics(
        looked_up_rows=80,
        reports_with_cache=1,
        actor_s=10.0,
        search_s=5.0,
        cache_s=2.0,
        waiting_s=1.0,
        network_s=3.0,
        server_s=5.0,
    )
    split = inference_metrics(statistics)
    assert (split["time_search"], split["time_cache"], split["time_waiting"]) == (0.5, 0.2, 0.1)
    assert split["time_other"] == pytest.approx(0.2)


def test_pauses_for_the_learner_have_a_share_of_their_own() -> None:
    statistics = SelfPlayStatistics()
    statistics.merge(ActorStatistics(actor_s=10.0, search_s=5.0, waiting_s=1.0, paused_s=3.0))
    split = inference_metrics(statistics)
    assert (split["time_search"], split["time_waiting"], split["time_paused"]) == (0.5, 0.1, 0.3)
    assert split["time_other"] == pytest.approx(0.1)


def test_a_row_that_is_all_pause_has_the_same_parts_as_others() -> None:
    """They are averaged over a run: a part that is missing here would count for more there."""
    parts = {}
    for name, reported in {
        "playing": ActorStatistics(
            actor_s=2.0, search_s=1.0, tree_s=0.5, rules_s=0.3, encoding_s=0.2, cache_s=0.5
        ),
        "paused": ActorStatistics(actor_s=2.0, paused_s=2.0),
    }.items():
        reported.reports_timed_apart = reported.reports_with_cache = 1
        statistics = SelfPlayStatistics()
        statistics.merge(reported)
        parts[name] = {
            key: share for key, share in inference_metrics(statistics).items() if key.startswith("time_")
        }
    assert parts["playing"].keys() == parts["paused"].keys()
    assert "time_search" not in parts["paused"] and parts["paused"]["time_cache"] == 0.0
    assert sum(value or 0.0 for value in parts["paused"].values()) == parts["paused"]["time_paused"] == 1.0


def game(resigned: bool = False, foreseen_rightly: bool | None = None, opening_moves: int = 0) -> Episode:
    """Return a game of two moves after its opening, won by who was first to move then."""
    return Episode(
        opening=np.zeros(opening_moves, np.int32),
        actions=np.array([0, 1], np.int32),
        observations=np.zeros((2, 1, 1, 1), np.uint8),
        policy_offsets=np.array([0, 1, 2], np.int32),
        policy_actions=np.array([0, 1], np.int32),
        policy_visits=np.array([8, 8], np.int32),
        root_values=np.zeros(2, np.float32),
        outcomes=np.array([1, -1], np.float32),
        weights_versions=np.array([1, 1], np.int32),
        actor=0,
        game_index=0,
        resigned=resigned,
        foreseen_rightly=foreseen_rightly,
    )


def test_false_resignations_are_counted_among_games_that_were_played_on() -> None:
    clock = Clock()
    metrics = RunMetrics(torch.device("cpu"), clock)
    ended, right, wrong, never = (
        game(resigned=True),
        game(foreseen_rightly=True),
        game(foreseen_rightly=False),
        game(),
    )
    for episode in [ended] * 5 + [right] * 3 + [wrong] + [never]:
        metrics.add_episode(episode, weights_version=1)
    clock.now += 1.0
    row = metrics.row(None)
    check_names(row)
    assert (row["resigned_share"], row["false_resignation_rate"]) == (0.5, 0.25)
    metrics.add_episode(never, weights_version=1)
    clock.now += 1.0
    row = metrics.row(None)
    assert (row["resigned_share"], row["false_resignation_rate"]) == (0.0, None)


def test_the_opening_is_part_of_a_games_length() -> None:
    clock = Clock()
    metrics = RunMetrics(torch.device("cpu"), clock)
    for opening_moves in (0, 4):
        metrics.add_episode(game(opening_moves=opening_moves), weights_version=1)
    clock.now += 1.0
    row = metrics.row(None)
    assert (row["game_length"], row["game_length_p10"], row["game_length_p90"]) == pytest.approx(
        (4, 2.4, 5.6)
    )
    assert row["positions_per_game"] == 2.0
    assert row["first_player_win_rate"] == 1.0


def test_each_position_is_as_stale_as_its_weights_whatever_game_it_is_of() -> None:
    """One position of version 5 and four of version 0 when 5 is the newest: (0 + 4 x 5) / 5."""
    clock = Clock()
    metrics = RunMetrics(torch.device("cpu"), clock)
    short, long = (
        replace(game(), actions=np.zeros(moves, np.int32), weights_versions=np.full(moves, version, np.int32))
        for moves, version in ((1, 5), (4, 0))
    )
    for episode in (short, long):
        metrics.add_episode(episode, weights_version=5)
    clock.now += 1.0
    assert metrics.row(None)["weights_staleness_versions"] == 4.0


class Gpu:
    """A device that has used so much when it is asked."""

    def __init__(self, *energies_j: float | None) -> None:
        self.energies_j = list(energies_j)

    def energy_j(self) -> float | None:
        return self.energies_j.pop(0)

    def read(self) -> dict[str, float]:
        return {}


def energy_of_rows(gpu: Gpu, games: list[int], after_warming_up: bool = False) -> list[float | None]:
    """Return energy_per_game_j of rows with so many games each."""
    clock = Clock()
    metrics = RunMetrics(torch.device("cpu"), clock)
    metrics._gpu = gpu  # type: ignore[assignment]
    if after_warming_up:
        clock.now += 1.0
        metrics.start_afresh([])
    energies = []
    for finished in games:
        clock.now += 1.0
        energies.append(metrics.row(SelfPlayStatistics(games=finished))["energy_per_game_j"])
    return energies


def test_no_energy_of_a_run_is_lost() -> None:
    """100 J until the first games end, then 10 J, then 50 J in two rows of which one has games."""
    gpu = Gpu(100.0, 110.0, 130.0, 160.0)
    assert energy_of_rows(gpu, [4, 5, 0, 2]) == [25.0, 2.0, None, 25.0]


def test_energy_from_before_a_measurement_is_not_its_own() -> None:
    assert energy_of_rows(Gpu(500.0, 520.0), [2], after_warming_up=True) == [10.0]


def test_energy_that_a_device_does_not_count_is_not_measured() -> None:
    assert energy_of_rows(Gpu(None, None, None), [2, 3], after_warming_up=True) == [None, None]


def gradient_norm_of_row(*norms: float) -> float | None:
    """Return gradient_norm of a row with training steps of such norms."""
    clock = Clock()
    metrics = RunMetrics(torch.device("cpu"), clock)
    for step, norm in enumerate(norms, start=1):
        metrics.add_training_step(LossRecord(step, 2.0, 1.0, None, 3.0, 1.5, 1.4, norm, 0.01))
    clock.now += 1.0
    return metrics.row(None)["gradient_norm"]


def test_steps_that_float16_leaves_out_have_no_gradient_norm() -> None:
    assert gradient_norm_of_row(2.0, float("inf"), 4.0, float("nan")) == 3.0
    assert gradient_norm_of_row(float("inf")) is None
