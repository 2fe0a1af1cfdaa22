"""The phases of the benchmark, read from `workflow/phases/*.toml`: adding a phase is adding a file.

A phase is an overlay of settings with words about it:

    order = 10                        place on the ladder; the baseline is 0
    title = "Batching"
    caption = "What changes, for a reader who does not know it."
    judged_by = "evaluations_per_second"           metric of the catalog; simulations_per_second if absent
    quality = "half_precision"                     row of `snakemake quality` that tests what the search sees
    from_profile = ["inference.batch_size"]        fields that take the hardware profile's value
    fill_batch = true                              games_per_actor grows until a batch can be full
    [expected]  low = 3.0, high = 4.0, source = "the plan"
    [inference] ...                                settings, as in any TOML file of the suite
    [on_cpu.inference] ...                         settings where there is no CUDA device
    [as_planned] ...                  the same keys for the ladder that follows the plan to the letter

Every row is to have the same network and the same search effort, so a phase may not set those; of the network the
baseline may, for all rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alphazero.config_layers import Layer, field_types, layer_from_tables, read_toml, section_names
from alphazero.errors import UserError, did_you_mean
from alphazero.metrics.catalog import find_metric

BASELINE = "baseline"
JUDGED_BY = "simulations_per_second"

_OVERLAY_KEYS = ("from_profile", "fill_batch", "on_cpu")
_METADATA_KEYS = ("order", "title", "caption", "judged_by", "quality", "expected", "as_planned")
_EXPECTED_KEYS = ("low", "high", "source")
# What must be equal in all rows, or has no part in a measurement.
_REFUSED = {
    "network": "every row has the same network",
    "search.simulations": "every row has the same number of simulations",
    "evaluation": "no agent is scored here",
    "run": "game and seed are the same for all rows",
    "hardware_profile": "all rows have the same",
}


@dataclass(frozen=True)
class Expected:
    """The speed-up that somebody promised: between `low` and `high`, by `source`."""

    low: float
    high: float
    source: str


@dataclass(frozen=True)
class Overlay:
    """Settings that a phase puts over what stood before.

    Attributes:
        settings: values by dotted name; `on_cpu` holds those that count where there is no CUDA device.
        from_profile: dotted names of fields that take the hardware profile's value.
        fill_batch: from here on an actor plays at least so many games that a batch can be full.
    """

    settings: Layer = field(default_factory=dict)
    on_cpu: Layer = field(default_factory=dict)
    from_profile: tuple[str, ...] = ()
    fill_batch: bool = False


@dataclass(frozen=True)
class Phase:
    """One phase; `name` is its file's, `as_planned` its overlay on the plan's own ladder, if it is on it.

    `quality` names the file in workflow/quality/variants that trains with what it changes; "" where the search
    sees the same numbers, of the same age.
    """

    name: str
    order: int
    title: str
    caption: str
    judged_by: str
    overlay: Overlay
    expected: Expected | None
    as_planned: Overlay | None
    quality: str = ""


def read_phases(folder: Path) -> list[Phase]:
    """Return the phases in `folder`, the baseline first, then by their order.

    Raises UserError, in one line, for a folder without a baseline, two phases of one order, and whatever is
    wrong in a file.
    """
    paths = sorted(folder.glob("*.toml")) if folder.is_dir() else []
    phases = sorted((read_phase(path) for path in paths), key=lambda phase: phase.order)
    if BASELINE not in [phase.name for phase in phases]:
        raise UserError(
            f"{folder}: there is no {BASELINE}.toml, which every speed-up is measured against; restore it, "
            "or give the folder of the phases with --phases"
        )
    for one, other in itertools.pairwise(phases):
        if one.order == other.order:
            raise UserError(
                f"{folder}: {one.name}.toml and {other.name}.toml both have order {one.order}; "
                "give each phase a place of its own"
            )
    if phases[0].name != BASELINE:
        raise UserError(
            f"{folder}: {phases[0].name}.toml has order {phases[0].order}, before {BASELINE}.toml; "
            "the baseline comes first"
        )
    return phases


def read_phase(path: Path) -> Phase:
    """Return the phase in the TOML file `path`; UserError names the file and what is wrong in it."""
    table = read_toml(path)
    overlay = _overlay(table, _METADATA_KEYS, str(path), may_set="network" if path.stem == BASELINE else "")
    planned = table.get("as_planned")
    if planned is not None and not isinstance(planned, Mapping):
        raise UserError(f"{path}: 'as_planned' must be a table with the settings of a phase")
    judged_by = _text(table, "judged_by", str(path), JUDGED_BY)
    try:
        find_metric(judged_by)
    except UserError as error:
        raise UserError(f"{path}: judged_by: {error}") from error
    return Phase(
        name=path.stem,
        order=_order(table, str(path)),
        title=_text(table, "title", str(path)),
        caption=_text(table, "caption", str(path)),
        judged_by=judged_by,
        overlay=overlay,
        expected=_expected(table.get("expected"), str(path)),
        as_planned=None if planned is None else _overlay(planned, (), f"{path} [as_planned]"),
        quality=_text(table, "quality", str(path)) if "quality" in table else "",
    )


def _overlay(table: Mapping[str, object], metadata: Iterable[str], source: str, may_set: str = "") -> Overlay:
    known = [*metadata, *_OVERLAY_KEYS, *section_names()]
    for key in table:
        if key not in known:
            raise UserError(
                f"{source}: unknown key {key!r}{did_you_mean(key, known, cutoff=0.5)} (known: {', '.join(known)})"
            )
    fill_batch = table.get("fill_batch", False)
    if not isinstance(fill_batch, bool):
        raise UserError(f"{source}: fill_batch is {fill_batch!r}, but must be true or false")
    on_cpu = table.get("on_cpu", {})
    if not isinstance(on_cpu, Mapping):
        raise UserError(f"{source}: 'on_cpu' must be a table of settings, such as [on_cpu.inference]")
    overlay = Overlay(
        settings=layer_from_tables({name: table[name] for name in section_names() if name in table}, source),
        on_cpu=layer_from_tables(on_cpu, f"{source} [on_cpu]"),
        from_profile=_field_names(table.get("from_profile", []), source),
        fill_batch=fill_batch,
    )
    for name in (*overlay.settings, *overlay.on_cpu, *overlay.from_profile):
        section = name.partition(".")[0]
        reason = _REFUSED.get(name) or _REFUSED.get(section)
        if reason and section != may_set:
            raise UserError(f"{source}: a phase may not set {name}: {reason}; remove it")
    return overlay


def _field_names(names: object, source: str) -> tuple[str, ...]:
    if not isinstance(names, list):
        raise UserError(f"{source}: from_profile is {names!r}, but must be a list of section.field names")
    for name in names:
        if name not in field_types():
            raise UserError(
                f"{source}: from_profile: unknown setting {name!r}{did_you_mean(str(name), field_types(), cutoff=0.5)}"
            )
    return tuple(names)


def _expected(table: object, source: str) -> Expected | None:
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise UserError(f"{source}: 'expected' must be a table with {', '.join(_EXPECTED_KEYS)}")
    for key in table:
        if key not in _EXPECTED_KEYS:
            hint = did_you_mean(key, _EXPECTED_KEYS, cutoff=0.5)
            raise UserError(f"{source}: unknown key {key!r} in [expected]{hint}")
    bounds = [table.get(key) for key in ("low", "high")]
    low, high = (
        float(bound) if isinstance(bound, int | float) and not isinstance(bound, bool) else math.nan
        for bound in bounds
    )
    if not 0 < low <= high < math.inf:
        raise UserError(
            f"{source}: [expected] has low = {bounds[0]!r} and high = {bounds[1]!r}, but two factors above 0 "
            "are needed, the lower one first"
        )
    return Expected(low, high, _text(table, "source", f"{source} [expected]"))


def _order(table: Mapping[str, object], source: str) -> int:
    order = table.get("order")
    if not isinstance(order, int) or isinstance(order, bool) or order < 0:
        raise UserError(
            f"{source}: order is {order!r}, but must be a whole number from 0, the place on the ladder"
        )
    return order


def _text(table: Mapping[str, object], key: str, source: str, default: str | None = None) -> str:
    text = table.get(key, default)
    if not isinstance(text, str) or not text:
        raise UserError(f"{source}: {key} is {text!r}, but must be a text for the reader; write one")
    return text
