"""The engine of torch.compile answers as the network in float32 does, and compiles when it is made, never later."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alphazero.config import NetworkConfig
from alphazero.errors import UserError
from alphazero.network import engines
from alphazero.network.compiled_engine import _reason
from alphazero.network.engine_protocol import InferenceEngine
from alphazero.network.engines import candidate_engines, make_engine
from alphazero.network.frozen_engine import computes_in_bfloat16
from alphazero.network.resnet import PolicyValueNetwork
from tests.network.test_engines import all_networks, observations, reference, trained_looking_network

ROOT = Path(__file__).resolve().parents[2]
ODD_SIZES = (0, 1, 2, 15, 16, 17, 37, 64, 100)  # around the fewest rows (16) and the largest batch (64)

needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler"
)


def compiled_engine(network: PolicyValueNetwork, half: bool = False) -> InferenceEngine:
    return make_engine("compiled", network, device="cpu", use_amp=half, max_batch=64)


def compilations() -> int:
    """Return how often torch.compile has made code in this process, anew or from what lies on disk."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def assert_answers_in_float32(engine: InferenceEngine, network: PolicyValueNetwork) -> None:
    for rows in ODD_SIZES:
        logits, values = engine.evaluate(observations(rows))
        expected_logits, expected_values = reference(network, observations(rows))
        assert logits.dtype == values.dtype == np.float32
        np.testing.assert_allclose(logits, expected_logits, atol=1e-5)
        np.testing.assert_allclose(values, expected_values, atol=1e-5)


@pytest.mark.slow
@needs_compiler
@all_networks
def test_odd_batches_and_new_weights_are_answered_without_compiling_again(config: NetworkConfig) -> None:
    network, newer = (trained_looking_network(seed, config) for seed in (0, 1))
    before = compilations()
    engine = compiled_engine(network)
    assert engine.name == "compiled"
    assert compilations() <= before + 1
    made = compilations()
    assert_answers_in_float32(engine, network)
    engine.load_weights(newer.state_dict())
    assert_answers_in_float32(engine, newer)
    engine.max_batch = 23  # as after running out of memory
    assert_answers_in_float32(engine, newer)
    assert_answers_in_float32(compiled_engine(network), network)  # another of the same size
    assert compilations() == made
    other_threads = torch.get_num_threads() + 1
    torch.set_num_threads(other_threads)  # shows that the count can grow
    engine.evaluate(observations(20))
    torch.set_num_threads(other_threads - 1)
    assert compilations() == made + 1


@pytest.mark.slow
@needs_compiler
@pytest.mark.skipif(not computes_in_bfloat16(), reason="this CPU has no bfloat16 instructions")
@all_networks
def test_bfloat16_stays_near_float32_without_compiling_again(config: NetworkConfig) -> None:
    network = trained_looking_network(0, config)
    engine = compiled_engine(network, half=True)
    assert engine.name == "compiled bfloat16"
    made = compilations()
    logits, values = engine.evaluate(observations(300))
    expected_logits, expected_values = reference(network, observations(300))
    # the bounds of the engine 'frozen'
    assert np.quantile(np.abs(values - expected_values), 0.99) < 0.03
    assert np.quantile(np.abs(logits - expected_logits), 0.99) < 0.03 * expected_logits.std() + 0.03
    for rows in ODD_SIZES:
        assert engine.evaluate(observations(rows))[0].shape == (rows, 7)
    assert compilations() == made


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_nothing_is_compiled_in_mid_game_on_cuda() -> None:
    network, newer = trained_looking_network(0), trained_looking_network(1)
    engine = make_engine("compiled", network, device="cuda", use_amp=True, max_batch=64)
    made = compilations()
    for rows in ODD_SIZES:
        engine.evaluate(observations(rows))
    engine.load_weights(newer.state_dict())
    engine.max_batch = 23
    logits, _ = engine.evaluate(observations(100))
    np.testing.assert_allclose(logits, reference(newer, observations(100))[0], atol=5e-2)
    assert compilations() == made


# ---- without compiling ----


NO_COMPILER = """
import torch
from alphazero.config import NetworkConfig
from alphazero.config import NetworkConfig
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.network.engines import make_engine
from alphazero.network.resnet import build_network

try:
    network = build_network(get_game("tic_tac_toe"), NetworkConfig(blocks=1, filters=4))
    make_engine("compiled", network, device="cpu")
except UserError as error:
    print(error)
"""


def test_a_machine_without_a_compiler_is_told_what_to_do(tmp_path: Path) -> None:
    environment = {**os.environ, "CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", NO_COMPILER]
    told = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    message = told.stdout.strip()
    assert message.startswith("engine 'compiled' cannot be made here, torch.compile failed: ")
    assert "no-such-compiler" in message
    assert "set inference.engine to auto or any other" in message
    assert "\n" not in message


def raising(error: Exception) -> object:
    def compile(*arguments: object, **settings: object) -> None:
        raise error

    return compile


def test_whatever_fails_is_said_but_memory_is_another_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    network = trained_looking_network(0)
    monkeypatch.setattr(torch, "compile", raising(OSError("No space left on device")))
    with pytest.raises(UserError, match=r"torch.compile failed: No space left on device; it needs a C"):
        compiled_engine(network)
    monkeypatch.setattr(torch, "compile", raising(torch.cuda.OutOfMemoryError("CUDA out of memory.")))
    with pytest.raises(
        UserError, match=r"no memory left for an inference engine of 64 rows.*CUDA out of memory"
    ):
        compiled_engine(network)


def test_running_out_of_memory_leads_to_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def compile(function: Any, **settings: object) -> Any:
        def forward(network: Any, rows: torch.Tensor) -> Any:
            seen.append(len(rows))
            if len(rows) > 20:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
            return function(network, rows)

        return forward

    network = trained_looking_network(0)
    monkeypatch.setattr(torch, "compile", compile)
    engine = compiled_engine(network)
    assert seen == [64, 32, 16]
    assert_answers_in_float32(engine, network)
    assert engine.max_batch == 16  # halved from 64 until the first of the odd sizes fitted


def test_of_a_compilers_output_the_error_is_shown() -> None:
    output = "CppCompileError: C++ compile error\n\nCommand:\ng++ a.cpp\n\na.cpp:1: error: no omp.h\nmore"
    assert _reason(RuntimeError(output)) == "a.cpp:1: error: no omp.h"
    older = "backend='inductor' raised:\nTritonMissing: Cannot find\n\nmore"
    assert _reason(RuntimeError(older)) == "TritonMissing: Cannot find"
    assert _reason(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_auto_does_not_choose_from_what_is_slow_to_start(device: str) -> None:
    assert "compiled" not in candidate_engines(device)


def test_on_cuda_the_compiled_network_is_captured_in_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class StandIn:
        name, max_batch = "compiled", 64

        def __init__(self, network: PolicyValueNetwork, device: torch.device, *arguments: object) -> None:
            asked.append((device.type, *arguments))

    monkeypatch.setattr(engines, "resolve_device", lambda device: torch.device("cuda", 0))
    monkeypatch.setattr(engines, "GraphsEngine", StandIn)
    for name in ("compiled", "graphs"):
        make_engine(name, trained_looking_network(0), "cuda", True, True, max_batch=64)
    # half precision, pinned memory, rows, compiled
    assert asked == [("cuda", True, True, 64, True), ("cuda", True, True, 64, False)]
