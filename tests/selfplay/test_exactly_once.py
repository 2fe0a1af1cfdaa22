"""No answer is lost, doubled or swapped: real processes, random batches, delays and reordering.

Actors ask for rows that differ from each other, each from its own stream of serial numbers, and know what the
answer to each must be: a hash of the whole row stands in for the network. The server gathers batches by a
rule, size and timeout that change from batch to batch, sleeps now and then, and hands answers back in random
order. In the end the rows it evaluated must be those that were asked for, each once.
"""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest

from alphazero.config import NetworkConfig
from alphazero.games.registry import get_game
from alphazero.selfplay.batching import COLLECTION_RULES, BatchPolicy
from alphazero.selfplay.transport.messages import (
    EvaluationClient,
    InferenceRequest,
    InferenceResponse,
)
from alphazero.selfplay.transport.pickled_queue import QueueClient
from alphazero.selfplay.transport.shared_memory import (
    SharedMemoryClient,
    SharedMemoryRequestQueue,
    SharedMemoryResponseQueue,
    SharedSlots,
)

SHAPE, ACTIONS = (2, 6, 7), 7
ACTORS, GROUPS, ROWS = 3, 4, 48
PATIENCE_S = 150.0

_FACTORS = np.random.default_rng(0).integers(1, 2**63, (84, ACTIONS + 1), dtype=np.uint64) | np.uint64(1)


def hashed(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and values that are a hash of each row: whole numbers, exact in float32."""
    rows = observations.reshape(len(observations), -1).astype(np.uint64)
    hashes = (rows @ _FACTORS >> np.uint64(41)).astype(np.float32)
    return hashes[:, :ACTIONS], hashes[:, ACTIONS]


def fingerprint(observations: np.ndarray) -> np.ndarray:
    """Return (rows, sum of serial numbers, sum of their squares) modulo 2^64: equal for equal sets of rows."""
    serials = observations.reshape(len(observations), -1)[:, :8].copy().view(np.uint64).ravel()
    return np.array([len(serials), serials.sum(), (serials * serials).sum()], np.uint64)


class HashEngine:
    """An `InferenceEngine` that answers `hashed`, late now and then, and notes what it was asked."""

    name = "hash"
    max_batch = 10**9

    def __init__(self, rng: np.random.Generator) -> None:
        self.seen = np.zeros(3, np.uint64)
        self._rng = rng

    def evaluate(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answers = hashed(observations)
        self.seen += fingerprint(observations)
        sleep_now_and_then(self._rng)
        return answers

    def load_weights(self, state_dict: object) -> None:
        pass


class PipelinedHashEngine(HashEngine):
    """The same with two batches on their way. It looks at the rows when they are collected, no sooner."""

    depth = 2

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self._on_their_way: deque[np.ndarray] = deque()

    def submit(self, observations: np.ndarray) -> None:
        assert len(self._on_their_way) < self.depth
        self._on_their_way.append(observations)

    def ready(self) -> bool:
        return bool(self._rng.random() < 0.3)

    def collect(self) -> tuple[np.ndarray, np.ndarray]:
        return self.evaluate(self._on_their_way.popleft())


ENGINES = {"one at a time": HashEngine, "pipelined": PipelinedHashEngine}


def sleep_now_and_then(rng: np.random.Generator) -> None:
    if rng.random() < 0.02:
        time.sleep(float(rng.uniform(0.0, 0.003)))


class Shuffled:
    """Holds back answers for any actor and lets them go in random order; all of them before the server waits."""

    def __init__(self, requests: Any, responses: list[Any], rng: np.random.Generator) -> None:
        self.ends = [ShuffledEnd(self, end) for end in responses]
        self._requests = requests
        self._rng = rng
        self._held: list[tuple[Any, InferenceResponse]] = []

    def put(self, end: Any, response: InferenceResponse) -> None:
        self._held.append((end, response))
        self._release(down_to=int(self._rng.integers(0, 6)))

    def get(self, block: bool = True, timeout: float | None = None) -> InferenceRequest:
        try:
            return self._requests.get_nowait()
        except queue.Empty:
            self._release(down_to=0)
            return self._requests.get(timeout=timeout)

    def get_nowait(self) -> InferenceRequest:
        return self._requests.get_nowait()

    def _release(self, down_to: int) -> None:
        while len(self._held) > down_to:
            end, response = self._held.pop(int(self._rng.integers(len(self._held))))
            end.put(response)


@dataclass
class ShuffledEnd:
    """One actor's response queue."""

    shuffled: Shuffled
    end: Any

    def put(self, response: InferenceResponse) -> None:
        self.shuffled.put(self.end, response)


def serve(
    parent: Connection, make_ends: Callable[[], tuple[Any, list[Any]]], engine_name: str, seed: int
) -> None:
    """The server's process: send the fingerprint of all rows evaluated once the parent says so."""
    # here, since the actors' processes import this file as well and have no use for torch
    from alphazero.network.resnet import build_network
    from alphazero.selfplay.inference_server import InferenceServer

    rng = np.random.default_rng(seed)
    shuffled = Shuffled(*make_ends(), rng)
    network = build_network(get_game("connect_four"), NetworkConfig(1, 4))
    server = InferenceServer(
        shuffled,
        shuffled.ends,
        queue.SimpleQueue(),
        network,
        "cpu",
        engine="eager",
        rows_in_play=ACTORS * GROUPS * ROWS,
        requests_in_play=ACTORS * GROUPS,
    )
    server.engine = engine = ENGINES[engine_name](rng)
    while not parent.poll():
        rule = COLLECTION_RULES[rng.integers(len(COLLECTION_RULES))]
        server.policy = BatchPolicy(rule, int(rng.integers(1, 5 * ROWS)), float(rng.uniform(0.0, 0.001)))
        server.serve_batch(timeout=0.01)
    parent.send(engine.seen)


def ask(
    parent: Connection, make_client: Callable[[Connection], EvaluationClient], actor: int, rows: int
) -> None:
    """An actor's process: ask for `rows` rows, check every answer, send the fingerprint of what was asked."""
    rng = np.random.default_rng(100 + actor)
    client = make_client(parent)
    asked = np.zeros(3, np.uint64)
    expected: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    serial = actor << 40
    while rows > 0 or expected:
        idle = [group for group in range(GROUPS) if group not in expected]
        sleep_now_and_then(rng)
        if rows > 0 and idle and (not expected or rng.random() < 0.7):
            group = int(rng.choice(idle))
            batch = client.observations[group][: min(rows, int(rng.integers(1, ROWS + 1)))]
            batch[:] = rng.integers(0, 256, batch.shape, np.uint8)
            serials = np.arange(serial, serial + len(batch), dtype=np.uint64)
            batch.reshape(len(batch), -1)[:, :8] = serials.view(np.uint8).reshape(-1, 8)
            serial += len(batch)
            rows -= len(batch)
            asked += fingerprint(batch)
            expected[group] = hashed(batch)
            client.submit(group, len(batch))
        elif expected:
            group = int(rng.choice(list(expected)))
            response = client.receive(group)
            logits, values = expected.pop(group)
            np.testing.assert_array_equal(response.policy_logits, logits)
            np.testing.assert_array_equal(response.values, values)
    parent.send(asked)
    parent.recv()  # the pipe stays open until all are done


@dataclass(frozen=True)
class SharedMemoryClientMaker:
    slots: SharedSlots
    actor: int
    connection: Connection

    def __call__(self, parent: Connection) -> EvaluationClient:
        return SharedMemoryClient(self.slots, self.actor, self.connection, parent, first_ticket=0)


@dataclass(frozen=True)
class SharedMemoryServerMaker:
    slots: SharedSlots
    connections: list[Connection]

    def __call__(self) -> tuple[Any, list[Any]]:
        responses = [SharedMemoryResponseQueue(self.slots, *end) for end in enumerate(self.connections)]
        return SharedMemoryRequestQueue(self.slots, self.connections), responses


@dataclass(frozen=True)
class QueueClientMaker:
    requests: Any
    responses: Any
    actor: int

    def __call__(self, parent: Connection) -> EvaluationClient:
        return QueueClient(self.requests, self.responses, self.actor, GROUPS, ROWS, SHAPE, parent)


@dataclass(frozen=True)
class QueueServerMaker:
    requests: Any
    responses: list[Any]

    def __call__(self) -> tuple[Any, list[Any]]:
        return self.requests, self.responses


def evaluate_exactly_once(transport: str, engine: str, rows: int, patience_s: float) -> None:
    """Send `rows` rows from three actors through `transport`; fail unless each comes back once, its own."""
    context = multiprocessing.get_context("spawn")
    if transport == "shared_memory":
        slots = SharedSlots(context, ACTORS, GROUPS, ROWS, SHAPE, ACTIONS)
        pipes = [context.Pipe() for _ in range(ACTORS)]
        server: Any = SharedMemoryServerMaker(slots, [theirs for _, theirs in pipes])
        clients: list[Any] = [
            SharedMemoryClientMaker(slots, actor, mine) for actor, (mine, _) in enumerate(pipes)
        ]
    else:
        requests, responses = context.Queue(), [context.Queue() for _ in range(ACTORS)]
        server = QueueServerMaker(requests, responses)
        clients = [QueueClientMaker(requests, end, actor) for actor, end in enumerate(responses)]
    share = rows // ACTORS
    targets: list[tuple[Any, tuple[Any, ...]]] = [(serve, (server, engine, 5))]
    targets += [(ask, (client, actor, share)) for actor, client in enumerate(clients)]
    ends, processes = [], []
    for target, arguments in targets:
        mine, theirs = context.Pipe()
        process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        process.start()
        theirs.close()
        ends.append(mine)
        processes.append(process)
    try:
        asked = np.zeros(3, np.uint64)
        for actor, end in enumerate(ends[1:]):
            assert end.poll(patience_s), f"actor {actor} waits for an answer that was lost"
            asked += end.recv()  # EOFError: it failed, its traceback is on standard error
        ends[0].send("stop")
        assert ends[0].poll(PATIENCE_S)
        np.testing.assert_array_equal(ends[0].recv(), asked)
        assert asked[0] == share * ACTORS
    finally:
        for end in ends:
            end.close()
        for process in processes:
            process.join(5.0)
            process.kill()


every_way = pytest.mark.parametrize(
    ("transport", "engine"),
    [("shared_memory", "one at a time"), ("shared_memory", "pipelined"), ("queue", "one at a time")],
)


@every_way
def test_rows_come_back_once_each_to_who_asked(transport: str, engine: str) -> None:
    evaluate_exactly_once(transport, engine, 60_000, PATIENCE_S)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@every_way
def test_ten_million_rows_come_back_once_each_to_who_asked(transport: str, engine: str) -> None:
    evaluate_exactly_once(transport, engine, 10_000_000, 7000.0)


def test_the_harness_notices_a_swap_and_a_doubled_row() -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 256, (4, *SHAPE), dtype=np.uint8)
    logits, _ = hashed(rows)
    assert len({tuple(row) for row in logits}) == 4
    one_bit_off = rows.copy()
    one_bit_off[2, 1, 5, 6] ^= 1
    assert (hashed(one_bit_off)[0] != logits).any(axis=1).tolist() == [False, False, True, False]
    doubled, twice = fingerprint(rows[[0, 1, 2, 2]]), fingerprint(rows)
    assert doubled[0] == twice[0] and doubled[1] != twice[1]
