"""Slots, tokens and the weight board; and that nothing is lost, doubled or swapped on the way."""

import itertools
import multiprocessing
import queue
import threading

import numpy as np
import pytest

from alphazero.selfplay.transport.caching import CachingClient
from alphazero.selfplay.transport.local import LocalClient
from alphazero.selfplay.transport.messages import InferenceResponse, SelfPlayStopped
from alphazero.selfplay.transport.pickled_queue import QueueClient, QueueResponses
from alphazero.selfplay.transport.shared_memory import (
    SharedMemoryClient,
    SharedMemoryRequestQueue,
    SharedMemoryResponseQueue,
    SharedSlots,
)
from alphazero.selfplay.transport.weight_board import WeightBoard, WeightBoardReader

CONTEXT = multiprocessing.get_context("spawn")
SHAPE = (2, 3, 3)
ACTIONS = 9


def answer(observations):
    """A stand-in for the network that tells rows apart: logits and value are sums of the planes."""
    flat = observations.reshape(len(observations), -1).astype(np.float32)
    return flat[:, :ACTIONS] + 1.0, flat.sum(axis=1)


class Wiring:
    """Shared-memory slots, their pipes, and pipes to a parent, all in this process."""

    def __init__(self, actors=3, groups=2, rows=4):
        self.slots = SharedSlots(CONTEXT, actors, groups, rows, SHAPE, ACTIONS)
        pipes = [CONTEXT.Pipe() for _ in range(actors)]
        parents = [CONTEXT.Pipe() for _ in range(actors)]
        self.parents = [mine for mine, _ in parents]
        self.clients = [
            SharedMemoryClient(self.slots, actor, pipes[actor][0], parents[actor][1], first_ticket=7)
            for actor in range(actors)
        ]
        self.requests = SharedMemoryRequestQueue(self.slots, [theirs for _, theirs in pipes])
        self.responses = [
            SharedMemoryResponseQueue(self.slots, actor, theirs) for actor, (_, theirs) in enumerate(pipes)
        ]

    def serve(self, request, version=0):
        logits, values = answer(request.observations)
        self.responses[request.actor].put(
            InferenceResponse(request.group, request.ticket, logits, values, version)
        )


def test_an_answer_reaches_the_actor_and_group_that_asked():
    wiring = Wiring()
    for actor, client in enumerate(wiring.clients):
        for group in (0, 1):
            client.observations[group][:] = 10 * actor + group
            client.submit(group, 3)
    pending = [wiring.requests.get(timeout=1) for _ in range(6)]
    for request in reversed(pending):
        wiring.serve(request, version=5)
    for actor, client in enumerate(wiring.clients):
        for group in (1, 0):
            response = client.receive(group)
            assert response.values.tolist() == [18.0 * (10 * actor + group)] * 3
            assert response.policy_logits.shape == (3, ACTIONS)
            assert response.weights_version == 5


def test_a_server_outlives_an_actor_that_is_gone():
    wiring = Wiring(actors=2)
    wiring.clients[0]._connection.close()
    wiring.clients[1].submit(0, 1)
    assert wiring.requests.get(timeout=1).actor == 1
    with pytest.raises(queue.Empty):
        wiring.requests.get(timeout=0.01)
    wiring.clients[1]._connection.close()
    with pytest.raises(queue.Empty):
        wiring.requests.get(timeout=0.01)
    with pytest.raises(queue.Empty):
        wiring.requests.get(timeout=0.01)


def test_an_empty_request_queue_says_so():
    with pytest.raises(queue.Empty):
        Wiring().requests.get(timeout=0.01)
    with pytest.raises(queue.Empty):
        Wiring().requests.get_nowait()


def test_answers_owed_to_a_predecessor_are_dropped():
    wiring = Wiring(actors=1)
    client = wiring.clients[0]
    client.observations[0][:] = 1
    client.submit(0, 2)
    stale = wiring.requests.get(timeout=1)
    client.submit(0, 2)  # as a restarted actor would, with a later ticket
    wiring.serve(stale, version=1)
    wiring.serve(wiring.requests.get(timeout=1), version=2)
    assert client.receive(0).weights_version == 2


def test_a_word_from_the_parent_ends_the_waiting():
    wiring = Wiring(actors=1)
    wiring.parents[0].send("stop")
    with pytest.raises(SelfPlayStopped):
        wiring.clients[0].receive(0)


def test_the_end_of_the_parent_ends_the_waiting():
    wiring = Wiring(actors=1)
    wiring.parents[0].close()
    with pytest.raises(SelfPlayStopped):
        wiring.clients[0].receive(0)


def test_twenty_thousand_rows_in_random_order_are_neither_lost_nor_swapped():
    wiring = Wiring()
    rng = np.random.default_rng(3)
    rounds = 900

    def server():
        held, received = [], 0
        while received < rounds * 6 or held:
            try:
                held.append(wiring.requests.get(timeout=0.02))
                received += 1
            except queue.Empty:  # everybody waits for what is held
                while held:
                    wiring.serve(held.pop())
            while len(held) > rng.integers(0, 5):
                wiring.serve(held.pop(rng.integers(len(held))))

    def actor(index):
        random = np.random.default_rng(index)
        client = wiring.clients[index]
        expected = {}
        for step in range(rounds + 1):
            for group in (0, 1):
                if step > 0:
                    response = client.receive(group)
                    logits, values = expected[group]
                    np.testing.assert_array_equal(response.values, values)
                    np.testing.assert_array_equal(response.policy_logits, logits)
                    checked[index] += len(values)
                if step < rounds:
                    rows = int(random.integers(1, 5))
                    client.observations[group][:rows] = random.integers(0, 255, (rows, *SHAPE))
                    expected[group] = answer(client.observations[group][:rows])
                    client.submit(group, rows)

    checked = [0, 0, 0]
    failures = []

    def guarded(target, *arguments):
        try:
            target(*arguments)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(actor, index), daemon=True) for index in range(3)]
    serving = threading.Thread(target=guarded, args=(server,), daemon=True)
    for thread in [serving, *threads]:
        thread.start()
    for thread in [*threads, serving]:
        thread.join(60)
        assert not thread.is_alive()
    assert not failures
    assert sum(checked) > 10_000


def test_the_queue_transport_carries_copies():
    requests, responses = CONTEXT.Queue(), CONTEXT.Queue()
    mine, theirs = CONTEXT.Pipe()
    client = QueueClient(requests, responses, 1, groups=1, rows=4, observation_shape=SHAPE, parent=theirs)
    client.observations[0][:] = 3
    client.submit(0, 2)
    client.observations[0][:] = 9  # must not reach the request any more
    request = requests.get(timeout=5)
    assert request.actor == 1 and request.observations.tolist() == [[[[3] * 3] * 3] * 2] * 2
    logits, values = answer(request.observations)
    QueueResponses(responses).put(InferenceResponse(0, request.ticket, logits, values, 4))
    assert client.receive(0).weights_version == 4
    mine.send("stop")
    with pytest.raises(SelfPlayStopped):
        client.receive(0)


def test_an_engine_that_writes_its_next_answer_in_the_same_place_does_not_change_the_one_before():
    """A `multiprocessing.Queue` pickles later; this one never does, so what it holds is what was put."""
    pending = queue.Queue()
    responses = QueueResponses(pending)
    logits, values = np.zeros((2, ACTIONS), np.float32), np.zeros(2, np.float32)
    for ticket in range(3):
        logits[:], values[:] = ticket, ticket
        responses.put(InferenceResponse(0, ticket, logits, values, 4))
    for ticket in range(3):
        response = pending.get_nowait()
        assert response.ticket == ticket
        assert (response.policy_logits == ticket).all() and (response.values == ticket).all()


def test_the_board_shows_the_newest_weights():
    weights = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([7]), "c": np.float32(8)}
    board = WeightBoard(CONTEXT, weights)
    reader = WeightBoardReader(board)
    with pytest.raises(queue.Empty):
        reader.get_nowait()
    board.write(0, weights)
    board.write(1, {name: array + 1 for name, array in weights.items()})
    version, read = reader.get_nowait()
    assert version == 1
    assert read["a"].tolist() == [[1, 2, 3], [4, 5, 6]] and read["b"].tolist() == [8] and read["c"] == 9
    with pytest.raises(queue.Empty):
        reader.get_nowait()


def test_the_board_refuses_weights_of_another_shape():
    board = WeightBoard(CONTEXT, {"a": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=r"'a' have shape \(4,\), the board expects \(3,\)"):
        board.write(0, {"a": np.zeros(4, np.float32)})


def test_a_reader_never_sees_a_mixture_of_two_versions():
    board = WeightBoard(CONTEXT, {"a": np.zeros(20_000, np.float32)})
    board.write(0, {"a": np.zeros(20_000, np.float32)})
    done = threading.Event()

    def write():
        for version in itertools.count(1):
            board.write(version, {"a": np.full(20_000, version, np.float32)})
            if done.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    reads = version = 0
    try:
        while reads < 200 or version < 3_000:
            version, weights = board.read()
            assert weights["a"].min() == weights["a"].max() == version
            reads += 1
    finally:
        done.set()
        writer.join()


class CountingEngine:
    """Answers every row with the weight that it was given last."""

    name = "counting"
    max_batch = 8

    def __init__(self):
        self.weight = 0.0
        self.rows = 0

    def evaluate(self, observations):
        self.rows += len(observations)
        return np.full((len(observations), ACTIONS), self.weight, np.float32), np.full(
            len(observations), self.weight, np.float32
        )

    def load_weights(self, state_dict):
        self.weight = float(state_dict["a"][0])


def test_new_weights_empty_the_cache_of_an_actor():
    board = WeightBoard(CONTEXT, {"a": np.zeros(1, np.float32)})
    engine = CountingEngine()
    local = LocalClient(engine, WeightBoardReader(board), 1, 4, SHAPE)
    client = CachingClient(local, lambda: board.version, ACTIONS, 64)
    client.observations[0][:] = np.arange(4, dtype=np.uint8)[:, None, None, None]

    def values():
        client.submit(0, 4)
        response = client.receive(0)
        return response.values.tolist(), response.weights_version

    board.write(1, {"a": np.float32([1])})
    assert values() == ([1.0] * 4, 1)
    assert values() == ([1.0] * 4, 1)
    assert (engine.rows, client.cached_rows) == (4, 4)
    board.write(2, {"a": np.float32([2])})
    assert values() == ([2.0] * 4, 2)
    assert engine.rows == 8


def test_a_symmetric_position_is_another_key():
    engine = CountingEngine()
    client = CachingClient(LocalClient(engine, None, 1, 2, SHAPE), lambda: 0, ACTIONS, 64)
    client.observations[0][:] = 0
    client.observations[0][0, 0, 1, 0] = 1
    client.observations[0][1, 0, 1, 2] = 1  # its mirror image: the policy is mirrored, too
    client.submit(0, 2)
    client.receive(0)
    assert engine.rows == 2
