"""The baseline's transport: every request and answer is pickled through a `multiprocessing.Queue`.

Kept to be measured against. A process killed while it holds the queue's lock blocks the others, so a run
on this transport ends when an actor dies.
"""

from __future__ import annotations

import queue
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from alphazero.selfplay.transport.messages import (
    InferenceRequest,
    InferenceResponse,
    ObservationArray,
    SelfPlayStopped,
)


class QueueResponses:
    """The server's end of one actor's responses."""

    def __init__(self, responses: Any) -> None:
        self._responses = responses

    def put(self, response: InferenceResponse) -> None:
        # Copies: the queue pickles in a thread of its own, when the engine may be writing its next answer there.
        policy_logits, values = response.policy_logits.copy(), response.values.copy()
        self._responses.put(response._replace(policy_logits=policy_logits, values=values))


class QueueClient:
    """The actor's end; an `EvaluationClient` over a shared request queue and its own response queue."""

    def __init__(
        self,
        requests: Any,
        responses: Any,
        actor: int,
        groups: int,
        rows: int,
        observation_shape: tuple[int, int, int],
        parent: Connection,
    ) -> None:
        self.observations: list[ObservationArray] = [
            np.zeros((rows, *observation_shape), np.uint8) for _ in range(groups)
        ]
        requests.cancel_join_thread()  # what is still unsent when the run ends may be lost
        self._requests = requests
        self._responses = responses
        self._actor = actor
        self._parent = parent
        self._answered: dict[int, InferenceResponse] = {}

    def submit(self, group: int, rows: int) -> None:
        # A copy: the queue pickles in a thread of its own, after this call has returned.
        observations = self.observations[group][:rows].copy()
        self._requests.put(InferenceRequest(self._actor, group, 0, time.perf_counter(), observations))

    def receive(self, group: int) -> InferenceResponse:
        while group not in self._answered:
            try:
                response: InferenceResponse = self._responses.get(timeout=0.2)
            except queue.Empty:
                if self._parent.poll():
                    raise SelfPlayStopped from None
                continue
            self._answered[response.group] = response
        return self._answered.pop(group)
