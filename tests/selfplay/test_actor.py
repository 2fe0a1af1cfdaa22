"""What an actor reports of its evaluations, and how it comes by them."""

from __future__ import annotations

import multiprocessing
import threading
from dataclasses import replace
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from alphazero.config import Config
from alphazero.games.registry import get_game
from alphazero.records import Episode
from alphazero.selfplay import actor
from alphazero.selfplay.actor import (
    REPORT_EVERY_S,
    ActorSpec,
    _account_network,
    _client,
    _ParentChannel,
    group_shape,
)
from alphazero.selfplay.reports import ActorReport, ActorStatistics
from alphazero.selfplay.transport.caching import CachingClient
from alphazero.selfplay.transport.local import LocalClient
from alphazero.selfplay.transport.messages import EvaluationClient, SelfPlayStopped
from alphazero.selfplay.transport.pickled_queue import QueueClient
from alphazero.selfplay.transport.shared_memory import SharedMemoryClient, SharedSlots
from alphazero.selfplay.transport.weight_board import WeightBoard

CONTEXT = multiprocessing.get_context("spawn")
GAME = get_game("connect_four")
ROWS = 4
open_ends: list[Connection] = []  # a pipe without its other end is the end of the run


def client_of(transport: str, cache_positions: int) -> EvaluationClient:
    """Return what an actor of that transport evaluates with; nobody answers."""
    config = Config()
    config = replace(
        config, inference=replace(config.inference, transport=transport, cache_positions=cache_positions)
    )
    groups, rows = group_shape(config)
    here: dict[str, Any] = {"requests": CONTEXT.Queue(), "responses": CONTEXT.Queue()}
    if transport == "shared_memory":
        slots = SharedSlots(CONTEXT, 1, groups, rows, GAME.observation_shape, GAME.num_actions)
        actor_end, server_end = CONTEXT.Pipe()
        open_ends.append(server_end)
        here = {"slots": slots, "server": actor_end}
    board = WeightBoard(CONTEXT, {"a": np.zeros(1, np.float32)}) if cache_positions else None
    spec = ActorSpec(0, 0, config, CONTEXT.Pipe()[0], [0], [0], weights=board, **here)
    return _client(spec, GAME)


@pytest.mark.parametrize(
    ("transport", "plain"), [("shared_memory", SharedMemoryClient), ("queue", QueueClient)]
)
def test_only_an_actor_with_a_cache_has_one_in_front_of_its_transport(transport: str, plain: type) -> None:
    assert type(client_of(transport, 0)) is plain
    client = client_of(transport, 100)
    assert isinstance(client, CachingClient)
    assert type(client.inner) is plain


class Engine:
    name = "stand-in"
    max_batch = ROWS

    def evaluate(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((len(observations), GAME.num_actions), np.float32), np.zeros(
            len(observations), np.float32
        )

    def load_weights(self, state_dict: object) -> None:
        pass


def ask(client: EvaluationClient, *positions: int) -> None:
    for row, position in enumerate(positions):
        client.observations[0][row] = position
    client.submit(0, len(positions))
    client.receive(0)


def report_of(client: EvaluationClient) -> ActorReport:
    report = ActorReport(ActorStatistics(waiting_s=100.0))
    _account_network(report, client)
    return report


def test_evaluations_reported_are_those_of_the_network() -> None:
    local = LocalClient(Engine(), None, 1, ROWS, GAME.observation_shape)
    client = CachingClient(local, lambda: 0, GAME.num_actions, 4096)
    ask(client, 1, 2, 2, 3)
    ask(client, 3, 2, 1)
    ask(client, 1, 4)
    report = report_of(client)
    did = report.statistics
    assert (did.looked_up_rows, did.cached_rows) == (9, 5)
    assert (did.batches, did.batch_rows, report.engine) == (2, 4, "stand-in")  # 3 rows, none, 1 row
    assert did.batch_slots == 2 * ROWS
    assert np.flatnonzero(did.fills).tolist() == [5, 15]  # a quarter full and three quarters, of 20 bins
    assert 0 < did.cache_s < 1 and 0 < did.network_s < 1
    assert 100 - did.cache_s - did.network_s < did.waiting_s < 100 - did.network_s
    again = report_of(client).statistics
    assert (again.looked_up_rows, again.cached_rows, again.batches, again.batch_rows) == (0, 0, 0, 0)
    assert (again.cache_s, again.network_s, again.waiting_s) == (0, 0, 100)


def test_without_a_cache_every_round_is_a_forward_pass() -> None:
    client = LocalClient(Engine(), None, 1, ROWS, GAME.observation_shape)
    ask(client, 1, 1, 1, 1)
    ask(client, 1, 1)
    did = report_of(client).statistics
    assert (did.batches, did.batch_rows, did.batch_slots) == (2, 6, 8)
    assert (did.looked_up_rows, did.cache_s) == (0, 0)


def test_with_a_server_the_batches_are_not_the_actors() -> None:
    client = client_of("shared_memory", 100)
    client.submit(0, 3)  # equal rows
    report = report_of(client)
    did = report.statistics
    assert (did.batches, did.batch_rows, did.batch_slots, report.engine) == (0, 0, 0, "")
    assert (did.looked_up_rows, did.cached_rows, did.waiting_s) == (3, 2, 100)


def test_time_paused_for_the_learner_is_no_waiting_for_evaluations() -> None:
    parent, here = CONTEXT.Pipe()
    open_ends.append(parent)
    paused = [1]
    channel = _ParentChannel(ActorSpec(0, 0, Config(), here, paused, [0]))
    did = channel.report.statistics
    client = LocalClient(Engine(), None, 1, ROWS, GAME.observation_shape)
    threading.Timer(0.1, paused.__setitem__, (0, 0)).start()
    channel.after_round([], client)
    assert did.paused_s >= 0.09 and did.waiting_s == 0.0


def test_without_a_network_its_answers_are_the_trees_time_and_no_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent, here = CONTEXT.Pipe()
    open_ends.append(parent)
    clock = [0.0]
    reports = []

    class Group:
        def __init__(self, *arguments: object, **named: object) -> None:
            self.search = SimpleNamespace()

        def collect(self) -> int:
            clock[0] += 1.0
            return 2

        def apply_untrained(self, rows: int) -> None:
            assert rows == 2
            clock[0] += 3.0

        def take_episodes(self) -> list[Episode]:
            clock[0] += 10.0
            return []

    class Channel(_ParentChannel):
        def after_round(self, *arguments: object) -> ActorReport:
            reports.append(self.report.statistics)
            raise SelfPlayStopped

    monkeypatch.setattr(actor, "GameGroup", Group)
    monkeypatch.setattr(actor, "_ParentChannel", Channel)
    monkeypatch.setattr(
        actor, "_client", lambda *arguments: LocalClient(Engine(), None, 2, ROWS, GAME.observation_shape)
    )
    monkeypatch.setattr(actor.time, "perf_counter", lambda: clock[0])
    with pytest.raises(SelfPlayStopped):
        actor._play(ActorSpec(0, 0, Config(), here, [0], [1]))
    monkeypatch.undo()
    assert [(report.tree_s, report.search_s) for report in reports] == [(6.0, 8.0)]  # of two groups


def test_a_long_pause_is_reported_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, here = CONTEXT.Pipe()
    clock = [0.0]
    paused = [1]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        paused[0] = int(clock[0] < 2.6 * REPORT_EVERY_S)

    monkeypatch.setattr(actor.time, "sleep", sleep)
    monkeypatch.setattr(actor.time, "perf_counter", lambda: clock[0])
    channel = _ParentChannel(ActorSpec(0, 0, Config(), here, paused, [0]))
    channel.after_round([], LocalClient(Engine(), None, 1, ROWS, GAME.observation_shape))
    monkeypatch.undo()
    reports = []
    while parent.poll():
        reports.append(parent.recv().statistics)
    assert len(reports) == 2
    for report in reports:
        assert report.paused_s == pytest.approx(report.actor_s)
    assert sum(report.paused_s for report in (*reports, channel.report.statistics)) == pytest.approx(clock[0])
