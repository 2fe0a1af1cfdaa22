"""Which configurations are measured: every phase in three readings, and the plan's own ladder.

    baseline             the starting point
    ladder/<phase>       the baseline with all phases up to this one
    alone/<phase>        the baseline with this phase only
    without/<phase>      all phases but this one
    plan/<phase>         all phases of the plan up to this one, with the plan's numbers and nothing else

Many are the same in effect: page-locked memory does nothing on a CPU, a server's batch size nothing where
there is no server. `effective_settings` says what is left, so that equals are measured once.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from alphazero.benchmark.phases import BASELINE, Overlay, Phase
from alphazero.config import Config
from alphazero.config_layers import Layer, config_from_layer
from alphazero.config_validation import Value, flatten, validate

LADDER, ALONE, WITHOUT, PLAN = "ladder", "alone", "without", "plan"
READINGS = (BASELINE, LADDER, ALONE, WITHOUT, PLAN)


@dataclass(frozen=True)
class Variant:
    """One configuration to measure.

    Attributes:
        name: "baseline", or reading/phase.
        against: the variant that shows what this phase does: the rung below, the baseline, or (reading
            `without`) the whole ladder, whose speed is then divided by this one's.
    """

    name: str
    reading: str
    phase: str
    against: str
    config: Config


def plan_variants(
    phases: Sequence[Phase], profile: Config, on_cpu: bool, readings: Sequence[str] = READINGS
) -> list[Variant]:
    """Return the variants of `readings`, the baseline first.

    Args:
        phases: the baseline first, in the order of the ladder.
        profile: the resolved configuration of the hardware profile.
        on_cpu: whether there is no CUDA device to use.
    """
    start, rungs = phases[0].overlay, list(phases[1:])
    planned = [phase for phase in rungs if phase.as_planned is not None]

    def built(overlays: Sequence[Overlay]) -> Config:
        return _configuration(profile, [start, *overlays], on_cpu)

    variants = [Variant(BASELINE, BASELINE, BASELINE, BASELINE, built([]))]
    full = f"{LADDER}/{rungs[-1].name}" if rungs else BASELINE
    for place, phase in enumerate(rungs):
        below = f"{LADDER}/{rungs[place - 1].name}" if place else BASELINE
        up_to = [rung.overlay for rung in rungs[: place + 1]]
        others = [rung.overlay for rung in rungs if rung is not phase]
        variants += [
            Variant(f"{LADDER}/{phase.name}", LADDER, phase.name, below, built(up_to)),
            Variant(f"{ALONE}/{phase.name}", ALONE, phase.name, BASELINE, built([phase.overlay])),
            Variant(f"{WITHOUT}/{phase.name}", WITHOUT, phase.name, full, built(others)),
        ]
    for place, phase in enumerate(planned):
        below = f"{PLAN}/{planned[place - 1].name}" if place else BASELINE
        overlays = [rung.as_planned for rung in planned[: place + 1] if rung.as_planned is not None]
        variants.append(Variant(f"{PLAN}/{phase.name}", PLAN, phase.name, below, built(overlays)))
    wanted = [variant for variant in variants if variant.reading in (BASELINE, *readings)]
    return sorted(wanted, key=lambda variant: READINGS.index(variant.reading))


def variants_of_phase(variants: Sequence[Variant], phase: str) -> list[Variant]:
    """Return the variants that are needed to judge one phase: its own, and those it is compared with."""
    own = [variant for variant in variants if variant.phase == phase]
    needed = {BASELINE, *(variant.name for variant in own), *(variant.against for variant in own)}
    return [variant for variant in variants if variant.name in needed]


def effective_settings(config: Config, on_cpu: bool, best_backend: str, bfloat16: bool) -> dict[str, Value]:
    """Return the settings that self-play's speed depends on, with those that do nothing made equal.

    Which engine 'auto' stands for is measured later, so it is equal to no other.

    Args:
        best_backend: what search.mcts_backend 'auto' means here.
        bfloat16: whether the CPU computes in it.
    """
    kept = ("network.", "search.", "inference.", "selfplay.", "run.game", "run.seed")
    settings = {name: value for name, value in flatten(config).items() if name.startswith(kept)}
    inference = config.inference
    if config.search.mcts_backend == "auto":
        settings["search.mcts_backend"] = best_backend
    settings["inference.device"] = "cpu" if on_cpu else inference.device
    idle = ["selfplay.max_restarts"]
    if on_cpu:
        idle.append("inference.pinned_memory")
        halves = ("auto", "frozen", "winograd", "openvino", "compiled")
        settings["inference.use_amp"] = inference.use_amp and inference.engine in halves and bfloat16
    if inference.placement == "local":
        idle += [
            f"inference.{name}" for name in ("transport", "batch_size", "batch_timeout_ms", "collection")
        ]
        idle += ["inference.min_fill", "selfplay.groups"]
    elif inference.collection == "drain":  # it never waits, and takes no more than is in play
        idle += ["inference.min_fill", "inference.batch_timeout_ms"]
        in_play = config.selfplay.actors * config.selfplay.games_per_actor
        settings["inference.batch_size"] = min(inference.batch_size, in_play)
    return {name: value for name, value in settings.items() if name not in idle}


def learner_settings(config: Config, on_cpu: bool, bfloat16: bool) -> dict[str, Value]:
    """Return the settings that the learner's speed depends on; `bfloat16`: whether the CPU computes in it."""
    kept = (
        "batch_size",
        "optimizer",
        "symmetries",
        "side_position_weight",
        "late_position_weight",
        "weight_average_decay",
        "use_amp",
        "pinned_memory",
        "threads",
    )
    settings = {f"training.{name}": getattr(config.training, name) for name in kept}
    if on_cpu:
        settings["training.use_amp"] = config.training.use_amp and bfloat16
        del settings["training.pinned_memory"]
    network = {name: value for name, value in flatten(config).items() if name.startswith("network.")}
    taught = {"ownership_is_taught": config.ownership_is_taught}
    return {"run.game": config.run.game, **network, **settings, **taught}


def key_of(kind: str, settings: dict[str, Value], *depends_on: str) -> str:
    """Return 16 hex digits that name a measurement: what is measured, under which settings, of which code."""
    text = json.dumps([kind, settings, *depends_on], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _configuration(profile: Config, overlays: Sequence[Overlay], on_cpu: bool) -> Config:
    """Return the profile's configuration with `overlays` put over it, one after the other."""
    of_profile = flatten(profile)
    values: Layer = dict(of_profile)
    for overlay in overlays:
        values |= overlay.settings
        if on_cpu:
            values |= overlay.on_cpu
        values |= {name: of_profile[name] for name in overlay.from_profile}
    config = config_from_layer(values)
    if any(overlay.fill_batch for overlay in overlays):
        needed = math.ceil(config.inference.batch_size / config.selfplay.actors)
        values["selfplay.games_per_actor"] = max(config.selfplay.games_per_actor, needed)
    # Without the phase that brings more games there are not enough for two groups.
    games = values["selfplay.games_per_actor"]
    values["selfplay.groups"] = min(int(values["selfplay.groups"]), int(games))
    config = config_from_layer(values)
    validate(config)
    return config
