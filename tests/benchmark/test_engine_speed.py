"""The processes that evaluate for a measurement: one that fails or dies is said in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alphazero.benchmark.engine_speed import EngineOrder, EngineProcesses
from alphazero.config import Config, InferenceConfig, NetworkConfig
from alphazero.errors import RunError, UserError

EAGER = EngineOrder("eager", False)
CONFIG = Config(
    network=NetworkConfig(blocks=1, filters=4), inference=InferenceConfig(device="cpu", placement="server")
)


def test_a_killed_process_is_said_in_words_whenever_it_died() -> None:
    with EngineProcesses(CONFIG, "cpu", max_batch=2) as engines:
        assert engines.rate(EAGER, 2, 0.001) > 0
        for child in engines._children:
            child.kill()
            child.join()
        for _ in range(2):  # the first message may still go into the pipe
            with pytest.raises(RunError, match="engine process 0 was killed or ended by itself"):
                engines.rate(EAGER, 2, 0.001)


def test_what_a_process_found_wrong_is_passed_on() -> None:
    with (
        EngineProcesses(CONFIG, "cpu", max_batch=2) as engines,
        pytest.raises(UserError, match="needs a CUDA device"),
    ):
        engines.name(EngineOrder("graphs", False))


def test_the_traceback_of_a_failed_process_is_passed_on() -> None:
    broken = replace(CONFIG, inference=replace(CONFIG.inference, threads="many"))  # type: ignore[arg-type]
    with EngineProcesses(broken, "cpu", max_batch=2) as engines, pytest.raises(RunError) as raised:
        engines.name(EAGER)
    lines = str(raised.value).splitlines()
    assert lines[0] == "engine process 0 failed:"
    assert lines[-1].startswith("TypeError")
