"""Waiting for pipes, also for more of them than Windows waits for at once."""

from __future__ import annotations

import multiprocessing.connection
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

# The system takes fewer than 64 at once; from Python 3.13 on `multiprocessing` knows.
_MOST_AT_ONCE = 60 if sys.platform == "win32" and sys.version_info < (3, 13) else sys.maxsize
_POLL_S = 0.002


def wait(connections: Sequence[Connection], timeout: float | None = None) -> list[Connection]:
    """Return those with something to read, or at their end; none after `timeout` seconds (None: for ever).

    `multiprocessing.connection.wait`; where that takes fewer at once than there are, they are looked at in turn.
    """
    if len(connections) <= _MOST_AT_ONCE:
        return _wait(connections, timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        ready: list[Connection] = []
        for start in range(0, len(connections), _MOST_AT_ONCE):
            ready += _wait(connections[start : start + _MOST_AT_ONCE], 0)
        if ready or (deadline is not None and time.monotonic() >= deadline):
            return ready
        time.sleep(_POLL_S)


def _wait(connections: Sequence[Connection], timeout: float | None) -> list[Connection]:
    ready = set(map(id, multiprocessing.connection.wait(connections, timeout)))
    return [connection for connection in connections if id(connection) in ready]
