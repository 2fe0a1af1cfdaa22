"""What the benchmark's pictures show, taken from the raw windows in measurements.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from alphazero.report.benchmark_tables import reading

Document = Mapping[str, Any]


@dataclass
class EngineSpeed:
    """One engine of the roofline.

    Attributes:
        alone: evaluations/s by batch size, the network by itself.
        in_selfplay: (mean batch size, evaluations/s) of the rungs of the ladder that evaluate with it.
    """

    alone: dict[int, float]
    in_selfplay: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class RungWindows:
    """All windows of one rung of the ladder that differs in effect from the one below it."""

    title: str
    windows: Sequence[Mapping[str, Any]]


def engine_speeds(document: Document, rows: pd.DataFrame) -> dict[str, EngineSpeed]:
    """Return every engine that was measured alone, by its name and the number of its processes.

    Measured again in another session, it is as it was the last time; for another configuration, it stays the first's.
    """
    variants = {variant["name"]: variant for variant in document["variants"]}
    processes = {
        variant["keys"]["ceiling"]: variant["settings"]["selfplay.actors"]
        if variant["settings"]["inference.placement"] == "local"
        else 1
        for variant in variants.values()
    }
    labels: dict[str, str] = {}  # by key of a ceiling
    first_key: dict[str, str] = {}  # by label
    found: dict[str, EngineSpeed] = {}
    for window in document["windows"]:
        if window["kind"] == "ceiling" and not window["error"]:
            count = processes[window["key"]]
            label = f"{window['engine']}, {count} process{'es' if count > 1 else ''}"
            labels[window["key"]] = label
            if first_key.setdefault(label, window["key"]) == window["key"]:
                found[label] = EngineSpeed({int(size): rate for size, rate in window["metrics"].items()})
    for _, row in reading(rows, "ladder").iterrows():
        known = found.get(labels.get(variants[row["name"]]["keys"]["ceiling"], ""))
        point = (row["inference_batch_size"], row["evaluations_per_second"])
        if (
            known is not None
            and not any(pd.isna(value) for value in point)
            and point not in known.in_selfplay
        ):
            known.in_selfplay.append(point)
    return found


def ladder_windows(document: Document) -> list[RungWindows]:
    """Return the windows of the baseline and of each rung that changes something, as far as measured."""
    titles = {phase["name"]: phase["title"] for phase in document["phases"]}
    found: dict[str, RungWindows] = {}
    for variant in document["variants"]:
        key = variant["keys"]["selfplay"]
        if variant["reading"] in ("baseline", "ladder") and key not in found:
            windows = [
                window for window in document["windows"] if window["key"] == key and not window["error"]
            ]
            if windows:
                found[key] = RungWindows(titles[variant["phase"]], windows)
    return list(found.values())


def usable_cores(document: Document) -> int:
    """Return how many cores there were."""
    return int(document["hardware"]["cpu"]["usable_cores"])
