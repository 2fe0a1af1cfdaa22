"""A network that grows while it plays: once, at its share of self-play, whatever interrupts the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from alphazero.config import Config, NetworkConfig, TrainingConfig
from alphazero.config_loading import resolve_config
from alphazero.errors import UserError
from alphazero.run.training_run import EXIT_DONE, EXIT_INTERRUPTED, TrainingRun
from alphazero.training.checkpoint import CheckpointStore, load_agent
from alphazero.training.weights_file import load_network
from tests.run.tiny_run import SMALL, TINY_RUN, answers, train

GROWN = NetworkConfig(blocks=2, filters=4)
CONFIG = replace(
    TINY_RUN,
    grown_network=GROWN,
    final_network=NetworkConfig(blocks=1, filters=8),
    # Ended by its steps: an actor that plays on while the learner is held up brings no end nearer.
    training=replace(
        TINY_RUN.training, positions=10**6, max_steps=18, weight_average_decay=0.9, grow_after=0.5
    ),
)
# Ended by its positions, which one game at a time brings slowly.
BY_POSITIONS = replace(
    CONFIG,
    selfplay=replace(CONFIG.selfplay, games_per_actor=1, groups=1),
    training=replace(CONFIG.training, positions=600, max_steps=0),
)


def stop_when(condition: Callable[[TrainingRun], bool]) -> Callable[[TrainingRun], None]:
    """Return what makes a run stop after the first training step at which `condition` holds."""

    def prepare(run: TrainingRun) -> None:
        step = run._train_step

        def stop(*arguments: Any) -> None:
            step(*arguments)
            if condition(run):
                run._stop_asked.set()

        run._train_step = stop  # type: ignore[method-assign, assignment]

    return prepare


def architectures(folder: Path) -> list[NetworkConfig]:
    """Return the sizes of the networks along the learning curve."""
    points = sorted((folder / "weights").glob("step-*.safetensors"))
    return [load_network(point).architecture.config for point in points]


@pytest.mark.parametrize("placement", ["local", "server"])
@pytest.mark.parametrize("of", [CONFIG, BY_POSITIONS], ids=["by steps", "by positions"])
def test_the_network_grows_at_its_share_of_self_play_and_plays_on(
    tmp_path: Path, placement: str, of: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(of, inference=replace(of.inference, placement=placement))
    played_with = []

    def watch(run: TrainingRun) -> None:
        train_stage = run._train_stage

        def watched(writer: Any) -> int:
            played_with.append((run._network_size(), run.counters.positions, run.counters.steps))
            return train_stage(writer)

        run._train_stage = watched  # type: ignore[method-assign]

    assert train(config, tmp_path, watch) == EXIT_DONE
    assert [size for size, *_ in played_with] == [SMALL, GROWN]
    _, positions, steps = played_with[1]
    if of is BY_POSITIONS:
        assert 300 <= positions < 600
    else:
        assert steps == 9
    checkpoint = CheckpointStore(tmp_path).load()
    assert checkpoint.state["steps_before_growth"] == steps > 0
    assert (
        checkpoint.step
        == json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))["steps"]
        > steps
    )
    assert checkpoint.learner["steps"] == checkpoint.step - steps
    assert load_agent(tmp_path).architecture.config == GROWN
    sizes = architectures(tmp_path)
    assert sizes == sorted(sizes, key=lambda size: size.blocks)
    assert {size.blocks for size in sizes} == {1, 2}
    assert capsys.readouterr().out.count("the network has grown to 2 blocks of 4 filters") == 1
    # Steps are owed to positions as if it were one network.
    assert checkpoint.step <= checkpoint.state["counters"]["positions"] / 32


def test_a_grown_network_begins_with_what_the_agent_has_learned(tmp_path: Path) -> None:
    said: list[tuple[Tensor, Tensor]] = []

    def watch(run: TrainingRun) -> None:
        grow = run._grow

        def watched() -> None:
            said.append(answers(run.learner.agent))
            grow()
            said.append(answers(run.learner.agent))
            assert run.learner.agent.architecture.config == GROWN
            raise InterruptedError  # what becomes of it has no part in this

        run._grow = watched  # type: ignore[method-assign]

    with pytest.raises(InterruptedError):
        train(CONFIG, tmp_path, watch)
    before, after = said
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("grown", [False, True])
def test_an_interrupted_run_goes_on_with_the_network_that_it_had(
    tmp_path: Path, grown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def now(run: TrainingRun) -> bool:
        enough = 4 if not grown else 2
        return (run._steps_before_growth is not None) is grown and run.learner.steps >= enough

    assert train(CONFIG, tmp_path, stop_when(now)) == EXIT_INTERRUPTED
    before = CheckpointStore(tmp_path).load()
    assert load_agent(tmp_path).architecture.config == (GROWN if grown else SMALL)
    assert (before.state["steps_before_growth"] is not None) is grown
    assert train(CONFIG, tmp_path) == EXIT_DONE
    after = CheckpointStore(tmp_path).load()
    assert load_agent(tmp_path).architecture.config == GROWN
    assert after.step > before.step
    if grown:
        assert after.state["steps_before_growth"] == before.state["steps_before_growth"]
    assert capsys.readouterr().out.count("the network has grown") == 1


def test_a_final_network_grows_out_of_the_grown_one(tmp_path: Path) -> None:
    both = replace(CONFIG, training=replace(CONFIG.training, final_minutes=0.01))
    assert train(both, tmp_path) == EXIT_DONE
    assert load_agent(tmp_path).architecture.config == NetworkConfig(blocks=2, filters=8)
    assert train(both, tmp_path) == EXIT_DONE  # and is known again


def test_growth_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    assert train(CONFIG, tmp_path) == EXIT_DONE
    for other in (
        replace(CONFIG, training=replace(CONFIG.training, grow_after=0.25)),
        replace(CONFIG, grown_network=NetworkConfig(blocks=3, filters=4)),
    ):
        with pytest.raises(UserError, match="holds a run with another configuration"):
            train(other, tmp_path)


def test_a_run_in_one_process_does_not_grow() -> None:
    with pytest.raises(UserError, match=r"training\.grow_after is 0\.5, but .* set training\.grow_after=0"):
        resolve_config(profile="none", overrides=["training.grow_after=0.5", "run.single_process=true"])


def test_the_hardware_is_fitted_to_the_grown_network() -> None:
    assert CONFIG.last_playing_network == GROWN
    assert replace(CONFIG, training=TrainingConfig()).last_playing_network == SMALL
    larger = replace(CONFIG, network=NetworkConfig(blocks=1, filters=16, line_planes=True))
    assert larger.last_playing_network == NetworkConfig(blocks=2, filters=16, line_planes=True)
