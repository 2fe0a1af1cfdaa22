"""`alphazero config`: show the resolved configuration of a run, and where each value came from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alphazero.config_arguments import add_config_arguments, config_from_arguments
from alphazero.config_loading import config_hash, config_to_toml, save_config
from alphazero.folders import writing_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options to `parser`."""
    add_config_arguments(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE.toml", help="write the configuration to this file too"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the configuration as TOML to standard output, its story to standard error; return 0."""
    resolved = config_from_arguments(arguments)
    for line in [*resolved.summary_lines(), f"configuration {config_hash(resolved.config)}"]:
        print(line, file=sys.stderr)
    print(config_to_toml(resolved.config, resolved.origins), end="")
    if arguments.out is not None:
        with writing_results(arguments.out, "choose another --out"):
            save_config(resolved.config, arguments.out, resolved.origins)
    return 0
