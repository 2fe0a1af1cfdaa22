"""The option --workers of commands that share evaluation out among processes."""

from __future__ import annotations

import argparse

from alphazero.errors import UserError
from alphazero.hardware.host import probe_cpu


def add_workers_option(parser: argparse.ArgumentParser) -> None:
    """Add --workers to `parser`."""
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes; 0: this one alone (default: one a usable core on a CPU, 0 on a GPU)",
    )


def worker_count(arguments: argparse.Namespace, device: str) -> int:
    """Return how many worker processes to use; raise UserError for a number that cannot be.

    device: where the network runs, such as "cpu" or "cuda:0"; one process keeps a GPU busy.
    """
    workers: int | None = arguments.workers
    if workers is None:
        return probe_cpu().usable_cores if device == "cpu" else 0
    if workers < 0:
        raise UserError(f"--workers is {workers}; it must be at least 0 (0: no other process)")
    return workers
