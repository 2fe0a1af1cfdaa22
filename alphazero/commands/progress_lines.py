"""How far an evaluation is, in lines on standard error: for every command that evaluates."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


class ProgressLines:
    """Says on standard error how far each part is: when it starts, every few seconds, when it is done."""

    def __init__(self, every_seconds: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_seconds = every_seconds
        self._clock = clock
        self._said: tuple[str, int] | None = None
        self._said_at = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = self._clock()
        due = done in (0, total) or now - self._said_at >= self._every_seconds
        if due and self._said != (what, done):
            self._said, self._said_at = (what, done), now
            print(f"{what}: {done:,} of {total:,}", file=sys.stderr, flush=True)
