"""The newest self-play positions, compact and preallocated, and random batches of them.

A ring: row `cursor` is written next, and once the ring is full that is the oldest position.

    row            0        1        2   ...   capacity-1
    age         newer    newest   oldest  ...      older         (cursor = 2, full)

Axis letters: B batch, A actions, C planes, H rows, W columns, M most legal actions, S symmetries.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from alphazero.config import Config
from alphazero.errors import UserError
from alphazero.games.game import Game
from alphazero.records import Episode, SidePositions
from alphazero.training.targets import (
    NO_ACTION,
    NOT_TAUGHT,
    Batch,
    ownership_targets,
    padded_visits,
    value_targets,
    visit_shares,
)

_ARRAY_NAMES = (
    "observations",
    "actions",
    "visit_counts",
    "value_targets",
    "draw_chances",
    "ownership_targets",
)
_COUNTER_NAMES = ("cursor", "capacity", "total_positions", "total_episodes")


class ReplayBuffer:
    """Ring of the last `capacity` positions. May be shared by the threads of one process.

    Observations are kept as uint8 and policies as visit counts of legal actions only, in one block
    reserved at the start: C*H*W + 4*M + 8 bytes a position, and H*W more with ownership targets. A system that
    commits memory on first use takes it as the ring fills.

    Args:
        capacity: positions kept, 1 or more.
        game: gives shapes, the number of actions and the symmetries.
        symmetries: sample a random symmetry of each position; False: positions as they were played.
        root_value_share, td_lambda: what the value targets are mixed from, see `value_targets`.
        side_position_weight: how often a side position, or one searched without a trained network, is drawn for each
            draw of another one; above 0, at most 1.
        late_position_weight: how often a position of the second half of the game's greatest length is drawn for
            each draw of an earlier one; above 0, at most 1.
        ownership: keep ownership targets, for a network with an ownership head.

    Attributes:
        total_positions: positions of games ever added, those overwritten since included, side positions not.
        total_episodes: games ever added.
    """

    def __init__(
        self,
        capacity: int,
        game: Game,
        symmetries: bool = True,
        root_value_share: float = 0.0,
        td_lambda: float = 1.0,
        side_position_weight: float = 1.0,
        late_position_weight: float = 1.0,
        ownership: bool = False,
    ) -> None:
        if capacity < 1:
            raise UserError(f"training.replay_capacity is {capacity}; it must be 1 or more")
        if game.num_actions > np.iinfo(np.int16).max:
            raise UserError(
                f"{game.name} has {game.num_actions} actions; the replay buffer holds at most "
                f"{np.iinfo(np.int16).max}"
            )
        self.capacity = capacity
        self._root_value_share = root_value_share
        self._td_lambda = td_lambda
        self._side_position_weight = side_position_weight
        self._late_position_weight = late_position_weight
        self._early_moves = game.max_game_length // 2
        self._all_alike = side_position_weight == late_position_weight == 1.0
        self.total_positions = 0
        self.total_episodes = 0
        self._shape = game.observation_shape
        self._width = game.max_legal_actions
        planes, rows, columns = game.observation_shape
        self._observations = np.empty((capacity, planes, rows * columns), dtype=np.uint8)
        self._actions = np.empty((capacity, self._width), dtype=np.int16)
        self._visit_counts = np.empty((capacity, self._width), dtype=np.uint16)
        self._value_targets = np.empty(capacity, dtype=np.float32)
        self._draw_chances = np.empty(capacity, dtype=np.float32)  # that a row which comes up is drawn
        self._ownership_targets = np.empty((capacity, rows * columns if ownership else 0), dtype=np.uint8)
        chosen = game.symmetries() if symmetries else game.symmetries()[:1]
        self._cell_source = np.stack([symmetry.cell_source for symmetry in chosen])  # [S, H*W]
        # [S, A+1]: the last entry maps the padding (NO_ACTION = -1, the last column) to itself.
        targets = [np.append(symmetry.action_target, NO_ACTION) for symmetry in chosen]
        self._action_target = np.stack(targets).astype(np.int16)
        self._cursor = 0
        self._size = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of positions held."""
        return self._size

    @property
    def bytes_per_position(self) -> int:
        """Bytes that one position takes."""
        return sum(array[:1].nbytes for array in self._arrays().values())

    def add_episode(self, episode: Episode) -> int:
        """Add every position of a finished game, over the oldest ones if full; return how many the game had.

        Its side positions are added as well, and do not count as positions generated. A position with `copies` is
        added so many times, and counts once. Of more rows than the whole ring holds only the last `capacity` are kept.
        """
        side = episode.side_positions
        owned_cells = self._ownership_targets.shape[1]
        if side is not None:
            not_taught = np.full((len(side), owned_cells), NOT_TAUGHT, np.uint8)
            chances = self._side_position_weight * self._lateness_weights(side)
            self._add(side, side.values, chances, not_taught)
        chances = np.where(episode.weights_versions > 0, 1.0, self._side_position_weight)
        chances *= self._lateness_weights(episode)
        values = value_targets(episode, self._root_value_share, self._td_lambda)
        owners = ownership_targets(episode) if owned_cells else np.empty((len(episode), 0), np.uint8)
        self._add(episode, values, chances, owners)
        with self._lock:
            self.total_positions += len(episode)
            self.total_episodes += 1
        return len(episode)

    def sample(self, batch_size: int, rng: np.random.Generator, newest: int = 0) -> Batch:
        """Return `batch_size` positions, drawn with replacement, each in a random symmetry.

        All with the same probability, but for `side_position_weight` and `late_position_weight`. ValueError if the
        buffer is empty.

        newest: draw from so many of the newest positions; 0: from all.
        """
        if self._size == 0:
            raise ValueError("cannot sample from an empty replay buffer")
        with self._lock:
            rows = self._draw_rows(batch_size, rng, newest)
            observations = self._observations[rows]
            actions = self._actions[rows]
            visit_counts = self._visit_counts[rows]
            values = self._value_targets[rows]
            owners = self._ownership_targets[rows]
        chosen = rng.integers(0, len(self._cell_source), batch_size)
        if len(self._cell_source) > 1:
            observations = np.take_along_axis(observations, self._cell_source[chosen][:, None, :], axis=2)
            actions = self._action_target[chosen[:, None], actions]
            if owners.shape[1]:
                owners = np.take_along_axis(owners, self._cell_source[chosen], axis=1)
        return Batch(
            observations=observations.reshape(batch_size, *self._shape),
            actions=actions,
            policy_targets=visit_shares(visit_counts),
            value_targets=values,
            ownership_targets=owners,
        )

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of the filled part and the counters, for a checkpoint."""
        with self._lock:
            state: dict[str, npt.NDArray[Any]] = {
                name: array[: self._size].copy() for name, array in self._arrays().items()
            }
            counters = (self._cursor, self.capacity, self.total_positions, self.total_episodes)
        for name, count in zip(_COUNTER_NAMES, counters, strict=True):
            state[name] = np.array([count], dtype=np.int64)
        return state

    def load_state_dict(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `state_dict` returned; with another capacity the newest positions are kept.

        With the same capacity every row keeps its place, so that sampling goes on as if never interrupted.
        UserError if it comes from another game.
        """
        cursor, capacity, total_positions, total_episodes = (int(state[name][0]) for name in _COUNTER_NAMES)
        size = len(state["value_targets"])
        state = self._with_own_width(state)
        for name, array in self._arrays().items():
            if state[name].shape[1:] != array.shape[1:] or state[name].dtype != array.dtype:
                raise UserError(
                    f"the checkpoint's replay buffer holds {name} of shape {state[name].shape[1:]}, but the "
                    f"game needs {array.shape[1:]}: it belongs to another game; use another results folder"
                )
        same_place = capacity == self.capacity or size < capacity <= self.capacity
        oldest = cursor if size == capacity else 0
        kept = np.arange(size) if same_place else (oldest + np.arange(size)) % max(size, 1)
        kept = kept[-self.capacity :]
        with self._lock:
            for name, array in self._arrays().items():
                array[: len(kept)] = state[name][kept]
            self._size = len(kept)
            self._cursor = cursor if same_place else len(kept) % self.capacity
            self.total_positions = total_positions
            self.total_episodes = total_episodes

    def knows_owners(self) -> bool:
        """Return whether any position says whose a cell was at the end: an ownership head learns nothing otherwise."""
        return bool((self._ownership_targets[: self._size] != NOT_TAUGHT).any())

    def _with_own_width(self, state: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        """Return `state` with owners of cells as they are kept here.

        An ownership head may be asked for later, or no more. Positions of before it are as those of which nobody
        knows the owners.
        """
        owners = state["ownership_targets"]
        if 0 not in {owners.shape[1], self._ownership_targets.shape[1]}:
            return state
        width = self._ownership_targets.shape[1]
        return {**state, "ownership_targets": np.full((len(owners), width), NOT_TAUGHT, np.uint8)}

    def _draw_rows(self, count: int, rng: np.random.Generator, newest: int) -> npt.NDArray[np.int64]:
        """Return int64 [count] rows, drawn with probabilities in proportion to their `_draw_chances`."""

        def drawn() -> npt.NDArray[np.int64]:
            if 0 < newest < self._size:
                return (self._cursor - 1 - rng.integers(0, newest, count)) % self.capacity
            return rng.integers(0, self._size, count)

        rows = drawn()
        if self._all_alike:
            return rows
        kept = rows[:0]
        while True:
            kept = np.concatenate([kept, rows[rng.random(len(rows)) < self._draw_chances[rows]]])
            if len(kept) >= count:
                return kept[:count]
            rows = drawn()

    def _lateness_weights(self, positions: Episode | SidePositions) -> npt.NDArray[np.float64]:
        """Return float64 [N]: `late_position_weight` for late positions, 1 for the others."""
        return np.where(positions.moves_before < self._early_moves, 1.0, self._late_position_weight)

    def _add(
        self,
        positions: Episode | SidePositions,
        targets: npt.NDArray[np.float32],
        chances: npt.NDArray[np.float64],
        owners: npt.NDArray[np.uint8],
    ) -> None:
        """Write N positions with their value targets, float32 [N], over the oldest ones if full.

        chances: [N], see `_draw_rows`. owners: ownership targets, [N, H*W] or [N, 0].
        Each is written once, or as often as `positions.copies` says.
        """
        count = len(positions)
        actions, visit_counts = padded_visits(positions, self._width)
        new: dict[str, npt.NDArray[Any]] = {
            "observations": positions.observations.reshape(count, *self._observations.shape[1:]),
            "actions": actions,
            "visit_counts": visit_counts,
            "value_targets": targets,
            "draw_chances": chances,
            "ownership_targets": owners,
        }
        if positions.copies is not None:
            new = {name: np.repeat(array, positions.copies, axis=0) for name, array in new.items()}
            count = int(positions.copies.sum())
        kept = min(count, self.capacity)
        with self._lock:
            rows = (self._cursor + np.arange(kept)) % self.capacity
            for name, array in self._arrays().items():
                array[rows] = new[name][count - kept :]
            self._cursor = (self._cursor + kept) % self.capacity
            self._size = min(self._size + kept, self.capacity)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = (
            self._observations,
            self._actions,
            self._visit_counts,
            self._value_targets,
            self._draw_chances,
            self._ownership_targets,
        )
        return dict(zip(_ARRAY_NAMES, arrays, strict=True))


def make_replay_buffer(config: Config, game: Game) -> ReplayBuffer:
    """Return the empty replay buffer of a run."""
    training = config.training
    return ReplayBuffer(
        training.replay_capacity,
        game,
        symmetries=training.symmetries,
        root_value_share=training.root_value_share,
        td_lambda=training.td_lambda,
        side_position_weight=training.side_position_weight,
        late_position_weight=training.late_position_weight,
        ownership=config.ownership_is_taught,
    )
