"""Evaluation in shares: what one process does of scoring an agent and of playing a match.

Shares are dealt like cards (the i-th of n gets every n-th position or opening), so that they take about the
same time. What comes out does not depend on their number, but for the rounding of the network in batches
of another size.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from alphazero.evaluation.agents import (
    Agent,
    Setting,
    make_network_player,
    make_player,
    make_policy_player,
)
from alphazero.evaluation.match import (
    Match,
    MatchResult,
    Moves,
    PlayedGame,
    draw_openings,
    match_result,
    play_side_by_side,
)
from alphazero.evaluation.solved_positions import SolvedPosition
from alphazero.evaluation.workers import Report, Task, WorkerPool
from alphazero.games.registry import get_game
from alphazero.network.cached_evaluator import default_capacity
from alphazero.seeding import generator

_MATCHES_SIDE_BY_SIDE = 18  # at most: players share the memory for answers


@dataclass(frozen=True)
class Answers:
    """What an agent said about solved positions, in their order.

    Attributes:
        policy_actions: choices of the bare policy head.
        values: answers of the value head, for the player to move.
        search_actions: choices after the search; where several moves are equally right or equally wrong
            and the search need not decide between them, any of those.
        simulations: simulations done.
        search_seconds: time the searches took; with several workers that of the slowest.
    """

    policy_actions: list[int]
    values: list[float]
    search_actions: list[int]
    simulations: int
    search_seconds: float

    def choose(self, places: Sequence[int]) -> Answers:
        """Return the answers at `places` only; the effort stays that of the whole."""
        return replace(
            self,
            policy_actions=[self.policy_actions[place] for place in places],
            values=[self.values[place] for place in places],
            search_actions=[self.search_actions[place] for place in places],
        )


@dataclass(frozen=True)
class _AnswerTask:
    agent: Agent
    setting: Setting
    positions: Sequence[SolvedPosition]

    def run(self, report: Report) -> Answers:
        moves = [position.moves for position in self.positions]
        policy_actions, values = make_policy_player(self.agent, self.setting).choose_and_value(moves)
        started = time.perf_counter()
        best_moves = make_network_player(self.agent, self.setting).search_positions(
            moves,
            [position.move_classes() for position in self.positions],
            lambda answered: report(1),
        )
        return Answers(
            policy_actions=policy_actions,
            values=values,
            search_actions=[best.action for best in best_moves],
            simulations=sum(best.simulations for best in best_moves),
            search_seconds=time.perf_counter() - started,
        )


@dataclass(frozen=True)
class _AgentsMatch:
    agent_a: Agent
    agent_b: Agent
    openings: Sequence[tuple[int, Moves]]
    seed: int


@dataclass(frozen=True)
class _MatchTask:
    matches: Sequence[_AgentsMatch]
    setting: Setting

    def run(self, report: Report) -> list[list[PlayedGame]]:
        reported = 0

        def report_games(finished: int) -> None:
            nonlocal reported
            report(finished - reported)
            reported = finished

        agents = {agent for match in self.matches for agent in (match.agent_a, match.agent_b)}
        game = get_game(self.matches[0].agent_a.game)
        kept = 2 * default_capacity(game.num_actions) // len(agents)  # together about the memory of two alone
        players = {agent: make_player(agent, self.setting, kept) for agent in agents}
        return play_side_by_side(
            game,
            [
                Match(players[match.agent_a], players[match.agent_b], match.openings, match.seed)
                for match in self.matches
            ],
            report_games,
        )


def answer_positions(
    pool: WorkerPool,
    agent: Agent,
    setting: Setting,
    positions: Sequence[SolvedPosition],
    report: Report | None = None,
) -> Answers:
    """Return what `agent`, which has a network, answers to all positions; `report` counts positions."""
    shares = _share_count(pool, len(positions))
    tasks: list[Task[Answers]] = [
        _AnswerTask(agent, setting, positions[share::shares]) for share in range(shares)
    ]
    parts = pool.run(tasks, report)
    policy_actions, values, search_actions = (
        [0] * len(positions),
        [0.0] * len(positions),
        [0] * len(positions),
    )
    for share, part in enumerate(parts):
        policy_actions[share::shares] = part.policy_actions
        values[share::shares] = part.values
        search_actions[share::shares] = part.search_actions
    return Answers(
        policy_actions,
        values,
        search_actions,
        sum(part.simulations for part in parts),
        max(part.search_seconds for part in parts),
    )


def play_agents(
    pool: WorkerPool,
    agent_a: Agent,
    agent_b: Agent,
    setting: Setting,
    games: int,
    opening_moves: int,
    seed: int,
    report: Report | None = None,
) -> MatchResult:
    """Play a match of `games` games, two an opening; `report` counts games that ended."""
    openings = list(enumerate(draw_openings(get_game(agent_a.game), (games + 1) // 2, opening_moves, seed)))
    shares = _share_count(pool, len(openings))
    tasks: list[Task[list[list[PlayedGame]]]] = [
        _MatchTask([_AgentsMatch(agent_a, agent_b, openings[share::shares], seed)], setting)
        for share in range(shares)
    ]
    played = [each for part in pool.run(tasks, report) for match in part for each in match]
    played.sort(key=lambda each: (each.opening, not each.a_moves_first))
    return match_result(agent_a.name, agent_b.name, played)


def play_pairs(
    pool: WorkerPool,
    pairs: Sequence[tuple[Agent, Agent]],
    setting: Setting,
    games: int,
    opening_moves: int,
    seed: int,
    report: Report | None = None,
    pool_of_openings: Sequence[Moves] = (),
) -> list[MatchResult]:
    """Play a match of `games` games between each two agents, many matches at a time; for short ones.

    Matches that follow each other are played side by side in one process, which pays if they share an agent.

    Each match has openings of its own, drawn by `seed` and its place in `pairs`: from `pool_of_openings`, which
    must be enough for one match, or where that is empty at random.
    """
    matches: list[_AgentsMatch] = []
    for place, (agent_a, agent_b) in enumerate(pairs):
        match_seed = int(generator(seed, "match", place).integers(2**31))
        count = (games + 1) // 2
        if pool_of_openings:
            chosen = generator(match_seed, "openings").choice(len(pool_of_openings), count, replace=False)
            openings = [pool_of_openings[each] for each in chosen]
        else:
            openings = draw_openings(get_game(agent_a.game), count, opening_moves, match_seed)
        matches.append(_AgentsMatch(agent_a, agent_b, list(enumerate(openings)), match_seed))
    shares = max(_share_count(pool, len(matches)), math.ceil(len(matches) / _MATCHES_SIDE_BY_SIDE))
    bounds = [len(matches) * share // shares for share in range(shares + 1)]
    tasks: list[Task[list[list[PlayedGame]]]] = [
        _MatchTask(matches[start:end], setting) for start, end in itertools.pairwise(bounds)
    ]
    results = [played for part in pool.run(tasks, report) for played in part]
    return [
        match_result(match.agent_a.name, match.agent_b.name, played)
        for match, played in zip(matches, results, strict=True)
    ]


def _share_count(pool: WorkerPool, pieces: int) -> int:
    return max(1, min(pool.workers, pieces))
