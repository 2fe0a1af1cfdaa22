"""The rating list of a run's checkpoints: table, matches, picture and page. From ratings.json's content,
and that of hardware.json and provenance.json under these names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from alphazero.metrics.catalog import format_share
from alphazero.report import plots
from alphazero.report.figure import figure
from alphazero.report.page import page
from alphazero.report.provenance_section import provenance_section
from alphazero.report.tables import Table, bounds_text, elo_texts

Document = Mapping[str, Any]


def write_ratings(document: Document, folder: Path) -> None:
    """Write the page, both tables (CSV, Markdown) and the picture (SVG, light) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in (rating_table(document), crosstable(document)):
        table.write(folder)
    plots.write_picture(folder / "ratings.svg", plots.plot_ratings, _frame(document))
    (folder / "ratings.html").write_text(render_ratings_page(document), encoding="utf-8", newline="\n")


def render_ratings_page(document: Document) -> str:
    """Return the whole page."""
    best = max(
        (row for row in document["ratings"] if row["elo"] is not None), key=lambda row: float(row["elo"])
    )
    picture = figure(
        plots.plot_ratings,
        (_frame(document),),
        "Ratings.",
        "Elo with 95 % intervals; 0 is the random player. Dotted lines have no end that the games would put.",
        "The table above has the numbers.",
    )
    origin = (
        f"{document['run']} · {document['simulations']} simulations a move · the {document['openings']} most even "
        f"openings of {document['opening_moves']} moves · seed {document['seed']}"
    )
    return page(
        "Ratings of a run's checkpoints",
        origin,
        f"The strongest player is {best['agent']}, {best['elo']:+.0f} Elo above random play"
        + (f" (95 %: {_interval(best)})." if _interval(best) else "."),
        [
            ("ratings", "Ratings", rating_table(document).html() + picture),
            ("matches", "Matches", crosstable(document).html()),
            (
                "provenance",
                "Where these results come from",
                provenance_section(document["hardware"], document["provenance"]),
            ),
        ],
    )


def rating_table(document: Document) -> Table:
    """Return a row a player, the strongest first."""
    rows = document["ratings"]
    names = pd.Index([row["agent"] for row in rows], name="player")
    shown = [["-" if row["elo"] is None else f"{row['elo']:+.0f}", f"{row['games']:,}"] for row in rows]
    intervals = [[_interval(row), ""] for row in rows]
    columns = ["Elo", "games"]
    return Table(
        "ratings",
        "Elo with 95 % intervals; the random player is 0. Bradley-Terry, a draw as half a win and half a loss, and a "
        "drawn game more for each two players that met: without it who never lost a point would have no rating. Where "
        "no point was lost, or none won, the games put no bound on that side.",
        pd.DataFrame(shown, names, columns),
        pd.DataFrame(rows).set_index("agent"),
        pd.DataFrame(intervals, names, columns),
    )


def crosstable(document: Document) -> Table:
    """Return a row a match: the score, and how often an opening gave 0, half, 1, one and a half and 2 points."""
    rows = document["matches"]
    names = pd.Index([f"{row['agent']} - {row['opponent']}" for row in rows], name="match")
    differences = [elo_texts(row["elo_difference"], row["elo_low"], row["elo_high"]) for row in rows]
    shown = [
        [
            f"{row['games']:,}",
            f"{row['wins']} / {row['draws']} / {row['losses']}",
            format_share(row["score"]),
            difference,
            " ".join(map(str, row["pentanomial"])),
        ]
        for row, (difference, _) in zip(rows, differences, strict=True)
    ]
    intervals = [["", "", "", interval, ""] for _, interval in differences]
    columns = ["games", "won / drawn / lost", "score", "Elo difference", "openings by points 0, ½, 1, 1½, 2"]
    return Table(
        "matches",
        "Matches, two games an opening with the colours swapped; a game that repeats another move by move is not "
        "counted. Intervals are 95 %, from the spread between openings (pentanomial).",
        pd.DataFrame(shown, names, columns),
        pd.DataFrame(rows).drop(columns="pentanomial").set_index(["agent", "opponent"]),
        pd.DataFrame(intervals, names, columns),
    )


def _interval(row: Mapping[str, Any]) -> str:
    """Return a rating's interval in words, empty for an anchor and for a player without a rating."""
    low, high = row["elo_low"], row["elo_high"]
    return "" if low == high else bounds_text(low, high, "{:+.0f}".format)


def _frame(document: Document) -> pd.DataFrame:
    frame = pd.DataFrame(document["ratings"])
    return frame.astype(dict.fromkeys(("elo", "elo_low", "elo_high"), "float64"))
