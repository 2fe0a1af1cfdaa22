"""What self-play hands to training: finished games."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class SidePositions:
    """N positions that a game's searches looked at and that the game did not come to, in any order.

    Attributes:
        observations: uint8 [N, C, H, W].
        policy_offsets: int32 [N+1]; the moves of position i are policy_offsets[i]:policy_offsets[i+1].
        policy_actions: int32 [policy_offsets[N]], its legal actions, ascending.
        policy_visits: int32 [policy_offsets[N]], their visit counts in the search of the game's move, less those that
            proofs make void (`selfplay.policy_targets`).
        values: float32 [N], what that search thought of the position, for the player to move there.
        moves_before: int32 [N], moves from the start of the game to the position of the game that was searched.
        copies: int32 [N], how often each is written into the replay buffer; None: once.
    """

    observations: npt.NDArray[np.uint8]
    policy_offsets: npt.NDArray[np.int32]
    policy_actions: npt.NDArray[np.int32]
    policy_visits: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    moves_before: npt.NDArray[np.int32]
    copies: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Episode:
    """One finished self-play game of T moves. Values are for the player to move at that position.

    Attributes:
        opening: int32 [any], random moves before the first of the T; nothing is learned from them.
        actions: int32 [T], the moves played.
        observations: uint8 [T, C, H, W], what the network saw before each move.
        policy_offsets: int32 [T+1]; the root children of move t are policy_offsets[t]:policy_offsets[t+1].
        policy_actions: int32 [policy_offsets[T]], legal actions at the root, ascending.
        policy_visits: int32 [policy_offsets[T]], their visit counts, less forced playouts, or, with
            search.root_search = "gumbel", shares of the improved policy in 65,535ths; less those that proofs make void
            (`selfplay.policy_targets`): the policy target once normalised. All 0 for a move of a fast search, or where
            all moves are proven to lose: it teaches the value alone.
        root_values: float32 [T], mean value of the root after the search; what is proven, where it is.
        outcomes: float32 [T], +1, 0 or -1: how the game ended.
        weights_versions: int32 [T], version of the newest weights that had a part in the move's search.
        actor: index of the actor process.
        game_index: counts the games that this actor has started.
        final_observation: uint8 [C, H, W], the position that the last move led to, for the player to move there; None
            if the game did not end by its rules.
        side_positions: further positions to learn from, None if there are none.
        copies: int32 [T], how often each position is written into the replay buffer; None: once.
        resigned: the game was ended by `selfplay.resign_value`, after its last move; the outcome is what the search
            of that move found.
        foreseen_rightly: of a game that might have been ended so and was played on: whether it came out as it would
            have been called; None: it was never called decided, or it was ended.
    """

    opening: npt.NDArray[np.int32]
    actions: npt.NDArray[np.int32]
    observations: npt.NDArray[np.uint8]
    policy_offsets: npt.NDArray[np.int32]
    policy_actions: npt.NDArray[np.int32]
    policy_visits: npt.NDArray[np.int32]
    root_values: npt.NDArray[np.float32]
    outcomes: npt.NDArray[np.float32]
    weights_versions: npt.NDArray[np.int32]
    actor: int
    game_index: int
    final_observation: npt.NDArray[np.uint8] | None = None
    side_positions: SidePositions | None = None
    copies: npt.NDArray[np.int32] | None = None
    resigned: bool = False
    foreseen_rightly: bool | None = None

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def moves_before(self) -> npt.NDArray[np.int32]:
        """Moves from the start of the game to each position, int32 [T]."""
        return np.arange(len(self.opening), len(self.opening) + len(self), dtype=np.int32)
