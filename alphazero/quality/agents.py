"""What came out of a training: its final agent, its agents along the way, and what they answer."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from alphazero.durable import replace_durably, write_durably
from alphazero.evaluation.agents import Agent, Setting, network_agent
from alphazero.evaluation.run import curve_weights
from alphazero.evaluation.solved_positions import SolvedPosition, value_classes
from alphazero.evaluation.tasks import Answers, answer_positions
from alphazero.evaluation.workers import WorkerPool
from alphazero.folders import MODEL_NAME
from alphazero.quality.statistics import FloatArray
from alphazero.quality.trainings import Training
from alphazero.run.run_files import SUMMARY_NAME
from alphazero.training.weights_file import load_weights_file


@dataclass(frozen=True)
class Effort:
    """What a run has used: counts, and processor time (run time x cores it had to itself)."""

    games: int
    positions: int
    steps: int
    run_time_s: float
    core_s: float


def effort(training: Training, cores: int) -> Effort:
    """Return what a finished training used on a machine with `cores` usable cores."""
    summary = json.loads((training.results / SUMMARY_NAME).read_text(encoding="utf-8"))
    seconds = float(summary["run_time_s"])
    used = training.cores or cores
    return Effort(summary["games"], summary["positions"], summary["steps"], seconds, seconds * used)


def final_agent(training: Training) -> Agent:
    """Return the agent that the training led to."""
    return network_agent(training.results / MODEL_NAME, training.label)


def agent_at(training: Training, core_s: float, cores: int, later: bool) -> Agent:
    """Return the agent that the training had after `core_s` of processor time.

    Weights are kept at some moments only: of the two around it the later one, or the earlier one.
    """
    used = training.cores or cores
    points = []
    for path in curve_weights(training.results / "weights", points=10**6).values():
        metadata, _ = load_weights_file(path)
        points.append((float(metadata["run_time_s"]) * used, path))
    after = [path for seconds, path in points if seconds >= core_s]
    before = [path for seconds, path in points if seconds <= core_s]
    if later:
        return network_agent(after[0], training.label) if after else final_agent(training)
    return network_agent(before[-1] if before else points[0][1], training.label)


def scores(
    training: Training,
    pool: WorkerPool,
    setting: Setting,
    positions: Sequence[SolvedPosition],
    evaluation_hash: str,
) -> dict[str, FloatArray]:
    """Return for each of POSITION_METRICS float64 [P], what the final agent scores on each position.

    The answers are kept beside the run, so that they are asked for once: for the simulations of `setting`, and for
    those of the run's self-play where they are others. Other settings, positions or code (`evaluation_hash`) have
    others.
    """

    def answers_of(setting: Setting) -> Answers:
        return _answers(training, pool, setting, positions, evaluation_hash)

    answers = answers_of(setting)
    simulations = training.config.search.simulations
    as_in_selfplay = replace(setting, search=replace(setting.search, simulations=simulations))
    selfplay_actions = answers_of(as_in_selfplay).search_actions
    results = np.array([position.result for position in positions], np.float64)
    values = np.array(answers.values)
    return {
        "policy_error": _errors(positions, answers.policy_actions),
        "search_error": _errors(positions, answers.search_actions),
        "selfplay_search_error": _errors(positions, selfplay_actions),
        "value_error": (value_classes(values) != results).astype(np.float64),
        "value_mse": (values - results) ** 2,
    }


def _answers(
    training: Training,
    pool: WorkerPool,
    setting: Setting,
    positions: Sequence[SolvedPosition],
    evaluation_hash: str,
) -> Answers:
    depends_on = json.dumps([asdict(setting), [asdict(position) for position in positions], evaluation_hash])
    key = hashlib.sha256(depends_on.encode()).hexdigest()[:10]
    path = training.folder / f"answers-{setting.search.simulations}-{key}.json"
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError):  # damaged ones are asked for again
        return Answers(**json.loads(path.read_text(encoding="utf-8")))
    answers = answer_positions(pool, final_agent(training), setting, positions)
    unfinished = path.with_suffix(".new")
    write_durably(unfinished, json.dumps(asdict(answers)).encode())
    replace_durably(unfinished, path)
    return answers


def _errors(positions: Sequence[SolvedPosition], actions: Sequence[int]) -> FloatArray:
    return np.array(
        [position.is_error(action) for position, action in zip(positions, actions, strict=True)], np.float64
    )
