"""The tables of a report: pandas in; CSV, Markdown and HTML out."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from alphazero.metrics.catalog import (
    CATALOG,
    OF_SEARCHES,
    WITH_A_NETWORK,
    aggregate,
    find_metric,
    format_metric,
    format_share,
)

RANDOM, UNTRAINED = "random", "untrained"  # values of the column `agent`; any other is a trained agent
POLICY, SEARCH = "policy", "search"  # values of the column `mode`; a random move has its own
MEAN = "mean"  # value of the column `set` for the unweighted mean over the sets


@dataclass(frozen=True)
class Table:
    """What is shown, and the numbers behind it.

    Attributes:
        name: file name without suffix.
        caption: what the rows and columns are, in a sentence.
        shown: text cells; the index holds the rows' labels and its name the label of that column.
        intervals: text cells in smaller print below those of `shown`, of the same shape; None: no such cells.
        numbers: what a CSV file gets.
        strong: labels of the rows that matter most.
        links: addresses that cells lead to, of the shape of `shown`, "" for none; None: no links.
    """

    name: str
    caption: str
    shown: pd.DataFrame
    numbers: pd.DataFrame
    intervals: pd.DataFrame | None = None
    strong: tuple[str, ...] = ()
    links: pd.DataFrame | None = None

    def markdown(self) -> str:
        """Return the table in GitHub's Markdown, without the caption."""
        header = [str(self.shown.index.name or ""), *map(str, self.shown.columns)]
        lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * len(self.shown.columns)]
        for row, label in enumerate(self.shown.index):
            cells = [str(label)]
            for column in range(len(self.shown.columns)):
                interval = "" if self.intervals is None else str(self.intervals.iloc[row, column])
                text, link = str(self.shown.iloc[row, column]), self._link(row, column)
                cell = f"[{text}]({link})" if link else text
                cells.append(cell + (f" ({interval})" if interval else ""))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """Return the caption and a `<table>` with header scopes; every text is escaped."""
        columns = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in self.shown.columns)
        rows = []
        for row, label in enumerate(self.shown.index):
            cells = []
            for column in range(len(self.shown.columns)):
                interval = "" if self.intervals is None else str(self.intervals.iloc[row, column])
                small = f"<small>{html.escape(interval)}</small>" if interval else ""
                text, link = html.escape(str(self.shown.iloc[row, column])), self._link(row, column)
                cell = f'<a href="{html.escape(link)}">{text}</a>' if link else text
                cells.append(f"<td>{cell}{small}</td>")
            strong = ' class="strong"' if label in self.strong else ""
            rows.append(f'<tr{strong}><th scope="row">{html.escape(str(label))}</th>{"".join(cells)}</tr>')
        first = html.escape(str(self.shown.index.name or ""))
        return (
            f'<p class="caption" id="{self.name}-caption">{html.escape(self.caption)}</p>'
            f'<div class="scroll" tabindex="0"><table aria-describedby="{self.name}-caption">'
            f'<thead><tr><th scope="col">{first}</th>{columns}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )

    def _link(self, row: int, column: int) -> str:
        return "" if self.links is None else str(self.links.iloc[row, column])

    def write(self, folder: Path) -> None:
        """Write `name`.csv (numbers) and `name`.md (as shown) into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.numbers.to_csv(folder / f"{self.name}.csv", lineterminator="\n")
        (folder / f"{self.name}.md").write_text(
            f"{self.caption}\n\n{self.markdown()}", encoding="utf-8", newline="\n"
        )


def solved_errors(solved: pd.DataFrame, column: str = "error") -> pd.DataFrame:
    """Return `column` by agent (rows) and set (columns, the mean over them last).

    Args:
        solved: rows of solved_positions.csv. Where it has no set called 'mean' the mean is taken here.
        column: error, error_low or error_high.

    Returns:
        float64, rows in the file's order, labelled as in `agent_label`.
    """
    labelled = solved.assign(label=[agent_label(row) for _, row in solved.iterrows()])
    wide = labelled.pivot_table(index="label", columns="set", values=column, sort=False, dropna=False)
    sets = [name for name in dict.fromkeys(solved["set"]) if name != MEAN]
    if MEAN not in wide.columns:
        wide[MEAN] = wide[sets].mean(axis=1, skipna=False) if column == "error" else float("nan")
    return wide.reindex(index=list(dict.fromkeys(labelled["label"])), columns=[*sets, MEAN])


def agent_label(row: pd.Series) -> str:
    """Return what the table calls the agent of a row of solved_positions.csv."""
    if row["agent"] == RANDOM:
        return "random move"
    if row["mode"] == POLICY:
        return f"{row['agent']}, policy head"
    simulations = row.get("simulations")
    if simulations is None or pd.isna(simulations):
        return f"{row['agent']}, search"
    return f"{row['agent']}, {simulations:.0f} simulations"


def trained_agent(solved: pd.DataFrame) -> str | None:
    """Return the agent that training led to: the last that is neither random nor untrained, if any."""
    trained = [str(name) for name in solved["agent"] if name not in (RANDOM, UNTRAINED)]
    return trained[-1] if trained else None


def solved_table(solved: pd.DataFrame, note: str = "") -> Table:
    """Return the errors on solved positions, before and after training, with 95 % intervals."""
    errors = solved_errors(solved)
    shown = errors.map(format_share)
    intervals = pd.DataFrame("", index=shown.index, columns=shown.columns)
    if {"error_low", "error_high"} <= set(solved.columns):
        low, high = solved_errors(solved, "error_low"), solved_errors(solved, "error_high")
        for label in shown.index:
            for name in shown.columns:
                bounds = low.loc[label, name], high.loc[label, name]
                if bounds[0] != bounds[1]:
                    intervals.loc[label, name] = bounds_text(*bounds, lambda share: f"{100 * share:.1f}")
    shown.index.name = "agent"
    return Table(
        name="solved_positions",
        caption="Share of solved positions in which the chosen move gives away the best result, with 95 % "
        "intervals. Lower is better." + (f" Positions: {note}." if note else ""),
        shown=shown,
        intervals=intervals,
        numbers=errors.rename_axis(index="agent", columns=None),
        strong=tuple(label for label in shown.index if str(label).startswith(f"{trained_agent(solved)},")),
    )


def match_table(matches: pd.DataFrame) -> Table:
    """Return the matches: games, wins, draws, losses, score and Elo difference with its 95 % interval."""
    columns = ["opponent", "games", "wins", "draws", "losses", "score", "Elo difference"]
    shown, intervals = [], []
    for _, row in matches.iterrows():
        counts = [_count(row.get(name)) for name in ("games", "wins", "draws", "losses")]
        elo, interval = elo_texts(row.get("elo_difference"), row.get("elo_low"), row.get("elo_high"))
        shown.append([row["opponent"].replace("_", " "), *counts, format_share(row["score"]), elo])
        intervals.append([""] * 6 + [interval])
    index = pd.Index(matches["agent"], name="agent")
    return Table(
        name="matches",
        caption="Matches from varied openings, no game counted twice. A score is wins plus half the draws, "
        "as a share of the games; the interval of the Elo difference is 95 %.",
        shown=pd.DataFrame(shown, index=index, columns=columns),
        intervals=pd.DataFrame(intervals, index=index, columns=columns),
        numbers=matches.set_index("agent"),
    )


def elo_texts(difference: float | None, low: float | None, high: float | None) -> tuple[str, str]:
    """Return (estimate, interval); with every game won or lost there is only one bound, in the estimate's place."""
    interval = bounds_text(low, high, "{:+.0f}".format)
    return (interval or "-", "") if pd.isna(difference) else (f"{difference:+.0f}", interval)


def bounds_text(low: float | None, high: float | None, write: Callable[[float], str]) -> str:
    """Return "LOW to HIGH", or "above LOW", "below HIGH" or "" where an end is None or NaN: it has no bound there."""
    if pd.isna(low):
        return "" if pd.isna(high) else f"below {write(high)}"
    return f"above {write(low)}" if pd.isna(high) else f"{write(low)} to {write(high)}"


def over_the_run(name: str, metrics: pd.DataFrame) -> float | None:
    """Return the one number that metric `name` comes to over a run; None if it was not measured.

    Self-play's throughput is that of searches with a network: without one a position costs a thirtieth.
    """
    if name not in metrics:
        return None
    values = metrics[name]
    if name in OF_SEARCHES and set(OF_SEARCHES) <= set(metrics):
        values = values[_rows_with_a_network(metrics)]
    return aggregate(name, values.tolist())


def definition_over_the_run(name: str) -> str:
    """Return what metric `name` is, and over which of a run's rows where these are not all."""
    definition = find_metric(name).definition
    return f"{definition} {WITH_A_NETWORK}" if name in OF_SEARCHES else definition


def _rows_with_a_network(metrics: pd.DataFrame) -> pd.Series:
    """Return for each row whether all of its searches had a network.

    In the first row that had one a part had none: it counts only where no other had one.
    """
    without = (metrics["simulations_per_second"] > 0) & (metrics["evaluations_per_second"] == 0)
    evaluated = metrics["evaluations_per_second"] > 0
    if not without.any():
        return ~without
    after_the_first = evaluated.shift(fill_value=False).cummax() & ~without
    return after_the_first if (after_the_first & evaluated).any() else ~without


def metrics_table(metrics: pd.DataFrame) -> Table:
    """Return every metric that was measured, as one number over the run."""
    rows, numbers, names = [], [], []
    for name, metric in CATALOG.items():
        value = over_the_run(name, metrics)
        if value is not None:
            names.append(name)
            shown = format_metric(name, value)
            rows.append([metric.label, shown, metric.aggregation, definition_over_the_run(name)])
            numbers.append([value, metric.unit, metric.aggregation])
    index = pd.Index(names, name="metric", dtype=object)
    return Table(
        name="metrics_summary",
        caption="Every metric that the run measured; 'over the run' says how its rows became one number. Throughput of "
        "self-play is that of the time with a network.",
        shown=pd.DataFrame(rows, index=index, columns=["label", "value", "over the run", "definition"]),
        numbers=pd.DataFrame(numbers, index=index, columns=["value", "unit", "over_the_run"]),
    )


def _count(value: float | None) -> str:
    return "-" if value is None or pd.isna(value) else f"{value:,.0f}"
