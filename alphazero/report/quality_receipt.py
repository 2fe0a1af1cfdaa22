"""What `alphazero quality` found, as the benchmark's tables show it: a verdict a row, with a link to its page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alphazero.metrics.catalog import find_metric
from alphazero.report.quality_page import difference_interval, difference_text, read_quality, summary

PAGE = "quality.html"  # beside quality.json
SHOWN = (("policy_error", "policy error"), ("search_error", "search error"), ("elo_difference", "Elo"))


@dataclass(frozen=True)
class Receipt:
    """One configuration's verdict; `details` are its differences from the reference, with their intervals."""

    verdict: str
    details: str


@dataclass(frozen=True)
class Receipts:
    """A quality comparison, and the address of its page as seen from where it is linked."""

    document: Mapping[str, Any]
    href: str

    @property
    def sentence(self) -> str:
        """The verdicts in a sentence or two, and how far they go."""
        text = summary(self.document)
        if self.document["plan"]["title"] == "Quick":
            text += " This was the quick plan, whose verdicts say nothing."
        return text

    def of(self, name: str) -> Receipt | None:
        """Return what was found about the configuration called `name`; None if it was not compared."""
        for variant in self.document["variants"]:
            if variant["name"] == name and variant["comparison"] is not None:
                return Receipt(variant["comparison"]["verdict"], _details(variant["comparison"]["metrics"]))
        return None


def read_receipts(path: Path, seen_from: Path) -> Receipts:
    """Return the comparison in the quality.json `path`, to be linked from a file in the folder `seen_from`.

    Raises UserError if it cannot be read.
    """
    page = path.parent.resolve() / PAGE
    return Receipts(read_quality(path), Path(os.path.relpath(page, seen_from.resolve())).as_posix())


def _details(entries: list[dict[str, Any]]) -> str:
    by_metric = {entry["metric"]: entry for entry in entries}
    parts = []
    for name, label in SHOWN:
        entry = by_metric.get(name)
        if entry is not None:
            unit = " points" if find_metric(name).unit == "share" else ""
            interval = difference_interval(name, entry)
            difference = f"{label} {difference_text(name, entry['value'])}{unit}"
            parts.append(f"{difference} ({interval})" if interval else difference)
    return ", ".join(parts)
