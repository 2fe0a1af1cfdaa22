"""A training run evaluated from its weights, tiny; and what it leaves behind."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alphazero.config import Config, EvaluationConfig, NetworkConfig
from alphazero.errors import UserError
from alphazero.evaluation.agents import Setting, network_agent
from alphazero.evaluation.files import format_evaluation, write_evaluation
from alphazero.evaluation.run import (
    Evaluation,
    Session,
    curve_weights,
    evaluate_run,
    score_answers,
    solved_positions_of,
)
from alphazero.evaluation.solved_positions import thinned_places
from alphazero.evaluation.workers import WorkerPool
from alphazero.games.registry import get_game
from alphazero.metrics.catalog import find_metric
from alphazero.network.resnet import build_network
from alphazero.training.weights_file import save_weights

TINY_NETWORK = NetworkConfig(blocks=1, filters=4, policy_filters=2, value_filters=2, value_hidden=8)
CONFIG = replace(
    Config(),
    network=TINY_NETWORK,
    evaluation=EvaluationConfig(
        simulations=8,
        positions_per_set=4,
        match_games=4,
        pure_mcts_simulations=8,
        curve_points=3,
        curve_positions_per_set=2,
    ),
)


def write_weights(path: Path, seed: int, step: int) -> None:
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(path, build_network(get_game("connect_four"), TINY_NETWORK), {"step": str(step)})


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for seed, step in enumerate((0, 10, 20)):
        write_weights(folder / "weights" / f"step-{step:08d}.safetensors", seed, step)
    write_weights(folder / "model.safetensors", 3, 23)
    return folder


@pytest.fixture(scope="module")
def evaluation(run_folder: Path) -> Evaluation:
    torch.set_num_threads(1)
    return evaluate_run(run_folder, CONFIG, workers=0, progress=lambda what, done, total: None)


def test_before_and_after_are_scored_on_all_positions(evaluation: Evaluation) -> None:
    assert [score.agent for score in evaluation.scores] == ["untrained", "final (step 23)"]
    assert all(score.policy[-1].positions == 6 * 4 for score in evaluation.scores)
    assert all(score.search[-1].positions == 6 * 4 for score in evaluation.scores)


def test_the_curve_has_every_point_on_the_same_positions(evaluation: Evaluation) -> None:
    assert [score.step for score in evaluation.curve] == [0, 10, 20, 23]
    assert all(score.search[-1].positions == 6 * 2 for score in evaluation.curve)


def test_answers_belong_to_the_weights_they_are_said_to_be_of(
    run_folder: Path, evaluation: Evaluation
) -> None:
    assert len({score.values[-1].value_mse for score in evaluation.curve}) == 4
    assert len({score.values[-1].value_mse for score in evaluation.scores}) == 2
    files = [f"weights/step-{step:08d}.safetensors" for step in (0, 10, 20)] + ["model.safetensors"]
    positions, _ = solved_positions_of("connect_four", 4)
    places = thinned_places(positions, 2)
    with WorkerPool(0) as pool:
        session = Session(pool, Setting.of(CONFIG), lambda what, done, total: None)
        for file, score in zip(files, evaluation.curve, strict=True):
            agent = network_agent(run_folder / file)
            if score.step in (0, 23):  # of the ends all positions were asked
                answers = session.answer(agent, positions).choose(places)
            else:
                answers = session.answer(agent, [positions[place] for place in places])
            own = score_answers(score.agent, score.step, [positions[place] for place in places], answers)
            assert (score.policy, score.search, score.values) == (own.policy, own.search, own.values)


def test_the_final_network_meets_every_kind_of_opponent(evaluation: Evaluation) -> None:
    assert {match.player_a for match in evaluation.matches} == {"final (step 23)"}
    assert [match.player_b for match in evaluation.matches] == ["random", "pure_mcts", "untrained", "step 20"]
    assert all(match.played == 4 for match in evaluation.matches)
    final = next(rating for rating in evaluation.ratings if rating.player == "final (step 23)")
    assert final.rating == 0.0


def test_the_same_run_gives_the_same_evaluation(run_folder: Path, evaluation: Evaluation) -> None:
    again = evaluate_run(run_folder, CONFIG, workers=0, progress=lambda what, done, total: None)
    assert again.matches == evaluation.matches
    assert [score.search for score in again.scores] == [score.search for score in evaluation.scores]


def test_worker_processes_give_the_same_evaluation(run_folder: Path, evaluation: Evaluation) -> None:
    shared = evaluate_run(run_folder, CONFIG, workers=2, progress=lambda what, done, total: None)
    assert [score.search for score in shared.curve] == [score.search for score in evaluation.curve]
    assert shared.matches == evaluation.matches


def test_files_have_a_row_for_everything(evaluation: Evaluation, tmp_path: Path) -> None:
    write_evaluation(tmp_path, evaluation, {"seed": 0})

    def rows(name: str) -> list[dict[str, str]]:
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    # Random moves, and two agents in two modes; six sets and their mean.
    assert len(rows("solved_positions.csv")) == 5 * 7
    assert len(rows("learning_curve.csv")) == 4
    assert len(rows("learning_curve_sets.csv")) == 4 * 2 * 6
    assert len(rows("matches.csv")) == 4
    assert len(rows("ratings.csv")) == 5
    record = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert record["agent"] == "final (step 23)"
    assert record["seed"] == 0
    for name in ("policy_error", "search_error", "random_move_error", "simulations_per_second"):
        assert find_metric(name)
        assert isinstance(record[name], float)
    assert record["random_move_error"] == pytest.approx(evaluation.random[-1].error)


def test_the_table_names_agents_sets_and_opponents(evaluation: Evaluation) -> None:
    text = format_evaluation(evaluation)
    for part in (
        "beginning-hard",
        "mean over the sets",
        "untrained: 8 simulations",
        "final (step 23) - random",
    ):
        assert part in text
    assert text.isascii()


def test_points_of_the_curve_are_spread_evenly_with_both_ends(tmp_path: Path) -> None:
    for step in range(0, 100, 10):
        (tmp_path / f"step-{step:08d}.safetensors").touch()
    (tmp_path / "step-final.safetensors").touch()
    assert list(curve_weights(tmp_path, 4)) == [0, 30, 60, 90]
    assert list(curve_weights(tmp_path, 1)) == [0, 90]
    assert len(curve_weights(tmp_path, 50)) == 10


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no weights called step-NUMBER"):
        curve_weights(tmp_path, 4)


def test_small_games_are_solved_and_large_ones_said_to_have_no_positions() -> None:
    positions, note = solved_positions_of("tic_tac_toe", 10)
    assert (len(positions), "solved by trying all" in note) == (10, True)
