"""The process that runs the inference server."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from alphazero.config import Config
from alphazero.games.registry import get_game
from alphazero.selfplay.actor import group_shape
from alphazero.selfplay.reports import ServerReport, WorkerFailure
from alphazero.selfplay.transport.pickled_queue import QueueResponses
from alphazero.selfplay.transport.shared_memory import (
    SharedMemoryRequestQueue,
    SharedMemoryResponseQueue,
    SharedSlots,
)
from alphazero.selfplay.transport.weight_board import WeightBoard, WeightBoardReader
from alphazero.stop_signals import ignore_stop_signals

REPORT_EVERY_S = 0.5


@dataclass(frozen=True)
class ServerSpec:
    """All that the inference server's process is started with; see `ActorSpec`."""

    config: Config
    device: str
    parent: Connection
    weights: WeightBoard
    slots: SharedSlots | None = None
    connections: tuple[Connection, ...] = ()
    requests: Any = None
    responses: tuple[Any, ...] = ()


def server_main(spec: ServerSpec) -> None:
    """Run the inference server until the parent says so or is gone."""
    ignore_stop_signals()
    try:
        _serve(spec)
    except (BrokenPipeError, ConnectionResetError):
        return
    except BaseException:
        spec.parent.send(WorkerFailure("the inference server", traceback.format_exc()))
        raise SystemExit(1) from None


def _serve(spec: ServerSpec) -> None:
    import torch

    from alphazero.network.cpu_allocator import keep_freed_memory
    from alphazero.network.resnet import build_network
    from alphazero.selfplay.inference_server import InferenceServer

    config = spec.config
    inference = config.inference
    torch.set_num_threads(max(1, inference.threads))
    keep_freed_memory()
    groups, rows = group_shape(config)
    if spec.slots is not None:
        connections = list(spec.connections)
        requests: Any = SharedMemoryRequestQueue(spec.slots, connections)
        responses: Any = [
            SharedMemoryResponseQueue(spec.slots, actor, connection)
            for actor, connection in enumerate(connections)
        ]
    else:
        requests = spec.requests
        responses = [QueueResponses(queue) for queue in spec.responses]
    server = InferenceServer(
        requests,
        responses,
        WeightBoardReader(spec.weights),
        build_network(get_game(config.run.game), config.network),
        spec.device,
        inference.batch_size,
        inference.batch_timeout_ms / 1000.0,
        inference.use_amp,
        collection=inference.collection,
        min_fill=inference.min_fill,
        engine=inference.engine,
        pinned_memory=inference.pinned_memory,
        rows_in_play=config.selfplay.actors * groups * rows,
        requests_in_play=config.selfplay.actors * groups,
    )
    reported = time.perf_counter()
    while not spec.parent.poll():
        server.serve_batch()
        elapsed = time.perf_counter() - reported
        if elapsed >= REPORT_EVERY_S:
            reported += elapsed
            statistics = server.take_statistics()
            statistics.server_s = elapsed
            spec.parent.send(ServerReport(statistics, server.engine.name, server.engine.max_batch))
