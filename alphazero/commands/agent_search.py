"""How an agent named on the command line searches: as its run did, as a file says, or as the paper."""

from __future__ import annotations

import argparse
from pathlib import Path

from alphazero.config import Config, SearchConfig
from alphazero.config_layers import layer_from_toml
from alphazero.config_loading import load_config
from alphazero.errors import UserError
from alphazero.evaluation.agents import Agent
from alphazero.games.registry import is_game
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
    config = load_run_config(file)
    if not is_game(config.run.game, agent.game):
        raise UserError(f"{file} is of a run of {config.run.game}, but {agent.name} plays {agent.game}")
    return config.search, f"as {file} says"


def load_run_config(file: Path) -> Config:
    """Return the configuration of a run, also of an older version's; UserError if `file` is not one."""
    if "run.game" not in layer_from_toml(
        file
    ):  # every run's says it; an experiment or a profile has no need to
        raise UserError(
            f"{file} is no run's configuration (it lacks run.game); give config.toml of a run's folder, or a file from "
            "`alphazero config --out`"
        )
    return load_config(file)
