"""Trains, questions and compares all configurations of a plan, and leaves one file with what was found.

    round 1:  reference a b c ...  | their answers      (each a training with a seed of its own)
    round 2:  reference a b c ...  | their answers
    ...                                                  until the plan's runs are made or its time is over
    then:     matches against the reference's agents, comparisons, verdicts

A training that is there is not done again, so a session that was stopped goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alphazero.config import Config
from alphazero.config_loading import config_to_toml
from alphazero.evaluation.agents import Agent, Setting
from alphazero.evaluation.run import solved_positions_of
from alphazero.evaluation.solved_positions import SolvedPosition, set_names
from alphazero.evaluation.tasks import play_pairs
from alphazero.evaluation.workers import WorkerPool
from alphazero.hardware.probe import probe_hardware
from alphazero.metrics.provenance import collect_provenance
from alphazero.quality.agents import agent_at, effort, final_agent, scores
from alphazero.quality.comparison import Comparison, compare, mean_over_sets
from alphazero.quality.plan import (
    PROFILE,
    REFERENCE,
    Plan,
    Variant,
    configuration,
    same_training,
    training_key,
)
from alphazero.quality.statistics import FloatArray
from alphazero.quality.trainings import Training, train_all

FORMAT = 1  # of quality.json
FEWEST_RUNS = 2
SHARE_FOR_TRAINING = 0.75  # of the plan's minutes; matches come after
_MATCH_SEED = 20_000

Runs = dict[str, list[Training]]
Scores = dict[str, list[Mapping[str, FloatArray]]]


@dataclass(frozen=True)
class Bench:
    """What a session works with: processes, the positions, how agents search, cores, and whom to tell.

    `evaluation_hash` stands for the sources that answers are made by; `side_by_side` is how many trainings of one
    process go on at once at most.
    """

    pool: WorkerPool
    positions: Sequence[SolvedPosition]
    setting: Setting
    opening_moves: int
    cores: int
    say: Callable[[str], None]
    evaluation_hash: str
    side_by_side: int

    @property
    def sets(self) -> list[str]:
        return [position.set for position in self.positions]


class Session:
    """One comparison of all configurations.

    Args:
        variants: the reference first.
        profile: the resolved configuration of the hardware profile.
        folder: where trainings are kept, each under a name made of its settings and `source_hash`.
        half_precision: see `same_training`.
    """

    def __init__(
        self,
        plan: Plan,
        variants: Sequence[Variant],
        profile: Config,
        folder: Path,
        source_hash: str,
        half_precision: bool = True,
    ) -> None:
        self.plan = plan
        self.variants = list(variants)
        self.profile = profile
        self._folder = folder
        self._source_hash = source_hash
        self._trained = [
            each for each in variants if not same_training(each, variants[0], plan, profile, half_precision)
        ]

    def trainings(self, number: int) -> list[Training]:
        """Return run `number` of every configuration that needs runs of its own."""
        trainings = []
        for variant in self._trained:
            config = configuration(variant, self.variants[0], self.plan, self.profile, number)
            folder = self._folder / f"{variant.name}-{number}-{training_key(config, self._source_hash)}"
            trainings.append(Training(f"{variant.name} {number}", config, folder))
        return trainings

    def run(self, bench: Bench, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
        """Do everything and return the document, ready for JSON."""
        runs, answered = self._train_and_ask(bench, clock)
        reference = runs[REFERENCE]
        comparisons: dict[str, Comparison] = {}
        for variant in self._trained[1:]:
            own = runs[variant.name]
            bench.say(f"{variant.name}: {len(own)} x {len(reference)} matches against the reference")
            points, games = self._play(bench, [final_agent(run) for run in own], reference, final_agent)
            # The other rows differ from the reference in a setting each, and hardly in time.
            at_time, games_at_time = (
                self._play_at_equal_time(bench, own, reference) if variant.base == PROFILE else (None, 0)
            )
            comparisons[variant.name] = compare(
                answered[variant.name],
                answered[REFERENCE],
                bench.sets,
                self.plan.margins,
                points,
                games,
                at_time,
                games_at_time,
            )
            bench.say(f"{variant.name}: {comparisons[variant.name].verdict}")
        return self._document(bench, runs, answered, comparisons)

    def _train_and_ask(self, bench: Bench, clock: Callable[[], float]) -> tuple[Runs, Scores]:
        started, longest = clock(), 0.0
        runs: Runs = {variant.name: [] for variant in self._trained}
        answered: Scores = {variant.name: [] for variant in self._trained}
        for number in range(self.plan.runs):
            begun = clock()
            end = begun - started + longest
            if number >= FEWEST_RUNS and end > SHARE_FOR_TRAINING * 60 * self.plan.minutes:
                bench.say(f"{number} runs of each configuration: there is no time for another")
                break
            bench.say(f"run {number + 1} of {self.plan.runs} of {len(self._trained)} configurations")
            trainings = self.trainings(number)
            train_all(trainings, bench.side_by_side, bench.say)
            for variant, training in zip(self._trained, trainings, strict=True):
                runs[variant.name].append(training)
                answered[variant.name].append(
                    scores(training, bench.pool, bench.setting, bench.positions, bench.evaluation_hash)
                )
            longest = max(longest, clock() - begun)
        return runs, answered

    def _play(
        self,
        bench: Bench,
        own: Sequence[Agent],
        reference: Sequence[Training],
        agent_of: Callable[[Training], Agent],
    ) -> tuple[FloatArray, int]:
        """Return the share of points of each agent against each of the reference [R, R'], and the games."""
        others = [agent_of(training) for training in reference]
        pairs = [(one, other) for one in own for other in others]
        results = play_pairs(
            bench.pool, pairs, bench.setting, self.plan.match_games, bench.opening_moves, _MATCH_SEED
        )
        points = np.array([result.total.points for result in results])
        return points.reshape(len(own), len(others)), sum(result.total.games for result in results)

    def _play_at_equal_time(
        self, bench: Bench, own: Sequence[Training], reference: Sequence[Training]
    ) -> tuple[FloatArray, int]:
        """Both as they were when the faster one had just ended; the slower's weights of just before or after,
        whichever is better for the reference."""
        times = [
            float(np.mean([effort(run, bench.cores).core_s for run in runs])) for runs in (own, reference)
        ]
        at = min(times)

        def ours(training: Training) -> Agent:
            return final_agent(training) if times[0] <= at else agent_at(training, at, bench.cores, False)

        def theirs(training: Training) -> Agent:
            return final_agent(training) if times[1] <= at else agent_at(training, at, bench.cores, True)

        return self._play(bench, [ours(training) for training in own], reference, theirs)

    def _document(
        self, bench: Bench, runs: Runs, answered: Scores, comparisons: Mapping[str, Comparison]
    ) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "plan": {**asdict(replace(self.plan, settings={})), "settings": dict(self.plan.settings)},
            "game": self.profile.run.game,
            "hardware_profile": self.profile.hardware_profile,
            "simulations": bench.setting.search.simulations,
            "positions": len(bench.positions),
            "sets": set_names(bench.positions),
            "config_toml": config_to_toml(self.trainings(0)[0].config),
            "hardware": probe_hardware().to_json(),
            "provenance": collect_provenance(),
            "variants": [
                self._variant_record(bench, variant, runs, answered, comparisons) for variant in self.variants
            ],
        }

    def _variant_record(
        self,
        bench: Bench,
        variant: Variant,
        runs: Runs,
        answered: Scores,
        comparisons: Mapping[str, Comparison],
    ) -> dict[str, Any]:
        record = {key: value for key, value in vars(variant).items() if key != "settings"}
        record["settings"] = dict(variant.settings)
        record["runs"] = [
            {
                "seed": training.config.run.seed,
                **asdict(effort(training, bench.cores)),
                **{metric: mean_over_sets(of_run[metric][None, :], bench.sets) for metric in of_run},
            }
            for training, of_run in zip(
                runs.get(variant.name, []), answered.get(variant.name, []), strict=True
            )
        ]
        comparison = comparisons.get(variant.name)
        record["comparison"] = None if comparison is None else _comparison_record(comparison)
        return record


def positions_of(game: str, plan: Plan) -> list[SolvedPosition]:
    """Return the solved positions that every agent answers; none where the game has no solved ones."""
    return solved_positions_of(game, plan.positions_per_set)[0]


def _comparison_record(comparison: Comparison) -> dict[str, Any]:
    return {
        "verdict": comparison.verdict,
        "games": comparison.games,
        "equal_time_games": comparison.equal_time_games,
        "metrics": [
            {
                "metric": judgement.metric,
                **asdict(judgement.difference),
                "margin": judgement.margin,
                "verdict": judgement.verdict,
            }
            for judgement in comparison.judgements
        ],
        "sets": [
            {
                **{key: value for key, value in vars(difference).items() if key != "difference"},
                **asdict(difference.difference),
            }
            for difference in comparison.sets
        ],
    }
