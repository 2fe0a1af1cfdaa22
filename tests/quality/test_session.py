"""A whole comparison without a training: whose answers and games are held against whose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from alphazero.config import InferenceConfig, SearchConfig
from alphazero.config_loading import resolve_config
from alphazero.evaluation.agents import Agent, Setting
from alphazero.evaluation.match import Score
from alphazero.evaluation.solved_positions import SolvedPosition
from alphazero.evaluation.workers import WorkerPool
from alphazero.hardware.description import Hardware
from alphazero.quality import session
from alphazero.quality.agents import Effort
from alphazero.quality.plan import PROFILE, REFERENCE, Plan, Variant
from alphazero.quality.trainings import Training
from alphazero.quality.verdict import NO_WORSE, WORSE

PLAN = Plan(
    "Tiny",
    runs=2,
    minutes=1,
    positions_per_set=2,
    match_games=2,
    margins={"policy_error": 0.03},
    settings={},
)
CPU = resolve_config(profile="none", overrides=["inference.device=cpu"]).config
POSITIONS = [SolvedPosition("only", moves, ((0, 1), (1, -1)), 7) for moves in ((0,), (1,))]
ERRORS = {"reference": 0.25, "bad": 0.75, "same": 0.25, "full": 0.25}
CORE_S = {"reference": 10.0, "bad": 10.0, "same": 10.0}

Compared = Callable[..., tuple[dict[str, Any], list[tuple[str, str]]]]


def variant(name: str, order: int, base: str = REFERENCE, expected: str | None = None) -> Variant:
    return Variant(name, order, name, name, base, expected, {})


def name_of(training: Training) -> str:
    return training.label.split()[0]


@pytest.fixture
def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Callable[..., Hardware]) -> Compared:
    """Compare variants with a reference, without training or playing: every agent errs as often as ERRORS says.

    Games are drawn, but that a bad agent loses one of two to another one. Returns the comparisons by name, and who met
    whom.
    """
    met: list[tuple[str, str]] = []

    def played(pool: WorkerPool, pairs: list[tuple[Agent, Agent]], *more: object) -> list[SimpleNamespace]:
        met.extend((one.name, other.name) for one, other in pairs)
        lost = [[agent.name.startswith("bad") for agent in pair] for pair in pairs]
        return [
            SimpleNamespace(total=Score(int(theirs), 2 - ours - theirs, int(ours))) for ours, theirs in lost
        ]

    def at(training: Training, core_s: float, cores: int, later: bool) -> Agent:
        return Agent(
            f"{training.label} {'after' if later else 'before'} {core_s:g} s", "network", "connect_four"
        )

    def run(*variants: Variant, **core_s: float) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        used = {**CORE_S, **core_s}
        monkeypatch.setattr(
            session, "effort", lambda training, cores: Effort(1, 1, 1, 1.0, used[name_of(training)])
        )
        whole = session.Session(PLAN, [variant(REFERENCE, 0), *variants], CPU, tmp_path, "code")
        setting = Setting(SearchConfig(simulations=8), InferenceConfig(device="cpu"), 8)
        with WorkerPool(0) as pool:
            bench = session.Bench(pool, POSITIONS, setting, 1, 2, lambda text: None, "code", 1)
            document = whole.run(bench, clock=lambda: 0.0)
        return {each["name"]: each["comparison"] for each in document["variants"]}, met

    monkeypatch.setattr(session, "train_all", lambda trainings, side_by_side, say: None)
    monkeypatch.setattr(
        session,
        "scores",
        lambda training, *more: {"policy_error": np.full(len(POSITIONS), ERRORS[name_of(training)])},
    )
    monkeypatch.setattr(
        session, "final_agent", lambda training: Agent(training.label, "network", "connect_four")
    )
    monkeypatch.setattr(session, "agent_at", at)
    monkeypatch.setattr(session, "play_pairs", played)
    monkeypatch.setattr(session, "probe_hardware", machine)
    monkeypatch.setattr(session, "collect_provenance", dict)
    return run


def test_a_bad_configuration_is_worse_than_the_reference_and_an_equal_one_is_not(
    compared: Compared,
) -> None:
    comparisons, met = compared(variant("bad", 1, expected=WORSE), variant("same", 2, expected=NO_WORSE))
    assert comparisons[REFERENCE] is None
    assert {name: comparisons[name]["verdict"] for name in ("bad", "same")} == {
        "bad": WORSE,
        "same": NO_WORSE,
    }
    differences = {
        (name, metric["metric"]): metric["value"]
        for name in ("bad", "same")
        for metric in comparisons[name]["metrics"]
    }
    # 0.75 - 0.25; and a draw and a loss are a quarter of the points: 400 log10((1/4) / (3/4)) Elo.
    assert differences == pytest.approx(
        {
            ("bad", "policy_error"): 0.5,
            ("bad", "elo_difference"): -400 * np.log10(3),
            ("same", "policy_error"): 0.0,
            ("same", "elo_difference"): 0.0,
        }
    )
    assert met == [
        (f"{name} {one}", f"reference {other}")
        for name in ("bad", "same")
        for one in (0, 1)
        for other in (0, 1)
    ]


@pytest.mark.parametrize(
    ("core_s", "own", "reference"),
    [(20.0, "full {} before 10 s", "reference {}"), (5.0, "full {}", "reference {} after 5 s")],
)
def test_at_equal_time_the_slower_one_has_the_weights_that_are_better_for_the_reference(
    compared: Compared,
    core_s: float,
    own: str,
    reference: str,
) -> None:
    # Its search is another one, or it would need no runs.
    other = Variant("full", 1, "full", "full", PROFILE, None, {"search.simulations": 7})
    comparisons, met = compared(other, full=core_s)
    assert met[4:] == [(own.format(mine), reference.format(its)) for mine in (0, 1) for its in (0, 1)]
    assert comparisons["full"]["equal_time_games"] == 4 * 2
