"""The collection rules; and a real server on a clock of its own, fed with recorded arrivals.

The second shows where the plan's literal rule starves.
"""

import heapq
import json
import queue
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from alphazero.config import NetworkConfig
from alphazero.games.registry import get_game
from alphazero.network.resnet import build_network
from alphazero.selfplay.batching import BatchPolicy, seconds_to_wait
from alphazero.selfplay.inference_server import InferenceServer
from alphazero.selfplay.transport.messages import InferenceRequest

TIMEOUT_S = 0.020


def policy(rule, batch_size=512):
    return BatchPolicy(rule, batch_size, TIMEOUT_S, min_fill=0.25)


@pytest.mark.parametrize("rule", ["drain", "plan", "adaptive"])
def test_a_full_batch_goes_at_once(rule):
    assert seconds_to_wait(policy(rule), waiting=512, can_arrive=100, waited_s=0.0) == 0.0


def test_drain_never_waits():
    assert seconds_to_wait(policy("drain"), waiting=1, can_arrive=511, waited_s=0.0) == 0.0


def test_adaptive_waits_for_the_rest_of_its_timeout_while_rows_can_come():
    assert seconds_to_wait(policy("adaptive"), 10, 5, waited_s=0.015) == pytest.approx(0.005)
    assert seconds_to_wait(policy("adaptive"), 10, 5, waited_s=0.030) == 0.0
    assert seconds_to_wait(policy("adaptive"), 10, None, waited_s=0.015) == pytest.approx(0.005)


def test_adaptive_does_not_wait_for_rows_that_cannot_come():
    assert seconds_to_wait(policy("adaptive"), 10, 0, waited_s=0.0) == 0.0


def test_adaptive_waits_past_its_timeout_for_the_minimum_fill_if_so_many_rows_exist():
    # 25 % of 512 are 128
    assert seconds_to_wait(policy("adaptive"), 100, 28, waited_s=0.021) == pytest.approx(0.019)
    assert seconds_to_wait(policy("adaptive"), 100, 27, waited_s=0.021) == 0.0
    assert seconds_to_wait(policy("adaptive"), 128, 300, waited_s=0.021) == 0.0
    assert seconds_to_wait(policy("adaptive"), 100, None, waited_s=0.021) == 0.0
    assert seconds_to_wait(policy("adaptive"), 100, 300, waited_s=0.040) == 0.0


def test_plan_goes_past_the_timeout_only_with_its_minimum_fill():
    assert seconds_to_wait(policy("plan"), 128, 0, waited_s=0.019) == pytest.approx(0.001)
    assert seconds_to_wait(policy("plan"), 128, 0, waited_s=0.021) == 0.0  # 25 % of 512
    assert seconds_to_wait(policy("plan"), 127, 0, waited_s=0.021) == pytest.approx(0.019)
    assert seconds_to_wait(policy("plan"), 1, 0, waited_s=0.040) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fastest", 1, 0.0), "unknown collection rule 'fastest'; known: drain, plan, adaptive"),
        (("drain", 0, 0.0), "batch_size must be at least 1, not 0"),
        (("drain", 1, -1.0), "timeout_s must not be negative, but is -1.0"),
        (("plan", 1, 0.0, 1.5), "min_fill must be between 0 and 1, but is 1.5"),
    ],
)
def test_impossible_policies_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchPolicy(*arguments)


# ---- a server on a clock of its own ----


@dataclass(frozen=True)
class Arrivals:
    """When actors ask: for each (actor, group) the rows of its requests and the seconds since its last answer."""

    actors: int
    groups: int
    rows: int  # at most, in a request
    requests: dict[tuple[int, int], list[tuple[int, float]]]


def recorded(name):
    """Return what `record_arrivals.py` wrote down of real actors."""
    found = json.loads(Path(__file__).with_name("recorded_arrivals.json").read_text("utf-8"))[name]
    requests = {}
    for actor, group, rows, think_us in found["requests"]:
        requests.setdefault((actor, group), []).append((rows, think_us / 1e6))
    return Arrivals(found["actors"], found["groups"], found["rows"], requests)


def steady(actors, rows, think_s):
    """Return actors of one group that ask again `think_s` after each answer, the first time one by one."""
    requests = {
        (actor, 0): [(rows, think_s * (1 + actor / actors))] + [(rows, think_s)] * 300
        for actor in range(actors)
    }
    return Arrivals(actors, 1, rows, requests)


class VirtualActors:
    """Both queues of an `InferenceServer` and its clock: time passes while it waits and while it evaluates.

    Time is a number and arrivals are a heap, so that a test takes no longer than its events.
    """

    def __init__(self, arrivals, network_s, handling_s=0.0):
        self.now = 0.0
        self.network_s = network_s
        self.handling_s = handling_s  # of the server for each request, and for each answer
        self.max_batch = 10**9
        self.batches = []  # rows, seconds waited after the last of them had come, whether all had come
        self.ends = [self] * arrivals.actors
        self._left = {key: deque(requests) for key, requests in arrivals.requests.items()}
        self._coming = []
        self._arrived = 0.0
        for key in self._left:
            self._ask(key)

    # the request queue

    def get(self, block=True, timeout=0.0):
        if self._coming and self._coming[0][0] <= self.now + timeout:
            self.now = self._arrived = max(self.now, self._coming[0][0])
            asked_at, (actor, group), rows = heapq.heappop(self._coming)
            self.now += self.handling_s
            observations = np.zeros((rows, 2, 6, 7), np.uint8)
            observations[:, 0, 0, 0] = actor
            observations[:, 0, 0, 1] = group
            return InferenceRequest(actor, group, actor, asked_at, observations)
        self.now += timeout + 1e-9
        raise queue.Empty

    def get_nowait(self):
        return self.get()

    # the engine

    def evaluate(self, observations):
        self.batches.append((len(observations), self.now - self._arrived, not self._coming))
        self.now += self.network_s
        return np.zeros((len(observations), 7), np.float32), np.zeros(len(observations), np.float32)

    # the response queues

    def put(self, response):
        self.now += self.handling_s
        self._ask((response.ticket, response.group))

    def sleep(self, seconds):
        self.now += seconds

    def _ask(self, key):
        if self._left[key]:
            rows, think_s = self._left[key].popleft()
            heapq.heappush(self._coming, (self.now + think_s, key, rows))

    @property
    def anybody_left(self):
        """Whether every group still has requests to come, so that the pattern is whole."""
        return all(self._left.values())


def serve(
    rule,
    arrivals,
    batch_size=512,
    timeout_s=TIMEOUT_S,
    network_s=0.002,
    count_requests=True,
    virtual=VirtualActors,
    handling_s=0.0,
):
    """Let a server collect by `rule` until one of the groups has asked for the last time."""
    actors = virtual(arrivals, network_s, handling_s)
    in_play = arrivals.actors * arrivals.groups
    server = InferenceServer(
        actors,
        actors.ends,
        queue.SimpleQueue(),
        build_network(get_game("connect_four"), NetworkConfig(1, 4)),
        "cpu",
        batch_size,
        timeout_s,
        collection=rule,
        engine="eager",
        rows_in_play=in_play * arrivals.rows,
        requests_in_play=in_play if count_requests else None,
        clock=lambda: actors.now,
        sleep=actors.sleep,
    )
    server.engine = actors
    while actors.anybody_left:
        server.serve_batch(timeout=1.0)
    return actors


def rows_a_second(actors):
    return sum(rows for rows, _, _ in actors.batches) / actors.now


def test_the_plan_rule_starves_with_one_leaf_an_actor_and_the_adaptive_rule_does_not():
    # 24 leaves in flight never make 25 % of 512, so each batch waits out 2 x 20 ms for nobody.
    arrivals = steady(actors=24, rows=1, think_s=0.001)
    # 24 rows every 40 + 2 ms and the first row's 1 ms of thinking, against every 2 + 1 ms
    assert rows_a_second(serve("plan", arrivals)) == pytest.approx(24 / 0.043, rel=0.05)
    assert rows_a_second(serve("adaptive", arrivals)) == pytest.approx(24 / 0.003, rel=0.05)


def test_with_enough_games_in_flight_both_rules_fill_the_batch():
    arrivals = steady(actors=24, rows=32, think_s=0.001)
    plan, adaptive = (rows_a_second(serve(rule, arrivals)) for rule in ("plan", "adaptive"))
    assert plan == pytest.approx(adaptive, rel=0.05)


# The numbers of the hardware profile `low`: batches of 128, 10 ms; the network takes 1 ms.
LOW = {"batch_size": 128, "timeout_s": 0.010, "network_s": 0.001}


def test_recorded_actors_of_one_leaf_starve_under_the_plan_rule():
    arrivals = recorded("one_leaf_an_actor")
    plan, adaptive = serve("plan", arrivals, **LOW), serve("adaptive", arrivals, **LOW)
    # 6 rows never make 25 % of 128: all of them wait until 20 ms after the first came, and 1 ms for the network.
    assert rows_a_second(plan) < 6 / 0.021
    starved = [wait for _, wait, all_here in plan.batches if all_here]
    assert len(starved) > 0.9 * len(plan.batches) and np.median(starved) > 0.015
    assert rows_a_second(adaptive) > 5 * rows_a_second(plan)


@pytest.mark.parametrize("name", ["one_leaf_an_actor", "many_games_an_actor"])
@pytest.mark.parametrize("batch_size", [128, 384, 10_000])
def test_on_recorded_arrivals_the_adaptive_rule_never_waits_for_rows_that_cannot_come(name, batch_size):
    served = serve("adaptive", recorded(name), **{**LOW, "batch_size": batch_size})
    assert len(served.batches) > 20
    assert all(wait < 1e-6 for _, wait, all_here in served.batches if all_here)


def test_a_request_with_a_row_missing_is_not_waited_for():
    # Some games of a group end their search without asking: 31 rows where 32 could have been.
    arrivals = recorded("many_games_an_actor")
    short = sum(rows < arrivals.rows for requests in arrivals.requests.values() for rows, _ in requests)
    assert short > 0
    by_rows = serve("adaptive", arrivals, **{**LOW, "batch_size": 10_000}, count_requests=False)
    assert any(wait > 1e-3 for _, wait, all_here in by_rows.batches if all_here)


def test_with_many_games_recorded_actors_keep_the_server_busy_under_the_adaptive_rule():
    served = serve("adaptive", recorded("many_games_an_actor"), **LOW)
    full = [rows for rows, _, _ in served.batches if rows >= 97]  # a request of 32 did not fit any more
    assert len(full) > 0.8 * len(served.batches)


# ---- a device that takes a batch while another is on its way ----


class WithPipeline(VirtualActors):
    """The same with an engine that computes while the server does other things; one batch after the other."""

    depth = 2

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.on_their_way = deque()
        self.done_at = 0.0
        self.busy_s = 0.0

    def submit(self, observations):
        assert len(self.on_their_way) < self.depth
        self.done_at = max(self.now, self.done_at) + self.network_s
        self.busy_s += self.network_s
        self.on_their_way.append((observations.copy(), self.done_at))
        self.batches.append((len(observations), self.now - self._arrived, not self._coming))

    def ready(self):
        return self.now >= self.on_their_way[0][1]

    def collect(self):
        observations, done_at = self.on_their_way.popleft()
        self.now = max(self.now, done_at)
        return np.zeros((len(observations), 7), np.float32), np.zeros(len(observations), np.float32)


# A server that takes 5 us for each request and each answer, in batches of 512 rows or 16 of either, and a device
# that takes half a millisecond.
FAST = {"network_s": 0.0005, "handling_s": 5e-6}


def test_the_device_does_not_wait_while_the_server_gathers_and_answers():
    arrivals = steady(actors=48, rows=32, think_s=0.0002)
    one_at_a_time = serve("adaptive", arrivals, **FAST)
    # 16 requests and 16 answers: 160 us, in which the device has nothing to do
    assert rows_a_second(one_at_a_time) == pytest.approx(512 / 0.00066, rel=0.05)
    served = serve("adaptive", arrivals, virtual=WithPipeline, **FAST)
    assert served.busy_s / served.now > 0.95
    assert rows_a_second(served) == pytest.approx(512 / 0.0005, rel=0.05)


@pytest.mark.parametrize("name", ["one_leaf_an_actor", "many_games_an_actor"])
def test_recorded_actors_get_as_much_from_a_pipeline(name):
    plain = serve("adaptive", recorded(name), **LOW)
    served = serve("adaptive", recorded(name), virtual=WithPipeline, **LOW)
    assert rows_a_second(served) > 0.95 * rows_a_second(plain)


def test_drain_takes_no_small_batch_behind_another():
    served = serve("drain", steady(actors=48, rows=32, think_s=0.0002), virtual=WithPipeline, **FAST)
    small = [rows for rows, _, _ in served.batches[1:] if rows < 256]
    assert len(small) < 0.2 * len(served.batches)
