"""How an agent named on the command line searches: as its run did, as a file says, or as the paper.

A run may come from another machine: what it names and this one lacks is replaced by what serves here.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from alphazero.config import Config, InferenceConfig, SearchConfig
from alphazero.config_layers import layer_from_toml
from alphazero.config_loading import load_config
from alphazero.errors import UserError
from alphazero.evaluation.agents import Agent
from alphazero.games.registry import is_game
from alphazero.mcts import usable_backend
from alphazero.network.engines import candidate_engines, resolve_device
from alphazero.run.run_files import CONFIG_NAME, run_config, with_backend


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


def results_config(folder: Path) -> Config:
    """Return the configuration of the run whose results `folder` holds, as `load_run_config` does."""
    if not (folder / CONFIG_NAME).exists():
        raise UserError(
            f"{folder} holds no run's results (no {CONFIG_NAME}); give a folder such as "
            "results/MACHINE/cpu/train/connect_four_seed0"
        )
    return load_run_config(folder / CONFIG_NAME)


def load_run_config(file: Path) -> Config:
    """Return the configuration of a run, also of an older version's, as this machine can follow it.

    Its tree backend is the best one here where the run's own does not work here: all give the same trees. UserError if
    `file` is not a run's configuration.
    """
    if "run.game" not in layer_from_toml(
        file
    ):  # every run's says it; an experiment or a profile has no need to
        raise UserError(
            f"{file} is no run's configuration (it lacks run.game); give config.toml of a run's folder, or a file from "
            "`alphazero config --out`"
        )
    config = load_config(file)
    try:
        backend = usable_backend(config.search.mcts_backend)
    except UserError:
        backend = usable_backend("auto")
    return with_backend(config, backend)


def inference_here(inference: InferenceConfig) -> InferenceConfig:
    """Return how a run's network can be evaluated here: on the device it names, or with a warning on another.

    An engine that is none of this device's gives way to the best one.
    """
    try:
        device = str(resolve_device(inference.device))
    except UserError as error:
        device = str(resolve_device("auto"))
        print(f"warning: of the run: {error}; it is {device} here", file=sys.stderr, flush=True)
    known = inference.engine in candidate_engines(device)
    return replace(inference, device=device, engine=inference.engine if known else "auto")
