"""An actor process: plays its games for ever and sends finished ones to the parent.

Imports torch only when it evaluates its own leaves (placement `local`).
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from alphazero.config import Config
from alphazero.games.game import Game
from alphazero.games.registry import get_game
from alphazero.metrics.histogram import no_fills
from alphazero.selfplay.game_group import GameGroup
from alphazero.selfplay.reports import ActorReport, ActorStatistics, WorkerFailure
from alphazero.selfplay.transport.caching import CachingClient
from alphazero.selfplay.transport.messages import EvaluatesByItself, EvaluationClient, SelfPlayStopped
from alphazero.selfplay.transport.pickled_queue import QueueClient
from alphazero.selfplay.transport.shared_memory import SharedMemoryClient, SharedSlots
from alphazero.selfplay.transport.weight_board import WeightBoard, WeightBoardReader
from alphazero.stop_signals import ignore_stop_signals

REPORT_EVERY_S = 0.5
PAUSE_STEP_S = 0.02


@dataclass(frozen=True)
class ActorSpec:
    """All that an actor process is started with.

    `slots` and `server` are set for the transport `shared_memory`, `requests` and `responses` for `queue`,
    `weights` for the placement `local` and for a cache. `paused[0]` is 1 while self-play is to wait for the
    learner, `untrained[0]` while there is no trained network and games are played without one.
    `stagger` is for measuring, see `GameGroup`.
    """

    actor: int
    launch: int
    config: Config
    parent: Connection
    paused: Any
    untrained: Any
    slots: SharedSlots | None = None
    server: Connection | None = None
    requests: Any = None
    responses: Any = None
    weights: WeightBoard | None = None
    stagger: bool = False


def actor_main(spec: ActorSpec) -> None:
    """Run an actor until the parent says so or is gone; a failure goes to the parent as a traceback."""
    ignore_stop_signals()
    try:
        _play(spec)
    except (SelfPlayStopped, BrokenPipeError, ConnectionResetError):
        return
    except BaseException:
        spec.parent.send(WorkerFailure(f"actor {spec.actor}", traceback.format_exc()))
        raise SystemExit(1) from None


def _play(spec: ActorSpec) -> None:
    config = spec.config
    game = get_game(config.run.game)
    client = _client(spec, game)
    num_groups = len(client.observations)
    games = len(client.observations[0])
    groups = []
    for index in range(num_groups):
        group = GameGroup(
            game,
            config.search,
            games,
            config.run.seed,
            actor=spec.actor,
            launch=spec.launch,
            first_slot=index * games,
            actor_games=num_groups * games,
            selfplay=config.selfplay,
            stagger=spec.stagger,
        )
        group.search.observations = client.observations[index]
        groups.append(group)

    channel = _ParentChannel(spec)
    report = channel.report
    while spec.untrained[0]:
        for group in groups:
            started = time.perf_counter()
            rows = group.collect()
            collected = time.perf_counter()
            group.apply_untrained(rows)
            applied = time.perf_counter()
            report.statistics.tree_s += applied - collected
            report.statistics.search_s += applied - started
            report.episodes += group.take_episodes()
        report = channel.after_round(groups, client)
    for index, group in enumerate(groups):
        client.submit(index, group.collect())
    while True:
        for index, group in enumerate(groups):
            started = time.perf_counter()
            response = client.receive(index)
            received = time.perf_counter()
            group.apply(response.policy_logits, response.values, response.weights_version)
            applied = time.perf_counter()
            rows = group.collect()
            collected = time.perf_counter()
            client.submit(index, rows)
            report.statistics.waiting_s += received - started
            report.statistics.tree_s += applied - received
            report.statistics.search_s += collected - received
            report.episodes += group.take_episodes()
        report = channel.after_round(groups, client)


class _ParentChannel:
    """What passes between an actor and its parent: reports out, stop and pause in."""

    def __init__(self, spec: ActorSpec) -> None:
        self.report = ActorReport()
        self._spec = spec
        self._reported = time.perf_counter()

    def after_round(self, groups: list[GameGroup], client: EvaluationClient) -> ActorReport:
        """Wait while paused, report if it is time, and return the report to go on with.

        Raises SelfPlayStopped when the parent says so.
        """
        spec = self._spec
        if spec.parent.poll():
            raise SelfPlayStopped
        now = time.perf_counter()
        while spec.paused[0]:
            began = now
            time.sleep(PAUSE_STEP_S)
            now = time.perf_counter()
            self.report.statistics.paused_s += now - began
            if now - self._reported >= REPORT_EVERY_S:
                self._send(groups, client, now)
            if spec.parent.poll():
                raise SelfPlayStopped
        if self.report.episodes or now - self._reported >= REPORT_EVERY_S:
            self._send(groups, client, now)
        return self.report

    def _send(self, groups: list[GameGroup], client: EvaluationClient, now: float) -> None:
        report = self.report
        report.statistics.actor_s = now - self._reported
        for group in groups:
            report.statistics.merge(group.take_counts())
            _account_search(report.statistics, group)
        _account_network(report, client)
        self._spec.parent.send(report)
        self.report, self._reported = ActorReport(), now


def _client(spec: ActorSpec, game: Game) -> EvaluationClient:
    client = _plain_client(spec, game)
    positions = spec.config.inference.cache_positions
    if positions == 0:
        return client
    assert spec.weights is not None
    board = spec.weights
    return CachingClient(client, lambda: board.version, game.num_actions, positions)


def _plain_client(spec: ActorSpec, game: Game) -> EvaluationClient:
    config = spec.config
    if spec.slots is not None and spec.server is not None:
        return SharedMemoryClient(
            spec.slots, spec.actor, spec.server, spec.parent, first_ticket=spec.launch << 32
        )
    if spec.requests is not None:
        groups, rows = group_shape(config)
        return QueueClient(
            spec.requests, spec.responses, spec.actor, groups, rows, game.observation_shape, spec.parent
        )
    assert spec.weights is not None
    return _local_client(config, game, spec.weights)


def _local_client(config: Config, game: Game, board: WeightBoard) -> EvaluationClient:
    import torch

    from alphazero.network.cpu_allocator import keep_freed_memory
    from alphazero.network.engines import make_engine
    from alphazero.network.resnet import build_network
    from alphazero.selfplay.transport.local import LocalClient

    torch.set_num_threads(max(1, config.inference.threads))
    keep_freed_memory()
    groups, rows = group_shape(config)
    engine = make_engine(
        config.inference.engine,
        build_network(game, config.network),
        device="cpu",
        use_amp=config.inference.use_amp,
        max_batch=rows,
    )
    return LocalClient(engine, WeightBoardReader(board), groups, rows, game.observation_shape)


def group_shape(config: Config) -> tuple[int, int]:
    """Return (groups, games in each) of one actor; evaluation in the actor itself needs no second group."""
    groups = 1 if config.inference.placement == "local" else config.selfplay.groups
    return groups, config.selfplay.games_per_actor // groups


def _account_search(statistics: ActorStatistics, group: GameGroup) -> None:
    """Add what the compiled driver timed apart; where there is none, only the sum is known."""
    seconds = group.search.take_seconds()
    if seconds is None:
        statistics.tree_s = 0.0
        return
    statistics.reports_timed_apart = 1
    statistics.tree_s += seconds[0]
    statistics.rules_s += seconds[1]
    statistics.encoding_s += seconds[2]


def _account_network(report: ActorReport, client: EvaluationClient) -> None:
    """What looked like waiting was in part the cache and, with an engine of its own, the network."""
    statistics = report.statistics
    if isinstance(client, CachingClient):
        statistics.reports_with_cache = 1
        statistics.looked_up_rows, client.looked_up_rows = client.looked_up_rows, 0
        statistics.cached_rows, client.cached_rows = client.cached_rows, 0
        statistics.cache_s = client.look_up_s + client.keep_s
        statistics.waiting_s = max(0.0, statistics.waiting_s - client.keep_s)
        client.look_up_s = client.keep_s = 0.0
        client = client.inner
    if isinstance(client, EvaluatesByItself):
        report.engine = client.engine_name
        statistics.network_s, client.network_s = client.network_s, 0.0
        statistics.batch_rows, client.network_rows = client.network_rows, 0
        statistics.fills, client.fills = client.fills, no_fills()
        statistics.batches = int(statistics.fills.sum())
        statistics.batch_slots = statistics.batches * len(client.observations[0])
        statistics.waiting_s = max(0.0, statistics.waiting_s - statistics.network_s)
