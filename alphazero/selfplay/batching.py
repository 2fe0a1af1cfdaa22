"""When to stop waiting and evaluate: batch collection as pure functions, without clocks or queues.

Three rules (`inference.collection`):

* drain: take what is there and go. The baseline's rule; with few leaves in flight batches stay tiny.
* plan: wait for a full batch up to the timeout; past the timeout go with at least `min_fill` of a batch;
  past twice the timeout go with whatever is there. With fewer leaves in flight than the minimum fill,
  every batch waits out the whole hard timeout.
* adaptive: go when the batch is full, when no more rows can come (all that exist are here), or at the
  timeout; with less than `min_fill` of a batch at that time, wait on for it up to twice the timeout, if so
  many rows exist. It never waits for rows that cannot come.
"""

from __future__ import annotations

from dataclasses import dataclass

COLLECTION_RULES = ("drain", "plan", "adaptive")


@dataclass(frozen=True)
class BatchPolicy:
    """A collection rule and its numbers; `timeout_s` counts from the arrival of the oldest waiting row."""

    rule: str
    batch_size: int
    timeout_s: float
    min_fill: float = 0.25

    def __post_init__(self) -> None:
        if self.rule not in COLLECTION_RULES:
            raise ValueError(f"unknown collection rule {self.rule!r}; known: {', '.join(COLLECTION_RULES)}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")
        if self.timeout_s < 0:
            raise ValueError(f"timeout_s must not be negative, but is {self.timeout_s}")
        if not 0.0 <= self.min_fill <= 1.0:
            raise ValueError(f"min_fill must be between 0 and 1, but is {self.min_fill}")

    @property
    def fewest_rows(self) -> float:
        """Rows below which a batch waits past the timeout."""
        return self.min_fill * self.batch_size


def seconds_to_wait(policy: BatchPolicy, waiting: int, can_arrive: int | None, waited_s: float) -> float:
    """Return how long to wait for another request at most; 0.0 means: evaluate now.

    Args:
        waiting: rows that are here, at least 1.
        can_arrive: rows that exist elsewhere and may still come; None if unknown.
        waited_s: seconds since the oldest of the waiting rows arrived.
    """
    if waiting >= policy.batch_size or policy.rule == "drain":
        return 0.0
    if policy.rule == "adaptive" and can_arrive == 0:
        return 0.0
    if waited_s < policy.timeout_s:
        return policy.timeout_s - waited_s
    if waiting >= policy.fewest_rows:
        return 0.0
    if policy.rule == "adaptive" and (can_arrive is None or waiting + can_arrive < policy.fewest_rows):
        return 0.0
    return max(0.0, 2 * policy.timeout_s - waited_s)
