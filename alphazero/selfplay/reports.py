"""What the processes of self-play tell their parent, and the totals that the parent keeps of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from alphazero.metrics.histogram import LatencyHistogram, no_fills
from alphazero.records import Episode
from alphazero.selfplay.game_group import SelfPlayCounts


@dataclass
class ActorReport:
    """What an actor did since its last report; times in seconds.

    `elapsed_s` is search, cache, network, waiting and pauses, and a rest: messages and reports.
    """

    actor: int
    episodes: list[Episode] = field(default_factory=list)
    counts: SelfPlayCounts = field(default_factory=SelfPlayCounts)
    batches: int = 0  # forward passes of its own (placement `local`); 0 otherwise
    batch_rows: int = 0  # rows in them
    looked_up_rows: int = 0  # rows asked of its cache; 0: it has none
    cached_rows: int = 0  # of them, those that the network was not asked for
    fills: npt.NDArray[np.int64] = field(default_factory=no_fills)  # forward passes by `fill_bin`
    elapsed_s: float = 0.0
    search_s: float = 0.0  # all of the search: trees, rules, encoding, choosing moves, episodes
    tree_s: float = 0.0  # of it: selecting, expanding, backing up; 0 where it is not timed apart
    rules_s: float = 0.0  # of it
    encoding_s: float = 0.0  # of it
    timed_apart: bool = False  # whether these three are
    has_cache: bool = False
    cache_s: float = 0.0  # looking answers up in its cache and keeping new ones
    network_s: float = 0.0  # in its own engine (placement `local`)
    waiting_s: float = 0.0  # for the inference server
    paused_s: float = 0.0  # until the learner has caught up
    engine: str = ""  # name of its own engine (placement `local`)


@dataclass(frozen=True)
class WorkerFailure:
    """Sent to the parent by a process that ends on an exception."""

    worker: str
    traceback: str


@dataclass
class ServerReport:
    """What the inference server did since its last report; times in seconds."""

    batches: int
    rows: int
    fills: npt.NDArray[np.int64]  # batches by `fill_bin`
    elapsed_s: float
    waiting_s: float
    network_s: float
    copies_s: float
    latency: npt.NDArray[np.int64]
    engine: str
    batch_capacity: int
    most_rows: int  # that go through the network at once: less than the capacity once memory ran out


@dataclass
class SelfPlayStatistics:
    """What self-play did since the statistics were last taken; times are summed over actors, in seconds."""

    games: int = 0
    positions: int = 0
    simulations: int = 0
    leaves: int = 0  # rows that needed an answer, from the network (`batch_rows`) or from a cache
    batches: int = 0
    batch_rows: int = 0
    looked_up_rows: int = 0  # rows asked of actors' caches; 0: there are none
    cached_rows: int = 0  # of them, those that the network was not asked for
    batch_slots: int = 0  # rows there would have been room for in those batches
    fills: npt.NDArray[np.int64] = field(default_factory=no_fills)  # batches by `fill_bin`
    actor_s: float = 0.0
    search_s: float = 0.0
    tree_s: float = 0.0  # 0, like the next two, where they are not timed apart
    rules_s: float = 0.0
    encoding_s: float = 0.0
    reports_timed_apart: int = 0  # reports of actors whose trees, rules and encoding are
    reports_with_cache: int = 0
    cache_s: float = 0.0
    waiting_s: float = 0.0
    paused_s: float = 0.0
    network_s: float = 0.0  # in the server, or in the actors themselves
    server_copies_s: float = 0.0
    server_waiting_s: float = 0.0
    server_s: float = 0.0  # how long the server has been at it; 0: there is none
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)

    def merge(self, other: SelfPlayStatistics) -> None:
        """Add what `other` counted."""
        for name, value in vars(other).items():
            if name == "latency":
                self.latency.merge(value.array)
            else:
                setattr(self, name, getattr(self, name) + value)

    def add_actor_report(self, report: ActorReport, batch_capacity: int) -> None:
        """Count what an actor did; `batch_capacity`: rows of its own forward passes at most."""
        self.games += report.counts.games
        self.positions += report.counts.positions
        self.simulations += report.counts.simulations
        self.leaves += report.counts.leaves
        self.batches += report.batches
        self.batch_rows += report.batch_rows
        self.looked_up_rows += report.looked_up_rows
        self.cached_rows += report.cached_rows
        self.batch_slots += report.batches * batch_capacity
        self.fills += report.fills
        self.actor_s += report.elapsed_s
        self.search_s += report.search_s
        self.tree_s += report.tree_s
        self.rules_s += report.rules_s
        self.encoding_s += report.encoding_s
        self.reports_timed_apart += report.timed_apart
        self.reports_with_cache += report.has_cache
        self.cache_s += report.cache_s
        self.waiting_s += report.waiting_s
        self.paused_s += report.paused_s
        self.network_s += report.network_s

    def add_server_report(self, report: ServerReport) -> None:
        """Count what the inference server did."""
        self.batches += report.batches
        self.batch_rows += report.rows
        self.batch_slots += report.batches * report.batch_capacity
        self.fills += report.fills
        self.network_s += report.network_s
        self.server_copies_s += report.copies_s
        self.server_waiting_s += report.waiting_s
        self.server_s += report.elapsed_s
        self.latency.merge(report.latency)
