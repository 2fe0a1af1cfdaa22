"""Every field has a rule, and impossible values are refused in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from alphazero.config import Config, InferenceConfig, SearchConfig, SelfPlayConfig, TrainingConfig
from alphazero.config_layers import config_from_layer, field_types
from alphazero.config_loading import resolve_config
from alphazero.config_validation import RULES, fill_warnings, flatten, search_warnings, validate
from alphazero.errors import UserError
from alphazero.hardware.description import Hardware


def test_every_field_has_a_rule_and_every_rule_a_field() -> None:
    assert list(flatten(Config())) == list(RULES) == list(field_types())


def test_the_defaults_are_possible() -> None:
    validate(Config())
    assert fill_warnings(Config()) == []


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("network.position_bias", 1, "true or false"),
        ("network.line_planes", 1, "true or false"),
        ("selfplay.actors", -1, "between 1 and 1024"),
        ("selfplay.actors", 10**400, "between 1 and 1024"),
        ("search.simulations", 0, "between 1 and 1000000"),
        ("search.mcts_backend", "rust", "one of auto, cython, cpp, python"),
        ("search.root_noise_fraction", 1.5, "between 0 and 1"),
        ("search.forced_playouts", -1.0, "between 0 and 100"),
        ("search.root_search", "gumble", "one of puct, gumbel"),
        ("search.gumbel_considered", 0, "between 1 and 65536"),
        ("search.temperature", 0.0, "more than 0"),
        ("search.leaves_per_tree", 0, "between 1 and 1024"),
        ("search.virtual_loss", 0, "between 1 and 1000"),
        ("search.temperature_moves", -2, "at least -1"),
        ("inference.batch_timeout_ms", 0.0, "more than 0"),
        ("inference.batch_timeout_ms", math.inf, "more than 0"),
        ("inference.device", "gpu", "auto, cpu, cuda or cuda:N"),
        ("inference.device", "cuda:x", "auto, cpu, cuda or cuda:N"),
        ("selfplay.policy_surprise_share", 1.5, "between 0 and 1"),
        ("selfplay.archive_start_share", -0.1, "between 0 and 1"),
        ("training.final_minutes", -1.0, "at least 0"),
        ("final_network.blocks", 0, "between 1 and 1000"),
        ("training.learning_rate", math.nan, "more than 0"),
        ("training.learning_rate", -1e-3, "more than 0"),
        ("evaluation.positions_per_set", 1001, "between 1 and 1000"),
        ("run.seed", -5, "between 0 and 9223372036854775807"),
        ("run.seed", 2**63, "between 0 and 9223372036854775807"),
        ("run.game", "", "a name"),
    ],
)
def test_an_impossible_value_is_refused_with_what_is_allowed(name: str, value: float, allowed: str) -> None:
    config = config_from_layer({name: value})
    with pytest.raises(UserError) as refused:
        validate(config, {name: "mine.toml"})
    assert str(refused.value) == f"mine.toml: {name} is {value!r}, but must be {allowed}; correct it there"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Config(selfplay=SelfPlayConfig(games_per_actor=1)), "each group needs a game"),
        (
            Config(search=SearchConfig(root_search="gumbel", forced_playouts=2.0)),
            "set search.forced_playouts=0 or search.root_search='puct'",
        ),
        (Config(training=TrainingConfig(replay_capacity=100)), "larger than training.replay_capacity"),
        (Config(training=TrainingConfig(positions=100)), "no step would ever be made"),
        (
            Config(training=TrainingConfig(batch_size=64, replay_capacity=1_000)),
            "training.min_positions (5000) is larger than training.replay_capacity (1000): the first positions would "
            "be overwritten before a step learned from them",
        ),
        (Config(inference=InferenceConfig(engine="graphs", device="cpu")), "needs a CUDA device"),
    ],
)
def test_values_that_contradict_each_other_are_refused(config: Config, words: str) -> None:
    with pytest.raises(UserError) as refused:
        validate(config)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_run_that_would_end_before_it_learns_is_refused_once_it_is_fitted(
    machine: Callable[..., Hardware],
) -> None:
    asked = ["training.untrained_positions=400_000", "training.positions=400_000"]
    with pytest.raises(UserError, match="the run would end before it learns"):
        resolve_config(profile="none", overrides=asked)
    with pytest.raises(UserError, match="the run would end before it learns"):
        resolve_config(profile="low", overrides=asked, hardware=machine())
    # The profile's own number is halved, and a fifth of the time ends play without a network.
    resolve_config(profile="low", overrides=["training.positions=10_000"], hardware=machine())
    resolve_config(profile="none", overrides=[*asked, "training.max_minutes=1"])


def test_a_batch_that_can_never_fill_gives_a_warning() -> None:
    baseline = Config(
        inference=InferenceConfig(batch_size=32),
        selfplay=SelfPlayConfig(actors=4, games_per_actor=1, groups=1),
    )
    assert fill_warnings(baseline) == [
        "inference batches of 32 can never be full: 4 actors with 1 games each have 4 leaves in flight; "
        "raise selfplay.games_per_actor to at least 8, or lower inference.batch_size"
    ]
    exactly_full = replace(baseline, selfplay=SelfPlayConfig(actors=4, games_per_actor=8, groups=1))
    assert fill_warnings(exactly_full) == []
    local = replace(baseline, inference=InferenceConfig(batch_size=32, placement="local"))
    assert fill_warnings(local) == []


def test_games_that_the_groups_cannot_share_give_a_warning() -> None:
    odd = Config(
        inference=InferenceConfig(batch_size=32), selfplay=SelfPlayConfig(games_per_actor=171, groups=2)
    )
    assert fill_warnings(odd) == [
        "selfplay.games_per_actor = 171 in 2 groups: 170 are played, so that all have as many"
    ]
    # An actor that evaluates by itself has one group, and so has a run in one process.
    assert fill_warnings(replace(odd, inference=replace(odd.inference, placement="local"))) == []
    assert fill_warnings(replace(odd, run=replace(odd.run, single_process=True))) == []


def test_several_leaves_a_tree_give_a_warning_that_training_does_without() -> None:
    assert search_warnings(Config()) == []
    (warning,) = search_warnings(Config(search=SearchConfig(leaves_per_tree=4)))
    assert "search.leaves_per_tree = 4" in warning
    assert "self-play and evaluation go on with one leaf a tree" in warning
