"""A run in one process: the same, bit for bit, with the same seed, and a run folder like any other."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alphazero.cli import main
from alphazero.config import (
    Config,
    InferenceConfig,
    NetworkConfig,
    RunConfig,
    SearchConfig,
    SelfPlayConfig,
    TrainingConfig,
)
from alphazero.config_loading import load_config
from alphazero.config_validation import validate
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.loop import train_in_one_process
from alphazero.metrics.progress import Progress
from alphazero.network.engines import make_engine
from alphazero.network.resnet import build_network
from alphazero.run.run_files import CONFIG_NAME
from alphazero.run.run_metrics import RunMetrics
from alphazero.run.single_process import Chronicle, SingleProcessRun
from alphazero.selfplay.game_group import SelfPlayCounts
from alphazero.training.learner import Learner, LossRecord, learning_rate
from alphazero.training.replay_buffer import ReplayBuffer, make_replay_buffer
from alphazero.training.replay_ratio import planned_steps
from alphazero.training.weights_file import load_weights_file

TINY = Config(
    network=NetworkConfig(blocks=1, filters=8),
    search=SearchConfig(simulations=12),
    inference=InferenceConfig(device="cpu", use_amp=False),
    selfplay=SelfPlayConfig(games_per_actor=8),
    training=TrainingConfig(batch_size=32, min_positions=64, replay_ratio=2.0, positions=400, warmup_steps=2),
    run=RunConfig(game="connect_four", single_process=True),
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def weights_hash(config: Config) -> str:
    network = train_in_one_process(config)
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_does_not() -> None:
    first = weights_hash(TINY)
    assert weights_hash(TINY) == first
    assert weights_hash(replace(TINY, run=replace(TINY.run, seed=1))) != first


def test_a_run_with_surprise_weighting_repeats_too_and_learns_something_else() -> None:
    selfplay = replace(TINY.selfplay, policy_surprise_share=0.5, side_position_visits=5)
    weighted = replace(TINY, selfplay=selfplay)
    assert weights_hash(weighted) == weights_hash(weighted)
    equal = replace(weighted, selfplay=replace(selfplay, policy_surprise_share=0.0))
    assert weights_hash(weighted) != weights_hash(equal)


def test_a_run_with_a_cache_repeats_too() -> None:
    cached = replace(TINY, inference=replace(TINY.inference, cache_positions=10_000))
    assert weights_hash(cached) == weights_hash(cached)


class StepWatcher:
    def __init__(self) -> None:
        self.records: list[LossRecord] = []
        self.rounds: list[tuple[SelfPlayCounts, int]] = []

    def on_start(self, learner: object, replay_buffer: object) -> None:
        pass

    def on_round(self, counts: SelfPlayCounts, evaluated: int) -> None:
        self.rounds.append((counts, evaluated))

    def on_episode(self, episode: object, weights_version: int) -> None:
        pass

    def on_step(self, losses: LossRecord, weights_version: int) -> None:
        self.records.append(losses)


def test_the_learning_rate_falls_over_the_steps_however_many_positions_were_played_before_the_first() -> None:
    training = replace(TINY.training, untrained_positions=300, untrained_replay_ratio=1.0, warmup_steps=0)
    watcher = StepWatcher()
    train_in_one_process(replace(TINY, training=training), watcher)
    steps = planned_steps(training)
    assert len(watcher.records) >= steps == (300 * 1.0 + 100 * 2.0) // 32
    for record in watcher.records[:steps]:
        assert record.learning_rate == learning_rate(training, record.step, (record.step - 1) / steps)
    assert watcher.records[0].learning_rate == training.learning_rate


@pytest.mark.parametrize(
    "replay_ratio", [TINY.training.replay_ratio, 50.0]
)  # a game that ends may owe many steps
def test_the_run_ends_after_the_steps_asked_for(replay_ratio: float) -> None:
    training = replace(TINY.training, max_steps=5, replay_ratio=replay_ratio)
    watcher = StepWatcher()
    train_in_one_process(replace(TINY, training=training), watcher)
    assert [record.step for record in watcher.records] == [1, 2, 3, 4, 5]


def test_the_run_folder_has_what_evaluation_and_report_read(tmp_path: Path) -> None:
    with Progress("a run") as progress:
        assert SingleProcessRun(TINY, tmp_path, progress, "a" * 16).run() == 0
        written = (tmp_path / "training.json").read_bytes()
        (tmp_path / "training.json").unlink()  # stopped before it was written
        assert SingleProcessRun(TINY, tmp_path, progress, "a" * 16).run() == 0  # nothing is done twice
        assert (tmp_path / "training.json").read_bytes() == written
        other = replace(TINY, search=SearchConfig(simulations=13))
        with pytest.raises(UserError, match="another configuration"):
            SingleProcessRun(other, tmp_path, progress, "a" * 16).run()
        with pytest.raises(UserError, match="begun by other sources"):
            SingleProcessRun(TINY, tmp_path, progress, "b" * 16).run()
    names = {path.name for path in tmp_path.iterdir()}
    assert {"config.toml", "metrics.csv", "provenance.json", "hardware.json", "weights"} <= names
    points = sorted((tmp_path / "weights").glob("step-*.safetensors"))
    assert points[0].name == "step-00000000.safetensors" and len(points) > 3
    metadata, _ = load_weights_file(points[-1])
    assert int(metadata["positions"]) >= 400 and float(metadata["run_time_s"]) > 0


@pytest.mark.parametrize("cache_positions", [0, 10_000])
def test_its_searches_are_counted_and_what_the_network_evaluated(
    cache_positions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(*arguments: Any, **named: Any) -> Any:
        engine = make_engine(*arguments, **named)
        evaluate = engine.evaluate
        engine.evaluate = lambda observations: (asked.append(len(observations)), evaluate(observations))[1]
        return engine

    monkeypatch.setattr("alphazero.loop.make_engine", counted)
    config = replace(
        TINY,
        inference=replace(TINY.inference, cache_positions=cache_positions),
        training=replace(TINY.training, untrained_positions=100),
    )
    watcher = StepWatcher()
    train_in_one_process(config, watcher)
    assert sum(evaluated for _, evaluated in watcher.rounds) == sum(asked) > 0
    leaves = sum(counts.leaves for counts, _ in watcher.rounds)
    assert leaves > sum(asked) if cache_positions else leaves == sum(asked)
    without = [counts for counts, evaluated in watcher.rounds if not counts.leaves and not evaluated]
    assert (
        sum(counts.positions for counts in without) >= 90
    )  # games under way are not in the replay buffer yet
    simulations, positions = (
        sum(getattr(counts, name) for counts, _ in watcher.rounds) for name in ("simulations", "positions")
    )
    assert simulations > 0.9 * positions * config.search.simulations


def test_a_row_says_what_was_searched(tmp_path: Path) -> None:
    now = 100.0
    rows, metrics = Rows(), RunMetrics(torch.device("cpu"), lambda: now)
    config = replace(TINY, inference=replace(TINY.inference, cache_positions=10_000))
    learner = Learner(
        build_network(get_game("connect_four"), TINY.network), TINY.training, torch.device("cpu")
    )
    with Progress("a run") as progress:
        chronicle = Chronicle(config, tmp_path, progress, rows, metrics, lambda: now)  # type: ignore[arg-type]
        chronicle.on_start(learner, make_replay_buffer(TINY, get_game("connect_four")))
        chronicle.on_round(SelfPlayCounts(simulations=900, leaves=800, positions=9, games=1), 600)
        chronicle.on_round(SelfPlayCounts(simulations=100, leaves=0, positions=1, games=0), 0)
        now += 10.0
        chronicle.finish()
    row = rows[-1]
    assert row["simulations_per_second"] == 100.0
    assert row["evaluations_per_second"] == 60.0
    assert row["positions_per_second"] == 1.0
    assert row["games_per_hour"] == 360.0
    assert row["cache_hit_rate"] == 0.25


class Rows(list[dict[str, float | None]]):
    """Stands for a MetricsWriter."""

    write = list.append


@pytest.mark.parametrize(
    ("other_row", "last_s", "rate"), [(True, 0.1, None), (True, 4.0, 0.25), (False, 0.1, 10.0)]
)
def test_the_rates_of_a_moment_are_not_written_unless_there_are_no_others(
    tmp_path: Path, other_row: bool, last_s: float, rate: float | None
) -> None:
    """One training step in `last_s` seconds."""
    now = 100.0
    rows, metrics = Rows(), RunMetrics(torch.device("cpu"), lambda: now)
    network = build_network(get_game("connect_four"), TINY.network)
    learner = Learner(network, TINY.training, torch.device("cpu"))
    with Progress("a run") as progress:
        chronicle = Chronicle(TINY, tmp_path, progress, rows, metrics, lambda: now)  # type: ignore[arg-type]
        chronicle.on_start(learner, make_replay_buffer(TINY, get_game("connect_four")))
        if other_row:
            now += 10.0
            chronicle._log()
        chronicle.on_step(LossRecord(1, 2.0, 1.0, None, 3.0, 1.5, 1.4, 0.5, 0.01), 3)
        now += last_s
        chronicle.finish()
    assert rows[-1]["training_steps"] == 1
    assert rows[-1]["weights_version"] == 3  # of the last step, though no game has ended since
    assert rows[-1].get("training_steps_per_second") == (None if rate is None else pytest.approx(rate))
    assert rows[-1].get("loss") == (None if rate is None else 3.0)


def test_the_command_line_trains_the_same_agent_twice(tmp_path: Path) -> None:
    words = ["train", "--single-process", "--profile", "none", "--game", "tic_tac_toe", "--evaluate", "no"]
    settings = ["search.simulations=8", "training.positions=200", "training.min_positions=64"]
    settings += ["training.batch_size=32", "training.replay_ratio=1", "network.blocks=1", "network.filters=8"]
    settings += ["selfplay.games_per_actor=8", "inference.device=cpu"]
    for setting in settings:
        words += ["--set", setting]
    models = []
    for name in ("one", "other"):
        folders = ["--checkpoints", str(tmp_path / name / "run"), "--out", str(tmp_path / name / "out")]
        assert main([*words, *folders]) == 0
        _, weights = load_weights_file(tmp_path / name / "out" / "model.safetensors")
        models.append(weights)
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_what_was_played_without_a_network_is_learned_before_one_plays() -> None:
    versions: list[tuple[int, int]] = []

    class Watcher:
        steps = 0

        def on_start(self, learner: Learner, replay_buffer: object) -> None: ...

        def on_round(self, counts: object, evaluated: int) -> None: ...

        def on_episode(self, episode: object, weights_version: int) -> None:
            versions.append((self.steps, weights_version))

        def on_step(self, losses: LossRecord, weights_version: int) -> None:
            self.steps = losses.step

    training = replace(
        TINY.training, untrained_positions=64, untrained_replay_ratio=4.0, publish_every_steps=10**6
    )
    train_in_one_process(replace(TINY, training=training), Watcher())
    assert {version for steps, version in versions if steps < 8} == {0}
    assert {version for steps, version in versions if steps >= 8} == {1}  # 64 * 4 / 32 steps


def test_no_untrained_network_is_asked_before_the_first_step() -> None:
    """Also where learning waits for more positions than are to be played without one: as in a run of processes."""
    training = replace(TINY.training, untrained_positions=64, min_positions=200)
    rounds_before: list[int] = []

    class Watcher(StepWatcher):
        def on_step(self, losses: LossRecord, weights_version: int) -> None:
            rounds_before.append(len(self.rounds))

    watcher = Watcher()
    train_in_one_process(replace(TINY, training=training), watcher)
    assert sum(counts.leaves for counts, _ in watcher.rounds[: rounds_before[0]]) == 0
    assert sum(counts.leaves for counts, _ in watcher.rounds[rounds_before[0] :]) > 0


def test_a_window_of_the_replay_buffer_is_what_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = set()
    sample = ReplayBuffer.sample

    def recorded(buffer: ReplayBuffer, batch_size: int, rng: Any, newest: int = 0) -> Any:
        windows.add(newest)
        return sample(buffer, batch_size, rng, newest)

    monkeypatch.setattr(ReplayBuffer, "sample", recorded)
    train_in_one_process(replace(TINY, training=replace(TINY.training, replay_window=70)))
    assert windows == {70}


def test_a_whole_run_takes_another_scoring_and_no_other_number_of_steps(tmp_path: Path) -> None:
    short = replace(TINY, training=replace(TINY.training, max_steps=1))

    def run(config: Config) -> None:
        with Progress("a run") as progress:
            SingleProcessRun(config, tmp_path, progress).run()

    run(short)
    run(replace(short, evaluation=replace(short.evaluation, simulations=7)))
    assert load_config(tmp_path / CONFIG_NAME).evaluation.simulations == 7
    with pytest.raises(UserError, match=r"training.max_steps = 1 instead of 2"):
        run(replace(short, training=replace(short.training, max_steps=2)))
    with pytest.raises(UserError, match=r"selfplay.games_per_actor = 8 instead of 4"):
        run(replace(short, selfplay=replace(short.selfplay, games_per_actor=4)))


def test_a_limit_of_time_is_refused() -> None:
    with pytest.raises(UserError, match="max_minutes"):
        validate(replace(TINY, training=replace(TINY.training, max_minutes=1.0)))
