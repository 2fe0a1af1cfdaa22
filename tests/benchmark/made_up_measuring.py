"""Phases, a profile and a measurer that cost no time, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from alphazero.benchmark.measurement import Measurement
from alphazero.benchmark.phases import read_phases
from alphazero.benchmark.session import Budget
from alphazero.benchmark.variants import READINGS
from alphazero.benchmark.window import Window
from alphazero.benchmark.window_log import WindowLog
from alphazero.config import Config, InferenceConfig, SearchConfig, SelfPlayConfig
from alphazero.config_loading import ResolvedConfig, resolve_config

BASELINE = """
order = 0
title = "Baseline"
caption = "The starting point."
[search]
mcts_backend = "python"
native_rules = false
[inference]
placement = "server"
transport = "queue"
engine = "eager"
batch_size = 32
collection = "drain"
[selfplay]
actors = 4
games_per_actor = 1
groups = 1
"""
BATCHING = """
order = 1
title = "Batching"
caption = "Larger batches."
fill_batch = true
from_profile = ["inference.batch_size", "selfplay.games_per_actor"]
[expected]
low = 3.0
high = 4.0
source = "the plan"
[as_planned]
from_profile = ["inference.batch_size"]
"""
ADAPTIVE = """
order = 2
title = "Adaptive collection"
caption = "Waits for what can come."
[inference]
collection = "adaptive"
[as_planned.inference]
collection = "plan"
"""
BUDGET = Budget(rounds=3)


def write_phases(folder: Path, **files: str) -> Path:
    """Write the phases above, and `files` over or beside them; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"baseline": BASELINE, "batching": BATCHING, "adaptive": ADAPTIVE, **files}.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def made_up_profile(simulations: int = 20) -> ResolvedConfig:
    """Return a profile with batches of 64, 2 actors and 16 games each, evaluated by a server on the CPU."""
    config = Config(
        hardware_profile="made-up",
        search=SearchConfig(simulations=simulations, mcts_backend="python", native_rules=False),
        inference=InferenceConfig(device="cpu", batch_size=64),
        selfplay=SelfPlayConfig(actors=2, games_per_actor=16),
    )
    return replace(resolve_config(profile="none"), config=config)


class FakeMeasurer:
    """Answers at once with the speed that `speed(config)` says, in leaves a second.

    Attributes:
        calls: the configurations measured, in order.
    """

    def __init__(self, speed: Callable[[Config], float]) -> None:
        self._speed = speed
        self.calls: list[Config] = []

    def selfplay(self, config: Config, budget: Budget, number: int) -> Window:
        self.calls.append(config)
        leaves = self._speed(config) * (1 + 0.01 * number)  # the third window is 2 % faster than the first
        counts = {"leaves": leaves, "simulations": 2 * leaves, "positions": 300.0, "games": 10.0}
        rates = {"leaves_per_second": leaves, "evaluations_per_second": leaves, "fill_rate": 0.5}
        samples = [{"time_s": 0.5, "cpu_utilization": 100.0}, {"time_s": 1.0, "cpu_utilization": 150.0}]
        return Window(1.0, {**counts, **rates}, "fake", 0.0, [0] * 10 + [30] * 10, samples)

    def learner(self, config: Config, budget: Budget, number: int) -> Window:
        return Window(1.0, {"training_steps_per_second": 10.0, "batch_copy_ms": 0.25})

    def ceiling(self, config: Config, budget: Budget, number: int) -> Window:
        return Window(1.0, {"1": 100.0, "64": 5000.0}, "fake float32")


def speed_by_games(config: Config) -> float:
    """100 leaves/s for each game that is played at once; twice that with adaptive collection."""
    games = config.selfplay.actors * config.selfplay.games_per_actor
    return 100.0 * games * (2.0 if config.inference.collection == "adaptive" else 1.0)


def measurement(folder: Path, phases: Path, source_hash: str = "code", **changes: Any) -> Measurement:
    """Return a measurement of `phases` whose windows lie in `folder`."""
    arguments = {
        "resolved": made_up_profile(),
        "budget": BUDGET,
        "readings": READINGS,
        **changes,
    }
    return Measurement(
        phases=read_phases(phases),
        log=WindowLog(folder / "windows.jsonl"),
        source_hash=source_hash,
        **arguments,
    )
