"""The option --seed of commands that draw something of their own; a run's is `run.seed`, with the same bounds."""

from __future__ import annotations

import argparse

from alphazero.config_validation import MOST_SEED
from alphazero.errors import UserError


def add_seed_option(parser: argparse.ArgumentParser, what: str, default: int | None = 0) -> None:
    """Add --seed to `parser`; `what` it is the seed of; None as `default`: the command chooses, usually 0."""
    parser.add_argument("--seed", type=_seed, default=default, metavar="N", help=f"of {what} (default: 0)")


def _seed(text: str) -> int:
    """Return the seed in `text`; UserError unless it is one, which argparse lets through."""
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if not 0 <= seed <= MOST_SEED:
        raise UserError(f"--seed is {text}; it must be a whole number from 0 to {MOST_SEED}")
    return seed
