"""An actor's cache, in front of every way to the network: the same search, fewer rows, never old weights for long."""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.records import Episode
from alphazero.selfplay.game_group import GameGroup
from alphazero.selfplay.transport.caching import CachingClient
from alphazero.selfplay.transport.local import LocalClient
from alphazero.selfplay.transport.messages import EvaluationClient, InferenceResponse, SelfPlayStopped
from alphazero.selfplay.transport.pickled_queue import QueueClient
from alphazero.selfplay.transport.shared_memory import (
    SharedMemoryClient,
    SharedMemoryRequestQueue,
    SharedMemoryResponseQueue,
    SharedSlots,
)

CONTEXT = multiprocessing.get_context("spawn")
GAME = get_game("connect_four")
GROUPS, ROWS = 2, 8
SHAPE, ACTIONS = (1, 2, 2), 3


class FakeNetwork:
    """An `EvaluationClient` whose answers tell positions and versions apart: value = 10 * position + version.

    A position is the byte that its observation is full of.
    """

    def __init__(self) -> None:
        self.observations = [np.zeros((ROWS, *SHAPE), np.uint8) for _ in range(GROUPS)]
        self.published = 1  # version of the newest weights
        self.version = 1  # of those that it answers with
        self.asked: list[list[int]] = []  # positions of each request
        self._on_their_way: dict[int, list[int]] = {}

    def submit(self, group: int, rows: int) -> None:
        assert group not in self._on_their_way
        self._on_their_way[group] = self.observations[group][:rows, 0, 0, 0].tolist()
        self.asked.append(self._on_their_way[group])

    def receive(self, group: int) -> InferenceResponse:
        positions = np.float32(self._on_their_way.pop(group))
        logits = np.repeat(positions[:, None], ACTIONS, axis=1)
        return InferenceResponse(group, 0, logits, 10 * positions + self.version, self.version)

    def publish(self, version: int) -> None:
        self.published = self.version = version


def cached(network: FakeNetwork, positions: int = 4096) -> CachingClient:
    return CachingClient(network, lambda: network.published, ACTIONS, positions)


def submit(client: CachingClient, group: int, *positions: int) -> None:
    for row, position in enumerate(positions):
        client.observations[group][row] = position
    client.submit(group, len(positions))


def evaluate(client: CachingClient, group: int, *positions: int) -> list[float]:
    submit(client, group, *positions)
    response = client.receive(group)
    assert response.group == group
    assert response.policy_logits.tolist() == [[position] * ACTIONS for position in positions]
    values: list[float] = response.values.tolist()
    return values


# ---- what is asked ----


def test_a_round_whose_positions_are_all_known_asks_nothing() -> None:
    network = FakeNetwork()
    client = cached(network)
    assert evaluate(client, 0, 3, 4) == [31, 41]
    assert evaluate(client, 1, 4, 3, 4) == [41, 31, 41]
    assert network.asked == [[3, 4]]


def test_only_what_is_missing_is_asked_for_and_twins_once() -> None:
    network = FakeNetwork()
    client = cached(network)
    evaluate(client, 0, 3)
    assert evaluate(client, 0, 5, 3, 6, 5, 5) == [51, 31, 61, 51, 51]
    assert sorted(network.asked[1]) == [5, 6]


def test_rows_are_counted_when_they_are_looked_up() -> None:
    client = cached(FakeNetwork())
    submit(client, 0, 3, 4, 4)
    assert (client.looked_up_rows, client.cached_rows) == (3, 1)  # the twin
    client.receive(0)
    submit(client, 0, 3, 4, 5)
    assert (client.looked_up_rows, client.cached_rows) == (6, 3)
    assert client.look_up_s > 0 and client.keep_s > 0


def test_a_position_that_one_group_waits_for_is_asked_for_by_the_other_too() -> None:
    network = FakeNetwork()
    client = cached(network)
    submit(client, 0, 3, 4)
    submit(client, 1, 4, 5)
    assert [sorted(positions) for positions in network.asked] == [[3, 4], [4, 5]]
    assert client.receive(1).values.tolist() == [41, 51]
    assert client.receive(0).values.tolist() == [31, 41]


def test_an_answer_holds_until_the_groups_next_submission() -> None:
    client = cached(FakeNetwork())
    submit(client, 0, 3)
    first = client.receive(0)
    evaluate(client, 1, 7, 8)
    assert first.values.tolist() == [31]


# ---- new weights ----


def test_a_group_that_knows_everything_learns_of_new_weights_from_the_board() -> None:
    network = FakeNetwork()
    client = cached(network)
    evaluate(client, 0, 3, 4)
    network.publish(2)
    assert evaluate(client, 0, 3, 4) == [32, 42]
    assert len(network.asked) == 2


def test_rows_of_one_answer_may_be_of_two_versions_and_it_carries_the_newer() -> None:
    network = FakeNetwork()
    client = cached(network)
    evaluate(client, 0, 3)
    submit(client, 0, 3, 4)
    network.publish(2)
    response = client.receive(0)
    assert response.weights_version == 2
    assert response.values.tolist() == [31, 42]  # 3 was known when it was asked about
    assert evaluate(client, 0, 3, 4) == [32, 42]


def test_answers_of_old_weights_are_not_kept_once_there_are_new_ones() -> None:
    network = FakeNetwork()
    client = cached(network)
    submit(client, 0, 3)
    network.published = 2
    submit(client, 1, 4)  # sees that there are new weights; the server is about to answer with the old ones
    assert client.receive(0).values.tolist() == [31]
    assert client.receive(1).values.tolist() == [41]
    network.version = 2
    assert evaluate(client, 0, 3, 4) == [32, 42]


def test_a_round_without_questions_carries_the_version_of_its_answers() -> None:
    network = FakeNetwork()
    network.publish(5)
    client = cached(network)
    evaluate(client, 0, 3)
    submit(client, 0, 3)
    network.publish(6)
    evaluate(client, 1, 4)
    response = client.receive(0)
    assert (response.weights_version, response.values.tolist()) == (5, [35])


@pytest.mark.parametrize("places", [4, 4096])
def test_no_answer_is_older_than_the_weights_at_its_submission(places: int) -> None:
    """Random batches of few positions, groups in any order; the server lags behind what is published."""
    rng = np.random.default_rng(places)
    network = FakeNetwork()
    client = cached(network, places)
    waiting: dict[int, tuple[list[int], int]] = {}
    known = 0
    for _ in range(3000):
        group = int(rng.integers(GROUPS))
        if group in waiting:
            positions, published = waiting.pop(group)
            network.version = max(network.version, published, int(rng.integers(network.published + 1)))
            response = client.receive(group)
            versions = response.values - 10 * np.float32(positions)
            assert published <= versions.min() and versions.max() <= response.weights_version
            assert response.policy_logits[:, 0].tolist() == positions
            known += int((versions < response.weights_version).any())
        else:
            positions = rng.integers(0, 24, rng.integers(1, ROWS + 1)).tolist()
            network.published += int(rng.random() < 0.05)
            waiting[group] = (positions, network.published)
            submit(client, group, *positions)
    assert known  # answers of two versions in one batch did occur
    assert 0 < client.cached_rows < client.looked_up_rows
    assert sum(map(len, network.asked)) == client.looked_up_rows - client.cached_rows


# ---- every way to the network ----


def hashed(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits and values that look random but follow from each observation alone, the same in any batch."""
    rows = observations.reshape(len(observations), -1).astype(np.uint64)
    state = (rows * np.arange(1, rows.shape[1] + 1, dtype=np.uint64) ** np.uint64(3)).sum(axis=1)
    state = state * np.uint64(2654435761) % np.uint64(1_000_003)
    columns = np.arange(1, GAME.num_actions + 1, dtype=np.uint64)
    logits = (state[:, None] * columns % np.uint64(101)).astype(np.float32) / 50.0
    return logits, (state % np.uint64(201)).astype(np.float32) / 100.0 - 1.0


class HashEngine:
    """An `InferenceEngine` that answers `hashed` and notes how many rows it was asked."""

    name = "hash"
    max_batch = ROWS

    def __init__(self, rows: list[int]) -> None:
        self._rows = rows

    def evaluate(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._rows.append(len(observations))
        return hashed(observations)

    def load_weights(self, state_dict: object) -> None:
        pass


@dataclass
class Way:
    """A plain client, the parent's end of its pipe, the rows of every batch evaluated, and the server's thread."""

    client: EvaluationClient
    parent: Connection
    rows: list[int]
    server: threading.Thread
    stopped: threading.Event

    def end_server(self) -> None:
        """Let nothing more be answered."""
        self.stopped.set()
        self.server.join()


@contextmanager
def way_to_the_network(name: str) -> Iterator[Way]:
    parent, theirs = CONTEXT.Pipe()
    rows: list[int] = []
    engine = HashEngine(rows)
    requests: Any = queue.SimpleQueue()
    responses: Any = None
    client: EvaluationClient
    if name == "local":
        client = LocalClient(engine, None, GROUPS, ROWS, GAME.observation_shape)
    elif name == "shared_memory":
        slots = SharedSlots(CONTEXT, 1, GROUPS, ROWS, GAME.observation_shape, GAME.num_actions)
        actor_end, server_end = CONTEXT.Pipe()
        client = SharedMemoryClient(slots, 0, actor_end, theirs, first_ticket=9)
        requests = SharedMemoryRequestQueue(slots, [server_end])
        responses = SharedMemoryResponseQueue(slots, 0, server_end)
    else:
        requests, responses = CONTEXT.Queue(), CONTEXT.Queue()
        client = QueueClient(requests, responses, 0, GROUPS, ROWS, GAME.observation_shape, theirs)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                request = requests.get(timeout=0.02)
            except queue.Empty:
                continue
            answers = engine.evaluate(request.observations)
            responses.put(InferenceResponse(request.group, request.ticket, *answers, 0))

    way = Way(client, parent, rows, threading.Thread(target=serve), stopped)
    way.server.start()
    try:
        yield way
    finally:
        way.end_server()


EVERY_WAY = pytest.mark.parametrize("name", ["shared_memory", "queue", "local"])


def play(client: EvaluationClient, episodes_wanted: int) -> dict[int, Episode]:
    """Play two groups of games in turns, as an actor does; return finished games by their index."""
    groups = []
    for index in range(GROUPS):
        config = SearchConfig(simulations=16)
        group = GameGroup(GAME, config, ROWS, 5, first_slot=index * ROWS, actor_games=GROUPS * ROWS)
        group.search.observations = client.observations[index]
        client.submit(index, group.collect())
        groups.append(group)
    episodes: list[Episode] = []
    while len(episodes) < episodes_wanted:
        for index, group in enumerate(groups):
            response = client.receive(index)
            group.apply(response.policy_logits, response.values, response.weights_version)
            client.submit(index, group.collect())
            episodes += group.take_episodes()
    return {episode.game_index: episode for episode in episodes}


@EVERY_WAY
def test_a_search_finds_the_same_with_a_cache(name: str) -> None:
    """Root noise included: the trees mix it in, and what is remembered is free of it."""
    with way_to_the_network(name) as plain:
        expected = play(plain.client, 24)
    with way_to_the_network(name) as way:
        client = CachingClient(way.client, lambda: 0, GAME.num_actions, 100_000)
        found = play(client, 24)
    both = expected.keys() & found.keys()
    assert len(both) >= 20
    for index in both:
        for part in ("actions", "policy_actions", "policy_visits", "root_values", "outcomes"):
            np.testing.assert_array_equal(getattr(found[index], part), getattr(expected[index], part))
    assert len({len(episode) for episode in found.values()}) > 1
    asked = client.looked_up_rows - client.cached_rows
    assert sum(way.rows) <= asked <= sum(way.rows) + GROUPS * ROWS  # the last requests may be on their way
    assert sum(way.rows) < 0.9 * sum(plain.rows)


@pytest.mark.parametrize("name", ["shared_memory", "queue"])
def test_the_end_of_the_run_passes_through(name: str) -> None:
    with way_to_the_network(name) as way:
        client = CachingClient(way.client, lambda: 0, GAME.num_actions, 100)
        client.submit(0, 2)
        client.receive(0)
        way.end_server()
        way.parent.send("stop")
        client.submit(0, 2)
        assert len(client.receive(0).values) == 2  # known: nothing is waited for
        client.observations[0][:] = 1
        client.submit(0, 2)
        with pytest.raises(SelfPlayStopped):
            client.receive(0)


def test_the_end_of_the_server_passes_through() -> None:
    with way_to_the_network("shared_memory") as way:
        client = CachingClient(way.client, lambda: 0, GAME.num_actions, 100)
        way.end_server()
        way.client._connection.close()  # type: ignore[attr-defined]
        with pytest.raises(SelfPlayStopped):
            client.submit(0, 2)
