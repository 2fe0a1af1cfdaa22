"""The server as the plan names it, over plain queues: batches, answers, weights, its baseline behaviour."""

import queue
import time

import numpy as np
import pytest
import torch

from alphazero.config import NetworkConfig
from alphazero.games.registry import get_game
from alphazero.network.resnet import build_network
from alphazero.selfplay.inference_server import InferenceServer
from alphazero.selfplay.transport.messages import InferenceRequest

GAME = get_game("connect_four")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(GAME, NetworkConfig(blocks=1, filters=8))


class Bench:
    """A server with plain queues around it."""

    def __init__(self, network, actors=2, **options):
        self.requests = queue.Queue()
        self.responses = [queue.Queue() for _ in range(actors)]
        self.weights = queue.Queue()
        self.server = InferenceServer(
            self.requests, self.responses, self.weights, network, "cpu", use_amp=False, **options
        )

    def ask(self, actor, rows, ticket=0, seed=0):
        observations = np.random.default_rng(seed).integers(0, 2, (rows, 2, 6, 7)).astype(np.uint8)
        self.requests.put(InferenceRequest(actor, 0, ticket, time.perf_counter(), observations))
        return observations


def expected(network, observations):
    network.eval()
    with torch.inference_mode():
        logits, values = network(torch.from_numpy(observations))
    return logits.numpy(), values.numpy()


def test_each_actor_gets_the_answers_to_its_own_rows(network):
    bench = Bench(network, rows_in_play=7)
    asked = {actor: bench.ask(actor, 3 + actor, ticket=40 + actor, seed=actor) for actor in (0, 1)}
    assert bench.server.serve_batch() == 7
    for actor, observations in asked.items():
        response = bench.responses[actor].get_nowait()
        logits, values = expected(network, observations)
        assert response.ticket == 40 + actor
        np.testing.assert_allclose(response.policy_logits, logits, atol=1e-5)
        np.testing.assert_allclose(response.values, values, atol=1e-5)


def test_the_defaults_are_the_plan(network):
    policy = Bench(network).server.policy
    assert (policy.batch_size, policy.timeout_s) == (256, 0.015)


def test_the_baseline_stops_collecting_when_the_queue_is_empty(network):
    bench = Bench(network, batch_size=32, batch_timeout=0.001, collection="drain", engine="eager")
    bench.ask(0, 1)
    bench.ask(1, 1)
    assert bench.server.serve_batch() == 2
    assert bench.server.engine.name == "eager"


def test_a_request_that_does_not_fit_waits_for_the_next_batch(network):
    bench = Bench(network, batch_size=8, rows_in_play=12)
    bench.ask(0, 6)
    bench.ask(1, 6)
    assert bench.server.serve_batch() == 6
    assert bench.server.serve_batch() == 6


def test_a_request_larger_than_a_batch_is_answered_whole(network):
    bench = Bench(network, batch_size=8, rows_in_play=20)
    observations = bench.ask(0, 20)
    assert bench.server.serve_batch() == 20
    logits, _ = expected(network, observations)
    np.testing.assert_allclose(bench.responses[0].get_nowait().policy_logits, logits, atol=1e-5)


def test_it_waits_for_its_timeout_and_no_longer(network):
    bench = Bench(network, batch_size=8, batch_timeout=0.05)
    started = time.perf_counter()
    bench.ask(0, 1)
    assert bench.server.serve_batch() == 1
    assert 0.05 <= time.perf_counter() - started < 2.0


def test_nothing_comes_of_no_requests(network):
    bench = Bench(network)
    assert bench.server.serve_batch(timeout=0.01) == 0
    assert bench.server.take_statistics().batch_slots == 0


def test_the_newest_weights_are_used_and_named(network):
    bench = Bench(network)
    torch.manual_seed(1)
    newer = build_network(GAME, NetworkConfig(blocks=1, filters=8))
    for version, source in ((1, network), (2, newer)):
        bench.weights.put(
            (version, {name: array.float().numpy() for name, array in source.state_dict().items()})
        )
    observations = bench.ask(0, 4)
    bench.server.serve_batch()
    response = bench.responses[0].get_nowait()
    assert response.weights_version == 2
    np.testing.assert_allclose(response.policy_logits, expected(newer, observations)[0], atol=1e-5)


def test_the_fill_rate_is_rows_over_capacity(network):
    bench = Bench(network, batch_size=8, rows_in_play=6)
    bench.ask(0, 6)
    bench.server.serve_batch()
    statistics = bench.server.take_statistics()
    assert (statistics.batch_rows, statistics.batch_slots) == (6, 8)
    assert statistics.fills.tolist() == [0] * 15 + [1] + [0] * 4  # 75 % to 80 % full
    assert statistics.latency.count == 6
    assert bench.server.take_statistics().batches == 0


def test_a_request_larger_than_a_batch_counts_as_the_pieces_it_is_evaluated_in(network):
    bench = Bench(network, batch_size=8, rows_in_play=20)
    bench.ask(0, 20)
    bench.server.serve_batch()
    statistics = bench.server.take_statistics()
    assert (statistics.batches, statistics.batch_rows, statistics.batch_slots) == (3, 20, 24)
    assert statistics.fills.tolist() == [0] * 9 + [0, 1] + [0] * 8 + [2]  # 50 % full, and twice full
