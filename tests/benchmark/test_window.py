"""Rates of a window: what was done over the time that the reports cover, which actors spend side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from alphazero.benchmark import window
from alphazero.benchmark.window import exact_rates, measure_selfplay_window
from alphazero.config import Config, InferenceConfig, SelfPlayConfig
from alphazero.selfplay.reports import SelfPlayStatistics

ACTORS = 4
# 8 s of four actors are 2 s.
STATISTICS = SelfPlayStatistics(
    simulations=800, leaves=600, positions=20, games=2, batch_rows=400, actor_s=8.0
)
RATES = {
    "simulations_per_second": 400.0,
    "positions_per_second": 10.0,
    "games_per_hour": 3600.0,
    "evaluations_per_second": 200.0,
}


def test_actors_share_the_time_that_they_report_together() -> None:
    assert exact_rates(STATISTICS, ACTORS) == RATES


def test_a_server_evaluates_in_its_own_time() -> None:
    with_server = replace(STATISTICS, server_s=5.0)
    assert exact_rates(with_server, ACTORS) == {**RATES, "evaluations_per_second": 80.0}  # 400 in 5 s


def test_of_what_nobody_reported_there_is_no_rate() -> None:
    assert exact_rates(SelfPlayStatistics(), ACTORS) == {}


class PoolAtOnce:
    """In place of the pool: nothing runs, and so much was done."""

    engine = "none"

    def __init__(self, *arguments: object, **options: object) -> None: ...

    def __enter__(self) -> PoolAtOnce:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def start(self) -> None: ...

    def publish(self, version: int, weights: object) -> None: ...

    def process_ids(self) -> dict[str, int]:
        return {}

    def take_statistics(self) -> SelfPlayStatistics:
        return STATISTICS


class NoMetrics:
    """In place of `RunMetrics`: nothing else was measured."""

    def __init__(self, device: torch.device) -> None: ...

    def __enter__(self) -> NoMetrics:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def start_afresh(self, process_ids: object) -> None: ...

    def row(self, statistics: SelfPlayStatistics, process_ids: object) -> dict[str, float | None]:
        return {}


def test_leaves_are_counted_over_the_same_time_as_simulations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "SelfPlayPool", PoolAtOnce)
    monkeypatch.setattr(window, "RunMetrics", NoMetrics)
    monkeypatch.setattr(window, "initial_weights", lambda config: {})
    monkeypatch.setattr(window, "wait_until_all_play", lambda pool: None)
    monkeypatch.setattr(window, "let_play", lambda pool, seconds: None)
    monkeypatch.setattr(window, "_play_and_watch", lambda pool, seconds, device: [])
    config = Config(inference=InferenceConfig(device="cpu"), selfplay=SelfPlayConfig(actors=ACTORS))
    metrics = measure_selfplay_window(config, seconds=2.0, warm_up_s=1.0).metrics
    assert metrics["leaves_per_second"] == 300.0
    assert metrics["simulations_per_second"] == 400.0
    assert metrics["positions_per_second"] == 10.0
    assert metrics["evaluations_per_second"] == 200.0
