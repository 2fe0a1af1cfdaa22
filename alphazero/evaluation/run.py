"""The evaluation of an agent, and of a whole training run: what is measured, and in which order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from alphazero.config import Config
from alphazero.errors import UserError
from alphazero.evaluation.agents import PURE_MCTS, RANDOM, UNTRAINED, Agent, Setting, network_agent
from alphazero.evaluation.elo import Rating, rating_list
from alphazero.evaluation.exhaustive import MOST_POSITIONS, solve_game
from alphazero.evaluation.match import MatchResult
from alphazero.evaluation.solved_positions import (
    SetScore,
    SolvedPosition,
    ValueScore,
    load_pons_positions,
    score_moves,
    score_random_moves,
    score_values,
    thin_out,
    thinned_places,
)
from alphazero.evaluation.tasks import Answers, answer_positions, play_agents
from alphazero.evaluation.workers import Report, WorkerPool
from alphazero.folders import MODEL_NAME
from alphazero.games.registry import get_game, is_game
from alphazero.training.weights_file import load_weights_file

# What is being done, how much of it is done, how much there is.
Progress = Callable[[str, int, int], None]

_WEIGHTS_NAME = re.compile(r"step-(\d+)\.safetensors")


@dataclass(frozen=True)
class AgentScore:
    """An agent on the solved positions: each list has an entry a set and last the mean over the sets.

    `simulations_per_second` counts the simulations that were done: a search ends when its answer is
    certain. None if no position needed one.
    """

    agent: str
    step: int | None
    policy: list[SetScore]
    search: list[SetScore]
    values: list[ValueScore]
    simulations_per_second: float | None


@dataclass(frozen=True)
class Evaluation:
    """All that was measured.

    Attributes:
        game: name of the game.
        simulations: simulations a move of the search.
        solved_note: which solved positions were used, or why there are none.
        random: errors of random moves, exact; empty without solved positions.
        scores: agents on all solved positions; of a run the untrained and the final one.
        curve: agents along the run, all on the same smaller choice of positions.
        matches: from the evaluated agent's point of view.
        ratings: of all players that met; the evaluated agent, which played all the matches, is 0.
    """

    game: str
    simulations: int
    solved_note: str
    random: list[SetScore] = field(default_factory=list)
    scores: list[AgentScore] = field(default_factory=list)
    curve: list[AgentScore] = field(default_factory=list)
    matches: list[MatchResult] = field(default_factory=list)
    ratings: list[Rating] = field(default_factory=list)


@dataclass(frozen=True)
class Session:
    """Processes to work with, what is the same for all agents, and whom to tell how far things are."""

    pool: WorkerPool
    setting: Setting
    progress: Progress

    def answer(self, agent: Agent, positions: Sequence[SolvedPosition]) -> Answers:
        """Return what `agent` answers to the positions."""
        with self._counted(f"{agent.name}: solved positions", len(positions)) as report:
            return answer_positions(self.pool, agent, self.setting, positions, report)

    def play(self, agent_a: Agent, agent_b: Agent, games: int, opening_moves: int, seed: int) -> MatchResult:
        """Return the result of a match."""
        with self._counted(f"{agent_a.name} against {agent_b.name}: games", games) as report:
            return play_agents(self.pool, agent_a, agent_b, self.setting, games, opening_moves, seed, report)

    @contextmanager
    def _counted(self, what: str, total: int) -> Iterator[Report]:
        done = 0

        def report(parts: int) -> None:
            nonlocal done
            done += parts
            self.progress(what, done, total)

        self.progress(what, 0, total)
        yield report


def evaluate_agent(
    session: Session,
    agent: Agent,
    opponents: Sequence[Agent],
    positions: Sequence[SolvedPosition],
    solved_note: str,
    games: int,
    opening_moves: int,
    seed: int,
) -> Evaluation:
    """Return how `agent` does on the positions (none: left out) and in a match with each opponent."""
    scores = []
    if positions and agent.has_network:
        answers = session.answer(agent, positions)
        scores.append(score_answers(agent.name, None, positions, answers))
    matches = [session.play(agent, opponent, games, opening_moves, seed) for opponent in opponents]
    return Evaluation(
        game=agent.game,
        simulations=session.setting.search.simulations,
        solved_note=solved_note,
        random=score_random_moves(positions) if positions else [],
        scores=scores,
        matches=matches,
        ratings=_ratings(matches, agent.name),
    )


def evaluate_run(run_folder: Path, config: Config, workers: int, progress: Progress) -> Evaluation:
    """Evaluate a training run from the weights it kept.

    The untrained and the final network on all solved positions, `evaluation.curve_points` networks along
    the run on fewer of them, and matches of the final one against random moves, pure MCTS, the untrained
    network and the one from the middle of the run.

    Args:
        run_folder: holds weights/step-*.safetensors, step 0 being the untrained network, and usually
            model.safetensors, the final one; without it the newest weights are.
        workers: processes; 0: this process alone (for a GPU).

    Raises UserError if `config` is of another game.
    """
    evaluation = config.evaluation
    agents = _agents_along(run_folder, evaluation.curve_points)
    steps = sorted(agents)
    played = agents[steps[-1]].game
    if not is_game(config.run.game, played):
        raise UserError(
            f"{run_folder} holds agents of {played}, but the configuration is of a run of {config.run.game}; give "
            "the one of that run"
        )
    untrained, middle, final = agents[steps[0]], agents[steps[len(steps) // 2]], agents[steps[-1]]
    random_player = Agent(RANDOM, RANDOM, config.run.game)
    pure_mcts = Agent(PURE_MCTS, PURE_MCTS, config.run.game)
    opponents = [
        each for each in dict.fromkeys((random_player, pure_mcts, untrained, middle)) if each != final
    ]

    positions, solved_note = solved_positions_of(config.run.game, evaluation.positions_per_set)
    subset_places = thinned_places(positions, evaluation.curve_positions_per_set)
    subset = [positions[place] for place in subset_places]
    scores, curve = [], []
    with WorkerPool(workers) as pool:
        session = Session(pool, Setting.of(config), progress)
        for step in steps if positions else []:
            agent = agents[step]
            if agent in (untrained, final):
                all_answers = session.answer(agent, positions)
                scores.append(score_answers(agent.name, step, positions, all_answers))
                answers = all_answers.choose(subset_places)
            else:
                answers = session.answer(agent, subset)
            curve.append(score_answers(agent.name, step, subset, answers))
        matches = [
            session.play(final, opponent, evaluation.match_games, evaluation.opening_moves, config.run.seed)
            for opponent in opponents
        ]
    return Evaluation(
        game=config.run.game,
        simulations=evaluation.simulations,
        solved_note=solved_note,
        random=score_random_moves(positions) if positions else [],
        scores=scores,
        curve=curve,
        matches=matches,
        ratings=_ratings(matches, final.name),
    )


def score_answers(
    name: str, step: int | None, positions: Sequence[SolvedPosition], answers: Answers
) -> AgentScore:
    """Return the errors of an agent's answers."""
    return AgentScore(
        agent=name,
        step=step,
        policy=score_moves(positions, answers.policy_actions),
        search=score_moves(positions, answers.search_actions),
        values=score_values(positions, answers.values),
        simulations_per_second=(
            answers.simulations / answers.search_seconds if answers.simulations else None
        ),
    )


def solved_positions_of(game_name: str, positions_per_set: int | None) -> tuple[list[SolvedPosition], str]:
    """Return the solved positions there are for a game, and a sentence about them."""
    if game_name == "connect_four":
        positions = load_pons_positions(positions_per_set)
        return positions, f"{len(positions):,} positions of Pascal Pons's six Connect Four sets"
    solved = solve_game(get_game(game_name))
    if solved is None:
        return [], (
            f"no solved positions for {game_name}: none come with the package, and it has more than "
            f"{MOST_POSITIONS:,} positions, too many to solve here, or states that are not equal when they "
            "are reached twice; matches only"
        )
    positions = thin_out(solved, positions_per_set)
    return (
        positions,
        f"{len(positions):,} of the {len(solved):,} positions of {game_name}, solved by trying all",
    )


def curve_weights(folder: Path, points: int) -> dict[int, Path]:
    """Return up to `points` weights files by training step, evenly spaced, the first and last included.

    Raises UserError if the folder has none.
    """
    found = {
        int(match.group(1)): path
        for path in sorted(folder.glob("step-*.safetensors"))
        if (match := _WEIGHTS_NAME.fullmatch(path.name))
    }
    if not found:
        raise UserError(
            f"{folder} has no weights called step-NUMBER.safetensors; give the folder of a training run"
        )
    steps = sorted(found)
    count = min(max(points, 2), len(steps))
    chosen = {steps[round(i * (len(steps) - 1) / max(count - 1, 1))] for i in range(count)}
    return {step: found[step] for step in sorted(chosen)}


def weights_along(run_folder: Path, points: int) -> dict[int, Path]:
    """Return weights files of a run by training step, in order: points of the learning curve and the final agent.

    The final agent is model.safetensors in the run's folder, which takes the place of what was kept at its step;
    without it the newest weights are.
    """
    weights = curve_weights(run_folder / "weights", points)
    model = run_folder / MODEL_NAME
    if model.exists():
        metadata, _ = load_weights_file(model)
        weights[int(metadata.get("step", max(weights)))] = model
    return dict(sorted(weights.items()))


def _agents_along(run_folder: Path, points: int) -> dict[int, Agent]:
    """Return the agents of `weights_along`, the first and the last named for what they are."""
    weights = weights_along(run_folder, points)
    steps = list(weights)
    names = {step: f"step {step:,}" for step in steps}
    names[steps[-1]] = f"final (step {steps[-1]:,})"
    if steps[0] == 0:
        names[0] = UNTRAINED
    return {step: network_agent(weights[step], names[step]) for step in steps}


def _ratings(matches: Sequence[MatchResult], evaluated: str) -> list[Rating]:
    """Rate all players that met, the evaluated one as 0: nobody met anybody else."""
    return rating_list([match.pairing for match in matches], {evaluated: 0.0}) if matches else []
