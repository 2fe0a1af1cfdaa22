"""`alphazero measure learner`: training steps a second, and whether the learner is fed as fast as it eats."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from alphazero.commands.measure_options import add_measure_arguments, interval_text, measured_config, say
from alphazero.commands.options import require_more_than_0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this part's options."""
    add_measure_arguments(parser, seconds=20.0)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the rates and return 0."""
    require_more_than_0(arguments, "seconds")
    config = measured_config(arguments)
    from alphazero.benchmark.learner_speed import measure_learner

    speed = measure_learner(config, arguments.seconds, say)
    settings = {"game": config.run.game, "network": asdict(config.network), "simulated": False}
    if arguments.json:
        print(json.dumps({**settings, **asdict(speed)}, indent=2))
        return 0
    network = config.network
    print(
        f"{config.run.game}, network {network.blocks} x {network.filters}, batches of {speed.batch_size}, "
        f"{speed.device}\n"
        f"{'training steps/s':<24}{interval_text(speed.training_steps_per_second, 2)}\n"
        f"{'batch on the device':<24}{interval_text(speed.training_steps_per_second_on_device, 2)} steps/s\n"
        f"{'share of it':<24}{interval_text(speed.fed_share, 3)}"
    )
    if speed.batch_copy_ms is not None:
        print(f"{'copy of a batch':<24}{speed.batch_copy_ms:.3f} ms")
    return 0
