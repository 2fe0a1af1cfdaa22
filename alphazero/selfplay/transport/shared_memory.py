"""Fixed slots in shared memory, and tokens of a few bytes through pipes.

    slot (actor, group):   observations  uint8   [rows, C, H, W]   written by the actor
                           policy_logits float32 [rows, A]         written by the server
                           values        float32 [rows]            written by the server

    actor  -- (group, rows, ticket, time) -->  server
    actor  <-- (group, ticket, version) -----  server

A slot belongs to the actor until it sends the token and to the server until the answer's token comes back,
so nothing needs a lock; the pipe's system calls order the memory accesses. The memory is anonymous
(`multiprocessing.RawArray`): it has no name that could be leaked and goes with the last process, however
that one ends. A restarted actor uses the same slots and pipe; its tickets tell its answers from those that
its predecessor was still owed.
"""

from __future__ import annotations

import queue
import struct
import time
from collections import deque
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np

from alphazero.selfplay.transport.messages import (
    InferenceRequest,
    InferenceResponse,
    ObservationArray,
    SelfPlayStopped,
)
from alphazero.selfplay.transport.ready import ReadyConnections
from alphazero.selfplay.transport.tokens import receive_token, send_token

_REQUEST = struct.Struct("<iiqd")  # group, rows, ticket, submitted_at
_RESPONSE = struct.Struct("<iqi")  # group, ticket, weights_version


class SharedSlots:
    """The memory of all slots. Made by the parent, handed to child processes when they are spawned."""

    def __init__(
        self,
        context: SpawnContext,
        actors: int,
        groups: int,
        rows: int,
        observation_shape: tuple[int, int, int],
        num_actions: int,
    ) -> None:
        self.actors, self.groups, self.rows = actors, groups, rows
        self._shapes: dict[str, tuple[type, tuple[int, ...]]] = {
            "observations": (np.uint8, (actors, groups, rows, *observation_shape)),
            "policy_logits": (np.float32, (actors, groups, rows, num_actions)),
            "values": (np.float32, (actors, groups, rows)),
        }
        self._memory: dict[str, Any] = {
            name: context.RawArray("B", int(np.prod(shape)) * np.dtype(dtype).itemsize)
            for name, (dtype, shape) in self._shapes.items()
        }

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """Return a view of "observations", "policy_logits" or "values", axes (actor, group, row, ...)."""
        dtype, shape = self._shapes[name]
        return np.frombuffer(self._memory[name], dtype=dtype).reshape(shape)


class SharedMemoryRequestQueue:
    """The server's end: looks like a `queue.Queue` of `InferenceRequest`."""

    def __init__(self, slots: SharedSlots, connections: list[Connection]) -> None:
        self._observations = slots.array("observations")
        self._actor_of = {connection: actor for actor, connection in enumerate(connections)}
        self._ready = ReadyConnections(connections)
        self._arrived: deque[InferenceRequest] = deque()

    def get(self, block: bool = True, timeout: float | None = None) -> InferenceRequest:
        """Return the next request; `queue.Empty` after `timeout` seconds."""
        if not self._arrived:
            self._receive(timeout if block else 0.0)
        if not self._arrived:
            raise queue.Empty
        return self._arrived.popleft()

    def get_nowait(self) -> InferenceRequest:
        """Return a request that is here; `queue.Empty` if there is none."""
        return self.get(block=False)

    def _receive(self, timeout: float | None) -> None:
        for connection in self._ready.wait(timeout):
            actor = self._actor_of[connection]
            try:
                group, rows, ticket, submitted_at = receive_token(connection, _REQUEST)
            except (EOFError, OSError):
                self._ready.remove(connection)
                continue
            observations = self._observations[actor, group, :rows]
            self._arrived.append(InferenceRequest(actor, group, ticket, submitted_at, observations))


class SharedMemoryResponseQueue:
    """The server's way back to one actor: `put` writes the answer into the slot and sends its token."""

    def __init__(self, slots: SharedSlots, actor: int, connection: Connection) -> None:
        self._policy_logits = slots.array("policy_logits")[actor]
        self._values = slots.array("values")[actor]
        self._connection = connection

    def put(self, response: InferenceResponse) -> None:
        """Hand over an answer; it is dropped if the actor is gone."""
        rows = len(response.values)
        self._policy_logits[response.group, :rows] = response.policy_logits
        self._values[response.group, :rows] = response.values
        try:
            send_token(self._connection, _RESPONSE, response.group, response.ticket, response.weights_version)
        except OSError:
            return


class SharedMemoryClient:
    """The actor's end; an `EvaluationClient`.

    Args:
        first_ticket: larger than any ticket of the actor's predecessors.
        parent: a pipe to the parent; when it has something to read, the run is over.
    """

    def __init__(
        self, slots: SharedSlots, actor: int, connection: Connection, parent: Connection, first_ticket: int
    ) -> None:
        self.observations: list[ObservationArray] = list(slots.array("observations")[actor])
        self._policy_logits = slots.array("policy_logits")[actor]
        self._values = slots.array("values")[actor]
        self._connection = connection
        self._parent = parent
        self._ready = ReadyConnections([connection, parent])
        self._next_ticket = first_ticket
        self._rows = [0] * slots.groups
        self._tickets = [-1] * slots.groups
        self._answered: dict[int, InferenceResponse] = {}

    def submit(self, group: int, rows: int) -> None:
        self._rows[group] = rows
        self._tickets[group] = self._next_ticket
        try:
            send_token(self._connection, _REQUEST, group, rows, self._next_ticket, time.perf_counter())
        except OSError as error:
            raise SelfPlayStopped from error
        self._next_ticket += 1

    def receive(self, group: int) -> InferenceResponse:
        while group not in self._answered:
            if self._parent in self._ready.wait():
                raise SelfPlayStopped
            try:
                answered, ticket, version = receive_token(self._connection, _RESPONSE)
            except (EOFError, OSError) as error:
                raise SelfPlayStopped from error
            if ticket != self._tickets[answered]:
                continue  # owed to a predecessor of this process
            rows = self._rows[answered]
            self._answered[answered] = InferenceResponse(
                answered,
                ticket,
                self._policy_logits[answered, :rows],
                self._values[answered, :rows],
                version,
            )
        return self._answered.pop(group)
