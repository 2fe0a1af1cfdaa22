"""Measures the health of a finished training run from its newest checkpoint and its metrics.csv.

Axis letters: N positions, M most legal actions, A actions, C planes, H rows, W columns.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alphazero.config import Config
from alphazero.games.registry import get_game
from alphazero.metrics.rows import number, read_rows
from alphazero.metrics.writer import CSV_NAME
from alphazero.network.resnet import PolicyValueNetwork
from alphazero.training.checkpoint import CheckpointStore, load_agent
from alphazero.training.loss import policy_value_loss
from alphazero.training.replay_ratio import replay_ratio_gate
from alphazero.training.targets import visit_shares

HEALTH_NAME = "health.json"
NEWEST = 8192  # positions of the replay buffer that the network is asked about
_BATCH = 1024
_BINS = 10

# Read off the rows of metrics.csv, as means over the last third of self-play.
_FROM_ROWS = (
    "policy_entropy",
    "game_length",
    "positions_per_game",
    "draw_rate",
    "false_resignation_rate",
    "first_player_win_rate",
    "replay_ratio",
    "weights_staleness_versions",
)
# One of these is in each row of self-play, and in no other.
_OF_SELFPLAY = ("positions_per_second", "game_length")


def measure_health(config: Config, run_folder: Path) -> dict[str, float | None]:
    """Return what `metrics.health` reads, by metric; None where it was not measured.

    run_folder: with a checkpoint and metrics.csv. UserError if the checkpoint is damaged.
    """
    checkpoint = CheckpointStore(run_folder).load()
    network = load_agent(run_folder)
    health: dict[str, float | None] = dict(late_means(run_folder / CSV_NAME))
    counters = checkpoint.state["counters"]
    training = config.training
    gate = replay_ratio_gate(training, int(counters.get("untrained_ended_at", 0)))
    owed = gate.steps_earned(int(counters["positions"]))
    if training.max_steps:
        owed = min(owed, training.max_steps)  # a run that its steps ended
    steps = int(counters["steps"]) - int(counters.get("final_steps", 0))  # a final network's were never owed
    health["training_steps"] = steps
    health["steps_share"] = steps / owed if owed else None
    versions = health["weights_staleness_versions"]
    if versions is not None and counters["positions"]:
        old = versions * training.publish_every_steps * training.batch_size / training.replay_ratio
        health["staleness_share"] = old / int(counters["positions"])
    if len(checkpoint.replay["value_targets"]):
        health["duplicate_share"] = duplicate_share(checkpoint.replay["observations"])
        health |= _of_the_network(config, network, newest(checkpoint.replay, NEWEST))
    return health


def late_means(path: Path) -> dict[str, float | None]:
    """Return the means of _FROM_ROWS over the rows of the last third of self-play's time.

    A final network learns afterwards: its rows say nothing of games. Where no row is of self-play, all count.
    """
    try:
        rows = read_rows(path)
    except OSError:
        rows = []
    rows = [row for row in rows if any(number(row, name) is not None for name in _OF_SELFPLAY)] or rows
    end = max((number(row, "run_time_s") or 0.0 for row in rows), default=0.0)
    late = [row for row in rows if (number(row, "run_time_s") or 0.0) >= 2 / 3 * end]
    means: dict[str, float | None] = {}
    for name in _FROM_ROWS:
        values = [value for row in late if (value := number(row, name)) is not None]
        means[name] = statistics.fmean(values) if values else None
    return means


def newest(replay: Mapping[str, npt.NDArray[Any]], count: int) -> dict[str, npt.NDArray[Any]]:
    """Return the newest `count` rows of a replay buffer's state (all, if it has fewer)."""
    size = len(replay["value_targets"])
    cursor = int(replay["cursor"][0]) if size == int(replay["capacity"][0]) else size
    places = (cursor - 1 - np.arange(min(count, size))) % size
    names = ("observations", "actions", "visit_counts", "value_targets")
    return {name: replay[name][places] for name in names}


def duplicate_share(observations: npt.NDArray[np.uint8]) -> float:
    """Return 1 - different rows / rows of uint8 [N, ...]."""
    rows = np.ascontiguousarray(observations.reshape(len(observations), -1))
    keys = rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
    return 1.0 - len(np.unique(keys)) / len(keys)


def explained_variance(
    values: npt.NDArray[np.floating[Any]], targets: npt.NDArray[np.floating[Any]]
) -> float | None:
    """Return 1 - var(targets - values) / var(targets); None where the targets do not vary."""
    variance = float(np.var(targets))
    return None if variance == 0.0 else 1.0 - float(np.var(targets - values)) / variance


def calibration_error(values: npt.NDArray[np.floating[Any]], targets: npt.NDArray[np.floating[Any]]) -> float:
    """Return the mean over positions of |mean value - mean target| of the position's bin.

    Bins are equal tenths of [-1, 1]. Source: expected calibration error, Naeini et al., 'Obtaining well calibrated
    probabilities using Bayesian binning' (2015), for values instead of probabilities.
    """
    bins = np.clip(((values + 1.0) / 2.0 * _BINS).astype(int), 0, _BINS - 1)
    total = 0.0
    for each in range(_BINS):
        members = bins == each
        if members.any():
            total += abs(float(values[members].mean() - targets[members].mean())) * int(members.sum())
    return total / len(values)


@torch.no_grad()
def _of_the_network(
    config: Config, network: PolicyValueNetwork, rows: Mapping[str, npt.NDArray[Any]]
) -> dict[str, float | None]:
    game = get_game(config.run.game)
    count = len(rows["value_targets"])
    observations = rows["observations"].reshape(count, *game.observation_shape)
    policy_targets = visit_shares(rows["visit_counts"])
    all_values: list[npt.NDArray[np.float32]] = []
    divergence, target_entropy = 0.0, 0.0
    for start in range(0, count, _BATCH):
        part = slice(start, start + _BATCH)
        logits, values = network(torch.from_numpy(np.ascontiguousarray(observations[part])))
        losses = policy_value_loss(
            logits,
            values,
            torch.from_numpy(rows["actions"][part]),
            torch.from_numpy(policy_targets[part]),
            torch.from_numpy(rows["value_targets"][part]),
            1.0,
        )
        share = len(values) / count
        divergence += share * float(losses.policy - losses.target_entropy)
        target_entropy += share * float(losses.target_entropy)
        all_values.append(values.float().numpy())
    values_of_all = np.concatenate(all_values)
    return {
        "target_entropy": target_entropy,
        "policy_divergence": divergence,
        "value_explained_variance": explained_variance(values_of_all, rows["value_targets"]),
        "value_calibration_error": calibration_error(values_of_all, rows["value_targets"]),
    }


def health_lines(warnings: Sequence[str]) -> list[str]:
    """Return what the terminal shows at the end of a run."""
    if not warnings:
        return ["training health: everything that was measured is in its healthy range"]
    return [f"training health: {warning}" for warning in warnings]
