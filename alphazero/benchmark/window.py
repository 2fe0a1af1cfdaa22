"""One window of measuring: self-play as training runs it, or the learner by itself, for a few seconds.

    start the pool ─► every process reports ─► warm-up ─► new weights ─► the window ─► stop the pool

Games begin at all stages of play, so that a short window is like any other. The new weights at the beginning
of a window empty evaluation caches, as they do every few seconds of a real run. Actors report what they did
together with how long it took, so that a window is as exact as their clocks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import torch

from alphazero.benchmark.learner_speed import batch_copy_ms, learner_at_work
from alphazero.config import Config
from alphazero.errors import RunError
from alphazero.games.registry import get_game
from alphazero.hardware.host import probe_cpu
from alphazero.metrics.sampler import ProcessSampler, gpu_sampler
from alphazero.network.engines import resolve_device
from alphazero.network.resnet import build_network
from alphazero.records import Episode
from alphazero.run.run_metrics import RunMetrics
from alphazero.selfplay.pool import SelfPlayPool
from alphazero.selfplay.reports import SelfPlayStatistics

START_LIMIT_S = 180.0  # a process that has done nothing by then is stuck
POLL_S = 0.1
SAMPLE_S = 0.5  # between two looks at how busy the machine is
REPLAY_POSITIONS = 2_000
WARM_UP_STEPS = 3
LONGEST_LEARNER_S = 30.0  # a large network on a CPU takes seconds a step
SAMPLED = ("time_s", "cpu_utilization", "gpu_utilization")


class WindowFailed(RunError):
    """A configuration could not be measured; the message says why."""


@dataclass(frozen=True)
class Window:
    """What was measured.

    Attributes:
        seconds: how long the window was.
        metrics: by catalog name, and counts (`simulations`, `leaves`) and `leaves_per_second`; what could not
            be measured is not there. A leaf is a simulation that needs an answer, from the network or from a cache;
            the others end in a known result. How many simulations there are to a leaf depends on the stage of the
            games, which a window of a few games happens to meet; leaves a second hardly do.
        engine: name of the inference engine that was at work.
        foreign_cpu: cores that other programs kept busy meanwhile; None where that is not known.
        fills: batches by how full they were, FILL_BINS equal bins from empty to full.
        samples: how busy the machine was along the window: time_s since its beginning, cpu_utilization of all
            our processes, gpu_utilization where there is one.
    """

    seconds: float
    metrics: dict[str, float]
    engine: str = ""
    foreign_cpu: float | None = None
    fills: list[int] = field(default_factory=list)
    samples: list[dict[str, float]] = field(default_factory=list)


def measure_selfplay_window(config: Config, seconds: float, warm_up_s: float, number: int = 0) -> Window:
    """Run the self-play of `config` and return what it did in a window of `seconds`.

    Args:
        number: of this configuration's windows; each plays games of its own, at stages of its own.

    Raises WindowFailed if nothing came within three minutes, WorkerDied if a process of self-play failed.
    """
    device = resolve_device(config.inference.device)
    weights = initial_weights(config)
    with (
        SelfPlayPool(config, weights, str(device), launch=number, stagger=True) as pool,
        RunMetrics(device) as metrics,
    ):
        pool.start()
        wait_until_all_play(pool)
        let_play(pool, warm_up_s)
        pool.publish(1, weights)
        pool.take_statistics()
        metrics.start_afresh(pool.process_ids().values())
        foreign = _ForeignCpu()
        started = time.perf_counter()
        samples = _play_and_watch(pool, seconds, device)
        statistics = pool.take_statistics()
        elapsed = time.perf_counter() - started
        row = metrics.row(statistics, pool.process_ids().values())
        if statistics.actor_s == 0:
            raise WindowFailed(
                f"no actor reported within the window of {seconds:g} s; measure longer windows"
            )
        row |= {
            "games": statistics.games,
            "positions": statistics.positions,
            "simulations": statistics.simulations,
            "leaves": statistics.leaves,
            "leaves_per_second": statistics.leaves / (statistics.actor_s / config.selfplay.actors),
            **exact_rates(statistics, config.selfplay.actors),
        }
        not_measured = ("games_per_hour", "training_steps_per_second")
        measured = {
            name: value for name, value in row.items() if value is not None and name not in not_measured
        }
        return Window(
            elapsed,
            measured,
            pool.engine,
            foreign.cores(row.get("cpu_utilization")),
            statistics.fills.tolist(),
            samples,
        )


def measure_learner_window(config: Config, seconds: float, steps: int = 0) -> Window:
    """Train on made-up games for `seconds`, fed as in a real run.

    steps: if given, so many training steps instead, or what `LONGEST_LEARNER_S` has room for.
    """
    try:
        return _learner_window(config, seconds, steps)
    finally:
        torch.cuda.empty_cache()  # what this process keeps is no part of the memory that later windows take


def _learner_window(config: Config, seconds: float, steps: int) -> Window:
    with learner_at_work(config, REPLAY_POSITIONS) as (learner, batches, batch):
        for _ in range(WARM_UP_STEPS):
            learner.train_step(batches.get(), 0.0)
        foreign = _ForeignCpu()
        done, elapsed = 0, 0.0
        started = time.perf_counter()
        while (done < steps and elapsed < LONGEST_LEARNER_S) if steps else elapsed < seconds:
            learner.train_step(batches.get(), 0.0)
            done += 1
            elapsed = time.perf_counter() - started
        measured = {"training_steps_per_second": done / elapsed}
        foreign_cpu = foreign.cores(None)
        copy_ms = batch_copy_ms(learner, batch)
        if copy_ms is not None:
            measured["batch_copy_ms"] = copy_ms
        return Window(elapsed, measured, foreign_cpu=foreign_cpu)


def initial_weights(config: Config) -> dict[str, npt.NDArray[np.float32]]:
    """Return the weights of an untrained network, the same for every configuration of its size and seed."""
    torch.manual_seed(config.run.seed)
    network = build_network(get_game(config.run.game), config.network)
    return {name: tensor.float().numpy() for name, tensor in network.state_dict().items()}


def wait_until_all_play(pool: SelfPlayPool) -> None:
    """Return once every process has reported; WindowFailed after three minutes, WorkerDied if one failed."""
    deadline = time.perf_counter() + START_LIMIT_S
    while not pool.all_at_work():
        if time.perf_counter() > deadline:
            raise WindowFailed(f"not every process was at work {START_LIMIT_S:.0f} s after the start")
        let_play(pool, POLL_S)


def let_play(
    pool: SelfPlayPool, seconds: float, on_episode: Callable[[Episode], None] = lambda episode: None
) -> None:
    """Take finished games off the pool for so long, and hand them to `on_episode`; raises WorkerDied."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        for episode in pool.take_episodes(timeout=min(left, POLL_S)):
            on_episode(episode)


def _play_and_watch(pool: SelfPlayPool, seconds: float, device: torch.device) -> list[dict[str, float]]:
    """Let the pool play for so long; return how busy the machine was meanwhile, see `Window.samples`."""
    processes = ProcessSampler([os.getpid(), *pool.process_ids().values()])
    gpu = gpu_sampler(str(device))
    samples = []
    try:
        started = time.perf_counter()
        while (left := started + seconds - time.perf_counter()) > 0:
            let_play(pool, min(left, SAMPLE_S))
            sample = {"time_s": time.perf_counter() - started, **processes.read()}
            if gpu is not None:
                gpu.sample()
                sample |= gpu.read()
            samples.append({name: sample[name] for name in SAMPLED if name in sample})
    finally:
        if gpu is not None:
            gpu.close()
    return samples


def exact_rates(statistics: SelfPlayStatistics, actors: int) -> dict[str, float]:
    """Return games, positions, simulations and evaluations over time, as far as anybody reported.

    Time is what the reports cover, not what the clock on the wall says: a report comes every half second,
    which would be an error of a few per cent in a short window.
    """
    rates: dict[str, float] = {}
    if statistics.actor_s > 0:
        seconds = statistics.actor_s / actors
        rates["games_per_hour"] = 3600 * statistics.games / seconds
        rates["positions_per_second"] = statistics.positions / seconds
        rates["simulations_per_second"] = statistics.simulations / seconds
        if statistics.server_s == 0:
            rates["evaluations_per_second"] = statistics.batch_rows / seconds
    if statistics.server_s > 0:
        rates["evaluations_per_second"] = statistics.batch_rows / statistics.server_s
    return rates


class _ForeignCpu:
    """How much time of the cores that this process may use other programs took since this was made."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        quota = probe_cpu().cgroup_cores
        self._known = quota is None or quota >= len(_own_cores())  # a quota is of no core in particular
        self._started, self._busy_s, self._own_s = clock(), _busy_seconds(), _own_seconds()

    def cores(self, own_percent: float | None) -> float | None:
        """Return the cores that others kept busy on average.

        own_percent: CPU utilization of all our processes, 100 for a core; None: this process alone.
        """
        elapsed = self._clock() - self._started
        if elapsed <= 0 or not self._known:
            return None
        own = (_own_seconds() - self._own_s) / elapsed if own_percent is None else own_percent / 100
        return max(0.0, (_busy_seconds() - self._busy_s) / elapsed - own)


def _busy_seconds() -> float:
    times: list[Any] = psutil.cpu_times(percpu=True)
    return sum(_busy(times[core]) for core in _own_cores() if core < len(times))


def _busy(times: Any) -> float:
    idle = times.idle + getattr(times, "iowait", 0.0)
    return float(sum(times) - idle - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))


def _own_cores() -> list[int]:
    """Return the cores that this process may be scheduled on; all where that is not known."""
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # not on macOS
        return list(process.cpu_affinity())
    return list(range(psutil.cpu_count() or 1))


def _own_seconds() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
