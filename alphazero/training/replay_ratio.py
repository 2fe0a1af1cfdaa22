"""Holds the replay ratio by counting, not by the clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

from alphazero.config import TrainingConfig


@dataclass(frozen=True)
class ReplayRatioGate:
    """How many training steps self-play has paid for.

    Attributes:
        replay_ratio: positions trained / positions generated, above 0.
        batch_size: positions trained in one step.
        min_positions: positions generated before the first step.
        untrained_positions: of the positions generated, the first so many were searched without a network;
            there is no step before the last of them.
        untrained_replay_ratio: the replay ratio of these.
    """

    replay_ratio: float
    batch_size: int
    min_positions: int
    untrained_positions: int = 0
    untrained_replay_ratio: float = 0.0

    def steps_earned(self, positions_generated: int) -> int:
        """Return how many steps in all may have been done once so many positions were generated.

        The largest n with n * batch_size <= positions_generated * replay_ratio; 0 below min_positions.
        """
        if positions_generated < max(self.min_positions, self.untrained_positions, 1):
            return 0
        informed = positions_generated - self.untrained_positions
        trained = self.untrained_positions * self.untrained_replay_ratio + informed * self.replay_ratio
        return int(trained // self.batch_size)

    @property
    def steps_of_untrained(self) -> int:
        """Steps that the positions searched without a network pay for by themselves."""
        return int(self.untrained_positions * self.untrained_replay_ratio // self.batch_size)

    def steps_allowed(self, positions_generated: int, steps_done: int) -> int:
        """Return how many more steps may be done now; 0 when training has caught up."""
        return max(0, self.steps_earned(positions_generated) - steps_done)


def replay_ratio_gate(training: TrainingConfig, untrained_ended_at: int = 0) -> ReplayRatioGate:
    """Return the gate that the configuration asks for.

    untrained_ended_at: positions at which learning was begun all the same, with fewer than asked for; 0: it was not.
    """
    most = untrained_ended_at or math.inf
    return ReplayRatioGate(
        training.replay_ratio,
        training.batch_size,
        int(min(training.min_positions, most)),
        int(min(training.untrained_positions, most)),
        training.untrained_replay_ratio,
    )


def planned_steps(training: TrainingConfig) -> int:
    """Return how many steps a run does that ends by its positions or its steps, at least 1.

    The learning rate goes by them, not by positions: those played without a network are most of a short run, and
    there is no step before the last of them.
    """
    earned = replay_ratio_gate(training).steps_earned(training.positions)
    return max(1, min(earned, training.max_steps) if training.max_steps else earned)
