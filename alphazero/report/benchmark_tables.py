"""The benchmark's tables, from the rows of `benchmark.summary`; reads nothing else."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from alphazero.metrics.catalog import find_metric, format_metric
from alphazero.report.quality_receipt import Receipts
from alphazero.report.tables import Table

# Metrics of the ladder's table, left to right.
SHOWN = (
    "simulations_per_second",
    "games_per_hour",
    "training_steps_per_second",
    "batch_copy_ms",
    "share_of_ceiling",
    "fill_rate",
    "inference_latency_ms",
    "inference_latency_p50_ms",
    "inference_latency_p99_ms",
    "gpu_utilization",
    "energy_per_game_j",
)
NOT_MEASURED = "-"

Cell = tuple[str, str, str]  # text, small print below it, address that it leads to


def reading(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of one reading, the baseline's first where they build on it."""
    kept = rows["reading"].isin([name, "baseline"]) if name in ("ladder", "plan") else rows["reading"] == name
    return rows[kept]


def ladder_table(rows: pd.DataFrame, name: str, caption: str, receipts: Receipts | None = None) -> Table:
    """Return the ladder called `name` (ladder or plan): what each rung gave beside what was expected.

    What proves and what limits stands before the metrics, where no reader has to scroll for it. With `receipts`
    each rung that changes what the search sees shows, and links to, how its agents compare; the last rung those
    of the full configuration.
    """
    chosen = reading(rows, name)
    cells: list[list[Cell]] = []
    for _, row in chosen.iterrows():
        of_row = [
            (_factor(row, "speed_up"), _interval(row, "speed_up"), ""),
            (_gain(row), _interval(row, "gain"), ""),
            (_expected(row), _text(row["expected_source"]), ""),
            (_yes_no(row["search_unchanged"]), "", ""),
            _quality(row["quality_row"] if name == "ladder" else "", receipts),
            (_limit(row), "", ""),
            *((_metric(name, row[name]), "", "") for name in SHOWN if name in chosen),
        ]
        cells.append(of_row)
    columns = [
        "speed-up",
        "this phase",
        "expected",
        "search unchanged",
        "quality",
        "what limits",
        *(find_metric(name).label for name in SHOWN if name in chosen),
    ]
    index = pd.Index(chosen["title"], name="phase")
    texts, intervals, links = _layers(cells, index, columns)
    measured = [column for column in columns if (texts[column] != NOT_MEASURED).any()]
    return Table(
        name=name,
        caption=caption,
        shown=texts[measured],
        intervals=intervals[measured],
        numbers=chosen.set_index("name"),
        links=links[measured],
    )


def _layers(
    cells: Sequence[Sequence[Cell]], index: pd.Index, columns: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return texts, small print and addresses, each as a table."""

    def layer(place: int) -> pd.DataFrame:
        return pd.DataFrame([[cell[place] for cell in row] for row in cells], index=index, columns=columns)

    return layer(0), layer(1), layer(2)


def _quality(name: str, receipts: Receipts | None) -> Cell:
    """Return the cell for the row `name` of the quality comparison: verdict, differences, address."""
    receipt = receipts.of(name) if receipts is not None and name else None
    if receipts is None or receipt is None:
        return NOT_MEASURED, "", ""
    return receipt.verdict, receipt.details, receipts.href


def readings_table(rows: pd.DataFrame, receipts: Receipts | None = None) -> Table:
    """Return the three readings of each phase, side by side; with `receipts` its agents' verdict, too."""
    columns = {
        "ladder": "added to those above",
        "alone": "alone on the baseline",
        "without": "full against full without it",
    }
    phases = list(dict.fromkeys(rows.loc[rows["reading"] == "ladder", "phase"]))
    cells: list[list[Cell]] = []
    for phase in phases:
        of_phase: list[Cell] = []
        for name in columns:
            found = rows[(rows["reading"] == name) & (rows["phase"] == phase)]
            measured = (_gain(found.iloc[0]), _interval(found.iloc[0], "gain"), "") if len(found) else None
            of_phase.append(measured or (NOT_MEASURED, "", ""))
        if receipts is not None:
            alone = rows[(rows["reading"] == "alone") & (rows["phase"] == phase)]
            of_phase.append(_quality(alone["quality_row"].iloc[0] if len(alone) else "", receipts))
        cells.append(of_phase)
    headings = [*columns.values(), *(["quality"] if receipts is not None else [])]
    titles = [str(rows.loc[rows["phase"] == phase, "title"].iloc[0]) for phase in phases]
    texts, intervals, links = _layers(cells, pd.Index(titles, name="phase"), headings)
    return Table(
        name="readings",
        caption="What each phase is worth, in three readings, in the metric that judges it, with 95 % "
        "intervals. "
        "1.00 means that nothing changes; 'no effect' that the phase changes nothing that counts there.",
        shown=texts,
        intervals=intervals,
        links=links,
        numbers=rows.loc[
            rows["reading"].isin(list(columns)),
            ["reading", "phase", "status", "judged_by", "against", "gain", "gain_low", "gain_high"],
        ].set_index("reading"),
    )


def comparison_table(rows: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return some rows as columns, a metric a line; `labels` gives the columns' names by that of the row."""
    chosen = rows[rows["name"].isin(list(labels))]
    lines: dict[str, list[str]] = {}
    for name in ("simulations_per_second", "evaluations_per_second", *SHOWN[1:]):
        cells = [_metric(name, row[name]) for _, row in chosen.iterrows()]
        if any(cell != NOT_MEASURED for cell in cells):
            lines[find_metric(name).label] = cells
    lines["speed-up"] = [
        " ".join(part for part in (_factor(row, "speed_up"), _bracketed(_interval(row, "speed_up"))) if part)
        for _, row in chosen.iterrows()
    ]
    lines["search unchanged"] = [_yes_no(row["search_unchanged"]) for _, row in chosen.iterrows()]
    lines["what limits"] = [_limit(row) for _, row in chosen.iterrows()]
    shown = pd.DataFrame(list(lines.values()), index=pd.Index(list(lines), name="metric"))
    shown.columns = pd.Index([labels[str(name)] for name in chosen["name"]])
    return Table("comparison", "Full configuration against the baseline.", shown, chosen.set_index("name"))


def machines_table(rows: pd.DataFrame) -> Table:
    """Return the baseline and the top of the ladder of each machine's measurements.

    rows: of all of them, told apart by the column `source`; a machine may have been measured more than once.
    """
    shown, numbers = [], []
    for _, of_machine in rows.groupby("source", sort=False):
        machine, profile, game = (
            of_machine[name].iloc[0] for name in ("machine", "hardware_profile", "game")
        )
        ladder = of_machine[of_machine["reading"].isin(["baseline", "ladder"])]
        base, full = ladder.iloc[0], ladder.iloc[-1]
        speed_up = " ".join(
            part for part in (_factor(full, "speed_up"), _bracketed(_interval(full, "speed_up"))) if part
        )
        cells = [
            _metric("simulations_per_second", base["simulations_per_second"]),
            _metric("simulations_per_second", full["simulations_per_second"]),
            speed_up,
            _metric("games_per_hour", full["games_per_hour"]),
            _metric("share_of_ceiling", full["share_of_ceiling"]),
            _text(full["commit"])[:10] or "unknown",
            _text(full["time_utc"])[:10],
        ]
        shown.append((f"{machine}, {profile}, {game}", cells))
        numbers.append(full)
    columns = [
        "baseline simulations/s",
        "full simulations/s",
        "speed-up",
        "games/hour",
        "share of ceiling",
        "commit",
        "measured",
    ]
    index = pd.Index([label for label, _ in shown], name="machine")
    return Table(
        name="machines",
        caption="The full configuration on each machine; networks differ from profile to profile.",
        shown=pd.DataFrame([cells for _, cells in shown], index=index, columns=columns),
        numbers=pd.DataFrame(numbers).set_index("machine"),
    )


def _factor(row: Any, name: str) -> str:
    return (
        NOT_MEASURED if pd.isna(row[name]) else f"{row[name]:.2f}" if row[name] < 10 else f"{row[name]:.1f}"
    )


def _gain(row: Any) -> str:
    """Return the gain, or why there is none."""
    if row["status"] == "same":
        return "no effect"
    return row["status"] if row["status"] in ("failed", "missing") else _factor(row, "gain")


def _interval(row: Any, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if pd.isna(low) or pd.isna(high):
        return ""
    digits = 2 if high < 10 else 1
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _bracketed(text: str) -> str:
    return f"({text})" if text else ""


def _expected(row: Any) -> str:
    low, high = row["expected_low"], row["expected_high"]
    if pd.isna(low):
        return NOT_MEASURED
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _metric(name: str, value: Any) -> str:
    return format_metric(name, None if pd.isna(value) else float(value))


def _yes_no(value: Any) -> str:
    return NOT_MEASURED if value is None or pd.isna(value) else "yes" if value else "NO"


def _limit(row: Any) -> str:
    """Return what limits, in a word or two; of a failed row the beginning of its reason."""
    if row["status"] == "failed":
        return textwrap.shorten(f"failed: {row['reason']}", 80, placeholder=" ...")
    return _text(row["limiting_resource"]).partition(":")[0] or NOT_MEASURED


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and pd.isna(value)) else str(value)
