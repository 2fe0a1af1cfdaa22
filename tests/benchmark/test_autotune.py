"""The search finds what was planted, lives with noise and failures, and never makes things worse."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from alphazero.benchmark.autotune import Effort, Tuner, Tuning, longest_minutes
from alphazero.benchmark.tuned_toml import tuned_toml, write_tuned
from alphazero.benchmark.variants import effective_settings
from alphazero.commands import autotune
from alphazero.config import Config
from alphazero.config_loading import resolve_config
from alphazero.errors import RunError, UserError
from alphazero.hardware.description import Hardware
from alphazero.tuned_profile import tuned_profile_path

EFFORT = Effort(1.0, 0.7, 4)
ORIGIN = {"commit": "abcdef123456", "dirty": False, "libraries": {"torch": "2.13.0"}}

Speed = Callable[[Config], float]


def search(hardware: Hardware, speed: Speed, noise: float = 0.0) -> Tuning:
    rng = np.random.default_rng(0)

    def measure(config: Config, seconds: float, number: int) -> float:
        return speed(config) * float(np.exp(rng.normal(0.0, noise)))

    return tuner(hardware, measure).run()


def tuner(hardware: Hardware, measure: Callable[[Config, float, int], float]) -> Tuner:
    shipped = resolve_config(profile="shipped", hardware=hardware).config
    on_cpu = not hardware.gpus

    def identity(config: Config) -> dict[str, object]:
        return effective_settings(config, on_cpu, "cython", False)

    return Tuner(shipped, hardware, measure, identity, EFFORT, lambda text: None)


def peak(actors: int, games: int, batch: int, timeout_ms: float, placement: str = "server") -> Speed:
    """Return a speed of 1000 with these settings, less the further away a configuration is."""

    def speed(config: Config) -> float:
        inference, selfplay = config.inference, config.selfplay
        away = abs(np.log2(selfplay.actors / actors)) + abs(np.log2(selfplay.games_per_actor / games))
        if placement == "server":
            away += abs(np.log2(inference.batch_size / batch))
            away += abs(np.log2(inference.batch_timeout_ms / timeout_ms)) / 4
        away += 3 * (inference.placement != placement) + 2 * (inference.engine == "eager")
        return 1000.0 / (1.0 + away)

    return speed


def test_the_planted_best_is_found_without_a_gpu(machine: Callable[..., Hardware]) -> None:
    chosen = search(machine(cores=4), peak(2, 64, 0, 0, placement="local")).chosen
    assert (chosen.inference.placement, chosen.selfplay.actors) == ("local", 2)
    assert chosen.selfplay.games_per_actor == 64


def test_the_planted_best_is_found_on_a_gpu(
    machine: Callable[..., Hardware], gpu: Callable[..., object]
) -> None:
    found = search(machine(gpu(), cores=16), peak(14, 128, 512, 5.0))
    chosen = found.chosen
    assert (chosen.inference.placement, chosen.inference.engine) == ("server", "auto")  # graphs, on CUDA
    assert (chosen.inference.batch_size, chosen.inference.batch_timeout_ms) == (512, 5.0)
    assert (chosen.selfplay.actors, chosen.selfplay.games_per_actor) == (14, 128)
    assert found.speed_up is not None and found.speed_up.low > 1


def test_network_and_search_are_never_changed(machine: Callable[..., Hardware]) -> None:
    seen: list[Config] = []

    def noted(config: Config) -> float:
        seen.append(config)
        return 1.0

    shipped = search(machine(cores=4), noted).shipped
    assert {(config.network, config.search) for config in seen} == {(shipped.network, shipped.search)}
    assert shipped.search.simulations == 800


@pytest.mark.parametrize("seed", range(5))
def test_noise_neither_crashes_nor_makes_worse(machine: Callable[..., Hardware], seed: int) -> None:
    speed = peak(4, 32, 0, 0, placement="local")
    rng = np.random.default_rng(seed)
    found = tuner(
        machine(cores=4), lambda config, *_: speed(config) * float(np.exp(rng.normal(0, 0.3)))
    ).run()
    assert found.speed_up is None or found.chosen == found.shipped or found.speed_up.value >= 1


def test_a_candidate_that_fails_is_left_out_and_not_tried_again(machine: Callable[..., Hardware]) -> None:
    tried: list[str] = []

    def failing(config: Config) -> float:
        if config.inference.placement == "server":
            tried.append(str(asdict(config.inference)) + str(asdict(config.selfplay)))
            raise RuntimeError("the inference server ended:\nTraceback ...\nOSError: planted")
        return peak(4, 64, 0, 0, placement="local")(config)

    found = search(machine(cores=4), failing)
    assert found.chosen.inference.placement == "local" and found.chosen.selfplay.games_per_actor == 64
    assert {trial.error for trial in found.trials} == {"", "the inference server ended: OSError: planted"}
    assert len(tried) == len(set(tried))


def test_where_nothing_can_be_measured_the_reason_is_one_line(machine: Callable[..., Hardware]) -> None:
    def broken(config: Config) -> float:
        raise RuntimeError("planted")

    with pytest.raises(RunError, match="no configuration could be measured; the last failed: planted"):
        search(machine(cores=4), broken)


def test_a_winner_that_is_slower_in_the_end_gives_way_to_the_shipped_settings(
    machine: Callable[..., Hardware],
) -> None:
    def fooling(config: Config, seconds: float, number: int) -> float:
        games = config.selfplay.games_per_actor
        return 1000.0 / games if seconds == EFFORT.final_s else float(games)

    found = tuner(machine(cores=4), fooling).run()
    assert found.chosen == found.shipped
    assert found.speed_up is not None and found.speed_up.value < 1
    assert "the shipped ones stand" in found.verdict


def test_of_equals_the_one_with_the_fewest_games_in_play_is_taken(machine: Callable[..., Hardware]) -> None:
    found = search(machine(cores=4), lambda config: 1000.0 if config.inference.placement == "local" else 1.0)
    assert found.chosen.selfplay.games_per_actor < found.shipped.selfplay.games_per_actor


def test_the_time_told_before_is_enough(machine: Callable[..., Hardware]) -> None:
    windows: list[float] = []

    def measure(config: Config, seconds: float, number: int) -> float:
        windows.append(seconds)
        return float(config.selfplay.games_per_actor)

    this = tuner(machine(cores=4), measure)
    minutes = longest_minutes(this)
    this.run()
    assert sum(windows) / 60 < minutes < 15


def test_the_profile_is_what_auto_takes_on_this_machine_from_then_on(
    machine: Callable[..., Hardware], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hardware = machine(cores=4)
    found = search(hardware, peak(2, 64, 0, 0, placement="local"))
    text = tuned_toml(found, hardware, EFFORT, ORIGIN, "2026-01-31")
    assert "# Evidence: these settings have" in text and "local auto, 2 actors x 64 games" in text
    write_tuned(text, tuned_profile_path(hardware))
    resolved = resolve_config(hardware=hardware)
    assert resolved.config == replace(found.chosen, hardware_profile="tuned")


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot write to .*; make room, or choose another place with --out"):
        write_tuned("", tmp_path / "file" / "tuned.toml")


def test_a_profile_that_nothing_may_be_based_on_is_refused_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("[selfplay]\nactors = 1\n", encoding="utf-8")
    parser = argparse.ArgumentParser()
    autotune.add_arguments(parser)
    with pytest.raises(
        UserError, match=r"'mine-[0-9a-f]{6}' is none; choose --profile auto or one of cpu, high, low, mid"
    ):
        autotune.run(parser.parse_args(["--profile", "mine.toml"]))
