"""`alphazero measure selfplay`: self-play as training runs it, and how close it is to the network alone."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from alphazero.commands.measure_options import add_measure_arguments, interval_text, measured_config, say
from alphazero.commands.options import require_at_least
from alphazero.config import Config
from alphazero.metrics.catalog import CATALOG, find_metric, format_metric

if TYPE_CHECKING:
    from alphazero.benchmark.selfplay_speed import SelfPlaySpeed

SHORTEST_S = 6.0  # ten slices that each hold a report of every process, which come twice a second


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this part's options."""
    add_measure_arguments(parser, seconds=30.0)
    parser.add_argument(
        "--warmup", type=float, default=5.0, metavar="S", help="time before that; default: %(default)s"
    )
    parser.add_argument(
        "--no-ceiling", action="store_true", help="leave out the network alone, and with it share_of_ceiling"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, print metrics and the limit, return 0."""
    require_at_least(arguments, seconds=SHORTEST_S, warmup=0)
    config = measured_config(arguments)
    from alphazero.benchmark.selfplay_speed import measure_selfplay

    speed = measure_selfplay(config, arguments.seconds, arguments.warmup, not arguments.no_ceiling, say)
    print(json.dumps(as_json(config, speed), indent=2) if arguments.json else "\n".join(lines(config, speed)))
    return 0


def as_json(config: Config, speed: SelfPlaySpeed) -> dict[str, object]:
    """Return the measurement as plain values."""
    from alphazero.benchmark.selfplay_speed import cores_to_feed

    ceiling = None if speed.ceiling is None else asdict(speed.ceiling)
    return {
        "game": config.run.game,
        "simulated": speed.simulated,
        "engine": speed.engine,
        "window_s": speed.window_s,
        "metrics": speed.metrics,
        "estimates": {name: asdict(estimate) for name, estimate in speed.estimates.items()},
        "ceiling": ceiling,
        "cores_to_feed": cores_to_feed(speed),
        "limit": speed.limit,
        "notes": speed.notes,
    }


def lines(config: Config, speed: SelfPlaySpeed) -> list[str]:
    """Return the metrics for people, in the catalog's order, the limit last."""
    from alphazero.benchmark.selfplay_speed import cores_to_feed

    network, search, selfplay = config.network, config.search, config.selfplay
    mark = "SIMULATED device, no measurement: " if speed.simulated else ""
    text = [
        f"{mark}{config.run.game}, network {network.blocks} x {network.filters}, {search.simulations} "
        f"simulations a move, {selfplay.actors} x {selfplay.games_per_actor} games, evaluation "
        f"{config.inference.placement}, engine {speed.engine}, {speed.window_s:.0f} s"
    ]
    for name in CATALOG:
        if name not in speed.metrics:
            continue
        value = format_metric(name, speed.metrics[name])
        if name in speed.estimates:
            value += f"   median {interval_text(speed.estimates[name])}"
        text.append(f"{find_metric(name).label:<24}{value}")
    if speed.ceiling is not None:
        text.append(
            f"{'network alone':<24}{speed.ceiling.evaluations_per_second_before:,.0f} evaluations/s before, "
            f"{speed.ceiling.evaluations_per_second_after:,.0f} after, batches of {speed.ceiling.batch_size}"
        )
    cores = cores_to_feed(speed)
    if cores is not None:
        a_core = speed.metrics["evaluations_per_core_second"]
        text.append(
            f"{'to feed the device':<24}{cores:.1f} cores like these, each {a_core:,.0f} evaluations/s"
        )
    text += [f"note: {note}" for note in speed.notes]
    text.append(f"limit: {speed.limit}" + (" (simulated)" if speed.simulated else ""))
    return text
