"""Turns what the parts of a run report into one row of catalog metrics every few seconds."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from alphazero.metrics.sampler import ProcessSampler, gpu_sampler
from alphazero.records import Episode
from alphazero.selfplay.reports import SelfPlayStatistics
from alphazero.training.learner import LossRecord

SHORTEST_INTERVAL_S = 2.0  # of a run's last row: rates of less say nothing


class RunMetrics:
    """Collects between two rows, then starts afresh. One thread; a context manager around the GPU sampler.

    A metric that was not measured in an interval (no GPU, no finished game, no training step) is absent
    from its row.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._losses: list[LossRecord] = []
        self._learner_s: dict[str, float] = {}  # by metric of the learner's time split
        self._episodes: list[tuple[int, float]] = []  # length, first player's outcome
        self._positions = 0  # of these, without their random openings
        self._staleness: list[npt.NDArray[np.int32]] = []  # in versions, of each position of these
        self._resigned = 0  # of these
        self._foreseen: list[bool] = []  # of games that could have been resigned and were not: rightly?
        self._gpu = gpu_sampler(str(device))
        self._energy_j = 0.0  # used by the last row with a finished game
        self._processes = ProcessSampler([os.getpid()])

    def __enter__(self) -> RunMetrics:
        if self._gpu is not None:
            self._gpu.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._gpu is not None:
            self._gpu.close()

    @property
    def seconds(self) -> float:
        """Seconds since the last row."""
        return self._clock() - self._since

    @contextmanager
    def learner_time(self, name: str) -> Iterator[None]:
        """Count the time spent in here as the learner's `name`: time_training, time_batches or time_positions."""
        began = self._clock()
        try:
            yield
        finally:
            self._learner_s[name] = self._learner_s.get(name, 0.0) + self._clock() - began

    def add_training_step(self, losses: LossRecord) -> None:
        """Count one training step."""
        self._losses.append(losses)

    def add_episode(self, episode: Episode, weights_version: int) -> None:
        """Count one finished game; `weights_version` is the newest at the time it arrived."""
        first_player = 1.0 if len(episode.opening) % 2 == 0 else -1.0
        self._resigned += episode.resigned
        if episode.foreseen_rightly is not None:
            self._foreseen.append(episode.foreseen_rightly)
        self._positions += len(episode)
        length = len(episode.opening) + len(episode)
        self._episodes.append((length, first_player * float(episode.outcomes[0])))
        self._staleness.append(weights_version - episode.weights_versions)

    def start_afresh(self, process_ids: Iterable[int]) -> None:
        """Start the next interval, and forget what was before; `process_ids` as in `row`."""
        self.row(None, process_ids)
        if self._gpu is not None:
            self._energy_j = self._gpu.energy_j() or 0.0

    def row(
        self, selfplay: SelfPlayStatistics | None, process_ids: Iterable[int] = ()
    ) -> dict[str, float | None]:
        """Return the metrics of the time since the last row, and start the next interval.

        Args:
            selfplay: None: self-play has ended, and nothing is said of it.
            process_ids: processes that belong to the run, beside this one, and began after this object was made.
        """
        now = self._clock()
        seconds, self._since = now - self._since, now
        row: dict[str, float | None] = {"training_steps_per_second": len(self._losses) / seconds}
        if selfplay is not None:
            row |= {
                "games_per_hour": 3600 * selfplay.games / seconds,
                "positions_per_second": selfplay.positions / seconds,
                "simulations_per_second": selfplay.simulations / seconds,
                "evaluations_per_second": selfplay.batch_rows / seconds,
            }
            row |= inference_metrics(selfplay)
        row |= self._game_metrics()
        row |= self._loss_metrics()
        row |= self._learner_time_split(seconds)
        if self._gpu is not None:
            row |= self._gpu.read()
            if selfplay is not None:
                row["energy_per_game_j"] = self._energy_per_game(selfplay.games)
        self._processes.watch(process_ids, from_their_start=True)
        row |= self._processes.read()
        return row

    def _learner_time_split(self, seconds: float) -> dict[str, float | None]:
        times, self._learner_s = self._learner_s, {}
        if not times:
            return {}
        names = ("time_training", "time_batches", "time_positions")
        split: dict[str, float | None] = {name: times.get(name, 0.0) / seconds for name in names}
        return {**split, "time_upkeep": max(0.0, 1 - sum(times.values()) / seconds)}

    def _energy_per_game(self, games: int) -> float | None:
        assert self._gpu is not None
        energy_j = self._gpu.energy_j()
        if energy_j is None or games == 0:
            return None  # the next row with a finished game has this one's energy, too
        used_j, self._energy_j = energy_j - self._energy_j, energy_j
        return used_j / games

    def _game_metrics(self) -> dict[str, float | None]:
        episodes, self._episodes = self._episodes, []
        if not episodes:
            return {}
        count = len(episodes)
        positions, self._positions = self._positions, 0
        resigned, self._resigned = self._resigned, 0
        foreseen, self._foreseen = self._foreseen, []
        staleness, self._staleness = self._staleness, []
        shortest, longest = np.percentile([length for length, _ in episodes], [10, 90])
        return {
            "game_length": sum(length for length, _ in episodes) / count,
            "game_length_p10": float(shortest),
            "game_length_p90": float(longest),
            "positions_per_game": positions / count,
            "first_player_win_rate": sum(outcome > 0 for _, outcome in episodes) / count,
            "draw_rate": sum(outcome == 0 for _, outcome in episodes) / count,
            "resigned_share": resigned / count,
            "false_resignation_rate": foreseen.count(False) / len(foreseen) if foreseen else None,
            "weights_staleness_versions": float(np.concatenate(staleness).mean()),
        }

    def _loss_metrics(self) -> dict[str, float | None]:
        losses, self._losses = self._losses, []
        if not losses:
            return {}
        count = len(losses)
        ownership = [step.ownership_loss for step in losses if step.ownership_loss is not None]
        # Where the scaling of float16 was too high the norm is infinite, and the step is not done.
        norms = [step.gradient_norm for step in losses if math.isfinite(step.gradient_norm)]
        return {
            "loss": sum(step.total_loss for step in losses) / count,
            "policy_loss": sum(step.policy_loss for step in losses) / count,
            "value_loss": sum(step.value_loss for step in losses) / count,
            "ownership_loss": sum(ownership) / len(ownership) if ownership else None,
            "policy_entropy": sum(step.policy_entropy for step in losses) / count,
            "gradient_norm": sum(norms) / len(norms) if norms else None,
            "learning_rate": losses[-1].learning_rate,
        }


def inference_metrics(selfplay: SelfPlayStatistics) -> dict[str, float | None]:
    """Return batch sizes, latencies and the actors' time split, as far as there was anything to measure."""
    row: dict[str, float | None] = {}
    if selfplay.batches:
        row["fill_rate"] = selfplay.batch_rows / selfplay.batch_slots
        row["inference_batch_size"] = selfplay.batch_rows / selfplay.batches
        row["inference_latency_ms"] = 1e3 * selfplay.network_s / selfplay.batches
    if selfplay.looked_up_rows:
        row["cache_hit_rate"] = selfplay.cached_rows / selfplay.looked_up_rows
    row |= selfplay.latency.metrics()  # of a server: from submission to answer
    if selfplay.actor_s:
        in_actors = selfplay.network_s if selfplay.server_s == 0 else 0.0
        parts = {
            "time_waiting": selfplay.waiting_s,
            "time_paused": selfplay.paused_s,
            "time_evaluation": in_actors,
        }
        if selfplay.reports_timed_apart:
            parts |= {
                "time_tree": selfplay.tree_s,
                "time_rules": selfplay.rules_s,
                "time_encoding": selfplay.encoding_s,
            }
        else:
            parts["time_search"] = selfplay.search_s
        if selfplay.reports_with_cache:
            parts["time_cache"] = selfplay.cache_s
        row |= {name: part / selfplay.actor_s for name, part in parts.items()}
        row["time_other"] = max(0.0, 1 - sum(parts.values()) / selfplay.actor_s)
    if selfplay.server_s:
        row["time_network"] = selfplay.network_s / selfplay.server_s
        row["time_copies"] = selfplay.server_copies_s / selfplay.server_s
        row["time_collecting"] = selfplay.server_waiting_s / selfplay.server_s
    return row
