"""The benchmark's pictures, in the manner of `report.plots`: data and a theme in, a matplotlib Figure out."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, PercentFormatter

from alphazero.metrics.catalog import CATALOG
from alphazero.report.benchmark_data import EngineSpeed, RungWindows
from alphazero.report.plots import ACTOR_TIMES, SERVER_TIMES, Theme, share_colors

BAR = 0.62  # of the distance between two rows
_LINE_STYLES = ("-", "--", ":")  # of the lines beyond a theme's colours


def plot_ladder(rows: pd.DataFrame, theme: Theme) -> Figure | None:
    """Speed-up over the baseline, rung by rung, with intervals; beside it what was expected, compounded."""
    measured = rows.dropna(subset=["speed_up"])
    if measured.empty:
        return None
    figure, axes = _rows_figure(list(measured["title"]))
    places = range(len(measured))
    # From 1 on: on a logarithmic axis a bar has no other place to begin.
    axes.barh(
        places, measured["speed_up"] - 1.0, left=1.0, height=BAR, color=theme.series[0], label="measured"
    )
    low, high = measured["speed_up_low"], measured["speed_up_high"]
    axes.hlines(places, low, high, color=theme.ink, linewidth=1.6, label="95 % interval")
    rungs = {index: place for place, index in enumerate(measured.index)}
    promised = [
        (rungs[rows.index[rung]], low, high)
        for rung, low, high in _compounded(rows)  # those that could not be measured, too
        if rows.index[rung] in rungs
    ]
    if promised:
        axes.hlines(
            [place + BAR / 2 + 0.07 for place, _, _ in promised],  # below the bar
            [low for _, low, _ in promised],
            [high for _, _, high in promised],
            color=theme.series[1],
            linewidth=4,
            label="expected, up to here",
        )
    for place, value, upper in zip(places, measured["speed_up"], high, strict=True):
        end = value if pd.isna(upper) else max(value, upper)
        axes.annotate(
            f"{value:.3g}", (end, place), (5, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.axvline(1.0, color=theme.muted, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xscale("log")
    axes.margins(x=0.1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("simulations/s as a multiple of the baseline's (logarithmic)")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def plot_roofline(engines: Mapping[str, EngineSpeed], theme: Theme) -> Figure | None:
    """Evaluations a second by batch size, a line an engine, and how near to it the rungs of the ladder come."""
    if not engines:
        return None
    figure = Figure(figsize=(8.0, 3.5 + 0.12 * len(engines)), layout="constrained")
    axes = figure.subplots()
    # Those that self-play used first: of these no two share a colour.
    in_order = sorted(engines.items(), key=lambda engine: not engine[1].in_selfplay)
    for place, (name, speed) in enumerate(in_order):
        sizes = sorted(speed.alone)
        color = theme.series[place % len(theme.series)]
        style = _LINE_STYLES[place // len(theme.series) % len(_LINE_STYLES)]
        rates = [speed.alone[size] for size in sizes]
        axes.plot(sizes, rates, style, marker="o", markersize=4, color=color, label=name)
        for size, rate in speed.in_selfplay:
            axes.plot(size, rate, marker="D", markersize=7, color=color, markeredgecolor=theme.ink)
    if any(speed.in_selfplay for speed in engines.values()):
        axes.plot(
            [], [], "D", color=theme.surface, markeredgecolor=theme.ink, label="self-play, rung by rung"
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("batch size")
    axes.set_ylabel("evaluations/s")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def plot_actor_times(rows: pd.DataFrame, theme: Theme) -> Figure | None:
    """Where the actors' time goes, a bar a row."""
    return _plot_shares(rows, ACTOR_TIMES, "share of the actors' time", theme)


def plot_server_times(rows: pd.DataFrame, theme: Theme) -> Figure | None:
    """Where the inference server's time goes, a bar a row that has one."""
    return _plot_shares(rows, SERVER_TIMES, "share of the inference server's time", theme)


def _plot_shares(rows: pd.DataFrame, wanted: Sequence[str], label: str, theme: Theme) -> Figure | None:
    names = [name for name in wanted if name in rows and rows[name].notna().any()]
    measured = rows.dropna(subset=names, how="all")
    if not names or measured.empty:
        return None
    figure, axes = _rows_figure(list(measured["title"]))
    left = pd.Series(0.0, index=measured.index)
    colors = share_colors(names, theme)
    for name in names:
        share = measured[name].astype(float).fillna(0.0)
        axes.barh(
            range(len(measured)),
            share,
            left=left,
            height=BAR,
            color=colors[name],
            edgecolor=theme.surface,
            linewidth=0.5,
            label=CATALOG[name].label,
        )
        left = left + share
    axes.set_xlim(0, max(1.0, left.max()))  # medians of several windows may add up to more
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(label)
    figure.legend(loc="outside upper left", ncols=min(4, len(names)))
    return figure


def plot_fill_distribution(rungs: Sequence[RungWindows], theme: Theme) -> Figure | None:
    """How full batches are, rung by rung: share of the batches by share of their capacity."""
    counted = []
    for rung in rungs:
        counts = [sum(bins) for bins in zip(*(w["fills"] for w in rung.windows if w["fills"]), strict=True)]
        if sum(counts):
            counted.append((rung.title, [count / sum(counts) for count in counts]))
    if not counted:
        return None
    figure, panels = _small_multiples([title for title, _ in counted])
    for (_, shares), axes in zip(counted, panels, strict=True):
        width = 1 / len(shares)
        middles = [(place + 0.5) * width for place in range(len(shares))]
        axes.bar(middles, shares, width=0.9 * width, color=theme.series[0])
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    figure.supxlabel("rows used / room in the batch", color=theme.muted, fontsize=10.5)
    figure.supylabel("share of batches", color=theme.muted, fontsize=10.5)
    return figure


def plot_utilization(rungs: Sequence[RungWindows], cores: int, theme: Theme) -> Figure | None:
    """How busy cores and GPU are along the windows of each rung, one window after the other."""
    watched = [rung for rung in rungs if any(window["samples"] for window in rung.windows)]
    if not watched:
        return None
    figure, panels = _small_multiples([rung.title for rung in watched])
    series = (
        ("cpu_utilization", f"CPU, of {cores} cores", 100.0 * cores, theme.series[0]),
        ("gpu_utilization", "GPU", 100.0, theme.series[1]),
    )
    drawn: dict[str, Any] = {}
    for rung, axes in zip(watched, panels, strict=True):
        began = 0.0
        for window in rung.windows:
            for name, label, whole, color in series:
                known = [sample for sample in window["samples"] if name in sample]
                if known:
                    times = [began + sample["time_s"] for sample in known]
                    shares = [sample[name] / whole for sample in known]
                    (drawn[label],) = axes.plot(times, shares, color=color, marker="o", markersize=2)
            began += window["seconds"]
            axes.axvline(began, color=theme.grid, linewidth=0.8)
        axes.set_ylim(0, 1.05)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlim(0, began)
    figure.supxlabel("seconds measured, one window after the other", color=theme.muted, fontsize=10.5)
    figure.legend(list(drawn.values()), list(drawn), loc="outside upper left", ncols=2)
    return figure


def plot_fill(rows: pd.DataFrame, theme: Theme) -> Figure | None:
    """How full batches are, and how near self-play comes to what the network can do alone."""
    names = [name for name in ("fill_rate", "share_of_ceiling") if name in rows and rows[name].notna().any()]
    measured = rows.dropna(subset=names, how="all")
    if not names or measured.empty:
        return None
    figure, axes = _rows_figure(list(measured["title"]))
    height = BAR / len(names)
    for place, name in enumerate(names):
        offsets = [row + (place - (len(names) - 1) / 2) * height for row in range(len(measured))]
        values = measured[name].astype(float).fillna(0.0)
        axes.barh(offsets, values, height=height, color=theme.series[2 * place], label=CATALOG[name].label)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def _small_multiples(titles: Sequence[str]) -> tuple[Figure, list[Any]]:
    """Return a figure with a small picture for each title, three in a line, the same axes for all."""
    columns = min(3, len(titles))
    lines = math.ceil(len(titles) / columns)
    figure = Figure(figsize=(8.0, 0.9 + 1.3 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
    for axes in panels[len(titles) :]:
        axes.set_visible(False)
    for title, axes in zip(titles, panels, strict=False):
        axes.set_title(textwrap.shorten(title, 30, placeholder="..."), fontsize=9.5)
        axes.tick_params(labelsize=9)
    return figure, list(panels[: len(titles)])


def _rows_figure(titles: Sequence[str]) -> tuple[Figure, Any]:
    """Return a figure with a place for each title, the first on top."""
    figure = Figure(figsize=(8.0, 1.3 + 0.36 * len(titles)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(titles)), list(titles))
    axes.set_ylim(len(titles) - 0.45, -0.55)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    return figure, axes


def _compounded(rows: pd.DataFrame) -> list[tuple[int, float, float]]:
    """Return (row, low, high): the product of what was expected of all rungs up to a row, where one was.

    What is expected of the learner is no part of it: the picture is of self-play.
    """
    low = high = 1.0
    found = []
    for place, (_, row) in enumerate(rows.iterrows()):
        if not pd.isna(row["expected_low"]) and _is_of_selfplay(str(row["judged_by"])):
            low, high = low * row["expected_low"], high * row["expected_high"]
            found.append((place, low, high if high > low else high * 1.02))
    return found


def _is_of_selfplay(judged_by: str) -> bool:
    return not judged_by.startswith("training_")


def _thousands(value: float, _position: int | None = None) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
