"""Waiting for more pipes than the system takes at once gives what waiting for all of them gives."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from alphazero import connections
from alphazero.connections import wait


@pytest.fixture
def pipes() -> Iterator[list[tuple[Connection, Connection]]]:
    made = [multiprocessing.Pipe() for _ in range(5)]
    yield made
    for ours, theirs in made:
        ours.close()
        theirs.close()


@pytest.mark.parametrize("most_at_once", [2, 100])
def test_ready_pipes_are_found_in_their_order_and_nothing_is_waited_for_past_the_timeout(
    pipes: list[tuple[Connection, Connection]], monkeypatch: pytest.MonkeyPatch, most_at_once: int
) -> None:
    monkeypatch.setattr(connections, "_MOST_AT_ONCE", most_at_once)
    ours = [own for own, _ in pipes]
    began = time.perf_counter()
    assert wait(ours, 0.05) == []
    assert 0.05 <= time.perf_counter() - began < 5.0
    pipes[4][1].send("something")
    pipes[1][1].close()  # its end is something to read
    assert wait(ours, 0.0) == [ours[1], ours[4]]
    assert wait(ours) == [ours[1], ours[4]]


@pytest.mark.parametrize("most_at_once", [2, 100])
def test_what_comes_later_is_waited_for(
    pipes: list[tuple[Connection, Connection]], monkeypatch: pytest.MonkeyPatch, most_at_once: int
) -> None:
    monkeypatch.setattr(connections, "_MOST_AT_ONCE", most_at_once)
    timer = threading.Timer(0.05, lambda: pipes[3][1].send("late"))
    timer.start()
    assert wait([own for own, _ in pipes]) == [pipes[3][0]]
    timer.join()
