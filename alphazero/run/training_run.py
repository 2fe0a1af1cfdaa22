"""A training run on this machine: actors, inference server and learner at the same time.

The parent process is the learner. It takes finished games from the pool, trains as many steps as the
replay ratio owes, publishes new weights, and writes checkpoints; `alphazero.loop` is the same algorithm in
one process (as a run: `single_process.py`). The network may grow on the way (`training.grow_after`), and a larger one
may learn from the replay buffer when self-play has ended (`training.final_minutes`). Everything that must survive an
interruption is in the run folder:

    run folder/
      step-00001200/               checkpoint: weights, optimizer, counters, random state, replay buffer
      weights/step-00000000.safetensors ...   the points of the learning curve
      metrics.csv  tensorboard/  config.toml  hardware.json  provenance.json
      training.json                how the run ended; written last
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alphazero.config import Config, NetworkConfig
from alphazero.config_loading import config_hash, load_config, save_config
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.hardware.probe import probe_hardware
from alphazero.loop import fraction_done
from alphazero.mcts import usable_backend
from alphazero.metrics.progress import Progress
from alphazero.metrics.writer import MetricsWriter
from alphazero.network.engines import resolve_device
from alphazero.network.growth import grow
from alphazero.network.resnet import build_network
from alphazero.records import Episode
from alphazero.run.run_files import (
    CONFIG_NAME,
    SUMMARY_NAME,
    Counters,
    point_metadata,
    remove_points_after,
    remove_unsaved,
    require_same_run,
    with_backend,
    write_json,
    write_particulars,
    writing_to,
)
from alphazero.run.run_metrics import SHORTEST_INTERVAL_S, RunMetrics
from alphazero.run_lock import RunLock
from alphazero.seeding import generator
from alphazero.selfplay.pool import SelfPlayPool, WorkerDied
from alphazero.stop_signals import stop_asked_by_signals
from alphazero.training.checkpoint import CheckpointStore, step_name
from alphazero.training.device_batch import batch_uploader
from alphazero.training.learner import Learner
from alphazero.training.prefetch import BatchPrefetcher
from alphazero.training.replay_buffer import make_replay_buffer
from alphazero.training.replay_ratio import planned_steps, replay_ratio_gate
from alphazero.training.weights_file import save_weights

MOST_UNTRAINED_SHARE = 0.2  # of training.max_minutes
BACKLOG_STEPS = 50  # training steps owed at which self-play is paused until the learner has caught up
FINAL_RATE_SHARE = 0.5  # of training.learning_rate: a network that has learned is not to be shaken up
POLL_S = 0.05  # longest wait for a game when no training step is owed
EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130


class TrainingRun:
    """One run, from its last checkpoint (or the beginning) to its end. Use once.

    Args:
        config: resolved; saved in the run folder with the tree backend that "auto" stood for. A folder that
            holds another configuration's run is refused.
        run_folder: where everything is written.
        progress: shown to the person at the terminal.
        source_hash: of the sources that train, kept with each checkpoint: a folder whose run was begun by others is
            refused. None: not looked at.
    """

    def __init__(
        self, config: Config, run_folder: Path, progress: Progress, source_hash: str | None = None
    ) -> None:
        # Here, so that actors are given a name: one warning if nothing is compiled, and one backend for all.
        self.config = with_backend(config, usable_backend(config.search.mcts_backend))
        # All backends give the same trees: a run may go on with another one.
        self._config_hash = config_hash(with_backend(config, "auto"))
        self._source_hash = source_hash
        self.run_folder = run_folder
        self.progress = progress
        self.game = get_game(config.run.game)
        self.device = resolve_device(config.inference.device)
        self.counters = Counters()
        training = config.training
        self._cores = probe_hardware().cpu.usable_cores  # all for the learner while self-play is paused
        torch.manual_seed(config.run.seed)
        self.learner = Learner(build_network(self.game, config.network), training, self.device)
        self.replay_buffer = make_replay_buffer(config, self.game)
        self.gate = replay_ratio_gate(training)
        self._all_steps = planned_steps(training)
        self._sampling = generator(config.run.seed, "replay sampling")
        self._sampling_state = self._sampling.bit_generator.state
        self.store = CheckpointStore(run_folder, training.keep_checkpoints)
        self._stop_asked = threading.Event()
        self._started = time.monotonic()
        self._earlier_s = 0.0
        self._saved_at = 0.0
        self._curve_points = 0  # points of the learning curve saved so far
        self._steps_before_growth: int | None = (
            None  # training steps done when the network grew; None: it has not
        )
        self._final_network: dict[str, Any] | None = None  # settings of the one that has learned, if any

    def run(self) -> int:
        """Train to the end; return the process's exit status: 0 done, 1 failed, 130 interrupted."""
        with RunLock(self.run_folder), stop_asked_by_signals(self._stop_asked):
            resumed = self._resume()
            self._started = self._saved_at = time.monotonic()
            if self._at_its_end():
                self._keep_particulars()
            else:
                write_particulars(self.config, self.run_folder)
            with MetricsWriter(self.run_folder, resume=resumed) as writer:
                status = self._train(writer)
                if status == EXIT_DONE and self._final_network_wanted():
                    status = self._train_final_network(writer)
            if status == EXIT_DONE:
                write_json(self.run_folder, SUMMARY_NAME, vars(self.counters))
            return status

    # ---- the loop ----

    def _train(self, writer: MetricsWriter) -> int:
        status = EXIT_DONE
        while status == EXIT_DONE and not self._self_play_has_ended():
            if self._fraction_done() >= self._stage_end():
                self._grow()
            status = self._train_stage(writer)
        return status

    def _train_stage(self, writer: MetricsWriter) -> int:
        """Play and learn with one network, to the end of self-play or to where it is to grow."""
        pool = SelfPlayPool(
            replace(self.config, network=self._network_size()),
            self._weights(),
            str(self.device),
            launch=self.counters.launches,
            weights_version=self.counters.weights_version,
            untrained=self.counters.weights_version == 0 and self.config.training.untrained_positions > 0,
        )
        metrics = RunMetrics(self.device)
        batches = BatchPrefetcher(
            self.replay_buffer,
            self.config.training.batch_size,
            self._sampling,
            uploader=batch_uploader(self.config.training, self.device),
            newest=self.config.training.replay_window,
        )
        self.counters.launches += 1
        failure = None
        with batches, pool, metrics:
            pool.start()
            try:
                self._loop(pool, batches, metrics, writer)
            except WorkerDied as died:
                failure = str(died)
        self._save_checkpoint()
        if failure is not None:
            self.progress.note(f"error: {failure}")
            return EXIT_FAILED
        return self._interrupted() if self._stop_asked.is_set() and self._fraction_done() < 1.0 else EXIT_DONE

    def _interrupted(self) -> int:
        self.progress.note(
            f"stopped at step {self.counters.steps}; run the same command again to go on from here"
        )
        return EXIT_INTERRUPTED

    def _loop(
        self, pool: SelfPlayPool, batches: BatchPrefetcher, metrics: RunMetrics, writer: MetricsWriter
    ) -> None:
        training, counters = self.config.training, self.counters
        next_log = time.monotonic() + self.config.run.log_every_seconds
        stage_end = self._stage_end()
        while self._fraction_done() < stage_end and not self._stop_asked.is_set():
            self._limit_untrained_play()
            owed = self.gate.steps_allowed(counters.positions, counters.steps)
            with metrics.learner_time("time_positions"):
                episodes = pool.take_episodes(timeout=0.0 if owed else POLL_S)
            for episode in episodes:
                self._store(episode, metrics)
            first_steps = self.gate.steps_of_untrained
            # What was played without a network is learned before one plays.
            behind = owed > BACKLOG_STEPS or (owed > 0 and counters.steps < first_steps)
            pool.pause(behind)
            self.learner.threads = self._cores if behind else training.threads
            if owed:
                self._train_step(self.learner, batches, metrics, self._fraction_learned())
                self._sampling_state = batches.random_state
                counters.steps = (self._steps_before_growth or 0) + self.learner.steps
                if counters.steps % training.publish_every_steps == 0 or counters.steps == first_steps:
                    counters.weights_version += 1
                    pool.publish(counters.weights_version, self._weights())
            self._save_curve_point(writer.run_time_s)
            now = time.monotonic()
            if now >= next_log:
                next_log = now + self.config.run.log_every_seconds
                self._log_selfplay(pool, metrics, writer)
            if now - self._saved_at >= 60 * training.checkpoint_every_minutes:
                self._save_checkpoint()
        self._save_curve_point(writer.run_time_s)
        if metrics.seconds >= SHORTEST_INTERVAL_S:
            self._log_selfplay(pool, metrics, writer)

    def _limit_untrained_play(self) -> None:
        """Let the learner begin with what there is once play without a network has taken its share of the time.

        Where nothing is compiled, training.untrained_positions would outlast a short run.
        """
        counters, training = self.counters, self.config.training
        asked = max(training.untrained_positions, training.min_positions)
        waits = training.untrained_positions > 0 and training.batch_size <= counters.positions < asked
        if counters.untrained_ended_at or not waits:
            return
        if self._fraction_of_minutes() >= MOST_UNTRAINED_SHARE:
            counters.untrained_ended_at = counters.positions
            self.gate = replay_ratio_gate(training, counters.positions)
            self.progress.note(
                f"{counters.positions} positions were played without a network in {MOST_UNTRAINED_SHARE:.0%} of the "
                f"time, of {asked} asked for; learning begins with these"
            )

    def _store(self, episode: Episode, metrics: RunMetrics) -> None:
        self.replay_buffer.add_episode(episode)
        self.counters.positions += len(episode)
        self.counters.games += 1
        metrics.add_episode(episode, self.counters.weights_version)

    def _train_step(
        self, learner: Learner, batches: BatchPrefetcher, metrics: RunMetrics, done: float
    ) -> None:
        most_rows = learner.most_rows
        with metrics.learner_time("time_batches"):
            batch = batches.get()
        with metrics.learner_time("time_training"):
            losses = learner.train_step(batch, done)
        if learner.most_rows != most_rows:
            self.progress.note(
                f"learner: out of device memory; from here on at most {learner.most_rows} rows go through the "
                f"network at once (training.batch_size is {self.config.training.batch_size}, and stays so)"
            )
        metrics.add_training_step(losses)

    def _log_selfplay(self, pool: SelfPlayPool, metrics: RunMetrics, writer: MetricsWriter) -> None:
        while not pool.notes.empty():
            self.progress.note(pool.notes.get())
        row = metrics.row(pool.take_statistics(), pool.process_ids().values())
        if self.counters.positions:
            trained = self.counters.steps * self.config.training.batch_size
            row["replay_ratio"] = trained / self.counters.positions
        done = self._fraction_done()
        left = self._run_time() * (1 - done) / done if done > 0.02 else None
        self._log(row, self.counters.steps, writer, done, left)

    def _log(
        self,
        row: Mapping[str, float | None],
        steps: int,
        writer: MetricsWriter,
        done: float,
        seconds_left: float | None,
    ) -> None:
        counted = {**self.counters.row(len(self.replay_buffer)), "training_steps": steps}
        with writing_to(self.run_folder):
            writer.write({**row, **counted})
        self.progress.update({**row, **counted}, done, seconds_left)

    # ---- the network grows ----

    def _stage_end(self) -> float:
        """Return the share of self-play at which the network that plays now has had its time."""
        has_grown = self._steps_before_growth is not None
        return 1.0 if has_grown else self.config.training.grow_after or 1.0

    def _network_size(self) -> NetworkConfig:
        """Return the size of the network that plays now, or played last."""
        return self.config.network if self._steps_before_growth is None else self.config.last_playing_network

    def _grow(self) -> None:
        """Let a larger network, grown out of the agent, play and learn from here on."""
        torch.manual_seed(self.config.run.seed)
        network = grow(self.learner.agent, self.config.grown_network)
        # Its optimizer is a new one, so the learning rate rises to its schedule anew.
        self.learner = Learner(network, self.config.training, self.device)
        self._steps_before_growth = self.counters.steps
        self.progress.note(f"the network has grown to {network.architecture.config.in_words()}")

    # ---- after self-play ----

    def _final_network_wanted(self) -> bool:
        """Return whether a final network is asked for, has not learned yet, and has something to learn from."""
        asked = self.config.training.final_minutes > 0 and self._final_network is None
        return asked and len(self.replay_buffer) > 0

    def _train_final_network(self, writer: MetricsWriter) -> int:
        """Let a larger network, grown out of the agent, learn on from the replay buffer; it is the agent then.

        What was interrupted is begun again by the next run, from the checkpoint saved when self-play ended.
        """
        config = self.config
        torch.manual_seed(config.run.seed)
        network = grow(self.learner.agent, config.final_network)
        size = network.architecture.config
        seconds = 60 * config.training.final_minutes
        self.progress.note(
            f"self-play has ended; for {seconds:.0f} s a final network, {size.in_words()}, learns from its "
            f"{len(self.replay_buffer)} positions"
        )
        if size.ownership_head and not self.replay_buffer.knows_owners():
            self.progress.note(
                "its ownership head learns nothing: all of these positions were played before one was asked for"
            )
        training = replace(config.training, learning_rate=FINAL_RATE_SHARE * config.training.learning_rate)
        learner = Learner(network, training, self.device)
        learner.threads = self._cores
        sampling = generator(config.run.seed, "final network")
        uploader = batch_uploader(config.training, self.device)
        began = next_log = time.monotonic()
        done = 0.0
        with (
            BatchPrefetcher(
                self.replay_buffer, config.training.batch_size, sampling, uploader=uploader
            ) as batches,
            RunMetrics(self.device) as metrics,
        ):
            next_log += config.run.log_every_seconds
            while done < 1.0 and not self._stop_asked.is_set():
                self._train_step(learner, batches, metrics, done)
                now = time.monotonic()
                done = min(1.0, (now - began) / seconds)
                if now >= next_log or (done >= 1.0 and metrics.seconds >= SHORTEST_INTERVAL_S):
                    next_log = now + config.run.log_every_seconds
                    steps = self.counters.steps + learner.steps
                    self._log(metrics.row(None), steps, writer, done, seconds * (1.0 - done))
        if done < 1.0:
            return self._interrupted()
        self.learner, self._final_network = learner, asdict(size)
        self.counters.final_steps = learner.steps
        self.counters.steps += learner.steps
        self._write_curve_point(writer.run_time_s)
        self._save_checkpoint()
        return EXIT_DONE

    # ---- how far ----

    def _fraction_done(self) -> float:
        """Return how much of the run is behind, 0 to 1, by whichever of its limits comes first."""
        counted = fraction_done(self.config.training, self.counters.positions, self.counters.steps)
        return max(counted, self._fraction_of_minutes())

    def _fraction_learned(self) -> float:
        """Return how much of the learning rate's schedule is behind, 0 to 1, by steps or by time."""
        return min(1.0, max(self.counters.steps / self._all_steps, self._fraction_of_minutes()))

    def _fraction_of_minutes(self) -> float:
        minutes = self.config.training.max_minutes
        return min(1.0, self._run_time() / (60 * minutes)) if minutes else 0.0

    def _self_play_has_ended(self) -> bool:
        return self._fraction_done() >= 1.0 or self._final_network is not None

    def _at_its_end(self) -> bool:
        """Return whether there is nothing left to train."""
        return self._self_play_has_ended() and not self._final_network_wanted()

    def _run_time(self) -> float:
        """Return how long the run has learned, s: what was lost after its last checkpoint does not count."""
        return self._earlier_s + (time.monotonic() - self._started)

    # ---- files ----

    def _resume(self) -> bool:
        """Load the newest checkpoint; return whether there was one."""
        latest = self.store.latest()
        if latest is None:
            remove_unsaved(self.run_folder)
            self._save_curve_point(run_time_s=0.0)
            return False
        checkpoint = self.store.load(latest)
        require_same_run(checkpoint.state, self._config_hash, self._source_hash, self.run_folder)
        self._final_network = checkpoint.state.get("final_network")
        self._steps_before_growth = checkpoint.state.get("steps_before_growth")
        if self._final_network is None:
            if self._steps_before_growth is not None:
                grown = build_network(self.game, self._network_size())
                self.learner = Learner(grown, self.config.training, self.device)
            self.learner.load_state_dict(checkpoint.weights, checkpoint.learner)
        elif self.config.training.final_minutes and self._final_network != asdict(
            self._network_size().grown_to(self.config.final_network)
        ):
            raise UserError(
                f"{self.run_folder} holds a run with a final network of other settings; for one of these "
                f"final_network.* delete the folder {latest}, and it learns from the checkpoint before"
            )
        self.replay_buffer.load_state_dict(checkpoint.replay)
        self.counters = Counters(**checkpoint.state["counters"])
        self.gate = replay_ratio_gate(self.config.training, self.counters.untrained_ended_at)
        self._sampling.bit_generator.state = checkpoint.state["sampling"]
        self._sampling_state = checkpoint.state["sampling"]
        self._earlier_s = self.counters.run_time_s
        # Of a run whose limits were raised there are points to come again; of one whose limits were lowered those that
        # it went past do not come all at once.
        due = int(self._fraction_done() * self.config.evaluation.curve_points) + 1
        self._curve_points = max(min(int(checkpoint.state["curve_points"]), due), due - 1)
        remove_points_after(self.counters.steps, self.run_folder)
        self.progress.note(
            f"going on from step {self.counters.steps} ({self.counters.positions} positions), {latest}"
        )
        return True

    def _keep_particulars(self) -> None:
        """Leave what the run folder says of a run at its end as it is, but for how it is to be evaluated.

        Limits have no part in a run's key: others than it was trained with must not be written down as its own.
        """
        self.progress.note("the run had reached its end already")
        path = self.run_folder / CONFIG_NAME
        kept = load_config(path)  # written before the first checkpoint
        asked = asdict(self.config.training)
        others = [name for name, value in asdict(kept.training).items() if value != asked[name]]
        if others:
            values = ", ".join(f"training.{name} = {getattr(kept.training, name)}" for name in others)
            self.progress.note(f"it was trained with {values}; to train with others delete {self.run_folder}")
        with writing_to(self.run_folder):
            save_config(replace(kept, evaluation=self.config.evaluation), path)

    def _save_checkpoint(self) -> None:
        self.counters.run_time_s = self._run_time()
        self.store.save(
            self.counters.steps,
            network=self.learner.agent,
            learner=self.learner.state_dict(),
            replay=self.replay_buffer.state_dict(),
            state={
                "config_hash": self._config_hash,
                "source_hash": self._source_hash,
                "counters": vars(self.counters),
                "sampling": self._sampling_state,
                "curve_points": self._curve_points,
                "steps_before_growth": self._steps_before_growth,
                "final_network": self._final_network,
            },
        )
        self._saved_at = time.monotonic()

    def _save_curve_point(self, run_time_s: float) -> None:
        """Keep the weights at the start, and whenever another share of the run is behind.

        run_time_s: by the clock of metrics.csv, in which what was lost after the last checkpoint counts as well.
        """
        if self._fraction_done() * self.config.evaluation.curve_points < self._curve_points:
            return
        self._write_curve_point(run_time_s)

    def _write_curve_point(self, run_time_s: float) -> None:
        self._curve_points += 1
        path = self.run_folder / "weights" / f"{step_name(self.counters.steps)}.safetensors"
        if self.counters.steps or not path.exists():  # before the first step, weights are as old as the run
            metadata = point_metadata(self.counters.positions, run_time_s)
            save_weights(path, self.learner.agent, metadata)

    def _weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the network's state by name, as float32 on the CPU."""
        return {name: tensor.float().numpy() for name, tensor in self.learner.weights().items()}
