"""The inference server: gathers leaves from all actors into batches and evaluates them on one device."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from alphazero.metrics.histogram import LatencyHistogram, fill_bin, no_fills
from alphazero.network.engines import make_engine
from alphazero.network.resnet import PolicyValueNetwork
from alphazero.selfplay.batching import BatchPolicy, seconds_to_wait
from alphazero.selfplay.transport.messages import InferenceRequest, InferenceResponse

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


class InferenceStatistics:
    """What the server did since the statistics were last taken. Times in seconds."""

    def __init__(self) -> None:
        self.batches = 0
        self.rows = 0
        self.fills = no_fills()  # batches by `fill_bin`
        self.waiting_s = 0.0  # for requests
        self.network_s = 0.0  # in the engine
        self.copies_s = 0.0  # gathering rows into one array, handing answers back
        self.latency = LatencyHistogram()  # of each row, from an actor's submission to its answer

    def fill_rate(self, batch_size: int) -> float | None:
        """Rows used / batch capacity; None if there was no batch."""
        return self.rows / (self.batches * batch_size) if self.batches else None


class InferenceServer:
    """Evaluates requests in batches until told to stop. Owns the device; one process, one thread.

    Args:
        request_queue: where `InferenceRequest`s come from; anything with `get` and `get_nowait` of
            `queue.Queue`.
        response_queues: one for each actor, by its index; anything with `put`.
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
            share of `rows_in_play` at most. Requests are often smaller: a game whose search ended without
            asking has no row. None: unknown.
        clock: seconds, the clock of `InferenceRequest.submitted_at`.
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
        clock: Callable[[], float] = time.monotonic,
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
        self.statistics = InferenceStatistics()
        self.weights_version = 0
        self._requests = request_queue
        self._responses = response_queues
        self._weights = weight_queue
        self._rows_in_play = rows_in_play
        self._requests_in_play = requests_in_play
        self._clock = clock
        self._held: InferenceRequest | None = None  # did not fit the last batch
        self._staging: np.ndarray[Any, np.dtype[np.uint8]] | None = None

    def run(self, stopped: Callable[[], bool]) -> None:
        """Serve until `stopped()`, which is asked after each batch and at least every 0.1 s."""
        while not stopped():
            self.serve_batch()

    def serve_batch(self, timeout: float = IDLE_WAIT_S) -> int:
        """Gather one batch, evaluate it, answer it; return its rows, 0 if nothing came in `timeout` s."""
        started = time.perf_counter()
        requests = self._gather(timeout)
        gathered = time.perf_counter()
        self.statistics.waiting_s += gathered - started
        if not requests:
            return 0
        self._take_new_weights()
        observations = self._stack(requests)
        stacked = time.perf_counter()
        policy_logits, values = self.engine.evaluate(observations)
        evaluated = time.perf_counter()
        self._answer(requests, policy_logits, values)
        self.statistics.network_s += evaluated - stacked
        self.statistics.copies_s += stacked - gathered + time.perf_counter() - evaluated
        self.statistics.batches += 1
        self.statistics.rows += len(observations)
        self.statistics.fills[fill_bin(len(observations), self.policy.batch_size)] += 1
        return len(observations)

    def take_statistics(self) -> InferenceStatistics:
        """Return the statistics since the last call."""
        statistics, self.statistics = self.statistics, InferenceStatistics()
        return statistics

    def _gather(self, timeout: float) -> list[InferenceRequest]:
        requests: list[InferenceRequest] = []
        # A set: a restarted actor may ask anew while its predecessor's request is still here.
        groups: set[tuple[int, int]] = set()
        waiting = 0
        oldest = 0.0
        while True:
            request = self._held
            self._held = None
            if request is None:
                wait_s = self._seconds_to_wait(len(groups), waiting, oldest) if requests else timeout
                request = self._next_request(wait_s)
            if request is None:
                if not requests or self._seconds_to_wait(len(groups), waiting, oldest) == 0.0:
                    return requests
                continue
            rows = len(request.observations)
            if requests and waiting + rows > self.policy.batch_size:
                self._held = request
                return requests
            oldest = min(oldest, request.submitted_at) if requests else request.submitted_at
            requests.append(request)
            groups.add((request.actor, request.group))
            waiting += rows
            if waiting >= self.policy.batch_size:
                return requests

    def _seconds_to_wait(self, groups: int, waiting: int, oldest: float) -> float:
        elsewhere = self._rows_elsewhere(groups, waiting)
        return seconds_to_wait(self.policy, waiting, elsewhere, self._clock() - oldest)

    def _rows_elsewhere(self, groups: int, waiting: int) -> int | None:
        """Return how many rows may still come while requests of `groups` groups, `waiting` rows, are here."""
        if self._rows_in_play is None:
            return None
        if self._requests_in_play is None:
            return max(0, self._rows_in_play - waiting)
        return (self._requests_in_play - groups) * self._rows_in_play // self._requests_in_play

    def _next_request(self, wait_s: float) -> InferenceRequest | None:
        try:
            return self._requests.get(timeout=wait_s) if wait_s > 0 else self._requests.get_nowait()
        except queue.Empty:
            return None

    def _take_new_weights(self) -> None:
        newest = None
        try:
            while True:
                newest = self._weights.get_nowait()
        except queue.Empty:
            pass
        if newest is not None:
            self.weights_version, weights = newest
            self.engine.load_weights({name: torch.as_tensor(array) for name, array in weights.items()})

    def _stack(self, requests: list[InferenceRequest]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if len(requests) == 1:
            return requests[0].observations
        rows = sum(len(request.observations) for request in requests)
        if self._staging is None or len(self._staging) < rows:
            capacity = max(rows, self.policy.batch_size)
            self._staging = np.empty((capacity, *requests[0].observations.shape[1:]), np.uint8)
        np.concatenate([request.observations for request in requests], out=self._staging[:rows])
        return self._staging[:rows]

    def _answer(self, requests: list[InferenceRequest], policy_logits: Any, values: Any) -> None:
        now = self._clock()
        start = 0
        for request in requests:
            end = start + len(request.observations)
            self._responses[request.actor].put(
                InferenceResponse(
                    request.group,
                    request.ticket,
                    policy_logits[start:end],
                    values[start:end],
                    self.weights_version,
                )
            )
            self.statistics.latency.add(now - request.submitted_at, count=len(request.observations))
            start = end
