"""How strong a run was at which moment, and when it got below given errors: time to strength.

Wall-clock time is all of it: the run (self-play and training) up to the moment the weights were kept, and the
evaluations of these and of all earlier weights, which somebody who wants to stop in time has to make.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alphazero.evaluation.agents import network_agent
from alphazero.evaluation.run import Session, curve_weights, score_answers, weights_along
from alphazero.evaluation.solved_positions import SolvedPosition
from alphazero.metrics.usage import UsageRecord
from alphazero.metrics.writer import CSV_NAME
from alphazero.training.weights_file import load_weights_file

ERRORS = (0.05, 0.02, 0.01, 0.005)  # mean errors of the search whose first moment is asked for
FORMAT = 1  # of strength.json


@dataclass(frozen=True)
class Point:
    """A run at one moment. Errors are means over the sets; None where it was not measured.

    Attributes:
        step, positions: training steps and self-play positions so far.
        run_time_s, cpu_s, device_s, energy_j: see `Usage`.
        evaluation_s: time that the evaluations of this point and of those before it took.
        policy_error, search_error: with the 95 % interval of the latter.
        value_mse: squared error of the value head.
    """

    step: int
    positions: int | None
    run_time_s: float
    cpu_s: float | None
    device_s: float | None
    energy_j: float | None
    evaluation_s: float
    policy_error: float
    search_error: float
    search_error_low: float
    search_error_high: float
    value_mse: float

    @property
    def wall_s(self) -> float:
        return self.run_time_s + self.evaluation_s


def measure_strength(
    session: Session,
    run_folder: Path,
    points: int,
    positions: Sequence[SolvedPosition],
    clock: Callable[[], float] = time.monotonic,
) -> list[Point]:
    """Return up to `points` moments of a run, from the weights it kept, the untrained network first.

    run_folder: with weights/step-*.safetensors, metrics.csv and usually model.safetensors, the final agent.
    """
    usage = UsageRecord(run_folder / CSV_NAME)
    # These say when they were kept, which the final agent's own file does not.
    kept_along = curve_weights(run_folder / "weights", points)
    measured: list[Point] = []
    evaluation_s = 0.0
    for step, path in weights_along(run_folder, points).items():
        started = clock()
        agent = network_agent(path, f"{run_folder.name}, step {step:,}")
        score = score_answers(agent.name, step, positions, session.answer(agent, positions))
        evaluation_s += clock() - started
        metadata, _ = load_weights_file(kept_along.get(step, path))
        seconds = float(metadata.get("run_time_s") or usage.time_of_step(step))
        generated = metadata.get("positions")
        measured.append(
            Point(
                step=step,
                positions=None if generated is None else int(generated),
                **asdict(usage.until(seconds)),
                evaluation_s=evaluation_s,
                policy_error=score.policy[-1].error,
                search_error=score.search[-1].error,
                search_error_low=score.search[-1].error_low,
                search_error_high=score.search[-1].error_high,
                value_mse=score.values[-1].value_mse,
            )
        )
    return measured


def strength_record(run: str, seed: int, points: Sequence[Point]) -> dict[str, Any]:
    """Return one run's part of strength.json."""
    return {
        "run": run,
        "seed": seed,
        "points": [{**asdict(point), "wall_s": point.wall_s} for point in points],
    }
