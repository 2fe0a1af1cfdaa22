"""A whole training run of a second or two, for tests of what a run does with its networks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from alphazero.config import (
    Config,
    InferenceConfig,
    NetworkConfig,
    RunConfig,
    SearchConfig,
    SelfPlayConfig,
    TrainingConfig,
)
from alphazero.games.registry import get_game
from alphazero.metrics.progress import Progress
from alphazero.network.resnet import PolicyValueNetwork
from alphazero.run.training_run import TrainingRun

SMALL = NetworkConfig(blocks=1, filters=4)
TINY_RUN = Config(
    network=SMALL,
    search=SearchConfig(simulations=8),
    inference=InferenceConfig(placement="local", device="cpu", engine="eager"),
    selfplay=SelfPlayConfig(actors=1, games_per_actor=8),
    training=TrainingConfig(
        batch_size=32, min_positions=64, replay_ratio=1.0, positions=400, publish_every_steps=2
    ),
    run=RunConfig(game="tic_tac_toe", log_every_seconds=0.2),
)


def train(
    config: Config,
    folder: Path,
    prepare: Callable[[TrainingRun], object] = lambda run: None,
    source_hash: str | None = None,
) -> int:
    """Run to the end, or to where `prepare` made it stop; return the exit status."""
    with Progress("a run") as progress:
        run = TrainingRun(config, folder, progress, source_hash)
        prepare(run)
        return run.run()


def answers(network: PolicyValueNetwork) -> tuple[Tensor, Tensor]:
    """Return policy logits and values of `network` for some positions of TINY_RUN's game, as it plays."""
    shape = (32, *get_game(TINY_RUN.run.game).observation_shape)
    observations = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    with torch.no_grad():
        policy_logits, values = copy.deepcopy(network).eval()(observations)
    return policy_logits, values
