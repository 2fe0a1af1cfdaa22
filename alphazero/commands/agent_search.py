"""How an agent named on the command line searches: as its run did, as a file says, or as the paper."""

from __future__ import annotations

import argparse
from pathlib import Path

from alphazero.config import SearchConfig
from alphazero.config_loading import load_config
from alphazero.errors import UserError
from alphazero.evaluation.agents import Agent
from alphazero.run.run_files import run_config


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add `--config` to `parser`."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE.toml",
        help="the run's configuration, of which CHECKPOINT takes how it searches (default: config.toml in the run's "
        "folder; of a CHECKPOINT outside one: the default search, which is the paper's)",
    )


def search_of(agent: Agent, file: Path | None) -> tuple[SearchConfig, str]:
    """Return how `agent` searches, and a sentence about where that stands: `file`, or the run that its weights lie in.

    Raises UserError if it stands in a file that is damaged or of another game.
    """
    if file is None and agent.path is not None:
        file = run_config(agent.path)
    if file is None:
        return (
            SearchConfig(),
            "the default settings, which are the paper's (--config FILE.toml takes a run's)",
        )
    config = load_config(file)
    if config.run.game != agent.game:
        raise UserError(f"{file} is of a run of {config.run.game}, but {agent.name} plays {agent.game}")
    return config.search, f"as {file} says"
