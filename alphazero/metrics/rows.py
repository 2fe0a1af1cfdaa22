"""Reads the rows of a run's metrics.csv, for those who do without pandas."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows, by column; OSError, csv.Error or UnicodeDecodeError if `path` cannot be read."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(row: Mapping[str, str], name: str) -> float | None:
    """Return what `row` has in the column `name`; None where there is no finite number."""
    try:
        value = float(row.get(name) or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
