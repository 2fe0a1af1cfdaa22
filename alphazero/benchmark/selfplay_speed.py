"""How fast self-play runs on this machine, and how close to what the network alone can evaluate.

It runs the `SelfPlayPool` of training with weights that do not change and no learner, games staggered over
all stages of play:  ceiling | start, warm-up | window | ceiling again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from alphazero.benchmark.engine_speed import EngineProcesses, batch_sizes, find_ceiling, measured_device
from alphazero.benchmark.limits import limiting_resource
from alphazero.benchmark.statistics import Estimate, median_estimate
from alphazero.benchmark.window import (
    WindowFailed,
    exact_rates,
    initial_weights,
    let_play,
    wait_until_all_play,
)
from alphazero.config import Config
from alphazero.run.run_metrics import RunMetrics
from alphazero.selfplay.engine_at_start import settle_engine
from alphazero.selfplay.pool import SelfPlayPool
from alphazero.selfplay.reports import SelfPlayStatistics

SLICES = 10  # of the window; their medians have intervals
CEILING_SHARE = 0.2  # time for each of the two ceilings / window
DRIFT_WARNING = 0.1  # difference of the two ceilings / their mean from which the machine was noisy


@dataclass(frozen=True)
class Ceiling:
    """What the engine evaluates alone, before and after, at its best batch size."""

    batch_size: int
    evaluations_per_second_before: float
    evaluations_per_second_after: float

    @property
    def evaluations_per_second(self) -> float:
        """Mean of the two."""
        return (self.evaluations_per_second_before + self.evaluations_per_second_after) / 2


@dataclass(frozen=True)
class SelfPlaySpeed:
    """What was measured.

    Attributes:
        metrics: by catalog name, over the whole window; what was not measured is absent.
        estimates: medians over the slices of the window, with intervals, by catalog name.
        ceiling: None if it was not asked for.
        limit: one sentence that names what limits self-play.
        engine: name of the engine at work.
        simulated: whether a simulated device answered, so that nothing here is a measurement of this machine.
        window_s: seconds measured.
        notes: what a person should know, such as a process that died or a noisy machine.
    """

    metrics: dict[str, float]
    estimates: dict[str, Estimate]
    ceiling: Ceiling | None
    limit: str
    engine: str
    simulated: bool
    window_s: float
    notes: list[str]


def measure_selfplay(
    config: Config,
    seconds: float,
    warmup_s: float,
    with_ceiling: bool = True,
    progress: Callable[[str], None] = lambda text: None,
) -> SelfPlaySpeed:
    """Return how fast self-play runs, measured for `seconds` after all processes ran for `warmup_s`.

    Raises WorkerDied if self-play could not go on.
    """
    # Settled here, so that the ceiling is that of the engine which self-play uses.
    config, settled = settle_engine(config, initial_weights(config), measured_device(config))
    if settled:
        progress(settled)
    if not with_ceiling:
        window = _play(config, seconds, warmup_s, progress)
        return _summary(config, window, None)
    ceiling_s = max(2.0, CEILING_SHARE * seconds)
    with EngineProcesses(config, measured_device(config), batch_sizes(config)[-1]) as engines:
        progress("the network alone")
        batch_size, before = find_ceiling(engines, config, ceiling_s)
        window = _play(config, seconds, warmup_s, progress)
        progress("the network alone, once more")
        _, after = find_ceiling(engines, config, ceiling_s, batch_size)
    return _summary(config, window, Ceiling(batch_size, before, after))


@dataclass(frozen=True)
class _Window:
    """What came out of the pool."""

    slices: list[SelfPlayStatistics]
    row: dict[str, float | None]  # metrics of the processes and of the GPU among them
    seconds: float
    engine: str
    notes: list[str]


def _play(config: Config, seconds: float, warmup_s: float, progress: Callable[[str], None]) -> _Window:
    device = measured_device(config)
    metrics = RunMetrics(torch.device(device))
    with (
        SelfPlayPool(config, initial_weights(config), device, weights_version=1, stagger=True) as pool,
        metrics,
    ):
        pool.start()
        progress("starting")
        wait_until_all_play(pool)
        progress("warming up")
        let_play(pool, warmup_s)
        pool.take_statistics()
        metrics.start_afresh(pool.process_ids().values())
        progress("measuring")
        slices = []
        started = time.monotonic()
        for index in range(1, SLICES + 1):
            left_s = started + index * seconds / SLICES - time.monotonic()
            let_play(pool, left_s, lambda episode: metrics.add_episode(episode, 0))
            slices.append(pool.take_statistics())
        total = _total(slices)
        row = metrics.row(total, pool.process_ids().values())
        elapsed = time.monotonic() - started
        notes = []
        while not pool.notes.empty():
            notes.append(pool.notes.get())
        return _Window(slices, row, elapsed, pool.engine, notes)


def _summary(config: Config, window: _Window, ceiling: Ceiling | None) -> SelfPlaySpeed:
    total = _total(window.slices)
    if total.actor_s == 0:
        raise WindowFailed(f"no actor reported anything in {window.seconds:.1f} s; use more --seconds")
    actors = config.selfplay.actors
    metrics = {name: value for name, value in window.row.items() if value is not None}
    for name in ("training_steps_per_second", "weights_staleness_versions"):
        metrics.pop(name, None)  # there was no learner
    metrics |= exact_rates(total, actors)
    busy_cores = metrics.get("cpu_utilization", 0.0) / 100
    if busy_cores > 0 and _has_its_own_device(config) and "evaluations_per_second" in metrics:
        metrics["evaluations_per_core_second"] = metrics["evaluations_per_second"] / busy_cores
    estimates = {}
    notes = list(window.notes)
    by_slice = [exact_rates(part, actors) for part in window.slices]
    for name in ("simulations_per_second", "evaluations_per_second"):
        measured = [part[name] for part in by_slice if name in part]
        if len(measured) == len(by_slice):
            estimates[name] = median_estimate(measured)
    if not estimates:
        notes.append("the window is so short that parts of it hold no report; use more --seconds")
    if ceiling is not None and "evaluations_per_second" in metrics:
        metrics["share_of_ceiling"] = metrics["evaluations_per_second"] / ceiling.evaluations_per_second
        change = ceiling.evaluations_per_second_after - ceiling.evaluations_per_second_before
        if abs(change) > DRIFT_WARNING * ceiling.evaluations_per_second:
            notes.append(
                f"the machine was noisy: the network alone reached "
                f"{ceiling.evaluations_per_second_before:,.0f} evaluations/s before and "
                f"{ceiling.evaluations_per_second_after:,.0f} after; measure again when it is idle"
            )
    return SelfPlaySpeed(
        metrics=metrics,
        estimates=estimates,
        ceiling=ceiling,
        limit=limiting_resource(metrics),
        engine=window.engine,
        simulated=config.inference.simulated,
        window_s=window.seconds,
        notes=notes,
    )


def _has_its_own_device(config: Config) -> bool:
    """Return whether leaves are evaluated elsewhere than on the cores that search."""
    return config.inference.simulated or measured_device(config).startswith("cuda")


def cores_to_feed(speed: SelfPlaySpeed) -> float | None:
    """Return how many cores like these the device needs to be at its ceiling; None if that was not measured."""
    a_core = speed.metrics.get("evaluations_per_core_second")
    if a_core is None or speed.ceiling is None:
        return None
    return speed.ceiling.evaluations_per_second / a_core


def _total(slices: list[SelfPlayStatistics]) -> SelfPlayStatistics:
    total = SelfPlayStatistics()
    for part in slices:
        total.merge(part)
    return total
