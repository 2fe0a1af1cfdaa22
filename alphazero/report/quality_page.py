"""The page of a quality comparison: is what is faster also as good? From quality.json alone."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alphazero.documents import read_document
from alphazero.metrics.catalog import find_metric, format_share
from alphazero.report import plots
from alphazero.report.figure import figure
from alphazero.report.page import page
from alphazero.report.plots import Theme
from alphazero.report.provenance_section import provenance_section
from alphazero.report.tables import Table, bounds_text

Document = Mapping[str, Any]

FORMAT = 1
_KEYS = (
    "config_toml", "game", "hardware", "hardware_profile", "plan", "positions", "provenance", "sets", "simulations",
    "variants",
)  # fmt: skip
NO_WORSE, WORSE, NOT_SHOWN = "no worse", "worse", "not shown"
POINTS = "percentage points"  # the unit of a difference of shares


def read_quality(path: Path) -> Document:
    """Return the content of quality.json; UserError if it is not one."""
    return read_document(path, "quality.json", FORMAT, _KEYS, "alphazero quality measure")


def render_quality_page(document: Document) -> str:
    """Return the whole page."""
    plan = document["plan"]
    title = f"Speed and quality: {document['game'].replace('_', ' ').title()}"
    origin = " · ".join(
        (
            str(document["hardware"]["machine"]),
            f"hardware profile {document['hardware_profile']}",
            f"{document['simulations']} simulations a move",
            f"{plan['title']} plan, {plan['runs']} runs at most of each configuration",
            str(document["provenance"]["time_utc"])[:10],
        )
    )
    sections = [
        ("verdicts", "Verdicts", comparison_table(document).html() + _differences(document)),
        ("sets", "Set by set", "".join(table.html() for table in set_tables(document))),
        ("runs", "The trainings", runs_table(document).html()),
        ("configurations", "The configurations", _captions(document)),
        ("method", "How it was tested", _method(document)),
        (
            "provenance",
            "Where these results come from",
            provenance_section(document["hardware"], document["provenance"]),
        ),
    ]
    return page(title, origin, summary(document), sections, _surprises(document))


def write_quality_parts(document: Document, folder: Path) -> None:
    """Write every table (CSV, Markdown) and picture (SVG, light) of the page into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in (comparison_table(document), *set_tables(document), runs_table(document)):
        table.write(folder)
    plots.write_picture(folder / "quality.svg", plot_differences, document)


def summary(document: Document) -> str:
    """Return the verdicts in a sentence or two."""
    compared = [each for each in document["variants"] if each["comparison"] and not each["expected"]]
    if not compared:
        return "Nothing was compared with the reference, beside planted cases."
    by_verdict = {
        verdict: [each["title"] for each in compared if each["comparison"]["verdict"] == verdict]
        for verdict in (NO_WORSE, WORSE, NOT_SHOWN)
    }
    words = {
        NO_WORSE: "Shown to be no worse than the reference, within the stated margins: {}.",
        WORSE: "Worse than the reference: {}.",
        NOT_SHOWN: "Neither shown; more runs would tell: {}.",
    }
    return " ".join(words[verdict].format(", ".join(names)) for verdict, names in by_verdict.items() if names)


def comparison_table(document: Document) -> Table:
    """Return a row a configuration: its verdict, and how it differs from the reference in each metric."""
    metrics = list(
        dict.fromkeys(
            entry["metric"]
            for each in document["variants"]
            for entry in (each["comparison"] or _NO)["metrics"]
        )
    )
    shown: list[list[str]] = []
    intervals: list[list[str]] = []
    numbers: list[Any] = []
    for variant in document["variants"]:
        comparison = variant["comparison"]
        entries = {entry["metric"]: entry for entry in (comparison or _NO)["metrics"]}
        shown.append(
            [_verdict(variant), str(len(variant["runs"]) or "-")]
            + [difference_text(name, entries[name]["value"]) if name in entries else "-" for name in metrics]
        )
        intervals.append(
            ["", ""]
            + [difference_interval(name, entries[name]) if name in entries else "" for name in metrics]
        )
        row: dict[str, Any] = {
            "name": variant["name"],
            "verdict": _verdict(variant),
            "runs": len(variant["runs"]),
        }
        for name, entry in entries.items():
            row |= {name: entry["value"], f"{name}_low": entry["low"], f"{name}_high": entry["high"]}
            row |= {f"{name}_margin": entry["margin"], f"{name}_verdict": entry["verdict"]}
        numbers.append(row)
    titles = pd.Index([variant["title"] for variant in document["variants"]], name="configuration")
    columns = ["verdict", "runs", *(_heading(document, name) for name in metrics)]
    return Table(
        name="quality",
        caption="Each configuration less the reference, with 95 % intervals that count the spread between seeds "
        f"and between positions. Errors in {POINTS} (lower is better), strength in Elo (higher is better). 'No "
        "worse' is said where the whole interval of every metric with a margin stays within it.",
        shown=pd.DataFrame(shown, titles, columns),
        intervals=pd.DataFrame(intervals, titles, columns),
        numbers=pd.DataFrame(numbers).set_index("name"),
    )


def difference_text(name: str, value: float) -> str:
    """Return a difference in metric `name`: Elo whole, shares in percentage points."""
    unit = find_metric(name).unit
    if unit == "Elo":
        return f"{value:+.0f}"
    return f"{100 * value:+.1f}" if unit == "share" else f"{value:+.3f}"


def difference_interval(name: str, entry: Mapping[str, Any]) -> str:
    """Return the interval of a difference in metric `name` in words, as far as it has ends."""
    return bounds_text(entry["low"], entry["high"], lambda bound: difference_text(name, bound))


def set_tables(document: Document) -> list[Table]:
    """Return for the policy head and for the search a table of the errors set by set."""
    return [
        _set_table(document, "policy_error", "policy_sets", "Errors of the bare policy head"),
        _set_table(
            document,
            "search_error",
            "search_sets",
            f"Errors with {document['simulations']} simulations a move",
        ),
    ]


def runs_table(document: Document) -> Table:
    """Return a row a training: what it used, and its agent's errors."""
    rows = [
        {"configuration": variant["title"], **run}
        for variant in document["variants"]
        for run in variant["runs"]
    ]
    numbers = pd.DataFrame(rows).set_index("configuration")
    shown = pd.DataFrame(
        {
            "seed": numbers["seed"].astype(str),
            "games": numbers["games"].map("{:,.0f}".format),
            "positions": numbers["positions"].map("{:,.0f}".format),
            "steps": numbers["steps"].map("{:,.0f}".format),
            "core-seconds": numbers["core_s"].map("{:,.0f}".format),
            "policy error": numbers["policy_error"].map(format_share),
            "search error": numbers["search_error"].map(format_share),
            "value error": numbers["value_error"].map(format_share),
        }
    )
    return Table(
        "runs",
        "Every training. Core-seconds: run time times the cores that the run had to itself.",
        shown,
        numbers,
    )


def plot_differences(document: Document, theme: Theme) -> Figure | None:
    """Differences from the reference, metric by metric, with intervals and the margin."""
    compared = [variant for variant in document["variants"] if variant["comparison"]]
    margins: dict[str, float] = document["plan"]["margins"]
    if not compared or not margins:
        return None
    width = max(9.0, 2.2 * len(margins))  # room for the panels' titles
    drawing = Figure(figsize=(width, 1.2 + 0.36 * len(compared)), layout="constrained")
    panels = drawing.subplots(1, len(margins), sharey=True, squeeze=False)[0]
    places = range(len(compared))
    looks = {
        NO_WORSE: (theme.series[2], "o"),
        NOT_SHOWN: (theme.series[0], "s"),
        WORSE: (theme.series[1], "^"),
    }
    drawn: set[str] = set()
    for axes, (name, margin) in zip(panels, margins.items(), strict=True):
        sign = -1.0 if find_metric(name).better == "higher" else 1.0
        scale = 100.0 if find_metric(name).unit == "share" else 1.0
        open_ends: list[tuple[int, float, str, str]] = []
        axes.axvline(0.0, color=theme.muted, linewidth=1.0)
        axes.axvline(sign * margin * scale, color=theme.muted, linewidth=1.6, linestyle=(0, (4, 3)))
        for place, variant in zip(places, compared, strict=True):
            entry = next((each for each in variant["comparison"]["metrics"] if each["metric"] == name), None)
            if entry is None:
                continue  # Elo at equal time is measured for rows of the hardware profile alone
            color, marker = looks[entry["verdict"]]
            low, high = (entry["value"] if entry[end] is None else entry[end] for end in ("low", "high"))
            axes.hlines(place, scale * low, scale * high, color=color, linewidth=4, alpha=0.6)
            axes.plot(scale * entry["value"], place, marker, color=color, markersize=6)
            drawn.add(entry["verdict"])
            open_ends += [
                (place, scale * entry["value"], end, color) for end in ("low", "high") if entry[end] is None
            ]
        edges = dict(zip(("low", "high"), axes.get_xlim(), strict=True))
        for place, value, end, color in open_ends:
            axes.hlines(place, *sorted((edges[end], value)), color=color, linestyle=":", linewidth=2)
        axes.set_xlim(edges["low"], edges["high"])
        unit = POINTS if find_metric(name).unit == "share" else find_metric(name).unit
        axes.set_title(find_metric(name).label, fontsize=9.5)
        axes.set_xlabel("" if unit == "1" else unit, fontsize=9)
        axes.locator_params(axis="x", nbins=3)  # more labels of three decimals would touch
        axes.grid(False, axis="y")
    panels[0].set_yticks(list(places), [variant["title"] for variant in compared])
    panels[0].set_ylim(len(compared) - 0.5, -0.5)
    panels[0].tick_params(axis="y", labelcolor=theme.ink)
    handles = [
        Line2D([], [], color=color, marker=marker, linewidth=4, alpha=0.8, label=f"by this metric {verdict}")
        for verdict, (color, marker) in looks.items()
        if verdict in drawn
    ]
    handles.append(Line2D([], [], color=theme.muted, linestyle=(0, (4, 3)), label="margin"))
    drawing.legend(handles=handles, loc="outside lower right", ncols=len(handles), fontsize=9)
    return drawing


_NO: dict[str, Any] = {"metrics": [], "sets": []}


def _set_table(document: Document, metric: str, name: str, what: str) -> Table:
    columns = [*document["sets"], "mean"]
    compared = [variant for variant in document["variants"] if variant["comparison"]]
    shown: list[list[str]] = []
    intervals: list[list[str]] = []
    numbers: list[Any] = []
    for variant in compared:
        entries = {each["set"]: each for each in variant["comparison"]["sets"] if each["metric"] == metric}
        if not numbers:
            shown.append([format_share(entries[column]["reference"]) for column in columns])
            intervals.append([""] * len(columns))
            numbers.append([entries[column]["reference"] for column in columns])
        shown.append([format_share(entries[column]["candidate"]) for column in columns])
        intervals.append([difference_interval(metric, entries[column]) for column in columns])
        numbers.append([entries[column]["candidate"] for column in columns])
    titles = ["Reference", *(variant["title"] for variant in compared)] if compared else []
    index = pd.Index(titles, name="configuration")
    return Table(
        name,
        f"{what}, mean over the runs; below it the 95 % interval of the difference from the reference, in {POINTS}.",
        pd.DataFrame(shown, index, columns),
        pd.DataFrame(numbers, index, columns),
        pd.DataFrame(intervals, index, columns),
    )


def _differences(document: Document) -> str:
    return figure(
        plot_differences,
        (document,),
        "Differences from the reference, with 95 % intervals.",
        "A configuration is accepted where no bar reaches the dashed line, the margin.",
        "Differences from the reference. The table above has the numbers.",
    )


def _captions(document: Document) -> str:
    rows = []
    for variant in document["variants"]:
        settings = ", ".join(f"{name} = {value}" for name, value in variant["settings"].items())
        text = variant["caption"] + (f" ({settings})" if settings else "")
        rows.append(
            f'<tr><th scope="row">{html.escape(variant["title"])}</th><td>{html.escape(text)}</td></tr>'
        )
    settings = document["config_toml"]
    return (
        f'<table class="text"><tbody>{"".join(rows)}</tbody></table>'
        f"<details><summary>All settings of the reference's first run</summary><pre>{html.escape(settings)}</pre>"
        "</details>"
    )


def _method(document: Document) -> str:
    plan = document["plan"]
    paragraphs = (
        "Every configuration is trained several times, each with a seed of its own, on the same number of "
        "self-play positions, with the same number of training steps and the same network. Then every agent "
        f"answers the same {document['positions']:,} solved positions in the same float32 arithmetic, "
        f"with the policy head alone and with {document['simulations']} simulations, and plays "
        f"{plan['match_games']} games from random openings, both colours each, against every "
        "agent of the reference.",
        "The first positions of every training are played without a network (training.untrained_positions, in the "
        "settings above): what a row changes about the network in self-play acts on the others alone.",
        "The backends' trees are equal visit by visit (docs/mcts_contract.md), so a training can differ only by "
        "what the search sees, numbers and their age, and that is what the rows change one by one.",
        "An interval has a part from runs and a part from positions, both crossed: Owen's variance, Student's t "
        "with Satterthwaite's degrees of freedom. The margins were fixed before any run. A configuration is "
        "accepted if every metric with a margin shows it to be no worse, rejected if one shows it to be worse. Each "
        "metric of equal configurations is called worse by chance in one of forty: one rejection by little, among many "
        "rows, is no proof. Runs that are added after a look are accepted a little too often.",
        "'Equal time' sets both as they were when the faster one had ended, measured in core-seconds.",
    )
    return "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)


def _surprises(document: Document) -> list[str]:
    """Return a sentence for each planted configuration that was not judged as it had to be."""
    return [
        f"{variant['title']} is planted and had to come out as '{variant['expected']}', but was judged "
        f"'{variant['comparison']['verdict']}': the other verdicts are in doubt"
        for variant in document["variants"]
        if variant["expected"] and variant["comparison"]["verdict"] != variant["expected"]
    ]


def _verdict(variant: Mapping[str, Any]) -> str:
    if variant["comparison"] is not None:
        return str(variant["comparison"]["verdict"])
    return "-" if variant["order"] == 0 else "no effect on training"


def _heading(document: Document, name: str) -> str:
    margin = document["plan"]["margins"].get(name)
    label = find_metric(name).label
    if margin is None:
        return label
    scaled = margin * (100 if find_metric(name).unit == "share" else 1)
    return f"{label} (margin {scaled:g})"
