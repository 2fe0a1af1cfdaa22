"""`alphazero measure`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alphazero.benchmark import learner_speed
from alphazero.benchmark.engine_speed import engine_orders
from alphazero.benchmark.selfplay_speed import Ceiling, SelfPlaySpeed, cores_to_feed
from alphazero.cli import main
from alphazero.commands.measure_options import add_measure_arguments, measured_config
from alphazero.config import Config, InferenceConfig, NetworkConfig
from alphazero.games.connect_four import ConnectFour
from alphazero.mcts import get_best_mcts_backend
from alphazero.metrics.catalog import CATALOG

QUICK = ["measure", "tree", "--games", "2", "--simulations", "8", "--seconds", "0.2"]


def test_json_says_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--json", "--game", "tic_tac_toe"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["mcts_backend"] == get_best_mcts_backend()
    assert (data["game"], data["games"], data["simulations"]) == ("tic_tac_toe", 2, 8)
    assert data["native_rules"] is False
    assert data["simulations_per_second"] > 0


def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--backend", "python", "--python-rules"]) == 0
    text = capsys.readouterr().out
    assert "connect_four, python trees, Python rules, 2 games at once, 8 simulations a move" in text
    assert "bytes a node   not known" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--games", "0"], "--games is 0; it must be at least 1"),
        (["--seconds", "nan"], "--seconds is nan"),
        (["--seed", "-1"], "--seed is -1"),
        (["--game", "tic_tac_to"], "did you mean 'tic_tac_toe'"),
        (["--backend", "cyton"], "did you mean 'cython'"),
    ],
)
def test_wrong_input_is_one_clear_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_what_was_fitted_to_the_machine_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_measure_arguments(parser, 1.0)
    measured_config(parser.parse_args(["--profile", "high"]))
    said = capsys.readouterr().err
    assert "... hardware profile 'high', as requested" in said
    assert "... fitted: " in said


def test_rules_are_measured_compiled_and_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["measure", "rules", "--game", "tic_tac_toe", "--seconds", "0.1"]
    assert main([*words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["game"], data["method"], data["native"]) == ("tic_tac_toe", "perft", None)
    assert data["python"]["rules_positions_per_second"] > 0
    assert main(words) == 0
    assert "compiled rules  none here" in capsys.readouterr().out
    assert main([*words, "--method", "random"]) == 0
    assert "random games of tic_tac_toe" in capsys.readouterr().out
    assert main([*words, "--seconds", "0"]) == 2
    assert "--seconds is 0" in capsys.readouterr().err
    assert main([*words, "--method", "pertf"]) == 2
    assert "--method is 'pertf'; it may be perft or random" in capsys.readouterr().err


# ---- inference, selfplay, learner: as quick as they can be, the numbers mean nothing ----

SMALL = [
    "--profile=none",
    "--simulations=8",
    "--set=network.blocks=1",
    "--set=network.filters=4",
    "--set=selfplay.games_per_actor=8",
    "--set=selfplay.actors=1",
    "--set=inference.device=cpu",
    "--set=inference.batch_size=8",
    "--set=training.batch_size=32",
    "--json",
]


def test_the_ceiling_is_the_highest_point_of_the_curve(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--seconds=0.5", "--set=inference.engine=simulated:t4"]
    assert main(["measure", "inference", *SMALL, *words]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["simulated"] is True
    assert [rate["batch_size"] for rate in data["rates"]] == [2**power for power in range(11)]
    highest = max(rate["evaluations_per_second"]["value"] for rate in data["rates"])
    assert data["ceiling"]["evaluations_per_second"]["value"] == highest
    # 90 us and 8 layers of 4 us at least: a batch of 1 cannot be faster.
    assert data["rates"][0]["evaluations_per_second"]["value"] < 1e6 / 122


def test_the_engines_that_are_named_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "inference", *SMALL, "--seconds=0.5", "--engines=frozen"]) == 0
    rates = json.loads(capsys.readouterr().out)["rates"]
    assert {rate["engine"].split()[0] for rate in rates} == {"frozen"}


def test_the_configured_engine_is_measured_beside_those_that_auto_chooses_from() -> None:
    def names(engine: str, device: str, *named: str) -> list[tuple[str, bool]]:
        config = Config(inference=InferenceConfig(engine=engine))
        return [(choice.engine, choice.use_amp) for choice in engine_orders(config, device, named)]

    on_cuda = [("eager", False), ("eager", True), ("graphs", False), ("graphs", True)]
    assert names("auto", "cuda:0") == names("graphs", "cuda:0") == on_cuda
    assert names("compiled", "cuda:0") == [*on_cuda, ("compiled", False), ("compiled", True)]
    assert names("auto", "cuda:0", "compiled", "eager") == [
        *on_cuda[:2],
        ("compiled", False),
        ("compiled", True),
    ]
    on_cpu = names("auto", "cpu")
    assert on_cpu[:2] == [("eager", False), ("frozen", False)]  # eager has no half precision there
    assert names("compiled", "cpu")[: len(on_cpu) + 1] == [*on_cpu, ("compiled", False)]
    assert names("simulated:t4", "cpu") == [("simulated:t4", False)]


def test_an_engine_that_cannot_count_the_games_lines_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def names(line_planes: bool) -> set[str]:
        config = Config(network=NetworkConfig(line_planes=line_planes))
        return {choice.engine for choice in engine_orders(config, "cpu")}

    found = names(line_planes=False)
    monkeypatch.setattr(ConnectFour, "winning_lines", (tuple(range(17)),))
    assert names(line_planes=False) == found
    assert names(line_planes=True) == found - {"winograd"}


def test_selfplay_is_measured_against_the_network_alone(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--seconds=6", "--warmup=0", "--set=inference.placement=local"]
    assert main(["measure", "selfplay", *SMALL, *words]) == 0
    data = json.loads(capsys.readouterr().out)
    metrics = data["metrics"]
    ceiling = data["ceiling"]
    alone = (ceiling["evaluations_per_second_before"] + ceiling["evaluations_per_second_after"]) / 2
    assert metrics["share_of_ceiling"] == pytest.approx(metrics["evaluations_per_second"] / alone)
    assert data["limit"].split(":")[0] in ("inference-bound", "actor-bound", "batch-bound")
    assert data["simulated"] is False
    assert data["engine"].split()[0] in ("frozen", "winograd")  # whichever is faster here
    assert "training_steps_per_second" not in metrics
    assert metrics["simulations_per_second"] >= metrics["evaluations_per_second"] > 0
    split = [metrics[name] for name in metrics if name.startswith("time_")]
    assert sum(split) == pytest.approx(1.0, abs=0.02)
    assert set(metrics) <= set(CATALOG)


def test_a_simulated_device_is_marked_in_what_people_read(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--seconds=6", "--warmup=0", "--no-ceiling", "--set=inference.engine=simulated:a100"]
    assert main(["measure", "selfplay", *SMALL[:-1], *words]) == 0
    text = capsys.readouterr().out
    assert text.startswith("SIMULATED device, no measurement: connect_four")
    assert "limit: not known: the ceiling was not measured (simulated)" in text
    assert "evaluations/core-s" in text


def speed(metrics: dict[str, float], ceiling: Ceiling | None) -> SelfPlaySpeed:
    return SelfPlaySpeed(metrics, {}, ceiling, "", "simulated:a100", True, 10.0, [])


def test_the_cores_that_a_device_needs_are_its_ceiling_over_what_a_core_feeds() -> None:
    metrics = {"evaluations_per_core_second": 250_000.0}
    # 900,000 evaluations/s on average, and a core feeds 250,000
    assert cores_to_feed(speed(metrics, Ceiling(512, 800_000.0, 1_000_000.0))) == pytest.approx(3.6)
    assert cores_to_feed(speed(metrics, None)) is None
    assert cores_to_feed(speed({}, Ceiling(512, 1.0, 1.0))) is None  # the network is on the same cores


def test_the_learner_is_measured_fed_and_unfed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []  # in turns

    def recorded(step: Callable[[], Any], seconds: float) -> float:
        rates.append(rate(step, seconds))
        return rates[-1]

    rate = learner_speed._rate
    monkeypatch.setattr(learner_speed, "_rate", recorded)
    assert main(["measure", "learner", *SMALL, "--seconds=0.5"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["batch_size"] == 32
    fed, unfed = np.array(rates[::2]), np.array(rates[1::2])
    assert data["training_steps_per_second"]["value"] == pytest.approx(np.median(fed))
    assert data["training_steps_per_second_on_device"]["value"] == pytest.approx(np.median(unfed))
    assert data["fed_share"]["value"] == pytest.approx(
        np.exp(np.median(np.log(fed / unfed)))
    )  # round by round
    assert (data["batch_copy_ms"] is None) == (data["device"] == "cpu")
    assert {name for name, value in data.items() if isinstance(value, dict)} - {"network"} <= set(CATALOG)


def test_the_scaling_table_is_written_as_it_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--seconds=2", "--rounds=1", "--by-actors=1", "--by-games=2,4", "--placement=local"]
    assert main(["measure", "scaling", *SMALL[:-1], *words, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "2 configurations, 1 windows of 2 s each: about 17 s" in printed.err
    assert "| actors | 2 games | 4 games |" in printed.out
    assert (tmp_path / "scaling.md").read_text(encoding="utf-8").strip() in printed.out
    document = json.loads((tmp_path / "scaling.json").read_text(encoding="utf-8"))
    assert [(cell["actors"], cell["games_per_actor"]) for cell in document["cells"]] == [(1, 2), (1, 4)]
    assert all(cell["evaluations_per_second"]["value"] > 0 for cell in document["cells"])
    assert document["simulated"] is False and document["provenance"]["source_hash"]
    assert (
        (tmp_path / "scaling.csv").read_text(encoding="utf-8").startswith("placement,actors,games_per_actor")
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scaling", "--by-actors=1,x"], "--by-actors is '1,x'; it must be whole numbers, such as 1,2,4"),
        (["scaling", "--by-games=0"], "--by-games: selfplay.games_per_actor is 0, but must be between"),
        (["scaling", "--rounds=0"], "--rounds is 0; it must be at least 1"),
        (["scaling", "--seconds=1"], "--seconds is 1; it must be at least 2"),
        (["scaling", "--set=inference.engine=simulated:t4"], "add --placement server"),
        (["selfplay", "--seconds=5"], "--seconds is 5; it must be at least 6"),
        (["selfplay", "--warmup=-1"], "--warmup is -1; it must be at least 0"),
        (["inference", "--seconds=0"], "--seconds is 0; it must be more than 0"),
        (
            ["inference", "--engines=frozen,graph"],
            "--engines: inference.engine is 'graph', but must be one of auto",
        ),
        (["inference", "--engines=frozen,simulated:t4"], "a simulated device is measured alone"),
        (["learner", "--seconds=inf"], "--seconds is inf"),
        (["inference", "--set=inference.engine=simulated:b200"], "known: simulated:a100"),
    ],
)
def test_wrong_options_of_the_other_parts_are_one_clear_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", words[0], *SMALL, *words[1:]]) == 2
    assert message in capsys.readouterr().err
