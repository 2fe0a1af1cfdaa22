"""What agents of a comparison are asked, and what of it is an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alphazero.config import Config, InferenceConfig, NetworkConfig, SearchConfig
from alphazero.evaluation.agents import Agent, Setting
from alphazero.evaluation.run import solved_positions_of
from alphazero.evaluation.tasks import Answers
from alphazero.evaluation.workers import WorkerPool
from alphazero.games.registry import get_game
from alphazero.network.resnet import build_network
from alphazero.quality import agents
from alphazero.quality.trainings import Training
from alphazero.quality.verdict import POSITION_METRICS
from alphazero.training.weights_file import save_weights

POSITIONS = solved_positions_of("connect_four", 5)[0]
SETTING = Setting(SearchConfig(simulations=800), InferenceConfig(device="cpu"), pure_mcts_simulations=10)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Agents that search right with 800 simulations and wrong with fewer; the simulations that they were asked for."""
    simulations: list[int] = []

    def answer(pool, agent, setting, positions):  # type: ignore[no-untyped-def]
        simulations.append(setting.search.simulations)
        right = setting.search.simulations >= 800
        actions = []
        for position in positions:
            ranked = sorted(dict(position.move_scores), key=position.is_error)
            actions.append(ranked[0] if right else ranked[-1])
        return Answers(actions, [0.0] * len(positions), actions, 0, 0.0)

    monkeypatch.setattr(agents, "answer_positions", answer)
    monkeypatch.setattr(agents, "final_agent", lambda training: Agent("agent", "network", "connect_four"))
    return simulations


def training(folder: Path, simulations: int) -> Training:
    config = Config()
    return Training("a run", replace(config, search=replace(config.search, simulations=simulations)), folder)


def test_self_plays_search_has_the_simulations_of_the_run_and_the_agents_those_of_the_comparison(
    tmp_path: Path, asked: list[int]
) -> None:
    with WorkerPool(0) as pool:
        scores = agents.scores(training(tmp_path, 100), pool, SETTING, POSITIONS, "code")
        assert set(scores) == set(POSITION_METRICS)
        assert scores["search_error"].mean() == 0.0 < scores["selfplay_search_error"].mean()
        assert asked == [800, 100]
        agents.scores(training(tmp_path, 100), pool, SETTING, POSITIONS, "code")
        assert asked == [800, 100]  # kept beside the run


def test_equal_simulations_are_asked_for_once(tmp_path: Path, asked: list[int]) -> None:
    with WorkerPool(0) as pool:
        scores = agents.scores(training(tmp_path, 800), pool, SETTING, POSITIONS, "code")
    assert asked == [800]
    assert scores["selfplay_search_error"].tolist() == scores["search_error"].tolist()


def test_other_code_another_search_or_other_positions_are_asked_for_again(
    tmp_path: Path, asked: list[int]
) -> None:
    run = training(tmp_path, 800)
    deeper = replace(SETTING, search=replace(SETTING.search, c_puct_init=1.0))
    with WorkerPool(0) as pool:
        for setting, positions, code in (
            (SETTING, POSITIONS, "code"),
            (SETTING, POSITIONS, "other code"),
            (deeper, POSITIONS, "code"),
            (SETTING, POSITIONS[::-1], "code"),
        ):
            for _ in range(2):
                agents.scores(run, pool, setting, positions, code)
    assert asked == [800] * 4


def test_damaged_answers_are_asked_for_again(tmp_path: Path, asked: list[int]) -> None:
    with WorkerPool(0) as pool:
        for damage in ("", "{", "[]", '{"policy_actions": []}'):
            agents.scores(training(tmp_path, 800), pool, SETTING, POSITIONS, "code")
            (kept,) = tmp_path.glob("answers-*.json")
            kept.write_text(damage, encoding="utf-8")
        agents.scores(training(tmp_path, 800), pool, SETTING, POSITIONS, "code")
    assert asked == [800] * 5


def test_a_training_whose_agent_did_not_fit_on_the_disk_is_not_done(tmp_path: Path) -> None:
    run = training(tmp_path, 800)
    run.results.mkdir()
    (run.results / "training.json").write_text("{}", encoding="utf-8")
    assert not run.is_done
    (run.results / "model.safetensors").touch()
    assert run.is_done


def test_of_the_weights_around_a_moment_the_later_or_the_earlier_ones_are_taken(tmp_path: Path) -> None:
    run = training(tmp_path, 800)
    size = NetworkConfig(blocks=1, filters=4, policy_filters=2, value_filters=2, value_hidden=8)
    network = build_network(get_game("connect_four"), size)
    for seconds in (1, 2, 3):
        path = run.results / "weights" / f"step-{10 * seconds:08d}.safetensors"
        save_weights(path, network, {"run_time_s": str(seconds)})
    save_weights(run.results / "model.safetensors", network)

    def taken(core_s: float, later: bool) -> str:
        path = agents.agent_at(run, core_s, cores=2, later=later).path  # kept after 2, 4 and 6 s of two cores
        assert path is not None
        return path.stem

    assert [taken(3.0, later) for later in (True, False)] == ["step-00000020", "step-00000010"]
    assert [taken(4.0, later) for later in (True, False)] == ["step-00000020", "step-00000020"]
    assert [taken(1.0, later) for later in (True, False)] == ["step-00000010", "step-00000010"]
    assert [taken(7.0, later) for later in (True, False)] == ["model", "step-00000030"]
