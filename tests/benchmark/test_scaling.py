"""The scaling table: which configurations are measured, in which order, and what becomes of the numbers."""

from __future__ import annotations

import pytest

from alphazero.benchmark.scaling import Cell, grid, measure_scaling, seconds_needed
from alphazero.benchmark.selfplay_speed import SelfPlaySpeed
from alphazero.config import Config, SelfPlayConfig
from alphazero.errors import RunError
from alphazero.selfplay.pool import WorkerDied


def test_cells_take_turns_backwards_every_second_round() -> None:
    asked: list[tuple[str, int, int, int]] = []

    def measure(config: Config, seconds: float, warm_up: float) -> SelfPlaySpeed:
        assert (seconds, warm_up) == (3.0, 1.0)
        selfplay = config.selfplay
        asked.append((config.inference.placement, selfplay.actors, selfplay.games_per_actor, selfplay.groups))
        metrics = {
            "evaluations_per_second": 100.0 * selfplay.games_per_actor + len(asked),
            "simulations_per_second": 1.0,
        }
        if config.inference.placement == "server":
            metrics |= {"fill_rate": 0.25 * len(asked), "inference_latency_ms": 2.0}
        return SelfPlaySpeed(metrics, {}, None, "", "", False, seconds, [])

    cells = grid(("local", "server"), (2,), (1, 8))
    one_group = Config(selfplay=SelfPlayConfig(groups=1))
    speeds = measure_scaling(one_group, cells, 2, 3.0, measure=measure)
    # Beside a server there are two groups, also where the profile, whose actors evaluate, has one.
    forwards = [("local", 2, 1, 1), ("local", 2, 8, 1), ("server", 2, 1, 1), ("server", 2, 8, 2)]
    assert asked == forwards + forwards[::-1]
    assert [speed.cell for speed in speeds] == cells == [Cell(*way[:3]) for way in forwards]
    # server, 8 games: the 4th and the 5th window
    last = speeds[-1]
    assert (last.evaluations_per_second.value, last.evaluations_per_second.low) == (804.5, 804.0)
    assert (last.fill_rate, last.inference_latency_ms) == (1.125, 2.0)
    assert (speeds[0].fill_rate, speeds[0].inference_latency_ms) == (None, None)


def test_a_cell_that_cannot_be_measured_leaves_the_others() -> None:
    def measure(config: Config, seconds: float, warm_up: float) -> SelfPlaySpeed:
        if config.selfplay.games_per_actor == 512:
            raise WorkerDied("actor 0: out of memory")
        rates = {"evaluations_per_second": 1.0, "simulations_per_second": 1.0}
        return SelfPlaySpeed(rates, {}, None, "", "", False, seconds, [])

    said: list[str] = []
    cells = grid(("local",), (2,), (8, 512))
    speeds = measure_scaling(Config(), cells, 2, 3.0, said.append, measure)
    assert [speed.cell.games_per_actor for speed in speeds] == [8]
    assert [line for line in said if "left out" in line] == [
        "left out: local, 2 x 512 games: actor 0: out of memory"
    ]
    with pytest.raises(RunError, match="no configuration could be measured"):
        measure_scaling(Config(), cells[1:], 2, 3.0, said.append, measure)


def test_the_time_is_known_before() -> None:
    # 5.5 s to start, 1 s of warming up and 3 s measured, 32 times, twice
    assert seconds_needed(32, 2, 3.0) == 32 * 2 * 9.5
