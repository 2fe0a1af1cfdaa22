"""Waiting for pipes and for processes to end, also for more of them than Windows waits for at once.

A process that ended closes its end of a pipe, which the other end sees: but not on Windows if it ended before it had
unpickled its arguments, since the parent itself holds that end until then. So whoever waits for an answer also waits
for `process.sentinel`.
"""

from __future__ import annotations

import multiprocessing.connection
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, overload

# The system takes fewer than 64 at once; from Python 3.13 on `multiprocessing` knows.
_MOST_AT_ONCE = 60 if sys.platform == "win32" and sys.version_info < (3, 13) else sys.maxsize
_POLL_S = 0.002


Waitable = Connection | int  # a pipe's end, or a process's sentinel


@overload
def wait(connections: Sequence[Connection], timeout: float | None = None) -> list[Connection]: ...
@overload
def wait(connections: Sequence[Waitable], timeout: float | None = None) -> list[Waitable]: ...
def wait(connections: Sequence[Any], timeout: float | None = None) -> list[Any]:
    """Return those with something to read, or at their end; none after `timeout` seconds (None: for ever).

    In the order given, so that with pipes before sentinels what a process has still said comes before its end.

    `multiprocessing.connection.wait`; where that takes fewer at once than there are, they are looked at in turn.
    """
    if len(connections) <= _MOST_AT_ONCE:
        return _wait(connections, timeout)
    deadline = None if timeout is None else time.perf_counter() + timeout
    while True:
        ready: list[Any] = []
        for start in range(0, len(connections), _MOST_AT_ONCE):
            ready += _wait(connections[start : start + _MOST_AT_ONCE], 0)
        if ready or (deadline is not None and time.perf_counter() >= deadline):
            return ready
        time.sleep(_POLL_S)


def _wait(connections: Sequence[Any], timeout: float | None) -> list[Any]:
    ready = set(map(id, multiprocessing.connection.wait(connections, timeout)))
    return [connection for connection in connections if id(connection) in ready]


def has_more(connection: Connection) -> bool:
    """Return whether `recv` would return or raise at once; at a pipe's end `poll` itself raises on Windows."""
    try:
        return connection.poll()
    except OSError:
        return True
