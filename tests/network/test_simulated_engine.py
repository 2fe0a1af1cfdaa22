"""The device that is not there takes the time that its model says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alphazero.cli import main
from alphazero.config import NetworkConfig
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.network.engines import make_engine
from alphazero.network.resnet import build_network
from alphazero.network.simulated_engine import (
    MeasuredDevice,
    ModelledDevice,
    SimulatedEngine,
    load_simulated_device,
    write_curve,
)


def observations(rows: int) -> np.ndarray:
    return np.zeros((rows, 2, 6, 7), np.uint8)


def engine_with_clock() -> tuple[SimulatedEngine, list[float]]:
    """Return an engine for batches of 8, and its time in seconds, which passes only where it sleeps."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += max(seconds, 1e-6)

    network = build_network(get_game("connect_four"), NetworkConfig(blocks=2, filters=16))
    engine = SimulatedEngine("simulated:a100", network, 8, sleep=sleep, clock=lambda: now[0])
    return engine, now


def test_the_latency_is_fixed_plus_layers_plus_rows() -> None:
    device = ModelledDevice("made up", 100.0, 2.0, effective_tflops=1.0, copy_gb_per_s=1.0)
    # 100 us + 5 layers x 2 us + 10 rows x (3 us of arithmetic + 1 us of copying)
    assert device.latency_s(10, 5, 3e6, 1e3) == pytest.approx(150e-6)


def test_a_batch_takes_its_latency_and_larger_ones_are_cut() -> None:
    engine, now = engine_with_clock()
    logits, values = engine.evaluate(observations(8))
    one_batch = now[0]
    assert (logits.shape, values.shape) == ((8, 7), (8,))
    # 80 us + 10 layers x 3 us; the rows of so small a network add nearly nothing:
    # 5 convolutions of the tower and 2 of the heads, 3 linear layers.
    assert 110e-6 <= one_batch < 115e-6
    engine.evaluate(observations(20))
    assert now[0] == pytest.approx(4 * one_batch, rel=0.05)


def test_a_batch_handed_over_in_time_is_begun_when_the_one_before_is_done() -> None:
    engine, now = engine_with_clock()
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


CURVE = MeasuredDevice("some card", rows=(1, 64, 128), latency_us=(100.0, 163.0, 227.0))


def test_a_measured_curve_is_interpolated_and_goes_on_beyond_its_end(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    write_curve(path, CURVE, "measured by hand\non a napkin")
    assert path.read_text(encoding="utf-8").startswith("# measured by hand\n# on a napkin\n")
    device = load_simulated_device(f"simulated:{path}")
    assert device == CURVE
    for rows, microseconds in ((1, 100), (2, 101), (64, 163), (96, 195), (128, 227), (256, 355)):
        assert device.latency_s(rows, layers=9, operations_a_row=1e9, bytes_a_row=1e9) == pytest.approx(
            1e-6 * microseconds
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title = 'x'\nrows = [1, 2]", "has no latency_us"),
        ("title = 'x'\nrows = [2, 1]\nlatency_us = [1.0, 2.0]", "is no curve; it needs title, rows"),
        ("title = 'x'\nrows = [1, 2]\nlatency_us = [1.0]", "is no curve"),
        ("title = 'x'\nrows = [1, 2]\nlatency_us = [0.0, 1.0]", "is no curve"),
        ("title = 'x'\nrows = ['a', 2]\nlatency_us = [1.0, 2.0]", "cannot be understood"),
        ("title = ", "cannot be understood"),
    ],
)
def test_a_file_that_is_no_curve_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "card.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_simulated_device(f"simulated:{path}")
    with pytest.raises(UserError, match="No such file"):
        load_simulated_device(f"simulated:{tmp_path / 'other.toml'}")


def test_measure_inference_writes_a_curve_that_simulates_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "card.toml"
    words = ["--set", "inference.engine=simulated:a100", "--set", "inference.placement=server"]
    assert (
        main(["measure", "inference", "--profile", "none", *words, "--seconds", "6", "--curve", str(path)])
        == 0
    )
    assert f"inference.engine=simulated:{path}" in capsys.readouterr().out
    measured = load_simulated_device(f"simulated:{path}")
    modelled = load_simulated_device("simulated:a100")
    network = build_network(get_game("connect_four"), NetworkConfig())
    engine = SimulatedEngine("simulated:a100", network, 64)
    expected = modelled.latency_s(64, engine._layers, engine._operations, engine._bytes)
    # On a busy machine a batch may be answered late, never early.
    assert measured.latency_s(64, 0, 0.0, 0.0) >= 0.99 * expected
    assert "simulated" in measured.title


def test_training_refuses_a_simulated_device(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--set", "inference.engine=simulated:a100", "--set", "inference.placement=server"]
    assert main(["train", "--profile", "none", *words]) == 2
    assert "answers nothing that could be learned from" in capsys.readouterr().err


def test_a_simulated_device_cannot_be_inside_every_actor(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--set", "inference.engine=simulated:a100", "--set", "inference.placement=local"]
    assert main(["config", "--profile", "none", *words]) == 2
    assert "set inference.placement = 'server'" in capsys.readouterr().err
