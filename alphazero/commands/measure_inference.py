"""`alphazero measure inference`: the network alone, by batch size and engine: the ceiling of self-play."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from alphazero.commands.measure_options import add_measure_arguments, interval_text, measured_config, say
from alphazero.commands.options import require_more_than_0
from alphazero.config import SIMULATED_PREFIX, Config
from alphazero.config_validation import check_value
from alphazero.errors import UserError

if TYPE_CHECKING:
    from alphazero.benchmark.engine_speed import InferenceSpeed

BAR_WIDTH = 30  # characters of the longest bar of the curve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this part's options."""
    add_measure_arguments(parser, seconds=30.0)
    parser.add_argument(
        "--engines",
        metavar="NAME,NAME",
        help="engines to measure, such as frozen,compiled; default: those that inference.engine=auto chooses from, "
        "and inference.engine",
    )
    parser.add_argument(
        "--curve",
        type=Path,
        metavar="FILE.toml",
        help="write the fastest engine's latencies as a device that can be simulated elsewhere: "
        "inference.engine=simulated:FILE.toml",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, print table and curve, return 0."""
    require_more_than_0(arguments, "seconds")
    config = measured_config(arguments)
    names = _engine_names(config, arguments.engines)
    from alphazero.benchmark.engine_speed import engine_orders, measure_inference, measured_device

    orders = engine_orders(config, measured_device(config), names)
    speed = measure_inference(config, arguments.seconds, orders, progress=say)
    print(json.dumps(as_json(config, speed), indent=2) if arguments.json else "\n".join(lines(config, speed)))
    if arguments.curve is not None:
        _write_curve(config, speed, arguments.curve)
        if not arguments.json:
            print(
                f"curve: {arguments.curve}; simulate it with --set inference.engine=simulated:{arguments.curve}"
            )
    return 0


def _engine_names(config: Config, text: str | None) -> list[str]:
    """Return the names in a list such as "frozen,compiled", each possible for `inference.engine`."""
    if text is None:
        return []
    names = text.split(",")
    for name in names:
        check_value("inference.engine", name, "--engines")
    if config.inference.simulated or any(name.startswith(SIMULATED_PREFIX) for name in names):
        raise UserError(
            "a simulated device is measured alone: name it with --set inference.engine, without --engines"
        )
    return names


def _write_curve(config: Config, speed: InferenceSpeed, path: Path) -> None:
    """Write the fastest engine's latencies by batch size, of each process."""
    from alphazero.metrics.provenance import collect_provenance
    from alphazero.network.simulated_engine import MeasuredDevice, write_curve

    engine, network = speed.ceiling.engine, config.network
    curve = [rate for rate in speed.rates if rate.engine == engine]
    simulated = "simulated, " if speed.simulated else ""
    device = MeasuredDevice(
        title=f"{speed.device}, {engine}, {simulated}{config.run.game} {network.blocks} x {network.filters}",
        rows=tuple(rate.batch_size for rate in curve),
        latency_us=tuple(1e3 * rate.inference_latency_ms for rate in curve),
    )
    provenance = collect_provenance()
    write_curve(
        path,
        device,
        f"Measured by `alphazero measure inference` at {provenance['time_utc']}, commit {provenance['commit']}"
        + (", with uncommitted changes" if provenance["dirty"] else "")
        + f",\nof {speed.processes} process(es). Holds for this game and network.",
    )


def as_json(config: Config, speed: InferenceSpeed) -> dict[str, object]:
    """Return the measurement as plain values."""
    return {
        "game": config.run.game,
        "network": asdict(config.network),
        "device": speed.device,
        "processes": speed.processes,
        "threads": speed.threads,
        "simulated": speed.simulated,
        "ceiling": asdict(speed.ceiling),
        "rates": [asdict(rate) for rate in speed.rates],
    }


def lines(config: Config, speed: InferenceSpeed) -> list[str]:
    """Return the table with its curve, a line each."""
    network = config.network
    where = f"{speed.processes} process{'es' if speed.processes > 1 else ''} of {speed.threads} thread" + (
        "s" if speed.threads > 1 else ""
    )
    mark = "SIMULATED device, no measurement: " if speed.simulated else ""
    ceiling = speed.ceiling
    highest = ceiling.evaluations_per_second.value
    text = [
        f"{mark}{config.run.game}, network {network.blocks} x {network.filters}, {speed.device}, {where}",
        f"{'engine':<18}{'batch':>6}{'evaluations/s':>38}{'ms':>9}",
    ]
    for rate in speed.rates:
        share = rate.evaluations_per_second.value / highest
        text.append(
            f"{rate.engine:<18}{rate.batch_size:>6}{interval_text(rate.evaluations_per_second):>38}"
            f"{rate.inference_latency_ms:>9.2f}  {'#' * round(BAR_WIDTH * share)}"
        )
    text.append(
        f"ceiling: {highest:,.0f} evaluations/s, {ceiling.engine}, batches of {ceiling.batch_size}"
        + (" (simulated)" if speed.simulated else "")
    )
    return text
