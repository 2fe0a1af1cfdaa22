"""Finds the settings of self-play that are fastest on this machine: successive halving, stage by stage.

    places    placement, engine         each stage begins with the best found so far and with every
    batches   batch size, timeout       variation of it in these settings; the faster half goes on, with
    games     games an actor            windows twice as long, until one is left
    actors    actor processes

At the end the winner and the shipped settings are measured in turns, and the winner is kept only if it is at
least as fast. Network and search are never changed. A configuration that fails is left out, with its reason.

Source: Jamieson & Talwalkar, 'Non-stochastic best arm identification and hyperparameter optimization' (2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from alphazero.benchmark.session import START_ALLOWANCE_S, failure_reason
from alphazero.benchmark.statistics import Estimate, ratio_estimate
from alphazero.config import Config
from alphazero.config_layers import Layer, config_from_layer
from alphazero.config_validation import Value, flatten, validate
from alphazero.errors import RunError, UserError
from alphazero.games.registry import get_game
from alphazero.hardware.description import Hardware
from alphazero.hardware.fit import fit_to_hardware

TUNED = (
    "inference.placement",
    "inference.engine",
    "inference.batch_size",
    "inference.batch_timeout_ms",
    "selfplay.actors",
    "selfplay.games_per_actor",
    "selfplay.groups",
)
FEWEST_GAMES, MOST_GAMES = 8, 512  # an actor
TIMEOUTS_MS = (2.0, 5.0, 20.0)
TIE = 0.03  # of two so close in speed, the one with fewer games: new weights reach them sooner

Measure = Callable[[Config, float, int], float]  # (configuration, seconds, number of window) -> leaves/s


@dataclass(frozen=True)
class Effort:
    """How much is measured: seconds of the shortest window, of a final one, and final windows of each."""

    window_s: float = 1.5
    final_s: float = 4.0
    final_pairs: int = 6


@dataclass
class Trial:
    """One configuration that was measured, and what came out.

    Attributes:
        windows: (seconds, leaves/s) of each window.
        error: why it could not be measured; "" if it could.
    """

    stage: str
    config: Config
    windows: list[tuple[float, float]] = field(default_factory=list)
    error: str = ""

    @property
    def rate(self) -> float:
        """Leaves a second in the last window, which is the longest."""
        return self.windows[-1][1]

    @property
    def games(self) -> int:
        """Games in play at once."""
        return self.config.selfplay.actors * self.config.selfplay.games_per_actor


@dataclass(frozen=True)
class Tuning:
    """What the search led to.

    Attributes:
        shipped, chosen: configurations; equal if nothing faster was found.
        trials: all that was measured before the end.
        speed_up: the winner's speed over the shipped settings', measured in turns; None: they are the same.
        verdict: a sentence that says what was chosen, and why.
    """

    shipped: Config
    chosen: Config
    trials: list[Trial]
    speed_up: Estimate | None
    verdict: str


class Tuner:
    """One search.

    Args:
        shipped: the resolved configuration that is to be improved on.
        measure: runs self-play for so many seconds; may raise, whatever it likes.
        identity: settings that tell configurations apart; those without effect are left out of it.
        say: told of every window, a line of text.
    """

    def __init__(
        self,
        shipped: Config,
        hardware: Hardware,
        measure: Measure,
        identity: Callable[[Config], dict[str, Value]],
        effort: Effort,
        say: Callable[[str], None],
    ) -> None:
        self.shipped = shipped
        self.effort = effort
        self.trials: list[Trial] = []
        self._hardware = hardware
        self._measure = measure
        self._identity = identity
        self._say = say
        self._failed: list[dict[str, Value]] = []

    def run(self) -> Tuning:
        """Search; RunError if not even the best of the first stage could be measured."""
        best = self.shipped
        for stage in (self.places, self.batches, self.games, self.actors):
            best = self._halve(stage.__name__, self.variations(best, stage(best)))
        return self._final(best)

    def places(self, best: Config) -> list[Layer]:
        """Return where the network can run, and with which engine.

        Not among them: openvino, which compiles anew for new weights; a window with one change hides that.
        """
        from alphazero.network.winograd_engine import instruction_set  # imports torch

        on_cuda = self._hardware.gpu_for(best.inference.device) is not None
        groups = max(2, best.selfplay.groups)
        return [
            {"inference.placement": placement, "inference.engine": engine, "selfplay.groups": groups}
            for placement, engine in (
                ("server", "graphs" if on_cuda else "frozen"),
                ("server", "eager"),
                ("local", "frozen"),
                *([("local", "winograd")] if instruction_set(half=True) else []),
            )
        ]

    def batches(self, best: Config) -> list[Layer]:
        """Return batch sizes and timeouts of an inference server; nothing where there is none."""
        if best.inference.placement == "local":
            return []
        size, timeout = best.inference.batch_size, best.inference.batch_timeout_ms
        return [
            {"inference.batch_size": rows, "inference.batch_timeout_ms": wait}
            for rows in (max(8, size // 4), max(8, size // 2), size, 2 * size)
            for wait in sorted({timeout, *TIMEOUTS_MS})
        ]

    def games(self, best: Config) -> list[Layer]:
        """Return numbers of games an actor: powers of two around the present one."""
        games, groups = best.selfplay.games_per_actor, best.selfplay.groups
        powers = (2**power for power in range(FEWEST_GAMES.bit_length() - 1, MOST_GAMES.bit_length()))
        return [
            {"selfplay.games_per_actor": number}
            for number in powers
            if games / 4 <= number <= 4 * games and number >= groups
        ]

    def actors(self, best: Config) -> list[Layer]:
        """Return numbers of actors: all cores or fewer."""
        cores = self._hardware.cpu.usable_cores
        return [{"selfplay.actors": max(1, math.ceil(cores * share))} for share in (0.25, 0.5, 0.75, 1)]

    def variations(self, best: Config, changes: Iterable[Layer]) -> list[Config]:
        """Return `best` and its variations, fitted to the machine; of those that are the same in effect one."""
        found = [best]
        known = [self._identity(best), *self._failed]
        for change in changes:
            try:
                config = self._fitted(config_from_layer({**flatten(best), **change}))
            except UserError:
                continue  # settings that do not go together
            identity = self._identity(config)
            if identity not in known:
                known.append(identity)
                found.append(config)
        return found

    def _fitted(self, config: Config) -> Config:
        """Return what a profile with these settings comes to on this machine."""
        validate(config)
        game = get_game(config.run.game)
        fitted = fit_to_hardware(config, self._hardware, game, profiled=TUNED).config
        validate(fitted)
        return fitted

    def _halve(self, stage: str, configs: Sequence[Config]) -> Config:
        left = [Trial(stage, config) for config in configs]
        self.trials += left if len(left) > 1 else []
        seconds = self.effort.window_s
        while len(left) > 1:
            self._say(f"{stage}: {len(left)} configurations, {seconds:g} s each")
            for trial in left:
                self._window(trial, seconds)
            measured = [trial for trial in left if not trial.error]
            if not measured:
                raise RunError(f"no configuration could be measured; the last failed: {left[-1].error}")
            measured.sort(key=lambda trial: -trial.rate)
            if len(measured) <= 2:
                return _fastest(measured).config
            left = measured[: math.ceil(len(measured) / 2)]
            seconds *= 2
        return left[0].config

    def _window(self, trial: Trial, seconds: float) -> None:
        try:
            rate = self._measure(trial.config, seconds, len(trial.windows))
        except (KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:  # whatever a configuration does, the search goes on
            trial.error = failure_reason(error)
            self._failed.append(self._identity(trial.config))
            self._say(f"  {describe(trial.config):<58} failed: {trial.error}")
            return
        trial.windows.append((seconds, rate))
        self._say(f"  {describe(trial.config):<58} {rate:12,.0f} leaves/s")

    def _final(self, best: Config) -> Tuning:
        if self._identity(best) == self._identity(self.shipped):
            verdict = "nothing that was tried is faster than the shipped settings, so they stand"
            return Tuning(self.shipped, self.shipped, self.trials, None, verdict)
        self._say(
            f"head to head: {self.effort.final_pairs} windows of {self.effort.final_s:g} s each, in turns"
        )
        winner, shipped = Trial("final", best), Trial("final", self.shipped)
        for number in range(self.effort.final_pairs):
            for trial in (winner, shipped) if number % 2 else (shipped, winner):
                if not trial.error:
                    self._window(trial, self.effort.final_s)
        if shipped.error and not winner.error:
            verdict = f"the shipped settings cannot be measured here ({shipped.error}), and these can"
            return Tuning(self.shipped, best, self.trials, None, verdict)
        if winner.error:
            verdict = f"the best settings found failed in the end ({winner.error}), so the shipped ones stand"
            return Tuning(self.shipped, self.shipped, self.trials, None, verdict)
        speed_up = ratio_estimate(_rates(winner), _rates(shipped))
        measured = (
            f"{speed_up.value:.2f} times the speed of the shipped settings "
            f"(95 % interval {speed_up.low:.2f} to {speed_up.high:.2f})"
        )
        if speed_up.value < 1:
            verdict = f"the best settings found have {measured}, so the shipped ones stand"
            return Tuning(self.shipped, self.shipped, self.trials, speed_up, verdict)
        return Tuning(self.shipped, best, self.trials, speed_up, f"these settings have {measured}")


def longest_minutes(tuner: Tuner) -> float:
    """Return about how long the search can take, in minutes."""
    effort, seconds, best = tuner.effort, 0.0, tuner.shipped
    for stage in (tuner.places, tuner.batches, tuner.games, tuner.actors):
        left, window_s = len(tuner.variations(best, stage(best))), effort.window_s
        while left > 1:
            seconds += left * (START_ALLOWANCE_S + window_s)
            left, window_s = (1 if left <= 2 else math.ceil(left / 2)), 2 * window_s
    seconds += 2 * effort.final_pairs * (START_ALLOWANCE_S + effort.final_s)
    return seconds / 60


def describe(config: Config) -> str:
    """Return the tuned settings of `config` in a line, those without effect left out."""
    inference, selfplay = config.inference, config.selfplay
    words = f"{inference.placement} {inference.engine}, {selfplay.actors} actors x {selfplay.games_per_actor} games"
    if inference.placement == "local":
        return words
    return f"{words}, batch {inference.batch_size}, {inference.batch_timeout_ms:g} ms"


def _fastest(measured: Sequence[Trial]) -> Trial:
    """Return the fastest trial, or of those as good as equal to it the one with the fewest games in play."""
    equal = [trial for trial in measured if trial.rate >= (1 - TIE) * measured[0].rate]
    return min(equal, key=lambda trial: trial.games)


def _rates(trial: Trial) -> list[float]:
    return [rate for _, rate in trial.windows]
