"""Plans and configurations from files: what is equal in all runs, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alphazero.config_loading import resolve_config
from alphazero.config_validation import flatten
from alphazero.errors import UserError
from alphazero.quality.plan import (
    configuration,
    read_plan,
    read_variant,
    read_variants,
    same_training,
    training_key,
)
from alphazero.training.replay_ratio import planned_steps

FILES = Path(__file__).resolve().parents[2] / "workflow/quality"
PROFILE = resolve_config(profile="none", overrides=["inference.device=cpu"]).config


@pytest.mark.parametrize("plan_name", ["plan.toml", "quick.toml"])
def test_all_runs_have_the_same_network_simulations_and_updates(plan_name: str) -> None:
    plan = read_plan(FILES / plan_name)
    variants = read_variants(FILES / "variants")
    configs = [configuration(each, variants[0], plan, PROFILE, 0) for each in variants]
    for config in configs:
        assert config.network == configs[0].network
        assert config.search.simulations == configs[0].search.simulations
        assert config.training.max_minutes == 0
        assert config.training.replay_ratio == configs[0].training.replay_ratio
        assert config.training.batch_size == configs[0].training.batch_size
        assert config.training.learning_rate == configs[0].training.learning_rate
        assert planned_steps(config.training) == planned_steps(configs[0].training)  # one schedule of it
    alone = [config for config in configs if config.run.single_process]
    assert {config.training.positions for config in alone} == {configs[0].training.positions}
    training = configs[0].training
    for config in configs:
        if not config.run.single_process:  # as many steps as follow from the others' positions
            taught = training.untrained_positions * training.untrained_replay_ratio
            taught += (training.positions - training.untrained_positions) * training.replay_ratio
            assert config.training.max_steps == taught // training.batch_size
            assert config.training.positions > training.positions


def test_no_two_runs_share_a_seed_and_no_two_trainings_a_name() -> None:
    plan = read_plan(FILES / "plan.toml")
    variants = read_variants(FILES / "variants", FILES / "planted", FILES / "learning")
    configs = [
        configuration(each, variants[0], plan, PROFILE, run) for each in variants for run in range(plan.runs)
    ]
    assert len({config.run.seed for config in configs}) == len(configs)
    assert len({training_key(config, "code") for config in configs}) == len(configs)
    assert training_key(configs[0], "other code") != training_key(configs[0], "code")


def test_what_has_no_effect_on_training_needs_no_runs() -> None:
    plan = read_plan(FILES / "plan.toml")
    variants = {each.name: each for each in read_variants(FILES / "variants", FILES / "planted")}
    reference = variants["reference"]
    same = {name for name, each in variants.items() if same_training(each, reference, plan, PROFILE)}
    assert same == {"several_leaves"}  # and not the planted one that is the reference again
    halved = variants["half_precision"]
    assert same_training(halved, reference, plan, PROFILE, half_precision=False)  # on a CPU without bfloat16
    assert not same_training(variants["full"], reference, plan, PROFILE, half_precision=False)


def test_the_planted_configuration_differs_in_simulations_alone() -> None:
    plan = read_plan(FILES / "plan.toml")
    variants = {each.name: each for each in read_variants(FILES / "variants", FILES / "planted")}
    ours, theirs = (
        flatten(configuration(variants[name], variants["reference"], plan, PROFILE, 0))
        for name in ("fewer_simulations", "reference")
    )
    changed = {name for name in ours if ours[name] != theirs[name]}
    assert changed == {"search.simulations", "run.seed"}
    assert (ours["search.simulations"], theirs["search.simulations"]) == (100, 800)


def test_the_planted_configuration_of_fewer_steps_does_an_eighth_of_them() -> None:
    plan = read_plan(FILES / "plan.toml")
    variants = {each.name: each for each in read_variants(FILES / "variants", FILES / "planted")}
    ours, theirs = (
        configuration(variants[name], variants["reference"], plan, PROFILE, 0)
        for name in ("fewer_steps", "reference")
    )
    assert planned_steps(ours.training) == planned_steps(theirs.training) // 8
    changed = {name for name, value in flatten(ours).items() if value != flatten(theirs)[name]}
    assert changed == {"training.replay_ratio", "training.untrained_replay_ratio", "run.seed"}


def test_each_option_of_learning_differs_from_the_reference_in_what_its_file_says() -> None:
    plan = read_plan(FILES / "plan.toml")
    reference, *options = read_variants(FILES / "variants", FILES / "learning")
    profile = resolve_config(profile="cpu", overrides=["inference.device=cpu"]).config
    base = flatten(configuration(reference, reference, plan, profile, 0))
    learning = [each for each in options if (FILES / "learning" / f"{each.name}.toml").exists()]
    assert learning
    for option in learning:
        ours = flatten(configuration(option, reference, plan, profile, 0))
        changed = {name: value for name, value in ours.items() if value != base[name] and name != "run.seed"}
        assert changed == dict(option.settings)


def test_another_seed_of_the_comparison_gives_other_runs() -> None:
    plan = read_plan(FILES / "plan.toml")
    reference = read_variants(FILES / "variants")[0]
    other = replace(PROFILE, run=replace(PROFILE.run, seed=1))
    assert configuration(reference, reference, plan, other, 0).run.seed == 1_000_000


GOOD = 'order = 1\ntitle = "A"\ncaption = "B"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('title = "A"\ncaption = "B"\n', "order"),
        (GOOD + "runs = 3\n", "unknown key 'runs'"),
        (GOOD + 'base = "full"\n', "base is 'full'"),
        (GOOD + 'expected = "better"\n', "expected is 'better'"),
        (GOOD + "[search]\nsimulation = 3\n", "simulation"),
    ],
)
def test_a_wrong_file_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read_variant(path)


def test_margins_are_needed_and_are_metrics(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    head = 'title = "A"\nruns = 2\nminutes = 1\npositions_per_set = 2\nmatch_games = 2\n'
    for text, said in (
        ("", "margins"),
        ("[margins]\npolicy_eror = 0.1\n", "policy_error"),
        ("[margins]\nloss = 0.1\n", "not compared"),
    ):
        path.write_text(head + text, encoding="utf-8")
        with pytest.raises(UserError, match=said):
            read_plan(path)


def test_two_configurations_of_one_order_are_refused(tmp_path: Path) -> None:
    for name in ("reference", "other"):
        (tmp_path / f"{name}.toml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "reference.toml").write_text(GOOD.replace("1", "0"), encoding="utf-8")
    (tmp_path / "third.toml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(UserError, match="the order 1"):
        read_variants(tmp_path)
