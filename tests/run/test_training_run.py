"""A training run: how it begins, what it goes on with, and what ends it."""

from __future__ import annotations

import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alphazero.config import Config, InferenceConfig, NetworkConfig, SearchConfig
from alphazero.config_loading import load_config
from alphazero.errors import UserError
from alphazero.mcts import get_best_mcts_backend
from alphazero.metrics.progress import Progress
from alphazero.metrics.writer import CSV_NAME, TENSORBOARD_FOLDER, MetricsWriter
from alphazero.run import training_run
from alphazero.run.health import measure_health
from alphazero.run.run_files import CONFIG_NAME, SUMMARY_NAME, write_particulars
from alphazero.run.single_process import SingleProcessRun
from alphazero.run.training_run import EXIT_DONE, TrainingRun
from alphazero.selfplay.pool import SelfPlayPool
from alphazero.training.checkpoint import CheckpointStore, step_name
from alphazero.training.weights_file import load_weights_file
from tests.run.tiny_run import SMALL, TINY_RUN, train

CONFIG = Config(inference=InferenceConfig(device="cpu"))


def of_steps(most: int, **training: Any) -> Config:
    """Return TINY_RUN that ends after so many training steps, however many games come while the learner is held up."""
    return replace(TINY_RUN, training=replace(TINY_RUN.training, positions=10**6, max_steps=most, **training))


def test_the_tree_backend_that_auto_stands_for_is_recorded(tmp_path: Path) -> None:
    with Progress("a run") as progress:
        run = TrainingRun(CONFIG, tmp_path, progress)
        write_particulars(run.config, tmp_path)
    assert run.config.search.mcts_backend == get_best_mcts_backend()
    recorded = load_config(tmp_path / CONFIG_NAME)
    assert recorded == run.config
    # The recorded configuration is that of the same run, which a build may let go on with another backend.
    with Progress("a run") as progress:
        again = TrainingRun(recorded, tmp_path, progress)
        other = TrainingRun(replace(CONFIG, search=SearchConfig(simulations=7)), tmp_path, progress)
    assert again._config_hash == run._config_hash != other._config_hash


def test_a_backend_that_is_not_there_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> str:
        raise UserError(f"mcts_backend {name!r} is not built")

    monkeypatch.setattr("alphazero.run.training_run.usable_backend", refuse)
    config = replace(CONFIG, search=SearchConfig(mcts_backend="cpp"))
    with Progress("a run") as progress, pytest.raises(UserError, match="'cpp' is not built"):
        TrainingRun(config, tmp_path, progress)
    assert list(tmp_path.iterdir()) == []


def test_the_first_point_of_a_curve_comes_when_the_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 86_400.0)  # the machine has been up for a day
    with Progress("a run") as progress:
        TrainingRun(CONFIG, tmp_path, progress)._resume()
    metadata, _ = load_weights_file(tmp_path / "weights" / "step-00000000.safetensors")
    assert metadata["run_time_s"] == "0.0"


def test_points_of_a_curve_that_the_run_did_not_come_through_are_removed(tmp_path: Path) -> None:
    assert train(TINY_RUN, tmp_path) == 0
    steps = CheckpointStore(tmp_path).load().state["counters"]["steps"]
    weights = tmp_path / "weights"
    kept = sorted(path.name for path in weights.iterdir())
    later = weights / f"{step_name(steps + 3)}.safetensors"  # saved after the checkpoint, before a power loss
    shutil.copyfile(weights / kept[0], later)
    with Progress("a run") as progress:
        TrainingRun(TINY_RUN, tmp_path, progress)._resume()
        assert sorted(path.name for path in weights.iterdir()) == kept
        for checkpoint in tmp_path.glob("step-*"):
            shutil.rmtree(checkpoint)  # a run that never came to one
        TrainingRun(TINY_RUN, tmp_path, progress)._resume()
    assert [path.name for path in weights.iterdir()] == ["step-00000000.safetensors"]


def test_a_run_that_goes_on_after_its_limit_was_raised_has_points_of_all_of_it(tmp_path: Path) -> None:
    assert train(of_steps(3), tmp_path) == 0
    before = sorted((tmp_path / "weights").iterdir())
    assert train(of_steps(12), tmp_path) == 0
    added = [path for path in sorted((tmp_path / "weights").iterdir()) if path not in before]
    steps = CheckpointStore(tmp_path).load().state["counters"]["steps"]
    assert len(added) >= 3 and added[-1].stem == step_name(steps)


def test_a_point_of_a_curve_counts_the_time_that_was_lost(tmp_path: Path) -> None:
    assert train(of_steps(3), tmp_path) == 0
    rows = (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    # After the checkpoint, before a power loss.
    lost = dict.fromkeys(rows[0].split(","), "") | {"run_time_s": "900.0"}
    with (tmp_path / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write(",".join(lost.values()) + "\n")
    assert train(of_steps(12), tmp_path) == 0
    *_, last = sorted((tmp_path / "weights").iterdir())
    metadata, _ = load_weights_file(last)
    assert float(metadata["run_time_s"]) > 900.0


@pytest.mark.parametrize("grow_after", [0.0, 0.5])
def test_a_run_goes_on_with_what_it_had_learned(tmp_path: Path, grow_after: float) -> None:
    grown = NetworkConfig(blocks=2, filters=4)
    part, whole = (
        replace(of_steps(most, weight_average_decay=0.9, grow_after=grow_after), grown_network=grown)
        for most in (4, 8)
    )
    assert train(part, tmp_path) == 0
    checkpoint = CheckpointStore(tmp_path).load()
    with Progress("a run") as progress:
        run = TrainingRun(whole, tmp_path, progress)
        assert run._resume()
    torch.testing.assert_close(run.learner.weights(), dict(checkpoint.weights), rtol=0, atol=0)
    # Optimizer, number of steps, and the network that is trained.
    torch.testing.assert_close(run.learner.state_dict(), dict(checkpoint.learner), rtol=0, atol=0)
    assert run.learner.steps == (2 if grow_after else 4)
    assert run.counters.steps == 4
    assert vars(run.counters) == checkpoint.state["counters"]
    assert run._sampling.bit_generator.state == checkpoint.state["sampling"]
    np.testing.assert_equal(run.replay_buffer.state_dict(), dict(checkpoint.replay))


def test_a_run_that_goes_on_does_not_play_its_games_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = []

    class Recording(SelfPlayPool):
        def __init__(self, *arguments: Any, launch: int = 0, **options: Any) -> None:
            launches.append(launch)
            super().__init__(*arguments, launch=launch, **options)

    monkeypatch.setattr(training_run, "SelfPlayPool", Recording)
    grown = NetworkConfig(blocks=2, filters=4)
    part, whole = (replace(of_steps(most, grow_after=0.5), grown_network=grown) for most in (2, 3))
    assert train(part, tmp_path) == 0
    assert launches == [0, 1]  # the grown network plays games of its own, too
    assert train(whole, tmp_path) == 0
    assert launches == [0, 1, 2]


def test_a_run_ends_when_its_minutes_are_over_those_before_an_interruption_included(tmp_path: Path) -> None:
    training = replace(TINY_RUN.training, positions=10**9, max_minutes=0.05)
    config = replace(TINY_RUN, training=training)
    ended_at_s: list[float] = []

    def watch(run: TrainingRun) -> None:
        loop = run._loop
        guard = threading.Timer(20.0, run._stop_asked.set)  # or a run without an end would never fail
        guard.daemon = True

        def watched(*arguments: Any) -> None:
            guard.start()
            loop(*arguments)
            guard.cancel()
            ended_at_s.append(run._run_time())

        run._loop = watched  # type: ignore[method-assign]

    assert train(config, tmp_path, watch) == EXIT_DONE
    assert ended_at_s, "it was over before it began"
    assert 3.0 <= ended_at_s[0] < 20.0
    run_time_s = json.loads((tmp_path / SUMMARY_NAME).read_text(encoding="utf-8"))["run_time_s"]
    assert ended_at_s[0] <= run_time_s < 60.0
    with Progress("a run") as progress:
        again = TrainingRun(config, tmp_path, progress)
        assert again._resume()
        assert again._run_time() >= again.counters.run_time_s == run_time_s
        assert again._at_its_end()


def test_the_learning_rate_goes_by_the_clock_where_minutes_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [86_400.0]  # the machine has been up for a day
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    training = replace(TINY_RUN.training, positions=10**9, max_minutes=2.0)
    with Progress("a run") as progress:
        run = TrainingRun(replace(TINY_RUN, training=training), tmp_path, progress)
    now_s[0] += 90.0
    assert run._fraction_learned() == run._fraction_done() == 0.75
    now_s[0] += 90.0
    assert run._fraction_learned() == run._fraction_done() == 1.0


def test_the_learning_rate_goes_by_steps_where_positions_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "BACKLOG_STEPS", 10)
    training = replace(TINY_RUN.training, replay_ratio=8.0, positions=1_200)
    done: list[float] = []

    def watch(run: TrainingRun) -> None:
        step = run._train_step

        def recorded(*arguments: Any) -> None:
            done.append(arguments[-1])
            step(*arguments)

        run._train_step = recorded  # type: ignore[method-assign, assignment]

    assert train(replace(TINY_RUN, training=training), tmp_path, watch) == EXIT_DONE
    assert done == [step / 300 for step in range(len(done))]  # 1200 * 8 / 32 steps are planned
    assert done[-1] > 0.7  # those owed when the last game came are not done; self-play waits at 10 owed


def leave_rows_behind(folder: Path) -> None:
    """Make a run folder as one that was killed before its first checkpoint."""
    with MetricsWriter(folder) as writer:
        writer.write({"games": 5})


def test_a_run_that_begins_afresh_keeps_no_rows_and_no_events(tmp_path: Path) -> None:
    leave_rows_behind(tmp_path)
    with Progress("a run") as progress:
        TrainingRun(CONFIG, tmp_path, progress)._resume()
    assert not (tmp_path / CSV_NAME).exists()
    assert list((tmp_path / TENSORBOARD_FOLDER).iterdir()) == []


def test_so_does_one_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_rows_behind(tmp_path)
    (old,) = (tmp_path / TENSORBOARD_FOLDER).iterdir()
    monkeypatch.setattr("alphazero.run.single_process.write_particulars", stop)
    with Progress("a run") as progress, pytest.raises(InterruptedError):
        SingleProcessRun(CONFIG, tmp_path, progress).run()
    assert not (tmp_path / CSV_NAME).exists() and not old.exists()


def stop(*arguments: object) -> None:
    raise InterruptedError


def test_a_run_that_other_sources_began_is_refused_also_at_its_end(tmp_path: Path) -> None:
    assert train(TINY_RUN, tmp_path, source_hash="a" * 16) == 0
    files = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    with pytest.raises(
        UserError, match=r"begun by other sources; .* --checkpoints, .*provenance\.json names"
    ):
        train(TINY_RUN, tmp_path, source_hash="b" * 16)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == files
    assert train(TINY_RUN, tmp_path, source_hash="a" * 16) == 0


def test_a_run_of_before_sources_were_kept_goes_on(tmp_path: Path) -> None:
    assert train(of_steps(3), tmp_path) == 0
    (state,) = tmp_path.glob("step-*/state.json")
    assert json.loads(state.read_text(encoding="utf-8"))["state"]["source_hash"] is None
    assert train(of_steps(12), tmp_path, source_hash="b" * 16) == 0
    with pytest.raises(UserError, match="begun by other sources"):
        train(of_steps(12), tmp_path, source_hash="a" * 16)


def test_play_without_a_network_leaves_time_to_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is compiled, a profile's positions without a network would outlast its minutes."""
    monkeypatch.setattr(
        training_run, "MOST_UNTRAINED_SHARE", 0.0
    )  # as if that time were over when games begin
    many = replace(
        TINY_RUN.training,
        min_positions=10**5,
        untrained_positions=10**6,
        positions=10**9,
        max_minutes=60.0,
        max_steps=30,
        replay_capacity=10**5,
    )
    config = replace(TINY_RUN, training=many)
    assert train(config, tmp_path) == 0
    first = json.loads((tmp_path / SUMMARY_NAME).read_text(encoding="utf-8"))
    assert many.batch_size <= first["untrained_ended_at"] < first["positions"]
    assert (first["steps"], first["weights_version"] > 0) == (30, True)
    assert measure_health(config, tmp_path)["steps_share"] == 1.0  # none were owed before that, or all
    metadata, _ = load_weights_file(tmp_path / "weights" / f"{step_name(0)}.safetensors")
    assert float(metadata["run_time_s"]) == 0.0  # not that of a later point before the first step

    # A run that goes on counts from there, too.
    assert train(replace(config, training=replace(many, max_steps=60)), tmp_path) == 0
    second = json.loads((tmp_path / SUMMARY_NAME).read_text(encoding="utf-8"))
    assert second["untrained_ended_at"] == first["untrained_ended_at"]
    assert second["steps"] == 60


def test_what_was_played_without_a_network_is_learned_before_one_plays(tmp_path: Path) -> None:
    config = of_steps(30, untrained_positions=128, untrained_replay_ratio=4.0, publish_every_steps=1_000)
    published: list[int] = []

    def watch(run: TrainingRun) -> None:
        publish = SelfPlayPool.publish

        def recorded(pool: SelfPlayPool, version: int, weights: Any) -> None:
            published.append(run.counters.steps)
            publish(pool, version, weights)

        monkeypatch.setattr(SelfPlayPool, "publish", recorded)

    with pytest.MonkeyPatch.context() as monkeypatch:
        assert train(config, tmp_path, watch) == 0
    assert published == [16]  # 128 * 4 / 32, and no thousandth came


def test_a_final_network_learns_from_all_and_the_one_that_plays_from_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = []

    class Recording(training_run.BatchPrefetcher):
        def __init__(self, *arguments: Any, newest: int = 0, **options: Any) -> None:
            windows.append(newest)
            super().__init__(*arguments, newest=newest, **options)

    monkeypatch.setattr(training_run, "BatchPrefetcher", Recording)
    training = replace(TINY_RUN.training, replay_window=50, final_minutes=0.005)
    assert train(replace(TINY_RUN, training=training, final_network=SMALL), tmp_path) == 0
    assert windows == [50, 0]
