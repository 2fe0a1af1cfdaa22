"""Which of some pipes have something to read, asked often."""

from __future__ import annotations

import selectors
from collections.abc import Sequence
from multiprocessing.connection import Connection

from alphazero.connections import wait


class ReadyConnections:
    """`multiprocessing.connection.wait` for connections that stay the same.

    That function registers every connection anew at each call, which for 24 actors takes longer than all else
    that the inference server does for a request. Belongs to one thread.
    """

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = list(connections)
        self._selector: selectors.BaseSelector | None = None
        if hasattr(selectors, "PollSelector"):  # not on Windows, whose pipes cannot be polled
            self._selector = selectors.PollSelector()
            for connection in self._connections:
                self._selector.register(connection, selectors.EVENT_READ, data=connection)

    def wait(self, timeout: float | None = None) -> list[Connection]:
        """Return those with something to read, or at their end; none after `timeout` seconds (None: for ever)."""
        if self._selector is None:
            return wait(self._connections, timeout)
        return [key.data for key, _ in self._selector.select(timeout)]

    def remove(self, connection: Connection) -> None:
        """Do not look at `connection` any more."""
        self._connections.remove(connection)
        if self._selector is not None:
            self._selector.unregister(connection)
