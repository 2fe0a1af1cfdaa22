"""Chooses what engine 'auto' stands for, by measuring those that can run here against each other.

Every candidate first has to answer as the network in float32 does, within the bounds below; of those that do,
the fastest is taken. The rule's own choice (the first candidate) is kept unless another is clearly faster, so
that a busy moment of the machine does not decide.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from alphazero.errors import UserError
from alphazero.network.eager_engine import EagerEngine
from alphazero.network.engine_protocol import FloatArray, InferenceEngine, Observations
from alphazero.network.resnet import PolicyValueNetwork

# 99th percentiles, over the rows compared, of the differences to float32 eager.
LARGEST_PRIOR_DIFFERENCE = 0.02  # the largest of a row's: of a move's probability under the softmax over all
LARGEST_VALUE_DIFFERENCE = 0.03  # of a value from -1 to 1
CLEARLY_FASTER = 1.1  # rate / rate of the rule's own choice
ROUNDS = 5
WINDOW_S = 0.06  # of one candidate in one round: about a second for all of them
_QUANTILE = 0.99

MakeEngine = Callable[[str], InferenceEngine]


@dataclass(frozen=True)
class Candidate:
    """An engine that was tried.

    Attributes:
        name: as `make_engine` takes it.
        title: what the engine calls itself, with its precision; "" if it could not be made.
        evaluations_per_second: median of the rounds; None if it was rejected before.
        prior_difference, value_difference: 99th percentiles of the differences to float32 eager.
        problem: why it was rejected; "" if it was not.
    """

    name: str
    title: str = ""
    evaluations_per_second: float | None = None
    prior_difference: float = 0.0
    value_difference: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class EngineChoice:
    """The engine that 'auto' stands for here, and all that were tried.

    in_float32: none of them answered closely enough as float32 does: the engine is to compute in it.
    """

    name: str
    batch_size: int
    candidates: tuple[Candidate, ...]
    in_float32: bool = False

    def sentence(self) -> str:
        """Return what a person should be told."""
        if not self.candidates:
            return f"engine {self.name}: the process that was to measure engines was killed"
        tried = []
        for candidate in self.candidates:
            if candidate.evaluations_per_second is None:
                tried.append(f"{candidate.name} was left out: {candidate.problem}")
            else:
                tried.append(
                    f"{candidate.title} {candidate.evaluations_per_second:,.0f} evaluations/s "
                    f"(p99 of the difference to float32: prior {candidate.prior_difference:.4f}, "
                    f"value {candidate.value_difference:.4f})"
                )
        precision = " in float32" if self.in_float32 else ""
        return (
            f"engine {self.name}{precision}, by a short measurement in batches of {self.batch_size}: "
            + "; ".join(tried)
        )


def choose_engine(
    names: list[str],
    make: MakeEngine,
    network: PolicyValueNetwork,
    observations: Observations,
    clock: Callable[[], float] = time.perf_counter,
) -> EngineChoice:
    """Return the fastest of the engines `names` that answers as float32 does; "eager" in float32 if none does.

    Args:
        names: the rule's own choice first.
        make: makes an engine, of (a copy of) `network`; what it raises counts against the candidate.
        network: on the CPU, where float32 eager answers are computed for comparison.
        observations: uint8 [B, C, H, W], one batch as self-play would ask for.
        clock: seconds.
    """
    reference = EagerEngine(network, torch.device("cpu"), False, False, len(observations))
    expected = reference.evaluate(observations)
    candidates: dict[str, Candidate] = {}
    engines: dict[str, InferenceEngine] = {}
    for name in names:
        try:
            engine = make(name)
            title = engine.name
            answers = engine.evaluate(observations)
            candidates[name] = _compared(name, title, answers, expected)
        # a library's refusal, such as no CUDA graphs; UserError: no memory for a single row
        except (RuntimeError, ValueError, ImportError, UserError) as error:
            candidates[name] = Candidate(name, problem=f"{type(error).__name__}: {error}".splitlines()[0])
            continue
        if engine.name != title:
            problem = "it answers NaN or infinity, and fell back to float32"
            candidates[name] = Candidate(name, title, problem=problem)
        if not candidates[name].problem:
            engines[name] = engine
    rates: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            rates[name].append(_rate(engine, observations, clock))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    tried = tuple(
        Candidate(**{**vars(candidate), "evaluations_per_second": medians.get(candidate.name)})
        for candidate in candidates.values()
    )
    name = _fastest(medians) if medians else "eager"
    return EngineChoice(name, len(observations), tried, in_float32=not medians)


def _fastest(medians: dict[str, float]) -> str:
    """Return the first unless another is clearly faster."""
    first = next(iter(medians))
    best = max(medians, key=lambda name: medians[name])
    return best if medians[best] >= CLEARLY_FASTER * medians[first] else first


def _compared(
    name: str, title: str, answers: tuple[FloatArray, FloatArray], expected: tuple[FloatArray, FloatArray]
) -> Candidate:
    if not all(np.isfinite(array).all() for array in answers):
        return Candidate(name, title, problem="it answers NaN or infinity")
    # The worst move of each row: over all moves, chess's thousands of illegal ones would hide it.
    worst = np.abs(_softmax(answers[0]) - _softmax(expected[0])).max(axis=1)
    prior = float(np.quantile(worst, _QUANTILE))
    value = float(np.quantile(np.abs(answers[1] - expected[1]), _QUANTILE))
    problem = ""
    if prior > LARGEST_PRIOR_DIFFERENCE or value > LARGEST_VALUE_DIFFERENCE:
        problem = (
            f"p99 of its differences to float32 are {prior:.3f} (prior) and {value:.3f} (value), more than "
            f"{LARGEST_PRIOR_DIFFERENCE} and {LARGEST_VALUE_DIFFERENCE}"
        )
    return Candidate(name, title, None, prior, value, problem)


def _softmax(logits: FloatArray) -> FloatArray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    priors: FloatArray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return priors


def _rate(engine: InferenceEngine, observations: Observations, clock: Callable[[], float]) -> float:
    rows = 0
    start = clock()
    while (elapsed := clock() - start) < WINDOW_S or rows == 0:
        engine.evaluate(observations)
        rows += len(observations)
    return rows / elapsed
