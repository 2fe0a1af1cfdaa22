"""What 'auto' stands for: the fastest of the engines that answer as float32 does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from alphazero.config import Config, InferenceConfig, NetworkConfig
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.network import engine_choice, winograd_engine
from alphazero.network.eager_engine import EagerEngine
from alphazero.network.engine_choice import Candidate, EngineChoice, choose_engine
from alphazero.network.resnet import build_network
from alphazero.selfplay import engine_at_start
from alphazero.selfplay.engine_at_start import settle_engine

GAME = get_game("connect_four")
SMALL = NetworkConfig(blocks=1, filters=4)
OBSERVATIONS = np.random.default_rng(0).integers(0, 2, (32, *GAME.observation_shape), dtype=np.uint8)


class Fake(EagerEngine):
    """Float32 eager that takes a made-up time, and adds an error to its answers."""

    def __init__(self, name: str, seconds: float, now: list[float], prior: float, value: float) -> None:
        torch.manual_seed(0)
        super().__init__(build_network(GAME, SMALL), torch.device("cpu"), False, False, 32)
        self.name = name
        self._seconds, self._now, self._prior, self._value_error = seconds, now, prior, value

    def evaluate(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, values = super().evaluate(observations)
        self._now[0] += self._seconds
        logits, values = logits.copy(), values + self._value_error
        logits[:, 0] += self._prior
        return logits, values


def choose(**engines: tuple[float, float, float]) -> EngineChoice:
    """Choose among made-up engines: name = (seconds a batch, error of a logit, error of the values)."""
    now = [0.0]

    def make(name: str) -> Fake:
        if np.isinf(engines[name][0]):
            raise RuntimeError("no such thing on this device\nand more lines")
        return Fake(name, engines[name][0], now, *engines[name][1:])

    torch.manual_seed(0)
    return choose_engine(list(engines), make, build_network(GAME, SMALL), OBSERVATIONS, clock=lambda: now[0])


def test_the_fastest_is_taken_if_it_is_clearly_faster() -> None:
    choice = choose(frozen=(0.010, 0, 0), openvino=(0.008, 0, 0), eager=(0.020, 0, 0))
    assert choice.name == "openvino"
    # 32 rows in 10, 8 and 20 ms
    rates = [candidate.evaluations_per_second for candidate in choice.candidates]
    assert rates == pytest.approx([3200, 4000, 1600])
    assert "openvino 4,000 evaluations/s" in choice.sentence()
    assert "in batches of 32" in choice.sentence()
    assert choose(frozen=(0.010, 0, 0), openvino=(0.0095, 0, 0)).name == "frozen"  # 5 % may be noise


def test_what_does_not_answer_as_float32_is_left_out_however_fast() -> None:
    choice = choose(frozen=(0.001, 0, 0.05), openvino=(0.002, 0.5, 0), eager=(0.020, 0, 0))
    assert choice.name == "eager" and not choice.in_float32
    assert (
        "frozen was left out: p99 of its differences to float32 are 0.000 (prior) and 0.050"
        in choice.sentence()
    )
    # one logit of seven nearly equal ones raised by 0.5: its prior goes from 1/7 to e^0.5 / (6 + e^0.5) = 0.216
    assert choice.candidates[1].prior_difference == pytest.approx(0.216 - 1 / 7, abs=0.005)
    assert choose(frozen=(0.001, np.nan, 0), eager=(0.1, 0, 0)).name == "eager"


def test_where_nothing_answers_as_float32_does_float32_is_what_remains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choice = choose(graphs=(0.001, 0, 0.05), eager=(0.002, 0, 0.04))
    assert (choice.name, choice.in_float32) == ("eager", True)
    assert choice.sentence().startswith("engine eager in float32, by a short measurement")
    monkeypatch.setattr(engine_at_start, "_measure", lambda *arguments: choice)
    monkeypatch.setattr(engine_at_start, "_measured", {})
    config = Config(network=SMALL, inference=InferenceConfig(device="cuda:0", use_amp=True))
    settled, _ = settle_engine(config, {}, "cuda:0")
    assert (settled.inference.engine, settled.inference.use_amp) == ("eager", False)


def test_an_engine_that_fails_is_left_out_and_said_so() -> None:
    choice = choose(graphs=(np.inf, 0, 0), eager=(0.020, 0, 0))
    assert choice.name == "eager"
    assert "graphs was left out: RuntimeError: no such thing on this device;" in choice.sentence()
    assert choose(graphs=(np.inf, 0, 0)).name == "eager"  # by default, unmeasured


def test_one_wrong_move_among_thousands_is_seen() -> None:
    # As in chess: 1,000 actions, nearly all without a prior. Of all priors 0.2 % are wrong, but two in each row.
    right = np.full((50, 1000), -50.0, np.float32), np.zeros(50, np.float32)
    right[0][:, :2] = 0.0  # two moves of 0.5 each
    wrong = right[0].copy(), right[1]
    wrong[0][:, 0] = 0.5
    # e^0.5 / (e^0.5 + 1) = 0.622
    compared = engine_choice._compared("graphs", "graphs", wrong, right)
    assert compared.prior_difference == pytest.approx(0.122, abs=0.001)
    assert "more than 0.02" in compared.problem


def test_an_engine_that_falls_back_to_float32_is_left_out() -> None:
    class FallsBack(Fake):
        def evaluate(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            self.name = "eager"
            return super().evaluate(observations)

    torch.manual_seed(0)
    network = build_network(GAME, SMALL)
    choice = choose_engine(
        ["graphs", "eager"],
        lambda name: (FallsBack if name == "graphs" else Fake)(name, 0.01, [0.0], 0, 0),
        network,
        OBSERVATIONS,
        clock=iter(np.arange(0.0, 1e4, 0.05)).__next__,
    )
    assert choice.name == "eager"
    assert "graphs was left out: it answers NaN or infinity, and fell back" in choice.sentence()


def test_a_device_without_room_for_a_row_leaves_the_engine_out() -> None:
    def make(name: str) -> Fake:
        raise UserError("out of device memory with a single row")

    choice = choose_engine(["graphs"], make, build_network(GAME, SMALL), OBSERVATIONS)
    assert choice.name == "eager"
    assert "graphs was left out: UserError: out of device memory" in choice.sentence()


def test_auto_is_settled_once_for_a_network_and_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def measure(*arguments: object) -> EngineChoice:
        measured.append(arguments[-1])
        return EngineChoice("eager", 8, (Candidate("eager", "eager float32", 100.0),))

    monkeypatch.setattr(engine_at_start, "_measure", measure)
    monkeypatch.setattr(engine_at_start, "_measured", {})
    config = Config(network=SMALL, inference=InferenceConfig(device="cpu", batch_size=8))
    for _ in range(2):
        settled, sentence = settle_engine(config, {}, "cpu")
        assert settled.inference.engine == "eager" and "batches of 8" in sentence
    settle_engine(Config(network=SMALL, inference=InferenceConfig(batch_size=2_000)), {}, "cpu")
    assert measured == [8, 512]
    named = Config(inference=InferenceConfig(engine="frozen"))
    assert settle_engine(named, {}, "cpu") == (named, "")


def test_where_half_precision_is_too_rough_the_fastest_engine_in_float32_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def choose(names: list[str], make: Callable[[str], object], *rest: object) -> EngineChoice:
        half = make("frozen")
        if half:
            return EngineChoice("eager", 8, (Candidate("frozen", problem="too rough"),), in_float32=True)
        return EngineChoice("frozen", 8, (Candidate("frozen", "frozen float32", 100.0),))

    monkeypatch.setattr(engine_at_start, "choose_engine", choose)
    monkeypatch.setattr(
        engine_at_start, "make_engine", lambda name, network, device, use_amp, *rest, **more: use_amp
    )
    monkeypatch.setattr(engine_at_start, "_measured", {})
    weights = {name: tensor.numpy() for name, tensor in build_network(GAME, SMALL).state_dict().items()}
    config = Config(network=SMALL, inference=InferenceConfig(device="cpu", batch_size=8))
    settled, sentence = settle_engine(config, weights, "cpu")
    assert (settled.inference.engine, settled.inference.use_amp) == ("frozen", False)
    assert "too rough" in sentence and "frozen float32 100" in sentence


def test_an_engine_that_cannot_run_here_is_refused_before_a_process_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(winograd_engine, "_native", None)
    named = Config(network=SMALL, inference=InferenceConfig(engine="winograd"))
    before = torch.get_rng_state()
    with pytest.raises(UserError, match="needs an x86-64 processor with AVX2 and compiled code"):
        settle_engine(named, {}, "cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_an_engine_for_gpus_is_refused_where_there_is_none() -> None:
    named = Config(network=SMALL, inference=InferenceConfig(engine="graphs"))
    with pytest.raises(UserError, match="graphs"):
        settle_engine(named, {}, "cpu")
    assert settle_engine(named, {}, "cuda:0") == (named, "")  # the server's process makes it


def test_a_killed_measurement_is_not_said_to_have_been_made() -> None:
    assert EngineChoice("eager", 8, ()).sentence() == (
        "engine eager: the process that was to measure engines was killed"
    )


def test_compiled_is_compiled_once_before_self_play_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(engine_at_start, "_compile", lambda config, device, rows: compiled.append(rows))
    monkeypatch.setattr(engine_at_start, "_compiled", set())
    server = Config(network=SMALL, inference=InferenceConfig(engine="compiled", batch_size=24))
    for _ in range(2):
        assert settle_engine(server, {}, "cuda:0") == (server, "")
    local = Config(inference=InferenceConfig(engine="compiled", placement="local", batch_size=24))
    assert settle_engine(local, {}, "cuda:0") == (local, "")
    assert compiled == [24, local.selfplay.games_per_actor]  # an actor evaluates all its games at once


@pytest.mark.slow
def test_an_engine_that_cannot_be_compiled_is_one_clear_line_before_self_play(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    config = Config(network=SMALL, inference=InferenceConfig(engine="compiled", device="cpu", batch_size=8))
    with pytest.raises(UserError, match="engine 'compiled' cannot be made here"):
        settle_engine(config, {}, "cpu")


def test_the_engines_of_this_machine_are_measured() -> None:
    torch.manual_seed(0)
    config = Config(network=SMALL, inference=InferenceConfig(device="cpu", batch_size=8))
    weights = {name: tensor.numpy() for name, tensor in build_network(GAME, SMALL).state_dict().items()}
    choice = engine_at_start.measure_candidates(config, weights, "cpu", 8)
    assert {candidate.name for candidate in choice.candidates} >= {"frozen", "eager"}
    assert all(candidate.problem == "" for candidate in choice.candidates)
    assert all(candidate.evaluations_per_second for candidate in choice.candidates)
