"""What the network can evaluate alone on this machine: evaluations a second by batch size and engine.

The best of them is the ceiling of self-play. It is measured in the process layout of the configuration: with
a server, one process with one engine; with placement `local`, as many processes as there are actors, each
with an engine and `inference.threads` threads, all evaluating at once.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from alphazero.benchmark.statistics import Estimate, median_estimate
from alphazero.config import Config
from alphazero.connections import Waitable, has_more, wait
from alphazero.errors import RunError, UserError
from alphazero.games.game import ByteArray, winning_lines
from alphazero.games.registry import get_game
from alphazero.network.cpu_allocator import keep_freed_memory
from alphazero.network.engine_protocol import pipelined
from alphazero.network.engines import candidate_engines, make_engine, resolve_device
from alphazero.network.frozen_engine import computes_in_bfloat16
from alphazero.network.resnet import build_network
from alphazero.selfplay.engine_at_start import typical_observations

LARGEST_BATCH = 1024
REPEATS = 6  # the fewest whose extremes hold the median with 95 % confidence
SHORTEST_WINDOW_S = 0.05
JOIN_S = 5.0


@dataclass(frozen=True)
class EngineOrder:
    """An engine and its precision, as `make_engine` takes them."""

    engine: str
    use_amp: bool


@dataclass(frozen=True)
class EngineRate:
    """Evaluations a second of one engine at one batch size, over all processes.

    Attributes:
        engine: its name for people, with its precision.
        batch_size: rows in a forward pass, of each process.
        evaluations_per_second: median over the repeats, with its interval.
        inference_latency_ms: from one answer to the next, at that median.
    """

    engine: str
    batch_size: int
    evaluations_per_second: Estimate
    inference_latency_ms: float


@dataclass(frozen=True)
class InferenceSpeed:
    """What was measured: the curve, and its highest point, the ceiling."""

    processes: int
    threads: int
    device: str
    simulated: bool
    rates: list[EngineRate]

    @property
    def ceiling(self) -> EngineRate:
        """The highest rate."""
        return max(self.rates, key=lambda rate: rate.evaluations_per_second.value)


class EngineProcesses:
    """Processes that build inference engines and evaluate, all at once, when told. Closed by its owner.

    Args:
        config: gives the layout, the game, the network and the threads.
        device: of the engines, such as "cpu" or "cuda:0".
        max_batch: rows at most in one forward pass.
    """

    def __init__(self, config: Config, device: str, max_batch: int) -> None:
        self.processes = engine_processes(config)
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._children: list[BaseProcess] = []
        for index in range(self.processes):
            mine, theirs = context.Pipe()
            child = context.Process(
                target=_evaluate_when_told,
                args=(theirs, config, device, max_batch, index),
                name=f"engine {index}",
                daemon=True,
            )
            child.start()
            theirs.close()
            self._pipes.append(mine)
            self._children.append(child)

    def rate(self, order: EngineOrder, batch_size: int, seconds: float) -> float:
        """Return the evaluations a second of all processes together, measured for `seconds`.

        Each process evaluates at least one batch. RunError, with its traceback, if a process failed.
        """
        self._tell(("prepare", order, batch_size))
        return float(sum(rows / elapsed for rows, elapsed in self._tell(("evaluate", seconds))))

    def name(self, order: EngineOrder) -> str:
        """Return the engine's name for people."""
        return str(self._tell(("prepare", order, 1))[0])

    def close(self) -> None:
        """End the processes and wait for them."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
            pipe.close()
        for child in self._children:
            child.join(JOIN_S)
            if child.is_alive():
                child.kill()
                child.join()

    def __enter__(self) -> EngineProcesses:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _tell(self, message: tuple[Any, ...]) -> list[Any]:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):  # of one that has ended; `_answer` says so
                pipe.send(message)
        return [self._answer(index) for index in range(self.processes)]

    def _answer(self, index: int) -> Any:
        pipe = self._pipes[index]
        ends: list[Waitable] = [pipe, self._children[index].sentinel]
        ready = wait(ends)
        try:
            if pipe not in ready and not has_more(pipe):
                raise EOFError
            answer = pipe.recv()
        except (EOFError, OSError):
            raise RunError(
                f"engine process {index} was killed or ended by itself (often the system, out of memory)"
            ) from None
        if isinstance(answer, BaseException):
            raise answer
        return answer


def measure_inference(
    config: Config,
    seconds: float,
    orders: Sequence[EngineOrder],
    progress: Callable[[str], None] = lambda text: None,
) -> InferenceSpeed:
    """Return evaluations a second by batch size and engine, measured for about `seconds` in all.

    Repeats are interleaved: each round measures every engine at every batch size once. A slow engine at a
    large batch takes longer than its share, since nothing is shorter than one forward pass.

    Args:
        orders: engines to measure, such as those of `engine_orders`.
        progress: told what is going on, a line at a time.
    """
    device = measured_device(config)
    sizes = batch_sizes(config)
    with EngineProcesses(config, device, sizes[-1]) as engines:
        progress(f"starting {len(orders)} engines")
        names = [engines.name(order) for order in orders]
        measured: dict[tuple[int, int], list[float]] = {}
        window_s = max(SHORTEST_WINDOW_S, seconds / (REPEATS * len(sizes) * len(orders)))
        for repeat in range(REPEATS):
            progress(f"round {repeat + 1} of {REPEATS}")
            for size in sizes:
                for index, order in enumerate(orders):
                    rate = engines.rate(order, size, window_s)
                    measured.setdefault((index, size), []).append(rate)
    rates = [
        _engine_rate(names[index], size, median_estimate(values), engines.processes)
        for (index, size), values in sorted(measured.items())
    ]
    simulated = config.inference.simulated
    shown = config.inference.engine if simulated else device
    return InferenceSpeed(engines.processes, config.inference.threads, shown, simulated, rates)


def find_ceiling(
    engines: EngineProcesses, config: Config, seconds: float, batch_size: int | None = None
) -> tuple[int, float]:
    """Return (best batch size, evaluations a second there) of the configuration's own engine.

    Args:
        seconds: for all of it; half goes to the search for the best size, and half to the rate there.
        batch_size: known from an earlier call; None: searched among `batch_sizes`.
    """
    order = EngineOrder(config.inference.engine, config.inference.use_amp)
    if batch_size is None:
        sizes = batch_sizes(config)
        window_s = max(SHORTEST_WINDOW_S, seconds / 2 / len(sizes) / 2)
        found = {size: [engines.rate(order, size, window_s)] for size in sizes}
        for size in sizes:
            found[size].append(engines.rate(order, size, window_s))
        batch_size = max(sizes, key=lambda size: sum(found[size]))
    windows = [engines.rate(order, batch_size, seconds / 2 / REPEATS) for _ in range(REPEATS)]
    return batch_size, median_estimate(windows).value


def engine_processes(config: Config) -> int:
    """Return how many processes evaluate at once in the configuration's layout."""
    return config.selfplay.actors if config.inference.placement == "local" else 1


def measured_device(config: Config) -> str:
    """Return the device that self-play would evaluate on."""
    if config.inference.placement == "local" or config.inference.simulated:
        return "cpu"
    return str(resolve_device(config.inference.device))


def batch_sizes(config: Config) -> list[int]:
    """Return powers of two up to 1024, or to the configuration's batch if larger, and that batch itself."""
    sizes = {config.inference.batch_size}
    size = 1
    while size <= max(LARGEST_BATCH, config.inference.batch_size):
        sizes.add(size)
        size *= 2
    return sorted(sizes)


def engine_orders(config: Config, device: str, names: Sequence[str] = ()) -> list[EngineOrder]:
    """Return engines in the precisions that they have on `device`, eager first; of a simulated device, only that.

    Args:
        names: of the engines; none: those that 'auto' chooses from, and the configuration's own.
    """
    own = config.inference.engine
    if config.inference.simulated:
        return [EngineOrder(own, False)]
    if not names:
        lines = winning_lines(get_game(config.run.game)) if config.network.line_planes else ()
        names = [*candidate_engines(device, lines), *([] if own == "auto" else [own])]
    in_half = device != "cpu" or computes_in_bfloat16()
    return [
        EngineOrder(name, half)
        for name in sorted(dict.fromkeys(names), key=lambda name: name != "eager")
        for half in ((False, True) if in_half and (name, device) != ("eager", "cpu") else (False,))
    ]


def _engine_rate(name: str, batch_size: int, rate: Estimate, processes: int) -> EngineRate:
    return EngineRate(name, batch_size, rate, 1000.0 * batch_size * processes / rate.value)


def _evaluate_when_told(parent: Connection, config: Config, device: str, max_batch: int, index: int) -> None:
    """The main function of an engine process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _serve_messages(parent, config, device, max_batch, index)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except UserError as error:
        parent.send(error)
    except BaseException:
        parent.send(RunError(f"engine process {index} failed:\n{traceback.format_exc()}"))


def _serve_messages(parent: Connection, config: Config, device: str, max_batch: int, index: int) -> None:
    torch.set_num_threads(max(1, config.inference.threads))
    keep_freed_memory()
    game = get_game(config.run.game)
    torch.manual_seed(config.run.seed)
    network = build_network(game, config.network)
    observations = typical_observations(game, max_batch, config.run.seed + index)
    engines: dict[EngineOrder, Any] = {}
    seen: set[tuple[EngineOrder, int]] = set()
    while (message := parent.recv()) is not None:
        if message[0] == "prepare":
            _, order, batch_size = message
            if order not in engines:
                engines[order] = make_engine(
                    order.engine,
                    network,
                    device,
                    order.use_amp,
                    config.inference.pinned_memory,
                    max_batch,
                )
            engine, batch = engines[order], observations[:batch_size]
            engine.evaluate(batch)
            if (order, batch_size) not in seen:  # now a CUDA graph was captured, a CPU kernel compiled
                seen.add((order, batch_size))
                engine.evaluate(batch)
            parent.send(_name(engine.name, order, device))
        else:
            parent.send(_evaluate_for(engine, batch, message[1]))


def _evaluate_for(engine: Any, batch: ByteArray, seconds: float) -> tuple[int, float]:
    """Return (rows evaluated, seconds it took); the last batch begun is finished and counted.

    As in self-play, an engine that can has the next batch already while it computes one.
    """
    rows = 0
    pipeline = pipelined(engine)
    start = time.perf_counter()
    if pipeline is not None:
        pipeline.submit(batch)
        while time.perf_counter() - start < seconds:
            pipeline.submit(batch)
            pipeline.collect()
            rows += len(batch)
        pipeline.collect()
        return rows + len(batch), time.perf_counter() - start
    while (elapsed := time.perf_counter() - start) < seconds or rows == 0:
        engine.evaluate(batch)
        rows += len(batch)
    return rows, elapsed


def _name(name: str, order: EngineOrder, device: str) -> str:
    if name.startswith("simulated") or "bfloat16" in name:
        return name
    half = order.use_amp and device.startswith("cuda")
    return f"{name} {'half' if half else 'float32'}"
