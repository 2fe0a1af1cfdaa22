"""What the parts of `alphazero measure` that take a whole configuration have in common."""

from __future__ import annotations

import argparse
import sys

from alphazero.benchmark.statistics import Estimate
from alphazero.config import Config
from alphazero.config_arguments import add_config_arguments, config_from_arguments


def add_measure_arguments(parser: argparse.ArgumentParser, seconds: float) -> None:
    """Add the configuration's options, --seconds (default: `seconds`) and --json."""
    add_config_arguments(parser)
    parser.add_argument(
        "--seconds", type=float, default=seconds, metavar="S", help="time to take; default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print JSON (keys: docs/metrics.md)")


def measured_config(arguments: argparse.Namespace) -> Config:
    """Return the configuration that the options describe; what was fitted, and warnings, go to the terminal."""
    resolved = config_from_arguments(arguments)
    for line in resolved.summary_lines():
        say(line)
    return resolved.config


def say(text: str) -> None:
    """Tell the person at the terminal what is going on; standard output stays for the numbers."""
    print(f"... {text}", file=sys.stderr, flush=True)


def interval_text(estimate: Estimate, digits: int = 0) -> str:
    """Return such as "1,234 (1,200 to 1,260)"."""
    return f"{estimate.value:,.{digits}f} ({estimate.low:,.{digits}f} to {estimate.high:,.{digits}f})"
