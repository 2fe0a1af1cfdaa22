"""Work that is shared out: matches of many agents at once are what each match is by itself."""

from __future__ import annotations

import pytest

from alphazero.config import InferenceConfig, SearchConfig
from alphazero.evaluation import tasks
from alphazero.evaluation.agents import PURE_MCTS, RANDOM, UNTRAINED, Agent, Setting, parse_agent
from alphazero.evaluation.match import MatchResult
from alphazero.evaluation.workers import WorkerPool

GAME = "tic_tac_toe"
SETTING = Setting(SearchConfig(simulations=8), InferenceConfig(device="cpu", use_amp=False), 8)


def matches() -> list[MatchResult]:
    network = parse_agent(UNTRAINED, GAME, seed=1)
    random = Agent(RANDOM, RANDOM, GAME)
    weak, strong = (Agent(f"m{n}", PURE_MCTS, GAME, simulations=n) for n in (4, 40))
    pairs = [(weak, random), (strong, random), (strong, weak), (network, weak), (network, strong)]
    with WorkerPool(0) as pool:
        return tasks.play_pairs(pool, pairs, SETTING, games=6, opening_moves=2, seed=3)


def test_pairs_have_the_same_matches_however_many_are_played_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_once = matches()
    monkeypatch.setattr(tasks, "_MATCHES_SIDE_BY_SIDE", 1)
    assert matches() == at_once
    assert [(each.player_a, each.player_b, each.played) for each in at_once][1:3] == [
        ("m40", RANDOM, 6),
        ("m40", "m4", 6),
    ]


def test_pairs_are_dealt_out_to_as_many_tasks_as_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    dealt: list[int] = []

    class Counting(WorkerPool):
        def run(self, tasks, report=None):  # type: ignore[no-untyped-def]
            dealt.extend(len(task.matches) for task in tasks)
            return super().run(tasks, report)

    pairs = [(Agent(RANDOM, RANDOM, GAME), Agent("other", RANDOM, GAME))] * 5
    for most, expected in ((18, [5]), (2, [1, 2, 2]), (1, [1] * 5)):
        dealt.clear()
        monkeypatch.setattr(tasks, "_MATCHES_SIDE_BY_SIDE", most)
        with Counting(0) as pool:
            tasks.play_pairs(pool, pairs, SETTING, games=2, opening_moves=1, seed=0)
        assert dealt == expected
