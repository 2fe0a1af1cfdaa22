"""Measures the phases of the benchmark on this machine, and leaves one file with all that was found.

The file (`measurements.json`) holds the raw windows, not only what they come to, so that tables can be made
again from it, anywhere and later. `summary` does that.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alphazero.benchmark.engine_speed import EngineOrder, engine_processes, measure_inference
from alphazero.benchmark.phases import BASELINE, Phase
from alphazero.benchmark.search_proof import SearchProof
from alphazero.benchmark.session import Budget, Job, Measurer, Session
from alphazero.benchmark.variants import (
    LADDER,
    Variant,
    effective_settings,
    key_of,
    learner_settings,
    plan_variants,
)
from alphazero.benchmark.window import (
    Window,
    initial_weights,
    measure_learner_window,
    measure_selfplay_window,
)
from alphazero.benchmark.window_log import CEILING, LEARNER, SELFPLAY, WindowLog
from alphazero.config import Config
from alphazero.config_loading import ResolvedConfig, config_to_toml
from alphazero.config_validation import Value
from alphazero.documents import read_document
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.hardware.description import Hardware
from alphazero.hardware.fit import most_cached_positions
from alphazero.hardware.probe import probe_hardware
from alphazero.mcts import get_best_mcts_backend
from alphazero.metrics.provenance import collect_provenance
from alphazero.network.engines import resolve_device
from alphazero.network.frozen_engine import computes_in_bfloat16
from alphazero.selfplay.engine_at_start import engine_rows, settle_engine

FORMAT = 1  # of measurements.json
_KEYS = ("game", "hardware", "hardware_profile", "provenance", "simulations", "variants", "windows")


class RealMeasurer:
    """Measures with the code that training runs."""

    def selfplay(self, config: Config, budget: Budget, number: int) -> Window:
        return measure_selfplay_window(config, budget.window_s, budget.warm_up_s, number)

    def learner(self, config: Config, budget: Budget, number: int) -> Window:
        return measure_learner_window(config, budget.learner_s, budget.learner_steps)

    def ceiling(self, config: Config, budget: Budget, number: int) -> Window:
        started = time.perf_counter()
        # The engine that self-play of this configuration takes for 'auto', which was measured in this process.
        config, _ = settle_engine(
            config, initial_weights(config), str(resolve_device(config.inference.device))
        )
        order = EngineOrder(config.inference.engine, config.inference.use_amp)
        speed = measure_inference(config, budget.ceiling_s, [order])
        rates = {str(rate.batch_size): rate.evaluations_per_second.value for rate in speed.rates}
        return Window(time.perf_counter() - started, rates, speed.rates[0].engine)


@dataclass(frozen=True)
class _Keys:
    selfplay: str
    learner: str
    ceiling: str


class Measurement:
    """All configurations of the benchmark on one machine, and the windows measured of them so far.

    Args:
        phases: the baseline first, see `read_phases`.
        resolved: the configuration of the hardware profile.
        log: windows of earlier goes, and room for new ones.
        source_hash: of the code that is measured; other code gives other windows, as do other libraries.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        resolved: ResolvedConfig,
        log: WindowLog,
        source_hash: str,
        budget: Budget,
        readings: Sequence[str],
        only: Callable[[list[Variant]], list[Variant]] = lambda variants: variants,
    ) -> None:
        if resolved.config.inference.simulated:
            raise UserError(
                "inference.engine is a simulated device, and what it yields is no measurement of this "
                "machine; "
                "choose another engine (alphazero measure selfplay takes simulated ones)"
            )
        self.phases = phases
        self.resolved = resolved
        self.log = log
        self.budget = budget
        self.device = str(resolve_device(resolved.config.inference.device))
        self._on_cpu = self.device == "cpu"
        self._source_hash = source_hash
        self._bfloat16 = computes_in_bfloat16()
        self._best_backend = get_best_mcts_backend()
        planned = plan_variants(phases, resolved.config, self._on_cpu, readings)
        hardware = resolved.hardware or probe_hardware()
        self.variants = [_within_memory(variant, hardware) for variant in only(planned)]
        self._keys = {variant.name: self._keys_of(variant.config) for variant in self.variants}
        self.jobs = self._jobs()

    def plan_lines(self) -> list[str]:
        """Return what is going to be measured and how long it will take, for people."""
        counts = {
            kind: [job for job in self.jobs if job.kind == kind] for kind in (SELFPLAY, LEARNER, CEILING)
        }
        budget = self.budget
        missing = [
            job for job in self.jobs if len(self.log.measured(job.key)) < min(budget.rounds, job.rounds)
        ]
        total = sum(
            budget.estimated_s(
                [job for job in missing if len(self.log.measured(job.key)) <= number < job.rounds]
            )
            for number in range(budget.rounds)
        )
        return [
            f"{len(self.variants)} rows, {len(counts[SELFPLAY])} different configurations of self-play, "
            f"{len(counts[LEARNER])} of the learner, {len(counts[CEILING])} ceilings; "
            f"{self.resolved.config.search.simulations} simulations a move in all of them",
            f"{budget.rounds} rounds with a window of {budget.window_s:g} s each, interleaved: about "
            f"{total / 60:.0f} minutes, no round begun that would end after {budget.minutes:g}",
            f"{len(self.jobs) - len(missing)} of {len(self.jobs)} measured already"
            if len(missing) < len(self.jobs)
            else "nothing measured yet",
        ]

    def run(self, measurer: Measurer, say: Callable[[str], None]) -> None:
        """Measure what is missing."""
        baseline = next(job for job in self.jobs if job.key == self._keys[BASELINE].selfplay)
        name = f"{time.time_ns()}-{os.getpid()}"
        Session(self.log, measurer, self.budget, self.jobs, baseline, name, say).run()

    def document(self) -> dict[str, Any]:
        """Return everything that is known now, ready for JSON; includes the proofs of unchanged search."""
        config = self.resolved.config
        game = get_game(config.run.game)
        proof = SearchProof(game, replace(self.variants[0].config.search, mcts_backend="python"))
        return {
            "format": FORMAT,
            "game": config.run.game,
            "seed": config.run.seed,
            "simulations": config.search.simulations,
            "hardware_profile": config.hardware_profile,
            "profile_reason": self.resolved.profile_reason,
            "device": self.device,
            "network": asdict(self.variants[0].config.network),
            "budget": asdict(self.budget),
            "hardware": (self.resolved.hardware or probe_hardware()).to_json(),
            "provenance": collect_provenance(),
            "config_toml": config_to_toml(config),
            "phases": [_phase_record(phase) for phase in self.phases],
            "variants": [self._variant_record(variant, proof) for variant in self.variants],
            "windows": [
                asdict(row) for job in self.jobs for row in (self.log.measured(job.key) or self._failure(job))
            ],
        }

    def _failure(self, job: Job) -> list[Any]:
        last = self.log.last(job.key)
        return [] if last is None else [last]

    def _variant_record(self, variant: Variant, proof: SearchProof) -> dict[str, Any]:
        unchanged: bool | None = None
        problem = ""
        try:
            unchanged = proof.is_unchanged(variant.config.search)
        except UserError as error:  # a tree backend that is not built
            problem = str(error)
        return {
            "name": variant.name,
            "reading": variant.reading,
            "phase": variant.phase,
            "against": variant.against,
            "keys": asdict(self._keys[variant.name]),
            "settings": self._effective(variant.config),
            "search_unchanged": unchanged,
            "search_problem": problem,
        }

    def _jobs(self) -> list[Job]:
        """Return what there is to measure: of configurations that are the same in effect, one."""
        jobs: dict[str, Job] = {}
        for variant in self.variants:
            keys, config = self._keys[variant.name], variant.config
            for job in (
                Job(SELFPLAY, keys.selfplay, variant.name, config),
                Job(LEARNER, keys.learner, f"learner of {variant.name}", config),
                Job(CEILING, keys.ceiling, f"ceiling of {variant.name}", config, rounds=1),
            ):
                jobs.setdefault(job.key, job)
        return list(jobs.values())

    def _keys_of(self, config: Config) -> _Keys:
        versions = (platform.python_version(), np.__version__, str(torch.__version__))
        lengths = repr((self.budget.window_s, self.budget.warm_up_s))
        window = (self._source_hash, self.device, *versions, lengths)
        settings = self._effective(config)
        ceiling = {
            name: value
            for name, value in settings.items()
            if name.startswith("network.")
            or name
            in ("inference.engine", "inference.use_amp", "inference.threads", "inference.pinned_memory")
        }
        if config.inference.engine == "auto":
            ceiling["rows"] = engine_rows(config)  # by which `settle_engine` chooses
        ceiling["processes"] = engine_processes(config)
        ceiling["run.game"] = config.run.game
        return _Keys(
            key_of(SELFPLAY, settings, *window),
            key_of(LEARNER, learner_settings(config, self._on_cpu, self._bfloat16), *window),
            key_of(CEILING, ceiling, *window),
        )

    def _effective(self, config: Config) -> dict[str, Value]:
        return effective_settings(config, self._on_cpu, self._best_backend, self._bfloat16)


def full_name(phases: Sequence[Phase]) -> str:
    """Return the name of the variant with all phases."""
    return f"{LADDER}/{phases[-1].name}"


def read_measurements(path: Path) -> dict[str, Any]:
    """Return what `write_document` wrote; UserError if it is something else."""
    return read_document(path, "measurements.json", FORMAT, _KEYS, "alphazero benchmark measure")


def _phase_record(phase: Phase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "order": phase.order,
        "title": phase.title,
        "caption": phase.caption,
        "judged_by": phase.judged_by,
        "quality": phase.quality,
        "expected": None if phase.expected is None else asdict(phase.expected),
    }


def _within_memory(variant: Variant, hardware: Hardware) -> Variant:
    """Return `variant` with caches no larger than the memory allows: a phase file does not know the machine."""
    config = variant.config
    most = most_cached_positions(config, hardware, get_game(config.run.game))
    positions = min(config.inference.cache_positions, most)
    return replace(
        variant, config=replace(config, inference=replace(config.inference, cache_positions=positions))
    )
