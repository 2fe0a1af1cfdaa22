"""What the network is trained towards, and the form in which it reaches the learner.

Axis letters: B batch, A actions, C planes, H rows, W columns, T moves of a game, M most legal actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphazero.records import Episode, SidePositions

NO_ACTION = -1  # fills up rows with fewer legal actions than the widest
# Whose stone a cell holds when the game has ended, for the player to move.
NOBODY, OWN, OPPONENT = 0, 1, 2
NOT_TAUGHT = 3  # the cell is taken already, or nobody knows how such a game ends
_LARGEST_COUNT = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Batch:
    """B training positions.

    Attributes:
        observations: uint8 [B, C, H, W].
        actions: int16 [B, M], the legal actions in any order, NO_ACTION where there are fewer than M.
        policy_targets: float32 [B, M], of these actions, rows sum to 1; all 0 where only the value is taught.
        value_targets: float32 [B], for the player to move.
        ownership_targets: uint8 [B, H*W], see `ownership_targets`; [B, 0] where no network is taught them.
    """

    observations: npt.NDArray[np.uint8]
    actions: npt.NDArray[np.int16]
    policy_targets: npt.NDArray[np.float32]
    value_targets: npt.NDArray[np.float32]
    ownership_targets: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.value_targets)


def value_targets(
    episode: Episode, root_value_share: float = 0.0, td_lambda: float = 1.0
) -> npt.NDArray[np.float32]:
    """Return float32 [T], from -1 to 1, for the player to move at each position.

    (1 - root_value_share) * lambda-return + root_value_share * root value of the search. With td_lambda = 1 the return
    is the outcome, which is all that AlphaZero uses; below, the searches between a position and the end of its game
    have their say, the nearer ones more. What a search says is biased, but far less noisy than how the game ends. A
    search without a trained network says little, near 0, where it has proven nothing: there the return is the target.

    Source: Sutton, 'Learning to predict by the methods of temporal differences' (1988).
    """
    returns = episode.outcomes if td_lambda == 1.0 else _lambda_returns(episode, td_lambda)
    says_something = (episode.weights_versions > 0) | (np.abs(episode.root_values) == 1.0)
    shares = np.where(says_something, root_value_share, 0.0)
    mixed = (1.0 - shares) * returns + shares * episode.root_values
    return mixed.astype(np.float32)


def _lambda_returns(episode: Episode, td_lambda: float) -> npt.NDArray[np.float64]:
    """Return G [T], for the player to move: G[t] = (1 - lambda) * root value[t] - lambda * G[t+1].

    Beyond the last move stands the outcome. A search without a trained network knows little: lambda is 1 there.
    """
    returns = np.empty(len(episode), np.float64)
    following = float(episode.outcomes[-1])  # for the player to move in the position at hand
    for move in reversed(range(len(episode))):
        kept = td_lambda if episode.weights_versions[move] > 0 else 1.0
        returns[move] = (1.0 - kept) * float(episode.root_values[move]) + kept * following
        following = -returns[move]
    return returns


def ownership_targets(episode: Episode) -> npt.NDArray[np.uint8]:
    """Return whose stone each cell holds in the final position: uint8 [T, H*W] of NOBODY, OWN, OPPONENT or NOT_TAUGHT.

    OWN is the player to move at that position. For games whose planes 0 and 1 are the stones of the player to move and
    of the opponent (`alphazero.games.game.winning_lines`), and whose stones stay where they were put.

    Source: Wu, 'Accelerating Self-Play Learning in Go' (2019), auxiliary ownership targets.
    """
    moves = len(episode)
    taken = episode.observations[:, :2].any(axis=1).reshape(moves, -1)
    if episode.final_observation is None:
        return np.full(taken.shape, NOT_TAUGHT, np.uint8)
    own, opponent = episode.final_observation[:2].reshape(2, -1) != 0
    for_last = np.where(own, OWN, np.where(opponent, OPPONENT, NOBODY))
    for_other = np.where(own, OPPONENT, np.where(opponent, OWN, NOBODY))
    as_at_the_end = (moves - np.arange(moves)) % 2 == 0  # the same player is to move
    owners = np.where(as_at_the_end[:, None], for_last, for_other)
    return np.where(taken, NOT_TAUGHT, owners).astype(np.uint8)


def padded_visits(
    positions: Episode | SidePositions, width: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    """Return the root's legal actions and visit counts in rows of equal width.

    Counts are kept exactly, unless one is above 65535: then all of that position are divided by the same
    power of two.

    Args:
        positions: those of a finished game, T in all, or those beside it.
        width: M.

    Returns:
        actions: int16 [T, M], ascending, then NO_ACTION.
        visit_counts: uint16 [T, M], 0 where there is no action.
    """
    moves = len(positions)
    counts = np.diff(positions.policy_offsets)
    rows = np.repeat(np.arange(moves), counts)
    columns = np.arange(len(rows)) - np.repeat(positions.policy_offsets[:-1], counts)
    actions = np.full((moves, width), NO_ACTION, dtype=np.int16)
    actions[rows, columns] = positions.policy_actions
    visits = np.zeros((moves, width), dtype=np.int64)
    visits[rows, columns] = positions.policy_visits
    while visits.max(initial=0) > _LARGEST_COUNT:
        too_large = visits.max(axis=1) > _LARGEST_COUNT
        visits[too_large] >>= 1
    return actions, visits.astype(np.uint16)


def visit_shares(visit_counts: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Return each action's share of the visits, float32 [B, M].

    A position without a single visit has none: it teaches nothing but its value.

    visit_counts: uint16 [B, M], 0 where there is no action.
    """
    shares = visit_counts.astype(np.float32)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
    return shares
