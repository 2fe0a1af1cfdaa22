"""Measures a set of configurations side by side: round after round, each against a baseline close by.

    round 1:  baseline a b c d e f g | baseline h i j k ... | learner, ceilings
    round 2:  baseline ... k j i h   | ...                    (backwards, so that no place is favoured)

Every row goes to the window log as soon as it is there. A killed session loses one window; the next one
measures what is missing, with baselines of its own, and what has changed has another key.
"""

from __future__ import annotations

import contextlib
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from alphazero.benchmark.window import LONGEST_LEARNER_S, Window
from alphazero.benchmark.window_log import CEILING, LEARNER, SELFPLAY, WindowLog, WindowRow
from alphazero.config import Config
from alphazero.errors import UserError
from alphazero.run_lock import LOCK_NAME, LockHeld, RunLock

BLOCK = 9  # configurations measured against one baseline window
# Seconds to count on besides those of the windows themselves, in estimates.
START_ALLOWANCE_S = 4.5  # processes start, import, build, stop
ENGINE_ALLOWANCE_S = 10.0  # the same, and slow engines take longer at large batches
LEARNER_ALLOWANCE_S = 2.0


@dataclass(frozen=True)
class Budget:
    """How much is measured.

    Attributes:
        rounds: windows of each configuration.
        window_s, warm_up_s: seconds of a self-play window, and of play before it.
        learner_s, ceiling_s: seconds of a learner window, and of all batch sizes of an engine together.
        learner_steps: training steps of a learner window, instead of seconds, but not for longer than
            `LONGEST_LEARNER_S`; 0: seconds.
        minutes: no further round is begun if it would not end within so many; one is done in every session. With the
            build before it and the tables after it, `benchmark_all` is to end within 25 minutes on 2 cores.
    """

    rounds: int = 4
    window_s: float = 3.5
    warm_up_s: float = 1.0
    learner_s: float = 3.0
    learner_steps: int = 0
    ceiling_s: float = 5.0
    minutes: float = 22.0

    def estimated_s(self, jobs: Sequence[Job]) -> float:
        """Return how long the windows of `jobs` will about take, the baseline's own included, in seconds."""
        kinds = Counter(job.kind for job in jobs)
        blocks = max(1, math.ceil((kinds[SELFPLAY] - 1) / BLOCK)) if kinds[SELFPLAY] else 0
        windows = max(0, kinds[SELFPLAY] - 1) + blocks
        learner_s = LONGEST_LEARNER_S if self.learner_steps else self.learner_s
        return (
            windows * (START_ALLOWANCE_S + self.warm_up_s + self.window_s)
            + kinds[LEARNER] * (LEARNER_ALLOWANCE_S + learner_s)
            + kinds[CEILING] * (ENGINE_ALLOWANCE_S + self.ceiling_s)
        )


FULL = Budget()
QUICK = Budget(rounds=1, window_s=1.0, warm_up_s=0.2, learner_s=1.0, ceiling_s=1.0, minutes=3.0)


@dataclass(frozen=True)
class Job:
    """One thing to measure in every round; `label` is for people."""

    kind: str
    key: str
    label: str
    config: Config
    rounds: int = 1_000  # in so many rounds at most


class Measurer(Protocol):
    """Does the measuring; tests have one that costs no time."""

    def selfplay(self, config: Config, budget: Budget, number: int) -> Window:
        """Return the `number`th window of a configuration."""
        ...

    def learner(self, config: Config, budget: Budget, number: int) -> Window: ...

    def ceiling(self, config: Config, budget: Budget, number: int) -> Window:
        """Return, as metrics, evaluations a second by batch size (a text)."""
        ...


@dataclass
class Session:
    """One go at measuring `jobs`, the baseline's self-play among them as `baseline`.

    Attributes:
        name: sets this session's blocks apart from those of others in the log.
        say: told of every window, a line of text.
    """

    log: WindowLog
    measurer: Measurer
    budget: Budget
    jobs: Sequence[Job]
    baseline: Job
    name: str
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic

    def run(self) -> None:
        """Measure until every job has its rounds, or the time is up."""
        limit = self.clock() + 60 * self.budget.minutes
        failed: set[str] = set()
        begun_any = False
        pace = 1.0  # how long things really take, as a multiple of what was estimated
        for number in range(self.budget.rounds):
            missing = [
                job
                for job in self.jobs
                if job.key not in failed and number < job.rounds and len(self.log.measured(job.key)) <= number
            ]
            if not missing:
                continue
            begun, estimated = self.clock(), self.budget.estimated_s(missing)
            if begun_any and begun + pace * estimated > limit:
                self.say(
                    f"round {number + 1} of {self.budget.rounds} is left out: it would not end within "
                    f"{self.budget.minutes:g} minutes"
                )
                return
            begun_any = True
            self.say(f"round {number + 1} of {self.budget.rounds}: {len(missing)} measurements")
            for job, block in self._in_order(missing, number):
                if job.key not in failed and self._measure(job, block).error:
                    failed.add(job.key)
            pace = (self.clock() - begun) / estimated

    def _in_order(self, missing: Sequence[Job], number: int) -> Iterator[tuple[Job, str]]:
        """Yield what to measure in this round, with the name of its block."""
        selfplay = [job for job in missing if job.kind == SELFPLAY and job is not self.baseline]
        if number % 2:
            selfplay.reverse()
        starts = list(range(0, len(selfplay), BLOCK))
        if not starts and self.baseline in missing:
            starts = [0]
        for start in starts:
            block = f"{self.name}-{number}-{start // BLOCK}"
            for job in (self.baseline, *selfplay[start : start + BLOCK]):
                yield job, block
        for job in missing:
            if job.kind != SELFPLAY:
                yield job, f"{self.name}-{number}"

    def _measure(self, job: Job, block: str) -> WindowRow:
        measure = {
            SELFPLAY: self.measurer.selfplay,
            LEARNER: self.measurer.learner,
            CEILING: self.measurer.ceiling,
        }[job.kind]
        try:
            window = measure(job.config, self.budget, len(self.log.measured(job.key)))
            row = WindowRow(job.key, job.kind, job.label, block, _now(), **vars(window))
        except (KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:  # whatever a configuration does, the others stand
            row = WindowRow(job.key, job.kind, job.label, block, _now(), error=failure_reason(error))
        self.log.append(row)
        self.say(_line(row))
        return row


def shared_temporary_folder() -> Path:
    """Return the folder of temporary files that users of this machine share; macOS has another for each user."""
    return Path("/tmp") if sys.platform == "darwin" else Path(tempfile.gettempdir())


@contextmanager
def one_measurement_at_a_time() -> Iterator[None]:
    """Hold this machine's measuring lock; UserError if another measurement has it, also another user's.

    On Windows each user has one: what one has made in a shared folder is read-only for the others there.
    """
    folder = shared_temporary_folder() / "alphazero-measuring"
    lock = RunLock(folder)
    try:
        lock.acquire()
    except LockHeld as error:
        raise UserError(
            f"another measurement is going on on this machine (its lock: {folder}), and two would spoil each "
            "other's numbers; wait until it is over"
        ) from error
    for path, mode in ((folder, 0o777), (folder / LOCK_NAME, 0o666)):
        with contextlib.suppress(OSError):  # made by somebody else, who has done so
            path.chmod(mode)
    try:
        yield
    finally:
        lock.release()


def _line(row: WindowRow) -> str:
    if row.error:
        return f"  {row.label:<34} failed: {row.error}"
    shown = {
        SELFPLAY: "simulations_per_second",
        LEARNER: "training_steps_per_second",
    }.get(row.kind)
    if shown is None:
        return f"  {row.label:<34} {max(row.metrics.values(), default=0.0):12,.0f} evaluations/s at best"
    return f"  {row.label:<34} {row.metrics.get(shown, 0.0):12,.1f} {shown.replace('_per_second', '/s')}"


def failure_reason(error: Exception) -> str:
    """Return what happened in a line: of a child process's traceback, its last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def print_line(text: str) -> None:
    """Print a line at once, also through a pipe."""
    print(text, flush=True, file=sys.stdout)
