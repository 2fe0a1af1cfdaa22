"""The merge order, the story of a resolved configuration, and files that give back what was saved."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tomli
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from alphazero import config_loading
from alphazero.config import Config, NetworkConfig
from alphazero.config_layers import config_from_layer, field_types
from alphazero.config_loading import (
    Origin,
    config_hash,
    config_to_toml,
    load_config,
    load_resolved_config,
    profile_names,
    profile_path,
    resolve_config,
    save_config,
)
from alphazero.config_validation import RULES, fill_warnings, flatten
from alphazero.errors import UserError
from alphazero.hardware.description import Gpu, Hardware

REPOSITORY = Path(__file__).parents[1]


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_later_layers_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Callable[..., Hardware]
) -> None:
    game = SimpleNamespace(
        observation_shape=(2, 6, 7),
        num_actions=7,
        max_legal_actions=7,
        max_game_length=42,
        plane_scale=(1.0, 1.0),
        config_defaults={"network": {"filters": 11, "blocks": 12, "policy_filters": 13, "value_filters": 14}},
    )
    monkeypatch.setattr(config_loading, "get_checked_game", lambda name: game)
    profile = file(tmp_path, "p.toml", "[network]\nblocks = 22\npolicy_filters = 23\nvalue_filters = 24\n")
    experiment = file(tmp_path, "e.toml", "[network]\npolicy_filters = 33\nvalue_filters = 34\n")
    resolved = resolve_config(
        profile=str(profile),
        experiment=experiment,
        overrides=["network.value_filters=44"],
        hardware=machine(),
    )
    network = resolved.config.network
    assert (network.value_hidden, network.filters, network.blocks) == (64, 11, 22)
    assert (network.policy_filters, network.value_filters) == (33, 44)
    assert re.fullmatch(r"p-[0-9a-f]{6}", resolved.config.hardware_profile)
    origins = [resolved.origins[f"network.{name}"] for name in vars(network)]
    assert origins == [
        Origin.PROFILE,
        Origin.GAME,
        Origin.EXPERIMENT,
        Origin.COMMAND_LINE,
        Origin.DEFAULT,
        Origin.DEFAULT,
        Origin.DEFAULT,
        Origin.DEFAULT,
    ]
    assert resolved.overridden == (
        "network.policy_filters = 33 (experiment) instead of 23 (hardware profile)",
        "network.value_filters = 44 (command line) instead of 34 (experiment)",
    )
    assert set(resolved.origins) == set(field_types())


def test_a_games_wrong_defaults_are_refused(
    monkeypatch: pytest.MonkeyPatch, machine: Callable[..., Hardware]
) -> None:
    game = SimpleNamespace(config_defaults={"network": {"filtres": 11}})
    monkeypatch.setattr(config_loading, "get_checked_game", lambda name: game)
    with pytest.raises(UserError, match=r"game mine: unknown key 'filtres'.*'network.filters'"):
        resolve_config(game="mine", hardware=machine())


def test_auto_chooses_by_hardware_and_says_why(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    resolved = resolve_config(hardware=machine(gpu(), cores=16))
    assert resolved.config.hardware_profile == "high"
    assert resolved.profile_reason.startswith("hardware profile 'high', because NVIDIA H200 has 140.4 GiB")
    assert resolved.config.selfplay.actors == 14
    assert resolved.origins["selfplay.actors"] is Origin.FITTED
    assert resolved.summary_lines()[1].startswith("fitted: selfplay.actors 24 -> 14: usable cores: 16")


def test_the_command_line_is_kept_where_it_does_not_fit(machine: Callable[..., Hardware]) -> None:
    resolved = resolve_config(profile="low", overrides=["selfplay.actors=6"], hardware=machine(cores=2))
    assert resolved.config.selfplay.actors == 6
    assert resolved.origins["selfplay.actors"] is Origin.COMMAND_LINE
    assert any(line.startswith("selfplay.actors = 6 is kept as given") for line in resolved.warnings)


def test_an_experiment_may_name_its_profile_and_an_explicit_one_wins(
    tmp_path: Path, machine: Callable[..., Hardware]
) -> None:
    experiment = file(tmp_path, "e.toml", 'hardware_profile = "mid"\n')
    assert resolve_config(experiment=experiment, hardware=machine()).config.hardware_profile == "mid"
    explicit = resolve_config(profile="low", experiment=experiment, hardware=machine())
    assert explicit.config.hardware_profile == "low"
    assert explicit.overridden == ()


def test_profile_none_depends_on_no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Hardware:
        raise AssertionError("probed")

    monkeypatch.setattr(config_loading, "probe_hardware", never)
    resolved = resolve_config(profile="none")
    assert resolved.config == replace(Config(), network=NetworkConfig(line_planes=True, ownership_head=True))
    assert resolved.adjustments == ()


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(UserError) as refused:
        resolve_config(profile="hihg")
    assert str(refused.value) == (
        "unknown hardware profile 'hihg'; did you mean 'high'? "
        "(choose auto, shipped, cpu, high, low, mid, none, or give the path of a .toml file)"
    )
    with pytest.raises(UserError, match="unknown hardware profile 'nonsense' "):
        resolve_config(profile="nonsense")


def test_the_profile_is_no_setting() -> None:
    with pytest.raises(UserError, match="chosen with --profile NAME"):
        resolve_config(overrides=["hardware_profile=high"])


def test_an_unknown_game_names_the_nearest(machine: Callable[..., Hardware]) -> None:
    with pytest.raises(UserError, match="unknown game 'conect_four'; did you mean 'connect_four'"):
        resolve_config(game="conect_four", hardware=machine())


@pytest.mark.parametrize(
    ("name", "actors", "batch_size", "timeout_ms", "training_batch_size", "backend"),
    [
        ("high", 24, 512, 20.0, 8192, "cython"),
        ("mid", 12, 256, 15.0, 4096, "cython"),
        ("low", 6, 128, 10.0, 2048, "auto"),
    ],
)
def test_shipped_profiles_hold_the_plans_numbers_and_fill_their_batches(
    gpu: Callable[..., Gpu],
    machine: Callable[..., Hardware],
    name: str,
    actors: int,
    batch_size: int,
    timeout_ms: float,
    training_batch_size: int,
    backend: str,
) -> None:
    resolved = resolve_config(profile=name, hardware=machine(gpu(), cores=32))
    config = resolved.config
    assert config.selfplay.actors == actors
    assert (config.inference.batch_size, config.inference.batch_timeout_ms) == (batch_size, timeout_ms)
    assert (config.training.batch_size, config.search.mcts_backend) == (training_batch_size, backend)
    assert config.search.simulations == 800
    assert config.selfplay.actors * config.selfplay.games_per_actor // config.selfplay.groups >= batch_size
    assert resolved.adjustments == resolved.warnings == ()


@pytest.mark.parametrize(("name", "memory_mib"), [("high", 32_510), ("mid", 12_282), ("low", 3_911)])
def test_shipped_profiles_fit_the_smallest_card_they_are_for(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware], name: str, memory_mib: int
) -> None:
    card = gpu(memory_total_mib=memory_mib, memory_free_mib=memory_mib * 95 // 100)
    resolved = resolve_config(hardware=machine(card))
    assert resolved.config.hardware_profile == name
    assert resolved.adjustments == ()


def test_cpu_profile_has_one_local_actor_a_core(machine: Callable[..., Hardware]) -> None:
    resolved = resolve_config(hardware=machine(cores=8))
    assert resolved.config.hardware_profile == "cpu"
    assert (resolved.config.inference.placement, resolved.config.inference.device) == ("local", "cpu")
    assert resolved.config.selfplay.actors == 8
    # written for such a machine: nothing else is fitted to it
    assert [text.split()[0] for text in resolved.adjustments] == ["selfplay.actors"]
    assert resolved.warnings == ()


def test_the_baseline_is_the_documented_starting_point(
    tmp_path: Path, machine: Callable[..., Hardware]
) -> None:
    phase = tomli.loads((REPOSITORY / "workflow/phases/baseline.toml").read_text(encoding="utf-8"))
    sections = {name: phase[name] for name in ("search", "inference", "selfplay", "training")}
    experiment = tmp_path / "baseline.toml"
    experiment.write_text(tomli_w.dumps(sections), encoding="utf-8")
    resolved = resolve_config(experiment=experiment, hardware=machine())
    config = resolved.config
    assert (config.selfplay.actors, config.selfplay.games_per_actor, config.selfplay.groups) == (4, 1, 1)
    assert (config.search.mcts_backend, config.search.native_rules) == ("python", False)
    inference = config.inference
    assert (inference.placement, inference.transport, inference.engine) == ("server", "queue", "eager")
    assert (inference.batch_size, inference.batch_timeout_ms, inference.collection) == (32, 1.0, "drain")
    assert not inference.pinned_memory and not config.training.pinned_memory
    assert fill_warnings(config)[0] in resolved.warnings


def test_profile_files_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    assert profile_names() == ["cpu", "high", "low", "mid"]
    assert profile_path("high").is_file()
    mine = tmp_path / "mine.toml"
    assert profile_path(str(mine)) == mine


def test_saved_file_tells_where_each_value_came_from(
    tmp_path: Path, machine: Callable[..., Hardware]
) -> None:
    resolved = resolve_config(overrides=["selfplay.actors=1"], hardware=machine())
    path = tmp_path / "config.toml"
    save_config(resolved.config, path, resolved.origins)
    text = path.read_text()
    assert "\n[selfplay]\nactors = 1  # command line\ngames_per_actor = 256  # hardware profile\n" in text
    assert load_config(path) == resolved.config


def test_a_truncated_saved_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    save_config(Config(), path)
    path.write_text(path.read_text()[:150].rstrip() + "\n[sear")
    with pytest.raises(UserError, match=r"config.toml: not valid TOML"):
        load_config(path)


def test_a_file_of_an_older_version_is_read_and_is_no_resolved_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    save_config(Config(), path)
    assert load_resolved_config(path) == Config()
    path.write_text(re.sub(r"solver = .*\n", "", path.read_text()))
    assert load_config(path) == Config()
    with pytest.raises(
        UserError, match=r"it lacks 1 settings, such as search\.solver\); .* use --experiment FILE"
    ):
        load_resolved_config(path)


def test_a_saved_file_with_an_impossible_pair_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path, "config.toml", "[selfplay]\ngames_per_actor = 1\n")
    with pytest.raises(UserError, match="each group needs a game"):
        load_config(path)


def _possible_values(name: str, kind: type) -> st.SearchStrategy[Any]:
    """Return a strategy for values of a field that its rule accepts."""
    values: st.SearchStrategy[Any] = {
        bool: st.booleans(),
        int: st.integers(1, 64) | st.integers(0, 2**40),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: st.sampled_from([str(flatten(Config())[name])]) | st.text(),
    }[kind]
    return values.filter(RULES[name].accepts)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_possible_value_survives_saving_and_loading(tmp_path_factory: Any, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(field_types())), unique=True, max_size=4))
    layer = {name: data.draw(_possible_values(name, field_types()[name]), label=name) for name in names}
    config = config_from_layer(layer)
    path = tmp_path_factory.getbasetemp() / "roundtrip.toml"
    path.write_text(config_to_toml(config), encoding="utf-8")
    assert config_from_layer(config_loading.layer_from_toml(path)) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [("network.blocks", 4), ("search.simulations", 801), ("run.seed", 1), ("run.game", "tic_tac_toe")],
)
def test_what_is_learned_changes_the_hash(name: str, value: Any) -> None:
    assert config_hash(config_from_layer({name: value})) != config_hash(Config())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run.log_every_seconds", 1.0),
        ("training.max_minutes", 5.0),
        ("selfplay.actors", 1),
        ("inference.batch_size", 8),
        ("inference.cache_positions", 1000),
        ("evaluation.match_games", 3),
        ("hardware_profile", "cpu"),
    ],
)
def test_limits_logging_and_fitted_numbers_leave_the_hash(name: str, value: Any) -> None:
    assert config_hash(config_from_layer({name: value})) == config_hash(Config())


def test_hash_is_short_and_fit_for_a_folder() -> None:
    assert len(config_hash(Config())) == 10
    assert set(config_hash(Config())) <= set("0123456789abcdef")


def test_an_experiment_for_a_profile_that_is_not_shipped_needs_to_be_told_which(tmp_path: Path) -> None:
    """As a configuration is that was resolved with a profile of `alphazero autotune`."""
    experiment = tmp_path / "mine.toml"
    experiment.write_text('hardware_profile = "tuned"\n[search]\nsimulations = 7\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"mine.toml: hardware_profile is 'tuned'.*add --profile none"):
        resolve_config(experiment=experiment)
    assert resolve_config(profile="none", experiment=experiment).config.search.simulations == 7
