"""--profile auto takes a tuned profile only where it was tuned, and says what it did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alphazero.config_loading import resolve_config
from alphazero.errors import UserError
from alphazero.hardware.description import Hardware
from alphazero.tuned_profile import tuned_profile_path

TUNED = """
title = "Tuned"
based_on = "cpu"
[tuned_for]
gpu = "none"
gpu_memory_mib = 0
cpu = "AMD EPYC 7763 64-Core Processor"
usable_cores = 4
game = "connect_four"
network = "1 block of 32 filters with line planes"
[inference]
placement = "local"
[selfplay]
actors = 3
games_per_actor = 48
"""


@pytest.fixture
def tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Callable[..., Hardware]
) -> Callable[..., Hardware]:
    """Return a function that writes a tuned profile for a machine of four cores, and returns the machine."""
    monkeypatch.chdir(tmp_path)

    def write(old: str = "", new: str = "") -> Hardware:
        hardware = machine(cores=4)
        path = tuned_profile_path(hardware)
        path.parent.mkdir(parents=True)
        path.write_text(TUNED.replace(old, new) if old else TUNED, encoding="utf-8")
        return hardware

    return write


def test_auto_takes_it_over_the_shipped_profile_it_is_based_on(tuned: Callable[..., Hardware]) -> None:
    hardware = tuned()
    resolved, shipped = (
        resolve_config(hardware=hardware),
        resolve_config(profile="shipped", hardware=hardware),
    )
    assert (resolved.config.selfplay.actors, resolved.config.selfplay.games_per_actor) == (3, 48)
    assert resolved.config.hardware_profile == "tuned"
    assert resolved.config.network == shipped.config.network
    assert resolved.config.training == shipped.config.training
    assert "tuned for this machine, game and network by results/" in resolved.profile_reason
    assert shipped.config.hardware_profile == "cpu" and shipped.config.selfplay.actors == 4
    assert "tuned" not in shipped.profile_reason


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("usable_cores = 4", "usable_cores = 8", "its usable_cores is 8, and here it is 4"),
        ("AMD EPYC 7763 64-Core Processor", "Other", "its cpu is Other, and here it is AMD"),
        ('gpu = "none"', 'gpu = "NVIDIA T4"', "its gpu is NVIDIA T4, and here it is none"),
        ('"connect_four"', '"chess"', "its game is chess, and here it is connect_four"),
        ("1 block of 32", "9 blocks of 32", "its network is 9 blocks of 32 filters"),
        ("usable_cores = 4", "", "its usable_cores is not said"),
        ('based_on = "cpu"', 'based_on = "low"', "it is based on 'low'"),
    ],
)
def test_one_for_something_else_is_passed_over_and_auto_says_why(
    tuned: Callable[..., Hardware], old: str, new: str, reason: str
) -> None:
    resolved = resolve_config(hardware=tuned(old, new))
    assert resolved.config.hardware_profile == "cpu" and resolved.config.selfplay.actors == 4
    assert f"is passed over: {reason}" in resolved.profile_reason


def test_a_run_with_another_network_passes_it_over(tuned: Callable[..., Hardware]) -> None:
    resolved = resolve_config(overrides=["network.filters=64"], hardware=tuned())
    assert resolved.config.hardware_profile == "cpu"
    assert "here it is 1 block of 64 filters with line planes" in resolved.profile_reason


def test_its_path_asks_for_it_by_name(tuned: Callable[..., Hardware]) -> None:
    hardware = tuned("usable_cores = 4", "usable_cores = 8")
    resolved = resolve_config(profile=str(tuned_profile_path(hardware)), hardware=hardware)
    assert resolved.config.selfplay.actors == 3


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        ('based_on = "cpu"', "based_on = 3", "based_on is 3"),
        ("[tuned_for]", "[selfplay]", "not valid TOML"),
        ("actors = 3", "actros = 3", "did you mean 'selfplay.actors'"),
    ],
)
def test_a_damaged_one_is_one_clear_line(
    tuned: Callable[..., Hardware], old: str, new: str, answer: str
) -> None:
    with pytest.raises(UserError) as raised:
        resolve_config(hardware=tuned(old, new))
    assert answer in str(raised.value) and "tuned.toml" in str(raised.value)
    assert "\n" not in str(raised.value)
