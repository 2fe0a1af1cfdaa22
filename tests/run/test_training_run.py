"""A training run before it begins."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alphazero.config import Config, InferenceConfig, SearchConfig
from alphazero.config_loading import load_config
from alphazero.errors import UserError
from alphazero.mcts import get_best_mcts_backend
from alphazero.metrics.progress import Progress
from alphazero.metrics.writer import CSV_NAME, TENSORBOARD_FOLDER, MetricsWriter
from alphazero.run import training_run
from alphazero.run.health import measure_health
from alphazero.run.run_files import CONFIG_NAME, SUMMARY_NAME, write_particulars
from alphazero.run.single_process import SingleProcessRun
from alphazero.run.training_run import TrainingRun
from alphazero.selfplay.pool import SelfPlayPool
from alphazero.training.checkpoint import CheckpointStore, step_name
from alphazero.training.weights_file import load_weights_file
from tests.run.tiny_run import SMALL, TINY_RUN, train

CONFIG = Config(inference=InferenceConfig(device="cpu"))


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
    part = replace(TINY_RUN, training=replace(TINY_RUN.training, max_steps=3))
    assert train(part, tmp_path) == 0
    before = sorted((tmp_path / "weights").iterdir())
    assert train(TINY_RUN, tmp_path) == 0
    added = [path for path in sorted((tmp_path / "weights").iterdir()) if path not in before]
    steps = CheckpointStore(tmp_path).load().state["counters"]["steps"]
    assert len(added) >= 3 and added[-1].stem == step_name(steps)


def test_a_point_of_a_curve_counts_the_time_that_was_lost(tmp_path: Path) -> None:
    part = replace(TINY_RUN, training=replace(TINY_RUN.training, max_steps=3))
    assert train(part, tmp_path) == 0
    rows = (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    # After the checkpoint, before a power loss.
    lost = dict.fromkeys(rows[0].split(","), "") | {"run_time_s": "900.0"}
    with (tmp_path / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write(",".join(lost.values()) + "\n")
    assert train(TINY_RUN, tmp_path) == 0
    *_, last = sorted((tmp_path / "weights").iterdir())
    metadata, _ = load_weights_file(last)
    assert float(metadata["run_time_s"]) > 900.0


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
    part = replace(TINY_RUN, training=replace(TINY_RUN.training, max_steps=3))
    assert train(part, tmp_path) == 0
    (state,) = tmp_path.glob("step-*/state.json")
    assert json.loads(state.read_text(encoding="utf-8"))["state"]["source_hash"] is None
    assert train(TINY_RUN, tmp_path, source_hash="b" * 16) == 0
    with pytest.raises(UserError, match="begun by other sources"):
        train(TINY_RUN, tmp_path, source_hash="a" * 16)


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
    training = replace(
        TINY_RUN.training,
        untrained_positions=128,
        untrained_replay_ratio=4.0,
        publish_every_steps=1_000,
        positions=600,
    )
    published: list[int] = []

    def watch(run: TrainingRun) -> None:
        publish = SelfPlayPool.publish

        def recorded(pool: SelfPlayPool, version: int, weights: Any) -> None:
            published.append(run.counters.steps)
            publish(pool, version, weights)

        monkeypatch.setattr(SelfPlayPool, "publish", recorded)

    with pytest.MonkeyPatch.context() as monkeypatch:
        assert train(replace(TINY_RUN, training=training), tmp_path, watch) == 0
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
