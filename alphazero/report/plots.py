"""The pictures of a report, as SVG text: once for light and once for dark surroundings.

Each `plot_*` function takes data and a theme and returns a matplotlib Figure, or None if the data holds
nothing to show. Nothing here touches pyplot's global state, and equal data gives equal SVG.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from alphazero.metrics.catalog import CATALOG, aggregate
from alphazero.report.tables import MEAN, POLICY, RANDOM, SEARCH, solved_errors

LOSSES = ("policy_loss", "value_loss", "ownership_loss", "policy_entropy")
SPEEDS = ("simulations_per_second", "games_per_hour", "training_steps_per_second")
USES = ("fill_rate", "gpu_utilization", "inference_latency_ms")
ACTOR_TIMES = (
    "time_search",
    "time_tree",
    "time_rules",
    "time_encoding",
    "time_cache",
    "time_evaluation",
    "time_waiting",
    "time_paused",
    "time_other",
)
SERVER_TIMES = ("time_network", "time_copies", "time_collecting")
IDLE_TIMES = ("time_waiting", "time_collecting", "time_paused")  # drawn in greys
_SPLIT_COLUMNS = 4  # entries in a row of a time split's legend: more do not fit in the width


@dataclass(frozen=True)
class Theme:
    """Colours of a picture; `series` are told apart by people with colour-blindness, in this order."""

    name: str
    surface: str
    ink: str
    muted: str
    grid: str
    idle: str  # time in which nothing was done
    series: tuple[str, ...]


LIGHT = Theme(
    "light",
    surface="#ffffff",
    ink="#1c1f24",
    muted="#5b626d",
    grid="#e4e7eb",
    idle="#b3bac4",
    series=("#2a78d6", "#eb6834", "#1baf7a", "#eda100", "#8a5cd1", "#d6409f", "#7a8699"),
)
DARK = Theme(
    "dark",
    surface="#171b21",
    ink="#eceff3",
    muted="#a3acb9",
    grid="#2c333d",
    idle="#59626f",
    series=("#4b94ea", "#e0713f", "#2bb585", "#d19a1c", "#a07fe0", "#dd63ad", "#8f9bad"),
)

Plot = Callable[..., Figure | None]


def render(plot: Plot, *data: Any, theme: Theme) -> str | None:
    """Return the SVG of `plot(*data, theme)`, or None if it has nothing to show."""
    settings: dict[Any, Any] = {
        "svg.hashsalt": plot.__name__,
        "font.size": 10.5,
        "font.family": "DejaVu Sans",
        "axes.edgecolor": theme.grid,
        "axes.facecolor": theme.surface,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.labelcolor": theme.muted,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "axes.titlecolor": theme.ink,
        "figure.facecolor": theme.surface,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "legend.labelcolor": theme.ink,
        "lines.linewidth": 2.0,
        "lines.markersize": 5.0,
        "text.color": theme.ink,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
    }
    with mpl.rc_context(settings):
        figure = plot(*data, theme)
        if figure is None:
            return None
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def write_picture(path: Path, plot: Plot, *data: Any) -> None:
    """Write the light SVG of `plot(*data, theme)` to `path`, or nothing if it has nothing to show."""
    svg = render(plot, *data, theme=LIGHT)
    if svg is not None:
        path.write_text(svg, encoding="utf-8", newline="\n")


def plot_mean_error(curve: pd.DataFrame, solved: pd.DataFrame | None, theme: Theme) -> Figure | None:
    """Error on the solved positions, mean over the sets, along the run, with 95 % intervals."""
    if curve[["policy_error", "search_error"]].isna().all(axis=None):
        return None
    figure = Figure(figsize=(8.0, 3.9), layout="constrained")
    axes = figure.subplots()
    by, label = _along(curve)
    for mode, name, color, marker in _modes(theme):
        rows = curve.dropna(subset=[name])
        axes.plot(rows[by], rows[name], marker=marker, color=color, label=_mode_label(mode, solved))
        if {f"{name}_low", f"{name}_high"} <= set(rows.columns):
            axes.fill_between(
                rows[by], rows[f"{name}_low"], rows[f"{name}_high"], color=color, alpha=0.18, lw=0
            )
    random_error = random_errors(solved).get(MEAN)
    _random_line(axes, random_error, theme)
    drawn = curve.filter(regex=r"^(policy|search)_error(_high)?$")
    _error_axes(axes, [float(drawn.max().max()), random_error])
    axes.set_xlabel(label)
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def plot_set_errors(curves: pd.DataFrame, solved: pd.DataFrame | None, theme: Theme) -> Figure | None:
    """Error on each set of solved positions along the run, one small picture a set."""
    rows = curves[curves["set"] != MEAN].dropna(subset=["error"])
    sets = list(dict.fromkeys(rows["set"]))
    if not sets:
        return None
    columns = min(3, len(sets))
    height = math.ceil(len(sets) / columns)
    figure = Figure(figsize=(8.0, 0.9 + 1.9 * height), layout="constrained")
    grid = figure.subplots(height, columns, sharex=True, sharey=True, squeeze=False)
    by, label = _along(curves)
    random_by_set = random_errors(solved)
    largest = [float(rows["error"].max()), *(random_by_set.get(name) for name in sets)]
    for axes in grid.flat[len(sets) :]:
        axes.set_visible(False)
    for name, axes in zip(sets, grid.flat, strict=False):
        for mode, _, color, marker in _modes(theme):
            one = rows[(rows["set"] == name) & (rows["mode"] == mode)].sort_values(by)
            mode_label = _mode_label(mode, solved)
            axes.plot(one[by], one["error"], marker=marker, color=color, markersize=3.5, label=mode_label)
        _random_line(axes, random_by_set.get(name), theme)
        axes.set_title(name.replace("-", ", "))
        _error_axes(axes, largest, ticks=3)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    figure.supxlabel(label, color=theme.muted, fontsize=10.5)
    return figure


def plot_ratings(ratings: pd.DataFrame, theme: Theme) -> Figure | None:
    """Elo of everybody who met in a match, the strongest on top, with 95 % intervals; open ends are dotted lines."""
    rows = ratings.dropna(subset=["elo"]).sort_values("elo")
    if rows.empty:
        return None
    figure = Figure(figsize=(8.0, 0.8 + 0.42 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    axes.plot(rows["elo"], places, "o", color=theme.series[0], markersize=7)
    if {"elo_low", "elo_high"} <= set(rows.columns):
        low, high = rows["elo_low"].fillna(rows["elo"]), rows["elo_high"].fillna(rows["elo"])
        axes.hlines(places, low, high, color=theme.series[0], alpha=0.45, linewidth=6)
        axes.margins(x=0.06)
        edges = axes.get_xlim()
        for column, edge in zip(("elo_low", "elo_high"), edges, strict=True):
            for place, elo in enumerate(rows["elo"]):
                if pd.isna(rows[column].iloc[place]):
                    axes.hlines(
                        place, *sorted((edge, elo)), color=theme.series[0], linestyle=":", linewidth=2
                    )
        axes.set_xlim(edges)
    for place, elo in zip(places, rows["elo"], strict=True):
        axes.annotate(
            f"{elo:+.0f}" if elo else "0",
            (elo, place),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
        )
    axes.set_yticks(places, [name.replace("_", " ") for name in rows["agent"]])
    axes.tick_params(axis="y", labelcolor=theme.ink)
    axes.set_ylim(-0.6, len(rows) - 0.2)
    axes.margins(x=0.06)
    axes.set_xlabel("Elo")
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    return figure


def plot_losses(metrics: pd.DataFrame, theme: Theme) -> Figure | None:
    """The losses, and the policy's entropy, over training steps."""
    by = "training_steps" if _measured(metrics, "training_steps") else "run_time_s"
    return _panels(metrics, LOSSES, by, theme)


def plot_throughput(metrics: pd.DataFrame, theme: Theme) -> Figure | None:
    """Speed of self-play and learning over the run."""
    return _panels(metrics, SPEEDS, "run_time_s", theme)


def plot_use(metrics: pd.DataFrame, theme: Theme) -> Figure | None:
    """How well batches and device are used, and how long an evaluation takes, over the run."""
    return _panels(metrics, USES, "run_time_s", theme)


def plot_time_split(metrics: pd.DataFrame, theme: Theme) -> Figure | None:
    """Where the actors' and the inference server's time went, as shares of the whole run."""
    bars = []
    for title, names in (("actors", ACTOR_TIMES), ("inference server", SERVER_TIMES)):
        values = [(name, aggregate(name, metrics[name].tolist())) for name in names if name in metrics]
        shares = [(name, share) for name, share in values if share is not None]
        if shares:
            bars.append((title, shares))
    if not bars:
        return None
    figure = Figure(figsize=(8.0, 1.5 * len(bars)), layout="constrained")
    for (title, shares), axes in zip(bars, figure.subplots(len(bars), squeeze=False).flat, strict=True):
        left = 0.0
        colors = share_colors([name for name, _ in shares], theme)
        for name, share in shares:
            color = colors[name]
            label = f"{CATALOG[name].label} {100 * share:.0f} %"
            axes.barh(0, share, left=left, color=color, edgecolor=theme.surface, linewidth=1.5, label=label)
            left += share
        axes.set_title(title)
        axes.set_xlim(0, max(1.0, left))
        axes.set_axis_off()
        axes.legend(
            loc="upper left", bbox_to_anchor=(-0.01, 0.0), ncols=_SPLIT_COLUMNS, fontsize=9,
            handlelength=1.0, handleheight=1.0, columnspacing=1.4, borderaxespad=0.2,
        )  # fmt: skip
    return figure


def share_colors(names: Sequence[str], theme: Theme) -> dict[str, str]:
    """Return a colour for each part of a time split; idle times take none of the series."""
    at_work = [name for name in names if name not in IDLE_TIMES]
    colors = dict.fromkeys(names, theme.idle) | dict(zip(at_work, theme.series, strict=False))
    return colors | ({"time_paused": theme.muted} if "time_paused" in names else {})


def _panels(metrics: pd.DataFrame, wanted: Sequence[str], by: str, theme: Theme) -> Figure | None:
    """Draw one small picture for each metric that was measured, side by side, over the column `by`."""
    names = [name for name in wanted if _measured(metrics, name)]
    if not names:
        return None
    figure = Figure(figsize=(8.0, 2.5), layout="constrained")
    grid = figure.subplots(1, len(names), sharex=True, squeeze=False)
    scale = 60.0 if by == "run_time_s" else 1.0
    for name, axes in zip(names, grid.flat, strict=True):
        rows = metrics.dropna(subset=[by, name])
        marker = "o" if len(rows) < 3 else None
        axes.plot(rows[by] / scale, rows[name], color=theme.series[0], marker=marker)
        metric = CATALOG[name]
        unit = "" if metric.unit in ("1", "share", "percent") or metric.label.endswith("/s") else metric.unit
        axes.set_title(metric.label + (f" ({unit})" if unit and "/" not in metric.label else ""))
        axes.set_xlabel("minutes" if by == "run_time_s" else CATALOG[by].label)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if metric.unit in ("share", "percent"):
            whole = 1.0 if metric.unit == "share" else 100.0
            axes.set_ylim(0, 1.04 * whole)
            axes.yaxis.set_major_formatter(PercentFormatter(whole))
        else:
            low, high = float(rows[name].min()), float(rows[name].max())
            axes.set_ylim(min(0.0, 1.12 * low), 1.12 * max(high, 0.0) or 1.0)
            axes.yaxis.set_major_formatter(FuncFormatter(_short_number))
        if by != "run_time_s":
            axes.xaxis.set_major_formatter(FuncFormatter(_short_number))
    return figure


def random_errors(solved: pd.DataFrame | None) -> dict[str, float]:
    """Return the error of a random move by set, as far as it was evaluated."""
    if solved is None or not (solved["agent"] == RANDOM).any():
        return {}
    errors = solved_errors(solved[solved["agent"] == RANDOM]).iloc[0]
    return {str(name): float(error) for name, error in errors.items() if not pd.isna(error)}


def _modes(theme: Theme) -> tuple[tuple[str, str, str, str], ...]:
    """Return (mode, column of the learning curve, colour, marker) of the two ways to choose a move."""
    return (
        (POLICY, "policy_error", theme.series[1], "s"),
        (SEARCH, "search_error", theme.series[0], "o"),
    )


def _along(curve: pd.DataFrame) -> tuple[str, str]:
    """Return (column, label) of the axis along the run: positions where they are known, else steps."""
    if curve["training_positions"].notna().all():
        return "training_positions", "self-play positions"
    return "step", "training steps"


def _random_line(axes: Any, error: float | None, theme: Theme) -> None:
    if error is not None:
        axes.axhline(error, color=theme.muted, linestyle=(0, (4, 3)), linewidth=1.4, label="random move")


def _error_axes(axes: Any, errors: list[float | None], ticks: int = 6) -> None:
    """Scale the axes for `errors`, the largest that are drawn."""
    largest = max(error for error in errors if error is not None)
    axes.set_ylim(0, 1.12 * max(largest, 0.01))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_formatter(FuncFormatter(_short_number))
    axes.xaxis.set_major_locator(MaxNLocator(ticks))


def _mode_label(mode: str, solved: pd.DataFrame | None) -> str:
    if mode == POLICY:
        return "policy head"
    counts = pd.Series(dtype="float64")
    if solved is not None and "simulations" in solved:
        counts = solved["simulations"].dropna()
    return f"{counts.max():.0f} simulations" if len(counts) else "search"


def _short_number(value: float, _position: int | None = None) -> str:
    """Return an axis label such as 1.5, 200, 40k or 3M."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.4g}{letter}"
    return f"{value:.4g}"


def _measured(metrics: pd.DataFrame, name: str) -> bool:
    return name in metrics and bool(metrics[name].notna().any())
