"""Phase files are read as they are meant, or refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_measuring import BASELINE, BATCHING, made_up_profile, write_phases

from alphazero.benchmark.phases import read_phases
from alphazero.benchmark.variants import (
    effective_settings,
    learner_settings,
    plan_variants,
    variants_of_phase,
)
from alphazero.config import Config, NetworkConfig
from alphazero.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def variants(folder: Path) -> dict[str, Config]:
    planned = plan_variants(read_phases(folder), made_up_profile().config, on_cpu=True)
    return {variant.name: variant.config for variant in planned}


def test_the_shipped_phases_begin_with_the_baseline_and_follow_the_plan() -> None:
    names = [phase.name for phase in read_phases(ROOT / "workflow/phases")]
    assert names[:6] == [
        "baseline", "batching", "actors", "mcts_backend", "pinned_memory", "adaptive_collection"
    ]  # fmt: skip
    assert len(names) == len(set(names)) > 6


def test_every_phase_that_names_a_quality_row_names_one_that_is_there() -> None:
    there = {path.stem for path in (ROOT / "workflow/quality/variants").glob("*.toml")}
    named = {phase.quality for phase in read_phases(ROOT / "workflow/phases")} - {""}
    assert {"half_precision", "evaluation_cache"} <= named <= there
    assert "full" in there  # stands for the top of the ladder


@pytest.mark.parametrize("profile", ["cpu", "low", "mid", "high"])
def test_the_top_of_the_ladder_is_what_the_hardware_profile_trains_with(profile: str) -> None:
    from alphazero.config_layers import config_from_layer, layer_from_toml

    config = config_from_layer(layer_from_toml(ROOT / f"profiles/{profile}.toml"))
    on_cpu = profile == "cpu"
    planned = plan_variants(read_phases(ROOT / "workflow/phases"), config, on_cpu)
    top = [variant for variant in planned if variant.reading == "ladder"][-1].config
    ours, trained = (effective_settings(each, on_cpu, "cython", True) for each in (top, config))
    ours.pop("inference.cache_positions", None)
    trained.pop("inference.cache_positions", None)
    # Every row searches as the paper does,
    papers = {"solver": False, "c_puct_init": 2.5, "first_play_urgency": "constant", "first_play_value": 0.0}
    for name, value in papers.items():
        assert ours.pop(f"search.{name}") == value
        trained.pop(f"search.{name}")
    assert ours.pop("selfplay.full_search_share") == 1.0  # in full for every move
    trained.pop("selfplay.full_search_share")
    assert ours == trained


def test_no_row_has_more_input_than_the_paper_whatever_the_game_adds() -> None:
    with_planes = replace(Config(), network=NetworkConfig(line_planes=True))
    planned = plan_variants(read_phases(ROOT / "workflow/phases"), with_planes, on_cpu=True)
    assert {variant.config.network for variant in planned} == {NetworkConfig(line_planes=False)}


def test_the_ladder_adds_up_and_each_phase_also_stands_alone_and_is_left_out(tmp_path: Path) -> None:
    found = variants(write_phases(tmp_path))
    batch = {name: config.inference.batch_size for name, config in found.items()}
    rule = {name: config.inference.collection for name, config in found.items()}
    assert (batch["baseline"], rule["baseline"]) == (32, "drain")
    assert (batch["ladder/batching"], rule["ladder/batching"]) == (64, "drain")
    assert (batch["ladder/adaptive"], rule["ladder/adaptive"]) == (64, "adaptive")
    assert (batch["alone/adaptive"], rule["alone/adaptive"]) == (32, "adaptive")
    assert (batch["without/batching"], rule["without/batching"]) == (32, "adaptive")
    assert (batch["plan/adaptive"], rule["plan/adaptive"]) == (64, "plan")


def test_the_plan_has_one_leaf_in_flight_an_actor_and_ours_fill_a_batch(tmp_path: Path) -> None:
    found = variants(write_phases(tmp_path))
    assert found["plan/batching"].selfplay.games_per_actor == 1
    # 4 actors x 16 games, the profile's number, just fill a batch of 64
    assert found["ladder/batching"].selfplay.games_per_actor == 16


def test_every_row_has_the_same_network_and_simulations(tmp_path: Path) -> None:
    found = variants(write_phases(tmp_path))
    assert len({(config.network, config.search.simulations) for config in found.values()}) == 1


def test_the_baseline_has_half_precision_on_cuda_and_single_on_a_cpu() -> None:
    phases = read_phases(ROOT / "workflow/phases")
    inference = replace(made_up_profile().config.inference, use_amp=False)  # whatever a profile says
    profile = replace(made_up_profile().config, inference=inference)
    amp = [plan_variants(phases, profile, on_cpu)[0].config.inference.use_amp for on_cpu in (False, True)]
    assert amp == [True, False]


def test_settings_without_effect_are_not_told_apart() -> None:
    one = made_up_profile().config
    settings = effective_settings(one, True, "cython", False)
    assert "inference.pinned_memory" not in settings
    assert settings["inference.use_amp"] is False  # no bfloat16 here


def test_auto_is_no_named_engine_before_it_was_measured() -> None:
    one = made_up_profile().config
    engines = {
        effective_settings(
            replace(one, inference=replace(one.inference, engine=engine)), True, "cython", True
        )["inference.engine"]
        for engine in ("auto", "frozen", "winograd", "eager")
    }
    assert engines == {"auto", "frozen", "winograd", "eager"}


@pytest.mark.parametrize("placement", ["server", "local"])
def test_a_cache_has_an_effect_whoever_evaluates(placement: str) -> None:
    one = made_up_profile().config
    without, with_one = (
        replace(one, inference=replace(one.inference, placement=placement, cache_positions=positions))
        for positions in (0, 1000)
    )
    settings = [effective_settings(each, True, "cython", False) for each in (without, with_one)]
    assert settings[0] != settings[1]


@pytest.mark.parametrize(("bfloat16", "differs"), [(True, True), (False, False)])
def test_half_precision_speeds_up_the_learner_only_where_the_cpu_has_it(
    bfloat16: bool, differs: bool
) -> None:
    phases = read_phases(ROOT / "workflow/phases")
    planned = {variant.name: variant.config for variant in plan_variants(phases, Config(), on_cpu=True)}
    below, above = (
        learner_settings(planned[name], True, bfloat16)
        for name in ("ladder/inference_engine", "ladder/half_precision")
    )
    assert (below != above) == differs


def test_the_learner_is_measured_again_where_rows_are_drawn_or_taught_otherwise() -> None:
    one = made_up_profile().config
    settings = [learner_settings(one, True, True)]
    for name in ("side_position_weight", "late_position_weight"):
        changed = replace(one, training=replace(one.training, **{name: 0.5}))
        settings.append(learner_settings(changed, True, True))
    with_owners = replace(one, final_network=replace(one.final_network, ownership_head=True))
    settings.append(learner_settings(with_owners, True, True))
    assert len({json.dumps(each, sort_keys=True) for each in settings}) == 4


def test_one_phase_needs_what_it_is_compared_with(tmp_path: Path) -> None:
    planned = plan_variants(read_phases(write_phases(tmp_path)), made_up_profile().config, on_cpu=True)
    assert {variant.name for variant in variants_of_phase(planned, "batching")} == {
        "baseline", "ladder/batching", "alone/batching", "without/batching", "plan/batching",
        "ladder/adaptive",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (BATCHING.replace("caption", "captoin"), "unknown key 'captoin'; did you mean 'caption'?"),
        (BATCHING.replace("order = 1\n", ""), "order is None"),
        (BATCHING.replace("order = 1", "order = 0"), "both have order 0"),
        (BATCHING.replace("low = 3.0", "low = 5.0"), "low = 5.0 and high = 4.0"),
        (
            BATCHING.replace("inference.batch_size", "inference.batchsize"),
            "did you mean 'inference.batch_size'?",
        ),
        (BATCHING + "[inference]\nbatch_sise = 3\n", "did you mean 'inference.batch_size'?"),
        (BATCHING + "[network]\nblocks = 1\n", "may not set network.blocks: every row has the same network"),
        (BATCHING + "[search]\nsimulations = 9\n", "may not set search.simulations"),
        ('judged_by = "speed"\n' + BATCHING, "no metric is called 'speed'"),
        ("order = ", "not valid TOML"),
    ],
)
def test_a_bad_phase_file_is_one_clear_line(tmp_path: Path, text: str, answer: str) -> None:
    with pytest.raises(UserError) as raised:
        read_phases(write_phases(tmp_path, batching=text))
    assert answer in str(raised.value)
    assert "batching.toml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_without_a_baseline_there_is_nothing_to_measure_against(tmp_path: Path) -> None:
    (write_phases(tmp_path) / "baseline.toml").unlink()
    with pytest.raises(UserError, match=r"there is no baseline\.toml"):
        read_phases(tmp_path)


def test_no_phase_comes_before_the_baseline(tmp_path: Path) -> None:
    folder = write_phases(tmp_path, baseline=BASELINE.replace("order = 0", "order = 9"))
    with pytest.raises(UserError, match="the baseline comes first"):
        read_phases(folder)
