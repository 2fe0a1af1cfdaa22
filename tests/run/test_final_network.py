"""A larger network that learns after self-play: it is the run's agent, once, whatever interrupts it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from alphazero.config import NetworkConfig
from alphazero.config_loading import load_config
from alphazero.errors import UserError
from alphazero.run.health import measure_health
from alphazero.run.training_run import EXIT_DONE, EXIT_INTERRUPTED, TrainingRun
from alphazero.training.checkpoint import CheckpointStore, load_agent
from alphazero.training.learner import Learner
from alphazero.training.weights_file import load_network
from tests.run.tiny_run import SMALL, TINY_RUN, answers, train

LARGE = NetworkConfig(blocks=2, filters=8, position_bias=True)
WITHOUT = replace(TINY_RUN, final_network=LARGE)
WITH = replace(WITHOUT, training=replace(WITHOUT.training, final_minutes=0.01))


def points(folder: Path) -> list[Path]:
    return sorted((folder / "weights").glob("step-*.safetensors"))


def stop_in_the_final_phase(run: TrainingRun) -> None:
    step = run._train_step

    def stop(learner, *arguments):  # type: ignore[no-untyped-def]
        step(learner, *arguments)
        if learner is not run.learner:
            run._stop_asked.set()

    run._train_step = stop  # type: ignore[method-assign]


def test_the_larger_network_is_the_agent_and_the_run_has_reached_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(WITH, tmp_path) == EXIT_DONE
    checkpoint = CheckpointStore(tmp_path).load()
    summary = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    assert summary["steps"] == checkpoint.step > summary["final_steps"] > 0
    assert load_agent(tmp_path).architecture.config == LARGE
    last, before = points(tmp_path)[-1], points(tmp_path)[-2]
    assert last.stem == f"step-{checkpoint.step:08d}"
    assert load_network(last).architecture.config == LARGE
    assert load_network(before).architecture.config == SMALL
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open(encoding="utf-8")))
    assert rows[-1]["games_per_hour"] == "" != rows[-1]["policy_loss"]
    # The final network's steps were owed to no position.
    assert (measure_health(WITH, tmp_path)["steps_share"] or 0.0) <= 1.0

    assert train(WITH, tmp_path) == train(WITHOUT, tmp_path) == EXIT_DONE
    assert capsys.readouterr().out.count("the run had reached its end already") == 2
    assert CheckpointStore(tmp_path).load().step == checkpoint.step
    assert json.loads((tmp_path / "training.json").read_text(encoding="utf-8")) == summary
    with pytest.raises(UserError, match="a final network of other settings"):
        train(replace(WITH, final_network=SMALL), tmp_path)


def test_the_larger_network_begins_with_what_the_agent_has_learned(tmp_path: Path) -> None:
    # The agent is an average here: not the network that was trained last.
    training = replace(WITH.training, weight_average_decay=0.9, final_minutes=60.0)
    said: list[tuple[Tensor, Tensor]] = []

    def watch(run: TrainingRun) -> None:
        step = run._train_step

        def watched(learner: Learner, *arguments: Any) -> None:
            if learner is not run.learner:
                assert learner.agent.architecture.config == LARGE
                said.extend(answers(each.agent) for each in (run.learner, learner))
                run._stop_asked.set()
            step(learner, *arguments)

        run._train_step = watched  # type: ignore[method-assign, assignment]

    assert train(replace(WITH, training=training), tmp_path, watch) == EXIT_INTERRUPTED
    before, after = said  # the latter before its first step
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_what_was_interrupted_is_begun_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = replace(WITH, training=replace(WITH.training, final_minutes=60.0))
    assert train(long, tmp_path, stop_in_the_final_phase) == EXIT_INTERRUPTED
    assert "run the same command again to go on from here" in capsys.readouterr().out
    assert not (tmp_path / "training.json").exists()
    ordinary = CheckpointStore(tmp_path).load()
    assert load_agent(tmp_path).architecture.config == SMALL
    assert train(WITH, tmp_path) == EXIT_DONE
    assert load_agent(tmp_path).architecture.config == LARGE
    assert (
        CheckpointStore(tmp_path).load().state["counters"]["positions"]
        == (ordinary.state["counters"]["positions"])
    )


def test_a_run_that_ended_without_one_gets_it_later(tmp_path: Path) -> None:
    assert train(WITHOUT, tmp_path) == EXIT_DONE
    assert load_agent(tmp_path).architecture.config == SMALL
    assert json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))["final_steps"] == 0
    assert train(WITH, tmp_path) == EXIT_DONE
    assert load_agent(tmp_path).architecture.config == LARGE


@pytest.mark.parametrize("asked_for_later", [True, False])
def test_an_ownership_head_that_comes_too_late_to_learn_is_spoken_of(
    asked_for_later: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = replace(WITH, final_network=replace(LARGE, ownership_head=True))
    if asked_for_later:
        assert train(WITHOUT, tmp_path) == EXIT_DONE
    assert train(head, tmp_path) == EXIT_DONE
    assert ("its ownership head learns nothing" in capsys.readouterr().out) == asked_for_later


def test_a_run_at_its_end_keeps_the_minutes_it_was_trained_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(WITH, tmp_path) == EXIT_DONE
    provenance = (tmp_path / "provenance.json").read_bytes()
    config = load_config(tmp_path / "config.toml")
    capsys.readouterr()
    longer = replace(WITH.training, max_minutes=5.0, final_minutes=0.02)
    other = replace(WITH, training=longer, evaluation=replace(WITH.evaluation, match_games=4))
    assert train(other, tmp_path) == EXIT_DONE
    said = capsys.readouterr().out
    assert (
        "it was trained with training.max_minutes = 0.0, training.final_minutes = 0.01; to train with" in said
    )
    assert load_config(tmp_path / "config.toml") == replace(config, evaluation=other.evaluation)
    assert (tmp_path / "provenance.json").read_bytes() == provenance
