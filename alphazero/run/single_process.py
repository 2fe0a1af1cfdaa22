"""A training run in one process: slower than `training_run.py`, and the same, bit for bit, every time on a CPU.

`alphazero.loop` trains; here it is watched and written down. The run folder looks as after any other run, but a
checkpoint comes only at the end: games under way are not saved, and a run that went on without them would be
another one. What was interrupted begins again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from alphazero.config import Config, TrainingConfig
from alphazero.config_loading import config_hash, load_config, save_config
from alphazero.config_validation import flatten
from alphazero.errors import UserError
from alphazero.loop import fraction_done, train_in_one_process
from alphazero.mcts import usable_backend
from alphazero.metrics.progress import Progress
from alphazero.metrics.writer import MetricsWriter
from alphazero.network.engines import resolve_device
from alphazero.records import Episode
from alphazero.run.run_files import (
    CONFIG_NAME,
    SUMMARY_NAME,
    Counters,
    point_metadata,
    remove_unsaved,
    require_same_run,
    with_backend,
    write_json,
    write_particulars,
    writing_to,
)
from alphazero.run.run_metrics import SHORTEST_INTERVAL_S, RunMetrics
from alphazero.run_lock import RunLock
from alphazero.selfplay.game_group import SelfPlayCounts
from alphazero.selfplay.reports import SelfPlayStatistics
from alphazero.training.checkpoint import CheckpointStore, step_name
from alphazero.training.learner import Learner, LossRecord
from alphazero.training.replay_buffer import ReplayBuffer
from alphazero.training.weights_file import save_weights

EXIT_DONE = 0
# Settings without a part in a run's key (`config_hash`) that decide what is trained in one process.
_DECIDING = (
    "inference.cache_positions",
    "selfplay.games_per_actor",
    "training.threads",
    "training.max_steps",
)


class SingleProcessRun:
    """One run from its beginning to its end; use once.

    Args:
        config: resolved, with `run.single_process`; saved in the run folder.
        run_folder: where everything is written. One that holds the whole of this run is left as it is.
        progress: shown to the person at the terminal.
        source_hash: as in `TrainingRun`.
    """

    def __init__(
        self, config: Config, run_folder: Path, progress: Progress, source_hash: str | None = None
    ) -> None:
        self.config = with_backend(config, usable_backend(config.search.mcts_backend))
        self._config_hash = config_hash(with_backend(config, "auto"))
        self._source_hash = source_hash
        self.run_folder = run_folder
        self.progress = progress
        torch.set_num_threads(max(1, config.training.threads))

    def run(self) -> int:
        """Train to the end and return 0; UserError if the folder holds a run of other settings or sources."""
        store = CheckpointStore(self.run_folder, keep=1)
        with RunLock(self.run_folder):
            latest = store.latest()
            if latest is not None:
                state = store.load(latest).state
                require_same_run(state, self._config_hash, self._source_hash, self.run_folder)
                self._keep_particulars()
                write_json(
                    self.run_folder, SUMMARY_NAME, state["counters"]
                )  # what stopped in between lacks it
                self.progress.note("the run had reached its end already")
                return EXIT_DONE
            remove_unsaved(self.run_folder)
            write_particulars(self.config, self.run_folder)
            self.progress.note(_end_in_words(self.config.training))
            device = resolve_device(self.config.inference.device)
            with MetricsWriter(self.run_folder) as writer, RunMetrics(device) as metrics:
                chronicle = Chronicle(self.config, self.run_folder, self.progress, writer, metrics)
                agent = train_in_one_process(self.config, chronicle)
                chronicle.finish()
            store.save(
                chronicle.counters.steps,
                network=agent,
                learner=chronicle.learner.state_dict(),
                replay=chronicle.replay_buffer.state_dict(),
                state={
                    "config_hash": self._config_hash,
                    "source_hash": self._source_hash,
                    "counters": vars(chronicle.counters),
                },
            )
            write_json(self.run_folder, SUMMARY_NAME, vars(chronicle.counters))
        return EXIT_DONE

    def _keep_particulars(self) -> None:
        """Write down how a whole run is to be evaluated now; UserError if it was trained with other settings.

        Some that decide what is trained have no part in a run's key, since runs of processes go on with others.
        """
        path = self.run_folder / CONFIG_NAME
        kept = load_config(path)
        settings, asked = flatten(kept), flatten(self.config)
        for name in _DECIDING:
            if settings[name] != asked[name]:
                raise UserError(
                    f"{self.run_folder} holds this run with {name} = {settings[name]} instead of {asked[name]}, and a "
                    "run in one process does not go on; choose another folder with --checkpoints, or remove that one"
                )
        with writing_to(self.run_folder):
            save_config(replace(kept, evaluation=self.config.evaluation), path)


def _end_in_words(training: TrainingConfig) -> str:
    steps = f" or {training.max_steps:,} training steps" if training.max_steps else ""
    final = "; no final network, since time decides nothing here (training.final_minutes)"
    return (
        f"in one process, to the end of {training.positions:,} positions{steps} (training.positions, --steps); it is "
        f"saved then, and not before{final if training.final_minutes else ''}"
    )


class Chronicle:
    """Writes down how a run in one process goes: metrics, and the weights of the learning curve."""

    learner: Learner
    replay_buffer: ReplayBuffer

    def __init__(
        self,
        config: Config,
        run_folder: Path,
        progress: Progress,
        writer: MetricsWriter,
        metrics: RunMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = Counters(launches=1)
        self._config = config
        self._run_folder = run_folder
        self._progress = progress
        self._writer = writer
        self._metrics = metrics
        self._clock = clock
        self._started = clock()
        self._curve_points = 0
        self._has_logged = False
        self._selfplay = SelfPlayStatistics()

    def on_start(self, learner: Learner, replay_buffer: ReplayBuffer) -> None:
        self.learner, self.replay_buffer = learner, replay_buffer
        self._save_curve_point()

    def on_round(self, counts: SelfPlayCounts, evaluated: int) -> None:
        selfplay = self._selfplay
        selfplay.merge(counts)
        selfplay.batch_rows += evaluated
        if self._config.inference.cache_positions:
            selfplay.looked_up_rows += counts.leaves
            selfplay.cached_rows += counts.leaves - evaluated

    def on_episode(self, episode: Episode, weights_version: int) -> None:
        self.counters.games += 1
        self.counters.positions += len(episode)
        self._metrics.add_episode(episode, weights_version)
        if self._metrics.seconds >= self._config.run.log_every_seconds:
            self._log()

    def on_step(self, losses: LossRecord, weights_version: int) -> None:
        self.counters.steps = losses.step
        self.counters.weights_version = weights_version
        self._metrics.add_training_step(losses)
        self._save_curve_point()

    def finish(self) -> None:
        """Write the last row: how far the run came, and its rates unless its interval is too short for them."""
        self.counters.run_time_s = self._run_time()
        self._save_curve_point()
        self._log(with_rates=not self._has_logged or self._metrics.seconds >= SHORTEST_INTERVAL_S)

    def _log(self, with_rates: bool = True) -> None:
        self._has_logged = True
        selfplay, self._selfplay = self._selfplay, SelfPlayStatistics()
        row: dict[str, float | None] = {}
        if with_rates:
            row = self._metrics.row(selfplay, ())
        counters = self.counters
        row |= counters.row(len(self.replay_buffer))
        if counters.positions:
            row["replay_ratio"] = counters.steps * self._config.training.batch_size / counters.positions
        with writing_to(self._run_folder):
            self._writer.write(row)
        self._progress.update(row, self._fraction_done())

    def _run_time(self) -> float:
        return self._clock() - self._started

    def _fraction_done(self) -> float:
        return fraction_done(self._config.training, self.counters.positions, self.counters.steps)

    def _save_curve_point(self) -> None:
        """Keep the weights at the start, and whenever another share of the run is behind."""
        if self._fraction_done() * self._config.evaluation.curve_points < self._curve_points:
            return
        self._curve_points += 1
        path = self._run_folder / "weights" / f"{step_name(self.counters.steps)}.safetensors"
        if self.counters.steps or not path.exists():  # before the first step, weights are as old as the run
            save_weights(path, self.learner.agent, point_metadata(self.counters.positions, self._run_time()))
