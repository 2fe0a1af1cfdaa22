"""`alphazero config`, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli

from alphazero.cli import main
from alphazero.config_loading import load_config
from alphazero.hardware.description import Hardware


def test_prints_toml_to_stdout_and_the_story_to_stderr(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "config.toml"
    words = ["config", "--profile", "low", "--actors", "2", "--inference-batch-size", "64", "--out", str(out)]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert tomli.loads(printed.out)["selfplay"]["actors"] == 2
    assert "actors = 2  # command line" in printed.out
    assert "hardware profile 'low', as requested" in printed.err
    assert "overridden: selfplay.actors = 2 (command line) instead of 6 (hardware profile)" in printed.err
    assert load_config(out).inference.batch_size == 64


def test_a_short_run_is_fitted_aloud_and_keeps_its_search(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: Callable[..., Hardware]
) -> None:
    hardware = tmp_path / "hardware.json"
    hardware.write_text(json.dumps(machine(cores=2).to_json()), encoding="utf-8")
    words = ["config", "--profile", "low", "--actors", "2", "--inference-batch-size", "64"]
    assert main([*words, "--set", "training.max_steps=20", "--hardware", str(hardware)]) == 0
    printed = capsys.readouterr()
    settings = tomli.loads(printed.out)
    assert settings["search"]["simulations"] == 800
    assert settings["selfplay"]["games_per_actor"] == 14  # 13 would do, were there not two groups
    assert "fitted: training.untrained_positions 10000 -> 256: 20 steps need 512 positions" in printed.err
    assert "fitted: selfplay.games_per_actor 64 -> 14: 2 x 14 games yield" in printed.err
    assert "can never be full" not in printed.err  # which would ask for the games back


@pytest.mark.parametrize(
    "words",
    [
        ["--profile", "nonsense"],
        ["--actors", "-1"],
        ["--set", "infrence.batch_size=3"],
        ["--experiment", "none.toml"],
        ["--out", "no/such/folder/config.toml"],
    ],
)
def test_wrong_input_gives_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["config", *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
