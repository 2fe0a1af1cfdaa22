"""A rating list of a run's checkpoints, with players of known make as anchors.

Who plays whom: players are lined up by how strong they should be (random, pure MCTS by its budget, checkpoints by
their step, perfect play where a game can be solved) and each meets the two that follow it; every checkpoint also
meets every pure MCTS. So no two are far apart in the chain, and few games are spent where one side wins them all.
Everything is fixed by the seed: openings, random players, and with them every game.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alphazero.evaluation.agents import (
    PERFECT,
    PURE_MCTS,
    RANDOM,
    UNTRAINED,
    Agent,
    Setting,
    make_policy_player,
    network_agent,
)
from alphazero.evaluation.elo import Rating, rating_list
from alphazero.evaluation.exhaustive import perfect_moves
from alphazero.evaluation.match import MatchResult, Moves, draw_openings
from alphazero.evaluation.run import weights_along
from alphazero.evaluation.tasks import play_pairs
from alphazero.evaluation.workers import Report, WorkerPool
from alphazero.games.registry import get_game

PURE_MCTS_BUDGETS = (50, 200, 800)  # simulations a move
NEIGHBOURS = 2  # players that each meets further up the line
_CANDIDATES = 4  # openings drawn for each that is used


@dataclass(frozen=True)
class RatedRun:
    """Ratings in Elo (the random player is 0), the matches behind them, and the openings they could begin with."""

    ratings: list[Rating]
    matches: list[MatchResult]
    openings: list[Moves]


def players_of(
    run_folder: Path, game_name: str, points: int, budgets: Sequence[int] = PURE_MCTS_BUDGETS
) -> list[Agent]:
    """Return all players in their line: anchors, checkpoints (see `weights_along`), perfect play if it can be."""
    anchors = [Agent(RANDOM, RANDOM, game_name)]
    anchors += [
        Agent(f"{PURE_MCTS} {budget}", PURE_MCTS, game_name, simulations=budget) for budget in sorted(budgets)
    ]
    checkpoints = [
        network_agent(path, UNTRAINED if step == 0 else f"step {step:,}")
        for step, path in weights_along(run_folder, points).items()
    ]
    solved = perfect_moves(get_game(game_name)) is not None
    return [*anchors, *checkpoints, *([Agent(PERFECT, PERFECT, game_name)] if solved else [])]


def pairs_of(players: Sequence[Agent]) -> list[tuple[Agent, Agent]]:
    """Return who meets whom, the stronger one first; see the head of this module."""
    pairs = [
        (stronger, weaker)
        for place, weaker in enumerate(players)
        for stronger in players[place + 1 : place + 1 + NEIGHBOURS]
    ]
    pairs += [
        (checkpoint, mcts)
        for mcts in players
        if mcts.kind == PURE_MCTS
        for checkpoint in players
        if checkpoint.has_network
    ]
    return list(dict.fromkeys(pairs))


def balanced_openings(
    judge: Agent, setting: Setting, count: int, opening_moves: int, seed: int
) -> list[Moves]:
    """Return the `count` most even of four times as many random openings, by the value head of `judge`.

    An opening that is lost for one side gives each player a point with the right colour, and says nothing.
    """
    candidates = list(
        dict.fromkeys(draw_openings(get_game(judge.game), _CANDIDATES * count, opening_moves, seed))
    )
    _, values = make_policy_player(judge, setting).choose_and_value(candidates)
    most_even = sorted(range(len(candidates)), key=lambda place: (abs(values[place]), place))[:count]
    return [candidates[place] for place in sorted(most_even)]


def rate_run(
    pool: WorkerPool,
    setting: Setting,
    players: Sequence[Agent],
    games: int,
    opening_moves: int,
    seed: int,
    report: Report | None = None,
) -> RatedRun:
    """Return the ratings of `players`, whose last checkpoint judges the openings.

    Args:
        games: of each match, two from each opening.
        report: counts games that ended.
    """
    judge = [player for player in players if player.has_network][-1]
    openings = balanced_openings(judge, setting, games, opening_moves, seed)
    # A game too small for so many openings is played from those that there are.
    games = min(games, 2 * len(openings))
    matches = play_pairs(pool, pairs_of(players), setting, games, opening_moves, seed, report, openings)
    ratings = rating_list([match.pairing for match in matches], {RANDOM: 0.0})
    return RatedRun(ratings, matches, openings)
