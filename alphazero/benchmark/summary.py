"""From raw windows to one row for each variant: medians, speed-ups with intervals, shares, what limits.

Speeds are compared in leaves/s, simulations that need an answer. The others end in a known result and cost
next to nothing; how many there are depends on the stages of the few games that a window of a slow row meets.
So simulations/s here is leaves/s times the simulations to a leaf over all windows, one number for all rows.

What could not be measured is an empty cell, and `status` and `reason` say why:

    measured    there are windows
    same        nothing to compare: here the phase changes nothing that would take effect
    failed      the measurement ended on an error, which is the reason
    missing     not measured (yet)
"""

from __future__ import annotations

import contextlib
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from alphazero.benchmark.limits import limiting_resource
from alphazero.benchmark.phases import BASELINE, JUDGED_BY
from alphazero.benchmark.statistics import Estimate, ratio_across_sessions, ratio_estimate
from alphazero.benchmark.variants import LADDER, WITHOUT
from alphazero.benchmark.window_log import CEILING, LEARNER, SELFPLAY

MEASURED, SAME, FAILED, MISSING = "measured", "same", "failed", "missing"

# Metrics of a row besides those of the learner, in the order of the table's columns.
SELFPLAY_METRICS = (
    "simulations_per_second",
    "evaluations_per_second",
    "fill_rate",
    "inference_batch_size",
    "inference_latency_ms",
    "inference_latency_p50_ms",
    "inference_latency_p99_ms",
    "cache_hit_rate",
    "gpu_utilization",
    "gpu_power_w",
    "gpu_memory_mib",
    "cpu_utilization",
    "memory_mib",
    "time_search",
    "time_tree",
    "time_rules",
    "time_encoding",
    "time_cache",
    "time_evaluation",
    "time_waiting",
    "time_paused",
    "time_other",
    "time_network",
    "time_copies",
    "time_collecting",
)
MOST_FOREIGN_CPU = 0.10  # share of the machine's cores that others may use before a warning
MOST_SPREAD = 0.25  # (highest - lowest) / median of a configuration's windows before a warning
MOST_SHARE = 1.05  # of the ceiling, before it was plainly measured at a worse moment than self-play
LEAVES = "leaves_per_second"
FULL_QUALITY = "full"  # name of the quality comparison's row that trains as the top of the ladder does
FEWEST_GAMES = 30  # finished games from which their mean length is taken

Row = dict[str, Any]
Windows = Mapping[str, Sequence[Row]]


def summarise(document: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each variant of `document` (see `measurement`), in its order.

    Columns: reading, phase, title, status, reason; the catalog's metrics as medians over windows;
    `speed_up` of simulations/s over the baseline and `gain` in `judged_by` over `against`, each with `_low`
    and `_high`, and of windows of several sessions each held against its own session's baseline; expected_low,
    expected_high, expected_source; share_of_ceiling, of the windows measured in the ceiling's session;
    limiting_resource; search_unchanged; quality_row (of `snakemake quality`: what tests this row's agents,
    FULL_QUALITY for the whole ladder); provenance, with the settings that have an effect, and when the row's windows
    were measured.
    """
    windows = _by_key(document["windows"])
    variants = {variant["name"]: variant for variant in document["variants"]}
    phases = {phase["name"]: phase for phase in document["phases"]}
    moves_a_game = mean_game_length(windows)
    origin = _origin(document)
    rows = []
    for variant in document["variants"]:
        phase = phases[variant["phase"]]
        row: Row = {"name": variant["name"], "reading": variant["reading"], "phase": variant["phase"]}
        row |= {"title": phase["title"], **_status(variant, variants, phase["judged_by"], windows)}
        row |= _metrics(variant, windows, moves_a_game, document["simulations"])
        row |= _comparison(variant, variants, phase, windows)
        row |= {"search_unchanged": variant["search_unchanged"]}
        row |= {"quality_row": _quality_row(variant, phase, document["phases"][-1])}
        rows.append(row | origin | _measured_at(variant, windows))
    return pd.DataFrame(rows)


def mean_game_length(windows: Windows) -> float | None:
    """Return positions / games over all windows, since all configurations play alike; None: too few games.

    Windows begin at all stages of play, so that the positions played in one belong to as many games as end
    in it. The stages are those of random games, where a search soon finds a win: games of self-play are longer, and an
    hour has fewer. Rows of one measurement have one length.
    """
    games = _total(windows, "games")
    return _total(windows, "positions") / games if games >= FEWEST_GAMES else None


def simulations_a_leaf(windows: Windows) -> float | None:
    """Return simulations / leaves over all windows; None if there is none."""
    leaves = _total(windows, "leaves")
    return _total(windows, "simulations") / leaves if leaves else None


def noise_warnings(document: Mapping[str, Any]) -> list[str]:
    """Return sentences that tell of a machine that was not quiet while it was measured."""
    windows = [row for row in document["windows"] if not row["error"]]
    cores = document["hardware"]["cpu"]["usable_cores"]
    warnings = []
    foreign = [
        row["foreign_cpu"] for row in windows if row["kind"] == SELFPLAY and row["foreign_cpu"] is not None
    ]
    if foreign and statistics.median(foreign) > MOST_FOREIGN_CPU * cores:
        warnings.append(
            "the machine was not quiet: other programs (or other machines on its host) kept "
            f"{statistics.median(foreign):.1f} of {cores} cores busy (median over the windows); close them and measure "
            "again"
        )
    if len(sessions_of(document)) > 1:
        warnings.append(
            f"windows come from {len(sessions_of(document))} sessions, between which the machine may have become "
            "faster or slower: speed-ups of self-play hold each against its own baseline, medians and those of the "
            "learner do not"
        )
    uneven = []
    for of_key in _by_key(windows).values():
        sides = _by_session([row for row in of_key if row["kind"] == SELFPLAY], LEAVES).values()
        if any((max(rates) - min(rates)) / statistics.median(rates) > MOST_SPREAD for rates in sides):
            uneven.append(of_key[0]["label"])
    if uneven:
        warnings.append(
            f"windows of {len(uneven)} configurations differ by more than {MOST_SPREAD:.0%} of their median "
            f"({', '.join(uneven[:4])}{', ...' if len(uneven) > 4 else ''}): read their intervals, "
            f"not their medians"
        )
    baseline = next((v["keys"][SELFPLAY] for v in document["variants"] if v["name"] == BASELINE), "")
    counts = [
        len(of_key)
        for key, of_key in _by_key([row for row in windows if row["kind"] == SELFPLAY]).items()
        if key != baseline  # measured again and again, beside all others
    ]
    if counts and max(counts) < 3:
        warnings.append("fewer than three windows a configuration: this shows that things work, not how fast")
    return warnings


def ceiling_warnings(rows: pd.DataFrame) -> list[str]:
    """Return a sentence if self-play was faster than what it is held against; `rows` are `summarise`'s."""
    above = rows.loc[pd.to_numeric(rows["share_of_ceiling"]) > MOST_SHARE, "name"]
    if above.empty:
        return []
    return [
        f"{len(above)} rows are above their ceiling ({', '.join(above[:3])}{', ...' if len(above) > 3 else ''}): "
        "the network alone was measured at a worse moment; measure again on a quiet machine"
    ]


def sessions_of(document: Mapping[str, Any]) -> set[str]:
    """Return the sessions in which self-play was measured."""
    return {_session(row) for row in document["windows"] if row["kind"] == SELFPLAY and not row["error"]}


def _by_key(rows: Sequence[Row]) -> dict[str, list[Row]]:
    windows: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        windows[row["key"]].append(row)
    return dict(windows)


def _status(variant: Row, variants: Mapping[str, Row], judged_by: str, windows: Windows) -> Row:
    rows = windows.get(variant["keys"][SELFPLAY], [])
    errors = [row["error"] for row in rows if row["error"]]
    measured = len(rows) - len(errors)
    if not measured:
        return {"status": FAILED if errors else MISSING, "reason": errors[-1] if errors else "", "windows": 0}
    against = variants.get(variant["against"])
    kind = _kind(judged_by)
    if variant["name"] != BASELINE and against and against["keys"][kind] == variant["keys"][kind]:
        return {"status": SAME, "reason": "changes nothing that takes effect here", "windows": measured}
    return {"status": MEASURED, "reason": "", "windows": measured}


def _metrics(variant: Row, windows: Windows, moves_a_game: float | None, simulations: int) -> Row:
    selfplay = windows.get(variant["keys"][SELFPLAY], [])
    row: Row = {name: _median(_values(selfplay, name)) for name in SELFPLAY_METRICS}
    leaves, to_a_leaf = _median(_values(selfplay, LEAVES)), simulations_a_leaf(windows)
    row[LEAVES] = leaves
    row[JUDGED_BY] = leaves * to_a_leaf if leaves is not None and to_a_leaf is not None else None
    learner = windows.get(variant["keys"][LEARNER], [])
    for name in ("training_steps_per_second", "batch_copy_ms"):
        row[name] = _median(_values(learner, name))
    row["engine"] = next((window["engine"] for window in selfplay if window["engine"]), "")
    row["games_per_hour"] = None
    if row[JUDGED_BY] is not None and moves_a_game is not None:
        row["games_per_hour"] = 3600 * row[JUDGED_BY] / (simulations * moves_a_game)
    power = row["gpu_power_w"]
    row["energy_per_game_j"] = (
        3600 * power / row["games_per_hour"] if power and row["games_per_hour"] else None
    )
    ceilings = [
        window
        for window in windows.get(variant["keys"][CEILING], [])
        if not window["error"] and _same_engine(window["engine"], row["engine"])
    ]
    row["ceiling_evaluations_per_second"] = row["share_of_ceiling"] = None
    if ceilings:
        row["engine"] = ceilings[-1]["engine"] or row["engine"]
        row["ceiling_evaluations_per_second"] = most = max(ceilings[-1]["metrics"].values())
        # On another day the machine may be a faster or slower one.
        that_day = [window for window in selfplay if _session(window) == _session(ceilings[-1])]
        then = _median(_values(that_day, "evaluations_per_second"))
        row["share_of_ceiling"] = None if then is None else then / most
    row["limiting_resource"] = limiting_resource(row) if row[JUDGED_BY] is not None else ""
    return row


def _same_engine(one: str, other: str) -> bool:
    """Return whether two names, with a precision behind them or without, are of one engine; "": not known."""
    return not one or not other or one.split()[0] == other.split()[0]


def _session(window: Row) -> str:
    """Return the session that a window is of; its block is SESSION-ROUND, for self-play with -NUMBER behind it."""
    parts = 2 if window["kind"] == SELFPLAY else 1
    return str(window["block"]).rsplit("-", parts)[0]


def _comparison(variant: Row, variants: Mapping[str, Row], phase: Row, windows: Windows) -> Row:
    """Return the speed-up over the baseline, and the gain over the variant that this one is to be held against."""
    expected = phase["expected"] or {}
    other = variants.get(variant["against"])
    judged_by = phase["judged_by"]
    if other is not None and _kind(judged_by) == SELFPLAY and (_remembers(variant) or _remembers(other)):
        judged_by = JUDGED_BY  # evaluations do not count what caches answer
    row: Row = {
        **_bounds("speed_up", None),
        **_bounds("gain", None),
        "judged_by": judged_by,
        "against": variant["against"],
        **{f"expected_{name}": expected.get(name) for name in ("low", "high", "source")},
    }
    if variant["name"] == BASELINE:
        return row | {"judged_by": "", "against": ""}
    metric = LEAVES if judged_by == JUDGED_BY else judged_by
    baseline = variants.get(BASELINE)
    key = baseline["keys"][SELFPLAY] if baseline else ""
    row |= _bounds("speed_up", _ratio(variant, baseline, LEAVES, windows, key))
    if variant["reading"] == WITHOUT:
        gain = _ratio(other, variant, metric, windows, key)
    else:
        gain = _ratio(variant, other, metric, windows, key)
    return row | _bounds("gain", gain)


def _remembers(variant: Row) -> bool:
    return bool(variant["settings"].get("inference.cache_positions"))


def _ratio(
    above: Row | None, below: Row | None, metric: str, windows: Windows, baseline: str
) -> Estimate | None:
    """Return how many times faster `above` is than `below`; None if either was not measured, or both are one.

    baseline: the key of its self-play, beside which windows of several sessions are compared. Where a session has
    none, nothing can be said of its day, and its windows count as they are.
    """
    kind = _kind(metric)
    if above is None or below is None or above["keys"][kind] == below["keys"][kind]:
        return None
    keys = [side["keys"][kind] for side in (above, below)]
    over, under = (_by_session(windows.get(key, []), metric) for key in keys)
    if not over or not under:
        return None
    if kind == SELFPLAY and (len(over) > 1 or over.keys() != under.keys()):
        against = None if keys[1] == baseline else under
        with contextlib.suppress(ValueError):
            return ratio_across_sessions(over, against, _by_session(windows.get(baseline, []), LEAVES))
    numerators, denominators = ([rate for rates in side.values() for rate in rates] for side in (over, under))
    return ratio_estimate(numerators, denominators)


def _by_session(windows: Sequence[Row], metric: str) -> dict[str, list[float]]:
    """Return the rates above 0 of these windows by session, in their order."""
    rates: dict[str, list[float]] = defaultdict(list)
    for window in windows:
        for rate in _values([window], metric):
            if rate > 0:
                rates[_session(window)].append(rate)
    return dict(rates)


def _kind(metric: str) -> str:
    return LEARNER if metric.startswith("training_") else SELFPLAY


def _bounds(name: str, estimate: Estimate | None) -> Row:
    """Return the columns of a ratio; one window on a side gives no interval."""
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    known = estimate.confidence > 0
    return {
        name: estimate.value,
        f"{name}_low": estimate.low if known else None,
        f"{name}_high": estimate.high if known else None,
    }


def _total(windows: Windows, metric: str) -> float:
    rows = [
        row for of_key in windows.values() for row in of_key if row["kind"] == SELFPLAY and not row["error"]
    ]
    return float(sum(row["metrics"].get(metric, 0.0) for row in rows))


def _values(rows: Sequence[Row], metric: str) -> list[float]:
    values = [row["metrics"].get(metric) for row in rows if not row["error"]]
    return [float(value) for value in values if value is not None and math.isfinite(value)]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _quality_row(variant: Row, phase: Row, last_phase: Row) -> str:
    """Return the row of `snakemake quality` that stands for `variant`; "" where none does."""
    if variant["reading"] == LADDER and phase["name"] == last_phase["name"]:
        return FULL_QUALITY
    return str(phase.get("quality") or "")


def _measured_at(variant: Row, windows: Windows) -> Row:
    """Return the settings of a row, and when its windows ended: earlier than the document where they were kept."""
    times = [window["time_utc"] for window in windows.get(variant["keys"][SELFPLAY], [])]
    return {
        "settings": json.dumps(variant["settings"], sort_keys=True),
        "first_window_utc": min(times, default=None),
        "last_window_utc": max(times, default=None),
    }


def _origin(document: Mapping[str, Any]) -> Row:
    provenance, hardware = document["provenance"], document["hardware"]
    libraries = provenance["libraries"]
    return {
        "machine": hardware["machine"],
        "hardware_profile": document["hardware_profile"],
        "device": document["device"],
        "driver_version": hardware.get("driver_version"),
        "torch_version": libraries.get("torch"),
        "libraries": ", ".join(f"{name} {version}" for name, version in libraries.items() if version),
        "python": provenance.get("python"),
        "platform": provenance.get("platform"),
        "commit": provenance["commit"],
        "dirty": provenance["dirty"],
        "source_hash": provenance["source_hash"],
        "seed": document["seed"],
        "simulations": document["simulations"],
        "game": document["game"],
        "time_utc": provenance["time_utc"],
    }
