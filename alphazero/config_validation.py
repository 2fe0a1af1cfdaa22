"""What each setting may be: one rule a field, and the few that hold between fields.

`check_value` is asked where a value enters (a TOML file, the command line), so that the message can name
the place; `validate` is asked once more for the merged result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from alphazero.config import Config
from alphazero.errors import UserError

Value = bool | int | float | str

MOST_SEED = 2**63 - 1  # what torch and TOML take


@dataclass(frozen=True)
class Rule:
    """`accepts(value)` says whether a value of the right type is possible; `allowed` says it in words."""

    allowed: str
    accepts: Callable[[Value], bool]


def validate(config: Config, sources: Mapping[str, str] | None = None) -> None:
    """Raise UserError at the first impossible value, or pair of values, in `config`.

    `sources` tells where a field's value came from, by dotted name, for the message.
    """
    values = flatten(config)
    sources = sources or {}
    for name, value in values.items():
        check_value(name, value, sources.get(name, "the configuration"))
    _check_pairs(config)


def check_value(name: str, value: Value, source: str) -> None:
    """Raise UserError unless `value`, of the right type, is possible for the field `name`."""
    rule = RULES[name]
    if not rule.accepts(value):
        raise UserError(f"{source}: {name} is {value!r}, but must be {rule.allowed}; correct it there")


def require_learning(config: Config) -> None:
    """Raise UserError if the run would end before it learns anything; to be asked of what is run.

    Where there are minutes (`training.max_minutes`), a fifth of them ends play without a network, which may be before
    its positions are there: such runs are taken. The hardware profiles play more positions without a network than a
    short run has in all: `fit_to_hardware` leaves it some.
    """
    training = config.training
    if training.untrained_positions >= training.positions and not training.max_minutes:
        raise UserError(
            f"training.untrained_positions ({training.untrained_positions}) is no less than training.positions "
            f"({training.positions}): the run would end before it learns; lower the first or raise the second"
        )


def fill_warnings(config: Config) -> list[str]:
    """Return sentences if games cannot be shared by the groups, or batches of the inference server never be full."""
    if config.inference.placement != "server" or config.run.single_process:
        return []
    games, groups = config.selfplay.games_per_actor, config.selfplay.groups
    if games % groups:
        played = games - games % groups
        uneven = f"selfplay.games_per_actor = {games} in {groups} groups: {played} are played, so that all have as many"
        return [
            uneven,
            *fill_warnings(replace(config, selfplay=replace(config.selfplay, games_per_actor=played))),
        ]
    in_flight = config.selfplay.actors * config.selfplay.games_per_actor
    batch_size = config.inference.batch_size
    if in_flight >= batch_size:
        return []
    needed = math.ceil(batch_size / config.selfplay.actors)
    return [
        f"inference batches of {batch_size} can never be full: {config.selfplay.actors} actors with "
        f"{config.selfplay.games_per_actor} games each have {in_flight} leaves in flight; raise "
        f"selfplay.games_per_actor to at least {needed}, or lower inference.batch_size"
    ]


def search_warnings(config: Config) -> list[str]:
    """Return a sentence if several leaves a tree are asked for, which training and scoring do not do."""
    if config.search.leaves_per_tree == 1:
        return []
    return [
        f"search.leaves_per_tree = {config.search.leaves_per_tree} is for analysing a few positions; "
        "self-play and evaluation go on with one leaf a tree, since more change the search, and fill their "
        "batches from many games: set it to 1, and raise selfplay.games_per_actor for larger batches"
    ]


def flatten(config: Config) -> dict[str, Value]:
    """Return every setting by its dotted name, `hardware_profile` first, in the order of `Config`."""
    values: dict[str, Value] = {}
    for section, content in vars(config).items():
        if isinstance(content, str):
            values[section] = content
        else:
            values.update({f"{section}.{name}": value for name, value in vars(content).items()})
    return values


def _check_pairs(config: Config) -> None:
    selfplay, training, inference = config.selfplay, config.training, config.inference
    if selfplay.games_per_actor < selfplay.groups:
        raise UserError(
            f"selfplay.games_per_actor is {selfplay.games_per_actor}, fewer than selfplay.groups "
            f"({selfplay.groups}): each group needs a game; raise the first or set selfplay.groups=1"
        )
    if config.search.root_search == "gumbel" and config.search.forced_playouts:
        raise UserError(
            f"search.forced_playouts is {config.search.forced_playouts}, but with search.root_search = 'gumbel' quotas "
            "say what the root visits; set search.forced_playouts=0 or search.root_search='puct'"
        )
    if training.batch_size > training.replay_capacity:
        raise UserError(
            f"training.batch_size ({training.batch_size}) is larger than training.replay_capacity "
            f"({training.replay_capacity}); lower the first or raise the second"
        )
    if training.min_positions > training.positions:
        raise UserError(
            f"training.min_positions ({training.min_positions}) is larger than training.positions "
            f"({training.positions}): no step would ever be made; lower the first or raise the second"
        )
    if training.min_positions > training.replay_capacity:
        raise UserError(
            f"training.min_positions ({training.min_positions}) is larger than training.replay_capacity "
            f"({training.replay_capacity}): the first positions would be overwritten before a step learned from them; "
            "lower the first or raise the second"
        )
    if inference.engine == "graphs" and inference.device == "cpu":
        raise UserError(
            "inference.engine 'graphs' needs a CUDA device, but inference.device is 'cpu'; "
            "set inference.engine to auto, eager or frozen, or choose another device"
        )
    if config.run.single_process and training.max_minutes:
        raise UserError(
            f"training.max_minutes is {training.max_minutes}, but a run with run.single_process repeats bit for "
            "bit and so cannot end by the clock; set training.max_minutes=0, and training.positions or "
            "training.max_steps to how far it is to go"
        )
    if config.run.single_process and training.grow_after:
        raise UserError(
            f"training.grow_after is {training.grow_after}, but a run with run.single_process keeps its network; set "
            "training.grow_after=0"
        )
    if inference.simulated and inference.placement != "server":
        raise UserError(
            f"inference.engine {inference.engine!r} stands for one device that all actors share; "
            "set inference.placement = 'server'"
        )


def _at_least(smallest: float) -> Rule:
    return Rule(f"at least {smallest}", lambda value: smallest <= _number(value) < math.inf)


def _more_than(bound: float) -> Rule:
    return Rule(f"more than {bound}", lambda value: bound < _number(value) < math.inf)


def _between(smallest: float, largest: float) -> Rule:
    return Rule(f"between {smallest} and {largest}", lambda value: smallest <= _number(value) <= largest)


def _one_of(*choices: str) -> Rule:
    return Rule(f"one of {', '.join(choices)}", lambda value: value in choices)


def _matching(pattern: str, allowed: str) -> Rule:
    return Rule(allowed, lambda value: re.fullmatch(pattern, str(value)) is not None)


def _number(value: Value) -> float:
    return cast(float, value)  # its type was checked; float() would fail on a whole number beyond 1e308


_ANY_BOOL = Rule("true or false", lambda value: isinstance(value, bool))
_NON_EMPTY = Rule("a name", lambda value: bool(value))

_NETWORK_RULES = {
    "blocks": _between(1, 1000),
    "filters": _between(1, 8192),
    "policy_filters": _between(1, 8192),
    "value_filters": _between(1, 8192),
    "value_hidden": _between(1, 65536),
    "position_bias": _ANY_BOOL,
    "line_planes": _ANY_BOOL,
    "ownership_head": _ANY_BOOL,
}

# One rule for every field; a test holds this table against the dataclasses. Upper bounds catch slips of the
# keyboard before they start a thousand processes or overflow a 32-bit count.
RULES: dict[str, Rule] = {
    "hardware_profile": _NON_EMPTY,
    **{
        f"{network}.{name}": rule
        for network in ("network", "grown_network", "final_network")
        for name, rule in _NETWORK_RULES.items()
    },
    "search.simulations": _between(1, 1_000_000),
    "search.mcts_backend": _one_of("auto", "cython", "cpp", "python"),
    "search.native_rules": _ANY_BOOL,
    "search.c_puct_init": _at_least(0),
    "search.c_puct_base": _more_than(0),
    "search.first_play_urgency": _one_of("constant", "parent"),
    "search.first_play_value": _between(-2, 2),
    "search.leaves_per_tree": _between(1, 1024),
    "search.virtual_loss": _between(1, 1000),
    "search.solver": _ANY_BOOL,
    "search.tree_reuse": _ANY_BOOL,
    "search.root_noise_fraction": _between(0, 1),
    "search.root_noise_alpha": _at_least(0),
    "search.forced_playouts": _between(0, 100),
    "search.root_search": _one_of("puct", "gumbel"),
    "search.gumbel_considered": _between(1, 65536),
    "search.gumbel_c_visit": _between(0, 1e6),
    "search.gumbel_c_scale": _between(0, 1e6),
    "search.temperature": _more_than(0),
    "search.temperature_moves": _at_least(-1),
    "inference.placement": _one_of("server", "local"),
    "inference.transport": _one_of("shared_memory", "queue"),
    "inference.device": _matching(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:N"),
    "inference.engine": _matching(
        r"auto|eager|frozen|winograd|openvino|graphs|compiled|simulated:([a-z0-9_]+|.+\.toml)",
        "one of auto, eager, frozen, winograd, openvino, graphs, compiled, simulated:NAME, simulated:FILE.toml",
    ),
    "inference.batch_size": _between(1, 1_000_000),
    "inference.batch_timeout_ms": _more_than(0),
    "inference.collection": _one_of("drain", "plan", "adaptive"),
    "inference.min_fill": _between(0, 1),
    "inference.use_amp": _ANY_BOOL,
    "inference.pinned_memory": _ANY_BOOL,
    "inference.threads": _between(1, 1024),
    "inference.cache_positions": _at_least(0),
    "selfplay.actors": _between(1, 1024),
    "selfplay.games_per_actor": _between(1, 65536),
    "selfplay.groups": _between(1, 64),
    "selfplay.full_search_share": _between(0.01, 1),
    "selfplay.fast_simulations": _between(1, 1_000_000),
    "selfplay.fast_early_stop": _ANY_BOOL,
    "selfplay.side_position_visits": _between(0, 1_000_000),
    "selfplay.policy_surprise_share": _between(0, 1),
    "selfplay.random_opening_moves": _at_least(0),
    "selfplay.opening_evenness": _between(0, 0.99),
    "selfplay.archive_start_share": _between(0, 1),
    "selfplay.resign_value": _between(0, 1),
    "selfplay.resign_share": _between(0, 1),
    "selfplay.max_restarts": _at_least(0),
    "training.batch_size": _between(1, 1_000_000),
    "training.learning_rate": _more_than(0),
    "training.warmup_steps": _at_least(0),
    "training.final_learning_rate_fraction": _between(0, 1),
    "training.optimizer": _one_of("adamw", "sgd"),
    "training.weight_decay": _at_least(0),
    "training.gradient_clip": _more_than(0),
    "training.value_loss_weight": _at_least(0),
    "training.ownership_loss_weight": _at_least(0),
    "training.weight_average_decay": _between(0, 0.9999),
    "training.root_value_share": _between(0, 1),
    "training.td_lambda": _between(0, 1),
    "training.side_position_weight": _between(0.01, 1),
    "training.late_position_weight": _between(0.01, 1),
    "training.symmetries": _ANY_BOOL,
    "training.use_amp": _ANY_BOOL,
    "training.pinned_memory": _ANY_BOOL,
    "training.threads": _between(1, 1024),
    "training.replay_capacity": _at_least(1),
    "training.replay_window": _at_least(0),
    "training.replay_ratio": _more_than(0),
    "training.min_positions": _at_least(1),
    "training.untrained_positions": _at_least(0),
    "training.untrained_replay_ratio": _at_least(0),
    "training.positions": _at_least(1),
    "training.max_minutes": _at_least(0),
    "training.max_steps": _at_least(0),
    "training.grow_after": _between(0, 0.99),
    "training.final_minutes": _at_least(0),
    "training.publish_every_steps": _at_least(1),
    "training.checkpoint_every_minutes": _more_than(0),
    "training.keep_checkpoints": _at_least(1),
    "evaluation.simulations": _between(1, 1_000_000),
    "evaluation.positions_per_set": _between(1, 1000),
    "evaluation.match_games": _at_least(1),
    "evaluation.pure_mcts_simulations": _between(1, 1_000_000),
    "evaluation.opening_moves": _at_least(0),
    "evaluation.curve_points": _at_least(0),
    "evaluation.curve_positions_per_set": _between(1, 1000),
    "run.game": _NON_EMPTY,
    "run.seed": _between(0, MOST_SEED),
    "run.single_process": _ANY_BOOL,
    "run.log_every_seconds": _more_than(0),
}
