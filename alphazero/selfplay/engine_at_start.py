"""Settles, before self-play starts, which inference engine 'auto' stands for on this machine."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alphazero.config import Config
from alphazero.errors import UserError
from alphazero.games.game import ByteArray, Game
from alphazero.games.registry import get_game
from alphazero.network.cpu_allocator import keep_freed_memory
from alphazero.network.engine_choice import EngineChoice, choose_engine
from alphazero.network.engines import candidate_engines, make_engine
from alphazero.network.resnet import build_network
from alphazero.seeding import generator
from alphazero.selfplay.actor import group_shape

_LARGEST_BATCH = 512  # rows measured with; larger batches change a rate little, and take long
_CPU_ENGINES = ("frozen", "winograd", "openvino")
_POSITIONS = 64  # different ones that a batch is filled with

Weights = Mapping[str, npt.NDArray[np.float32]]

# What was measured and compiled in this process before: a benchmark starts self-play many times.
_measured: dict[tuple[Any, ...], EngineChoice] = {}
_compiled: set[tuple[Any, ...]] = set()


def settle_engine(config: Config, weights: Weights, device: str) -> tuple[Config, str]:
    """Return `config` with a named engine instead of 'auto', and a sentence on the measurement ("": none).

    Takes a second or two, the first time for a network, device and batch. An engine that was named is left alone, if it
    can run here; 'compiled' is compiled here, which may take a minute, so that the processes of self-play find the
    code on disk.

    Args:
        weights: what the network answers with while it is compared.
        device: of the inference server, such as "cpu" or "cuda:0"; actors evaluate on the CPU.

    Raises UserError if the engine that was named cannot run here, or cannot be compiled.
    """
    inference = config.inference
    rows = engine_rows(config)
    if inference.placement == "local":
        device = "cpu"
    if inference.engine not in ("auto", "compiled"):
        if not device.startswith("cuda") or inference.engine in _CPU_ENGINES:
            _try(config, device)
        return config, ""
    how = (inference.use_amp, inference.pinned_memory, inference.threads, rows)
    key = (config.run.game, astuple(config.network), device, *how)
    if inference.engine == "compiled":
        if key not in _compiled:
            _compile(config, device, rows)
            _compiled.add(key)
        return config, ""
    if key not in _measured:
        _measured[key] = _measure(config, weights, device, min(rows, _LARGEST_BATCH))
    choice = _measured[key]
    settled = replace(inference, engine=choice.name, use_amp=inference.use_amp and not choice.in_float32)
    return replace(config, inference=settled), choice.sentence()


def engine_rows(config: Config) -> int:
    """Return how many rows self-play asks for at once, with which engines are measured."""
    return group_shape(config)[1] if config.inference.placement == "local" else config.inference.batch_size


def _measure(config: Config, weights: Weights, device: str, rows: int) -> EngineChoice:
    if not device.startswith("cuda"):
        threads = torch.get_num_threads()
        try:
            return measure_candidates(config, weights, device, rows)
        finally:
            torch.set_num_threads(threads)
    # A failed capture of a CUDA graph may leave a process without a usable device: let it be another one.
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
            return executor.submit(measure_candidates, config, dict(weights), device, rows).result()
    except BrokenProcessPool:
        return EngineChoice("eager", rows, ())


def _compile(config: Config, device: str, rows: int) -> None:
    # Another process: what a compiler takes in memory goes with it.
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
            executor.submit(compile_engine, config, device, rows).result()
    except BrokenProcessPool:
        raise UserError(
            "the process that compiled inference.engine 'compiled' was killed, perhaps for lack of memory; "
            "set inference.engine to auto or any other"
        ) from None


def _try(config: Config, device: str) -> None:
    """Make the engine that was named: what it lacks is said once, here, and not by every process of self-play."""
    with torch.random.fork_rng(devices=[]):  # the run's own random numbers stay as they are
        network = build_network(get_game(config.run.game), config.network)
    make_engine(config.inference.engine, network, device, config.inference.use_amp, max_batch=1)


def compile_engine(config: Config, device: str, rows: int) -> None:
    """Compile what the processes of self-play will ask for, and leave it on disk, where torch keeps it."""
    inference = config.inference
    torch.set_num_threads(max(1, inference.threads))
    network = build_network(get_game(config.run.game), config.network)
    make_engine("compiled", network, device, inference.use_amp, inference.pinned_memory, max_batch=rows)


def measure_candidates(config: Config, weights: Weights, device: str, rows: int) -> EngineChoice:
    """Return the choice among all engines that could run on `device`, measured in this process."""
    inference = config.inference
    torch.set_num_threads(max(1, inference.threads))
    keep_freed_memory()
    game = get_game(config.run.game)
    network = build_network(game, config.network)
    network.load_state_dict({name: torch.from_numpy(np.asarray(array)) for name, array in weights.items()})

    def choose(use_amp: bool) -> EngineChoice:
        def make(name: str) -> Any:
            return make_engine(name, network, device, use_amp, inference.pinned_memory, max_batch=rows)

        return choose_engine(names, make, network, positions)

    names = candidate_engines(device, network.architecture.winning_lines)
    positions = typical_observations(game, rows, config.run.seed)
    choice = choose(inference.use_amp)
    if choice.in_float32 and inference.use_amp:  # in half precision none answers closely enough
        exact = choose(use_amp=False)
        choice = replace(exact, candidates=choice.candidates + exact.candidates, in_float32=True)
    return choice


def typical_observations(game: Game, rows: int, seed: int) -> ByteArray:
    """Return uint8 [rows, C, H, W]: positions of random games, repeated as often as it takes.

    Engines are chosen on them, and the benchmark measures on such ones what an engine evaluates alone.
    """
    rng = generator(seed, "engine at start")
    found = np.zeros((_POSITIONS, *game.observation_shape), np.uint8)
    state = game.initial_state()
    for observation in found:
        game.encode(state, observation)
        state = game.step(state, int(rng.choice(game.legal_actions(state))))
        if game.terminal_value(state) is not None:
            state = game.initial_state()
    return np.ascontiguousarray(found[np.arange(rows) % _POSITIONS])
