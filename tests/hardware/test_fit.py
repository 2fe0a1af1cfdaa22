"""Fitting a configuration to machines of known size, with the expected numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from alphazero.config import Config, InferenceConfig, NetworkConfig, SelfPlayConfig, TrainingConfig
from alphazero.config_loading import config_hash
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.hardware.description import Gpu, Hardware
from alphazero.hardware.fit import (
    cache_bytes_per_position,
    fit_to_hardware,
    inference_bytes,
    network_bytes,
    replay_bytes_per_position,
    training_bytes,
)
from alphazero.network.cached_evaluator import EvaluationCache
from alphazero.training.replay_buffer import make_replay_buffer

BOARD = SimpleNamespace(
    num_actions=7,
    max_legal_actions=7,
    max_game_length=42,
    observation_shape=(2, 6, 7),
    plane_scale=(1.0, 1.0),
)
PLAN_HIGH = Config(
    network=NetworkConfig(blocks=10, filters=128),
    inference=InferenceConfig(batch_size=512),
    selfplay=SelfPlayConfig(actors=24, games_per_actor=64),
    training=TrainingConfig(batch_size=8192),
)


def test_the_plan_fits_a_large_machine_unchanged(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    fitted = fit_to_hardware(PLAN_HIGH, machine(gpu(), cores=32), BOARD)
    assert fitted.config == PLAN_HIGH
    assert fitted.changed == fitted.adjustments == fitted.warnings == ()


def test_a_short_game_keeps_moves_to_search(machine: Callable[..., Hardware]) -> None:
    config = replace(Config(), selfplay=replace(Config().selfplay, random_opening_moves=16))
    fitted = fit_to_hardware(config, machine(), get_game("tic_tac_toe"))
    assert fitted.config.selfplay.random_opening_moves == 4
    assert any(
        "random_opening_moves 16 -> 4: games have at most 9 moves" in why for why in fitted.adjustments
    )
    assert fit_to_hardware(config, machine(), BOARD).config.selfplay.random_opening_moves == 16


@pytest.mark.parametrize(
    ("cores", "actors"), [(64, 24), (26, 24), (25, 23), (16, 14), (6, 4), (5, 4), (2, 1), (1, 1)]
)
def test_actors_leave_cores_to_server_and_learner(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware], cores: int, actors: int
) -> None:
    fitted = fit_to_hardware(PLAN_HIGH, machine(gpu(), cores=cores), BOARD)
    assert fitted.config.selfplay.actors == actors


def test_fewer_actors_play_more_games_so_that_one_group_fills_a_batch(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    fitted = fit_to_hardware(PLAN_HIGH, machine(gpu(), cores=16), BOARD)
    # 14 actors; a batch of 512 from one of two groups: 512 * 2 / 14 = 73.1
    assert fitted.config.selfplay.games_per_actor == 74
    assert fitted.adjustments == (
        "selfplay.actors 24 -> 14: usable cores: 16, 2 of them for the inference server and the learner",
        "selfplay.games_per_actor 64 -> 74: 14 x 74 games in 2 groups can fill a batch",
    )


def test_all_groups_get_as_many_games(gpu: Callable[..., Gpu], machine: Callable[..., Hardware]) -> None:
    """171 games would do if they could be halved: 6 actors with 85 in a group have 510 leaves for a batch of 512."""
    selfplay = fit_to_hardware(PLAN_HIGH, machine(gpu(), cores=8), BOARD).config.selfplay
    assert (selfplay.actors, selfplay.games_per_actor) == (6, 172)


@pytest.mark.parametrize(
    ("cores", "actors", "batch_size"),
    [
        (8, 6, 516),  # of 86 rows each: 512 would hold five of them, 430 rows
        (16, 14, 512),  # of 37 each: thirteen, 481 rows, leave 31 empty
        (64, 24, 512),
    ],
)
def test_a_batch_is_a_whole_number_of_requests_but_for_a_little(
    cores: int, actors: int, batch_size: int, gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    config = fit_to_hardware(PLAN_HIGH, machine(gpu(), cores=cores), BOARD).config
    request = config.selfplay.games_per_actor // config.selfplay.groups
    assert (config.selfplay.actors, config.inference.batch_size) == (actors, batch_size)
    assert batch_size // request * request >= 15 / 16 * batch_size
    fixed = fit_to_hardware(PLAN_HIGH, machine(gpu(), cores=cores), BOARD, ["inference.batch_size"])
    assert (fixed.config.inference.batch_size, fixed.warnings) == (512, ())


def test_a_batch_that_no_number_of_games_fills_is_lowered(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    fitted = fit_to_hardware(PLAN_HIGH, machine(gpu(), cores=2), BOARD)
    # one actor is given 512 games at most, 256 in each group
    assert (fitted.config.selfplay.games_per_actor, fitted.config.inference.batch_size) == (512, 256)


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_local_actors_are_one_for_each_usable_core(machine: Callable[..., Hardware], cores: int) -> None:
    config = Config(inference=InferenceConfig(placement="local", device="cpu"))
    fitted = fit_to_hardware(config, machine(cores=cores), BOARD)
    assert fitted.config.selfplay == SelfPlayConfig(actors=cores)
    assert fitted.warnings == ()


def test_actors_that_a_profile_chose_are_lowered_but_not_raised(machine: Callable[..., Hardware]) -> None:
    config = Config(inference=InferenceConfig(placement="local"), selfplay=SelfPlayConfig(actors=3))
    for cores, actors in [(2, 2), (3, 3), (8, 3)]:
        fitted = fit_to_hardware(config, machine(cores=cores), BOARD, profiled=["selfplay.actors"])
        assert fitted.config.selfplay.actors == actors


def test_explicit_values_are_kept_with_a_warning(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    fixed = {"selfplay.actors", "selfplay.games_per_actor", "training.batch_size"}
    card = gpu(memory_total_mib=8_000, memory_free_mib=8_000)
    fitted = fit_to_hardware(PLAN_HIGH, machine(card, cores=4), BOARD, fixed)
    assert fitted.config.selfplay == PLAN_HIGH.selfplay
    assert fitted.config.training == PLAN_HIGH.training
    assert fitted.changed == ()
    assert fitted.warnings[0] == (
        "selfplay.actors = 24 is kept as given, though 3 would fit: usable cores: 4, 1 of them for the "
        "inference server and the learner"
    )
    assert fitted.warnings[1].startswith(
        "training.batch_size = 8192 is kept as given, though 2048 would fit: "
    )


def test_estimates_worked_out_by_hand() -> None:
    config = Config(network=NetworkConfig(1, 4, policy_filters=2, value_filters=3, value_hidden=5))
    # tower 9 * (2 * 4 + 2 * 1 * 4 * 4) = 360; policy 4 * 2 + 2 * 42 * 7 = 596;
    # value 4 * 3 + 3 * 42 * 5 = 642; together 1598 numbers of 4 bytes
    assert network_bytes(config.network, BOARD) == 6392
    # a row: observation 2 * 42 cells of 1 + 4 bytes = 420; one tensor 4 * 42 * 4 = 672
    assert inference_bytes(config, BOARD, 10) == 10 * (420 + 6 * 672) + 6392
    assert training_bytes(config, BOARD, 10) == 10 * (420 + 10 * 672) + 4 * 6392
    assert replay_bytes_per_position(config, BOARD) == 84 + 4 * 7 + 8
    # an ownership head: 3 logits for each of 42 cells from 5 units, and one more byte a cell of a position
    owning = replace(config.network, ownership_head=True)
    assert network_bytes(owning, BOARD) == 6392 + 4 * 3 * 42 * 5
    assert replay_bytes_per_position(replace(config, network=owning), BOARD) == 84 + 42 + 4 * 7 + 8
    biased = replace(config.network, position_bias=True)
    # after each of three convolutions, a tensor of one row
    assert network_bytes(biased, BOARD) == 6392 + 3 * 672


def test_line_planes_count_as_inputs_and_with_what_they_are_counted_from() -> None:
    without = Config(network=NetworkConfig(1, 4))
    config = replace(without, network=replace(without.network, line_planes=True))
    lines = SimpleNamespace(**vars(BOARD), winning_lines=((0, 1, 2, 3), (1, 2, 3, 4)))
    # 6 more planes enter the first convolution, 9 weights of 4 bytes for each of 4 filters
    weights = 6 * 9 * 4 * 4
    assert network_bytes(config.network, lines) == network_bytes(without.network, lines) + weights
    # a row: 18 numbers for each of 2 lines and 42 cells
    row = 18 * (2 + 42) * 4
    assert inference_bytes(config, lines, 10) == inference_bytes(without, lines, 10) + 10 * row + weights
    assert training_bytes(config, lines, 10) == training_bytes(without, lines, 10) + 10 * row + 4 * weights


def test_a_final_network_counts_where_it_is_the_larger_one_and_not_in_a_run_of_few_steps(
    machine: Callable[..., Hardware],
) -> None:
    small, large = NetworkConfig(1, 4), NetworkConfig(4, 48)
    alone = Config(network=small, final_network=large)
    both = replace(alone, training=TrainingConfig(final_minutes=1.0))
    of_large = training_bytes(replace(alone, network=large), BOARD, 10)
    assert training_bytes(alone, BOARD, 10) < training_bytes(both, BOARD, 10) == of_large
    short = replace(both, training=replace(both.training, max_steps=10))
    assert fit_to_hardware(short, machine(), BOARD).config.training.final_minutes == 0.0
    kept = fit_to_hardware(short, machine(), BOARD, {"training.final_minutes"})
    assert kept.config.training.final_minutes == 1.0


def test_training_batch_is_halved_until_it_fits_the_memory(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    card = gpu(memory_total_mib=8_000, memory_free_mib=8_000)
    fitted = fit_to_hardware(PLAN_HIGH, machine(card), BOARD)
    # 0.8 * 8000 - 1200 = 5200 MiB; a row keeps 64 * 128 * 42 * 4 B = 1.3 MiB: 8192 rows 10.8 GiB, 4096 rows
    # 5.4 GiB, 2048 rows 2.7 GiB
    assert fitted.config.training.batch_size == 2048
    assert fitted.config.inference.batch_size == 512
    assert fitted.adjustments[0].startswith(
        "training.batch_size 8192 -> 2048: activations and optimizer for 8192 rows need about"
    )
    assert "NVIDIA H200 (8,000 MiB) leaves" in fitted.adjustments[0]


def test_what_else_runs_on_a_gpu_changes_its_inference_batch_and_not_what_is_learned(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    alone = gpu(memory_total_mib=8_000, memory_free_mib=8_000)
    busy = gpu(memory_total_mib=8_000, memory_free_mib=1_550)  # 0.8 * 1550 - 1200 = 40 MiB
    first, second = (fit_to_hardware(PLAN_HIGH, machine(card), BOARD).config for card in (alone, busy))
    assert second.inference.batch_size < first.inference.batch_size
    assert second.training == first.training
    assert config_hash(second) == config_hash(first)


def test_without_a_gpu_batches_are_fitted_to_the_memory_of_the_host(
    machine: Callable[..., Hardware],
) -> None:
    fitted = fit_to_hardware(PLAN_HIGH, machine(memory_mib=256), BOARD)
    assert fitted.config.training.batch_size == 64  # 0.8 * 256 MiB = 205 MiB, less the inference batch's
    assert "the host's memory (256 MiB)" in " ".join(fitted.adjustments)
    assert fitted.warnings[0] == "the inference server runs on the CPU: no NVIDIA driver was found"


def test_without_a_gpu_training_batches_are_small(machine: Callable[..., Hardware]) -> None:
    fitted = fit_to_hardware(PLAN_HIGH, machine(), BOARD)
    assert fitted.config.training.batch_size == 256
    assert "training.batch_size 8192 -> 256: the learner runs on the CPU" in fitted.adjustments


def test_without_a_gpu_each_position_is_trained_on_more_often(machine: Callable[..., Hardware]) -> None:
    fitted = fit_to_hardware(PLAN_HIGH, machine(), BOARD)
    assert fitted.config.training.replay_ratio == 16.0
    assert any(text.startswith("training.replay_ratio 4.0 -> 16.0: self-play") for text in fitted.adjustments)
    kept = fit_to_hardware(PLAN_HIGH, machine(), BOARD, fixed=["training.replay_ratio"])
    assert kept.config.training.replay_ratio == 4.0
    more = replace(PLAN_HIGH, training=replace(PLAN_HIGH.training, replay_ratio=20.0))
    assert fit_to_hardware(more, machine(), BOARD).config.training.replay_ratio == 20.0


def test_without_a_gpu_positions_of_fast_searches_are_trained_on_less_often(
    machine: Callable[..., Hardware],
) -> None:
    capped = replace(PLAN_HIGH.selfplay, full_search_share=0.25, fast_simulations=200)
    fitted = fit_to_hardware(replace(PLAN_HIGH, selfplay=capped), machine(), BOARD)
    # of 800 simulations: a quarter of the moves all, the others a quarter
    assert fitted.config.training.replay_ratio == pytest.approx(16.0 * (0.25 + 0.75 * 0.25))


def a_run_of(steps: int) -> Config:
    """A configuration for the CPU that would begin to train after 3,000 positions."""
    return Config(
        selfplay=SelfPlayConfig(actors=2, games_per_actor=64),
        training=TrainingConfig(
            batch_size=256, replay_ratio=16.0, min_positions=3_000, max_steps=steps, replay_capacity=10_000
        ),
    )


def test_a_short_run_plays_no_more_than_its_steps_need(machine: Callable[..., Hardware]) -> None:
    fitted = fit_to_hardware(a_run_of(20), machine(cores=4), BOARD)
    # 20 steps of 256 at replay ratio 16: 320 positions; games of 21 moves or more: 15.2, so 8 of each actor
    assert fitted.config.training.min_positions == 256
    assert fitted.config.selfplay.games_per_actor == 8
    assert fitted.adjustments == (
        "training.min_positions 3000 -> 256: 20 steps need 320 positions in all, the first one only a batch of them",
        "selfplay.games_per_actor 64 -> 8: 2 x 8 games yield the 320 positions of 20 steps; more at once would "
        "fill larger batches than 16 rows, but all end later",
    )
    # so few steps that each group is left one game; still a whole batch to sample the first step from
    single = fit_to_hardware(replace(a_run_of(1), selfplay=SelfPlayConfig(actors=8)), machine(cores=9), BOARD)
    assert single.config.selfplay.games_per_actor == 2
    assert single.config.search.simulations == 800


def test_a_short_run_does_not_wait_for_many_games_without_a_network(machine: Callable[..., Hardware]) -> None:
    config = a_run_of(20)
    training = replace(
        config.training, untrained_positions=120_000, untrained_replay_ratio=4.0, min_positions=200
    )
    fitted = fit_to_hardware(replace(config, training=training), machine(cores=4), BOARD)
    assert fitted.config.training.untrained_positions == 256
    assert fitted.config.training.min_positions == 200
    # the first 256 are trained on 4 times, which is 4 steps; the other 16 steps need 16 * 256 / 16 more
    assert "20 steps need 512 positions" in fitted.adjustments[0]


def test_a_run_of_few_positions_leaves_half_to_a_trained_network(machine: Callable[..., Hardware]) -> None:
    config = replace(PLAN_HIGH, training=TrainingConfig(positions=3_000, untrained_positions=120_000))
    assert fit_to_hardware(config, machine(), BOARD).config.training.untrained_positions == 1_500
    fitted = fit_to_hardware(config, machine(), BOARD, fixed=["training.untrained_positions"])
    assert fitted.config.training.untrained_positions == 120_000
    assert any("is kept as given, though 1500 would fit" in warning for warning in fitted.warnings)


@pytest.mark.parametrize("steps", [0, 188, 5_000])
def test_a_run_that_reaches_the_profiles_first_step_is_not_short(
    machine: Callable[..., Hardware], steps: int
) -> None:
    # 188 * 256 / 16 = 3,008 positions; 0 steps: no limit
    fitted = fit_to_hardware(a_run_of(steps), machine(cores=4), BOARD)
    assert fitted.config.training.min_positions == 3_000
    assert fitted.config.selfplay.games_per_actor == 256  # two actors, two groups, batches of 256


def test_a_short_run_leaves_what_was_asked_for(machine: Callable[..., Hardware]) -> None:
    games = fit_to_hardware(a_run_of(20), machine(cores=4), BOARD, fixed=["selfplay.games_per_actor"])
    assert games.config.selfplay.games_per_actor == 64
    assert games.config.training.min_positions == 256
    first_step = fit_to_hardware(a_run_of(20), machine(cores=4), BOARD, fixed=["training.min_positions"])
    assert first_step.config.training.min_positions == 3_000
    assert first_step.config.selfplay.games_per_actor == 256


def test_replay_takes_a_quarter_of_the_memory_at_most(machine: Callable[..., Hardware]) -> None:
    config = replace(
        PLAN_HIGH,
        network=NetworkConfig(),
        training=TrainingConfig(replay_capacity=2_000_000, batch_size=256, min_positions=1000),
    )
    fitted = fit_to_hardware(config, machine(memory_mib=512), BOARD)
    # a quarter of 512 MiB is 134,217,728 bytes, of 120 bytes a position
    assert fitted.config.training.replay_capacity == 1_118_481


def test_of_several_gpus_the_chosen_one_is_recorded(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    hardware = machine(gpu(memory_free_mib=90_000), gpu(index=1, cuda_index=1))
    fitted = fit_to_hardware(PLAN_HIGH, hardware, BOARD)
    assert fitted.config.inference.device == "cuda:1"
    assert fitted.adjustments == (
        "inference.device auto -> cuda:1: NVIDIA H200 has most free memory of 2 GPUs",
    )


def test_auto_is_a_choice_where_it_is_given_too(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    hardware = machine(gpu(memory_free_mib=1_000), gpu(index=1, cuda_index=1))
    fitted = fit_to_hardware(PLAN_HIGH, hardware, BOARD, fixed=["inference.device"])
    assert fitted.config.inference.device == "cuda:1"
    assert fitted.warnings == ()


def test_a_gpu_that_torch_cannot_use_is_not_chosen_and_refused_with_its_reason(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    hardware = machine(gpu(problem="it is too old"), gpu(index=1, cuda_index=1, memory_free_mib=50_000))
    assert fit_to_hardware(PLAN_HIGH, hardware, BOARD).config.inference.device == "cuda:1"
    with pytest.raises(UserError, match="'cuda:0', but it is too old; set it to auto or cpu"):
        fit_to_hardware(Config(inference=InferenceConfig(device="cuda:0")), hardware, BOARD)


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_gpu_asked_for_that_is_not_there_is_refused(machine: Callable[..., Hardware], device: str) -> None:
    config = Config(inference=InferenceConfig(device=device))
    with pytest.raises(UserError, match=f"'{device}', but no NVIDIA driver was found; set it to auto or cpu"):
        fit_to_hardware(config, machine(), BOARD)


def test_a_gpu_number_beyond_the_last_is_refused(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    config = Config(inference=InferenceConfig(device="cuda:4"))
    with pytest.raises(UserError, match="'cuda:4', but there is only cuda:0"):
        fit_to_hardware(config, machine(gpu()), BOARD)


def test_a_gpu_chosen_by_number_is_the_one_whose_memory_counts(
    gpu: Callable[..., Gpu], machine: Callable[..., Hardware]
) -> None:
    config = replace(PLAN_HIGH, inference=InferenceConfig(batch_size=512, device="cuda:1"))
    hardware = machine(gpu(), gpu(index=1, cuda_index=1, memory_total_mib=8_000, memory_free_mib=8_000))
    assert fit_to_hardware(config, hardware, BOARD).config.training.batch_size == 2048


@pytest.mark.parametrize("placement", ["local", "server"])
def test_caches_take_a_tenth_of_the_memory_at_most(machine: Callable[..., Hardware], placement: str) -> None:
    config = replace(
        Config(), inference=replace(Config().inference, placement=placement, cache_positions=10**9)
    )
    fitted = fit_to_hardware(config, machine(memory_mib=1_000), BOARD)
    each = 64  # 84 bits in two words, 7 logits, value and generation, in one cache line
    actors = fitted.config.selfplay.actors
    positions = fitted.config.inference.cache_positions
    assert positions * each * actors <= 1_000 * 2**20 * 0.1 < 2 * positions * each * actors
    assert (
        positions & (positions - 1) == 0
    )  # a cache has a power of two of places, and takes no more than was asked
    small = fit_to_hardware(Config(), machine(memory_mib=1_000), BOARD)
    assert small.config.inference.cache_positions == 0


@pytest.mark.parametrize("name", ["connect_four", "tic_tac_toe", "chess"])
def test_what_a_position_takes_is_what_cache_and_replay_buffer_take(name: str) -> None:
    game = get_game(name)
    observations = np.zeros((1, *game.observation_shape), np.uint8)
    if any(scale != 1.0 for scale in game.plane_scale):
        observations[0, -1] = 2  # a count
    cache = EvaluationCache(game.num_actions, capacity=2)
    cache.look_up(observations)
    assert cache._table is not None
    assert cache_bytes_per_position(game) == cache._table.itemsize
    for ownership in (False, True):
        config = replace(Config(), network=NetworkConfig(ownership_head=ownership))
        config = replace(config, training=replace(config.training, replay_capacity=2))
        held = make_replay_buffer(config, game).bytes_per_position
        assert replay_bytes_per_position(config, game) == held
