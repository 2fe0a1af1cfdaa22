"""The options that commands share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from alphazero import config_loading
from alphazero.config_arguments import (
    add_config_arguments,
    config_from_arguments,
    require_this_machine,
)
from alphazero.config_loading import Origin, ResolvedConfig
from alphazero.errors import UserError
from alphazero.hardware.description import Hardware


@pytest.fixture
def resolve(
    monkeypatch: pytest.MonkeyPatch, machine: Callable[..., Hardware]
) -> Callable[..., ResolvedConfig]:
    monkeypatch.setattr(config_loading, "probe_hardware", lambda: machine(cores=2))

    def from_words(*words: str) -> ResolvedConfig:
        parser = argparse.ArgumentParser()
        add_config_arguments(parser)
        return config_from_arguments(parser.parse_args(words))

    return from_words


def test_without_options_the_hardware_decides(resolve: Callable[..., ResolvedConfig]) -> None:
    config = resolve().config
    assert (config.hardware_profile, config.selfplay.actors, config.run.game) == ("cpu", 2, "connect_four")


def test_every_option_reaches_its_field(resolve: Callable[..., ResolvedConfig]) -> None:
    resolved = resolve(
        *["--profile", "low", "--game", "tic_tac_toe", "--actors", "2", "--inference-batch-size", "64"],
        *["--simulations", "100", "--seed", "7", "--set", "training.batch_size=32"],
    )
    config = resolved.config
    assert (config.hardware_profile, config.run.game) == ("low", "tic_tac_toe")
    assert (config.selfplay.actors, config.inference.batch_size) == (2, 64)
    assert (config.search.simulations, config.run.seed, config.training.batch_size) == (100, 7, 32)
    assert resolved.origins["selfplay.actors"] is Origin.COMMAND_LINE


def test_set_is_stronger_than_a_shortcut(resolve: Callable[..., ResolvedConfig]) -> None:
    assert resolve("--actors", "1", "--set", "selfplay.actors=2").config.selfplay.actors == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--actors", "-1"],
            "command line: selfplay.actors is -1, but must be between 1 and 1024; correct it there",
        ),
        (
            ["--actors", "many"],
            "command line: selfplay.actors is 'many', but must be a whole number; correct it there",
        ),
        (
            ["--simulations", "0"],
            "command line: search.simulations is 0, but must be between 1 and 1000000; correct it there",
        ),
    ],
)
def test_wrong_options_give_one_line(
    resolve: Callable[..., ResolvedConfig], words: list[str], message: str
) -> None:
    with pytest.raises(UserError) as refused:
        resolve(*words)
    assert str(refused.value) == message


def test_a_description_of_this_machine_is_told_from_one_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Callable[..., Hardware]
) -> None:
    monkeypatch.setattr("alphazero.config_arguments.probe_hardware", lambda: machine(cores=4))
    path = tmp_path / "hardware.json"
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    require_this_machine(parser.parse_args([]))
    arguments = parser.parse_args(["--hardware", str(path)])
    path.write_text(json.dumps(machine(cores=4, memory_mib=4096).to_json()), encoding="utf-8")
    require_this_machine(arguments)  # less memory could be used when it was written
    path.write_text(json.dumps(machine(cores=8).to_json()), encoding="utf-8")
    with pytest.raises(UserError, match="its usable cores are 8, and here they are 4; leave --hardware out"):
        require_this_machine(arguments)
