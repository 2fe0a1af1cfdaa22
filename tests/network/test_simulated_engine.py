"""The device that is not there takes the time that its model says."""

from __future__ import annotations

import numpy as np
import pytest

from alphazero.cli import main
from alphazero.config import NetworkConfig
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.network.engines import make_engine
from alphazero.network.resnet import build_network
from alphazero.network.simulated_engine import SimulatedDevice, SimulatedEngine, load_simulated_device


def observations(rows: int) -> np.ndarray:
    return np.zeros((rows, 2, 6, 7), np.uint8)


def test_the_latency_is_fixed_plus_layers_plus_rows() -> None:
    device = SimulatedDevice("made up", 100.0, 2.0, effective_tflops=1.0, copy_gb_per_s=1.0)
    # 100 us + 5 layers x 2 us + 10 rows x (3 us of arithmetic + 1 us of copying)
    assert device.latency_s(10, 5, 3e6, 1e3) == pytest.approx(150e-6)


def test_a_batch_takes_its_latency_and_larger_ones_are_cut() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += max(seconds, 1e-6)

    network = build_network(get_game("connect_four"), NetworkConfig(blocks=2, filters=16))
    engine = SimulatedEngine("simulated:a100", network, 8, sleep=sleep, clock=lambda: now[0])
    logits, values = engine.evaluate(observations(8))
    one_batch = now[0]
    assert (logits.shape, values.shape) == ((8, 7), (8,))
    # 80 us + 10 layers x 3 us; the rows of so small a network add nearly nothing:
    # 5 convolutions of the tower and 2 of the heads, 3 linear layers.
    assert 110e-6 <= one_batch < 115e-6
    engine.evaluate(observations(20))
    assert now[0] == pytest.approx(4 * one_batch, rel=0.05)


def test_a_batch_handed_over_in_time_is_begun_when_the_one_before_is_done() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += max(seconds, 1e-6)

    network = build_network(get_game("connect_four"), NetworkConfig(blocks=2, filters=16))
    engine = SimulatedEngine("simulated:a100", network, 8, sleep=sleep, clock=lambda: now[0])
    engine.evaluate(observations(8))
    one_batch = now[0]
    engine.submit(observations(8))
    now[0] += one_batch / 2
    engine.submit(observations(8))
    assert not engine.ready()
    now[0] += one_batch / 2
    assert engine.ready()
    engine.collect()
    assert not engine.ready()
    engine.collect()
    assert now[0] == pytest.approx(3 * one_batch, rel=0.02)


@pytest.mark.parametrize("name", ["a100", "t4", "laptop"])
def test_every_shipped_device_says_that_it_is_modelled(name: str) -> None:
    assert "modelled" in load_simulated_device(f"simulated:{name}").title


def test_an_unknown_device_is_refused_naming_the_known_ones() -> None:
    network = build_network(get_game("connect_four"), NetworkConfig(blocks=1, filters=4))
    with pytest.raises(UserError, match="simulated:a100, simulated:laptop, simulated:t4"):
        make_engine("simulated:b200", network)


def test_training_refuses_a_simulated_device(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--set", "inference.engine=simulated:a100", "--set", "inference.placement=server"]
    assert main(["train", "--profile", "none", *words]) == 2
    assert "answers nothing that could be learned from" in capsys.readouterr().err


def test_a_simulated_device_cannot_be_inside_every_actor(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--set", "inference.engine=simulated:a100", "--set", "inference.placement=local"]
    assert main(["config", "--profile", "none", *words]) == 2
    assert "set inference.placement = 'server'" in capsys.readouterr().err
