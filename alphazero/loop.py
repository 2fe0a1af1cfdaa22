"""The spine: the whole of AlphaZero in one process. Read this first.

Self-play, replay, learning and new weights follow one another in one flat loop. A real run
(`alphazero.run.training_run`) calls the same functions, but lets actors, inference server and learner do it
at the same time. Here nothing depends on timing, so a run with a given seed repeats bit for bit on a CPU;
`alphazero train --single-process` makes a whole run of it.

Source: Silver et al., 'A general reinforcement learning algorithm that masters chess, shogi, and Go through
self-play' (2018).
"""

from __future__ import annotations

from typing import Protocol

import torch

from alphazero.config import Config, TrainingConfig
from alphazero.games.registry import get_game
from alphazero.network.cached_evaluator import CachedEvaluator
from alphazero.network.engines import make_engine, resolve_device
from alphazero.network.resnet import PolicyValueNetwork, build_network
from alphazero.records import Episode
from alphazero.seeding import generator
from alphazero.selfplay.game_group import GameGroup, SelfPlayCounts
from alphazero.training.learner import Learner, LossRecord
from alphazero.training.replay_buffer import ReplayBuffer, make_replay_buffer
from alphazero.training.replay_ratio import planned_steps, replay_ratio_gate


class Watcher(Protocol):
    """Is told how a run goes on; what it does must not change the run."""

    def on_start(self, learner: Learner, replay_buffer: ReplayBuffer) -> None:
        """All is there, and nothing was played or learned yet."""
        ...

    def on_round(self, counts: SelfPlayCounts, evaluated: int) -> None:
        """All games went on by a leaf; `evaluated` of `counts.leaves` by the network, the others by the cache."""
        ...

    def on_episode(self, episode: Episode, weights_version: int) -> None:
        """A game has ended and is in the replay buffer; `weights_version` is the newest."""
        ...

    def on_step(self, losses: LossRecord, weights_version: int) -> None:
        """A training step was done; what plays from now on are the weights of `weights_version`."""
        ...


def train_in_one_process(config: Config, watcher: Watcher | None = None) -> PolicyValueNetwork:
    """Train until `training.positions` are generated or `training.max_steps` done; return the agent.

    Plays `selfplay.games_per_actor` games at once.
    """
    training, inference, selfplay = config.training, config.inference, config.selfplay
    game = get_game(config.run.game)
    device = resolve_device(inference.device)
    torch.manual_seed(config.run.seed)
    network = build_network(game, config.network)
    engine = make_engine(
        inference.engine,
        network,
        str(device),
        inference.use_amp,
        inference.pinned_memory,
        max_batch=selfplay.games_per_actor,
    )
    cache = CachedEvaluator(engine.evaluate, game.num_actions, inference.cache_positions)
    evaluate = cache if inference.cache_positions else engine.evaluate
    learner = Learner(network, training, device)
    replay_buffer = make_replay_buffer(config, game)
    gate, all_steps = replay_ratio_gate(training), planned_steps(training)
    games = GameGroup(
        game,
        config.search,
        selfplay.games_per_actor,
        config.run.seed,
        selfplay=selfplay,
    )
    sampling = generator(config.run.seed, "replay sampling")
    weights_version = 0
    if watcher is not None:
        watcher.on_start(learner, replay_buffer)

    while fraction_done(training, replay_buffer.total_positions, learner.steps) < 1.0:
        # Self-play: one leaf in each game, evaluated together.
        cached = cache.rows - cache.evaluations
        rows = games.collect()
        if weights_version == 0 and training.untrained_positions:
            games.apply_untrained(rows)
        else:
            policy_logits, values = evaluate(games.search.observations[:rows])
            games.apply(policy_logits, values, weights_version)
        if watcher is not None:
            counts = games.take_counts()
            watcher.on_round(counts, counts.leaves + cached - (cache.rows - cache.evaluations))
        for episode in games.take_episodes():
            replay_buffer.add_episode(episode)
            if watcher is not None:
                watcher.on_episode(episode, weights_version)

        # Learning: as many steps as the replay ratio owes to the positions generated.
        allowed = gate.steps_allowed(replay_buffer.total_positions, learner.steps)
        if training.max_steps:
            allowed = min(allowed, training.max_steps - learner.steps)
        for _ in range(allowed):
            batch = replay_buffer.sample(training.batch_size, sampling, training.replay_window)
            losses = learner.train_step(batch, learner.steps / all_steps)
            # What was played without a network is learned before one plays.
            if learner.steps % training.publish_every_steps == 0 or learner.steps == gate.steps_of_untrained:
                weights_version += 1
                engine.load_weights(learner.agent.state_dict())
                cache.clear()
            if watcher is not None:
                watcher.on_step(losses, weights_version)
    return learner.agent


def fraction_done(training: TrainingConfig, positions: int, steps: int) -> float:
    """Return how much of a run is behind, 0 to 1, by the first of its limits that count something."""
    fractions = [positions / training.positions]
    if training.max_steps:
        fractions.append(steps / training.max_steps)
    return min(1.0, max(fractions))
