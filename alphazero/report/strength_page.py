"""Time to strength: when runs got below given errors, as a table and curves. From strength.json alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from alphazero.metrics.catalog import format_duration, format_share
from alphazero.report import plots
from alphazero.report.figure import figure
from alphazero.report.page import page
from alphazero.report.plots import Theme
from alphazero.report.provenance_section import provenance_section
from alphazero.report.tables import Table

Document = Mapping[str, Any]

# What is counted until an error is reached: the key of a point, its label, how it is written.
COSTS = (
    ("wall_s", "wall-clock, all", format_duration),
    ("run_time_s", "of it self-play and training", format_duration),
    ("cpu_s", "CPU-seconds", lambda value: f"{value:,.0f}"),
    ("device_s", "device-seconds", lambda value: f"{value:,.0f}"),
    ("energy_j", "GPU energy (kJ)", lambda value: f"{value / 1000:,.1f}"),
    ("positions", "self-play positions", lambda value: f"{value:,.0f}"),
    ("step", "training steps", lambda value: f"{value:,.0f}"),
)


def render_strength_page(document: Document) -> str:
    """Return the whole page."""
    table = time_table(document)
    curves = "".join(
        figure(
            plot,
            (document,),
            heading,
            "A line a run; dashed lines are the errors of the table.",
            f"{heading} The table above has the numbers.",
        )
        for _, plot, heading in _pictures()
    )
    origin = f"{document['game']} · {document['simulations']} simulations a move · {document['solved_note']}"
    return page(
        "Time to strength",
        origin,
        summary(document),
        [
            ("times", "Until an error was reached", table.html()),
            ("curves", "Curves", curves),
            (
                "provenance",
                "Where these results come from",
                provenance_section(document["hardware"], document["provenance"]),
            ),
        ],
    )


def write_strength_parts(document: Document, folder: Path) -> None:
    """Write the table (CSV, Markdown), all points (CSV) and the pictures (SVG, light) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    time_table(document).write(folder)
    points = [
        {"run": run["run"], "seed": run["seed"], **point}
        for run in document["runs"]
        for point in run["points"]
    ]
    pd.DataFrame(points).to_csv(folder / "strength_curve.csv", index=False, lineterminator="\n")
    for name, plot, _ in _pictures():
        plots.write_picture(folder / f"{name}.svg", plot, document)


def summary(document: Document) -> str:
    """Return in a sentence the smallest error that every run reached, and how long it took."""
    for error in sorted(document["errors"]):
        found = [_first_below(run["points"], error) for run in document["runs"]]
        reached = [point for point in found if point is not None]
        if reached and len(reached) == len(found):
            times = sorted(point["wall_s"] for point in reached)
            took = format_duration(times[0])
            if len(times) > 1:
                took = f"{took} to {format_duration(times[-1])} ({len(times)} runs)"
            return (
                f"A mean error below {100 * error:g} % was first measured after {took}, evaluation included."
            )
    best = min(point["search_error"] for run in document["runs"] for point in run["points"])
    return f"Not all runs got below {100 * max(document['errors']):g} %; the best had {format_share(best)}."


def time_table(document: Document) -> Table:
    """Return a row for each error and run: what it took until the error was reached."""
    measured = [
        cost
        for cost in COSTS
        if any(point[cost[0]] is not None for run in document["runs"] for point in run["points"])
    ]
    labels, shown, intervals, numbers = [], [], [], []
    for error in document["errors"]:
        for run in document["runs"]:
            point = _first_below(run["points"], error)
            labels.append(f"below {100 * error:g} %, {run['run']}")
            shown.append(
                [
                    _cell(point, "search_error", _percent),
                    *(_cell(point, key, write) for key, _, write in measured),
                ]
            )
            bounds = [_cell(point, f"search_error_{end}", _percent) for end in ("low", "high")]
            intervals.append(["" if point is None else " to ".join(bounds), *[""] * len(measured)])
            keys = ("search_error", "search_error_low", "search_error_high", *(key for key, _, _ in COSTS))
            entry = {key: None if point is None else point[key] for key in keys}
            numbers.append({"error": error, "run": run["run"], "seed": run["seed"], **entry})
    index = pd.Index(labels, name="mean error")
    columns = ["error then", *(label for _, label, _ in measured)]
    return Table(
        "time_to_strength",
        f"What it took until the mean error over the solved sets, with {document['simulations']} simulations, was "
        "first measured below a bound, at the moments whose weights were kept, and how far below it was, with the 95 % "
        "interval of its positions: where that reaches beyond the bound, a later moment may be above it again. "
        "Wall-clock time has the evaluations up to then in it. '-': not reached, or not measured.",
        pd.DataFrame(shown, index, columns),
        pd.DataFrame(numbers).set_index("error"),
        pd.DataFrame(intervals, index, columns),
    )


def plot_error_by_time(document: Document, theme: Theme) -> Figure | None:
    """Mean error of the search over wall-clock minutes, a line a run."""
    return _plot(document, theme, "wall_s", 60.0, "wall-clock minutes, evaluation included")


def plot_error_by_positions(document: Document, theme: Theme) -> Figure | None:
    """Mean error of the search over self-play positions, a line a run: sample efficiency."""
    return _plot(document, theme, "positions", 1.0, "self-play positions")


def _pictures() -> Iterator[tuple[str, plots.Plot, str]]:
    yield "error_by_time", plot_error_by_time, "Error over time."
    yield "error_by_positions", plot_error_by_positions, "Error over self-play positions."


def _plot(document: Document, theme: Theme, key: str, unit: float, label: str) -> Figure | None:
    drawing = Figure(figsize=(8.0, 3.9), layout="constrained")
    axes = drawing.subplots()
    drawn = False
    for place, run in enumerate(document["runs"]):
        points = [point for point in run["points"] if point[key] is not None]
        if not points:
            continue
        drawn = True
        color = theme.series[place % len(theme.series)]
        along = [point[key] / unit for point in points]
        axes.plot(
            along, [point["search_error"] for point in points], marker="o", color=color, label=run["run"]
        )
        axes.fill_between(
            along,
            [point["search_error_low"] for point in points],
            [point["search_error_high"] for point in points],
            color=color,
            alpha=0.15,
            linewidth=0,
        )
    if not drawn:
        return None
    for error in document["errors"]:
        axes.axhline(error, color=theme.muted, linewidth=1.0, linestyle=(0, (4, 3)))
    # Logarithmic down to the smallest bound, and linear from there to 0, where an error may come to.
    axes.set_yscale("symlog", linthresh=min(document["errors"]))
    axes.set_ylim(bottom=0.0)
    axes.yaxis.set_major_locator(FixedLocator([0.0, *sorted(document["errors"]), 0.1]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.set_xlabel(label)
    axes.set_ylabel("mean error of the search")
    axes.legend(fontsize=9)
    return drawing


def _first_below(points: Sequence[Mapping[str, Any]], error: float) -> Mapping[str, Any] | None:
    """Return the first moment at which the mean error was below `error`; None if it never was."""
    return next((point for point in points if point["search_error"] < error), None)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _cell(point: Mapping[str, Any] | None, key: str, write: Any) -> str:
    if point is None or point[key] is None or math.isnan(point[key]):
        return "-"
    return str(write(point[key]))
