"""Is a training healthy? What is looked at, the range in which it should lie, and what it means if it does not.

The ranges are wide on purpose: they are there to catch a training that has gone wrong, not to rank good ones.
docs/health.md is the table of them with their reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alphazero.metrics.catalog import find_metric, format_metric


@dataclass(frozen=True)
class HealthyRange:
    """Where a metric should lie.

    Attributes:
        metric: name in the catalog.
        low, high: ends of the healthy range; None: no end.
        too_low, too_high: what it means outside, and what to do about it.
        reason: why the range ends there.
    """

    metric: str
    low: float | None
    high: float | None
    too_low: str
    too_high: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """A metric as it was measured (None: it was not), and a sentence if it left its range."""

    metric: str
    value: float | None
    healthy: str
    warning: str | None


RANGES = (
    HealthyRange(
        "training_steps",
        1,
        None,
        "the run ended before the first training step; lower training.min_positions and training.untrained_positions, "
        "or raise training.max_minutes or training.positions",
        "",
        "a network that has never learned says nothing",
    ),
    HealthyRange(
        "policy_entropy",
        0.1,
        None,
        "the policy is all but certain of every move, so that self-play hardly explores; raise "
        "search.root_noise_fraction, search.temperature_moves or selfplay.random_opening_moves",
        "",
        "0.1 nats is a policy that gives 98 % to one of two moves, everywhere",
    ),
    HealthyRange(
        "policy_divergence",
        None,
        0.7,
        "",
        "the policy head is far from what the searches find; raise training.replay_ratio or the network's size, "
        "or see whether training.learning_rate is too high",
        "0.7 nats: the targets' moves are on average given half the probability that they have in the targets",
    ),
    HealthyRange(
        "value_explained_variance",
        0.05,
        0.98,
        "the value head says hardly more than a constant would; train longer, raise training.value_loss_weight, "
        "or check the value targets",
        "the value head knows nearly every outcome by heart: the positions may be too few or too alike; raise "
        "selfplay.random_opening_moves or lower training.replay_ratio",
        "0 is what a constant explains; outcomes of games with noise in them cannot be foreseen fully",
    ),
    HealthyRange(
        "value_calibration_error",
        None,
        0.15,
        "",
        "values are not what positions turn out to be worth: the head is too sure or has not caught up; lower "
        "training.replay_ratio or publish new weights less often",
        "0.15 is a win rate that is off by 7.5 percentage points, on average over all values",
    ),
    HealthyRange(
        "duplicate_share",
        None,
        0.7,
        "",
        "most positions in the replay buffer are repetitions: games are too alike; raise "
        "selfplay.random_opening_moves, search.root_noise_fraction or search.temperature_moves",
        "above 0.7 there are fewer than one new position in three; beginnings repeat in every run",
    ),
    HealthyRange(
        "staleness_share",
        None,
        0.15,
        "",
        "games are played with weights that are old for a run this long; lower training.publish_every_steps or "
        "selfplay.games_per_actor",
        "in a run that learns all along, weights a seventh of the run old are a clearly weaker player",
    ),
    HealthyRange(
        "steps_share",
        0.9,
        None,
        "the learner does not keep up with self-play, so the run trains less than training.replay_ratio says; "
        "lower training.replay_ratio or selfplay.actors, or give training.threads more cores",
        "",
        "self-play is paused when the learner is behind: a tenth missing means that the run ended in arrears",
    ),
    HealthyRange(
        "positions_per_game",
        2.0,
        None,
        "games end at once; look at the rules, at what the first weights play, or lower selfplay.random_opening_moves",
        "",
        "no game worth learning is decided by its first two moves, and random openings teach nothing",
    ),
    HealthyRange(
        "draw_rate",
        None,
        0.9,
        "",
        "nearly all games are drawn, so that values have little to learn from; raise "
        "selfplay.random_opening_moves or search.root_noise_fraction",
        "a game that is a draw under perfect play comes here when it is played well: then it is no fault",
    ),
    HealthyRange(
        "false_resignation_rate",
        None,
        0.05,
        "",
        "games are given up that are not decided, so that wrong outcomes are learned; raise selfplay.resign_value, or "
        "set it to 0",
        "AlphaGo Zero kept false resignations below 5 %",
    ),
    HealthyRange(
        "first_player_win_rate",
        0.02,
        0.98,
        "the second player wins nearly every game: one side is not learning; look at the values' point of view, or "
        "raise selfplay.random_opening_moves",
        "the first player wins nearly every game, so that values have little to learn from; raise "
        "selfplay.random_opening_moves",
        "a won game comes near the end of it when it is played perfectly: then it is no fault",
    ),
)


def read_health(measured: Mapping[str, float | None]) -> list[Reading]:
    """Return a reading for each range; `measured` holds values by metric, those that are missing count as None."""
    return [_reading(each, measured.get(each.metric)) for each in RANGES]


def _reading(healthy: HealthyRange, value: float | None) -> Reading:
    meaning = None
    if value is not None and healthy.low is not None and value < healthy.low:
        meaning = healthy.too_low
    elif value is not None and healthy.high is not None and value > healthy.high:
        meaning = healthy.too_high
    bounds = describe_range(healthy)
    warning = None
    if meaning is not None:
        label, written = find_metric(healthy.metric).label, format_metric(healthy.metric, value)
        warning = f"{label} is {written} (healthy: {bounds}): {meaning}"
    return Reading(healthy.metric, value, bounds, warning)


def describe_range(healthy: HealthyRange) -> str:
    """Return the range in words, such as 'at least 0.1'."""
    low, high = (
        None if bound is None else format_metric(healthy.metric, bound)
        for bound in (healthy.low, healthy.high)
    )
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if high is None else f"at most {high}"


def health_markdown() -> str:
    """Return the text of `docs/health.md`."""
    lines = [
        "# Training health",
        "",
        "Generated from `alphazero/metrics/health.py`, and kept equal to it by a test:",
        "`python -m alphazero.metrics.health > docs/health.md`. `alphazero train` shows these at the end of a run, and",
        "says in words what to do about those outside their range; the report's page has them, too. The metrics are",
        "defined in [metrics.md](metrics.md). Entropy, rates and lengths are means over the last third of self-play;",
        "the others are of its end. The ranges are judgements, not measurements: wide, to catch what has gone wrong.",
        "",
        "| Metric | Healthy | Why there |",
        "|---|---|---|",
    ]
    for healthy in RANGES:
        label = find_metric(healthy.metric).label
        lines.append(f"| {label} (`{healthy.metric}`) | {describe_range(healthy)} | {healthy.reason} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(health_markdown(), end="")
