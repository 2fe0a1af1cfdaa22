"""What is compared, read from files: the size of the comparison, and one overlay of settings a configuration.

    workflow/quality/plan.toml        how large, the margins, settings that all runs share (quick.toml: tiny)
    workflow/quality/variants/*.toml  a configuration each; reference.toml is what the others are compared with
    workflow/quality/planted/*.toml   configurations whose verdict is known: does the test find it?
    workflow/quality/learning/*.toml  options of self-play and learning, one each: what is each worth?

An overlay:

    order = 20                        its place in the table, and where its seeds begin; the reference is 0
    title = "Half precision"
    caption = "What changes, for a reader who does not know it."
    base = "reference"                what it is put over; "profile": the hardware profile as it is
    expected = "no worse"             of a planted one: "no worse" or "worse"
    [inference] ...                   settings, as in any TOML file of the suite
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alphazero.config import Config
from alphazero.config_layers import Layer, config_from_layer, layer_from_tables, read_toml, section_names
from alphazero.config_validation import flatten, validate
from alphazero.errors import UserError
from alphazero.quality.verdict import COMPARED_METRICS, NO_WORSE, WORSE
from alphazero.training.replay_ratio import planned_steps

REFERENCE = "reference"
PROFILE = "profile"
SEEDS_APART = 1000  # seeds of two configurations: no two runs share one
_REPLICATES_APART = 10**6  # and no two runs of comparisons that were asked for with another run.seed

_PLAN_KEYS = ("title", "runs", "minutes", "positions_per_set", "match_games", "margins")
_VARIANT_KEYS = ("order", "title", "caption", "base", "expected")
# Does nothing in training: self-play has one leaf a tree in flight, whatever these say.
_WITHOUT_EFFECT = ("search.leaves_per_tree", "search.virtual_loss")


@dataclass(frozen=True)
class Plan:
    """How large the comparison is.

    Attributes:
        title: for people.
        runs: trainings of each configuration, each with a seed of its own.
        minutes: no further round of trainings is begun that would end later; two rounds are always made.
        positions_per_set: solved positions of each set that every agent answers.
        match_games: games that each run of a configuration plays against each run of the reference.
        margins: by metric, how much worse is still no worse. Shares for errors, Elo for `elo_difference`.
        settings: put over the hardware profile in all runs.
    """

    title: str
    runs: int
    minutes: float
    positions_per_set: int
    match_games: int
    margins: Mapping[str, float]
    settings: Layer


@dataclass(frozen=True)
class Variant:
    """One configuration; `name` is its file's. For the other fields see the head of this module."""

    name: str
    order: int
    title: str
    caption: str
    base: str
    expected: str | None
    settings: Layer


def read_plan(path: Path) -> Plan:
    """Return the plan in a TOML file; UserError names the file and what is wrong in it."""
    table, settings = _read(path, _PLAN_KEYS)
    margins = table.get("margins")
    if not isinstance(margins, Mapping) or not margins:
        raise UserError(
            f"{path}: there is no table [margins]; give at least one, such as policy_error = 0.03"
        )
    for name, margin in margins.items():
        if name not in COMPARED_METRICS:
            raise UserError(
                f"{path} [margins]: {name} is not compared; margins are for {', '.join(COMPARED_METRICS)}"
            )
        if not isinstance(margin, int | float) or isinstance(margin, bool) or margin <= 0:
            raise UserError(f"{path} [margins]: {name} is {margin!r}, but must be a number above 0")
    return Plan(
        title=_text(table, "title", path),
        runs=_whole(table, "runs", 2, path),
        minutes=float(_whole(table, "minutes", 1, path)),
        positions_per_set=_whole(table, "positions_per_set", 2, path),
        match_games=_whole(table, "match_games", 2, path),
        margins={name: float(margin) for name, margin in margins.items()},
        settings=settings,
    )


def read_variants(folder: Path, *more: Path) -> list[Variant]:
    """Return the configurations in `folder` (and `more` folders), the reference first, then by their order.

    Raises UserError for a folder without a reference, two of one order or name, and whatever is wrong in a file.
    """
    paths = [path for each in (folder, *more) for path in sorted(each.glob("*.toml"))]
    variants = sorted((read_variant(path) for path in paths), key=lambda variant: variant.order)
    if not variants or variants[0].name != REFERENCE:
        raise UserError(
            f"{folder}: {REFERENCE}.toml, with which the others are compared, has to be there and to have the "
            "lowest order; restore it, or give another folder"
        )
    for field in ("order", "name"):
        values = [getattr(variant, field) for variant in variants]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise UserError(f"{folder}: two configurations have the {field} {twice}; give each its own")
    return variants


def read_variant(path: Path) -> Variant:
    """Return the configuration in a TOML file; UserError names the file and what is wrong in it."""
    table, settings = _read(path, _VARIANT_KEYS)
    base = table.get("base", REFERENCE)
    if base not in (REFERENCE, PROFILE):
        raise UserError(f"{path}: base is {base!r}; it must be {REFERENCE!r} or {PROFILE!r}")
    expected = table.get("expected")
    if expected not in (None, NO_WORSE, WORSE):
        raise UserError(f"{path}: expected is {expected!r}; it must be {NO_WORSE!r} or {WORSE!r}")
    return Variant(
        name=path.stem,
        order=_whole(table, "order", 0, path),
        title=_text(table, "title", path),
        caption=_text(table, "caption", path),
        base=str(base),
        expected=None if expected is None else str(expected),
        settings=settings,
    )


def configuration(variant: Variant, reference: Variant, plan: Plan, profile: Config, number: int) -> Config:
    """Return the configuration of run `number` (from 0) of `variant`.

    Runs that self-play and learn at the same time end by their steps, of which they do as many as a run in one
    process, where steps follow from positions.
    """
    values: Layer = {**flatten(profile), **plan.settings}
    if variant.base == REFERENCE:
        values |= reference.settings
    values |= variant.settings
    values["run.seed"] = _REPLICATES_APART * profile.run.seed + SEEDS_APART * variant.order + number
    values["training.max_minutes"] = 0.0
    config = config_from_layer(values)
    if not config.run.single_process:
        training = config.training
        # Far more positions than the steps call for: only the steps end the run.
        training = replace(training, max_steps=planned_steps(training), positions=10 * training.positions)
        config = replace(config, training=training)
    validate(config)
    return config


def same_training(
    variant: Variant, reference: Variant, plan: Plan, profile: Config, half_precision: bool = True
) -> bool:
    """Return whether nothing in `variant` has an effect on training, so that it needs no runs of its own.

    A planted configuration is always trained: to be the same is its point.

    half_precision: whether engines here compute in it where `inference.use_amp` lets them; not every CPU can.
    """
    if variant.expected is not None or variant is reference:
        return False
    without_effect = _WITHOUT_EFFECT if half_precision else (*_WITHOUT_EFFECT, "inference.use_amp")
    ours, theirs = (
        {
            name: value
            for name, value in flatten(configuration(each, reference, plan, profile, 0)).items()
            if name not in (*without_effect, "run.seed")
        }
        for each in (variant, reference)
    )
    return ours == theirs


def training_key(config: Config, source_hash: str) -> str:
    """Return 16 hex digits that name a training: the same settings and code give the same run."""
    text = json.dumps([flatten(config), source_hash], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(path: Path, metadata: Sequence[str]) -> tuple[dict[str, object], Layer]:
    """Return the keys of `metadata` in a TOML file, and the settings in it."""
    table = read_toml(path)
    known = (*metadata, *section_names())
    for key in table:
        if key not in known:
            raise UserError(f"{path}: unknown key {key!r} (known: {', '.join(known)})")
    sections = {name: table[name] for name in section_names() if name in table}
    return {name: table[name] for name in metadata if name in table}, layer_from_tables(sections, str(path))


def _text(table: Mapping[str, object], key: str, path: Path) -> str:
    text = table.get(key)
    if not isinstance(text, str) or not text:
        raise UserError(f"{path}: {key} is {text!r}, but must be a text for the reader; write one")
    return text


def _whole(table: Mapping[str, object], key: str, least: int, path: Path) -> int:
    number = table.get(key)
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise UserError(f"{path}: {key} is {number!r}, but must be a whole number of at least {least}")
    return number
