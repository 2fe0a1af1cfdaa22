"""The processes of self-play, seen from the parent: started, listened to, restarted, stopped.

          parent (learner)                       every arrow is a pipe of its own
           ^ reports   | stop                    or anonymous shared memory
           |           v
        actor 0 .. N-1  <--- slots, tokens --->  inference server
           ^                                          ^
           +----------- weight board (shared) --------+

A process that is killed closes its own pipes and nothing else: an actor is started again, the end of the
server ends the run with a message. When the parent goes, however it goes, the others see the end of their
pipe and leave.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import numpy.typing as npt

from alphazero.config import Config
from alphazero.connections import Waitable, has_more, wait
from alphazero.errors import RunError
from alphazero.games.registry import get_game
from alphazero.records import Episode
from alphazero.selfplay.actor import ActorSpec, actor_main, group_shape
from alphazero.selfplay.engine_at_start import settle_engine
from alphazero.selfplay.reports import ActorReport, SelfPlayStatistics, ServerReport, WorkerFailure
from alphazero.selfplay.server_process import ServerSpec, server_main
from alphazero.selfplay.transport.shared_memory import SharedSlots
from alphazero.selfplay.transport.weight_board import WeightBoard
from alphazero.stop_signals import stop_signals_held_back

JOIN_S = 5.0  # seconds a process gets to leave before it is killed
FALLBACK = "eager"  # the engine that `GuardedEngine` falls back to
LAUNCHES_A_RUN = 1_000  # more than one actor is ever started in one run


class WorkerDied(RunError):
    """A process of self-play is gone for good; the message holds its traceback or its exit code."""


class SelfPlayPool:
    """Actors, and the inference server if there is one. Owned and closed by the parent's main thread.

    Args:
        weights: float32 arrays by name, for the first batches; `weights_version` is their version.
        device: of the inference server, such as "cpu" or "cuda:0".
        launch: counts how often this run was started, so that a resumed run plays new games.
        stagger: begin at all stages of play; for measuring, see `GameGroup`.
        untrained: nothing was learned yet: play without the network until the first `publish`.
    """

    def __init__(
        self,
        config: Config,
        weights: Mapping[str, npt.NDArray[np.float32]],
        device: str,
        launch: int = 0,
        weights_version: int = 0,
        stagger: bool = False,
        untrained: bool = False,
    ) -> None:
        self.notes: queue.SimpleQueue[str] = queue.SimpleQueue()  # what a person should be told
        self.config, measured = settle_engine(config, weights, device)
        if measured:
            self.notes.put(measured)
        self.engine = ""  # name of the engine in use, once known
        self._device = device
        self._stagger = stagger
        self._first_launch = launch * LAUNCHES_A_RUN
        self._context = multiprocessing.get_context("spawn")
        self._paused = self._context.RawArray("b", 1)
        self._untrained = self._context.RawArray("b", [untrained])
        self._board = WeightBoard(self._context, weights)
        self._board.write(weights_version, weights)
        self._episodes: queue.SimpleQueue[Episode] = queue.SimpleQueue()
        self._statistics = SelfPlayStatistics()
        self._statistics_lock = threading.Lock()
        self._failure: str | None = None
        self._heard_from: set[str] = set()
        self._engines: dict[str, str] = {}  # by process, as last reported
        self._most_rows = self.config.inference.batch_size  # that the server's network takes at once
        self._closing = threading.Event()
        self._processes: dict[str, BaseProcess] = {}
        self._pipes: dict[str, Connection] = {}
        self._restarts: dict[int, int] = {}
        self._make_transport()
        self._listener = threading.Thread(target=self._listen, name="self-play listener", daemon=True)

    def start(self) -> None:
        """Start all processes; they import and build for a second or two before anything comes."""
        if self.config.inference.placement == "server":
            self._start_server()
        for actor in range(self.config.selfplay.actors):
            self._start_actor(actor)
        self._listener.start()

    def publish(self, version: int, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Let the next batches be evaluated with `weights`; `version` must grow."""
        self._board.write(version, weights)
        self._untrained[0] = 0

    def pause(self, paused: bool) -> None:
        """Let actors wait (within a batch or two), or go on."""
        self._paused[0] = int(paused)

    def take_episodes(self, timeout: float = 0.0) -> list[Episode]:
        """Return the games that arrived; wait up to `timeout` seconds for a first one.

        Raises WorkerDied when self-play cannot go on.
        """
        if self._failure is not None:
            raise WorkerDied(self._failure)
        episodes: list[Episode] = []
        try:
            if timeout > 0:
                episodes.append(self._episodes.get(timeout=timeout))
            while True:
                episodes.append(self._episodes.get_nowait())
        except queue.Empty:
            return episodes

    def take_statistics(self) -> SelfPlayStatistics:
        """Return what was done since the last call."""
        with self._statistics_lock:
            statistics, self._statistics = self._statistics, SelfPlayStatistics()
        return statistics

    def all_at_work(self) -> bool:
        """Return whether every process has reported what it did, so that none is still starting up."""
        return self._heard_from >= set(self._processes)

    def process_ids(self) -> dict[str, int]:
        """Return the process ids by name: "actor 0", ..., "inference server"."""
        return {name: process.pid for name, process in self._processes.items() if process.pid is not None}

    def close(self) -> None:
        """Stop all processes and wait for them; those that do not leave within 5 s are killed."""
        self._closing.set()
        try:
            if self._listener.is_alive():
                self._listener.join(JOIN_S)
            for pipe in self._pipes.values():
                with contextlib.suppress(OSError):
                    pipe.send("stop")
                pipe.close()  # also frees a process that is stuck in sending
            deadline = time.monotonic() + JOIN_S
            for process in self._processes.values():
                process.join(max(0.0, deadline - time.monotonic()))
        finally:  # also at a second Ctrl-C: these processes answer to no other signal
            for process in self._processes.values():
                if process.is_alive():
                    process.kill()
                    process.join()

    def __enter__(self) -> SelfPlayPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ---- starting ----

    def _make_transport(self) -> None:
        inference, actors = self.config.inference, self.config.selfplay.actors
        self._slots: SharedSlots | None = None
        self._actor_ends: list[Connection] = []
        self._server_ends: list[Connection] = []
        self._requests: Any = None
        self._responses: list[Any] = []
        if inference.placement == "local":
            return
        if inference.transport == "queue":
            self._requests = self._context.Queue()
            self._responses = [self._context.Queue() for _ in range(actors)]
            return
        game = get_game(self.config.run.game)
        groups, rows = group_shape(self.config)
        self._slots = SharedSlots(
            self._context, actors, groups, rows, game.observation_shape, game.num_actions
        )
        for _ in range(actors):
            actor_end, server_end = self._context.Pipe()
            self._actor_ends.append(actor_end)
            self._server_ends.append(server_end)

    def _start_server(self) -> None:
        mine, theirs = self._context.Pipe()
        spec = ServerSpec(
            self.config,
            self._device,
            theirs,
            self._board,
            self._slots,
            tuple(self._server_ends),
            self._requests,
            tuple(self._responses),
        )
        self._launch("inference server", server_main, spec, mine, theirs)

    def _start_actor(self, actor: int) -> None:
        inference = self.config.inference
        mine, theirs = self._context.Pipe()
        spec = ActorSpec(
            actor=actor,
            launch=self._first_launch + self._restarts.get(actor, 0),
            config=self.config,
            parent=theirs,
            paused=self._paused,
            untrained=self._untrained,
            slots=self._slots,
            server=self._actor_ends[actor] if self._actor_ends else None,
            requests=self._requests,
            responses=self._responses[actor] if self._responses else None,
            weights=self._board if inference.placement == "local" or inference.cache_positions else None,
            stagger=self._stagger,
        )
        self._launch(f"actor {actor}", actor_main, spec, mine, theirs)

    def _launch(self, name: str, target: Any, spec: Any, mine: Connection, theirs: Connection) -> None:
        process = self._context.Process(target=target, args=(spec,), name=name, daemon=True)
        with stop_signals_held_back():
            process.start()
        theirs.close()
        self._processes[name] = process
        self._pipes[name] = mine

    # ---- listening (a thread of the parent) ----

    def _listen(self) -> None:
        try:
            while not self._closing.is_set() and self._failure is None:
                self._listen_once()
        except BaseException:
            self._failure = f"listening to self-play failed:\n{traceback.format_exc()}"

    def _listen_once(self) -> None:
        names: dict[object, str] = {pipe: name for name, pipe in self._pipes.items()}
        ended = {self._processes[name].sentinel: name for name in self._pipes}
        ends: list[Waitable] = [*self._pipes.values(), *ended]
        for ready in wait(ends, timeout=0.2):
            if isinstance(ready, int):
                name = ended[ready]
                if not self._closing.is_set() and not has_more(self._pipes[name]):
                    self._handle_death(name)
                return
            name = names[ready]
            try:
                message = ready.recv()
            except (EOFError, OSError):
                if not self._closing.is_set():
                    self._handle_death(name)
                return
            if isinstance(message, WorkerFailure):
                self._failure = f"{message.worker} failed:\n{message.traceback}"
            else:
                self._handle_report(name, message)
                self._heard_from.add(name)

    def _handle_report(self, name: str, report: ActorReport | ServerReport) -> None:
        self._note_changes(name, report)
        if isinstance(report, ActorReport):
            for episode in report.episodes:
                self._episodes.put(episode)
        with self._statistics_lock:
            self.engine = report.engine or self.engine
            self._statistics.merge(report.statistics)

    def _note_changes(self, name: str, report: ActorReport | ServerReport) -> None:
        """Tell a person when an engine went on in float32, or with smaller batches."""
        before = self._engines.get(name, self.config.inference.engine)
        if report.engine:
            self._engines[name] = report.engine
            if report.engine == FALLBACK and before != FALLBACK:
                self.notes.put(
                    f"{name}: engine {before!r} answered NaN or infinity; from here on it runs in float32 "
                    f"{FALLBACK!r}, which is slower"
                )
        if isinstance(report, ServerReport) and report.most_rows < self._most_rows:
            self._most_rows = report.most_rows
            self.notes.put(
                f"{name}: out of device memory; from here on at most {report.most_rows} rows go through the "
                f"network at once (inference.batch_size is {self.config.inference.batch_size})"
            )

    def _handle_death(self, name: str) -> None:
        process = self._processes[name]
        process.join(1.0)
        end = _describe_exit(process.exitcode)
        if name == "inference server":
            self._failure = (
                "the inference server ended without a message "
                f"({end}); run the same command again to go on from the last checkpoint"
            )
            return
        actor = int(name.split()[1])
        restarts = self._restarts.get(actor, 0)
        if self.config.inference.placement == "server" and self.config.inference.transport == "queue":
            self._failure = f"{name} ended ({end}), and transport 'queue' cannot go on without it; " + _GO_ON
        elif restarts >= self.config.selfplay.max_restarts:
            allowed = f"selfplay.max_restarts = {self.config.selfplay.max_restarts}"
            self._failure = f"{name} ended ({end}), after as many restarts as allowed ({allowed}); {_GO_ON}"
        else:
            self._pipes.pop(name).close()
            self._heard_from.discard(name)
            self._restarts[actor] = restarts + 1
            self._start_actor(actor)
            self.notes.put(
                f"{name} ended ({end}); its unfinished games are lost, it was started again "
                f"({restarts + 1} of at most {self.config.selfplay.max_restarts} times)"
            )


_GO_ON = "run the same command again to go on from the last checkpoint"


def _describe_exit(exitcode: int | None) -> str:
    if exitcode is None:
        return "still leaving"
    if exitcode < 0:
        try:
            return f"killed by {signal.Signals(-exitcode).name}"
        except ValueError:
            return f"killed by signal {-exitcode}"
    return f"exit code {exitcode}"
