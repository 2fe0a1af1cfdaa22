"""What the processes of self-play tell their parent, and the totals that the parent keeps of it.

A counter is a field of `SelfPlayCounts`, `ActorStatistics` or `SelfPlayStatistics`, each of which has those before it;
whoever counts fills one of them, and `merge` adds it to the totals.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from alphazero.metrics.histogram import LatencyHistogram, no_fills
from alphazero.records import Episode
from alphazero.selfplay.game_group import SelfPlayCounts


@dataclass
class ActorStatistics(SelfPlayCounts):
    """What an actor did since its last report; times in seconds.

    Forward passes are its own (placement `local`). `actor_s` is search, cache, network, waiting and pauses, and a
    rest: messages and reports.
    """

    batches: int = 0  # forward passes
    batch_rows: int = 0  # rows in them
    batch_slots: int = 0  # rows there would have been room for in them
    fills: npt.NDArray[np.int64] = field(default_factory=no_fills)  # forward passes by `fill_bin`
    network_s: float = 0.0  # in the engine
    looked_up_rows: int = 0  # rows asked of the actor's cache; 0: it has none
    cached_rows: int = 0  # of them, those that the network was not asked for
    actor_s: float = 0.0
    search_s: float = 0.0  # all of the search: trees, rules, encoding, choosing moves, episodes
    tree_s: float = 0.0  # of it: selecting, expanding, backing up; 0 where it is not timed apart
    rules_s: float = 0.0  # of it
    encoding_s: float = 0.0  # of it
    reports_timed_apart: int = 0  # reports of actors whose trees, rules and encoding are; of one actor 0 or 1
    reports_with_cache: int = 0  # likewise
    cache_s: float = 0.0  # looking answers up in its cache and keeping new ones
    waiting_s: float = 0.0  # for the inference server
    paused_s: float = 0.0  # until the learner has caught up


@dataclass
class SelfPlayStatistics(ActorStatistics):
    """What self-play did since the statistics were last taken; times are summed over actors, in seconds.

    Forward passes are the inference server's or, without one, the actors'. The server fills one with its own part.
    """

    server_waiting_s: float = 0.0  # for requests
    server_copies_s: float = 0.0  # gathering rows into one array, handing answers back
    server_s: float = 0.0  # how long the server has been at it; 0: there is none
    # Of each row, from an actor's submission to its answer.
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)


@dataclass
class ActorReport:
    """What an actor sends every half second, and with every finished game."""

    statistics: ActorStatistics = field(default_factory=ActorStatistics)
    episodes: list[Episode] = field(default_factory=list)
    engine: str = ""  # name of its own engine (placement `local`)


@dataclass(frozen=True)
class ServerReport:
    """What the inference server sends every half second."""

    statistics: SelfPlayStatistics
    engine: str
    most_rows: int  # that go through the network at once: less than the batch size once memory ran out


@dataclass(frozen=True)
class WorkerFailure:
    """Sent to the parent by a process that ends on an exception."""

    worker: str
    traceback: str
