"""Fits the numbers of a hardware profile to the machine, to the game and to the length of the run.

Actors go by cores, batches and replay by memory; a run of few steps (`training.max_steps`) plays no more games
than they need. Pure functions of the configuration and the machine's description. A value that the user gave (in an
experiment or on the command line) is never changed; if it does not fit, a warning says so.

What device memory is estimated to hold, in bytes, with float32 throughout (half precision needs less):

    position    P = filters * H * W * 4                       one tensor of the tower
    lines       6 (K - 1) * (lines of K cells + H * W) * 4    line planes, if there are any, and on the way to them
    weights     9 * (planes * filters + 2 * blocks * filters**2) * 4 + heads
                + (2 * blocks + 1) * P                        position biases, if there are any
    inference   batch * (observation * 5 + 6 * P + lines)     uint8 and float32 input, live tensors
    training    batch * (observation * 5 + (6 * blocks + 4) * P + lines) + 4 * weights
                                                              what backward keeps: input, normalised and
                                                              rectified, of two convolutions a block;
                                                              weights, gradients, two moments
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol

from alphazero.config import Config, NetworkConfig
from alphazero.errors import UserError
from alphazero.hardware.description import Hardware

_MIB = 2**20
_CUDA_CONTEXT_MIB = (
    600  # allowance (not measured) for a process with torch on CUDA: server and learner have one
)
_SHARE_OF_MEMORY = 0.8  # the rest is left to the allocator's gaps and to other programs
_SHARE_FOR_REPLAY = 0.25  # of the host's usable memory
_SHARE_FOR_CACHES = 0.1  # of the host's usable memory, all actors together
_MOST_GAMES_PER_ACTOR = 512
_MOST_LEFT_EMPTY = 1 / 16  # of a batch, by requests of which no whole number fills it
_SMALLEST_BATCH = 8
# Without a GPU, positions are dear and steps are not.
_CPU_TRAINING_BATCH = 256
_CPU_REPLAY_RATIO = 16.0  # if every move is searched in full; less where fast searches make positions cheaper


class GameShape(Protocol):
    """The part of a `Game` that sizes depend on."""

    num_actions: int
    max_legal_actions: int
    max_game_length: int
    observation_shape: tuple[int, int, int]
    plane_scale: tuple[float, ...]


@dataclass(frozen=True)
class Fitted:
    """A fitted configuration: a sentence for each change, and for each explicit value that does not fit."""

    config: Config
    changed: tuple[str, ...]  # dotted names
    adjustments: tuple[str, ...]
    warnings: tuple[str, ...]


def fit_to_hardware(
    config: Config,
    hardware: Hardware,
    game: GameShape,
    fixed: Collection[str] = (),
    profiled: Collection[str] = (),
) -> Fitted:
    """Return `config` fitted to `hardware`.

    The fields in `fixed` (dotted names) keep their values; those in `profiled` were chosen by a hardware
    profile, perhaps one measured on this machine: they are lowered where they must be, but actors are not
    raised.
    """
    fitting = _Fitting(config, hardware, game, frozenset(fixed), frozenset(profiled))
    fitting.choose_device()
    fitting.fit_openings()
    fitting.fit_actors()
    fitting.fit_training_to_cpu()
    fitting.fit_final_network()
    fitting.fit_batches()
    fitting.fit_short_run()
    fitting.fit_untrained()
    fitting.fit_games_per_actor()
    fitting.fit_replay()
    fitting.fit_cache()
    return Fitted(fitting.config, tuple(fitting.changed), tuple(fitting.adjustments), tuple(fitting.warnings))


def cache_bytes_per_position(game: GameShape) -> int:
    """Return the size of one place of an actor's cache (`alphazero.network.cached_evaluator`)."""
    planes, height, width = game.observation_shape
    bits = 1 if all(scale == 1.0 for scale in game.plane_scale) else 8  # of a cell in the key
    words = -(-bits * planes * height * width // 64)
    used = 8 * words + 4 * game.num_actions + 8
    return used + -used % 64  # whole cache lines


def most_cached_positions(config: Config, hardware: Hardware, game: GameShape) -> int:
    """Return the answers that each actor may remember if all caches are to take a tenth of the memory.

    A power of two, as a cache has places.
    """
    share = hardware.memory.usable_mib * _MIB * _SHARE_FOR_CACHES
    most = int(share / config.selfplay.actors / cache_bytes_per_position(game))
    return 1 << most.bit_length() - 1 if most else 0


def network_bytes(network: NetworkConfig, game: GameShape) -> int:
    """Return the estimated size of the weights, float32."""
    planes, height, width = game.observation_shape
    if network.line_planes:
        planes += 2 * (len(_winning_lines(game)[0]) - 1)
    tower = 9 * (planes * network.filters + 2 * network.blocks * network.filters**2)
    if network.position_bias:
        tower += (2 * network.blocks + 1) * network.filters * height * width
    policy = (
        network.filters * network.policy_filters + network.policy_filters * height * width * game.num_actions
    )
    value = (
        network.filters * network.value_filters
        + network.value_filters * height * width * network.value_hidden
    )
    ownership = 3 * height * width * network.value_hidden if network.ownership_head else 0
    return 4 * (tower + policy + value + ownership)


def inference_bytes(config: Config, game: GameShape, batch_size: int) -> int:
    """Return the estimated device memory of one forward pass of `batch_size` rows."""
    planes, height, width = game.observation_shape
    network = config.last_playing_network
    row = 5 * planes * height * width + 6 * 4 * network.filters * height * width
    row += _line_planes_bytes(network, game)
    return batch_size * row + network_bytes(network, game)


def training_bytes(config: Config, game: GameShape, batch_size: int) -> int:
    """Return the estimated device memory of one training step on `batch_size` positions.

    Of the final network, if there is one: it is no smaller.
    """
    network = config.last_playing_network
    if config.training.final_minutes > 0:
        network = network.grown_to(config.final_network)
    return _training_bytes(network, game, batch_size)


def _training_bytes(network: NetworkConfig, game: GameShape, batch_size: int) -> int:
    planes, height, width = game.observation_shape
    kept = 6 * network.blocks + 4
    row = 5 * planes * height * width + kept * 4 * network.filters * height * width
    row += _line_planes_bytes(network, game)
    return batch_size * row + 4 * network_bytes(network, game)


def _line_planes_bytes(network: NetworkConfig, game: GameShape) -> int:
    """Return the estimated size of one row's line planes, and of the open lines that they are counted from."""
    if not network.line_planes:
        return 0
    _, height, width = game.observation_shape
    lines = _winning_lines(game)
    return 4 * 6 * (len(lines[0]) - 1) * (len(lines) + height * width)


def _winning_lines(game: GameShape) -> tuple[tuple[int, ...], ...]:
    """Return `alphazero.games.game.winning_lines(game)`, from a module below the games."""
    lines: tuple[tuple[int, ...], ...] = getattr(game, "winning_lines", ())
    return lines


def replay_bytes_per_position(config: Config, game: GameShape) -> int:
    """Return what one position takes in the replay buffer (`ReplayBuffer.bytes_per_position`)."""
    planes, height, width = game.observation_shape
    if config.ownership_is_taught:
        planes += 1
    return planes * height * width + 4 * game.max_legal_actions + 8


_Estimate = Callable[[Config, GameShape, int], int]  # bytes of so many rows


class _Fitting:
    """Carries the configuration through the steps of `fit_to_hardware`, and notes what each one changes."""

    def __init__(
        self,
        config: Config,
        hardware: Hardware,
        game: GameShape,
        fixed: frozenset[str],
        profiled: frozenset[str],
    ) -> None:
        self.config = config
        self.hardware = hardware
        self.game = game
        self.fixed = fixed
        self.profiled = profiled
        self.changed: list[str] = []
        self.adjustments: list[str] = []
        self.warnings: list[str] = []

    def choose_device(self) -> None:
        """Settle which GPU, or say that there is none; UserError if a GPU was asked for that is not there."""
        device, gpus = self.config.inference.device, self.hardware.gpus
        gpu = self.hardware.gpu_for(device)
        if gpu is None and device.startswith("cuda"):
            visible = ", ".join(f"cuda:{known.cuda_index}" for known in gpus)
            problem = (
                self.hardware.gpu_problem or self.hardware.problem_of(device) or f"there is only {visible}"
            )
            raise UserError(f"inference.device is '{device}', but {problem}; set it to auto or cpu")
        if gpu is None and device == "auto" and self.config.inference.placement == "server":
            self.warnings.append(f"the inference server runs on the CPU: {self.hardware.gpu_problem}")
        if gpu is not None and device == "auto" and len(gpus) > 1:
            reason = f"{gpu.device_name} has most free memory of {len(gpus)} GPUs"
            # Also where it was given: 'auto' asks for a choice.
            self._change("inference.device", f"cuda:{gpu.cuda_index}", reason)

    def fit_openings(self) -> None:
        """Leave a game of few moves some that are searched."""
        longest = self.game.max_game_length
        if self.config.selfplay.random_opening_moves > longest // 2:
            reason = f"games have at most {longest} moves, and half of them are to be searched"
            self._set("selfplay.random_opening_moves", longest // 2, reason)

    def fit_actors(self) -> None:
        cores = self.hardware.cpu.usable_cores
        actors = self.config.selfplay.actors
        if self.config.inference.placement == "local":
            chosen = "selfplay.actors" in self.fixed | self.profiled
            if actors > cores or (actors < cores and not chosen):
                reason = f"each actor evaluates by itself, so one for each usable core ({cores})"
                self._set("selfplay.actors", cores, reason)
            return
        kept_free = 2 if cores >= 6 else 1
        most = max(1, cores - kept_free)
        if actors > most:
            reason = f"usable cores: {cores}, {kept_free} of them for the inference server and the learner"
            self._set("selfplay.actors", most, reason)

    def fit_batches(self) -> None:
        """Fit the inference batch to the memory that is free, the training batch to all that the device has.

        What is learned must not depend on what else runs on the device: a learner that finds less memory takes fewer
        rows of a batch at once.
        """
        wanted = int(_get(self.config, "inference.batch_size"))
        all_of_it = self._device_budget(only_free=False)
        beside = self._most_rows(inference_bytes, wanted, all_of_it[0])
        if "inference.batch_size" in self.fixed:
            beside = wanted
        self._fit_batch(
            "inference.batch_size", inference_bytes, "activations", *self._device_budget(only_free=True)
        )
        left = all_of_it[0] - inference_bytes(self.config, self.game, beside)
        self._fit_batch(
            "training.batch_size", training_bytes, "activations and optimizer", left, all_of_it[1]
        )

    def _fit_batch(
        self, name: str, estimate: _Estimate, needs_room_for: str, budget: float, place: str
    ) -> None:
        wanted = int(_get(self.config, name))
        fitting = self._most_rows(estimate, wanted, budget)
        if fitting != wanted:
            needed = estimate(self.config, self.game, wanted) / _MIB
            self._set(
                name,
                fitting,
                f"{needs_room_for} for {wanted} rows need about {needed:,.0f} MiB, and {place} "
                f"leaves {max(0.0, budget / _MIB):,.0f} MiB for them",
            )

    def _most_rows(self, estimate: _Estimate, wanted: int, budget: float) -> int:
        """Return `wanted`, halved until `budget` bytes hold so many rows."""
        rows = wanted
        while rows > _SMALLEST_BATCH and estimate(self.config, self.game, rows) > budget:
            rows = max(_SMALLEST_BATCH, rows // 2)
        return rows

    def fit_training_to_cpu(self) -> None:
        """Without a GPU, large batches only make steps rare and long, and self-play is what takes the time."""
        if self.hardware.gpu_for(self.config.inference.device) is not None:
            return
        if self.config.training.batch_size > _CPU_TRAINING_BATCH:
            self._set("training.batch_size", _CPU_TRAINING_BATCH, "the learner runs on the CPU")
        least = _CPU_REPLAY_RATIO * _cost_of_a_position(self.config)
        if self.config.training.replay_ratio < least and "training.replay_ratio" not in self.fixed:
            reason = "self-play runs on the CPU: positions are dear, so each is trained on more often"
            self._set("training.replay_ratio", least, reason)

    def fit_final_network(self) -> None:
        """Leave out of a run of few steps what would outlast it."""
        training = self.config.training
        if training.max_steps and training.final_minutes and "training.final_minutes" not in self.fixed:
            self._set("training.final_minutes", 0.0, "training.max_steps cuts the run short")

    def fit_short_run(self) -> None:
        """Let a run that would end before the profile begins to train play no more than its steps need.

        Games begun together end together, so of many at once the first would take as long as all of them.
        Enough are those that yield the positions if each is half as long as any can be.
        """
        selfplay, training = self.config.selfplay, self.config.training
        steps, batch_size = training.max_steps, training.batch_size
        needed = max(batch_size, math.ceil(steps * batch_size / training.replay_ratio))
        if training.untrained_positions:  # one batch of them earns steps at a ratio of its own
            still_owed = max(0.0, steps - training.untrained_replay_ratio) * batch_size
            needed = batch_size + math.ceil(still_owed / training.replay_ratio)
        waits = {"training.min_positions", "training.untrained_positions"}
        first_step = max(training.min_positions, training.untrained_positions)
        if not steps or needed >= first_step or waits & self.fixed:
            return
        reason = f"{steps} steps need {needed:,} positions in all, the first one only a batch of them"
        for name in sorted(waits):
            if int(_get(self.config, name)) > batch_size:
                self._set(name, batch_size, reason)
        enough = math.ceil(2 * needed / self.game.max_game_length / selfplay.actors)
        games = selfplay.groups * math.ceil(enough / selfplay.groups)
        if games < selfplay.games_per_actor and "selfplay.games_per_actor" not in self.fixed:
            reason = (
                f"{selfplay.actors} x {games} games yield the {needed:,} positions of {steps} steps; more at "
                f"once would fill larger batches than {selfplay.actors * games} rows, but all end later"
            )
            self._set("selfplay.games_per_actor", games, reason)

    def fit_untrained(self) -> None:
        """Leave a run of few positions some that a trained network plays."""
        training = self.config.training
        most = training.positions // 2
        if training.untrained_positions > most:
            reason = f"at most half of the run's {training.positions:,} positions"
            self._set("training.untrained_positions", most, reason)

    def fit_games_per_actor(self) -> None:
        """Let one group of all actors' games fill a batch, while the other groups select."""
        selfplay, batch_size = self.config.selfplay, self.config.inference.batch_size
        settled = "selfplay.games_per_actor" in self.fixed.union(self.changed)
        if self.config.inference.placement == "local" or settled:
            return
        needed = selfplay.groups * math.ceil(batch_size / selfplay.actors)  # all groups have as many
        most = max(_MOST_GAMES_PER_ACTOR, selfplay.games_per_actor)
        games = min(needed, most - most % selfplay.groups)
        if games > selfplay.games_per_actor:
            reason = f"{selfplay.actors} x {games} games in {selfplay.groups} groups can fill a batch"
            if games < needed:
                reason = f"the most an actor is given; {needed} would fill a batch"
            self._set("selfplay.games_per_actor", games, reason)
        if games < needed:
            rows = selfplay.actors * games // selfplay.groups
            reason = f"{selfplay.actors} x {games} games in {selfplay.groups} groups fill no larger batch"
            self._set("inference.batch_size", rows, reason)
        elif games > selfplay.games_per_actor and "inference.batch_size" not in self.fixed:
            # A request is not divided: one that does not fit in waits for the next batch.
            request = games // selfplay.groups
            if batch_size % request > _MOST_LEFT_EMPTY * batch_size:
                reason = f"{selfplay.actors} actors ask for {request} rows each, which fill it without a rest"
                self._set("inference.batch_size", selfplay.actors * request, reason)

    def fit_replay(self) -> None:
        memory = self.hardware.memory.usable_mib
        each = replay_bytes_per_position(self.config, self.game)
        most = int(memory * _MIB * _SHARE_FOR_REPLAY / each)
        capacity = self.config.training.replay_capacity
        if capacity > most:
            reason = f"more positions of {each} bytes than a quarter of the {memory:,} MiB of memory holds"
            self._set("training.replay_capacity", max(most, self.config.training.batch_size), reason)

    def fit_cache(self) -> None:
        """Let the caches of all actors take a tenth of the memory."""
        most = most_cached_positions(self.config, self.hardware, self.game)
        if self.config.inference.cache_positions > most:
            each, memory = cache_bytes_per_position(self.game), self.hardware.memory.usable_mib
            reason = (
                f"the actors' caches of {each} bytes a position get a tenth of the {memory:,} MiB of memory"
            )
            self._set("inference.cache_positions", most, reason)

    def _device_budget(self, only_free: bool) -> tuple[float, str]:
        """Return the bytes that training and inference may share, and where: of the free memory or of all there is."""
        gpu = self.hardware.gpu_for(self.config.inference.device)
        if gpu is not None:
            memory = gpu.device_memory_free_mib if only_free else gpu.device_memory_total_mib
            if memory is None:
                return math.inf, gpu.device_name
            contexts = 2 * _CUDA_CONTEXT_MIB
            return (
                max(0.0, memory * _SHARE_OF_MEMORY - contexts) * _MIB,
                f"{gpu.device_name} ({memory:,} MiB{' free' if only_free else ''})",
            )
        host = self.hardware.memory
        memory = host.available_mib if only_free else host.usable_mib
        return (
            memory * _SHARE_OF_MEMORY * _MIB,
            f"the host's memory ({memory:,} MiB{' available' if only_free else ''})",
        )

    def _set(self, name: str, value: int | float | str, reason: str) -> None:
        """Change a field and say why; keep a fixed one and say what would fit."""
        old = _get(self.config, name)
        if name in self.fixed:
            self.warnings.append(f"{name} = {old} is kept as given, though {value} would fit: {reason}")
        else:
            self._change(name, value, reason)

    def _change(self, name: str, value: int | float | str, reason: str) -> None:
        old = _get(self.config, name)
        section, _, field = name.partition(".")
        changed_section = replace(getattr(self.config, section), **{field: value})
        self.config = replace(self.config, **{section: changed_section})
        self.changed.append(name)
        self.adjustments.append(f"{name} {old} -> {value}: {reason}")


def _cost_of_a_position(config: Config) -> float:
    """Return the simulations of self-play's average move, as a share of those of a full search (playout caps)."""
    full = config.selfplay.full_search_share
    fast = min(1.0, config.selfplay.fast_simulations / max(1, config.search.simulations))
    return full + (1.0 - full) * fast


def _get(config: Config, name: str) -> int | float | str:
    section, _, field = name.partition(".")
    value: int | float | str = getattr(getattr(config, section), field)
    return value
