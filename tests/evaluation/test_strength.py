"""Time to strength of a made-up run, and of a real one that is tiny."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alphazero.cli import main
from alphazero.commands.strength import run_names
from alphazero.config import Config, NetworkConfig, SearchConfig
from alphazero.config_loading import load_config, save_config
from alphazero.evaluation.agents import Agent, Setting
from alphazero.evaluation.run import Session
from alphazero.evaluation.solved_positions import SolvedPosition
from alphazero.evaluation.strength import measure_strength
from alphazero.evaluation.tasks import Answers
from alphazero.evaluation.workers import WorkerPool
from alphazero.games.registry import get_game
from alphazero.network.resnet import build_network
from alphazero.report.plots import LIGHT
from alphazero.report.strength_page import plot_error_by_time, render_strength_page, summary, time_table
from alphazero.training.weights_file import save_weights


def point(step: int, error: float, **more: Any) -> dict[str, Any]:
    return {
        "step": step,
        "positions": 10 * step,
        "run_time_s": 60.0 * step,
        "wall_s": 61.0 * step,
        "cpu_s": 120.0 * step,
        "device_s": None,
        "energy_j": None,
        "search_error": error,
        "search_error_low": 0.9 * error,
        "search_error_high": 1.1 * error,
        **more,
    }


DOCUMENT = {
    "format": 1,
    "game": "connect_four",
    "simulations": 800,
    "solved_note": "600 positions",
    "errors": [0.05, 0.02],
    "hardware": {"machine": "a-machine-2c"},
    "provenance": {"commit": "abcdef0", "dirty": False},
    "runs": [
        {
            "run": "seed0",
            "seed": 0,
            "points": [point(0, 0.1), point(1, 0.05), point(2, 0.03), point(3, 0.04)],
        },
        {"run": "seed1", "seed": 1, "points": [point(0, 0.1), point(5, 0.015)]},
    ],
}


def test_the_first_moment_below_each_bound_counts() -> None:
    numbers = time_table(DOCUMENT).numbers.reset_index()
    reached = {(row["error"], row["run"]): row["step"] for _, row in numbers.iterrows()}
    assert reached[0.05, "seed0"] == 2  # 5 % itself is not below 5 %
    assert reached[0.05, "seed1"] == 5
    assert reached[0.02, "seed1"] == 5
    assert reached[0.02, "seed0"] != reached[0.02, "seed0"]  # never: empty


def test_what_was_not_measured_has_no_column() -> None:
    assert "device-seconds" not in time_table(DOCUMENT).shown.columns
    assert "CPU-seconds" in time_table(DOCUMENT).shown.columns


def test_the_summary_names_the_smallest_bound_that_all_runs_got_below() -> None:
    assert summary(DOCUMENT) == (
        "A mean error below 5 % was first measured after 2 min 02 s to 5 min 05 s (2 runs), evaluation included."
    )
    nobody = {**DOCUMENT, "errors": [0.001]}
    assert summary(nobody) == "Not all runs got below 0.1 %; the best had 1.5 %."


def test_the_page_has_table_and_curves() -> None:
    page = render_strength_page(DOCUMENT)
    assert page.count("<figure>") == 2 and "below 2 %, seed1" in page
    assert "1.50 %<small>1.35 % to 1.65 %</small>" in page  # how far below, and how sure that is
    assert "a-machine-2c" in page and "abcdef0, clean" in page


def test_lines_at_the_bounds_have_their_names() -> None:
    figure = plot_error_by_time(DOCUMENT, LIGHT)
    assert figure is not None
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["0.0%", "2.0%", "5.0%", "10.0%"]


def test_the_command_measures_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", "--single-process", "--profile", "none", "--game", "tic_tac_toe", "--evaluate", "no"]
    settings = ["search.simulations=8", "training.positions=150", "training.min_positions=64"]
    settings += ["training.batch_size=32", "training.replay_ratio=1", "network.blocks=1", "network.filters=8"]
    settings += ["selfplay.games_per_actor=8", "inference.device=cpu", "evaluation.simulations=8"]
    for setting in settings:
        words += ["--set", setting]
    out = tmp_path / "out"
    assert main([*words, "--checkpoints", str(tmp_path / "run"), "--out", str(out)]) == 0
    words = ["strength", str(out), "--points", "3", "--positions-per-set", "20", "--workers", "0"]
    assert main([*words, "--errors", "90", "1"]) == 0
    assert "below 90 %" in capsys.readouterr().out
    found = {path.name for path in (out / "strength").iterdir()}
    points = json.loads((out / "strength" / "strength.json").read_text(encoding="utf-8"))["runs"][0]["points"]
    assert points[-1]["positions"] >= 150  # of the final agent, too
    assert {"strength.json", "strength.html", "time_to_strength.csv", "strength_curve.csv"} <= found

    # Runs that were made with different searches: each is scored with its own, at one number of simulations.
    asked: list[tuple[str, SearchConfig]] = []

    def measured(session: Session, folder: Path, *more: Any) -> list[Any]:
        asked.append((folder.name, session.setting.search))
        return []

    with monkeypatch.context() as patched:
        patched.setattr("alphazero.evaluation.strength.measure_strength", measured)
        patched.setattr("alphazero.report.strength_page.write_strength_parts", lambda *_: None)
        patched.setattr("alphazero.report.strength_page.render_strength_page", lambda *_: "")
        patched.setattr("alphazero.report.strength_page.time_table", lambda _: time_table(DOCUMENT))
        other = tmp_path / "other"
        other.mkdir()
        config = load_config(out / "config.toml")
        save_config(replace(config, search=replace(config.search, c_puct_init=0.7)), other / "config.toml")
        assert main(["strength", str(out), str(other), "--workers", "0"]) == 0
        assert [(name, search.c_puct_init) for name, search in asked] == [("out", 2.5), ("other", 0.7)]
        config = replace(config, evaluation=replace(config.evaluation, simulations=9))
        save_config(config, other / "config.toml")
        assert main(["strength", str(out), str(other), "--workers", "0"]) == 2
    assert "different simulations a move (8, 9" in capsys.readouterr().err


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / "train" / "seed0", tmp_path / "one_hour" / "seed0"]
    assert run_names(folders) == ["train/seed0", "one_hour/seed0"]
    assert run_names(folders[:1]) == ["seed0"]
    assert run_names([tmp_path / "a" / "seed0", tmp_path / "a" / "seed1"]) == ["seed0", "seed1"]


def test_an_error_of_zero_has_a_place_in_the_picture() -> None:
    perfect = {**DOCUMENT, "runs": [{"run": "r", "seed": 0, "points": [point(0, 0.1), point(1, 0.0)]}]}
    drawing = plot_error_by_time(perfect, LIGHT)
    assert drawing is not None and drawing.axes[0].get_ylim()[0] == 0.0


def test_a_bound_that_is_no_percentage_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strength", str(tmp_path), "--errors", "0"]) == 2
    assert "in percent" in capsys.readouterr().err


class AnswersAtOnce(Session):
    """Of two positions that are won, every agent's answers: later ones think more of them."""

    def answer(self, agent: Agent, positions: Sequence[SolvedPosition]) -> Answers:
        assert agent.path is not None
        value = {"step-00000000": 0.0, "step-00000010": 0.5, "model": 1.0}[agent.path.stem]
        return Answers([0, 0], [value, value], [0, 0], 0, 0.0)


def test_the_time_of_a_point_is_the_runs_and_that_of_all_evaluations_so_far(tmp_path: Path) -> None:
    size = NetworkConfig(blocks=1, filters=4, policy_filters=2, value_filters=2, value_hidden=8)
    network = build_network(get_game("connect_four"), size)
    for step, seconds in ((0, 1.5), (10, 60.0), (20, 130.0)):
        header = {"step": str(step), "run_time_s": str(seconds), "positions": str(100 + step)}
        save_weights(tmp_path / "weights" / f"step-{step:08d}.safetensors", network, header)
    # The final agent's own file does not say when; by its row the run did 20 steps in 100 s.
    save_weights(tmp_path / "model.safetensors", network, {"step": "20"})
    table = "run_time_s,training_steps,cpu_utilization\n100,20,200\n"
    (tmp_path / "metrics.csv").write_text(table, encoding="utf-8")
    positions = [SolvedPosition("only", (action,), ((0, 3), (1, -3)), 7) for action in (2, 3)]
    ticks = itertools.count()  # an evaluation takes a second
    with WorkerPool(0) as pool:
        session = AnswersAtOnce(pool, Setting.of(Config()), lambda what, done, total: None)
        points = measure_strength(session, tmp_path, 3, positions, clock=lambda: float(next(ticks)))
    assert [point.step for point in points] == [0, 10, 20]
    assert [point.positions for point in points] == [100, 110, 120]
    assert [point.run_time_s for point in points] == [1.5, 60.0, 130.0]
    assert [point.evaluation_s for point in points] == [1.0, 2.0, 3.0]
    assert [point.wall_s for point in points] == [2.5, 62.0, 133.0]
    assert [point.cpu_s for point in points] == [3.0, 120.0, 260.0]  # two cores all the time
    assert [point.value_mse for point in points] == [1.0, 0.25, 0.0]
