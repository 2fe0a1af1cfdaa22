"""The benchmark's page: one HTML file that opens from disk, without a network or scripts."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import tomli

from alphazero.config import network_in_words
from alphazero.metrics.catalog import find_metric, format_metric
from alphazero.report import benchmark_plots, plots
from alphazero.report.benchmark_data import Document, engine_speeds, ladder_windows, usable_cores
from alphazero.report.benchmark_tables import ladder_table, reading, readings_table
from alphazero.report.figure import figure
from alphazero.report.page import page, stand_alone
from alphazero.report.plots import Plot
from alphazero.report.provenance_section import provenance_section
from alphazero.report.quality_receipt import Receipts
from alphazero.report.tables import Table

KEY_NUMBERS = (
    "simulations_per_second",
    "games_per_hour",
    "training_steps_per_second",
    "share_of_ceiling",
    "fill_rate",
    "inference_latency_ms",
    "gpu_utilization",
    "energy_per_game_j",
)
LADDER_CAPTION = (
    "Each row adds a phase to those above. 'Speed-up' is in simulations/s over the "
    "baseline; 'this phase' is what "
    "it adds to the row above, in the metric that judges it. Medians; 95 % intervals below. 'Quality', where it was "
    "tested: are agents that train so no worse than the reference's?"
)
PLAN_CAPTION = (
    "The plan to the letter: its numbers and nothing else, so one leaf in flight an actor "
    "throughout. Batches "
    "cannot fill from so few leaves, and a rule that waits for a quarter of a batch waits in vain."
)


def render_benchmark_page(
    document: Document, rows: pd.DataFrame, warnings: Sequence[str], receipts: Receipts | None = None
) -> str:
    """Return the whole page.

    Args:
        document: what `alphazero benchmark measure` wrote.
        rows: a row for each variant, from `benchmark.summary`.
        warnings: sentences on what was not as it should be.
        receipts: what the quality comparison found, linked as seen from this page; None: there is none.
    """
    title = f"What each optimization gives: {document['game'].replace('_', ' ').title()}"
    sections = [
        ("ladder", "The ladder", _ladder(rows, receipts)),
        ("readings", "Each phase in three readings", _readings(rows, receipts)),
        ("quality", "Speed and quality", _quality(receipts)),
        ("plan", "The plan, literally", _plan(rows)),
        ("time", "Where the time goes", _times(document, rows)),
        ("batches", "Batches and the ceiling", _batches(document, rows)),
        ("phases", "The phases", _phases(document)),
        ("method", "How it was measured", _method(document)),
        ("provenance", "Where these results come from", _provenance(document)),
    ]
    problems = [*warnings, *_failures(rows)]
    return page(title, _origin(document), verdict(rows), sections, problems, tiles=_tiles(rows))


def write_benchmark_parts(
    document: Document, rows: pd.DataFrame, folder: Path, receipts: Receipts | None = None
) -> None:
    """Write every table (CSV, Markdown, HTML) and every picture (SVG, light) of the page into `folder`.

    receipts: as for the page, but linked as seen from `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "all.csv", index=False, lineterminator="\n")
    for table in _tables(rows, receipts):
        table.write(folder)
        alone = stand_alone(table.name, table.html())
        (folder / f"{table.name}.html").write_text(alone, encoding="utf-8", newline="\n")
    ladder = reading(rows, "ladder")
    windows = ladder_windows(document)
    pictures: tuple[tuple[str, Plot, tuple[Any, ...]], ...] = (
        ("ladder", benchmark_plots.plot_ladder, (ladder,)),
        ("plan", benchmark_plots.plot_ladder, (reading(rows, "plan"),)),
        ("actor_times", benchmark_plots.plot_actor_times, (ladder,)),
        ("server_times", benchmark_plots.plot_server_times, (ladder,)),
        ("utilization", benchmark_plots.plot_utilization, (windows, usable_cores(document))),
        ("fill", benchmark_plots.plot_fill, (ladder,)),
        ("fill_distribution", benchmark_plots.plot_fill_distribution, (windows,)),
        ("roofline", benchmark_plots.plot_roofline, (engine_speeds(document, rows),)),
    )
    for name, plot, data in pictures:
        plots.write_picture(folder / f"{name}.svg", plot, *data)


def verdict(rows: pd.DataFrame) -> str:
    """Return in a sentence or two what all phases together give, and what limits then."""
    ladder = reading(rows, "ladder")
    full, base = ladder.iloc[-1], ladder.iloc[0]
    if pd.isna(full["simulations_per_second"]) or pd.isna(base["simulations_per_second"]):
        return "The full configuration was not compared with the baseline: one of them was not measured."
    speeds = [format_metric("simulations_per_second", row["simulations_per_second"]) for row in (base, full)]
    if pd.isna(full["speed_up"]):
        return f"The full configuration makes {speeds[1]} simulations a second."
    interval = ""
    if not pd.isna(full["speed_up_low"]):
        interval = f" ({full['speed_up_low']:.3g} to {full['speed_up_high']:.3g})"
    sentences = [
        f"From {speeds[0]} to {speeds[1]} simulations a second: {full['speed_up']:.3g} times the baseline"
        f"{interval}, with the same network and {full['simulations']} simulations a move."
    ]
    proofs = ladder["search_unchanged"]
    if (proofs == True).all():  # noqa: E712  # None is no proof
        sentences.append("The search is unchanged in every row: the same visit counts as the reference.")
    elif (proofs == False).any():  # noqa: E712
        changed = ", ".join(ladder.loc[proofs == False, "title"])  # noqa: E712
        sentences.append(f"The search is NOT the reference's in: {changed}.")
    if full["limiting_resource"]:
        sentences.append(f"What limits it now: {full['limiting_resource']}.")
    return " ".join(sentences)


def _tables(rows: pd.DataFrame, receipts: Receipts | None) -> Iterator[Table]:
    yield ladder_table(rows, "ladder", LADDER_CAPTION, receipts)
    if len(reading(rows, "plan")) > 1:
        yield ladder_table(rows, "plan", PLAN_CAPTION)
    if rows["reading"].isin(["alone", "without"]).any():
        yield readings_table(rows, receipts)


def _ladder(rows: pd.DataFrame, receipts: Receipts | None) -> str:
    picture = _figure(
        benchmark_plots.plot_ladder,
        (reading(rows, "ladder"),),
        "Speed-up over the baseline.",
        "Orange: what the expectations of self-play's phases come to, multiplied up to that row.",
    )
    return ladder_table(rows, "ladder", LADDER_CAPTION, receipts).html() + picture


def _readings(rows: pd.DataFrame, receipts: Receipts | None) -> str:
    return readings_table(rows, receipts).html() if rows["reading"].isin(["alone", "without"]).any() else ""


def _quality(receipts: Receipts | None) -> str:
    if receipts is None:
        return (
            '<p class="absent">Not tested yet: <code>snakemake quality</code> trains agents with these settings '
            "and beside them a reference, and the next <code>snakemake benchmark_all</code> shows here what "
            "came out.</p>"
        )
    commit = str(receipts.document["provenance"].get("commit") or "unknown")[:10]
    return (
        f"<p>{html.escape(receipts.sentence)}</p>"
        f'<p><a href="{html.escape(receipts.href)}">The whole comparison</a>: errors on solved positions set by '
        f"set, Elo at equal simulations and at equal time, every training (commit {html.escape(commit)}).</p>"
    )


def _plan(rows: pd.DataFrame) -> str:
    chosen = reading(rows, "plan")
    if len(chosen) < 2:
        return ""
    picture = _figure(
        benchmark_plots.plot_ladder,
        (chosen,),
        "Speed-up over the baseline, following the plan to the letter.",
        "",
    )
    return ladder_table(rows, "plan", PLAN_CAPTION).html() + picture


def _times(document: Document, rows: pd.DataFrame) -> str:
    ladder = reading(rows, "ladder")
    return (
        _figure(
            benchmark_plots.plot_actor_times,
            (ladder,),
            "What actors do with their time.",
            "Medians over the windows, which need not add up to 100 %; grey is waiting for answers.",
        )
        + _figure(
            benchmark_plots.plot_server_times,
            (ladder,),
            "What the inference server does with its time.",
            "Where there is one; grey is waiting for rows.",
        )
        + _figure(
            benchmark_plots.plot_utilization,
            (ladder_windows(document), usable_cores(document)),
            "How busy the machine is.",
            "Processor time of all our processes, and the GPU where there is one, every half second of a window.",
        )
    )


def _batches(document: Document, rows: pd.DataFrame) -> str:
    return (
        _figure(
            benchmark_plots.plot_fill,
            (reading(rows, "ladder"),),
            "Batches used, and share of the ceiling.",
            "The ceiling is what the same network and engine evaluate alone at their best batch size, in as many "
            "processes as self-play evaluates in.",
        )
        + _figure(
            benchmark_plots.plot_fill_distribution,
            (ladder_windows(document),),
            "How full batches are.",
            "All batches of a rung's windows; where actors evaluate themselves, a batch has room for all their games.",
        )
        + _figure(
            benchmark_plots.plot_roofline,
            (engine_speeds(document, rows),),
            "The network alone, by batch size, and self-play below it.",
            "A line is the most that self-play could evaluate with an engine on this machine; a diamond is what a "
            "rung of the ladder does.",
        )
    )


def _figure(plot: Plot, data: tuple[Any, ...], heading: str, caption: str) -> str:
    return figure(plot, data, heading, caption, f"{heading} all.csv and measurements.json have the numbers.")


def _phases(document: Document) -> str:
    items = []
    for phase in document["phases"]:
        expected = phase["expected"]
        text = phase["caption"]
        if expected:
            bounds = f"{expected['low']:g}"
            if expected["high"] != expected["low"]:
                bounds += f" to {expected['high']:g}"
            text += f" Expected: {bounds} times, by {expected['source']}."
        if phase["order"]:
            text += f" Judged by {find_metric(phase['judged_by']).label}."
        items.append(
            f'<tr><th scope="row">{html.escape(phase["title"])}</th><td>{html.escape(text)}</td></tr>'
        )
    return f'<table class="text"><tbody>{"".join(items)}</tbody></table>'


def _method(document: Document) -> str:
    budget = document["budget"]
    paragraphs = (
        f"Each configuration is run as training runs it: the same actor and server processes. "
        f"They start, play for "
        f"{budget['warm_up_s']:g} s, get new weights, and are then measured for {budget['window_s']:g} s; "
        f"{budget['rounds']} rounds of that, all configurations taking turns, with a baseline "
        f"window before every "
        "few of them. Games begin at all stages of play, so that a short window is like any "
        "other. No learner "
        "runs at the same time; it is measured by itself, on made-up games.",
        "Numbers are medians over windows. Speed-ups are ratios of two medians, or, where both have as many windows, "
        "the median of their ratios round by round, with 95 % intervals by Student's t on logarithms. "
        "Configurations that are the same in effect on this machine "
        "(page-locked memory "
        "without a GPU) are measured once, and the row says 'no effect'.",
        "Speeds are compared in leaves a second: simulations that need an answer from the "
        "network. The others end "
        "in a known result and cost next to nothing, and how many there are depends on the "
        "stage of the game. "
        "Simulations/s is leaves/s times the simulations to a leaf over all windows, one "
        "number for all rows.",
        "Games an hour follow from simulations/s, simulations a move and the mean length of a "
        "game, which is the "
        "same in all rows and is taken over all windows: a slow row finishes hardly a game in a window.",
        "'Search unchanged': fixed positions are searched with the row's search settings and "
        "an evaluator that is "
        "a pure function of the position, before and after a move, and all visit counts are "
        "compared with those "
        "of the reference in Python. Half precision changes the network's answers, not the search.",
    )
    return "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)


def _tiles(rows: pd.DataFrame) -> str:
    full = reading(rows, "ladder").iloc[-1]
    tiles = []
    for name in KEY_NUMBERS:
        value = full.get(name)
        if value is None or pd.isna(value):
            continue
        metric = find_metric(name)
        tiles.append(
            f'<div title="{html.escape(metric.definition)}"><dt>{html.escape(metric.label)}</dt>'
            f"<dd>{html.escape(format_metric(name, float(value)))}</dd></div>"
        )
    return f'<dl class="tiles">{"".join(tiles)}</dl>' if tiles else ""


def _failures(rows: pd.DataFrame) -> list[str]:
    failed = rows[rows["status"] == "failed"]
    return [f"{row['name']} failed: {row['reason']}" for _, row in failed.iterrows()]


def _origin(document: Document) -> str:
    parts = (
        str(document["hardware"]["machine"]),
        f"hardware profile {document['hardware_profile']}",
        f"device {document['device']}",
        network_in_words(document["network"]),
        f"{document['simulations']} simulations a move",
        str(document["provenance"]["time_utc"])[:10],
    )
    return " · ".join(parts)


def _provenance(document: Document) -> str:
    text = document["config_toml"]
    return provenance_section(document["hardware"], document["provenance"], tomli.loads(text), text)
