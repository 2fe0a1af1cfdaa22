"""How self-play grows with actors and with games an actor, evaluated by a server or inside each actor.

Every cell of the table is a configuration of its own: short windows of all of them take turns, round after
round and every second round backwards, so that a drift of the machine favours none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from alphazero.benchmark.selfplay_speed import SelfPlaySpeed, measure_selfplay
from alphazero.benchmark.session import failure_reason
from alphazero.benchmark.statistics import Estimate, median_estimate
from alphazero.config import Config
from alphazero.errors import RunError, UserError

PLACEMENTS = ("local", "server")
WARM_UP_S = 1.0
START_ALLOWANCE_S = 5.5  # processes start and import; counted on, not measured

Measure = Callable[[Config, float, float], SelfPlaySpeed]


@dataclass(frozen=True)
class Cell:
    """One configuration of the table."""

    placement: str  # server | local
    actors: int
    games_per_actor: int

    def config(self, base: Config) -> Config:
        """Return `base` with this many actors and games.

        Beside a server there are two groups at least, so that an actor need not wait for it; a single game has no
        second group to take turns with.
        """
        groups = base.selfplay.groups if self.placement == "local" else max(2, base.selfplay.groups)
        groups = min(groups, self.games_per_actor)
        return replace(
            base,
            inference=replace(base.inference, placement=self.placement),
            selfplay=replace(
                base.selfplay, actors=self.actors, games_per_actor=self.games_per_actor, groups=groups
            ),
        )


@dataclass(frozen=True)
class CellSpeed:
    """What was measured of one cell: medians over the rounds, with intervals.

    Attributes:
        fill_rate: mean over the rounds, 0 to 1; None if no batch was evaluated.
        inference_latency_ms: mean over the rounds: of a leaf with a server, of a forward pass (what a leaf waits for)
            where each actor evaluates by itself; None if no batch was evaluated.
    """

    cell: Cell
    evaluations_per_second: Estimate
    simulations_per_second: Estimate
    fill_rate: float | None
    inference_latency_ms: float | None


def grid(placements: Sequence[str], actors: Sequence[int], games: Sequence[int]) -> list[Cell]:
    """Return all cells, in the order of the table."""
    return [Cell(placement, actor, game) for placement in placements for actor in actors for game in games]


def seconds_needed(cells: int, rounds: int, window_s: float) -> float:
    """Return how long `measure_scaling` will about take."""
    return cells * rounds * (START_ALLOWANCE_S + WARM_UP_S + window_s)


def measure_scaling(
    config: Config,
    cells: Sequence[Cell],
    rounds: int,
    window_s: float,
    progress: Callable[[str], None] = lambda text: None,
    measure: Measure = lambda config, seconds, warm_up: measure_selfplay(config, seconds, warm_up, False),
) -> list[CellSpeed]:
    """Return the speed of every cell, in the order given.

    Args:
        config: everything but placement, actors and games.
        rounds: windows of each cell.
        window_s: seconds of each.
        measure: measures one configuration; for tests.

    A cell that cannot be measured is left out, and `progress` is told why. RunError if none can be.
    """
    measured: dict[Cell, list[SelfPlaySpeed]] = {cell: [] for cell in cells}
    reason = ""
    for index in range(rounds):
        for place, cell in enumerate(cells if index % 2 == 0 else list(reversed(cells))):
            if cell not in measured:
                continue
            name = f"{cell.placement}, {cell.actors} x {cell.games_per_actor} games"
            progress(f"round {index + 1} of {rounds}, {place + 1} of {len(cells)}: {name}")
            try:
                measured[cell].append(measure(cell.config(config), window_s, WARM_UP_S))
            except (UserError, RunError) as error:
                reason = failure_reason(error)
                progress(f"left out: {name}: {reason}")
                del measured[cell]
    if not measured:
        raise RunError(f"no configuration could be measured; the last: {reason}")
    return [_cell_speed(cell, speeds) for cell, speeds in measured.items()]


def _cell_speed(cell: Cell, speeds: Sequence[SelfPlaySpeed]) -> CellSpeed:
    def values(name: str) -> list[float]:
        return [speed.metrics[name] for speed in speeds if name in speed.metrics]

    def mean(name: str) -> float | None:
        found = values(name)
        return sum(found) / len(found) if found else None

    return CellSpeed(
        cell,
        median_estimate(values("evaluations_per_second")),
        median_estimate(values("simulations_per_second")),
        mean("fill_rate"),
        mean("inference_latency_ms"),
    )
