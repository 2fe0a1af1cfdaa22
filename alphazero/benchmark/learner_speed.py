"""Training steps a second: fed as training feeds them, and on a batch that already lies on the device.

The first is what a run gets when nothing else is going on, the second what it could get; their ratio says
whether sampling, symmetries and copies keep up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from alphazero.benchmark.statistics import Estimate, median_estimate, ratio_estimate
from alphazero.config import Config
from alphazero.games.registry import get_game
from alphazero.network.cpu_allocator import keep_freed_memory
from alphazero.network.engines import resolve_device
from alphazero.network.resnet import build_network
from alphazero.records import Episode
from alphazero.seeding import generator
from alphazero.selfplay.game_group import GameGroup
from alphazero.training.device_batch import batch_uploader, page_locked
from alphazero.training.learner import Learner
from alphazero.training.prefetch import BatchPrefetcher
from alphazero.training.replay_buffer import make_replay_buffer
from alphazero.training.targets import Batch

ROUNDS = 10
POSITIONS = 4_000  # in the replay buffer; what a draw costs goes by their weights, not by their number
GAMES, SIMULATIONS = 32, 8  # how they are generated: quickly
COPIES = 20  # of a batch, to time one


@dataclass(frozen=True)
class LearnerSpeed:
    """What was measured.

    Attributes:
        training_steps_per_second: through replay buffer and prefetcher.
        training_steps_per_second_on_device: on one batch that already lies on the device.
        fed_share: the first / the second, round by round.
        batch_copy_ms: of one batch to a CUDA device; None on a CPU, where nothing is copied.
        device: of the learner.
        batch_size: positions a step.
    """

    training_steps_per_second: Estimate
    training_steps_per_second_on_device: Estimate
    fed_share: Estimate
    batch_copy_ms: float | None
    device: str
    batch_size: int


def measure_learner(
    config: Config, seconds: float, progress: Callable[[str], None] = lambda text: None
) -> LearnerSpeed:
    """Return the rates of ten rounds of each kind, interleaved, measured for about `seconds` in all."""
    progress("filling the replay buffer")
    with learner_at_work(config, POSITIONS) as (learner, batches, batch):
        on_device = learner.to_device(batch)
        learner.train_step(batch, 0.0)
        learner.train_step(on_device, 0.0)
        progress("training")
        fed, unfed = [], []
        for _ in range(ROUNDS):
            fed.append(_rate(lambda: learner.train_step(batches.get(), 0.0), seconds / ROUNDS / 2))
            unfed.append(_rate(lambda: learner.train_step(on_device, 0.0), seconds / ROUNDS / 2))
        copy_ms = batch_copy_ms(learner, batch)
    device = resolve_device(config.inference.device)
    return LearnerSpeed(
        training_steps_per_second=median_estimate(fed),
        training_steps_per_second_on_device=median_estimate(unfed),
        fed_share=ratio_estimate(fed, unfed),
        batch_copy_ms=copy_ms,
        device=str(device),
        batch_size=len(batch),
    )


@contextmanager
def learner_at_work(config: Config, positions: int) -> Iterator[tuple[Learner, BatchPrefetcher, Batch]]:
    """Yield an untrained learner, the batches that feed it, from a buffer of at least `positions`, and another one.

    That one lies where training copies a batch from.
    """
    device = resolve_device(config.inference.device)
    torch.manual_seed(config.run.seed)
    keep_freed_memory()
    game, training = get_game(config.run.game), config.training
    learner = Learner(build_network(game, config.network), training, device)
    capacity = max(2 * positions, training.batch_size)  # room for the rest of the last games
    buffer = make_replay_buffer(replace(config, training=replace(training, replay_capacity=capacity)), game)
    for episode in quick_episodes(config, positions):
        buffer.add_episode(episode)
    batch = buffer.sample(training.batch_size, generator(config.run.seed, "batch to copy"))
    uploader = batch_uploader(training, device)
    if uploader is not None:
        batch = page_locked(batch)
    rng = generator(config.run.seed, "replay sampling")
    with BatchPrefetcher(buffer, training.batch_size, rng, uploader=uploader) as prefetcher:
        yield learner, prefetcher, batch


def batch_copy_ms(learner: Learner, batch: Batch) -> float | None:
    """Return how long `batch`, of `learner_at_work`, takes to the learner's device, in milliseconds.

    None where it does not leave the processor's memory.
    """
    device = learner.to_device(batch).observations.device
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    for _ in range(COPIES):
        learner.to_device(batch)
    torch.cuda.synchronize(device)
    return 1e3 * (time.perf_counter() - start) / COPIES


def quick_episodes(config: Config, positions: int) -> list[Episode]:
    """Return games of at least so many positions, searched a little with a network that knows nothing."""
    game = get_game(config.run.game)
    group = GameGroup(game, replace(config.search, simulations=SIMULATIONS), GAMES, config.run.seed)
    episodes: list[Episode] = []
    while sum(len(episode) for episode in episodes) < positions:
        group.apply_untrained(group.collect())
        episodes += group.take_episodes()
    return episodes


def _rate(step: Callable[[], object], seconds: float) -> float:
    """Return steps a second; a step's record is read from the device, so each has ended when it returns."""
    steps = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or steps == 0:
        step()
        steps += 1
    return steps / elapsed
