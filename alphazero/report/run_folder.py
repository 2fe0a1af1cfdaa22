"""Reads what a training run left in its folder. Whatever is missing is None, whatever is damaged is noted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import tomli

from alphazero.errors import UserError

T = TypeVar("T")

LOG_LINES = 40  # lines of the log's end that the report shows

# Columns without which a file says nothing; others are used where they are there.
SOLVED_COLUMNS = ("agent", "mode", "set", "error")
MATCH_COLUMNS = ("agent", "opponent", "games", "score")
CURVE_COLUMNS = ("step", "policy_error", "search_error")
SET_CURVE_COLUMNS = ("step", "mode", "set", "error")
RATING_COLUMNS = ("agent", "elo")
METRIC_COLUMNS = ("run_time_s",)
_TEXT_COLUMNS = frozenset({"agent", "mode", "set", "opponent"})


@dataclass(frozen=True)
class RunData:
    """The inputs of a report.

    Attributes:
        name: the run folder's name.
        config: resolved configuration as nested tables, and `config_text` as it was saved.
        hardware, provenance: the JSON files.
        metrics: rows of metrics.csv.
        solved, matches, ratings, curve, set_curves: tables of the evaluation. The curves have a column
            `training_positions`, taken from `metrics` by training step; NaN where that was not measured.
        solved_note: which solved positions were used.
        health: what `metrics.health` reads, by metric.
        log_tail: last lines of the log; empty if there is none.
        problems: one sentence for each file that is there and could not be used.
    """

    name: str
    config: dict[str, Any] | None
    config_text: str | None
    hardware: dict[str, Any] | None
    provenance: dict[str, Any] | None
    metrics: pd.DataFrame | None
    solved: pd.DataFrame | None
    matches: pd.DataFrame | None
    ratings: pd.DataFrame | None
    curve: pd.DataFrame | None
    set_curves: pd.DataFrame | None
    solved_note: str
    log_tail: tuple[str, ...]
    problems: tuple[str, ...]
    health: dict[str, Any] | None = None


def read_run_folder(folder: Path, log: Path | None = None) -> RunData:
    """Return everything that `folder` has; `log` is a log file.

    Raises:
        UserError: no such folder, or nothing in it that a run writes.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give the folder of a training run")
    problems: list[str] = []

    def read(name: str, reader: Callable[[Path], T]) -> T | None:
        path = folder / name
        if not path.exists():
            return None
        try:
            return reader(path)
        except (OSError, ValueError) as error:  # of pandas, json and tomli, too
            problems.append(f"{name} could not be read: {error}")
            return None

    def read_table(name: str, required: Sequence[str]) -> pd.DataFrame | None:
        return read(name, lambda path: _read_csv(path, required))

    metrics = read_table("metrics.csv", METRIC_COLUMNS)
    evaluation = read("evaluation/evaluation.json", _read_json) or {}
    run = RunData(
        name=folder.resolve().name,
        config_text=read("config.toml", _read_text),
        config=read("config.toml", lambda path: tomli.loads(_read_text(path))),
        hardware=read("hardware.json", _read_hardware),
        provenance=read("provenance.json", _read_json),
        metrics=metrics,
        solved=read_table("evaluation/solved_positions.csv", SOLVED_COLUMNS),
        matches=read_table("evaluation/matches.csv", MATCH_COLUMNS),
        ratings=read_table("evaluation/ratings.csv", RATING_COLUMNS),
        curve=_with_positions(read_table("evaluation/learning_curve.csv", CURVE_COLUMNS), metrics),
        set_curves=_with_positions(
            read_table("evaluation/learning_curve_sets.csv", SET_CURVE_COLUMNS), metrics
        ),
        solved_note=str(evaluation.get("solved_positions_note") or ""),
        log_tail=() if log is None else _read_tail(log),
        problems=(),
        health=read("health.json", _read_health),
    )
    inputs = (run.config, run.hardware, run.provenance, run.metrics, run.solved, run.matches, run.curve)
    if all(data is None for data in inputs) and not problems:
        raise UserError(
            f"{folder} has no config.toml, metrics.csv or evaluation/: give the folder of a training run"
        )
    return replace(run, problems=tuple(dict.fromkeys(problems)))


def _with_positions(curve: pd.DataFrame | None, metrics: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return `curve` with the self-play positions that had been generated at each training step.

    Read off the rows of `metrics`, with a straight line between two rows (ten seconds apart), the first one from where
    play without a network had come to. The untrained network is at 0.
    """
    if curve is None:
        return None
    positions = pd.Series(float("nan"), index=curve.index)
    if metrics is not None and {"training_steps", "positions"} <= set(metrics.columns):
        rows = (
            metrics.dropna(subset=["training_steps", "positions"])
            .groupby("training_steps")["positions"]
            .max()
        )
        without_a_step = float(rows.get(0, 0.0))
        rows = rows[rows.index > 0]
        if len(rows):
            steps, generated = [0.0, *rows.index], [without_a_step, *rows.to_numpy()]
            along = np.interp(curve["step"], steps, generated)
            positions = pd.Series(np.where(curve["step"] > 0, along, 0.0), index=curve.index)
    return curve.assign(training_positions=positions)


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    data = json.loads(_read_text(path))
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    return data


def _read_hardware(path: Path) -> dict[str, Any]:
    data = _read_json(path)
    if not isinstance(data.get("gpus", []), list):
        raise ValueError(f"gpus is {data['gpus']!r}, not a list")
    return data


def _read_health(path: Path) -> dict[str, Any]:
    data = _read_json(path)
    for metric, value in data.items():
        if not isinstance(value, int | float | None):
            raise ValueError(f"{metric} is {value!r}, not a number")
    return data


def _read_csv(path: Path, required: Sequence[str]) -> pd.DataFrame | None:
    """Return the rows, numbers as float64 with NaN where empty; None if there are no rows."""
    frame = pd.read_csv(path, on_bad_lines="skip", encoding="utf-8")
    missing = [column for column in required if column not in frame.columns]
    if missing:
        raise ValueError(f"it has no column {', '.join(missing)}")
    for column in frame.columns:
        if column in _TEXT_COLUMNS:
            frame[column] = frame[column].astype(str)
        else:
            frame[column] = pd.to_numeric(frame[column], errors="coerce").astype("float64")
    return frame if len(frame) else None


def _read_tail(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-LOG_LINES:])
