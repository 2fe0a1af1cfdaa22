"""The inference server: gathers leaves from all actors into batches and evaluates them on one device."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from alphazero.games.game import ByteArray
from alphazero.metrics.histogram import fill_bin
from alphazero.network.engine_protocol import InferenceEngine, PipelinedEngine, as_pipelined
from alphazero.network.engines import make_engine
from alphazero.network.resnet import PolicyValueNetwork
from alphazero.selfplay.batching import BatchPolicy, seconds_to_wait
from alphazero.selfplay.reports import SelfPlayStatistics
from alphazero.selfplay.transport.messages import InferenceRequest, InferenceResponse

_POLL_S = 5e-5  # between two looks whether the device is done, or another request is here
IDLE_WAIT_S = 0.1  # longest wait for a first request before the server looks whether it should stop


class RequestQueue(Protocol):
    """The part of `queue.Queue` that the server reads requests with."""

    def get(self, block: bool = True, timeout: float | None = None) -> InferenceRequest: ...

    def get_nowait(self) -> InferenceRequest: ...


class ResponseQueue(Protocol):
    """The part of `queue.Queue` that the server answers with."""

    def put(self, response: InferenceResponse) -> None: ...


class WeightQueue(Protocol):
    """The part of `queue.Queue` that new weights come from: (version, state dict of float32 arrays)."""

    def get_nowait(self) -> tuple[int, dict[str, Any]]: ...


class InferenceServer:
    """Evaluates requests in batches, one a call. Owns the device; one process, one thread.

    A device works on one batch while the next is gathered, if its engine can (`PipelinedEngine`).

    Args:
        request_queue: where `InferenceRequest`s come from; anything with `get` and `get_nowait` of
            `queue.Queue`.
        response_queues: one for each actor, by its index; anything with a `put` that has read or copied the arrays
            when it returns: the engine may write its next answer in the same place.
        weight_queue: where (version, weights) come from; the newest is used from the next batch on.
        network: its present weights count as version 0.
        device: "cpu", "cuda" or "cuda:N".
        batch_size: rows at most in one forward pass.
        batch_timeout: seconds that the oldest waiting row waits; twice that at most, see `batching`.
        use_amp: half precision on CUDA.
        collection: rule by which batches are gathered, see `batching`. The baseline is
            `batch_size=32, batch_timeout=0.001, collection="drain", engine="eager"`.
        rows_in_play: rows that all actors together can have in flight; lets the adaptive rule know when
            no more can come. None: unknown.
        requests_in_play: requests that all actors together can have in flight, one a group, each of an equal
            share of `rows_in_play` at most. Requests are often smaller, or left out: a game whose search ended
            without asking has no row, nor has a leaf whose answer the actor's cache holds. None: unknown.
        clock, sleep: seconds; the clock is that of `InferenceRequest.submitted_at`.
    """

    def __init__(
        self,
        request_queue: RequestQueue,
        response_queues: Sequence[ResponseQueue],
        weight_queue: WeightQueue,
        network: PolicyValueNetwork,
        device: str | torch.device,
        batch_size: int = 256,
        batch_timeout: float = 0.015,
        use_amp: bool = True,
        *,
        collection: str = "adaptive",
        min_fill: float = 0.25,
        engine: str = "auto",
        pinned_memory: bool = True,
        rows_in_play: int | None = None,
        requests_in_play: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.policy = BatchPolicy(collection, batch_size, batch_timeout, min_fill)
        self.engine = make_engine(
            engine,
            network,
            str(device),
            use_amp=use_amp,
            pinned_memory=pinned_memory,
            max_batch=batch_size,
        )
        self.statistics = SelfPlayStatistics()  # the server's part
        self.weights_version = 0
        self._requests = request_queue
        self._responses = response_queues
        self._weights = weight_queue
        self._rows_in_play = rows_in_play
        self._requests_in_play = requests_in_play
        self._clock = clock
        self._sleep = sleep
        self._batch = _Gathered()
        # Batches in the engine, with the version of the weights, the oldest first.
        self._on_their_way: deque[tuple[list[InferenceRequest], int]] = deque()
        self._requests_on_their_way = 0  # in all of them
        self._rows_on_their_way = 0
        self._staging: list[ByteArray] = [np.empty(0, np.uint8), np.empty(0, np.uint8)]

    @property
    def engine(self) -> InferenceEngine:
        return self._engine

    @engine.setter
    def engine(self, engine: InferenceEngine) -> None:
        self._engine, self._pipeline = engine, as_pipelined(engine)

    def serve_batch(self, timeout: float = IDLE_WAIT_S) -> int:
        """Gather one batch, evaluate it, answer it; return its rows, 0 if nothing came in `timeout` s.

        With an engine that takes a batch while another is on its way, the next one is gathered and handed over
        meanwhile; the rows returned are those of the batch answered.
        """
        engine = self._pipeline
        # With batches on their way it may have fallen back to one at a time.
        if engine is not None and (engine.depth > 1 or self._on_their_way):
            return self._serve_pipelined(engine, timeout)
        started = time.perf_counter()
        complete = self._gather(timeout)
        gathered = time.perf_counter()
        self.statistics.server_waiting_s += gathered - started
        if not complete:
            return 0
        newest = self._newest_weights()
        if newest is not None:
            self._load_weights(newest)
        requests = self._batch.take()
        observations = self._stack(requests)
        stacked = time.perf_counter()
        policy_logits, values = self.engine.evaluate(observations)
        evaluated = time.perf_counter()
        self._answer(requests, self.weights_version, policy_logits, values)
        self.statistics.network_s += evaluated - stacked
        self.statistics.server_copies_s += stacked - gathered + time.perf_counter() - evaluated
        return len(observations)

    def _serve_pipelined(self, engine: PipelinedEngine, timeout: float) -> int:
        """Answer the oldest batch on its way; until it is done, gather others and hand them to the engine."""
        if not self._on_their_way:
            started = time.perf_counter()
            complete = self._gather(timeout)
            self.statistics.server_waiting_s += time.perf_counter() - started
            if not complete:
                return 0
            self._launch(engine)
        started = time.perf_counter()
        while True:
            arrived = self._gather_what_is_here()
            if len(self._on_their_way) < engine.depth and self._should_go():
                self.statistics.network_s += time.perf_counter() - started
                self._launch(engine)
                started = time.perf_counter()
                continue
            nothing_to_do = len(self._on_their_way) >= engine.depth and self._batch.is_closed(
                self.policy.batch_size
            )
            if nothing_to_do or engine.ready():
                break  # `collect` waits without sleeping
            if not arrived:
                self._sleep(_POLL_S)
        self.statistics.network_s += time.perf_counter() - started
        return self._land(engine)

    def _launch(self, engine: PipelinedEngine) -> None:
        """Hand what was gathered to the engine."""
        newest = self._newest_weights()
        if newest is not None:
            while self._on_their_way:  # with the old weights
                self._land(engine)
            self._load_weights(newest)
        started = time.perf_counter()
        requests = self._batch.take()
        observations = self._stack(requests)
        engine.submit(observations)
        self._on_their_way.append((requests, self.weights_version))
        self._requests_on_their_way += len(requests)
        self._rows_on_their_way += len(observations)
        self.statistics.server_copies_s += time.perf_counter() - started

    def _land(self, engine: PipelinedEngine) -> int:
        """Answer the oldest batch on its way; return its rows."""
        started = time.perf_counter()
        policy_logits, values = engine.collect()
        collected = time.perf_counter()
        requests, weights_version = self._on_their_way.popleft()
        self._requests_on_their_way -= len(requests)
        self._rows_on_their_way -= len(values)
        self._answer(requests, weights_version, policy_logits, values)
        self.statistics.network_s += collected - started
        self.statistics.server_copies_s += time.perf_counter() - collected
        return len(values)

    def take_statistics(self) -> SelfPlayStatistics:
        """Return what the server did since the last call; `server_s` is left to whoever knows how long that is."""
        statistics, self.statistics = self.statistics, SelfPlayStatistics()
        return statistics

    def _gather(self, timeout: float) -> bool:
        """Wait for requests until a batch should go; return False if none came in `timeout` seconds."""
        batch = self._batch
        while not batch.is_closed(self.policy.batch_size):
            wait_s = self._seconds_to_wait() if batch.requests else timeout
            request = self._next_request(wait_s)
            if request is not None:
                batch.add(request, self.policy.batch_size)
            elif not batch.requests:
                return False
            elif self._seconds_to_wait() == 0.0:
                return True
        return True

    def _gather_what_is_here(self) -> bool:
        """Take requests without waiting until a batch is full; return whether there were any."""
        arrived = False
        while not self._batch.is_closed(self.policy.batch_size):
            request = self._next_request(0.0)
            if request is None:
                break
            self._batch.add(request, self.policy.batch_size)
            arrived = True
        return arrived

    def _should_go(self) -> bool:
        """Return whether waiting longer is of no use to the batch that is being gathered."""
        batch = self._batch
        if batch.is_closed(self.policy.batch_size):
            return True
        if not batch.requests or (self._on_their_way and self.policy.rule == "drain"):
            return False  # what is there is more when the batch on its way is done
        return self._seconds_to_wait() == 0.0

    def _seconds_to_wait(self) -> float:
        waited_s = self._clock() - self._batch.oldest
        return seconds_to_wait(self.policy, self._batch.rows, self._rows_elsewhere(), waited_s)

    def _rows_elsewhere(self) -> int | None:
        """Return how many rows may still come before one that is here, or on its way, is answered."""
        if self._rows_in_play is None:
            return None
        if self._requests_in_play is None:
            return max(0, self._rows_in_play - self._batch.rows - self._rows_on_their_way)
        asking = len(self._batch.groups) + self._requests_on_their_way
        return max(0, self._requests_in_play - asking) * self._rows_in_play // self._requests_in_play

    def _next_request(self, wait_s: float) -> InferenceRequest | None:
        try:
            return self._requests.get(timeout=wait_s) if wait_s > 0 else self._requests.get_nowait()
        except queue.Empty:
            return None

    def _newest_weights(self) -> tuple[int, dict[str, Any]] | None:
        newest = None
        try:
            while True:
                newest = self._weights.get_nowait()
        except queue.Empty:
            return newest

    def _load_weights(self, newest: tuple[int, dict[str, Any]]) -> None:
        self.weights_version, weights = newest
        self.engine.load_weights({name: torch.as_tensor(array) for name, array in weights.items()})

    def _stack(self, requests: list[InferenceRequest]) -> ByteArray:
        """Return the rows of all requests in one array, which holds until the next batch but one."""
        if len(requests) == 1:
            return requests[0].observations
        rows = sum(len(request.observations) for request in requests)
        self._staging.reverse()  # the other one may be on its way
        if len(self._staging[0]) < rows:
            capacity = max(rows, self.policy.batch_size)
            self._staging[0] = np.empty((capacity, *requests[0].observations.shape[1:]), np.uint8)
        staging = self._staging[0][:rows]
        np.concatenate([request.observations for request in requests], out=staging)
        return staging

    def _answer(
        self, requests: list[InferenceRequest], weights_version: int, policy_logits: Any, values: Any
    ) -> None:
        now = self._clock()
        start = 0
        for request in requests:  # nothing else in between: the actors wait for these
            end = start + len(request.observations)
            self._responses[request.actor].put(
                InferenceResponse(
                    request.group,
                    request.ticket,
                    policy_logits[start:end],
                    values[start:end],
                    weights_version,
                )
            )
            start = end
        self.statistics.latency.add(
            np.array([now - request.submitted_at for request in requests]),
            np.array([len(request.observations) for request in requests]),
        )
        # The engine takes a single request that is larger than a batch in pieces.
        whole, rest = divmod(start, self.policy.batch_size)
        fills = [self.policy.batch_size] * whole + [rest] * (rest > 0)
        self.statistics.batches += len(fills)
        self.statistics.batch_rows += start
        self.statistics.batch_slots += len(fills) * self.policy.batch_size
        for rows in fills:
            self.statistics.fills[fill_bin(rows, self.policy.batch_size)] += 1


class _Gathered:
    """The requests of the batch that is being gathered, and the one that did not fit in."""

    def __init__(self) -> None:
        self.held: InferenceRequest | None = None
        self._clear()

    def _clear(self) -> None:
        self.requests: list[InferenceRequest] = []
        # A set: a restarted actor may ask anew while its predecessor's request is still here.
        self.groups: set[tuple[int, int]] = set()
        self.rows = 0
        self.oldest = 0.0  # when the first of them was submitted

    def is_closed(self, batch_size: int) -> bool:
        """Return whether no other request fits in."""
        return self.held is not None or self.rows >= batch_size

    def add(self, request: InferenceRequest, batch_size: int) -> None:
        """Take `request` in, or hold it for the next batch; one larger than a batch is a batch of its own."""
        rows = len(request.observations)
        if self.requests and self.rows + rows > batch_size:
            self.held = request
            return
        self.oldest = min(self.oldest, request.submitted_at) if self.requests else request.submitted_at
        self.requests.append(request)
        self.groups.add((request.actor, request.group))
        self.rows += rows

    def take(self) -> list[InferenceRequest]:
        """Return the requests, and begin the next batch."""
        requests, held = self.requests, self.held
        self.held = None
        self._clear()
        if held is not None:
            self.add(held, len(held.observations))
        return requests
