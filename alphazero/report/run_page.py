"""The page of a training run: one HTML file that opens from disk, without a network or scripts."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from alphazero.config import network_in_words
from alphazero.metrics.catalog import find_metric, format_metric
from alphazero.report import plots
from alphazero.report.figure import figure
from alphazero.report.health_section import health_section
from alphazero.report.page import page, unbroken
from alphazero.report.plots import Plot
from alphazero.report.provenance_section import provenance_section, text_of
from alphazero.report.run_folder import RunData
from alphazero.report.tables import (
    Table,
    definition_over_the_run,
    match_table,
    metrics_table,
    over_the_run,
    solved_table,
)
from alphazero.report.verdict import claims, verdict

KEY_NUMBERS = (
    "run_time_s",
    "games",
    "positions",
    "training_steps",
    "games_per_hour",
    "simulations_per_second",
    "evaluations_per_second",
    "fill_rate",
    "inference_latency_ms",
    "gpu_utilization",
    "replay_ratio",
)


def render_page(run: RunData) -> str:
    """Return the whole page. Equal inputs give equal pages; what was not measured says so."""
    title = f"AlphaZero training run: {_game(run)}"
    sections = [
        ("numbers", "Key numbers", _key_numbers(run)),
        ("claims", "What the run shows", _claims(run)),
        ("strength", "Errors on solved positions", _solved(run)),
        ("learning", "Learning curves", _learning_curves(run)),
        ("matches", "Matches", _matches(run)),
        ("losses", "Losses", _losses(run)),
        ("health", "Training health", health_section(run.health)),
        ("speed", "Speed", _speed(run)),
        (
            "provenance",
            "Where these results come from",
            provenance_section(run.hardware, run.provenance, run.config, run.config_text),
        ),
        ("log", "End of the log", _log(run)),
    ]
    return page(title, _origin(run), verdict(run), sections, run.problems)


def write_parts(run: RunData, folder: Path) -> None:
    """Write every table (CSV, Markdown) and every picture (SVG, light) of the page into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    if run.solved is not None:
        solved_table(run.solved, run.solved_note).write(folder)
    if run.matches is not None:
        match_table(run.matches).write(folder)
    if run.metrics is not None:
        metrics_table(run.metrics).write(folder)
    for name, plot, plotted in _pictures(run):
        plots.write_picture(folder / f"{name}.svg", plot, *plotted)


def _pictures(run: RunData) -> Iterator[tuple[str, Plot, tuple[Any, ...]]]:
    if run.curve is not None:
        yield "mean_error", plots.plot_mean_error, (run.curve, run.solved)
    if run.set_curves is not None:
        yield "set_errors", plots.plot_set_errors, (run.set_curves, run.solved)
    if run.ratings is not None:
        yield "ratings", plots.plot_ratings, (run.ratings,)
    if run.metrics is not None:
        yield "losses", plots.plot_losses, (run.metrics,)
        yield "throughput", plots.plot_throughput, (run.metrics,)
        yield "use", plots.plot_use, (run.metrics,)
        yield "time_split", plots.plot_time_split, (run.metrics,)


def _key_numbers(run: RunData) -> str:
    tiles = []
    for name in KEY_NUMBERS:
        value = None if run.metrics is None else over_the_run(name, run.metrics)
        shown = "not measured" if value is None else format_metric(name, value)
        absent = ' class="absent"' if value is None else ""
        tiles.append(
            f'<div title="{html.escape(definition_over_the_run(name))}"><dt>{html.escape(find_metric(name).label)}</dt>'
            f"<dd{absent}>{html.escape(shown)}</dd></div>"
        )
    everything = ""
    if run.metrics is not None:
        everything = (
            f"<details><summary>All metrics</summary>{_text_table(metrics_table(run.metrics))}</details>"
        )
    return f'<dl class="tiles">{"".join(tiles)}</dl>{everything}'


def _claims(run: RunData) -> str:
    marks = {True: ("yes", "✓ yes"), False: ("no", "✗ no"), None: ("absent", "not measured")}
    items = []
    for claim in claims(run):
        kind, mark = marks[claim.holds]
        evidence = "" if claim.holds is None else f'<span class="evidence">{unbroken(claim.evidence)}</span>'
        text = unbroken(claim.text)
        items.append(f'<li><span class="mark {kind}">{mark}</span><span>{text}</span>{evidence}</li>')
    return f'<ul class="claims">{"".join(items)}</ul>'


def _solved(run: RunData) -> str:
    return "" if run.solved is None else solved_table(run.solved, run.solved_note).html()


def _matches(run: RunData) -> str:
    if run.matches is None:
        return ""
    ratings = ""
    if run.ratings is not None:
        rated = run.ratings.dropna(subset=["elo"])
        listed = [f"{row['agent']} {row['elo']:+.0f}" for _, row in rated.iterrows()]
        anchors = [str(row["agent"]) for _, row in run.ratings.iterrows() if row["elo"] == 0]
        ratings = figure(
            plots.plot_ratings,
            (run.ratings,),
            "Ratings from these matches.",
            "Elo with 95 % intervals"
            + (f"; 0 is {anchors[0]}." if anchors else ".")
            + " A drawn game is added for each "
            "two players that met; a draw counts as half a win and half a loss, so that intervals are wider than "
            "those of a match with many. Dotted lines have no end: no point was lost, or none won. Who is missing "
            "could be anywhere.",
            "Ratings: " + ", ".join(listed) + ".",
        )
    return match_table(run.matches).html() + ratings


def _text_table(table: Table) -> str:
    return table.html().replace("<table ", '<table class="text" ')


def _learning_curves(run: RunData) -> str:
    figures = []
    if run.curve is not None:
        figures.append(
            figure(
                plots.plot_mean_error,
                (run.curve, run.solved),
                "Error on solved positions, mean over the sets.",
                "Checkpoints along the run, on fewer positions than the table above. Lower is better.",
                _describe_curve(run.curve),
            )
        )
    if run.set_curves is not None:
        figures.append(
            figure(
                plots.plot_set_errors,
                (run.set_curves, run.solved),
                "The same, set by set.",
                "Sets are named by stage of the game and by how far away its end is.",
                "One small chart a set: error of the policy head and of the search along the run.",
            )
        )
    return "".join(figures)


def _losses(run: RunData) -> str:
    return _charts(
        run.metrics,
        plots.plot_losses,
        plots.LOSSES,
        "Losses, and the policy's entropy.",
        "Means between two rows of metrics.csv. A rising policy loss can be progress: the targets change "
        "as the agent learns.",
    )


def _speed(run: RunData) -> str:
    figures = (
        _charts(run.metrics, plots.plot_throughput, plots.SPEEDS, "Throughput over the run."),
        _charts(run.metrics, plots.plot_use, plots.USES, "Use of batches and device."),
        _charts(
            run.metrics,
            plots.plot_time_split,
            (*plots.ACTOR_TIMES, *plots.SERVER_TIMES),
            "Where the time went.",
            "Shares of the time of all processes of a kind, mean over the run.",
        ),
    )
    return "".join(figures)


def _charts(
    metrics: pd.DataFrame | None, plot: Plot, names: Sequence[str], heading: str, caption: str = ""
) -> str:
    """Return a picture of the metrics `names`, or nothing where none was measured."""
    if metrics is None:
        return ""
    return figure(plot, (metrics,), heading, caption, "Shows " + _ranges(metrics, names))


def _describe_curve(curve: pd.DataFrame) -> str:
    """Return the first and last point of the curves in words."""
    parts = []
    for name in ("policy_error", "search_error"):
        errors = curve[name].dropna()
        if len(errors):
            first, last = (format_metric(name, float(errors.iloc[place])) for place in (0, -1))
            parts.append(f"{find_metric(name).label} from {first} to {last}")
    return "Line chart along the run: " + ", ".join(parts) + "."


def _ranges(metrics: pd.DataFrame, names: Sequence[str]) -> str:
    """Return 'fill rate, between 20 % and 93 %; ...' over the metrics that were measured."""
    parts = []
    for name in names:
        values = metrics[name].dropna() if name in metrics else pd.Series(dtype="float64")
        if len(values):
            low, high = format_metric(name, float(values.min())), format_metric(name, float(values.max()))
            parts.append(f"{find_metric(name).label}, between {low} and {high}")
    return "; ".join(parts) + "."


def _log(run: RunData) -> str:
    if not run.log_tail:
        return '<p class="absent">No log was found.</p>'
    return f'<pre tabindex="0">{html.escape(chr(10).join(run.log_tail))}</pre>'


def _game(run: RunData) -> str:
    settings = (run.config or {}).get("run")
    game = text_of(settings.get("game")) if isinstance(settings, dict) else ""
    return game.replace("_", " ").title() if game else run.name


def _origin(run: RunData) -> str:
    """Return the line below the title: run, machine, network, search, time; as far as they are known."""
    config = run.config or {}
    parts = [f"run {run.name}"]
    if (run.hardware or {}).get("machine"):
        parts.append(f"on {run.hardware['machine']}" if run.hardware else "")
    network, search = config.get("network"), config.get("search")
    if isinstance(network, dict) and {"blocks", "filters"} <= set(network):
        parts.append(network_in_words(network))
        grown = _grown_network(config, network)
        if grown is not None:
            parts[-1] += f", later {network_in_words(grown)}"
        final = _final_network(config, grown or network)
        if final is not None:
            parts[-1] += f", the agent: {network_in_words(final)}"
    if isinstance(search, dict) and "simulations" in search:
        parts.append(f"{search['simulations']} simulations a move")
    if (run.provenance or {}).get("time_utc"):
        parts.append(text_of((run.provenance or {})["time_utc"])[:10])
    return " · ".join(parts)


def _grown_network(config: Mapping[str, Any], network: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the settings of what `network` grew into during self-play, or None if it did not."""
    training, grown = (config.get(name) for name in ("training", "grown_network"))
    if not (isinstance(training, dict) and training.get("grow_after")):
        return None
    return _larger(network, grown)


def _final_network(config: Mapping[str, Any], network: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the settings of what `network` grew into after self-play, or None if it did not."""
    training, run, final = (config.get(name) for name in ("training", "run", "final_network"))
    if not (isinstance(training, dict) and training.get("final_minutes")):
        return None
    if isinstance(run, dict) and run.get("single_process"):
        return None
    return _larger(network, final)


def _larger(network: Mapping[str, Any], size: object) -> Mapping[str, Any] | None:
    """Return the larger of both in each setting; None if `size`, from a file, is no network's."""
    if not isinstance(size, dict) or not {"blocks", "filters"} <= set(size):
        return None
    return {name: max(value, network.get(name, value)) for name, value in size.items()}
